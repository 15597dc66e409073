//! First runs, rounds and the counters of the processor, each by itself.

use std::fs;
use std::process::Command;

use camino::Utf8Path;
use optbuild::compare::probe::{Counters, counter};
use optbuild::compare::result::Metric;
use optbuild::compare::rounds::{Processors, first_difference};
use optbuild::proc::used_by_children;
use perf_event::events::Software;

fn difference(base: &str, candidate: &str) -> Option<(usize, String, String)> {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    fs::write(dir.join("a"), base).unwrap();
    fs::write(dir.join("b"), candidate).unwrap();
    let line = first_difference(&dir.join("a"), &dir.join("b")).unwrap();
    line.map(|line| (line.number, line.base, line.candidate))
}

#[test]
fn the_first_line_that_differs() {
    assert_eq!(difference("", ""), None);
    assert_eq!(difference("one\ntwo\n", "one\ntwo\n"), None);
    assert_eq!(difference("one\ntwo\n", "one\ntoo\n"), Some((2, "two".into(), "too".into())));
    assert_eq!(difference("one\n", "one\ntwo\n"), Some((2, "(no such line)".into(), "two".into())));
    assert_eq!(difference("one", "on"), Some((1, "one".into(), "on (and no more)".into())));
}

#[test]
fn others_and_the_host() {
    let before = Processors::parse("cpu  1000 0 500 8000 100 0 0 10 0 0\ncpu0 1 1 1\n");
    assert_eq!(before, Processors { busy: 15.0, idle: 81.0, stolen: 0.1 });
    // 10 seconds later: 12 s of work, of which 10 are ours, and 0.5 s stolen of 20.
    let after = Processors::parse("cpu  2000 0 700 8750 100 0 0 60 0 0\n");
    let said = before.until(after, 10.0, 10.0);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("0.2 processors") && said[1].contains("2 %"), "{said:?}");
    assert!(before.until(Processors { busy: 25.5, ..after }, 10.0, 10.0).len() == 1);
    assert_eq!(Processors::parse(""), Processors::default());
}

/// With a clock of the kernel's, because few machines that run tests have counters of instructions. What a child of a child
/// did is in it, and nothing from before a program was executed.
#[test]
fn a_whole_tree_is_counted_from_its_exec() {
    let Ok(counter) = counter(Software::TASK_CLOCK) else {
        return eprintln!("perf_event_open is not allowed here, even for clocks: nothing was tested");
    };
    let mut counters = Counters { open: vec![(Metric::Cycles, counter)] };
    std::hint::black_box((0..10_000_000).map(std::hint::black_box).sum::<u64>());
    let before = counters.open[0].1.read().unwrap();
    assert_eq!(before, 0, "this process itself is not counted");
    let busy = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
    let status = Command::new("sh").args(["-c", &format!("({busy}) & wait; true")]).status().unwrap();
    assert!(status.success());
    let least = used_by_children().unwrap().user;
    let counted = counters.read().unwrap()[&Metric::Cycles] / 1e9;
    // The clock also runs in the kernel; other tests of this process may have children as well.
    assert!(counted > 0.02 && counted < 20.0 * (least + 0.1), "{counted} of {least}");
}
