//! Metrics over all workloads. Unaware of how they were measured and judged.
//!
//! What is not known is left out. What is not significant is no change here either: of two workloads, one 30 % better and one that varies by 40 % from run to
//! run, the mean is 15 % better.

use super::result::{Metric, Summary, Verdict, Workload};

/// The metrics that were measured, with their changes over all workloads.
pub fn summaries(workloads: &[Workload]) -> Vec<Summary> {
    Metric::ALL.into_iter().filter_map(|metric| summary(workloads, metric)).collect()
}

fn summary(workloads: &[Workload], metric: Metric) -> Option<Summary> {
    let measured: Vec<(&str, f64, Verdict)> = workloads
        .iter()
        .filter_map(|workload| {
            let measured = workload.metric(metric)?;
            Some((workload.name.as_str(), measured.change?, measured.verdict))
        })
        .collect();
    if measured.is_empty() {
        return None;
    }
    let with = |wanted: Verdict| measured.iter().filter(move |(_, _, verdict)| *verdict == wanted);
    let (better, worse) = (with(Verdict::Better).count(), with(Verdict::Worse).count());
    let best = with(Verdict::Better).min_by(|a, b| a.1.total_cmp(&b.1));
    let worst = with(Verdict::Worse).max_by(|a, b| a.1.total_cmp(&b.1));
    let (unchanged, unknown) = (with(Verdict::NoChange).count(), with(Verdict::Unknown).count());
    let known = better + worse + unchanged;
    let significant = with(Verdict::Better).chain(with(Verdict::Worse));
    Some(Summary {
        metric,
        mean: significant.fold(0.0, |sum, (_, change, _)| sum + change) / known.max(1) as f64,
        best: best.map(|(_, change, _)| *change),
        best_workload: best.map(|(name, ..)| (*name).into()),
        worst: worst.map(|(_, change, _)| *change),
        worst_workload: worst.map(|(name, ..)| (*name).into()),
        better,
        worse,
        unchanged,
        unknown,
    })
}

#[cfg(test)]
mod tests {
    use super::super::result::{Identity, Measured};
    use super::super::statistics::sample;
    use super::*;

    fn workload(name: &str, change: f64, verdict: Verdict) -> Workload {
        let (base, candidate) = (sample(&[1.0]), sample(&[1.0 + change]));
        let wall = Measured { metric: Metric::WallTime, base, candidate, change: Some(change), p_value: None, verdict };
        Workload { name: name.into(), command: String::new(), output: Identity::Same, metrics: vec![wall] }
    }

    #[test]
    fn what_is_not_significant_counts_as_no_change() {
        let work = workload("work", -0.296, Verdict::Better);
        let random = workload("random", 0.432, Verdict::NoChange);
        let few = workload("few", -0.9, Verdict::Unknown);
        let all = summaries(&[work.clone(), random.clone()]);
        assert_eq!(all.len(), 1);
        // -29.6 % and 0, of two.
        assert!((all[0].mean + 0.148).abs() < 1e-12, "{all:?}");
        assert_eq!((all[0].best, all[0].best_workload.as_deref()), (Some(-0.296), Some("work")));
        assert_eq!((all[0].worst, &all[0].worst_workload), (None, &None));
        assert_eq!((all[0].better, all[0].unchanged, all[0].worse), (1, 1, 0));

        let none = &summaries(&[random.clone(), few.clone()])[0];
        assert_eq!((none.mean, none.best, none.worst), (0.0, None, None));
        assert_eq!((none.unchanged, none.unknown, none.is_known()), (1, 1, true));

        let unknown = &summaries(std::slice::from_ref(&few))[0];
        assert_eq!((unknown.mean, unknown.unchanged, unknown.unknown, unknown.is_known()), (0.0, 0, 1, false));
        // -29.6 % and 0, of the two of which something is known.
        let three = &summaries(&[few, work.clone(), random])[0];
        assert!((three.mean + 0.148).abs() < 1e-12, "{three:?}");

        let slow = workload("slow", 0.1, Verdict::Worse);
        let both = &summaries(&[work, slow, workload("slower", 0.2, Verdict::Worse)])[0];
        assert_eq!((both.worst, both.worst_workload.as_deref(), both.worse), (Some(0.2), Some("slower"), 2));
        assert!((both.mean - (0.3 - 0.296) / 3.0).abs() < 1e-12, "{both:?}");
        assert!(summaries(&[]).is_empty());
    }
}
