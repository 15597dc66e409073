//! Many tests find a change by chance: the level of each is corrected by Holm's method, over all tests of one metric.
//!
//! Of M tests, the smallest p-value is multiplied by M, the next one by M - 1, and so on; none becomes smaller than the one before it. So the
//! chance that *any* change of a metric is none stays below the level. (Sture Holm, "A simple sequentially rejective multiple test procedure",
//! 1979.) Counts of a simulated processor are no tests and stay as they are. Unaware of where the numbers come from.

use super::result::{Correction, CorrectionMethod, Measured, Metric, Variant, Verdict};
use super::statistics::{LEAST_RUNS, SIGNIFICANT, least_runs};

/// p-values as Holm adjusts them, in the same order.
pub fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let count = p_values.len();
    let mut by_size: Vec<usize> = (0..count).collect();
    by_size.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let (mut adjusted, mut before) = (vec![1.0; count], 0.0_f64);
    for (rank, index) in by_size.into_iter().enumerate() {
        before = before.max(p_values[index] * (count - rank) as f64).min(1.0);
        adjusted[index] = before;
    }
    adjusted
}

/// Corrects the verdicts of all sides but the base. None: with one side there is nothing to correct.
pub fn correct(variants: &mut [Variant]) -> Option<Correction> {
    if variants.iter().filter(|variant| variant.missing.is_none()).count() < 2 {
        return None;
    }
    let mut tests = 0;
    for metric in Metric::all() {
        let workloads = variants.iter_mut().flat_map(|variant| &mut variant.workloads);
        let measured = workloads.flat_map(|workload| &mut workload.metrics);
        let mut tested: Vec<&mut Measured> =
            measured.filter(|measured| measured.metric == metric && measured.p_value.is_some()).collect();
        tests = tests.max(tested.len());
        let p_values: Vec<f64> = tested.iter().filter_map(|measured| measured.p_value).collect();
        let least = least_runs(tested.len());
        for (measured, adjusted) in tested.iter_mut().zip(adjusted(&p_values)) {
            measured.adjusted_p_value = Some(adjusted);
            let significant = adjusted < SIGNIFICANT;
            measured.verdict = match measured.verdict {
                Verdict::Better | Verdict::Worse if significant => measured.verdict,
                // So few could not have shown a change.
                _ if measured.base.runs.min(measured.candidate.runs) < least => Verdict::Unknown,
                _ => Verdict::NoChange,
            };
        }
    }
    let least_runs = least_runs(tests).max(LEAST_RUNS);
    Some(Correction { method: CorrectionMethod::Holm, level: SIGNIFICANT, tests, least_runs })
}
