//! Templates, and stages and workloads that are like them.

use super::support::Files;
use insta::assert_snapshot;
use optbuild::pipeline::Pipeline;

/// A key of a stage as fingerprints have it.
#[track_caller]
fn key(pipeline: &Pipeline, stage: &str, key: &str) -> String {
    pipeline.stage(stage).unwrap().declaration[key].clone()
}

const TEMPLATES: &str = r#"
    [vars]
    level = 2
    [template.tool]
    kind = "command"
    run = ["tool", "-O${level}"]
    env = { A = "template", B = "template" }
    [template.list]
    run = ["list"]
    timeout = "5m"
    [template.list.env]
    B = "list"
    C = "list"
"#;

#[test]
fn tables_merge_and_all_else_replaces() {
    let stages = r#"
        [[stage]]
        name = "one"
        like = "tool"
        env = { A = "stage" }
        [[stage]]
        name = "both"
        like = ["tool", "list"]
        [[stage]]
        name = "other-way-round"
        like = ["list", "tool"]
        run = ["own"]
    "#;
    let pipeline = Files::one(&format!("{TEMPLATES}{stages}")).set("level=3").load("p.toml");
    let names: Vec<&str> = pipeline.stages.iter().map(|stage| stage.common.name.as_str()).collect();
    assert_eq!(names, ["one", "both", "other-way-round"], "a template is no stage");
    // Variables are put in when all is merged.
    assert_eq!(key(&pipeline, "one", "run"), r#"["tool","-O3"]"#);
    assert_eq!(key(&pipeline, "one", "env"), r#"{"A":"stage","B":"template"}"#);
    assert_eq!(key(&pipeline, "both", "run"), r#"["list"]"#);
    assert_eq!(key(&pipeline, "both", "env"), r#"{"A":"template","B":"list","C":"list"}"#);
    assert_eq!(pipeline.stage("both").unwrap().common.timeout.unwrap().as_secs(), 300);
    assert_eq!(key(&pipeline, "other-way-round", "run"), r#"["own"]"#);
    assert_eq!(key(&pipeline, "other-way-round", "env"), r#"{"A":"template","B":"template","C":"list"}"#);
}

/// How a stage is written is not part of its fingerprint.
#[test]
fn a_stage_is_the_same_as_one_that_says_all_itself() {
    let long = "kind = 'command'\nrun = ['tool', '-O${level}']\nenv = { B = 'template', A = 'stage' }\n";
    let text = format!(
        "{TEMPLATES}[[stage]]\nname = 'short'\nlike = 'tool'\nenv = {{ A = 'stage' }}\n[[stage]]\nname = 'long'\n{long}"
    );
    let pipeline = Files::one(&text).load("p.toml");
    let [short, long] = pipeline.stages.as_slice() else { panic!() };
    assert_eq!(short.declaration, long.declaration);
}

#[test]
fn workloads_and_tests_are_like_templates_too() {
    let text = r#"
        [template.greet]
        name = "greet"
        for = { level = ["1", "2"] }
        run = ["x", "${level}"]
        env = { A = "a" }
        [template.training]
        kind = "gather"
        workloads = [{ like = "greet", env = { B = "b" } }]
        [[stage]]
        name = "train"
        like = "training"
        instrumented = "/program"
        [[stage]]
        name = "verify"
        kind = "verify"
        tests = [{ name = "own", run = "y" }, { like = "greet", name = "mine", for = { level = ["3"] } }]
    "#;
    let pipeline = Files::one(text).load("p.toml");
    assert_eq!(
        key(&pipeline, "train", "workloads"),
        r#"[{"env":{"A":"a","B":"b"},"name":"greet[level=1]","run":["x","1"]},{"env":{"A":"a","B":"b"},"name":"greet[level=2]","run":["x","2"]}]"#
    );
    assert_eq!(
        key(&pipeline, "verify", "tests"),
        r#"[{"name":"own","run":["y"]},{"env":{"A":"a"},"name":"mine[level=3]","run":["x","3"]}]"#
    );
}

#[test]
fn a_file_changes_templates_of_the_files_that_it_extends() {
    let base = r#"
        [template.tool]
        kind = "command"
        run = ["tool", "${pipeline.dir}/x"]
        env = { A = "base" }
        [[stage]]
        name = "one"
        like = "tool"
        [[stage]]
        name = "two"
        like = "tool"
        env = { B = "own" }
    "#;
    let top = r#"
        extends = "base/base.toml"
        [template.tool]
        env = { B = "top" }
        [template.more]
        env = { C = "more" }
        [[stage]]
        name = "one"
        like = ["tool", "more"]
    "#;
    let files = Files::new(&[("base/base.toml", base), ("top.toml", top)]);
    let pipeline = files.load("top.toml");
    assert_eq!(key(&pipeline, "one", "env"), r#"{"A":"base","B":"top","C":"more"}"#);
    assert_eq!(key(&pipeline, "two", "env"), r#"{"A":"base","B":"own"}"#);
    // `${pipeline.dir}` is the directory of the file that the template stands in.
    let plan = optbuild::stage::plan(&pipeline, &optbuild::facts::Facts::live(), "one", &Default::default()).unwrap();
    assert_eq!(plan.sources[0].path, files.root().join("base/x"));
}

#[test]
fn several_stages_are_taken_out_at_once() {
    let stage = |name: &str| format!("[[stage]]\nname = '{name}'\nkind = 'command'\nrun = 'x'\n");
    let base: String = ["a", "b", "c", "d"].map(stage).concat();
    let top = format!("extends = 'base.toml'\nremove = ['a', 'c']\n{}", stage("c"));
    let files = Files::new(&[("base.toml", &base), ("top.toml", &top)]);
    let names: Vec<String> = files.load("top.toml").stages.into_iter().map(|stage| stage.common.name).collect();
    // A stage of a name that was taken out is a new one.
    assert_eq!(names, ["b", "d", "c"]);
    files.write("pipelines/top.toml", b"extends = '../base.toml'\nremove = ['a', 'c']\n");
    let listed = optbuild::pipeline::shipped::list(&files.root());
    assert_eq!(listed.iter().find(|listed| listed.name == "top").unwrap().stages, 2);
}

#[test]
fn a_template_that_nothing_is_like_is_told_of() {
    let spare = format!("{TEMPLATES}[[stage]]\nname = 's'\nlike = 'tool'\n");
    let files = Files::new(&[("p.toml", &spare), ("top.toml", "extends = 'p.toml'\n[template.list]\nretries = 2\n")]);
    let idle = |file: &str| files.load(file).idle().iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(idle("p.toml"), ["no stage is like the template `list`"]);
    // Those of a file that several extend are for others, perhaps.
    assert_eq!(idle("top.toml"), [""; 0]);
}

#[test]
fn the_text_of_a_stage_has_all_of_its_keys() {
    let stage = "[[stage]]\nname = \"one\"\nlike = [\"tool\", \"list\"]\nenv = { A = \"stage\" }\n";
    let pipeline = Files::one(&format!("{TEMPLATES}{stage}")).load("p.toml");
    let text = &pipeline.stage("one").unwrap().text;
    let expected = r#"[[stage]]
kind = "command"
run = ["list"]
timeout = "5m"
name = "one"

[stage.env]
A = "stage"
B = "list"
C = "list"
"#;
    assert_eq!(text, expected);
    // It can stand in a file of its own.
    let again = Files::one(&format!("[vars]\nlevel = 2\n{text}")).load("p.toml");
    assert_eq!(again.stages[0].declaration, pipeline.stage("one").unwrap().declaration);
}

#[test]
fn what_is_wrong_with_templates() {
    let files = Files::one(
        r#"
remove = ["nothing"]
[template.nested]
like = "command"
run = "x"
[template.command]
kind = "command"
run = "x ${unknown}"
timeout = "soon"
sorce = "y"
env = { A = "${later.outt}" }
[template.named]
name = "n"
[template.w]
run = "x 'y"
[template."a b"]
[[stage]]
name = "one"
like = "comand"
[[stage]]
name = "two"
like = ["command", 3]
[[stage]]
name = "later"
like = ["nested", "command", "named"]
[[stage]]
name = "gather"
kind = "gather"
instrumented = "p"
workloads = [{ name = "a", like = "w" }, { name = "b", like = "ww" }]
[[stage]]
name = "check"
kind = "command"
run = "x"
check = [{ like = "w" }]
"#,
    );
    assert_snapshot!(files.errors("p.toml"));
}

#[test]
fn what_is_no_template() {
    let files = Files::new(&[
        ("a.toml", "template = 3\n[[stage]]\nname = 's'\nkind = 'command'\nrun = 'x'\n"),
        ("b.toml", "[template]\nx = 'y'\n[[stage]]\nname = 's'\nlike = 'x'\nkind = 'command'\nrun = 'x'\n"),
        ("c.toml", "extends = 'd.toml'\nremove = ['one', 'tow', 3]\n"),
        (
            "d.toml",
            "[[stage]]\nname = 'one'\nkind = 'command'\nrun = 'x'\n[[stage]]\nname = 'two'\nkind = 'command'\nrun = 'x'\n",
        ),
        ("e.toml", "extends = 'd.toml'\nremove = 'one'\n"),
    ]);
    let all: Vec<String> = ["a.toml", "b.toml", "c.toml", "e.toml"].iter().map(|name| files.errors(name)).collect();
    assert_snapshot!(all.join("\n"));
}
