//! The result of a comparison as tables, as Markdown and in a page.

use optbuild::compare::cost::Cost;
use optbuild::compare::judgement::judged;
use optbuild::compare::result::{
    Budget, Comparison, Correction, CorrectionMethod, CounterUsed, Form, Identity, Machine, Measured, Method, Metric,
    Sample, Side, SideKind, Size, Summary, Variant, Verdict, Workload,
};
use optbuild::report::comparison::{markdown, table};
use optbuild::report::figures::short_names;
use optbuild::report::html::compared::text_shown;
use optbuild::report::paint::Look;
use optbuild::text;

fn once(value: f64) -> Sample {
    Sample { runs: 1, median: value, interval: None, values: vec![value] }
}

fn measured(metric: Metric, base: f64, candidate: f64, verdict: Verdict) -> Measured {
    let change = Some((candidate - base) / base);
    Measured {
        metric,
        base: once(base),
        candidate: once(candidate),
        change,
        p_value: None,
        adjusted_p_value: None,
        verdict,
    }
}

fn side(name: &str) -> Side {
    Side {
        name: name.into(),
        path: format!("/bin/{name}"),
        kind: SideKind::Program,
        env: Vec::new(),
        description: None,
        cost: None,
    }
}

/// The last two are how many workloads are better and worse.
fn summary(metric: Metric, mean: f64, best: Option<f64>, worst: Option<f64>, counts: [usize; 2]) -> Summary {
    let (best_workload, worst_workload) = (best.map(|_| "run[file=a]".into()), worst.map(|_| "run[file=b]".into()));
    let [better, worse] = counts;
    Summary {
        metric,
        mean,
        best,
        best_workload,
        worst,
        worst_workload,
        better,
        worse,
        unchanged: 2 - better - worse,
        unknown: 0,
    }
}

fn comparison() -> Comparison {
    let workload = |name: &str, metrics| Workload {
        name: name.into(),
        command: "{program}".into(),
        output: Identity::Same,
        metrics,
    };
    let candidate = Variant {
        build: side("final"),
        against: None,
        missing: None,
        workloads: vec![
            workload(
                "run[file=a]",
                vec![
                    measured(Metric::Instructions, 863.1e6, 746.8e6, Verdict::Better),
                    measured(Metric::WallTime, 0.078, 0.0599, Verdict::Better),
                    measured(Metric::PeakMemory, 8e6, 8.1e6, Verdict::NoChange),
                ],
            ),
            workload("run[file=b]", vec![measured(Metric::WallTime, 12.0, 13.5, Verdict::Worse)]),
        ],
        sizes: vec![Size { name: "lib.so".into(), base: 1024, candidate: 2048, change: Some(1.0), why: None }],
        summary: vec![
            summary(Metric::Instructions, -0.1347, Some(-0.1347), None, [1, 0]),
            summary(Metric::WallTime, -0.053, Some(-0.232), Some(0.125), [1, 1]),
            summary(Metric::PeakMemory, 0.0, None, None, [0, 0]),
        ],
        verdict: None,
    };
    Comparison {
        form: Form::Candidate,
        optbuild: "0.1.0".into(),
        base: side("plain"),
        variants: vec![candidate],
        machine: Machine {
            processor: "Test <1>".into(),
            cores: 2,
            kernel: "6.1".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
        },
        counter: CounterUsed { method: Method::Valgrind, name: "valgrind 3.19.0".into(), because: Some("a VM".into()) },
        budget: Budget { allowed: 600.0, planned: 20.0, used: 31.0, left_out: vec!["`run[file=b]`: no time".into()] },
        noise: vec!["other programs".into()],
        notes: Vec::new(),
        correction: None,
    }
}

#[test]
fn a_table() {
    let expected = "\
workload               instructions   change             wall time   change  peak memory
a                863.1 M → 746.8 M  -13.5 %     78.0 ms → 59.9 ms  -23.2 %    no change
b                                              12.00 s → 13.50 s  +12.5 %
mean                                -13.5 %                         -5.3 %    no change
max improvement                     -13.5 %                        -23.2 %
max regression                                                     +12.5 %

file                size    change
lib.so  1.0 KiB → 2.0 KiB  +100.0 %

plain → final; negative is better
instructions: valgrind 3.19.0 (a VM)
times: medians, 95 % intervals in the JSON; 31.0 s of 10 m 00 s used
noisy: other programs
left out: `b`: no time

final is faster than plain: wall time -5.4 % (counted), the mean of 2 workloads; slower in 1 of them, most in `b`: +12.5 %; instructions -13.5 %
";
    let squeeze = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split("  ").map(str::trim).filter(|c| !c.is_empty()).map(Into::into).collect())
            .collect()
    };
    let table = table(&comparison(), Look::default());
    assert_eq!(squeeze(&table), squeeze(expected), "\n{table}");
    let columns: Vec<usize> = table.lines().take(3).map(text::width).collect();
    assert!(columns.iter().all(|width| *width <= 100), "{columns:?}");
}

#[test]
fn markdown_for_a_pull_request() {
    let text = markdown(&comparison());
    assert!(text.starts_with("✅ **final is faster than plain: wall time -5.4 % "), "{text}");
    assert!(
        text.contains("\n\n| workload | instructions | change | wall time | change | peak memory | change |\n|:--|")
    );
    assert!(text.contains("| a | 863.1 M → 746.8 M | -13.5 % | 78.0 ms → 59.9 ms | -23.2 % |"), "{text}");
    assert!(
        text.contains("| **max regression** | |  | | **+12.5 %** | |  |") || text.contains("**max regression**"),
        "{text}"
    );
    assert!(text.contains("Test &lt;1&gt;, 2 cores, Linux 6.1"), "{text}");
}

/// The only metric that the table has no column for.
#[test]
fn system_time_is_among_the_details() {
    let mut comparison = comparison();
    comparison.variants[0].workloads[1].metrics.push(measured(Metric::SystemTime, 0.4, 0.5, Verdict::Worse));
    let text = markdown(&comparison);
    // 0.4 s and a quarter of that.
    assert!(text.contains("| b | system time | 400.0 ms, 1 × | 500.0 ms, 1 × | +25.0 % |"), "{text}");
}

/// With a run a side nobody knows anything.
#[test]
fn what_nobody_knows_is_not_called_no_change() {
    let mut comparison = comparison();
    for workload in &mut comparison.variants[0].workloads {
        workload.metrics.retain(|measured| measured.metric == Metric::WallTime);
        workload.metrics[0].verdict = Verdict::Unknown;
    }
    comparison.variants[0].summary =
        vec![Summary { unchanged: 0, unknown: 2, ..summary(Metric::WallTime, 0.0, None, None, [0, 0]) }];
    let table = table(&comparison, Look::default());
    let cells: Vec<Vec<&str>> = table.lines().take(4).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[1], ["a", "78.0", "ms", "→", "59.9", "ms", "(-23.2", "%)"]);
    assert_eq!(cells[3], ["mean", "?"], "{table}");
    assert!(!table.contains("no change"), "{table}");
    assert!(table.contains("in brackets: too few runs to say whether it is a change; not in the mean\n"), "{table}");
    assert!(markdown(&comparison).contains("| **mean** | | **?** |"));
    // One of which something is known is enough, and all that there is.
    comparison.variants[0].workloads[0].metrics[0].verdict = Verdict::Better;
    comparison.variants[0].summary =
        vec![Summary { unchanged: 0, unknown: 1, ..summary(Metric::WallTime, -0.232, Some(-0.232), None, [1, 0]) }];
    // From 78.0 ms to 59.9 ms.
    assert!(markdown(&comparison).contains("| **mean** | | **-23.2 %** |"), "{}", markdown(&comparison));
}

#[test]
fn names_are_shortened_only_where_all_are_alike() {
    let mut comparison = comparison();
    assert_eq!(short_names(&comparison), ["a", "b"]);
    comparison.variants[0].workloads[1].name = "other[file=b]".into();
    assert_eq!(short_names(&comparison), ["run[file=a]", "other[file=b]"]);
    comparison.variants[0].workloads[0].name = "plain".into();
    assert_eq!(short_names(&comparison), ["plain", "other[file=b]"]);
}

/// Of both forms: with a candidate, and with sides.
#[test]
fn the_json_is_what_the_schema_says() {
    let schema = serde_json::to_value(Comparison::schema()).unwrap();
    let keys = |value: &serde_json::Value| -> Vec<String> { value.as_object().unwrap().keys().cloned().collect() };
    let known = keys(&schema["properties"]);
    let (mut two, mut sides) = (comparison(), three());
    two.variants[0].verdict = Some(judged(&two).into_owned());
    let step = Variant { build: side("pgo.out/bin/x"), ..two.variants[0].clone() };
    two.variants.insert(0, step);
    sides.variants[0].verdict = Some(judged(&sides).into_owned());
    for (comparison, format, has, lacks) in [(two, 2, "candidate", "sides"), (sides, 3, "sides", "candidate")] {
        let json = serde_json::to_value(&comparison).unwrap();
        assert!(keys(&json).iter().all(|key| known.contains(key)), "{json:#}");
        assert_eq!(json["format"], format);
        assert!(json.get(has).is_some() && json.get(lacks).is_none(), "{json:#}");
        assert_eq!(json.get("workloads").is_some(), format == 2);
        let back: Comparison = serde_json::from_value(json).unwrap();
        assert_eq!(back, comparison);
    }
}

/// plain, pgo, fat LTO held against pgo, and one that could not be built.
fn three() -> Comparison {
    let mut comparison = comparison();
    let of = |name: &str| Variant { build: side(name), ..comparison.variants[0].clone() };
    let (mut pgo, mut fat, mut bolt) = (of("pgo"), of("fat"), of("bolt"));
    pgo.build.cost = Some(Cost { build: Some(61.0), training: Some(20.5), disk: Some(3 << 20) });
    fat.against = Some("pgo".into());
    fat.workloads[1].metrics[0].verdict = Verdict::Unknown;
    bolt.missing = Some("rust-lld ran out of memory".into());
    (bolt.workloads, bolt.summary, bolt.sizes) = (Vec::new(), Vec::new(), Vec::new());
    comparison.base.cost = Some(Cost { build: Some(30.0), training: None, disk: Some(1 << 20) });
    (comparison.form, comparison.variants) = (Form::Sides, vec![pgo, fat, bolt]);
    let method = CorrectionMethod::Holm;
    comparison.correction = Some(Correction { method, level: 0.01, tests: 4, least_runs: 8 });
    comparison
}

/// By hand: the mean and the largest change of each metric, the size as a whole, and what it cost.
#[test]
fn a_row_for_each_build() {
    let table = table(&three(), Look { width: 100, ..Look::default() });
    assert!(table.lines().all(|line| text::width(line) <= 100 || line.contains(": ")), "{table}");
    let rows: Vec<Vec<&str>> =
        table.lines().map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect()).collect();
    assert_eq!(rows[0], ["variant", "instructions", "wall time", "peak memory", "size", "build", "training", "disk"]);
    assert_eq!(rows[1], ["plain (base)", "1.0 KiB", "30.0 s", "1.0 MiB"]);
    assert_eq!(rows[2], ["pgo", "-13.5 %", "-5.3 %", "no change", "+100.0 %", "1 m 01 s", "20.5 s", "3.0 MiB"]);
    // Of wall time, -23.2 % is farther from 0 than +12.5 %.
    assert_eq!(rows[3], ["largest", "-13.5 %", "-23.2 %"]);
    assert_eq!(rows[4][0], "fat (to pgo)");
    assert_eq!(rows[6], ["bolt", "not measured: rust-lld ran out of memory"]);
    let block = rows.iter().position(|row| row == &["b"]).unwrap_or_else(|| panic!("{table}"));
    assert_eq!(rows[block + 1], ["plain", "12.00 s"]);
    assert_eq!(rows[block + 2], ["pgo", "13.50 s", "+12.5 %"]);
    assert_eq!(rows[block + 3], ["fat (to pgo)", "13.50 s", "(+12.5 %)"]);
    assert!(
        table.contains("a change: less than 1 % chance, corrected by Holm for 4 tests of each metric\n"),
        "{table}"
    );
    assert!(table.contains("in brackets: too few runs (it takes 8 a side) to say"), "{table}");
    assert!(table.trim_end().lines().last().unwrap().starts_with("pgo is faster than plain: "), "{table}");

    let text = markdown(&three());
    assert!(
        text.contains(
            "| variant | instructions | wall time | peak memory | size | build | training | disk |\n|:--|--:|"
        )
    );
    assert!(text.contains("| bolt | not measured: rust-lld ran out of memory | | | | | | |\n"), "{text}");
    assert!(text.contains("| pgo | b | wall time | 12.00 s, 1 × | 13.50 s, 1 × | +12.5 % |"), "{text}");
}

#[test]
fn tables_and_the_rest() {
    let text = "before\n| a | b |\n| :-- | --: |\n| x \\| y | 1 |\n| </td> | 2 |\n\nafter\n| no table |\n";
    let html = text_shown(text).into_string();
    assert!(html.contains("<pre>before</pre>"), "{html}");
    assert!(html.contains("<th>a</th><th class=\"num\">b</th>"), "{html}");
    assert!(html.contains("<td>x | y</td><td class=\"num\">1</td>"), "{html}");
    assert!(html.contains("<td>&lt;/td&gt;</td>"), "{html}");
    assert!(html.contains("<pre>after</pre>") && html.contains("<pre>| no table |</pre>"), "{html}");
}
