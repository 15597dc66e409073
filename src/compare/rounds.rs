//! The runs that are timed: both sides of every workload in turns, A B, B A, A B, …, so that whatever slowly changes on the
//! machine (clocks, temperature, other programs) falls on both.
//!
//! Unaware of what the numbers mean.

use anyhow::{Result, bail};

use super::budget::Clock;
use super::probe::{Ended, Order, Reading};
use super::request::{Request, Workload};
use super::result::Metric;
use super::statistics::{LEAST_RUNS, uncertainty};
use super::warm_up::{First, made};
use crate::text;

/// A run that takes so many times as long as the first one did hangs, whatever else the machine does.
const HANGS: f64 = 10.0;

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
    firsts: &[First],
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
    first: &First,
    side: usize,
    count: bool,
    clock: &Clock,
) -> Result<Option<Reading>> {
    let (invocation, build) = match side {
        0 => (&workload.base, &request.base),
        _ => (&workload.candidate, &request.candidate),
    };
    let dir = made(&request.settings.scratch, "run")?;
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
