//! Experiments: which stages variants share, what the others are called, and what is said about wrong ones.

use camino::Utf8Path;
use optbuild::pipeline::{self, Choice, LoadError, LoadOptions, Pipeline};

use super::support::{Files, HOST};

fn load(files: &Files, choice: &Choice) -> Result<Pipeline, LoadError> {
    load_in(&files.root(), "p.toml", files, choice)
}

fn load_in(root: &Utf8Path, file: &str, files: &Files, choice: &Choice) -> Result<Pipeline, LoadError> {
    let options = LoadOptions {
        set: &files.set,
        env: &|_| None,
        cwd: root,
        host: HOST,
        kinds: &optbuild::stage::KINDS,
        incomplete: false,
    };
    let unknown = |name: &str| panic!("nothing shipped is named: {name}");
    pipeline::load_experiment(Utf8Path::new(file), &options, &unknown, choice)
}

fn good(text: &str) -> Pipeline {
    load(&Files::one(text), &Choice::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn wrong(text: &str) -> String {
    load(&Files::one(text), &Choice::default()).expect_err("it loads").render(false)
}

/// Three builds one on the other, of which the second depends on a variable.
const PIPELINE: &str = r#"
name = "p"
[vars]
level = "1"
[template.build]
kind = "command"
shell = true
[[stage]]
name = "below"
like = "build"
run = "make below"
[[stage]]
name = "lib"
like = "build"
run = "make -O${level} ${below.out}"
[[stage]]
name = "app"
like = "build"
run = "make ${lib.out}"
[[stage]]
name = "unneeded"
like = "build"
run = "make ${app.out}"
[measure]
program = "${app.out}/app"
env = { LD_LIBRARY_PATH = "${lib.out}" }
[[measure.workloads]]
name = "work"
for = { size = ["1", "2"] }
run = ["{program}", "${size}"]
"#;

const VARIANTS: &str = r#"
[[variant]]
name = "one"
[[variant]]
name = "two"
set = { level = "2" }
[[variant]]
name = "other-app"
base = "two"
[[variant.stage]]
name = "app"
run = "make other ${lib.out}"
"#;

fn names(pipeline: &Pipeline) -> Vec<&str> {
    pipeline.stages.iter().map(|stage| stage.common.name.as_str()).collect()
}

#[test]
fn equal_stages_with_equal_producers_are_one() {
    let pipeline = good(&format!("{PIPELINE}{VARIANTS}"));
    assert_eq!(names(&pipeline), ["below", "lib", "app", "lib@two", "app@two", "app@other-app", "measure"]);
    let serves = |name: &str| pipeline.stage(name).unwrap().variants.join(" ");
    assert_eq!(serves("below"), "one two other-app");
    assert_eq!(serves("lib"), "one other-app", "a producer that is the same is shared by builds that are not");
    assert_eq!(serves("app@two"), "two", "what is declared alike is made from something else");
    // A stage of a variant is declared as it is where the pipeline runs alone.
    let declared = |name: &str| pipeline.stage(name).unwrap().declaration["run"].clone();
    assert_eq!(declared("app@two"), r#""make ${lib.out}""#);
    let needs = |name: &str| pipeline.stage(name).unwrap().dependencies.clone();
    assert_eq!(needs("app@two"), [["lib@two"]]);
    assert_eq!(needs("app@other-app"), [["lib"]]);
    // Whatever serves the base is needed.
    let dispensable: Vec<&str> =
        pipeline.stages.iter().filter(|stage| stage.dispensable).map(|stage| stage.common.name.as_str()).collect();
    assert_eq!(dispensable, ["lib@two", "app@two", "app@other-app"]);
    let sides = &pipeline.stage("measure").unwrap().declaration["sides"];
    assert!(sides.contains(r#""program":"${app@two.out}/app""#), "{sides}");
    assert!(sides.contains(r#""base":"two""#) && sides.contains(r#""LD_LIBRARY_PATH":"${lib@two.out}""#), "{sides}");
    // The base comes first.
    assert!(sides.find("\"one\"") < sides.find("\"two\""), "{sides}");
}

#[test]
fn names_do_not_depend_on_which_variants_are_chosen() {
    let files = Files::one(&format!("{PIPELINE}{VARIANTS}"));
    let choice = Choice { variants: vec!["other-app".into()], base: Some("two".into()) };
    let pipeline = load(&files, &choice).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(names(&pipeline), ["below", "lib", "lib@two", "app@two", "app@other-app", "measure"]);
    let variants: Vec<&str> = pipeline.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(variants, ["two", "other-app"]);
    let choice = Choice { variants: vec!["tow".into()], base: None };
    let error = load(&files, &choice).unwrap_err().render(false);
    assert!(
        error.contains("`--variants tow`: there is no such variant") && error.contains("did you mean `two`?"),
        "{error}"
    );
}

#[test]
fn a_variant_wins_over_what_the_caller_sets_for_all() {
    let files = Files::one(&format!("{PIPELINE}{VARIANTS}")).set("level=7");
    let pipeline = load(&files, &Choice::default()).unwrap_or_else(|error| panic!("{error}"));
    let run = |name: &str| pipeline.stage(name).unwrap().declaration["run"].clone();
    assert_eq!(run("lib"), r#""make -O7 ${below.out}""#);
    assert_eq!(run("lib@two"), r#""make -O2 ${below.out}""#);
}

#[test]
fn an_experiment_in_a_file_of_its_own_names_the_pipeline() {
    let (pipeline, measure) = PIPELINE.split_once("[measure]").unwrap();
    let files = Files::new(&[
        ("base.toml", pipeline),
        ("p.toml", &format!("pipeline = \"base.toml\"\nname = \"tried\"\n[measure]{measure}{VARIANTS}")),
    ]);
    let loaded = load(&files, &Choice::default()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(loaded.name, "tried-experiment");
    assert_eq!(
        loaded.tried.as_deref().map(|file| file.replace(files.root().as_str(), "ROOT")),
        Some("ROOT/base.toml".into())
    );
    assert_eq!(loaded.variants[1].set, ["level=2"]);
    assert!(loaded.variants[2].changes.contains("make other"), "{}", loaded.variants[2].changes);
    // Without `experiment` it is the pipeline.
    assert_eq!(names(&files.load("p.toml")), ["below", "lib", "app", "unneeded"]);
}

/// The demo's: each technique has a row, and most of the work is shared.
#[test]
fn the_experiment_of_the_demo() {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let pipeline = load_in(root, "pipelines/demo/experiment.toml", &Files::new(&[]), &Choice::default());
    let pipeline = pipeline.unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<&str> = pipeline.variants.iter().map(|variant| variant.name.as_str()).collect();
    let techniques = [
        "plain",
        "pgo",
        "one-file",
        "unbalanced",
        "cs-pgo",
        "no-preinline",
        "trip-count",
        "lld",
        "icf",
        "pgo-bolt",
        "lto",
        "pgo-lto",
        "all",
    ];
    assert_eq!(names[..techniques.len()], techniques);
    // As the file's first lines say it: with those that these are held against.
    let choice = Choice { variants: vec!["icf".into()], base: None };
    let some = load_in(root, "pipelines/demo/experiment.toml", &Files::new(&[]), &choice);
    let some = some.unwrap_or_else(|error| panic!("{error}"));
    let chosen: Vec<&str> = some.variants.iter().map(|variant| variant.name.as_str()).collect();
    assert_eq!(chosen, ["plain", "pgo", "lld", "icf"]);
    let alone: usize = pipeline.variants.iter().map(|variant| variant.stages.len()).sum();
    assert!(pipeline.stages.len() * 2 < alone, "{} stages instead of {alone}", pipeline.stages.len());
    assert_eq!(pipeline.stage("sources").unwrap().variants.len(), names.len());
}

#[test]
fn what_is_wrong_with_variants() {
    let variant = |text: &str| wrong(&format!("{PIPELINE}[[variant]]\nname = \"one\"\n{text}"));
    let said = |text: &str, parts: &[&str]| {
        let error = variant(text);
        parts.iter().for_each(|part| assert!(error.contains(part), "{part}: {error}"));
    };
    said(
        "[[variant]]\nname = 'two'\nset = { levle = '2' }",
        &["the pipeline has no variable `levle`", "did you mean `level`?"],
    );
    said("[[variant]]\nname = 'two'\nbase = 'on'\nset = { level = '2' }", &["there is no variant `on`"]);
    said("[[variant]]\nname = 'two'", &["the variant `two` changes nothing"]);
    said("[[variant]]\nname = 'two'\nset = { level = '1' }", &["the variants `one` and `two` make the same"]);
    said("[[variant]]\nname = 'one'\nset = { level = '2' }", &["two variants of the name `one`"]);
    said("[[variant]]\nname = 'a b'\nset = { level = '2' }", &["cannot be the name of a variant"]);
    said("[[variant]]\nname = 'two'\nset = { level = 2 }", &["the variable `level` is a string, not an integer"]);
    said("[[variant]]\nname = 'two'\nlevel = '2'", &["has no key `level`"]);
    said(
        "[[variant]]\nname = 'two'\n[[variant.stage]]\nname = 'app'\nrum = 'x'",
        &["has no key `rum`", "found in the variant `two`"],
    );
    said("[[variant]]\nname = 'two'\nremove = ['app']", &["there is no stage `app`"]);
    said(
        "[[variant]]\nname = 'a'\nbase = 'b'\nset = { level = '2' }\n[[variant]]\nname = 'b'\nbase = 'a'\nset = { level = '3' }",
        &["variants are each other's base: a -> b -> a"],
    );
    said("", &["one variant alone cannot be measured against anything"]);
    said("[[variant]]\nname = 'two'\nmeasure = { rounds = 3 }", &["`rounds` is the same for all variants"]);
    let error = wrong(PIPELINE);
    assert!(error.contains("it has no variants"), "{error}");
    let error = wrong(&format!("{}{VARIANTS}", PIPELINE.split_once("[measure]").unwrap().0));
    assert!(error.contains("does not say what is measured"), "{error}");
    let error = wrong(&format!("{}{VARIANTS}", PIPELINE.replace("[measure]", "[measure]\nneeds = ['app']")));
    assert!(error.contains("`needs` is no key of `[measure]`"), "{error}");
    let error = wrong(&format!("base = 'oen'\n{PIPELINE}{VARIANTS}"));
    assert!(error.contains("there is no variant `oen` to be the base"), "{error}");
}
