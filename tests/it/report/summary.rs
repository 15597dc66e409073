//! The arithmetic of summaries, and the table at several widths.

use super::support::*;
use optbuild::event::{Event, Outcome, StageState, Stamped};
use optbuild::report::Past;
use optbuild::report::model::Report;
use optbuild::report::paint::{Look, Paint};
use optbuild::report::summary::{self, Again, verdict};
use optbuild::report::{Json, Listener, RunModel, github::StepSummary, markdown};

fn run() -> Vec<Stamped> {
    vec![
        at(0, run_started(&["lib-instrumented", "lib-gather", "lib-bolt", "shell", "verify"])),
        at(0, up_to_date("lib-instrumented", 125.0)),
        at(0, started("lib-gather", None)),
        at(30, step_finished("lib-gather", "merge", 30.0)),
        at(40, step_finished("lib-gather", "check", 10.0)),
        at(40, done("lib-gather", 40.0, vec![output("profile", 1_572_864), output("map", 1000)])),
        at(40, started("lib-bolt", None)),
        at(50, failed("lib-bolt", 10.0, failure(), true)),
        at(50, started("shell", None)),
        at(80, done("shell", 30.0, vec![output("bin", 3 << 20)])),
        at(80, skipped("verify", "outside of the selection")),
        at(80, run_finished(Outcome::Done, 80.0)),
    ]
}

fn before() -> Past {
    Past::of([
        &*RunModel::of(&[at(0, done("shell", 100.0, vec![output("bin", 1)]))]),
        // A later run knows better.
        &*RunModel::of(&[
            at(0, done("lib-gather", 50.0, vec![output("profile", 1_048_576), output("map", 1000)])),
            at(0, done("shell", 24.0, vec![output("bin", (3 << 20) + 300)])),
            at(0, failed("lib-bolt", 1.0, failure(), false)),
        ]),
    ])
}

#[test]
fn sums() {
    let model = RunModel::of(&run());
    let gather = model.stage("lib-gather").unwrap();
    assert_eq!((gather.user, gather.system, gather.peak_memory), (60.0, 0.5, 2 << 20));
    assert_eq!(gather.outputs.iter().map(|output| output.bytes).sum::<u64>(), 1_573_864);
    assert_eq!(model.run.cpu, 60.5);
    assert_eq!(model.run.hashing, 1.0);
    assert_eq!(model.run.saved, 125.0);
    assert_eq!(model.run.wall, 80.0);
    assert_eq!(model.stage("lib-bolt").unwrap().state, StageState::Tolerated);
    assert!(!model.nothing_to_do());
}

#[test]
fn a_killed_run_ends_with_its_last_event() {
    let model = RunModel::of(&run()[..4]);
    assert_eq!(model.run.wall, 30.0);
    assert_eq!(model.stage("lib-gather").unwrap().state, StageState::Running);
    assert_eq!(verdict(&model, &Again::of(&model)), "ended without a result; `optbuild resume` continues");
}

#[test]
fn facts_of_several_steps() {
    let model = RunModel::of(&[
        at(0, fact("g", "a", "raw-bytes", 1024.0, "bytes")),
        // The step was tried again.
        at(0, fact("g", "a", "raw-bytes", 2048.0, "bytes")),
        at(0, fact("g", "b", "raw-bytes", 1024.0, "bytes")),
        at(0, fact("g", "a", "functions", 100.0, "")),
        at(0, fact("g", "merge", "functions", 1402.0, "")),
    ]);
    assert_eq!(model.stage("g").unwrap().fact_line(), "3.0 KiB raw, 1,402 functions");
}

#[test]
fn pools_count_what_earlier_runs_committed() {
    let model = RunModel::of(&[at(0, pool("g", 12, 5)), at(0, committed("g", "a")), at(0, committed("g", "b"))]);
    let workloads = model.stage("g").unwrap().workloads;
    assert_eq!((workloads.committed, workloads.total), (7, 12));
}

#[test]
fn changes_are_against_the_last_time_the_stage_was_done() {
    let mut model = RunModel::of(&run());
    model.hold_against(&before());
    let change = model.stage("shell").unwrap().change().unwrap();
    assert_eq!(change.duration, (24.0, 30.0));
    assert_eq!(change.sizes, [("bin".to_owned(), (3 << 20) + 300, 3 << 20)]);
    assert_eq!(model.stage("lib-bolt").unwrap().change(), None);
    assert_eq!(model.stage("lib-instrumented").unwrap().change(), None);
}

fn render(width: usize) -> String {
    let mut model = RunModel::of(&run());
    model.hold_against(&before());
    summary::render(&model, Look { width, paint: Paint::PLAIN }, true)
}

#[test]
fn the_table_at_140_columns() {
    // 40, 10 and 30 of 80 seconds in bars of 12 columns: 6, 1½ and 4½.
    let expected = "\
stage       status             duration  share of wall  outputs                      change
lib-gather  done                 40.0 s  ██████   50 %  profile 1.5 MiB, map 1000 B  -10.0 s (-20 %), profile +50 %
lib-bolt    failed, tolerated    10.0 s  █▌       13 %
shell       done                 30.0 s  ████▌    38 %  bin 3.0 MiB                  +6.0 s (+25 %), bin -300 B

up to date: lib-instrumented (2 m 05 s saved)
skipped (outside of the selection): verify
wall 1 m 20 s, CPU 1 m 01 s, largest process 2.0 MiB, hashing and syncing 1.0 s
";
    assert_eq!(render(140), expected);
}

#[test]
fn the_table_at_80_columns() {
    // In bars of 5 columns: 2½, ⅝ and 1⅞.
    let expected = "\
stage       status     duration  share of wall  outputs          change
lib-gather  done         40.0 s  ██▌      50 %  profile 1.5 MiB  time -20 %
                                                map 1000 B       profile +50 %
lib-bolt    tolerated    10.0 s  ▋        13 %
shell       done         30.0 s  █▉       38 %  bin 3.0 MiB      time +25 %
                                                                 bin -300 B
";
    let text = render(80);
    assert_eq!(&text[..expected.len()], expected);
}

/// As x.py's `metrics.json` says it; a hundredth of the stage is the least that is shown.
#[test]
fn steps_of_a_build_tool_stand_below_their_stage() {
    let model = RunModel::of(&[
        at(0, run_started(&["rustc", "test"])),
        at(0, fact("rustc", "metrics", "inner/std", 80.0, "s")),
        at(0, fact("rustc", "metrics", "inner/llvm", 900.0, "s")),
        at(0, fact("rustc", "metrics-2", "inner/std", 10.0, "s")),
        at(0, fact("rustc", "metrics", "inner/tools", 29.0, "s")),
        at(3000, done("rustc", 3000.0, vec![output("toolchain", 1 << 20)])),
        at(3750, done("test", 750.0, vec![])),
        at(3750, run_finished(Outcome::Done, 3750.0)),
    ]);
    let expected = "\
stage   status   duration  share  outputs
rustc   done    50 m 00 s   80 %  toolchain 1.0 MiB
  llvm          15 m 00 s
  std            1 m 30 s
test    done    12 m 30 s   20 %
";
    let text = summary::render(&model, Look { width: 80, paint: Paint::PLAIN }, false);
    assert_eq!(&text[..expected.len()], expected);
}

#[test]
fn no_line_is_wider_than_the_terminal_or_ends_in_spaces() {
    for width in [60, 80, 100, 140, 200] {
        for line in render(width).lines().take_while(|line| !line.is_empty()) {
            assert!(console::measure_text_width(line) <= width, "{width}: {line}");
            assert_eq!(line, line.trim_end());
        }
    }
}

#[test]
fn verdicts() {
    let names = ["a", "b", "c"];
    let say = |events: Vec<Event>| {
        let events: Vec<Stamped> = [run_started(&names)].into_iter().chain(events).map(|event| at(0, event)).collect();
        let model = RunModel::of(&events);
        verdict(&model, &Again::of(&model))
    };
    let fresh = up_to_date("a", 1.0);
    assert_eq!(
        say(vec![fresh.clone(), skipped("b", "off"), run_finished(Outcome::Done, 0.21)]),
        "nothing to do: 1 stage is up to date, 1 skipped (0.21 s)"
    );
    assert_eq!(
        say(vec![fresh.clone(), done("b", 2.0, vec![]), run_finished(Outcome::Done, 2.0)]),
        "done: 1 stage in 2.0 s; 1 up to date"
    );
    assert_eq!(
        say(vec![fresh, failed("b", 2.0, failure(), true), run_finished(Outcome::Failed, 2.0)]),
        "failed (--strict): b; 1 up to date, 1 not started (2.0 s)"
    );
    assert_eq!(
        say(vec![interrupted("a", 1.0), run_finished(Outcome::Interrupted, 1.0)]),
        "interrupted; `optbuild resume` continues"
    );
}

/// The directory stands for itself only where nothing in it has a name.
#[test]
fn a_directory_that_is_not_shown_has_no_change_either() {
    let run = |bytes| {
        let outputs = vec![output("bin", bytes), output("out", bytes + 10)];
        [at(0, run_started(&["a"])), at(0, started("a", None)), at(10, done("a", 10.0, outputs))]
    };
    let report = Report::of(&run(2000), &Past::of([&*RunModel::of(&run(1000))]), None);
    let change = report.stage("a").unwrap().change().unwrap();
    assert_eq!(change.sizes, [("bin".to_owned(), 1000, 2000)]);
    let text = markdown::render(&report);
    assert!(text.contains("bin 2.0 KiB | time ±0 %, bin +100 % |"), "{text}");
}

#[test]
fn markdown_tables_are_well_formed() {
    let mut events = run();
    let mut nasty = failure();
    nasty.what = "a | b < `c_d` & _e_\nf".into();
    nasty.tail = vec!["```".into(), "````text".into()];
    events.insert(9, at(50, failed("lib-bolt", 10.0, nasty, true)));
    let text = markdown::render(&Report::of(&events, &before(), None));
    assert!(text.starts_with(
        "### ✅ optbuild: demo\n\ndone: 2 stages in 1 m 20 s; 1 up to date; 1 failed, tolerated; 1 skipped\n\n"
    ));
    let row =
        "| lib-gather | done | 40.0 s | 50 % | profile 1.5 MiB<br>map 1000 B | -10.0 s (-20 %), profile +50 % |\n";
    assert!(text.contains(row), "{text}");
    let table = text.split("**").next().unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with('|')).collect();
    assert_eq!(rows.len(), 5, "a header, its rule, three stages");
    rows.iter().for_each(|row| assert_eq!(row.matches('|').count() - row.matches("\\|").count(), 7, "{row}"));
    assert!(
        text.contains("**lib-bolt** failed in optimize, tolerated: a \\| b &lt; `c_d` &amp; \\_e\\_ f\n"),
        "{text}"
    );
    // The fence is longer than any in the log.
    assert!(text.contains("\n\n`````text\n```\n````text\n`````\n\n</details>\n"), "{text}");
}

#[test]
fn the_step_summary_is_appended() {
    let directory = tempfile::tempdir().unwrap();
    let file = camino::Utf8PathBuf::try_from(directory.path().join("summary.md")).unwrap();
    std::fs::write(&file, "before\n").unwrap();
    let mut listener = StepSummary::new(&file, None, None);
    run().iter().for_each(|event| listener.event(event).unwrap());
    listener.finish().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("before\n### ✅ optbuild: demo\n"), "{text}");
    let mut listener = StepSummary::new(directory.path().to_str().unwrap(), None, None);
    run().iter().for_each(|event| listener.event(event).unwrap());
    let error = listener.finish().unwrap_err().to_string();
    assert_eq!(error, format!("the step summary cannot be written to {}", directory.path().display()));
}

#[test]
fn json_is_one_line_per_event_and_reads_back() {
    let mut bytes = Vec::new();
    let mut json = Json::new(&mut bytes);
    run().iter().for_each(|event| json.event(event).unwrap());
    let text = String::from_utf8(bytes).unwrap();
    let first = text.lines().nth(1).unwrap();
    assert_eq!(
        first,
        r#"{"time":"2022-10-04T14:02:11Z","event":"stage-up-to-date","stage":"lib-instrumented","fingerprint":"f","saved":125.0}"#
    );
    let back: Vec<Stamped> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(back.len(), run().len());
    assert_eq!(RunModel::of(&back).run.wall, 80.0);
}
