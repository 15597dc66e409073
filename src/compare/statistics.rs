//! What a set of values says: medians with their intervals, and whether two sets differ.
//!
//! Nothing is assumed of how times are distributed: they never are as a textbook wants them. Pure functions.

use statrs::distribution::{Binomial, DiscreteCDF};
use statrs::statistics::{Data, Median};
use statrs::stats_tests::Alternative;
use statrs::stats_tests::mannwhitneyu::{MannWhitneyUMethod, mannwhitneyu};

use super::result::{Sample, Verdict};

/// The chance that is taken that an interval does not hold the true median.
const OUTSIDE: f64 = 0.05;

/// A difference that two equal builds would show less often than this is called a change. There are several metrics of several
/// workloads in a table: with the usual 5 %, every table would have one by chance.
pub const SIGNIFICANT: f64 = 0.01;

/// With fewer runs a side there is no interval of a median, and hardly a difference that is significant.
pub const LEAST_RUNS: usize = 6;

/// The runs of one side.
pub fn sample(values: &[f64]) -> Sample {
    Sample { runs: values.len(), median: median(values), interval: interval(values), values: values.to_vec() }
}

/// 0 without values.
pub fn median(values: &[f64]) -> f64 {
    let median = Data::new(values.to_vec()).median();
    if median.is_finite() { median } else { 0.0 }
}

/// The values between which the true median lies, from the order of the values alone: how many of them lie below the true
/// median has a binomial distribution.
pub fn interval(values: &[f64]) -> Option<[f64; 2]> {
    let count = values.len();
    let below = Binomial::new(0.5, count as u64).ok()?;
    let rank = (0..count / 2).take_while(|rank| below.cdf(*rank as u64) <= OUTSIDE / 2.0).count();
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some([*sorted.get(rank.checked_sub(1)?)?, *sorted.get(count - rank)?])
}

/// Half the width of the median's interval, relative to the median. None with too few values, or a median of 0.
pub fn uncertainty(values: &[f64]) -> Option<f64> {
    let [low, high] = interval(values)?;
    let median = median(values);
    (median > 0.0).then(|| (high - low) / 2.0 / median)
}

/// How probable it is that two equal builds differ like this (Mann-Whitney U test, two-sided).
pub fn p_value(base: &[f64], candidate: &[f64]) -> Option<f64> {
    if base.is_empty() || candidate.is_empty() {
        return None;
    }
    // All the same: the test divides by the spread of the ranks.
    if base.iter().chain(candidate).all(|value| value == &base[0]) {
        return Some(1.0);
    }
    // The exact method of statrs 0.19 gives the complement where the first set is not the larger one. The approximation is the
    // more careful one for small sets: 0.005 instead of 0.002 for two of six that do not overlap.
    let method = MannWhitneyUMethod::AsymptoticInclContinuityCorrection;
    let test = mannwhitneyu(base, candidate, method, Alternative::TwoSided);
    test.ok().map(|(_, p)| p).filter(|p| p.is_finite())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranks from the usual table of confidence intervals for the median (n, lower rank, upper rank at 95 %).
    #[test]
    fn intervals_are_those_of_the_table() {
        for (count, low, high) in [(6, 1, 6), (8, 1, 8), (9, 2, 8), (15, 4, 12), (25, 8, 18), (50, 18, 33)] {
            let values: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            assert_eq!(interval(&values), Some([f64::from(low), f64::from(high)]), "{count}");
        }
        assert_eq!(interval(&[1.0, 2.0, 3.0, 4.0, 5.0]), None);
        assert_eq!(interval(&[]), None);
    }

    /// By the formula of the normal approximation with continuity correction, for sets of six that do not overlap: U = 36, its
    /// mean 18, its deviation sqrt(6 · 6 · 13 / 12) = 6.245, so z = 17.5 / 6.245 = 2.8022, of which the table of the normal
    /// distribution says 0.00508 for both sides.
    #[test]
    fn significance() {
        let base = [10.0, 10.1, 10.2, 10.3, 10.4, 10.5];
        let less: Vec<f64> = base.iter().map(|value| value - 1.0).collect();
        let p = p_value(&base, &less).unwrap();
        assert!((p - 0.00508).abs() < 2e-5, "{p}");
        assert_eq!(p_value(&less, &base), Some(p));
        // The same values on both sides: U is its mean, and nothing is less remarkable.
        assert!(p_value(&base, &base).unwrap() > 0.9);
        assert_eq!(verdict(&base, &less), Verdict::Better);
        assert_eq!(verdict(&less, &base), Verdict::Worse);
        assert_eq!(verdict(&base, &base), Verdict::NoChange);
        assert_eq!(verdict(&base[..5], &less), Verdict::Unknown);
        assert_eq!(p_value(&[1.0; 6], &[1.0; 6]), Some(1.0));
    }

    #[test]
    fn medians_and_changes() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(change(200.0, 150.0), Some(-0.25));
        assert_eq!(change(0.0, 1.0), None);
        // Six values from 9 to 11 with a median of 10: half of 2, relative to 10.
        assert_eq!(uncertainty(&[9.0, 9.5, 10.0, 10.0, 10.5, 11.0]), Some(0.1));
    }
}
