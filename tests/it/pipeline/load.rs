//! What a pipeline file becomes.

use super::support::{Files, HOST};
use optbuild::pipeline::{Graph, Piece, Pipeline, Stage, Text, VarValue};
use optbuild::stage::cmake::{Cmake, Define};
use optbuild::stage::command::Command;
use optbuild::stage::kind_as;

fn stage<'p>(pipeline: &'p Pipeline, name: &str) -> &'p Stage {
    pipeline.stage(name).unwrap()
}

/// The words of a command stage, as they would stand in a file.
fn words(stage: &Stage) -> Vec<String> {
    let command = kind_as::<Command>(stage).expect("a command");
    command.line.words.iter().map(Text::to_string).collect()
}

fn command(vars: &str, stage: &str) -> String {
    format!("[vars]\n{vars}\n[[stage]]\nname = \"s\"\nkind = \"command\"\n{stage}\n")
}

#[test]
fn the_shipped_demo_loads_with_and_without_bolt() {
    let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines/demo/pipeline.toml");
    let files = Files::new(&[]);
    let pipeline = files.load(demo);
    assert!(pipeline.stages.iter().all(|stage| stage.common.when));
    let without = files.set("bolt=false").load(demo);
    assert!(!stage(&without, "lib-bolt").common.when);
    assert!(stage(&without, "shell").dependencies.contains(&vec!["lib-pgo".to_string()]));
}

#[test]
fn values_come_from_set_then_environment_then_default() {
    let text = command("a = \"default\"\nmy-var = \"default\"", "run = \"echo ${a} ${my-var}\"");
    let value = |files: Files| words(stage(&files.load("p.toml"), "s")).join(" ");
    assert_eq!(value(Files::one(&text)), "echo default default");
    let env = || Files::one(&text).env("OPTBUILD_VAR_A", "env").env("OPTBUILD_VAR_MY_VAR", "env2");
    assert_eq!(value(env()), "echo env env2");
    assert_eq!(value(env().set("a=first").set("a=last=one")), "echo last=one env2");
    assert_eq!(value(env().env("OPTBUILD_VAR_NONE", "").set("a=")), "echo  env2");
    assert_eq!(value(Files::one(&text).env("OPTBUILD_VAR_A", "")), "echo default default");
}

#[test]
fn types_of_variables() {
    let vars = r#"
        text = "x"
        number = 0x10
        flag = false
        list = ["a", "b"]
        path = { type = "path", default = "sub/./dir" }
        none = { type = "path" }
        empty = { type = "list" }
        off = { type = "bool" }
        derived = { type = "path", default = "${path}/${text}-${host}" }
        own = { type = "path", default = "${pipeline.dir}/own" }
        below = { type = "path", default = "${none}/below" }
        more = ["0", "${list}", "${text}"]
        same = { type = "int", default = "${number}" }
    "#;
    let files = Files::new(&[("d/p.toml", &command(vars, "run = \"true\""))]);
    let vars = files.load("d/p.toml").vars;
    let dir = files.root().join("d");
    let list = |items: &[&str]| VarValue::List(items.iter().map(|item| item.to_string()).collect());
    assert_eq!(vars["text"].value, VarValue::String("x".into()));
    assert_eq!(vars["number"].value, VarValue::Int(16));
    assert_eq!(vars["flag"].value, VarValue::Bool(false));
    assert_eq!(vars["list"].value, list(&["a", "b"]));
    assert_eq!(vars["path"].value, VarValue::Path(dir.join("sub/dir")));
    assert_eq!(vars["none"].value, VarValue::Path("".into()));
    assert_eq!(vars["empty"].value, list(&[]));
    assert_eq!(vars["off"].value, VarValue::Bool(false));
    assert_eq!(vars["derived"].value, VarValue::Path(dir.join(format!("sub/dir/x-{HOST}"))));
    assert_eq!(vars["own"].value, VarValue::Path(dir.join("own")));
    assert_eq!(vars["below"].value, VarValue::Path("".into()));
    assert_eq!(vars["more"].value, list(&["0", "a", "b", "x"]));
    assert_eq!(vars["same"].value, VarValue::Int(16));

    // From the caller: paths are relative to the caller, lists have commas, nothing is a reference.
    let files =
        files.set("path=here").set("list=x,y").set("list=z").set("text=${flag}").set("number=-3").set("flag=true");
    let vars = files.load("d/p.toml").vars;
    assert_eq!(vars["path"].value, VarValue::Path(files.root().join("here")));
    assert_eq!(vars["list"].value, list(&["x", "y", "z"]));
    assert_eq!(vars["text"].value, VarValue::String("${flag}".into()));
    assert_eq!(vars["number"].value, VarValue::Int(-3));
    assert_eq!(vars["flag"].value, VarValue::Bool(true));
    assert_eq!(vars["more"].value, list(&["0", "x", "y", "z", "${flag}"]));
    let files = files.set("list=");
    assert_eq!(files.load("d/p.toml").vars["list"].value, list(&["x", "y", "z"]));
}

#[test]
fn values_take_the_type_that_the_key_takes() {
    let text = r#"
        [vars]
        yes = true
        three = 3
        list = ["a b", "${c}"]
        c = "c"
        [[stage]]
        name = "s"
        kind = "cmake"
        source = "x"
        when = "${yes}"
        retries = "${three}"
        keep-relocations = "${yes}"
        env = { YES = "${yes}", THREE = "${three}" }
        define = { YES = "${yes}", THREE = "${three}", BOTH = "${yes}${three}" }
        targets = ["t${three}", "${list}"]
        inputs = "${list}"
    "#;
    // A default refers to variables before it.
    let text =
        text.replace("list = [\"a b\", \"${c}\"]\n        c = \"c\"", "c = \"c\"\n        list = [\"a b\", \"${c}\"]");
    let pipeline = Files::one(&text).load("p.toml");
    let cmake = kind_as::<Cmake>(stage(&pipeline, "s")).unwrap();
    let common = &stage(&pipeline, "s").common;
    assert!(common.when && cmake.keep_relocations);
    assert_eq!(common.retries, 3);
    assert_eq!((common.env["YES"].to_string(), common.env["THREE"].to_string()), ("true".into(), "3".into()));
    assert!(matches!(cmake.define["YES"], Define::Bool(true)));
    assert!(matches!(cmake.define["THREE"], Define::Integer(3)));
    assert!(matches!(&cmake.define["BOTH"], Define::Text(text) if text.to_string() == "true3"));
    assert_eq!(cmake.targets.iter().map(Text::to_string).collect::<Vec<_>>(), ["t3", "a b", "c"]);
    assert_eq!(common.inputs.iter().map(Text::to_string).collect::<Vec<_>>(), ["a b", "c"]);
}

#[test]
fn a_line_is_split_before_values_are_put_in() {
    let vars = "msg = \"two words\"\nlist = [\"-a\", \"b c\"]\nquote = \"it's\"";
    let run = r#"run = "say '${msg}' x${msg} ${list} \"${quote}\" $${x} 'a  b'""#;
    let pipeline = Files::one(&command(vars, run)).load("p.toml");
    let expected = ["say", "two words", "xtwo words", "-a", "b c", "it's", "$${x}", "a  b"];
    assert_eq!(words(stage(&pipeline, "s")), expected);
    // A script is one word, whatever is in it.
    let script = command(vars, "shell = true\nrun = \"echo '${msg}' | wc\"");
    assert_eq!(words(stage(&Files::one(&script).load("p.toml"), "s")), ["echo 'two words' | wc"]);
}

#[test]
fn an_optional_key_with_an_empty_variable_is_not_given() {
    let text = r#"
        [vars]
        empty = ""
        dir = { type = "path" }
        [tools]
        clang = { version = ">=19", dir = "${dir}" }
        lld = { dir = "${dir}/bin" }
        [[stage]]
        name = "s"
        kind = "cmake"
        source = "x"
        launcher = "${empty}"
        compiler = "${dir}"
        define = { EMPTY = "${empty}" }
    "#;
    let pipeline = Files::one(text).load("p.toml");
    let cmake = kind_as::<Cmake>(stage(&pipeline, "s")).unwrap();
    assert_eq!((&cmake.launcher, &cmake.compiler), (&None, &None));
    assert!(cmake.define.contains_key("EMPTY"));
    assert_eq!((&pipeline.tools["clang"].dir, &pipeline.tools["lld"].dir), (&None, &None));
    let given = Files::one(text).set("dir=/opt/llvm").load("p.toml");
    let var = |text: &str| Some(Text::parse(text).unwrap());
    assert_eq!(given.tools["clang"].dir, var("${dir}"));
    assert_eq!(given.tools["lld"].dir, var("${dir}/bin"));
}

#[test]
fn paths_and_secrets_stay_references() {
    let vars = "src = { type = \"path\", default = \"s\" }\nkey = { default = \"hunter2\", secret = true }";
    let text = command(
        vars,
        "run = [\"x\", \"-I${src}/inc\", \"${key}\"]\ncwd = \"${pipeline.dir}\"\njobs = 1\ntimeout = \"1s\"",
    );
    let pipeline = Files::one(&text).load("p.toml");
    let stage = stage(&pipeline, "s");
    assert_eq!(words(stage), ["x", "-I${src}/inc", "${key}"]);
    assert_eq!(stage.path_vars, ["src"]);
    let declaration = &stage.declaration;
    assert_eq!(declaration["run"], r#"["x","-I${src}/inc","${key}"]"#);
    assert_eq!(declaration["cwd"], r#""${pipeline.dir}""#);
    assert_eq!(declaration.keys().collect::<Vec<_>>(), ["cwd", "kind", "run"]);
    assert!(pipeline.vars["key"].secret);
}

#[test]
fn a_declaration_does_not_depend_on_how_it_is_written() {
    let one = "[[stage]]\nname='s'\nkind='command'\nrun=['a','${ o.out|p.out }']\nenv={B='2',A='1'}\ndescription='x'\n";
    let two = "[[stage]]\nname='s'\nkind='command'\nwhen=true\n[stage.env]\nA='1'\nB='2'\n";
    let two = two.replace("when", "run = ['a', \"${o.out | p.out}\"]\nwhen");
    let rest = "[[stage]]\nname='o'\nkind='command'\nrun='true'\n[[stage]]\nname='p'\nkind='command'\nrun='true'\n";
    let declaration = |text: &str| Files::one(&format!("{text}{rest}")).load("p.toml").stages[0].declaration.clone();
    assert_eq!(declaration(one), declaration(&two));
}

#[test]
fn every_combination_of_a_matrix_is_a_workload() {
    let text = r#"
        [vars]
        levels = ["0", "3"]
        [[stage]]
        name = "lib"
        kind = "command"
        run = "true"
        outputs = { a = "a", b = "b" }
        [[stage]]
        name = "g"
        kind = "gather"
        instrumented = "${lib.out}"
        [[stage.workloads]]
        name = "w"
        run = "${build} -O${level}"
        for = { level = "${levels}", build = ["${lib.a}", "${lib.b}"] }
        [[stage.workloads]]
        name = "single"
        run = ["x"]
    "#;
    let pipeline = Files::one(text).load("p.toml");
    let workloads = &stage(&pipeline, "g").declaration["workloads"];
    let expected = ["a", "b"].map(|build| {
        let one = |level| {
            format!(r#"{{"name":"w[build=lib.{build},level={level}]","run":["${{lib.{build}}}","-O{level}"]}}"#)
        };
        format!("{},{}", one(0), one(3))
    });
    assert_eq!(*workloads, format!(r#"[{},{{"name":"single","run":["x"]}}]"#, expected.join(",")));
}

#[test]
fn files_that_extend_others() {
    let base = r#"
        name = "base"
        description = "The base"
        [vars]
        a = { type = "string", default = "a", choices = ["a", "b", "c"] }
        where = { type = "path", default = "w" }
        [tools]
        clang = { version = ">=19", optional = true }
        [outputs]
        one = "${one.out}"
        [[stage]]
        name = "one"
        kind = "command"
        run = ["x", "${pipeline.dir}"]
        env = { A = "1", B = "2" }
        [[stage]]
        name = "two"
        kind = "command"
        run = "${a}"
        [[stage]]
        name = "three"
        kind = "command"
        run = "x"
    "#;
    let middle = "extends = \"../base/base.toml\"\n[vars]\na = \"b\"\n";
    let top = r#"
        extends = "mid/middle.toml"
        description = "The top"
        [tools]
        clang = ">=22"
        [outputs]
        two = "${two.out}"
        [[stage]]
        name = "three"
        remove = true
        [[stage]]
        name = "one"
        env = { B = "3", C = "${pipeline.dir}" }
        [[stage]]
        name = "last"
        kind = "command"
        run = "x"
        [[stage]]
        name = "between"
        after = "one"
        kind = "command"
        run = "x"
    "#;
    let files = Files::new(&[("base/base.toml", base), ("mid/middle.toml", middle), ("top.toml", top)]);
    let pipeline = files.load("top.toml");
    let root = files.root();
    assert_eq!((pipeline.name.as_str(), pipeline.description.as_str()), ("base", "The top"));
    let names: Vec<&str> = pipeline.stages.iter().map(|stage| stage.common.name.as_str()).collect();
    assert_eq!(names, ["one", "between", "two", "last"]);
    assert_eq!(pipeline.vars["a"].value, VarValue::String("b".into()));
    assert_eq!(pipeline.vars["where"].value, VarValue::Path(root.join("base/w")));
    assert_eq!(pipeline.tools["clang"].version.as_deref(), Some(">=22"));
    assert!(pipeline.tools["clang"].optional);
    assert_eq!(pipeline.outputs.keys().collect::<Vec<_>>(), ["one", "two"]);
    let one = stage(&pipeline, "one");
    let dir = |text: &Text| match text.pieces[0] {
        Piece::PipelineDir(file) => pipeline.dirs[file].clone(),
        _ => panic!("{text}"),
    };
    assert_eq!(dir(&kind_as::<Command>(one).unwrap().line.words[1]), root.join("base"));
    assert_eq!(dir(&one.common.env["C"]), root);
    assert_eq!((one.common.env["A"].to_string(), one.common.env["B"].to_string()), ("1".into(), "3".into()));
    // The hash is that of all files.
    let hash = pipeline.hash;
    files.write("base/base.toml", format!("{base}\n# a comment\n").as_bytes());
    assert_ne!(files.load("top.toml").hash, hash);
}

#[test]
fn dependencies_and_predecessors() {
    let stage_ =
        |name: &str, more: &str| format!("[[stage]]\nname = \"{name}\"\nkind = \"command\"\nrun = \"x\"\n{more}\n");
    let text = [
        "[vars]\noff = false\n".to_string(),
        stage_("a", "workspace = \"w\""),
        stage_("b", "workspace = \"w\"\nwhen = \"${off}\""),
        stage_(
            "c",
            "workspace = \"w\"\nneeds = [\"a\", \"b\"]\nenv = { X = \"${b.out | a.out}\", Y = \"${a.out | d.out}\" }",
        ),
        stage_("d", "workspace = \"other\""),
        stage_("e", "workspace = \"w\"\nstarts-from = \"any\"\nenv = { X = \"${d.out}\" }"),
    ]
    .concat();
    let pipeline = Files::one(&text).load("p.toml");
    let c = stage(&pipeline, "c");
    assert_eq!(c.predecessor.as_deref(), Some("a"));
    // What is off is no dependency, and no candidate.
    assert_eq!(c.dependencies, [vec!["a"], vec!["a", "d"]]);
    assert_eq!(c.common.env["X"].to_string(), "${a.out}");
    assert_eq!(stage(&pipeline, "e").predecessor, None);
    assert_eq!(stage(&pipeline, "a").predecessor, None);
    let on = Files::one(&text).set("off=true").load("p.toml");
    assert_eq!(stage(&on, "c").predecessor.as_deref(), Some("b"));
    assert_eq!(stage(&on, "c").common.env["X"].to_string(), "${b.out | a.out}");

    let graph = Graph::new(&pipeline).unwrap();
    assert_eq!(graph.order(), ["a", "b", "d", "c", "e"]);
    assert_eq!(graph.dependencies("c"), ["a", "d"]);
    assert_eq!(graph.dependents("d"), ["c", "e"]);
    assert!(graph.dependents("nobody").is_empty());
}

#[test]
fn the_name_is_that_of_the_file_or_its_directory() {
    let text = "[[stage]]\nname = \"s\"\nkind = \"command\"\nrun = \"x\"\n";
    let files = Files::new(&[("quick.toml", text), ("deep/pipeline.toml", text)]);
    assert_eq!(files.load("quick.toml").name, "quick");
    assert_eq!(files.load("deep/pipeline.toml").name, "deep");
}

/// What stands for a name in the environment is the same for a run and for a script, and stands for one variable only.
#[test]
fn variables_of_the_environment() {
    let text = command("\"c++\" = \"default\"", "run = \"echo ${c++}\"");
    let files = Files::one(&text).env("OPTBUILD_VAR_C__", "clang++");
    assert_eq!(words(stage(&files.load("p.toml"), "s")), ["echo", "clang++"]);
    for other in ["a_b", "A-b", "a+b"] {
        let errors = Files::one(&command(&format!("a-b = 1\n\"{other}\" = 2"), "run = \"x\"")).errors("p.toml");
        let message = format!("`a-b` and `{other}` would both be set by OPTBUILD_VAR_A_B");
        assert!(errors.contains(&message) && errors.contains("give one of them a name"), "{errors}");
    }
}
