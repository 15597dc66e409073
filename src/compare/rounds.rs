//! The runs that are timed: both sides of every workload in turns, A B, B A, A B, …, so that whatever slowly changes on the
//! machine (clocks, temperature, other programs) falls on both.
//!
//! Also says what else the machine did meanwhile, from the kernel's own account of its processors. Unaware of what the numbers mean.

use anyhow::{Result, bail};

use super::Clock;
use super::first_run::FirstRun;
use super::probe::{Ended, Order, Reading};
use super::request::{Request, Workload};
use super::result::{self, Metric};
use super::statistics::{LEAST_RUNS, uncertainty};
use crate::fs::disk;
use crate::text;

/// A run that takes so many times as long as the first one did hangs, whatever else the machine does.
const HANGS: f64 = 10.0;

/// Above this share of a processor, others have been at work.
const OTHERS: f64 = 0.1;
/// Above this share of the time, another machine on the same processor has.
const STOLEN: f64 = 0.01;
/// Above this, runs of the same program differ too much: half the width of the median's interval, relative to the median.
const SPREAD: f64 = 0.03;

/// The runs of a workload.
#[derive(Debug, Default)]
pub struct Runs {
    pub base: Vec<Reading>,
    pub candidate: Vec<Reading>,
    done: bool,
}

impl Runs {
    /// A metric over all runs of both sides; none if it was not measured.
    pub fn values(&self, metric: Metric) -> Option<(Vec<f64>, Vec<f64>)> {
        let of =
            |runs: &[Reading]| runs.iter().map(|run| run.metrics.get(&metric).copied()).collect::<Option<Vec<_>>>();
        let (base, candidate) = (of(&self.base)?, of(&self.candidate)?);
        (!base.is_empty() && !candidate.is_empty()).then_some((base, candidate))
    }

    /// Whether the intervals of both sides' times are narrow.
    fn is_narrow(&self, precision: f64) -> bool {
        [Metric::WallTime, Metric::UserTime].into_iter().all(|metric| {
            let Some((base, candidate)) = self.values(metric) else { return false };
            // A program that takes no time in user space needs no precise one.
            [base, candidate].iter().all(|values| uncertainty(values).is_none_or(|half| half <= precision))
        })
    }
}

/// Repeats the workloads until their times are known well enough, or time is up. `left_out` is told of a run that was ended
/// because of that.
///
/// # Errors
/// When a program that worked before fails or hangs.
pub fn run(
    request: &Request,
    firsts: &[FirstRun],
    count: bool,
    clock: &Clock,
    left_out: &mut Vec<String>,
) -> Result<Vec<Runs>> {
    let settings = &request.settings;
    let mut all: Vec<Runs> = firsts.iter().map(|_| Runs::default()).collect();
    for round in 0..settings.rounds {
        for (index, (workload, first)) in request.workloads.iter().zip(firsts).enumerate() {
            let runs = &mut all[index];
            if runs.done {
                continue;
            }
            if first.wall.iter().sum::<f64>() > clock.left() {
                return Ok(all);
            }
            let order = if round % 2 == 0 { [0, 1] } else { [1, 0] };
            let mut pair = [None, None];
            for side in order {
                pair[side] = once(request, workload, first, side, count, clock)?;
                if pair[side].is_none() {
                    left_out.push(format!("`{}`: a run that was not over with the budget", workload.name));
                    return Ok(all);
                }
            }
            let [base, candidate] = pair;
            runs.base.extend(base);
            runs.candidate.extend(candidate);
            runs.done = runs.base.len() >= LEAST_RUNS && runs.is_narrow(settings.precision);
        }
        if all.iter().all(|runs| runs.done) {
            break;
        }
    }
    Ok(all)
}

/// None: it was ended, as the budget was over.
fn once(
    request: &Request,
    workload: &Workload,
    first: &FirstRun,
    side: usize,
    count: bool,
    clock: &Clock,
) -> Result<Option<Reading>> {
    let (invocation, build) = match side {
        0 => (&workload.base, &request.base),
        _ => (&workload.candidate, &request.candidate),
    };
    let dir = request.settings.scratch.join("run");
    disk::make_empty_dir(&dir)?;
    let limit = clock.limit();
    let order = Order { limit: Some(limit), ..Order::new(invocation, &dir, count) };
    let reading = order.run(&request.settings.optbuild)?;
    if reading.ended == Ended::TooLate && limit < HANGS * first.wall[side] {
        return Ok(None);
    }
    if reading.ended == Ended::TooLate {
        bail!(
            "`{}` was ended after {} with {}, as the budget of {} was over; the first time it took {}: it hangs at times",
            workload.name,
            text::duration(limit),
            build.name,
            text::duration(clock.allowed()),
            text::duration(first.wall[side])
        );
    }
    if reading.ended != first.ended {
        bail!(
            "`{}` {} with {}, although it {} before",
            workload.name,
            reading.ended.describe(),
            build.name,
            first.ended.describe()
        );
    }
    Ok(Some(reading))
}

/// The processors' time since the machine was started, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Processors {
    pub busy: f64,
    pub idle: f64,
    pub stolen: f64,
}

impl Processors {
    /// As it is; nothing where the kernel does not say.
    pub fn read() -> Processors {
        Processors::parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second.
    pub fn parse(text: &str) -> Processors {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
        let of = |indexes: &[usize]| indexes.iter().filter_map(|index| ticks.get(*index)).sum::<f64>() / 100.0;
        Processors { busy: of(&[0, 1, 2, 5, 6]), idle: of(&[3, 4]), stolen: of(&[7]) }
    }

    /// Sentences about what happened from here to `after`, in `wall` seconds. The measured programs took `ours` seconds of
    /// processor time.
    pub fn until(self, after: Processors, wall: f64, ours: f64) -> Vec<String> {
        let mut sentences = Vec::new();
        if wall <= 0.0 {
            return sentences;
        }
        let others = (after.busy - self.busy - ours) / wall;
        if others > OTHERS {
            sentences.push(format!("other programs took {others:.1} processors meanwhile"));
        }
        let stolen = after.stolen - self.stolen;
        let all = stolen + (after.busy - self.busy) + (after.idle - self.idle);
        if all > 0.0 && stolen / all > STOLEN {
            let share = stolen / all * 100.0;
            sentences.push(format!("the host took {share:.0} % of the processors' time for other machines"));
        }
        sentences
    }
}

/// Workloads whose runs differ so much among each other that a difference of a few percent cannot be seen.
pub fn spread(workloads: &[result::Workload]) -> Vec<String> {
    let mut sentences = Vec::new();
    for workload in workloads {
        let Some(wall) = workload.metric(Metric::WallTime) else { continue };
        let sides = [&wall.base, &wall.candidate];
        let widest = sides.iter().filter_map(|side| uncertainty(&side.values)).fold(0.0, f64::max);
        if widest > SPREAD {
            sentences.push(format!(
                "wall times of `{}` are uncertain by ±{:.0} % after {} runs a side",
                workload.name,
                widest * 100.0,
                wall.base.runs
            ));
        }
    }
    sentences
}
