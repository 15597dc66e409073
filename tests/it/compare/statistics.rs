//! The statistics of a comparison, and what its summary makes of them.

use optbuild::compare::result::{Identity, Measured, Metric, Verdict, Workload, summaries};
use optbuild::compare::statistics::{
    change, complementary_error, interval, median, p_value, sample, uncertainty, verdict,
};

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

/// Values of erfc to 12 digits from Abramowitz and Stegun, table 7.1, and DLMF 7.23.
#[test]
fn tails_of_the_normal_distribution() {
    let table = [(0.0, 1.0), (0.5, 0.479_500_122_187), (1.0, 0.157_299_207_050), (1.9, 0.007_209_570_765)];
    let far = [(2.0, 4.677_734_981_05e-3), (3.0, 2.209_049_699_86e-5), (5.0, 1.537_459_794_43e-12)];
    for (x, value) in table.into_iter().chain(far) {
        let relative = complementary_error(x) / value - 1.0;
        assert!(relative.abs() < 1e-9, "{x}: {relative}");
    }
}

/// Two sets of four with one value in both, by hand: the ranks of the first are 1, 2, 3.5 and 5, so U is 1.5; the mean is 8,
/// the deviation sqrt(16 / 12 · (9 - 6 / 56)) = 3.4434, z = 6 / 3.4434 = 1.7425, and the table says 0.0814.
#[test]
fn equal_values_share_a_rank() {
    let p = p_value(&[1.0, 2.0, 3.0, 4.0], &[3.0, 5.0, 6.0, 7.0]).unwrap();
    assert!((p - 0.0814).abs() < 1e-4, "{p}");
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

fn workload(name: &str, change: f64, verdict: Verdict) -> Workload {
    let (base, candidate) = (sample(&[1.0]), sample(&[1.0 + change]));
    let wall = Measured {
        metric: Metric::WallTime,
        base,
        candidate,
        change: Some(change),
        p_value: None,
        adjusted_p_value: None,
        verdict,
    };
    Workload { name: name.into(), command: String::new(), output: Identity::Same, metrics: vec![wall] }
}

/// The names are those of the JSON, whose schema is a promise.
#[test]
fn metrics_have_the_names_of_the_json() {
    assert_eq!(Metric::all().count(), 9);
    for metric in Metric::all() {
        assert_eq!(serde_json::to_value(metric).unwrap(), metric.name());
    }
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
