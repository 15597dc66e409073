//! Counts instructions of every workload twice a side, which says whether each always does the same: a program whose threads race may
//! do so on one side alone.
//!
//! A count does not depend on what else the machine does, so several run at once. Unaware of times.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8Path;

use super::budget::Clock;
use super::request::{Invocation, Request};
use super::result::{Measured, Metric, Sample, Verdict};
use super::statistics::{change, sample};
use super::valgrind::{self, Count};
use super::warm_up::{First, made};
use crate::text;

/// Counting may take so much of what is left of the budget.
const SHARE: f64 = 0.7;

/// A change smaller than this is none, even of a program that always does the same: what the loader does depends on the length
/// of paths and on the environment.
const LEAST_CHANGE: f64 = 0.0005;
/// Nor is one that is smaller than so many times the difference between two runs of the same program.
const TIMES: f64 = 4.0;

/// The runs of a workload that are counted.
const RUNS: [&str; 4] = ["base", "candidate", "base-again", "candidate-again"];

/// What was counted of a workload.
#[derive(Debug, Default)]
pub struct Counted {
    pub measured: Option<Measured>,
    /// Why not, or what a reader should know.
    pub left_out: Option<String>,
    pub note: Option<String>,
}

/// One count that is to be made: the workload's number, and the side with its repetition.
struct Job<'a> {
    workload: usize,
    invocation: &'a Invocation,
    name: &'static str,
}

/// The time that counting a workload is expected to take.
///
/// On a machine with other work, that is more than the processor's time; a program that waits does not wait longer, though.
pub fn expected(first: &First, jobs: usize) -> f64 {
    let side = |side: usize| first.wall[side].clamp(first.work[side], 3.0 * first.work[side]);
    let all = RUNS.len() as f64 * valgrind::START + 2.0 * (side(0) + side(1)) * valgrind::SLOWDOWN;
    all / jobs.clamp(1, RUNS.len()) as f64
}

/// Counts the workloads for which there is time, the short ones first.
pub fn count(
    request: &Request,
    firsts: &[First],
    valgrind: &Utf8Path,
    clock: &Clock,
    say: &mut dyn FnMut(&str),
) -> Vec<Counted> {
    let jobs = request.settings.jobs.max(1);
    let mut counted: Vec<Counted> = firsts.iter().map(|_| Counted::default()).collect();
    let mut shortest: Vec<usize> = (0..firsts.len()).collect();
    shortest.sort_by(|a, b| expected(&firsts[*a], jobs).total_cmp(&expected(&firsts[*b], jobs)));
    let allowed = clock.left() * SHARE;
    let (mut planned, mut queue) = (0.0, VecDeque::new());
    for index in shortest {
        let (workload, time) = (&request.workloads[index], expected(&firsts[index], jobs));
        if planned + time > allowed {
            let time = text::duration(time);
            counted[index].left_out = Some(format!("instructions of `{}`: counting takes about {time}", workload.name));
            continue;
        }
        planned += time;
        let runs = RUNS.into_iter().zip([&workload.base, &workload.candidate, &workload.base, &workload.candidate]);
        queue.extend(runs.map(|(name, invocation)| Job { workload: index, invocation, name }));
    }
    if queue.is_empty() {
        return counted;
    }
    let what = text::plural(queue.len() / RUNS.len(), "workload");
    say(&format!("counting instructions of {what}, about {}", text::duration(planned)));
    let results = run(request, valgrind, clock, clock.used() + allowed, jobs, queue);
    for (index, counted) in counted.iter_mut().enumerate() {
        let of = |name| results.iter().find(|(workload, run, _)| (*workload, *run) == (index, name)).map(|r| &r.2);
        let [Some(base), Some(candidate), Some(again), Some(candidate_again)] = RUNS.map(of) else { continue };
        let name = &request.workloads[index].name;
        *counted = judge(name, &firsts[index], [base, again], [candidate, candidate_again]);
    }
    counted
}

type Outcome = (usize, &'static str, Result<Count, String>);

/// Makes the counts in order, until the clock shows `end`: the times need theirs.
fn run(
    request: &Request,
    valgrind: &Utf8Path,
    clock: &Clock,
    end: f64,
    jobs: usize,
    queue: VecDeque<Job>,
) -> Vec<Outcome> {
    let settings = &request.settings;
    let queue = Mutex::new(queue);
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                loop {
                    let Some(job) = queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else { return };
                    let left = end - clock.used();
                    let limit = Duration::try_from_secs_f64(left).unwrap_or(Duration::ZERO);
                    let dir = made(&settings.scratch, &format!("count-{}-{}", job.workload, job.name));
                    let count = match limit.is_zero() {
                        true => Err("no time was left to count them".into()),
                        false => dir
                            .and_then(|dir| valgrind::count(valgrind, job.invocation, &dir, limit, &settings.optbuild))
                            .map_err(|error| format!("{error:#}")),
                    };
                    let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
                    results.push((job.workload, job.name, count));
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

type Counting = Result<Count, String>;

fn judge(name: &str, first: &First, base: [&Counting; 2], candidate: [&Counting; 2]) -> Counted {
    let mut counts = Vec::new();
    for count in base.into_iter().chain(candidate) {
        match count {
            Ok(count) if count.ended == first.ended => counts.push(count.instructions),
            Ok(count) => {
                let how = count.ended.describe();
                return left_out(format!("instructions of `{name}`: under valgrind it {how}"));
            }
            Err(error) => return left_out(format!("instructions of `{name}`: {error}")),
        }
    }
    let (base, candidate) = counts.split_at(2);
    let measured = measured(sample(base), sample(candidate));
    let wobble = spread(&measured.base).max(spread(&measured.candidate));
    let note = (wobble > LEAST_CHANGE).then(|| {
        format!("instructions of `{name}` differ by {:.2} % between two runs of the same program", wobble * 100.0)
    });
    Counted { measured: Some(measured), left_out: None, note }
}

fn left_out(why: String) -> Counted {
    Counted { left_out: Some(why), ..Counted::default() }
}

/// By how much two runs of a side differ.
fn spread(side: &Sample) -> f64 {
    match side.values[..] {
        [first, second] => (first - second).abs() / side.median.max(1.0),
        _ => 0.0,
    }
}

/// The change that two runs a side cannot tell from chance; 0 where all did the same.
pub(super) fn doubt(base: &Sample, candidate: &Sample) -> f64 {
    TIMES * spread(base).max(spread(candidate))
}

/// Two runs make no distribution: the difference of the sides is held against that between two runs of one.
fn measured(base: Sample, candidate: Sample) -> Measured {
    let change = change(base.median, candidate.median);
    let least = LEAST_CHANGE.max(doubt(&base, &candidate));
    let verdict = match change {
        None => Verdict::Unknown,
        Some(change) if change.abs() < least => Verdict::NoChange,
        Some(change) if change < 0.0 => Verdict::Better,
        Some(_) => Verdict::Worse,
    };
    Measured { metric: Metric::Instructions, base, candidate, change, p_value: None, verdict }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
