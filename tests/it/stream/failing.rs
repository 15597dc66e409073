//! A workload that fails says why in its own words, and its own command is the one to repeat.

use crate::support::kill::Project;
use crate::support::kill::gather::gather_on;
use crate::support::kill::pipelines;

fn failed(script: &str) -> String {
    let project: Project = gather_on(&pipelines::program(), "", &[("work", "", script)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    ended.output
}

/// What stands behind a line, up to the next empty one.
#[track_caller]
fn block<'o>(output: &'o str, title: &str) -> &'o str {
    let from = output.find(title).unwrap_or_else(|| panic!("no {title} in {output}"));
    output[from..].split("\n\n").next().unwrap()
}

/// The error is on standard error, and hundreds of lines follow on standard output.
#[test]
fn its_last_lines_of_standard_error_are_shown() {
    // The log has it when the other lines come.
    let wait = "until grep -q corpus \"$OPTBUILD_RUN\"/logs/gather/*work.log; do sleep 0.02; done";
    let output = failed(&format!("${{program.loop}} 5\necho 'no such corpus' >&2\n{wait}\nseq 1000\nexit 4\n"));
    assert!(output.contains("exited with status 4"), "{output}");
    let shown = block(&output, "  The last ");
    assert!(shown.contains("(standard error alone)") && shown.contains("no such corpus"), "{shown}");
    assert!(!shown.contains("1000"), "{shown}");
}

/// A typo in front of a pipe: the shell goes on, and nothing was trained.
#[test]
fn its_command_is_to_be_repeated_where_nothing_was_written() {
    let output = failed("lop_of_the_typo 5 | cat\n");
    let repeat = block(&output, "  To repeat the command:");
    assert!(repeat.contains("lop_of_the_typo") && !repeat.contains("stream-merge"), "{repeat}");
    let shown = block(&output, "  The last ");
    assert!(shown.contains("lop_of_the_typo: not found") && shown.contains("work.log"), "{shown}");
}

/// All of its output is in one log, whatever it wrote where.
#[test]
fn its_log_has_both() {
    let project =
        gather_on(&pipelines::program(), "", &[("work", "", "${program.loop} 5\necho out\nprintf err >&2\n")]);
    let _ = project.succeed(&["run"]);
    let log = project.finish(&["logs", "gather", "work"]).output;
    assert!(log.contains("out\n") && log.contains("err"), "{log}");
    let logs = walkdir::WalkDir::new(project.state().join("runs")).into_iter().map(Result::unwrap);
    assert_eq!(logs.filter(|entry| entry.path().extension().is_some_and(|end| end == "stderr")).count(), 0);
}
