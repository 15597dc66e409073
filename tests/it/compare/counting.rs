//! Counting instructions within a budget, with a clock that only counting moves.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8PathBuf;
use optbuild::compare::Clock;
use optbuild::compare::counting::{Count, Counted, Counting, Effort, Job, LEAST, Outcome, Pace, measured, summary};
use optbuild::compare::probe::Ended;
use optbuild::compare::request::{Invocation, Workload};
use optbuild::compare::result::{Identity, Verdict};
use optbuild::compare::rounds::FirstRun;
use optbuild::compare::statistics::sample;

/// The runs of a workload that are counted: each side, and then again.
const RUNS: [&str; 4] = ["base", "candidate", "base-again", "candidate-again"];

/// A clock that only counting moves, and a valgrind that takes as long as its pace says.
struct Machine {
    time: Arc<Mutex<f64>>,
    clock: Clock,
    pace: Pace,
    /// What was counted, as `WORKLOAD:RUN`.
    counted: RefCell<Vec<String>>,
    firsts: Vec<FirstRun>,
    workloads: Vec<Workload>,
}

impl Machine {
    /// Workloads that work for so many seconds by themselves, on both sides.
    fn new(budget: f64, pace: Pace, work: &[f64]) -> Machine {
        let time = Arc::new(Mutex::new(0.0));
        let now = Arc::clone(&time);
        let invocation = Invocation { argv: Vec::new(), env: BTreeMap::new(), cwd: Utf8PathBuf::new() };
        let workload = |index: usize| Workload {
            background: None,
            name: format!("w{index}"),
            command: String::new(),
            sides: vec![invocation.clone(); 2],
        };
        let first = |work: &f64| FirstRun {
            output: Identity::Same,
            ended: Ended::Code(0),
            wall: vec![*work; 2],
            work: vec![*work; 2],
        };
        Machine {
            clock: Clock::new(budget, move || *now.lock().unwrap()),
            time,
            pace,
            counted: RefCell::default(),
            firsts: work.iter().map(first).collect(),
            workloads: (0..work.len()).map(workload).collect(),
        }
    }

    /// One count in its time.
    fn count(&self, job: Job, limit: Duration) -> Outcome {
        self.counted.borrow_mut().push(format!("w{}:{}", job.workload, RUNS[2 * job.time + job.side]));
        let takes = self.pace.start + self.pace.slowdown * self.firsts[job.workload].work[job.side];
        let took = takes.min(limit.as_secs_f64());
        let ended = if took < takes { Ended::TooLate } else { Ended::Code(0) };
        Outcome { count: Ok(Count { instructions: 1e9, ended }), took }
    }

    /// What was announced after the first counts, what the rest took, what was said, and what came of it.
    fn run(&self, jobs: usize) -> (f64, f64, Vec<String>, Vec<Counted>) {
        let mut at_once = |jobs: &[Job], limit: Duration| {
            let outcomes: Vec<Outcome> = jobs.iter().map(|job| self.count(*job, limit)).collect();
            *self.time.lock().unwrap() += outcomes.iter().map(|outcome| outcome.took).fold(0.0, f64::max);
            outcomes
        };
        let mut said = Vec::new();
        let mut say = |line: &str| said.push(line.to_owned());
        let mut counting = Counting::new(&self.workloads, &self.firsts, &self.clock, jobs, &mut at_once);
        let announced = counting.begin(&mut say);
        let before = self.clock.used();
        let counted = counting.finish(&mut say);
        (announced, self.clock.used() - before, said, counted)
    }
}

fn left_out(counted: &[Counted]) -> Vec<&str> {
    counted.iter().filter_map(|counted| counted.left_out.as_deref()).collect()
}

fn close(number: f64, expected: f64) {
    assert!((number - expected).abs() < 1e-6, "{number} instead of {expected}");
}

/// A compiler with large libraries: half a minute before its first instruction, then 40 times as long. Two counts at once.
#[test]
fn the_first_count_tells_what_starting_takes() {
    let machine = Machine::new(1000.0, Pace { start: 30.0, slowdown: 40.0 }, &[2.0, 0.1, 0.2]);
    let (announced, took, said, counted) = machine.run(2);
    // The shortest takes 30 + 40 · 0.1 = 34 s, of which 50 · 0.1 are taken for its work: 29 to start. Once more the shortest, and
    // twice each of the others: 34 + 2 · (29 + 10) + 2 · (29 + 100).
    close(announced, 34.0 + 78.0 + 258.0);
    // 34 + 2 · (30 + 8) + 2 · (30 + 80).
    close(took, 34.0 + 76.0 + 220.0);
    assert!(
        said[0].starts_with("counting instructions of `w1`, to see how long it takes: at most 5 m 50 s"),
        "{said:?}"
    );
    assert_eq!(said[1], "counting instructions of 3 workloads, about 6 m 10 s");
    assert_eq!(said[2], "counting took 5 m 30 s");
    assert!(counted.iter().all(|counted| counted.samples.len() == 2), "{counted:?}");
}

/// Of 300 s of a budget, 210 may go into counting. The shortest and the second fit, 68 + 78; the third would take 258 more.
#[test]
fn what_does_not_fit_is_left_out_before_it_is_begun() {
    let machine = Machine::new(300.0, Pace { start: 30.0, slowdown: 40.0 }, &[2.0, 0.1, 0.2]);
    let (_, _, _, counted) = machine.run(2);
    assert_eq!(left_out(&counted), ["instructions of `w0`: counting takes about 4 m 18 s"]);
    assert!(machine.counted.borrow().iter().all(|run| !run.starts_with("w0")), "{:?}", machine.counted);
    close(machine.clock.used(), 2.0 * 34.0 + 2.0 * 38.0);
    assert!(counted[1].samples.len() == 2 && counted[2].samples.len() == 2);
}

/// 100 times as long, which one workload cannot tell from a long start. The second one does, and what the third takes is known.
#[test]
fn workloads_of_different_lengths_tell_the_slowdown() {
    let seen = |work: f64| (Effort { work, waiting: 0.0 }, 1.0 + 100.0 * work);
    let pace = Pace::learn(&[seen(1.0), seen(1.0), seen(4.0)]);
    close(pace.start, 1.0);
    close(pace.slowdown, 100.0);
    // 70 % of 1500 are 1050: 202 and 2 · 401 are 1004, so that nothing is left for the 2 · 801 of the third.
    let machine = Machine::new(1500.0, Pace { start: 1.0, slowdown: 100.0 }, &[1.0, 4.0, 8.0]);
    let (_, _, said, counted) = machine.run(2);
    assert_eq!(left_out(&counted).len(), 1);
    close(machine.clock.used(), 202.0 + 802.0);
    // By 51 s to start and 50 times: the other count of the first, and twice the second, 101 + 502. The third takes 902.
    assert_eq!(said[1], "counting instructions of 2 workloads, about 10 m 03 s");
}

#[test]
fn waiting_is_not_simulated_and_a_fast_count_has_no_start() {
    let first = FirstRun { output: Identity::Same, ended: Ended::Code(0), wall: vec![10.0, 2.0], work: vec![1.0, 1.0] };
    let waits = Effort::of(&first, 0);
    assert_eq!(waits, Effort { work: 3.0, waiting: 7.0 });
    assert_eq!(Effort::of(&first, 1), Effort { work: 2.0, waiting: 0.0 });
    // 7 s of 67 are the waiting's; 60 for 3 s are 20 times.
    assert_eq!(Pace::learn(&[(waits, 67.0)]), Pace { start: 0.0, slowdown: 20.0 });
    assert_eq!(Pace::learn(&[]), LEAST);
}

/// 70 % of 100 s, in two waves: the first count may take 35 s, and takes 60. Nothing else is tried.
#[test]
fn a_first_count_that_takes_too_long_ends_counting() {
    let machine = Machine::new(100.0, Pace { start: 50.0, slowdown: 50.0 }, &[0.2, 0.3]);
    let (announced, took, _, counted) = machine.run(2);
    assert_eq!((announced, took), (0.0, 0.0));
    close(machine.clock.used(), 35.0);
    let says = [
        "instructions of `w0`: the first of 4 counts was not over after 35.0 s",
        "instructions of `w1`: counting takes longer than that of `w0`",
    ];
    assert_eq!(left_out(&counted), says);
    assert_eq!(*machine.counted.borrow(), ["w0:base", "w0:candidate"]);
}

/// 7 s of 10 for counting; at the least, 10 times 1 s and 0.2 s to start, twice.
#[test]
fn what_cannot_fit_is_not_tried() {
    let machine = Machine::new(10.0, Pace { start: 1.0, slowdown: 50.0 }, &[1.0]);
    let (_, _, said, counted) = machine.run(2);
    assert_eq!(left_out(&counted), ["instructions of `w0`: counting takes at least 20.4 s"]);
    assert!(machine.counted.borrow().is_empty() && said.is_empty(), "{said:?}");
}

#[test]
fn runs_are_made_at_once_as_far_as_there_are_processors() {
    let pace = Pace { start: 1.0, slowdown: 50.0 };
    // Each count takes 51 s: four after each other, two times two, or all four; of eight, two workloads at once after the first.
    for (jobs, takes) in [(1, 12.0), (2, 6.0), (3, 6.0), (4, 3.0), (7, 3.0), (8, 2.0), (64, 2.0)] {
        let machine = Machine::new(1e4, pace, &[1.0; 3]);
        let (_, _, _, counted) = machine.run(jobs);
        close(machine.clock.used(), takes * 51.0);
        assert_eq!(machine.counted.borrow().len(), 12, "{jobs}");
        assert!(counted.iter().all(|counted| counted.samples.len() == 2));
    }
}

#[test]
fn a_change_is_larger_than_what_two_equal_runs_show() {
    let verdict = |base: &[f64], candidate: &[f64]| measured(sample(base), sample(candidate)).verdict;
    assert_eq!(verdict(&[1e9, 1e9], &[0.9e9, 0.9e9]), Verdict::Better);
    assert_eq!(verdict(&[1e9, 1e9], &[1.001e9, 1.001e9]), Verdict::Worse);
    assert_eq!(verdict(&[1e9, 1e9], &[1.0001e9, 1.0001e9]), Verdict::NoChange);
    // Two runs that differ by 2 %: 7 % is within what may be chance, 9 % is not.
    assert_eq!(verdict(&[0.99e9, 1.01e9], &[0.93e9, 0.93e9]), Verdict::NoChange);
    assert_eq!(verdict(&[0.99e9, 1.01e9], &[0.91e9, 0.91e9]), Verdict::Better);
    // The same where it is the candidate that does not always do the same.
    assert_eq!(verdict(&[1e9, 1e9], &[1.06e9, 1.08e9]), Verdict::NoChange);
    assert_eq!(verdict(&[1e9, 1e9], &[1.08e9, 1.10e9]), Verdict::Worse);
    assert_eq!(verdict(&[0.0, 0.0], &[1.0, 1.0]), Verdict::Unknown);
}

#[test]
fn the_summary_of_a_process() {
    // What cachegrind of valgrind 3.19 writes, without most of its lines.
    let text = "desc: I1 cache:         n/a\ncmd: /bin/true\nevents: Ir\nfl=???\nfn=???\n0 12\nsummary: 140953\n";
    assert_eq!(summary(text), Some(140_953.0));
    assert_eq!(summary("events: Ir\n"), None);
}
