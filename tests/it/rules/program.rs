//! What the program promises to those who call it: exit codes, what it prints where, one run at a time.

use crate::support::{Test, stage};

fn one(script: &str) -> Test {
    Test::new([stage("a", "", script)])
}

#[test]
fn exit_code_0_done() {
    one("").run("").runs("a");
}

#[test]
fn exit_code_1_a_stage_failed() {
    let _ = one("exit 7").run("").code(1).err("exited with status 7").err("optbuild resume");
}

#[test]
fn exit_code_2_bad_usage_or_pipeline_file() {
    for words in ["run", "run p.toml --no-such-flag", "run p.toml -j 0", "nonsense", "run nowhere.toml", "run nowhere"]
    {
        let _ = one("").cmd(words).code(2).silent().ran("");
    }
    let _ = one("").run("--set no-such=1").code(2).ran("");
    let _ = one("").cmd("explain a").code(2).err("nothing was run");
    for words in ["explain no-such", "logs no-such", "artifacts no-such", "clean no-such"] {
        let test = one("");
        test.run("").runs("a");
        let _ = test.cmd(words).code(2).err("no-such").silent();
    }
}

#[test]
fn exit_code_3_a_tool_is_missing() {
    let test = Test::new(["[tools]\nno-such-tool = '*'\n".to_owned(), stage("x", "", ""), tool_user()]);
    let _ = test.run("").code(3).err("no-such-tool").err("doctor").silent().ran("");
    // A stage that is not selected needs no tools.
    test.run("--until x").runs("x");
}

fn tool_user() -> String {
    "[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['no-such-tool']\n".into()
}

#[test]
fn exit_code_3_a_disk_or_a_permission_is_missing() {
    // Nobody can make directories there.
    let _ = one("").run("--state-dir /proc/1/state").code(3).silent().ran("");
    let test = one("");
    test.write("taken", "");
    let _ = test.run("--state-dir taken").code(3).silent().ran("");
    test.write("foreign/file", "");
    let _ = test.run("--state-dir foreign").code(3).err("is not a state directory").ran("");
}

#[test]
fn exit_code_3_a_command_that_cannot_be_started() {
    let test = Test::new(["[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['./no-such-program']\n"]);
    let _ = test.run("").code(3).err("no-such-program");
}

#[test]
fn exit_code_130_interrupted() {
    for signal in [rustix::process::Signal::INT, rustix::process::Signal::TERM, rustix::process::Signal::HUP] {
        let test = one("gate go");
        let run = test.start("");
        run.wait_for("a").signal(signal);
        let _ = run.end().code(130).err("interrupted").ran("a");
    }
}

#[test]
fn exit_codes_are_in_the_help() {
    let help = one("").cmd("--help").ok();
    for line in
        ["0  done", "1  a stage failed", "2  bad usage", "3  a tool, a disk or a permission", "130  interrupted"]
    {
        assert!(help.stdout.contains(line), "{}", help.stdout);
    }
}

#[test]
fn a_bad_pipeline_file_is_a_sentence_and_exit_code_2() {
    let test = one("");
    std::fs::write(test.path("latin1.toml"), b"name = '\xe9'\n").unwrap();
    std::fs::create_dir(test.path("directory.toml")).unwrap();
    test.write("empty.toml", "");
    test.write("comments.toml", "# nothing\n\n");
    test.write("stageless.toml", "name = 'x'\n");
    test.write("broken.toml", "[[stage]\n");
    test.write("binary.toml", "\u{0}\u{1}\u{2}");
    std::os::unix::fs::symlink("loop.toml", test.path("loop.toml")).unwrap();
    for (file, says) in [
        ("latin1.toml", "not UTF-8"),
        ("directory.toml", "is a directory"),
        ("empty.toml", "is empty"),
        ("comments.toml", "has nothing but comments"),
        ("stageless.toml", "has no stages"),
        ("broken.toml", "not valid TOML"),
        ("binary.toml", "not valid TOML"),
        ("loop.toml", "loop.toml"),
        ("absent.toml", "absent.toml"),
        // The kernel refuses to read it from its beginning, whoever asks.
        ("/proc/self/mem", "cannot be read"),
    ] {
        for command in ["run", "plan", "show", "status"] {
            let state = if file.starts_with('/') { " --state-dir state" } else { "" };
            let said = test.cmd(&format!("{command} {file}{state}")).code(2).err(says).no_err("panicked").silent();
            assert!(said.stderr.starts_with("error: ") && !said.stderr.starts_with("error: error"), "{}", said.stderr);
        }
    }
}

#[test]
fn an_error_of_the_file_has_line_column_source_and_the_nearest_name_and_all_are_told_at_once() {
    let test = Test::new([
        "[[stage]]\nname = 'library'\nkind = 'comand'\nrun = 'x'\n\n[[stage]]\nname = 'b'\nkind = 'command'\nrun = '${libary.out}'\nnedds = []\n",
    ]);
    let said = test.run("").code(2);
    for text in [
        "p.toml:3:8",
        "kind = 'comand'",
        "`command`",
        "p.toml:9:8",
        "${libary.out}",
        "`library`",
        "p.toml:10:1",
        "`needs`",
    ] {
        assert!(said.stderr.contains(text), "no `{text}` in\n{}", said.stderr);
    }
}

#[test]
fn a_run_prints_nothing_on_standard_output() {
    let test = one("echo from the stage; echo and more >&2");
    let _ = test.run("").ok().silent().no_err("from the stage");
    let _ = test.run("").ok().silent();
    let _ = test.run("--force -v").ok().silent();
    let _ = test.run("--force -q").ok().silent();
    let _ = one("false").run("").code(1).silent();
}

#[test]
fn quiet_says_failures_only() {
    let said = one("").run("-q").ok();
    assert!(said.stderr.lines().count() <= 1, "{}", said.stderr);
    let _ = one("echo why; false").run("-q").code(1).err("why").err("a: failed");
}

#[test]
fn json_prints_one_event_in_each_line_and_nothing_else() {
    let test = one("echo from the stage");
    let events = |words: &str| -> Vec<serde_json::Value> {
        let ran = test.run(words).ok();
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let names = |events: &[serde_json::Value]| -> Vec<String> {
        events.iter().map(|event| event["event"].as_str().unwrap().to_owned()).collect()
    };
    let first = events("--json");
    assert_eq!(
        names(&first),
        [
            "run-started",
            "stage-started",
            "step-started",
            "process-started",
            "step-finished",
            "stage-finished",
            "run-finished"
        ]
    );
    assert!(first.iter().all(|event| event["time"].is_string()));
    assert_eq!(names(&events("--json")), ["run-started", "stage-up-to-date", "run-finished"]);
}

#[test]
fn a_dry_run_prints_the_plan_and_changes_nothing() {
    let test = one("echo 1 > ${self.out}/x");
    let said = test.run("--dry-run").ok().out("a (command): will run").out("mark a").ran("");
    assert!(!test.exists(".optbuild"));
    assert_eq!(said.stdout, test.cmd("plan p.toml").stdout);
    test.run("").runs("a");
    let _ = test.run("--dry-run --from a").ok().out("will run: it was asked for").ran("");
    let _ = test.run("--dry-run").ok().out("a (command): up to date").ran("");
}

#[test]
fn of_two_runs_on_one_state_directory_the_second_says_who_holds_it_and_exits() {
    let test = one("gate go");
    let run = test.start("");
    run.wait_for("a");
    let pid = run.pid();
    let said = test.run("--force").code(3).err("another optbuild works in").err("optbuild run p.toml").ran("");
    assert!(said.stderr.contains(&format!("process {pid}")), "{}", said.stderr);
    for words in ["resume", "clean", "gc"] {
        let _ = test.cmd(words).code(3).err("another optbuild");
    }
    // Looking is allowed.
    for words in ["status", "plan p.toml", "explain a", "artifacts", "logs a", "show p.toml"] {
        let _ = test.cmd(words).ok();
    }
    // As is a run with another one.
    test.open("go");
    test.run("--state-dir other").runs("a");
    let _ = run.end().ok();
    let _ = test.run("").ok();
}

#[test]
fn after_a_kill_the_state_directory_is_free() {
    let test = one("gate go");
    let run = test.start("");
    run.wait_for("a").kill();
    let _ = run.end();
    test.open("go");
    test.run("").runs("a");
}
