//! What a comparison comes to: the values are chosen so that the sums can be done by hand.

use optbuild::compare::judgement::{self, judged};
use optbuild::compare::result::{Comparison, Judgement, Metric, Says};
use serde_json::{Value, json};

/// A metric of a workload with a change and its verdict. Its interval is half as wide as `half` says: the base's is 3/5 of that, the
/// candidate's 4/5, and the root of the sum of their squares is all of it.
fn timed(metric: &str, change: f64, half: f64, verdict: &str) -> Value {
    let side = |median: f64, half: f64| json!({"runs": 9, "median": median, "interval": [median * (1.0 - half), median * (1.0 + half)], "values": []});
    let (base, candidate) = (side(2.0, half * 0.6), side(2.0 * (1.0 + change), half * 0.8));
    json!({"metric": metric, "base": base, "candidate": candidate, "change": change, "p-value": 0.5, "verdict": verdict})
}

/// Two runs a side, both the same.
fn counted(change: f64, verdict: &str) -> Value {
    let side = |median: f64| json!({"runs": 2, "median": median, "interval": null, "values": [median, median]});
    let (base, candidate) = (side(100.0), side(100.0 * (1.0 + change)));
    json!({"metric": "instructions", "base": base, "candidate": candidate, "change": change, "p-value": null, "verdict": verdict})
}

fn comparison(workloads: &[(&str, Vec<Value>)]) -> Comparison {
    let side = |name: &str| json!({"name": name, "path": "/a", "kind": "program", "env": []});
    let workloads: Vec<Value> = workloads
        .iter()
        .map(|(name, metrics)| json!({"name": name, "command": "", "output": "same", "metrics": metrics}))
        .collect();
    serde_json::from_value(json!({
        "format": 2, "optbuild": "0", "base": side("plain"), "candidate": side("new"),
        "machine": {"processor": "", "cores": 1, "kernel": "", "time": "2022-10-04T14:02:11Z"},
        "counter": {"method": "valgrind", "name": "", "because": null},
        "workloads": workloads, "sizes": [], "summary": [],
        "budget": {"allowed": 1.0, "planned": 1.0, "used": 1.0, "left-out": []}, "noise": [], "notes": [],
    }))
    .unwrap()
}

fn judge(comparison: &Comparison) -> Judgement {
    judgement::judge(&comparison.base.name, &comparison.variants[0].build.name, comparison.workloads())
}

#[test]
fn times_decide_where_they_are_decided() {
    let slower = judge(&comparison(&[("a", vec![timed("wall-time", 0.1, 0.05, "worse"), counted(-0.2, "better")])]));
    assert_eq!(slower.says, Says::Slower);
    assert_eq!((slower.metric, slower.workloads), (Some(Metric::WallTime), 1));
    let interval = slower.interval.unwrap();
    assert!((interval[0] - 0.05).abs() < 1e-9 && (interval[1] - 0.15).abs() < 1e-9, "{interval:?}");
    assert_eq!(
        slower.sentence,
        "new is slower than plain: wall time +10.0 % (95 % interval: +5.0 % to +15.0 %); instructions -20.0 %"
    );
    // Wall time says nothing; user time does.
    let workload = ("a", vec![timed("wall-time", 0.1, 0.2, "no-change"), timed("user-time", -0.1, 0.05, "better")]);
    let faster = judge(&comparison(&[workload]));
    assert_eq!((faster.says, faster.metric), (Says::Faster, Some(Metric::UserTime)));
    assert!(faster.sentence.ends_with("; wall time undecided"), "{}", faster.sentence);
}

#[test]
fn instructions_decide_where_times_do_not() {
    let workload =
        |name, change, verdict| (name, vec![timed("wall-time", 0.01, 0.05, "no-change"), counted(change, verdict)]);
    let all = comparison(&[workload("a", -0.3, "better"), workload("b", -0.2, "better"), workload("c", 0.05, "worse")]);
    let faster = judge(&all);
    assert_eq!((faster.says, faster.workloads), (Says::Faster, 3));
    assert_eq!(
        faster.sentence,
        "new is faster than plain: instructions -15.0 % (counted), the mean of 3 workloads; slower in 1 of them, most in `c`: \
         +5.0 %; wall time undecided"
    );
    // What a mean of two knows: √(0.05² + 0.05²) / 2 = 3.5 %, and less than that is nothing.
    let time = |change| timed("wall-time", change, 0.05, "worse");
    assert_eq!(judge(&comparison(&[("a", vec![time(0.04)]), ("b", vec![time(0.04)])])).says, Says::Slower);
    assert_eq!(judge(&comparison(&[("a", vec![time(0.03)]), ("b", vec![time(0.03)])])).says, Says::Undecided);
}

#[test]
fn what_is_little_or_not_known_is_undecided() {
    let little = judge(&comparison(&[("a", vec![counted(0.004, "worse")])]));
    assert_eq!((little.says, little.metric), (Says::Undecided, Some(Metric::Instructions)));
    assert_eq!(
        little.sentence,
        "undecided whether new is faster or slower than plain: instructions change by less than 0.5 % (counted)"
    );
    // No workload is significantly changed.
    let by_chance = comparison(&[("a", vec![timed("wall-time", 0.1, 0.05, "no-change")])]);
    let by_chance = judge(&by_chance);
    assert_eq!(by_chance.says, Says::Undecided);
    let sentence =
        "undecided whether new is faster or slower than plain: wall time between +5.0 % and +15.0 % (95 % interval)";
    assert_eq!(by_chance.sentence, sentence);
    // Significant ones cancel each other out.
    let mixed = [("a", vec![counted(0.2, "worse")]), ("b", vec![counted(-0.2, "better")])];
    assert_eq!(judge(&comparison(&mixed)).says, Says::Undecided);
    let nothing = judge(&comparison(&[("a", vec![timed("wall-time", 0.5, 0.0, "unknown")])]));
    assert_eq!((nothing.says, nothing.metric, nothing.change), (Says::Undecided, None, None));
    assert!(nothing.sentence.ends_with("there were too few runs to say"), "{}", nothing.sentence);
}

#[test]
fn a_document_of_an_older_version_is_judged_by_its_numbers() {
    let mut all = comparison(&[("a", vec![counted(0.2, "worse")])]);
    assert_eq!(all.variants[0].verdict, None);
    assert_eq!(judged(&all).says, Says::Slower);
    let mut verdict = judge(&all);
    verdict.sentence = "as it was written".into();
    all.variants[0].verdict = Some(verdict);
    assert_eq!(judged(&all).sentence, "as it was written");
}
