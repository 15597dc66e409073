//! What the sampler counts for which tree, and how often it looks.

use std::time::Duration;

use optbuild::names::StepId;
use optbuild::proc::Proc;
use optbuild::run::control::Tree;
use optbuild::run::sampler::{FORGET, Looker, Sum, interval, sums};

fn process(pid: i32, parent: i32, ticks: u64, pages: u64) -> Proc {
    let (group, session, state, threads, start_time, name) = (1, 1, 'S', 1, 7, String::new());
    Proc { pid, parent, group, session, state, threads, start_time, ticks, forked: false, pages, name }
}

fn tree(pid: u32, start_time: u64) -> Tree {
    Tree { stage: "s".into(), step: StepId::step(&pid.to_string()), pid, start_time }
}

#[test]
fn processes_count_for_the_tree_that_they_are_in() {
    let all = [
        // Of children that have ended.
        process(10, 1, 50, 9),
        process(11, 10, 3, 100),
        process(13, 12, 4, 10),
        process(12, 11, 2, 1),
        process(20, 1, 0, 9),
        process(21, 20, 7, 5),
        process(30, 1, 1000, 1000),
    ];
    let (sums, others) = sums(&[tree(10, 7), tree(20, 7), tree(40, 7)], &all);
    assert_eq!(others, [30]);
    assert_eq!(sums[0], Sum { ticks: 59, pages: 111, processes: 3 });
    assert_eq!(sums[1], Sum { ticks: 7, pages: 5, processes: 1 });
    assert_eq!(sums[2], Sum::default());
}

#[test]
fn another_process_with_the_pid_is_not_meant() {
    let (sums, _) = sums(&[tree(10, 8)], &[process(10, 1, 5, 5), process(11, 10, 5, 5)]);
    assert_eq!(sums, [Sum::default()]);
}

#[test]
fn circles_end() {
    let (sums, _) = sums(&[tree(10, 7)], &[process(5, 6, 1, 1), process(6, 5, 1, 1)]);
    assert_eq!(sums, [Sum::default()]);
}

#[test]
fn time_does_not_go_back() {
    let mut looker = Looker::default();
    let mut cpu = |ticks| {
        let read = |pid| Some(if pid == 10 { process(10, 1, ticks, 0) } else { process(11, 10, 0, 1) });
        looker.look(&[tree(10, 7)], || vec![10, 11], read)[0].cpu
    };
    let first = cpu(200);
    assert!(first > 0.0);
    assert_eq!(cpu(100), first);
    assert_eq!(cpu(400), first * 2.0);
}

#[test]
fn processes_of_others_are_read_now_and_then() {
    let reads = std::cell::RefCell::new(Vec::new());
    let mut looker = Looker::default();
    for _ in 0..FORGET {
        let read = |pid| {
            reads.borrow_mut().push(pid);
            Some(process(pid, if pid == 11 { 10 } else { 1 }, 1, 1))
        };
        looker.look(&[tree(10, 7)], || vec![1, 10, 11, 30], read);
    }
    let times = |pid| reads.borrow().iter().filter(|read| **read == pid).count();
    assert_eq!([1, 10, 11, 30].map(times), [2, FORGET, FORGET, 2]);
}

#[test]
fn long_runs_are_looked_at_less_often() {
    let seconds = |age| interval(Duration::from_secs(age)).as_secs();
    assert_eq!([0, 600, 1200, 6000, 100_000].map(seconds), [1, 1, 2, 10, 30]);
}
