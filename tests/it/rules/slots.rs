//! The budget of a run: slots, memory, and stages that want to be alone. Seen by when the stages' commands ran.

use crate::support::{Test, stage};

/// Stages that do not depend on each other, each with keys of its own, that run for a while.
fn spans(keys: &[&str], words: &str, seconds: &str) -> Vec<crate::support::Span> {
    let stages =
        keys.iter().enumerate().map(|(at, keys)| stage(&format!("s{at}"), keys, &format!("span s{at} {seconds}")));
    let test = Test::new(stages);
    let ran = test.run(words).ok();
    assert_eq!(ran.marks.len(), keys.len());
    let spans = test.spans();
    assert_eq!(spans.len(), keys.len());
    spans
}

/// That stages with such keys run at once: each waits for the others.
fn run_at_once(keys: &[&str], words: &str) {
    let meet = |at: usize| format!("meet s{at} {}", keys.len());
    let stages = keys.iter().enumerate().map(|(at, keys)| stage(&format!("s{at}"), keys, &meet(at)));
    let ran = Test::new(stages).run(words).ok();
    assert_eq!(ran.marks.len(), keys.len());
}

/// Whether no two of them did.
fn in_turn(spans: &[crate::support::Span]) -> bool {
    spans.iter().all(|span| spans.iter().all(|other| span == other || !span.overlaps(other)))
}

#[test]
fn independent_stages_run_at_once_within_the_slots() {
    run_at_once(&["jobs = 1", "jobs = 1"], "-j 2");
    run_at_once(&["jobs = 1", "jobs = 2"], "-j 3");
}

#[test]
fn a_stage_starts_when_its_slots_are_free() {
    assert!(in_turn(&spans(&["jobs = 2", "jobs = 2"], "-j 3", "0.1")));
    assert!(in_turn(&spans(&["jobs = 1", "jobs = 1"], "-j 1", "0.1")));
}

#[test]
fn a_stage_takes_all_slots_where_it_does_not_say() {
    assert!(in_turn(&spans(&["", "jobs = 1"], "-j 8", "0.1")));
}

#[test]
fn a_stage_that_wants_more_slots_than_there_are_takes_all() {
    assert!(in_turn(&spans(&["jobs = 99", "jobs = 1"], "-j 2", "0.1")));
}

#[test]
fn a_stage_starts_when_its_memory_is_free() {
    // No machine has that much; alone it may start.
    let large = "jobs = 1\nmemory = '1000 TiB'";
    assert!(in_turn(&spans(&[large, large], "-j 2", "0.1")));
    run_at_once(&["jobs = 1\nmemory = '1 MiB'", "jobs = 1\nmemory = '1 MiB'"], "-j 2");
}

#[test]
fn beside_an_exclusive_stage_nothing_else_runs() {
    assert!(in_turn(&spans(&["jobs = 1\nexclusive = true", "jobs = 1"], "-j 4", "0.1")));
    assert!(in_turn(&spans(&["jobs = 1", "jobs = 1\nexclusive = true"], "-j 4", "0.1")));
}

#[test]
fn jobs_is_the_number_of_slots_that_the_stage_has() {
    let test = Test::new([
        stage("a", "jobs = 2", "mark ${jobs}"),
        stage("b", "", "mark ${jobs}"),
        stage("c", "jobs = 9", "mark ${jobs}"),
    ]);
    let _ = test.run("-j 3").ok().ran("a 2 b 3 c 3");
    // By default as many as the cores that this process may use.
    let cores = std::thread::available_parallelism().unwrap().to_string();
    let _ = test.run("--only b").ok().ran(&format!("b {cores}"));
}

#[test]
fn a_stage_waits_for_those_that_it_depends_on_however_many_slots_are_free() {
    let test = Test::new([stage("a", "jobs = 1", "span a 0.2"), stage("b", "jobs = 1\nneeds = ['a']", "span b 0.1")]);
    let _ = test.run("-j 8").ok();
    assert!(in_turn(&test.spans()));
}
