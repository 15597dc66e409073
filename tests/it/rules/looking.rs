//! Subcommands that look at what a run left, and `clean`.

use crate::support::{OPTBUILD, Test, stage};

fn one(script: &str) -> Test {
    Test::new([stage("a", "", script)])
}

#[test]
fn explain_names_the_part_that_differs() {
    let keys = "inputs = ['${pipeline.dir}/src']\nenv = { X = '1' }\npass-env = ['CFLAGS']";
    let test =
        Test::new([stage("p", "", "echo 1 > ${self.out}/x"), stage("a", keys, "cat ${p.out}/x")]).file("src", "1");
    test.run("").runs("p a");
    let _ = test.cmd("explain a").ok().out("a: up to date");
    test.write("src", "2");
    let _ = test.cmd("explain a").ok().out("sources differ").out("pipeline.dir/src").no_out("configuration differs");
    test.change("'1' }", "'2' }");
    let _ = test.cmd("explain a").ok().out("the configuration differs").out("declaration.env");
    test.run("").runs("a");
    let test = test.env("CFLAGS", "-O2");
    let _ = test.cmd("explain a").ok().out("env.CFLAGS").no_out("declaration.env");
    test.run("").runs("a");
    test.change("echo 1 >", "echo 2 >");
    let _ = test.cmd("explain a").ok().out("depends on p");
    test.run("--only p").runs("p");
    let _ = test.cmd("explain a").ok().out("input.p.out");
    let _ = test.cmd("explain b").code(2).err("has no stage `b`");
}

#[test]
fn logs_prints_what_a_stage_printed_in_its_last_run() {
    let test = Test::new([
        stage("a", "check = ['echo checked']", "echo printed; echo said >&2"),
        stage("b", "", "echo other"),
    ]);
    test.run("").runs("a b");
    test.run("").runs("");
    let _ = test.cmd("logs a").ok().out("printed\nsaid\n").out("checked").no_out("other");
    let _ = test.cmd("logs a check-1").ok().out("checked").no_out("printed");
    let _ = test.cmd("logs a no-such-step").code(2).err("no-such-step");
    let _ = test.cmd("logs c").code(2).err("has not run here");
}

#[test]
fn logs_follows_a_stage_to_its_end() {
    let test = one("echo begin; gate go; echo end");
    let run = test.start("");
    run.wait_for("a");
    let follow = std::process::Command::new(OPTBUILD)
        .args(["logs", "a", "--follow"])
        .current_dir(&test.dir)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    test.open("go");
    let printed = String::from_utf8(follow.wait_with_output().unwrap().stdout).unwrap();
    assert!(printed.contains("begin\nend\n"), "{printed}");
    let _ = run.end().ok();
}

#[test]
fn clean_removes_build_directories_and_keeps_what_is_done() {
    let test =
        Test::new([stage("a", "", "echo 1 > ${self.out}/x; touch ${self.build}/y"), stage("b", "", "cat ${a.out}/x")]);
    test.run("").runs("a b");
    let _ = test.cmd("clean a").ok().silent();
    assert!(!test.exists(".optbuild/stages/a") && test.exists(".optbuild/stages/b"));
    let _ = test.cmd("clean").ok();
    assert!(!test.exists(".optbuild/stages/b"));
    test.run("").runs("");
    let _ = test.cmd("clean no-such").code(2);
}

#[test]
fn what_prints_something_prints_it_on_standard_output() {
    let test = one("");
    test.run("").runs("a");
    for (words, text) in [
        ("list", "demo"),
        ("show p.toml", "a"),
        ("status", "up to date"),
        ("schema", "\"$schema\""),
        ("completions bash", "complete"),
        ("man", ".TH"),
        ("doctor", "llvm-bolt"),
        ("--version", "optbuild"),
    ] {
        let said = test.cmd(words);
        assert!(said.stdout.contains(text), "{words}: {}\n{}", said.stdout, said.stderr);
    }
    let schema: serde_json::Value = test.cmd("schema").ok().json();
    assert!(schema["properties"]["stage"].is_object());
}

/// What has to be set, one learns by looking.
#[test]
fn every_shipped_pipeline_can_be_looked_at_without_its_variables() {
    let test = Test::new([""]);
    let listed = test.cmd("list").ok().stdout;
    let shipped = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).unwrap().map(Result::unwrap);
    let mut looked = 0;
    for name in shipped.filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".toml")?.to_owned())) {
        assert!(listed.contains(&name), "{name} in {listed}");
        let shown = test.cmd(&format!("show {name}")).ok().stdout;
        assert!(shown.contains(&name), "{shown}");
        looked += 1;
    }
    assert!(looked >= 11, "{looked}");
    assert!(test.cmd("show linux-x86_64-system-llvm").ok().stdout.contains("llvm-config"));
}
