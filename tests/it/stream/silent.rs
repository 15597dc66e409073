//! Processes that end without writing their profile are told of; those that write are not. Real programs.

use crate::support::kill::gather::{fact, gather_on, has_steps, notes};
use crate::support::kill::{Project, pipelines};

/// Waits until the list of processes has a line with all of this in it.
const FUNCTIONS: &str = "list=$(dirname \"$LLVM_PROFILE_FILE\")/../processes.jsonl\n\
                         seen() { until grep \"$1\" \"$list\" | grep -q \"$2\"; do sleep 0.02; done; }\n";

/// The program with further ways to end: it waits to be killed; it ends in order at SIGTERM; it takes no SIGTERM; a child does the work.
fn program() -> String {
    pipelines::program()
        .replace(
            "#include <unistd.h>\n",
            "#include <unistd.h>\n#include <signal.h>\n#include <sys/wait.h>\nstatic void leave(int s) { exit(0); }\n",
        )
        .replace(
            "  if (!strcmp(then, \"fail\")) return 3;\n",
            "  if (!strcmp(then, \"wait\")) for (;;) pause();\n\
             \u{20} if (!strcmp(then, \"serve\")) { signal(SIGTERM, leave); fclose(fopen(\"serves\", \"w\")); for (;;) pause(); }\n\
             \u{20} if (!strcmp(then, \"stubborn\")) { signal(SIGTERM, SIG_IGN); fclose(fopen(\"stubborn\", \"w\")); for (;;) pause(); }\n\
             \u{20} if (!strcmp(then, \"fork\")) {\n    if (!fork()) { step(1); while (access(\"go\", 0)) usleep(10000); _exit(0); }\n\
             \u{20}   wait(0);\n  }\n  if (!strcmp(then, \"fail\")) return 3;\n",
        )
}

fn project(keys: &str, name: &str, script: &str) -> Project {
    gather_on(&program(), keys, &[(name, "", &format!("{FUNCTIONS}{script}"))])
}

/// What the summary warns of.
#[track_caller]
fn warns(project: &Project, output: &str, parts: &[&str], without: f64) {
    let line = output.lines().find(|line| line.contains("warning: ") && line.contains("wrote no profile"));
    let line = line.unwrap_or_else(|| panic!("no warning in {output}"));
    for part in parts {
        assert!(line.contains(part), "no `{part}` in {line}");
    }
    let workload = parts[0].trim_end_matches(": ");
    assert_eq!(fact(project, &format!("{workload}-stream-merge"), "processes/without-profile"), Some(without));
}

#[test]
fn a_server_that_is_killed() {
    let script = "${program.loop} 5 wait > /dev/null & p=$!\nseen '\"process\"' \"\\\"id\\\":.$p,\"\nkill -9 $p\nwait $p || :\n${program.loop} 7\n";
    let project = project("", "server", script);
    let ended = project.succeed(&["run"]);
    has_steps(&project, 7);
    let parts = [
        "server: ",
        "1 process of instrumented programs",
        "loop (ended by `_exit`, `exec` or a signal)",
        "`exit` is called",
    ];
    warns(&project, &ended.output, &parts, 1.0);
    // It is in the record, and so it is said as long as the profile is used.
    assert!(project.finish(&["status"]).output.contains("wrote no profile"));
    let committed = project.state().join("stages/gather/committed/server");
    assert!(!committed.join("processes.jsonl").exists(), "the list is gone when it has been read");
}

#[test]
fn a_child_that_does_the_work_and_exits_without_order() {
    let script = "${program.loop} 5 fork > /dev/null &\nseen '\"forked\":true' process\ntouch go\nwait\n";
    let project = project("", "forks", script);
    let ended = project.succeed(&["run"]);
    // The parent writes what was counted before.
    has_steps(&project, 5);
    warns(
        &project,
        &ended.output,
        &["forks: ", "loop (forked, ended by `_exit`", "`__llvm_profile_write_file()` before `_exit`"],
        1.0,
    );
}

#[test]
fn what_is_left_over_and_takes_no_sigterm() {
    let script = "${program.loop} 5 stubborn > /dev/null & p=$!\nuntil [ -e stubborn ]; do sleep 0.02; done\nseen '\"process\"' \"\\\"id\\\":.$p,\"\n\
                  ${program.loop} 7\n";
    let project = project("grace = \"1s\"", "left", script);
    let ended = project.succeed(&["run"]);
    has_steps(&project, 7);
    let parts = [
        "left: ",
        "loop (left running, and killed because SIGTERM did not end it in time",
        "a longer `grace` in the stage",
    ];
    warns(&project, &ended.output, &parts, 1.0);
    let noted = notes(&project, "left processes running");
    assert!(noted[0].contains("SIGTERM did not end these within 1.0 s, and they were killed: loop"), "{noted:?}");
    // How long that is changes nothing of what is made.
    let project = project.with("grace = \"1s\"", "grace = \"20s\"");
    assert!(project.succeed(&["run"]).output.contains("nothing to do"));
}

#[test]
fn what_is_left_over_and_does_not_handle_sigterm() {
    let script =
        "${program.loop} 5 wait > /dev/null & p=$!\nseen '\"process\"' \"\\\"id\\\":.$p,\"\n${program.loop} 7\n";
    let project = project("", "left", script);
    let ended = project.succeed(&["run"]);
    has_steps(&project, 7);
    warns(&project, &ended.output, &["left: ", "loop (ended by SIGTERM)"], 1.0);
}

/// Nothing is said of a server that ends in order, of programs that are not instrumented, of what an instrumented program starts, and
/// where names have no numbers.
#[test]
fn what_writes_is_not_told_of() {
    let script = "${program.loop} 5 serve > /dev/null &\nuntil [ -e serves ]; do sleep 0.02; done\n\
                  for i in 1 2 3 4 5 6 7 8 9 10; do ${program.loop} 1; sh -c 'sleep 0.05'; done\n";
    let project = project("grace = \"15m\"", "server", script);
    let ended = project.succeed(&["run"]);
    has_steps(&project, 15);
    assert!(!ended.output.contains("warning"), "{}", ended.output);

    let script = "${program.loop} 5 wait > /dev/null & p=$!\nseen '\"process\"' \"\\\"id\\\":.$p,\"\nkill -9 $p\nwait $p || :\n\
                  LLVM_PROFILE_FILE=$(dirname \"$LLVM_PROFILE_FILE\")/name.profraw ${program.loop} 7\n";
    let project = self::project("", "nameless", script);
    let ended = project.succeed(&["run"]);
    assert!(!ended.output.contains("warning"), "who wrote is not known: {}", ended.output);
}

/// Where nothing was written at all, the error says what was seen.
#[test]
fn nothing_written_by_what_was_seen() {
    let script =
        "${program.loop} 5 wait > /dev/null & p=$!\nseen '\"process\"' \"\\\"id\\\":.$p,\"\nkill -9 $p\nwait $p || :\n";
    let project = project("", "server", script);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in ["wrote no raw profile", "1 process of instrumented programs wrote no profile: loop (ended by"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
}
