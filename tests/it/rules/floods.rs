//! A step that floods its log: it is told while it does so, it can be limited, and what is known of it is counted.

use crate::support::kill::{self, pipelines};
use crate::support::{Test, stage};

const LINE: &str = "BOLT-ERROR: failed to decompress section .debug_info";

/// Writes 20 MB of one text, and does not end by itself.
fn flood(separator: &str) -> String {
    format!("yes '{LINE}' | tr -d '{separator}' | head -c 20000000\nsleep 3000")
}

#[test]
fn a_limit_ends_a_step_with_the_line_as_the_reason() {
    // With line ends, and without.
    for separator in ["\\r", "\\n"] {
        let test = Test::new([stage("a", "max-log = '8 MiB'", &flood(separator))]);
        let said = format!("wrote more than 8.0 MiB to its log (`max-log`), one line over and over: {LINE}");
        let _ = test.run("").code(1).err(&said);
    }
}

/// Whenever it is looked: a command that has ended by then wrote too much as well.
#[test]
fn a_limit_holds_for_a_step_that_ends_at_once() {
    let test = Test::new([stage("a", "max-log = '1 KiB'", "seq 300; exit 0")]);
    let _ = test.run("").code(1).err("a failed: wrote more than 1.0 KiB to its log (`max-log`)").err("| 300");
    test.change("1 KiB", "2 KiB");
    test.run("").runs("a");
}

#[test]
fn a_line_that_repeats_is_told_while_it_does() {
    let script = format!("until [ -e {{GO}} ]; do yes '{LINE}' | head -c 200000; done");
    let test = Test::new([String::new()]);
    let go = test.aside.join("gate-go");
    test.pipeline([stage("a", "", &script.replace("{GO}", go.as_str()))]);
    let run = test.start("");
    run.wait_for("a").wait_for_event(&["\"event\":\"warning\"", "writes one line over and over", LINE]);
    test.open("go");
    let _ = run.end().ok().err("a: warning: run writes one line over and over").err(LINE);
}

/// What the profile runtime writes is counted, and told in one line.
#[test]
fn what_the_profile_runtime_says_by_the_thousand() {
    let said = "LLVM Profile Error: Runtime and instrumentation version mismatch : expected 10, but get 9";
    let script = format!("${{program.loop}} 10\nyes '{said}' | head -n 70000 >&2\n");
    let workloads = [("w1", "", script.as_str()), ("w2", "", script.as_str())];
    let text = format!("name = \"told\"\n\n{}{}", pipelines::program(), pipelines::gather("", &workloads));
    let project = kill::Project::new(&text);
    let ended = project.succeed(&["run"]);
    let told = "warning: gather: `Runtime and instrumentation version mismatch`, 140,000 times in the log of w1, w2: the program has";
    assert_eq!(ended.output.matches(told).count(), 1, "{}", ended.output);
    // In the report of the run as well.
    let report = project.succeed(&["report", "--format", "json"]);
    assert!(report.output.contains("140,000 times"), "{}", report.output);
}
