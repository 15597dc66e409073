//! What a stage took is what all runs took that worked on it: an estimate for the next one, and what it saves.

use std::time::Duration;

use crate::support::kill::Project;
use crate::support::kill::crash::pipeline;
use crate::support::processes::eventually;
use jiff::Timestamp;
use rustix::process::Signal;
use serde_json::Value;

fn time(event: &Value) -> Timestamp {
    event["time"].as_str().unwrap().parse().unwrap()
}

/// Of a stage in a run: its beginning, and seconds until it was over, at the latest with the run's last word.
fn span(project: &Project, run: &str, stage: &str) -> (Value, f64) {
    let events = project.events(run);
    let of = |kind: &str| events.iter().find(|event| event["event"] == kind && event["stage"] == stage).cloned();
    let begun = of("stage-started").unwrap();
    let length = match of("stage-finished") {
        Some(end) => end["duration"].as_f64().unwrap(),
        None => (time(events.last().unwrap()) - time(&begun)).total(jiff::Unit::Second).unwrap(),
    };
    (begun, length)
}

/// Runs it up to a stage, and interrupts it there after a while.
fn interrupt(project: &Project, args: &[&str], stage: &str) {
    let run = project.start(args);
    project.reached(stage);
    std::thread::sleep(Duration::from_millis(300));
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code(), Some(130));
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.05
}

#[test]
fn a_stage_that_was_killed_and_interrupted_took_all_three_runs() {
    let project = Project::new(&pipeline());
    project.hold("second");
    let run = project.start(&["run", "-j", "1"]);
    project.reached("second");
    // A look at its processes is the last word of the first run: about a second after the stage began.
    assert!(eventually(|| !project.last_events("sampled").is_empty()));
    run.kill();
    project.nothing_left();
    interrupt(&project, &["resume"], "second");
    project.release("second");
    let ended = project.succeed(&["resume"]);

    let runs = project.runs();
    let spans: Vec<(Value, f64)> = runs.iter().map(|run| span(&project, run, "second")).collect();
    let before: Vec<f64> = spans.iter().map(|(begun, _)| begun["earlier"].as_f64().unwrap()).collect();
    assert!(spans[1].1 > 0.29, "{spans:?}");
    assert_eq!(before[0], 0.0);
    assert!(close(before[1], spans[0].1), "{spans:?}");
    assert!(close(before[2], spans[0].1 + spans[1].1), "{spans:?}");
    let took = project.record("second").unwrap()["duration"].as_f64().unwrap();
    // The event counts the writing of the record, the record cannot.
    assert!(took >= before[2] && took <= before[2] + spans[2].1, "{took} {spans:?}");
    // The others were done in the first run.
    assert!(took > project.record("first").unwrap()["duration"].as_f64().unwrap());
    let said = before[2] >= 1.0;
    assert_eq!(ended.output.contains("second: started, goes on after "), said, "{}", ended.output);

    // The next time that is what it is expected to take, and it goes on with nothing.
    project.succeed(&["run", "--force"]);
    let (begun, _) = span(&project, &project.runs()[3], "second");
    assert_eq!(begun["earlier"], 0.0);
    let expected = begun["expected"].as_f64().unwrap();
    assert!(expected >= took - 0.001 && expected <= before[2] + spans[2].1 + 0.001, "{took} {spans:?} {begun}");
}

/// What another stage has changed since is no longer there to go on with.
#[test]
fn a_workspace_that_another_stage_has_changed_is_nothing_to_go_on_with() {
    let project = Project::new(&pipeline());
    project.hold("second");
    interrupt(&project, &["run", "-j", "1"], "second");
    project.release("second");
    project.succeed(&["run", "--only", "first"]);
    project.succeed(&["run"]);
    let (begun, _) = span(&project, &project.runs()[2], "second");
    assert_eq!(begun["earlier"], 0.0);
}

/// What is begun by force counts from there, in the runs that go on with it as well.
#[test]
fn what_was_forced_counts_from_there() {
    let project = Project::new(&pipeline());
    project.succeed(&["run"]);
    project.hold("last");
    interrupt(&project, &["run", "--from", "last"], "last");
    project.release("last");
    project.succeed(&["resume"]);
    let runs = project.runs();
    let (forced, length) = span(&project, &runs[1], "last");
    assert_eq!(forced["earlier"], 0.0);
    let (resumed, _) = span(&project, &runs[2], "last");
    assert!(close(resumed["earlier"].as_f64().unwrap(), length), "{resumed} {length}");
}
