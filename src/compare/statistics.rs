//! What a set of values says: medians with their intervals, and whether two sets differ.
//!
//! Nothing is assumed of how times are distributed: they never are as a textbook wants them. Pure functions.

use std::f64::consts::{LN_2, PI, SQRT_2};

use super::result::{Measured, Sample, Verdict};

/// The chance that is taken that an interval does not hold the true median.
const OUTSIDE: f64 = 0.05;

/// A difference that two equal builds would show less often than this is called a change. There are several metrics of several
/// workloads in a table: with the usual 5 %, every table would have one by chance.
pub const SIGNIFICANT: f64 = 0.01;

/// With fewer runs a side there is no interval of a median, and hardly a difference that is significant.
pub const LEAST_RUNS: usize = 6;

/// No number of tests asks for more.
const MOST_RUNS: usize = 100;

/// A change of counts that is smaller than so many times the difference between two runs of the same program is none.
const TIMES: f64 = 4.0;

/// The runs of one side.
pub fn sample(values: &[f64]) -> Sample {
    Sample { runs: values.len(), median: median(values), interval: interval(values), values: values.to_vec() }
}

/// 0 without values.
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    match (sorted.len(), sorted.len() / 2) {
        (0, _) => 0.0,
        (count, middle) if count % 2 == 1 => sorted[middle],
        (_, middle) => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The values between which the true median lies, from the order of the values alone: how many of them lie below the true
/// median has a binomial distribution.
pub fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let count = values.len();
    // The chance that exactly `rank` values lie below, as a logarithm, and that at most so many do.
    let (mut chance, mut at_most) = (-(count as f64) * LN_2, 0.0);
    let mut low = None;
    for rank in 0..count / 2 {
        at_most += chance.exp();
        if at_most > OUTSIDE / 2.0 {
            break;
        }
        low = Some(rank);
        chance += ((count - rank) as f64 / (rank + 1) as f64).ln();
    }
    let (sorted, low) = (sorted(values), low?);
    Some([sorted[low], sorted[count - 1 - low]])
}

/// Half the width of the median's interval, relative to the median. None with too few values, or a median of 0.
pub fn uncertainty(values: &[f64]) -> Option<f64> {
    let [low, high] = interval(values)?;
    let median = median(values);
    (median > 0.0).then(|| (high - low) / 2.0 / median)
}

/// How probable it is that two equal builds differ like this: Mann-Whitney U test, two-sided, with the normal approximation, ties
/// and continuity correction. For small sets it is more careful than the exact test: 0.005 instead of 0.002 for two of six that
/// do not overlap.
pub fn p_value(base: &[f64], candidate: &[f64]) -> Option<f64> {
    let (first, second) = (base.len() as f64, candidate.len() as f64);
    if base.is_empty() || candidate.is_empty() {
        return None;
    }
    let all = sorted(&[base, candidate].concat());
    let count = all.len() as f64;
    // Equal values share the mean of their ranks.
    let (mut ranks, mut before, mut ties) = (0.0, 0.0, 0.0);
    for equal in all.chunk_by(|a, b| a == b) {
        let length = equal.len() as f64;
        let of_base = base.iter().filter(|value| **value == equal[0]).count() as f64;
        ranks += of_base * (before + (length + 1.0) / 2.0);
        before += length;
        ties += length.powi(3) - length;
    }
    let u = ranks - first * (first + 1.0) / 2.0;
    let mean = first * second / 2.0;
    let variance = first * second / 12.0 * (count + 1.0 - ties / (count * (count - 1.0)));
    // All the same: the ranks have no spread.
    if variance <= 0.0 {
        return Some(1.0);
    }
    let z = (((u - mean).abs() - 0.5) / variance.sqrt()).max(0.0);
    Some(complementary_error(z / SQRT_2))
}

/// erfc of a number that is not negative: the chance that a value of a normal distribution is farther than `x` times √2
/// deviations from its mean. Near 0 by the series of erf, beyond by the continued fraction of Laplace.
pub fn complementary_error(x: f64) -> f64 {
    let bell = (-x * x).exp() / PI.sqrt();
    if x < 2.0 {
        let (mut term, mut sum) = (x, x);
        for odd in (3..120).step_by(2) {
            term *= 2.0 * x * x / f64::from(odd);
            sum += term;
        }
        return 1.0 - 2.0 * bell * sum;
    }
    bell / (1..=120).rev().fold(x, |rest, number| x + f64::from(number) / 2.0 / rest)
}

/// So few runs a side can show a change where there are so many tests: if no run of one side overlaps with one of the other.
pub fn least_runs(tests: usize) -> usize {
    let level = SIGNIFICANT / tests.max(1) as f64;
    let shows = |runs: &usize| {
        let below: Vec<f64> = (0..*runs).map(|value| value as f64).collect();
        let above: Vec<f64> = below.iter().map(|value| value + *runs as f64).collect();
        p_value(&below, &above).is_some_and(|p| p < level)
    };
    (LEAST_RUNS..MOST_RUNS).find(shows).unwrap_or(MOST_RUNS)
}

/// How much more there is of something; none of nothing.
pub fn change(base: f64, candidate: f64) -> Option<f64> {
    (base > 0.0).then(|| (candidate - base) / base)
}

/// What runs of both sides say.
pub fn verdict(base: &[f64], candidate: &[f64]) -> Verdict {
    if base.len() < LEAST_RUNS || candidate.len() < LEAST_RUNS {
        return Verdict::Unknown;
    }
    let significant = p_value(base, candidate).is_some_and(|p| p < SIGNIFICANT);
    match median(candidate).total_cmp(&median(base)) {
        std::cmp::Ordering::Less if significant => Verdict::Better,
        std::cmp::Ordering::Greater if significant => Verdict::Worse,
        _ => Verdict::NoChange,
    }
}

/// By how much two runs of a side differ.
pub fn spread(side: &Sample) -> f64 {
    match side.values[..] {
        [first, second] => (first - second).abs() / side.median.max(1.0),
        _ => 0.0,
    }
}

/// The change that two runs a side cannot tell from chance; 0 where all did the same.
pub fn doubt(base: &Sample, candidate: &Sample) -> f64 {
    TIMES * spread(base).max(spread(candidate))
}

/// Half the width of a change's 95 % interval, relative to the base: a change must be larger to be found. Of counts without such an interval
/// it is what two runs a side leave open.
pub fn half_width(measured: &Measured) -> f64 {
    let half = |side: &Sample| Some((side.interval?[1] - side.interval?[0]) / 2.0 / side.median.max(f64::MIN_POSITIVE));
    match (half(&measured.base), half(&measured.candidate)) {
        (Some(base), Some(candidate)) => base.hypot(candidate),
        _ => doubt(&measured.base, &measured.candidate),
    }
}
