//! Comparisons in reports: taken from what stages made, with what they are sure of and no more.

use super::support::*;
use optbuild::event;
use optbuild::report::Past;
use optbuild::report::model::Report;
use optbuild::report::{html, markdown};
use serde_json::Value;

/// As `docs` of comparisons have it: two workloads, one better, one the same.
fn comparison() -> Value {
    let sample = |median: f64| serde_json::json!({"runs": 3, "median": median, "interval": null, "values": [median]});
    let measured = |base: f64, candidate: f64, verdict: &str| {
        serde_json::json!({
            "metric": "instructions", "base": sample(base), "candidate": sample(candidate),
            "change": (candidate - base) / base, "p-value": null, "verdict": verdict,
        })
    };
    let workload = |name: &str, measured: Value| serde_json::json!({"name": name, "command": "{program} x", "output": "same", "metrics": [measured]});
    let side = |name: &str| serde_json::json!({"name": name, "path": "/p", "kind": "program", "env": []});
    serde_json::json!({
        "format": 1, "optbuild": "0.1.0", "base": side("plain"), "candidate": side("fast"),
        "machine": {"processor": "Some CPU", "cores": 2, "kernel": "6.1", "time": "2022-10-04T14:02:11Z"},
        "counter": {"method": "valgrind", "name": "valgrind 3.19.0, callgrind", "because": null},
        "workloads": [workload("</td>sort", measured(200.0, 150.0, "better")), workload("read", measured(100.0, 100.0, "no-change"))],
        "sizes": [{"name": "prog", "base": 2048, "candidate": 1024, "change": -0.5}],
        "summary": [{
            "metric": "instructions", "mean": -0.125, "best": -0.25, "best-workload": "sort", "worst": 0.0,
            "worst-workload": "read", "better": 1, "worse": 0, "unchanged": 1, "unknown": 0,
        }],
        "budget": {"allowed": 600.0, "planned": 1.0, "used": 2.0, "left-out": ["`deep` was left out: no time"]},
        "noise": [], "notes": [],
    })
}

#[test]
fn comparisons_are_taken_from_what_stages_made() {
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = camino::Utf8PathBuf::try_from(directory.path().join(name)).unwrap();
        std::fs::write(&path, text).unwrap();
        event::OutputInfo {
            name: name.split('.').next().unwrap().into(),
            path,
            bytes: 1,
            files: 1,
            show: name.ends_with(".txt"),
        }
    };
    let outputs =
        vec![file("json.json", &comparison().to_string()), file("other.json", "{}"), file("table.txt", "a table")];
    let events = [
        at(0, run_started(&["compare"])),
        at(0, started("compare", None)),
        at(9, done("compare", 9.0, outputs)),
        at(9, run_finished(event::Outcome::Done, 9.0)),
    ];
    let report = Report::of(&events, &Past::default(), None);
    assert_eq!(report.comparisons.len(), 1);
    // An older form is written as the form of today.
    let mut expected = comparison();
    expected["format"] = 2.into();
    assert_eq!(serde_json::to_value(&report.comparisons[0].result).unwrap(), expected);
    assert_eq!(report.shown, [], "the table has the same numbers");
    let html = html::render(&report).unwrap();
    for text in
        ["-12.5 %", "no change", "-50.0 %", "&lt;/td&gt;sort", "was left out: no time", "valgrind 3.19.0, callgrind"]
    {
        assert!(html.contains(text), "{text}");
    }
    let md = markdown::render(&report);
    assert!(md.contains("**compare**: plain against fast; less is better\n"), "{md}");
    for text in [
        "| &lt;/td&gt;sort | 200 → 150 | -25.0 % |\n| read | 100 → 100 | no change |\n",
        "| **mean** | | **-12.5 %** |\n| **max improvement** | | **-25.0 %** |\n\n",
        "| prog | 2.0 KiB → 1.0 KiB | -50.0 % |\n",
        "- instructions: valgrind 3.19.0, callgrind\n",
        "- left out: `deep` was left out: no time\n",
    ] {
        assert!(md.contains(text), "{text}\n{md}");
    }
    follows_schema(&serde_json::to_value(&report).unwrap());
}

/// What chance may have done is no change in a report, as it is none in the table of the comparison itself.
#[test]
fn a_report_shows_no_change_that_is_not_significant() {
    let directory = tempfile::tempdir().unwrap();
    let path = camino::Utf8PathBuf::try_from(directory.path().join("c.json")).unwrap();
    let mut doubtful = comparison();
    let metrics = |number: usize, change: f64, verdict: &str, doubtful: &mut Value| {
        let measured = &mut doubtful["workloads"][number]["metrics"][0];
        measured["change"] = change.into();
        measured["verdict"] = verdict.into();
    };
    metrics(0, 0.432, "no-change", &mut doubtful);
    metrics(1, -0.611, "unknown", &mut doubtful);
    doubtful["notes"] = serde_json::json!(["it was late"]);
    // As versions before 2 of the format have it: the extremes of all changes, whatever they mean.
    doubtful["summary"][0] = serde_json::json!({
        "metric": "instructions", "mean": -0.0895, "best": -0.611, "best-workload": "read", "worst": 0.432,
        "worst-workload": "sort", "better": 0, "worse": 0, "unchanged": 2,
    });
    std::fs::write(&path, doubtful.to_string()).unwrap();
    let output = event::OutputInfo { name: "json".into(), path, bytes: 1, files: 1, show: false };
    let events = [
        at(0, run_started(&["compare"])),
        at(0, started("compare", None)),
        at(9, done("compare", 9.0, vec![output])),
        at(9, run_finished(event::Outcome::Done, 9.0)),
    ];
    let report = Report::of(&events, &Past::default(), None);
    let html = html::render(&report).unwrap();
    // Behind the page stand the data, with all values.
    let page = html.split("<script").next().unwrap();
    let md = markdown::render(&report);
    for text in [page, md.as_str()] {
        assert!(text.contains("no change") && text.contains("it was late"), "{text}");
        assert!(!text.contains("43.2 %") && !text.contains("-8.9 %") && !text.contains("-9.0 %"), "{text}");
        // In the table, and beside its intervals.
        assert_eq!(text.matches("-61.1 %").count(), 2, "{text}");
    }
    assert!(page.contains("<data value=\"-0.611\">(-61.1 %)</data>"), "{page}");
    assert!(md.contains("| read | 100 → 100 | (-61.1 %) |"), "{md}");
}
