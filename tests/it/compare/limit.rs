//! `--fail-above`: what passes, what does not, and what cannot be answered.

use optbuild::compare::limit::{Answer, Limit};
use optbuild::compare::result::{Comparison, Metric};

#[test]
fn limits_as_they_are_written() {
    let limit = |text: &str| text.parse::<Limit>();
    assert_eq!(limit("1%"), Ok(Limit { metric: None, above: 0.01 }));
    assert_eq!(limit("wall-time=5 %"), Ok(Limit { metric: Some(Metric::WallTime), above: 0.05 }));
    for wrong in ["1", "-1%", "x%", "time=5%", "wall-time=", ""] {
        assert!(limit(wrong).is_err(), "{wrong}");
    }
    assert_eq!(limit("peak-memory=2%").unwrap().to_string(), "peak-memory=2%");
}

/// Workloads with one metric each: its name, the change, the runs, the verdict.
fn comparison(workloads: &[(&str, &str, Option<f64>, usize, &str)]) -> Comparison {
    let side = serde_json::json!({"name": "a", "path": "/a", "kind": "program", "env": []});
    let workload = |(name, metric, change, runs, verdict): &(&str, &str, Option<f64>, usize, &str)| {
        let sample = serde_json::json!({"runs": runs, "median": 1.0, "interval": null, "values": []});
        let p = (*metric == "wall-time").then_some(0.5);
        let measured = serde_json::json!({
            "metric": metric, "base": sample, "candidate": sample, "change": change, "p-value": p, "verdict": verdict,
        });
        let metrics = if metric.is_empty() { vec![] } else { vec![measured] };
        serde_json::json!({"name": name, "command": "", "output": "same", "metrics": metrics})
    };
    let counted = workloads.iter().any(|workload| workload.1 == "instructions");
    let summary = serde_json::json!({
        "metric": "instructions", "mean": 0.0, "best": null, "best-workload": null, "worst": null,
        "worst-workload": null, "better": 0, "worse": 0, "unchanged": 0,
    });
    serde_json::from_value(serde_json::json!({
        "format": 2, "optbuild": "0", "base": side, "candidate": side,
        "machine": {"processor": "", "cores": 1, "kernel": "", "time": "2022-10-04T14:02:11Z"},
        "counter": {"method": "valgrind", "name": "", "because": null},
        "workloads": workloads.iter().map(workload).collect::<Vec<_>>(),
        "sizes": [], "summary": if counted { vec![summary] } else { vec![] },
        "budget": {"allowed": 1.0, "planned": 1.0, "used": 1.0, "left-out": []}, "noise": [], "notes": [],
    }))
    .unwrap()
}

#[test]
fn what_is_not_known_does_not_pass() {
    let all = comparison(&[
        ("fine", "instructions", Some(-0.1), 1, "better"),
        ("little", "instructions", Some(0.009), 1, "worse"),
        ("worse", "instructions", Some(0.02), 1, "worse"),
        ("nothing", "instructions", None, 1, "unknown"),
        // Those of these were not counted.
        ("slower", "wall-time", Some(0.5), 9, "worse"),
        ("as-fast", "wall-time", Some(0.5), 9, "no-change"),
        ("few", "wall-time", Some(0.502), 2, "unknown"),
        ("never", "", None, 0, ""),
    ]);
    let answer = "1%".parse::<Limit>().unwrap().answer(&all);
    assert_eq!(
        answer.worse,
        ["`worse`: instructions +2.0 %, more than 1%", "`slower`: wall time +50.0 %, more than 1%"]
    );
    let unknown = |name: &str, why: &str| format!("`--fail-above 1%` cannot be answered for `{name}`: {why}");
    assert_eq!(
        answer.unknown,
        [
            unknown("nothing", "instructions: 0 with the base"),
            unknown("few", "wall time: 2 of at least 6 runs a side"),
            unknown("never", "instructions: not measured"),
        ]
    );
    // A metric that was named is not replaced by another one.
    let named = "instructions=1%".parse::<Limit>().unwrap().answer(&all);
    assert_eq!((named.worse.len(), named.unknown.len()), (1, 5), "{named:?}");
    // No change was found where none of this size could have been.
    let mut noisy = comparison(&[("x", "wall-time", Some(0.002), 9, "no-change")]);
    let measured = &mut noisy.variants[0].workloads[0].metrics[0];
    measured.base.interval = Some([0.97, 1.03]);
    measured.candidate.interval = Some([0.96, 1.04]);
    let answer = |limit: &str| format!("wall-time={limit}").parse::<Limit>().unwrap().answer(&noisy);
    assert_eq!(answer("5.1%"), Answer::default(), "√(3² + 4²) = 5");
    let says =
        "`--fail-above wall-time=4.9%` cannot be answered for `x`: wall time: no change is known to within ±5.0 %";
    assert_eq!(answer("4.9%").unknown, [says]);
    // From nothing to something is more than any share.
    let more = comparison(&[("x", "wall-time", None, 9, "worse"), ("y", "wall-time", Some(0.0), 9, "no-change")]);
    let answer = "wall-time=500%".parse::<Limit>().unwrap().answer(&more);
    assert_eq!(answer.worse, ["`x`: wall time: 0 with the base and more with the candidate"]);
    assert_eq!(answer.unknown, [""; 0]);
}
