//! The model of a report, from scripted events; its schema; and the trace.

use super::support::*;
use optbuild::event::{self, Event, StageState, Stamped, ToolVersion, TreeSample};
use optbuild::report::Past;
use optbuild::report::info::{Look, diff_table};
use optbuild::report::model::diff::{Diff, Quantity, Verdict};
use optbuild::report::model::{Outcome, Report, Stage, StepKind};
use optbuild::report::{RunModel, html, markdown, trace};

fn sampled(stage: &str, step: &str, cpu: f64, memory: u64) -> Event {
    let trees = vec![TreeSample { stage: stage.into(), step: id(step), cpu, memory, processes: 1 }];
    Event::Sampled { trees }
}

fn tool(stage: &str) -> Event {
    let tool = ToolVersion { name: "clang".into(), path: "/bin/clang".into(), version: "clang version 22".into() };
    Event::ToolsUsed { stage: stage.into(), tools: vec![tool] }
}

/// A pool of two workloads at a time after a step; then a stage that is killed.
fn events() -> Vec<Stamped> {
    vec![
        at(0, run_started(&["lib", "gather", "shell", "late"])),
        at(0, up_to_date("lib", 125.0)),
        at(0, started("gather", None)),
        at(0, tool("gather")),
        at(0, step_started("gather", "check")),
        at(2, step_finished("gather", "check", 2.0)),
        at(2, pool("gather", 3, 1)),
        at(2, step_started("gather", "@a")),
        at(2, step_started("gather", "@b-x")),
        at(3, sampled("gather", "@a", 1.5, 1 << 20)),
        at(6, step_finished("gather", "@a", 4.0)),
        at(6, step_started("gather", "@a/merge")),
        at(7, fact("gather", "@a/merge", "raw-profiles", 2.0, "files")),
        at(7, step_finished("gather", "@a/merge", 1.0)),
        at(7, committed("gather", "a")),
        at(8, step_finished("gather", "@b-x", 6.0)),
        at(
            8,
            Event::StepFinished {
                stage: "gather".into(),
                step: id("workloads"),
                outcome: event::Outcome::Done,
                usage: event::Usage::default(),
            },
        ),
        at(8, done("gather", 8.0, vec![output("profile", 1500)])),
        at(8, started("shell", None)),
        at(8, tool("shell")),
        at(8, step_started("shell", "build")),
        at(10, sampled("shell", "build", 3.0, 5 << 20)),
        // Here it was killed.
    ]
}

fn report() -> Report {
    Report::of(&events(), &Past::default(), None)
}

#[test]
fn what_was_when() {
    let report = report();
    assert_eq!((report.run.outcome, report.run.wall, report.run.saved), (Outcome::Unfinished, 10.0, 125.0));
    assert_eq!(report.run.command, "optbuild run demo");
    let states: Vec<StageState> = report.stages.iter().map(|stage| stage.state).collect();
    assert_eq!(states, [StageState::UpToDate, StageState::Done, StageState::Running, StageState::NotStarted]);

    let gather = report.stage("gather").unwrap();
    let steps: Vec<_> =
        gather.steps.iter().map(|step| (step.name.as_str(), step.kind, step.start, step.duration, step.lane)).collect();
    assert_eq!(
        steps,
        [
            ("check", StepKind::Step, 0.0, Some(2.0), 0),
            ("workloads", StepKind::Pool, 2.0, Some(6.0), 0),
            ("a", StepKind::Workload, 2.0, Some(4.0), 0),
            ("b-x", StepKind::Workload, 2.0, Some(6.0), 1),
            ("a-merge", StepKind::AroundWorkload, 6.0, Some(1.0), 0),
        ]
    );
    let shell = report.stage("shell").unwrap();
    assert_eq!((shell.start, shell.duration), (Some(8.0), 2.0));
    assert_eq!((shell.steps[0].duration, shell.steps[0].outcome), (None, Outcome::Unfinished));
    assert_eq!(report.tools.len(), 1);
    assert_eq!(report.tools[0].stages, ["gather", "shell"]);
}

/// A step of a pool is of its workload whatever the two are called: `sort-stream` is a workload, and `stream` a step around `sort`.
#[test]
fn a_workload_is_known_by_its_field_and_not_by_its_name() {
    let events = [
        at(0, run_started(&["gather"])),
        at(0, started("gather", None)),
        at(0, pool("gather", 3, 0)),
        at(0, step_started("gather", "@perf-x")),
        at(0, step_started("gather", "@perf-x-new")),
        at(0, step_started("gather", "@sort/stream")),
        at(1, fact("gather", "@sort/stream", "raw-profiles", 2.0, "files")),
        at(1, fact("gather", "@sort/stream", "functions", 7.0, "functions")),
        at(1, fact("gather", "@perf-x-new/merge", "raw-profiles", 1.0, "files")),
        at(2, done("gather", 2.0, vec![])),
    ];
    let report = Report::of(&events, &Past::default(), None);
    let gather = report.stage("gather").unwrap();
    let kinds: Vec<StepKind> = gather.steps[1..].iter().map(|step| step.kind).collect();
    assert_eq!(kinds, [StepKind::Workload, StepKind::Workload, StepKind::AroundWorkload]);
    let shown: Vec<&str> = gather.main_steps().map(|step| step.name.as_str()).collect();
    assert_eq!(shown, ["perf-x", "perf-x-new"]);
    let workloads = &gather.profile.as_ref().unwrap().workloads;
    let workloads: Vec<_> = workloads.iter().map(|of| (of.name.as_str(), of.files, of.functions)).collect();
    assert_eq!(workloads, [("sort", 2, 7), ("perf-x-new", 1, 0)]);
}

#[test]
fn the_timeline_has_all_cpu_time() {
    let report = report();
    // As `step_finished` says: 1.5 s a second and 0.25 s, for 2, 4, 1 and 6 seconds; and 3 s of the step that was killed.
    let expected = 13.0 * 1.5 + 4.0 * 0.25 + 3.0;
    let sum = report.timeline.cores.iter().sum::<f64>() * report.timeline.step;
    assert!((sum - expected).abs() < 1e-9, "{sum}");
    assert_eq!(report.timeline.memory.last(), Some(&(5 << 20)));
}

#[test]
fn a_stage_that_was_up_to_date_is_shown_as_it_was_made() {
    let made = Stage { name: "lib".into(), state: StageState::Done, duration: 125.0, user: 99.0, ..Stage::default() };
    let mut past = Past::default();
    past.made.insert("lib".into(), ("r0".into(), made));
    let report = Report::of(&events(), &past, None);
    let lib = report.stage("lib").unwrap();
    let made = lib.made.as_ref().unwrap();
    assert_eq!((lib.state, made.run.as_str(), made.duration, lib.user), (StageState::UpToDate, "r0", 125.0, 99.0));
    assert_eq!((lib.start, lib.duration), (None, 0.0));
}

#[test]
fn what_became_larger() {
    let end = |bytes, seconds| {
        let events = [
            at(0, run_started(&["lib", "only"])),
            at(0, started("lib", None)),
            at(seconds, done("lib", seconds as f64, vec![output("file", bytes)])),
            at(seconds, run_finished(event::Outcome::Done, seconds as f64)),
        ];
        Report::of(&events, &Past::default(), None)
    };
    let diff = Diff::of(&end(1000, 10), &end(1200, 10));
    let notable: Vec<_> = diff.notable().into_iter().map(|c| (c.quantity, c.name.as_str(), c.verdict)).collect();
    assert_eq!(notable, [(Quantity::Size, "file", Verdict::More)]);
    assert_eq!(diff.incomparable, [""; 0], "neither of the runs has a result of `only`");
    let other = [
        at(0, run_started(&["lib", "only"])),
        at(0, started("only", None)),
        at(1, done("only", 1.0, vec![output("file", 1)])),
        at(1, run_finished(event::Outcome::Done, 1.0)),
    ];
    let diff = Diff::of(&end(1000, 10), &Report::of(&other, &Past::default(), None));
    assert_eq!(diff.incomparable, ["lib", "only"]);
    let slower = Diff::of(&end(1000, 10), &end(1000, 20));
    assert_eq!(
        (slower.changes[0].quantity, slower.changes[0].before, slower.changes[0].after),
        (Quantity::Duration, 10.0, 20.0)
    );
    assert_eq!(Diff::of(&end(1, 1), &end(1, 1)).changes, []);
}

#[test]
fn a_stage_that_was_resumed_took_what_all_its_runs_took() {
    let end = |earlier: f64, seconds: i64| {
        let mut begun = started("lib", None);
        if let Event::StageStarted { earlier: before, .. } = &mut begun {
            *before = earlier;
        }
        let events = [
            at(0, run_started(&["lib"])),
            at(0, begun),
            at(seconds, step_finished("lib", "build", seconds as f64)),
            at(seconds, done("lib", seconds as f64, vec![])),
            at(seconds, run_finished(event::Outcome::Done, seconds as f64)),
        ];
        Report::of(&events, &Past::default(), None)
    };
    assert_eq!(Diff::of(&end(0.0, 100), &end(70.0, 30)).changes, []);
    let slower = Diff::of(&end(0.0, 100), &end(170.0, 30)).changes;
    // What the other 170 seconds used is not known.
    let changes: Vec<_> = slower.iter().map(|change| (change.quantity, change.before, change.after)).collect();
    assert_eq!(changes, [(Quantity::Duration, 100.0, 200.0)]);
    let resumed = end(170.0, 30);
    let markdown = markdown::render(&resumed);
    assert!(markdown.contains("Earlier runs had worked on it for 2 m 50 s."), "{markdown}");
}

/// What a comparison writes is as long as its figures: that is no change of what was built.
#[test]
fn results_of_comparisons_have_no_size_and_shares_differ_in_points() {
    let end = |bytes: u64, mean: f64| {
        let file = |name: &str, file: &str, bytes| event::OutputInfo {
            path: format!("/s/{file}").into(),
            ..output(name, bytes)
        };
        let outputs = vec![
            file("out", "", 3 * bytes),
            file("json", "comparison.json", bytes),
            file("table", "comparison.txt", bytes),
            file("markdown", "comparison.md", bytes),
        ];
        vec![
            at(0, run_started(&["compare", "off"])),
            at(0, skipped("off", "stage `off` is switched off")),
            at(0, started("compare", None)),
            at(4, fact("compare", "compare", "mean-change", mean, "%")),
            at(5, done("compare", 5.0, outputs)),
            at(5, run_finished(event::Outcome::Done, 5.0)),
        ]
    };
    let report = |events: &[Stamped]| Report::of(events, &Past::default(), None);
    let diff = Diff::of(&report(&end(1000, -7.0)), &report(&end(1100, -4.4)));
    let changes: Vec<_> = diff.changes.iter().map(|change| (change.quantity, change.before, change.after)).collect();
    assert_eq!(changes, [(Quantity::Fact, -7.0, -4.4)]);
    assert_eq!(diff.incomparable, [""; 0], "neither of the runs has a result of `off`");
    let look = Look { width: 100, ..Look::default() };
    let table = diff_table(&diff, false, look);
    assert!(table.contains("-7.0 %") && table.contains("-4.4 %") && table.contains("+2.6 points"), "{table}");

    let past = Past::of([&*RunModel::of(&end(1000, -7.0))]);
    let report = Report::of(&end(1100, -4.4), &past, None);
    let change = report.stage("compare").unwrap().change().unwrap();
    assert_eq!((change.duration, change.sizes), ((5.0, 5.0), vec![]));
    assert!(report.stage("compare").unwrap().outputs.iter().all(|output| output.before().is_none()));
}

#[test]
fn sizes_of_earlier_runs() {
    let earlier = |run: &str, bytes| {
        let mut begun = run_started(&["gather"]);
        if let Event::RunStarted { run: name, .. } = &mut begun {
            *name = run.into();
        }
        RunModel::of(&[at(0, begun), at(0, done("gather", 4.0, vec![output("profile", bytes)]))])
    };
    let past = Past::of([&*earlier("r1", 10), &*earlier("r2", 20)]);
    let report = Report::of(&events(), &past, None);
    let gather = report.stage("gather").unwrap();
    assert_eq!(gather.outputs[0].before(), Some(20));
    assert_eq!(gather.outputs[0].earlier.iter().map(|earlier| earlier.bytes).collect::<Vec<_>>(), [10, 20]);
    assert_eq!(gather.before.as_ref().map(|before| (before.run.as_str(), before.duration)), Some(("r2", 4.0)));
}

#[test]
fn a_report_reads_back_and_follows_its_schema() {
    let report = report();
    let value = serde_json::to_value(&report).unwrap();
    follows_schema(&value);
    assert_eq!(serde_json::from_value::<Report>(value).unwrap(), report);
}

#[test]
fn the_trace_has_every_step_once() {
    let trace = trace::render(&report());
    let events = trace["traceEvents"].as_array().unwrap();
    let spans: Vec<_> = events.iter().filter(|event| event["ph"] == "X").collect();
    let names: Vec<&str> = spans.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["gather", "check", "workloads", "a", "b-x", "a-merge", "shell", "build"]);
    let of = |name: &str| spans.iter().find(|event| event["name"] == name).unwrap();
    assert_eq!((of("a")["ts"].as_f64(), of("a")["dur"].as_f64()), (Some(2e6), Some(4e6)));
    assert_ne!(of("a")["tid"], of("b-x")["tid"], "they overlap");
    assert_eq!(of("build")["dur"].as_f64(), Some(2e6), "as far as the run goes");
    for event in events {
        let metadata = event["ph"] == "M";
        assert!(event["pid"].is_u64() && event["name"].is_string() && (metadata || event["ts"].is_f64()), "{event}");
    }
}

#[test]
fn names_are_text_whatever_is_in_them() {
    let name = "<b>\"x' & </script>";
    let mut nasty = failure();
    nasty.tail = vec!["</pre><script>".into()];
    nasty.command = "echo '</details>'".into();
    let events = [
        at(0, run_started(&[name])),
        at(0, started(name, None)),
        at(0, step_started(name, name)),
        at(1, fact(name, "merge", &format!("hot/{name}"), 1.0, "")),
        at(1, fact(name, "merge", &format!("inner/{name}"), 1.0, "s")),
        at(2, failed(name, 2.0, nasty, false)),
        at(2, run_finished(event::Outcome::Failed, 2.0)),
    ];
    let html = html::render(&Report::of(&events, &Past::default(), None)).unwrap();
    assert_eq!(html.matches("<script").count(), 2, "the data and the script");
    assert_eq!(html.matches("</script>").count(), 2);
    assert!(!html.contains("<b>\"") && !html.contains("</pre><script") && !html.contains("'</details>'"));
    assert!(html.contains("&lt;b&gt;&quot;x' &amp; &lt;/script&gt;"));
}

#[test]
fn nothing_at_all_has_a_report_too() {
    for events in [vec![], vec![at(0, run_started(&[]))], vec![at(0, run_started(&["a"]))]] {
        let report = Report::of(&events, &Past::default(), None);
        assert!(html::render(&report).unwrap().contains("</html>"));
        assert!(markdown::render(&report).starts_with("### "));
        assert!(trace::render(&report)["traceEvents"].is_array());
    }
}

#[test]
fn one_is_singular_in_the_page() {
    let events = [
        at(0, run_started(&["g"])),
        at(0, started("g", None)),
        at(1, step_started("g", "merge")),
        at(1, fact("g", "@a/merge", "raw-profiles", 1.0, "files")),
        at(1, fact("g", "@a/merge", "raw-bytes", 2048.0, "bytes")),
        at(1, fact("g", "merge", "functions", 1.0, "functions")),
        at(1, fact("g", "@a/merge", "damaged-profiles", 1.0, "files")),
        at(1, fact("g", "merge", "empty-profiles", 1.0, "files")),
        at(1, done("g", 1.0, vec![])),
    ];
    let page = html::render(&Report::of(&events, &Past::default(), None)).unwrap();
    // The data stand behind the page, and in elements of their own in it.
    let page = page.split("<script").next().unwrap();
    let text: String = page.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text)).collect();
    assert!(text.contains("1 raw profile, 2.0 KiB, became one with 1 function; 1 was damaged and left out."), "{text}");
    assert!(text.contains("1 file") && !text.contains("1 files"), "{text}");
}
