//! `optbuild experiment`: variants are built once where they are alike, fail alone, and are measured side by side.

use serde_json::Value;

use crate::support::{Test, stage};

/// `app` is made from `below`, otherwise for each level.
fn pipeline(script: &str, variants: &str) -> Test {
    Test::new([
        "name = 'p'\n[vars]\nlevel = '1'\nprogram = { type = 'path', default = '/bin/sh' }\n".to_owned(),
        stage("below", "", "echo below > ${self.out}/f"),
        format!(
            "[[stage]]\nname = 'app'\nkind = 'command'\nshell = true\nenv = {{ BELOW = '${{below.out}}' }}\nrun = '''\nmark app-${{level}}\n\
             {script}\nprintf '#!/bin/sh\\nexit 0\\n# ${{level}}\\n' > ${{self.out}}/app\nchmod +x ${{self.out}}/app\n'''\n"
        ),
        "[measure]\nprogram = '${app.out}/app'\ncounter = 'none'\nrounds = 2\n[[measure.workloads]]\nname = 'work'\nrun = ['{program}']\n".into(),
        variants.to_owned(),
    ])
}

const TWO: &str = "[[variant]]\nname = 'one'\n[[variant]]\nname = 'two'\nset = { level = '2' }\n";

/// The rows of the result: names, and what is said of those that are missing.
fn rows(test: &Test) -> Vec<String> {
    let result: Value = serde_json::from_str(&test.read("out/p-experiment/table.json")).unwrap();
    let missing = |side: &Value| side["missing"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    let base = result["base"]["name"].as_str().unwrap().to_owned();
    let variants = result["sides"].as_array().unwrap().iter();
    [base]
        .into_iter()
        .chain(variants.map(|row| format!("{}{}", row["build"]["name"].as_str().unwrap(), missing(row))))
        .collect()
}

#[test]
fn what_variants_have_in_common_is_built_once() {
    let test = pipeline("", TWO);
    let ran = test.cmd("experiment p.toml").ok().ran("below app-1 app-2");
    assert!(ran.stderr.contains("2 variants: building them took"), "{}", ran.stderr);
    assert_eq!(rows(&test), ["one", "two"]);
    test.cmd("experiment p.toml").runs("");
}

#[test]
fn a_run_alone_finds_what_an_experiment_has_built() {
    let test = pipeline("", TWO);
    let _ = test.cmd("experiment p.toml").ok();
    let _ = test.run("").ok().ran("");
    let _ = test.run("--set level=2").ok().ran("");
}

#[test]
fn an_experiment_finds_what_a_run_alone_has_built() {
    let test = pipeline("", TWO);
    test.run("--set level=2").runs("below app-2");
    let _ = test.cmd("experiment p.toml").ok().ran("app-1");
    assert_eq!(rows(&test), ["one", "two"]);
}

#[test]
fn a_variant_that_fails_is_a_row_that_says_why() {
    let three = format!("{TWO}[[variant]]\nname = 'three'\nset = {{ level = '3' }}\n");
    let test = pipeline("if [ ${level} = 2 ]; then echo the linker ran out of memory >&2; exit 1; fi", &three);
    let failed = "two: stage `app@two` failed: the linker ran out of memory";
    let _ = test.cmd("experiment p.toml").code(1);
    assert_eq!(rows(&test), ["one", failed, "three"]);
    // It is not tried again by itself, and the row stays.
    let _ = test.cmd("experiment p.toml").code(1).ran("");
    assert_eq!(rows(&test), ["one", failed, "three"]);
}

#[test]
fn without_the_base_there_is_no_table() {
    let test = pipeline("[ ${level} != 1 ]", TWO);
    let _ = test.cmd("experiment p.toml").code(1);
    assert!(!test.exists("out/p-experiment/table.json"));
}

#[test]
fn a_variant_that_the_machine_cannot_build_is_left_out() {
    let lacking = format!(
        "{TWO}[[variant]]\nname = 'none'\nset = {{ program = '/nowhere/cc' }}\nmeasure = {{ program = '${{other.out}}/app' }}\n\
        [[variant.stage]]\nname = 'other'\nkind = 'command'\nrun = ['${{program}}', '-c', 'true']\ncwd = '/nowhere/else'\n"
    );
    let test = pipeline("", &lacking);
    let _ = test.cmd("experiment p.toml").ok();
    let rows = rows(&test);
    assert_eq!(&rows[..2], ["one", "two"]);
    assert!(rows[2].starts_with("none: the directory /nowhere/else"), "{rows:?}");
    let _ = test.cmd("experiment p.toml --dry-run").ok().out("left out: the directory /nowhere/else");
}

#[test]
fn a_killed_experiment_goes_on_and_has_the_same_rows() {
    let test = pipeline("if [ ${level} = 2 ]; then mark there; gate go; fi", TWO);
    let run = test.start_cmd("experiment p.toml");
    run.wait_for("there").kill();
    let _ = run.end();
    test.open("go");
    let _ = test.cmd("resume").ok().ran("app-2 there");
    assert_eq!(rows(&test), ["one", "two"]);
}

#[test]
fn a_variant_is_shown_as_what_builds_it_alone() {
    let changed = format!(
        "{TWO}[[variant]]\nname = 'own'\ndescription = 'An app of its own'\n[[variant.stage]]\nname = 'app'\nrun = 'own'\n"
    );
    let test = pipeline("", &changed);
    let _ = test.cmd("experiment p.toml --show two").ok().out("optbuild run p.toml --set level=2");
    let shown = test.cmd("experiment p.toml --show own").ok().out("An app of its own");
    // What is shown is a pipeline.
    test.write("own.toml", &shown.stdout.replace("[DIR]", test.dir.as_str()));
    let _ = test.cmd("show own.toml --stage app").ok().out("own");
    let _ = test.cmd("experiment p.toml --show tow").code(2).err("did you mean `two`?");
}

#[test]
fn the_plan_says_what_is_shared_and_what_it_costs() {
    let test = pipeline("", TWO);
    let _ = test
        .cmd("experiment p.toml --dry-run")
        .ok()
        .ran("")
        .out("below: will run: it has not run yet\n  for all variants")
        .out("app@two: depends on below\n  for two")
        .out("4 stages to build");
    let _ = test.cmd("experiment p.toml").ok();
    let _ = test.cmd("experiment p.toml --dry-run").ok().out("everything is up to date");
    let _ = test.cmd("explain app@two").ok().out("up to date").out("for two");
}

#[test]
fn what_each_variant_cost_is_in_the_table() {
    let test = pipeline("", TWO);
    let _ = test.cmd("experiment p.toml").ok();
    let result: Value = serde_json::from_str(&test.read("out/p-experiment/table.json")).unwrap();
    let cost = &result["sides"][0]["build"]["cost"];
    // Of `below` five letters and a line's end, and the script.
    let script = "#!/bin/sh\nexit 0\n# 2\n".len() + "below\n".len();
    assert_eq!(cost["disk"], script, "{result:#}");
    assert!(cost["build"].as_f64().unwrap() > 0.0 && cost["training"] == 0.0, "{cost}");
}
