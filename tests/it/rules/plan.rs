//! What a plan says, without running anything.

use crate::support::{Test, stage};

fn chain() -> Test {
    Test::new([
        "[outputs]\nx = '${b.out}/x'\n".to_owned(),
        stage("a", "inputs = ['${pipeline.dir}/src']\nenv = { LEVEL = 'high' }", "cat ${pipeline.dir}/src > ${self.out}/x; echo $LEVEL >> ${self.out}/x"),
        "[[stage]]\nname = 'b'\nkind = 'command'\nrun = ['cp', '${a.out}/x', '${self.out}/x']\ncheck = ['test -s ${self.out}/x']\n".to_owned(),
    ])
    .file("src", "1\n")
}

#[test]
fn a_plan_shows_every_step_with_its_command_environment_and_directory() {
    let said = chain().cmd("plan p.toml").ok().ran("");
    for text in ["a (command)", "LEVEL=high", "mark a", "b (command)", "cp <a.out>/x", "test -s"] {
        assert!(said.stdout.contains(text), "no `{text}` in\n{}", said.stdout);
    }
}

#[test]
fn a_plan_has_three_answers() {
    let test = chain();
    let _ =
        test.cmd("plan p.toml").ok().out("a (command): will run: it has not run yet").out("b (command): depends on a");
    test.run("").runs("a");
    let _ = test.cmd("plan p.toml").ok().out("a (command): up to date").out("b (command): up to date");
    test.write("src", "2\n");
    let _ = test
        .cmd("plan p.toml")
        .ok()
        .out("a (command): will run: pipeline.dir/src changed")
        .out("b (command): depends on a");
    let _ = test.cmd("status").ok().out("depends on a");
}

#[test]
fn a_plan_changes_nothing() {
    let test = chain();
    for words in ["plan p.toml", "plan p.toml --shell", "plan p.toml --dot", "plan p.toml --mermaid", "show p.toml"] {
        let _ = test.cmd(words).ok().ran("");
    }
    let mut names: Vec<_> = test.files_below(".").iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["p.toml", "src"]);
}

#[test]
fn a_plan_takes_the_flags_of_a_run() {
    let test = chain();
    test.run("").runs("a");
    let _ = test
        .cmd("plan p.toml --from b")
        .ok()
        .out("a (command): up to date")
        .out("b (command): will run: it was asked for");
    let _ = test.cmd("plan p.toml --from no-such").code(2);
    test.write("src", "2\n");
    let _ = test.cmd("plan p.toml --from b").ok().err("`optbuild run` would not begin").err("stage `a` is out of date");
}

#[test]
fn the_shell_script_makes_the_same() {
    let test = chain();
    let script = test.cmd("plan p.toml --shell").ok().stdout.replace("[DIR]", test.dir.as_str());
    test.write("script", &script);
    test.program("mark", "true");
    test.sh(&format!("PATH={}:$PATH; mkdir empty; cd empty; bash -s -- OUT < ../script", test.aside.join("bin")));
    test.run("").runs("");
    let made = test.read("out/p/x");
    assert_eq!(made, "1\nhigh\n");
    let same = test.files_below("empty/OUT").iter().any(|file| std::fs::read_to_string(file).unwrap() == made);
    assert!(same, "{:?}", test.files_below("empty/OUT"));
}

/// What comes after what it is written up to is not in it; what begins in the middle cannot be written.
#[test]
fn the_shell_script_up_to_a_stage() {
    let test = Test::new([stage("a", "", ""), stage("b", "needs = ['a']", ""), stage("c", "needs = ['b']", "")]);
    let script = test.cmd("plan p.toml --shell --until b").ok().stdout.replace("[DIR]", test.dir.as_str());
    test.write("script", &script);
    test.sh(&format!("PATH={}:$PATH; bash -s -- OUT < script", test.aside.join("bin")));
    assert_eq!(test.marked(), ["a", "b"]);
    for words in ["--from b", "--only b", "--skip b", "--force", "--until b --accept-stale"] {
        let _ = test.cmd(&format!("plan p.toml --shell {words}")).code(2).err("of what selects stages, only `--until`");
    }
    for form in ["--dot --until b", "--mermaid --only b"] {
        let _ = test.cmd(&format!("plan p.toml {form}")).code(2).err("draw all stages");
    }
    let _ = test.cmd("plan p.toml --record-facts facts").ok();
    let shown = test.cmd("plan p.toml --facts facts --until b").ok().out("b (command)").stdout;
    assert!(!shown.contains("c (command)"), "{shown}");
    let _ = test.cmd("plan p.toml --facts facts --from b").code(2).err("says nothing of what was built");
}

#[test]
fn the_shell_script_stops_at_the_first_error() {
    let test = Test::new([stage("a", "", "false"), stage("b", "needs = ['a']", "")]);
    let script = test.cmd("plan p.toml --shell").ok().stdout.replace("[DIR]", test.dir.as_str());
    test.write("script", &script);
    test.sh(&format!("PATH={}:$PATH; if bash -s -- OUT < script; then exit 1; fi", test.aside.join("bin")));
    assert_eq!(test.marked(), ["a"]);
}

#[test]
fn a_missing_tool_is_a_gap_in_a_plan_and_an_error_in_a_run() {
    let test = Test::new([
        "[tools]\nno-such-tool = '*'\n[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['no-such-tool', 'x']\n",
    ]);
    let _ = test.cmd("plan p.toml").ok().out("missing: ").out("no-such-tool x");
    let _ = test.cmd("plan p.toml --shell").ok();
    let _ = test.run("").code(3).err("no-such-tool");
    test.program("no-such-tool", "[ $1 = --version ] || mark found");
    test.run("").runs("found");
}

/// A mistyped directory must not be made: what is run in it would find nothing of what it works on.
#[test]
fn a_working_directory_that_is_missing_is_not_made() {
    let stages = |var: &str| {
        [
            format!("[vars]\ndir = {{ type = 'path', {var} }}\n"),
            "[[stage]]\nname = 'a'\nkind = 'command'\nrun = 'sh -c \"mark a; mkdir $0/d\" ${self.out}'\ncwd = '${dir}/x'\n".into(),
            // Those of optbuild's own are made; those of another stage's are not.
            "[[stage]]\nname = 'b'\nkind = 'command'\nrun = 'mark b'\ncwd = '${self.build}/sub/dir'\n".into(),
            "[[stage]]\nname = 'c'\nkind = 'command'\nrun = 'mark c'\ncwd = '${a.out}/d'\n".into(),
        ]
    };
    let test = Test::new(stages("default = 'data'"));
    for command in ["run p.toml", "doctor p.toml"] {
        let ran = test.cmd(command).code(3);
        let text = ran.stdout + &ran.stderr;
        assert!(text.contains("the directory [DIR]/data/x, in which commands are to run, does not exist"), "{text}");
        assert!(text.contains("`cwd`, or the variable that it comes from"), "{text}");
    }
    assert!(!test.exists("data") && test.marked().is_empty());
    let _ = test.cmd("plan p.toml").ok().out("missing: the directory [DIR]/data/x");
    test.sh("mkdir -p data/x");
    test.run("").runs("a b c");

    // It goes after the plan was made.
    let gone =
        Test::new(["[vars]\ndir = { type = 'path', default = 'data' }\n".to_owned()].into_iter().chain([
            stage("a", "cwd = '${pipeline.dir}'", "rmdir data"),
            stage("b", "cwd = '${dir}'\nneeds = ['a']", ""),
        ]));
    gone.sh("mkdir data");
    let _ = gone.run("").code(3).err("the working directory [DIR]/data does not exist");
    assert!(!gone.exists("data"));
}

#[test]
fn a_plan_is_made_with_the_facts_of_another_machine() {
    let test =
        Test::new(["[tools]\nmytool = '*'\n[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['mytool', '${host}']\n"]);
    test.program("mytool", "mark ran");
    let _ = test.cmd("plan p.toml --record-facts facts.json").ok();
    let facts = test.read("facts.json");
    let host = serde_json::from_str::<serde_json::Value>(&facts).unwrap()["host"].as_str().unwrap().to_owned();
    std::fs::remove_file(test.aside.join("bin/mytool")).unwrap();
    let _ = test.cmd("plan p.toml").ok().out("missing: ");
    test.write("facts.json", &facts.replace(&host, "riscv64gc-unknown-linux-gnu"));
    let _ = test.cmd("plan p.toml --facts facts.json").ok().out("riscv64gc-unknown-linux-gnu").no_out("missing: ");
}

#[test]
fn the_graph_is_written_for_graphviz_and_mermaid() {
    let _ = chain().cmd("plan p.toml --dot").ok().out("digraph").out("\"a\" -> \"b\"");
    let _ = chain().cmd("plan p.toml --mermaid").ok().out("flowchart");
    let _ = chain().cmd("plan p.toml --mermaid --dot").code(2);
}

#[test]
fn status_tells_the_same_as_a_run_would_do() {
    let test = chain();
    let states = |test: &Test| -> Vec<String> {
        let json = test.cmd("status p.toml --json").ok().json();
        json["stages"].as_array().unwrap().iter().map(|stage| stage["state"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(states(&test), ["will-run", "depends-on"]);
    test.run("").runs("a");
    assert_eq!(states(&test), ["up-to-date", "up-to-date"]);
    test.change("kind = 'command'\nrun = ['cp'", "when = false\nkind = 'command'\nrun = ['cp'");
    test.change("[outputs]\nx = '${b.out}/x'", "");
    assert_eq!(states(&test), ["up-to-date", "off"]);
}

#[test]
fn an_operation_is_a_step_like_any_other() {
    let test = Test::new([stage("a", "outputs = { x = '${self.build}/x' }", "echo 1 > x")]);
    let events = test.run("--json").ok().stdout;
    let steps: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "step-started")
        .map(|event| event["step"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(steps, ["run", "capture-x"]);
}
