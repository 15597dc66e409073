//! Scripted events, and a console that writes into memory.

use std::io::Write;
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use optbuild::event::{Event, Fact, Failure, Outcome, OutputInfo, Stamped, Usage};
use optbuild::names::StepId;
use optbuild::report::model::Report;
use optbuild::report::{Console, ConsoleOptions, Listener, Mode};
use serde_json::Value;

/// 2022-10-04 14:02:11 UTC, the second when the scripted runs begin.
pub const BEGIN: i64 = 1_664_892_131;

pub fn at(seconds: i64, event: Event) -> Stamped {
    Stamped { time: Timestamp::from_second(BEGIN + seconds).unwrap(), event }
}

/// A step as tests write it: `build`, of a workload `@WORKLOAD`, around it `@WORKLOAD/STEP`.
pub fn id(step: &str) -> StepId {
    match step.strip_prefix('@').map(|workload| workload.split_once('/').ok_or(workload)) {
        None => StepId::step(step),
        Some(Ok((workload, step))) => StepId::around(workload, step),
        Some(Err(workload)) => StepId::workload(workload),
    }
}

pub fn run_started(stages: &[&str]) -> Event {
    Event::RunStarted {
        run: "r1".into(),
        pipeline: "demo".into(),
        file: "/p/demo.toml".into(),
        pipeline_hash: "h".into(),
        args: vec!["run".into(), "demo".into()],
        vars: Default::default(),
        forced: vec![],
        stages: stages.iter().map(|&stage| stage.into()).collect(),
        jobs: 2,
        version: "0.1.0".into(),
        pid: 1,
        pid_start: 1,
        cwd: "/p".into(),
    }
}

pub fn run_finished(outcome: Outcome, duration: f64) -> Event {
    Event::RunFinished { outcome, duration }
}

pub fn up_to_date(stage: &str, saved: f64) -> Event {
    Event::StageUpToDate { stage: stage.into(), fingerprint: "f".into(), saved }
}

pub fn started(stage: &str, expected: Option<f64>) -> Event {
    let reasons = vec!["it was never done".into()];
    Event::StageStarted { stage: stage.into(), fingerprint: "f".into(), reasons, expected, earlier: 0.0, jobs: 2 }
}

pub fn step_started(stage: &str, step: &str) -> Event {
    Event::StepStarted {
        stage: stage.into(),
        step: id(step),
        command: "cd '/s/a b' && cmake --build .".into(),
        cwd: "/s/a b".into(),
        log: format!("/s/logs/{stage}/{}.log", id(step)).into(),
    }
}

pub fn step_finished(stage: &str, step: &str, wall: f64) -> Event {
    let usage = Usage { wall, user: wall * 1.5, system: 0.25, peak_memory: 2 << 20 };
    Event::StepFinished { stage: stage.into(), step: id(step), outcome: Outcome::Done, usage }
}

pub fn pool(stage: &str, workloads: usize, committed: usize) -> Event {
    Event::PoolStarted { stage: stage.into(), step: id("workloads"), workloads, committed }
}

pub fn committed(stage: &str, workload: &str) -> Event {
    Event::WorkloadCommitted { stage: stage.into(), workload: workload.into(), attempt: 1 }
}

pub fn fact(stage: &str, step: &str, name: &str, value: f64, unit: &str) -> Event {
    Event::Fact { stage: stage.into(), fact: Fact::new(name, value, unit).of(&id(step)) }
}

pub fn output(name: &str, bytes: u64) -> OutputInfo {
    OutputInfo { name: name.into(), path: format!("/s/outputs/{name}").into(), bytes, files: 1, show: false }
}

pub fn done(stage: &str, duration: f64, outputs: Vec<OutputInfo>) -> Event {
    Event::StageFinished {
        stage: stage.into(),
        outcome: Outcome::Done,
        duration,
        hashing: 0.5,
        outputs,
        failure: None,
        tolerated: false,
    }
}

pub fn failure() -> Failure {
    Failure {
        step: id("optimize"),
        what: "the command exited with status 1".into(),
        command: "cd /s/build && env LC_ALL=C llvm-bolt in.so -o out.so".into(),
        log: Some("/s/logs/lib-bolt/optimize.log".into()),
        error: vec!["a.cpp:3:1: \u{1b}[31merror:\u{1b}[0m no".into(), "    3 | int".into()],
        tail: vec!["BOLT-INFO: \u{1b}[32mreading\u{1b}[0m".into(), "BOLT-ERROR: no relocations".into()],
        environment: false,
    }
}

pub fn failed(stage: &str, duration: f64, failure: Failure, tolerated: bool) -> Event {
    Event::StageFinished {
        stage: stage.into(),
        outcome: Outcome::Failed,
        duration,
        hashing: 0.0,
        outputs: vec![],
        failure: Some(failure),
        tolerated,
    }
}

pub fn interrupted(stage: &str, duration: f64) -> Event {
    Event::StageFinished {
        stage: stage.into(),
        outcome: Outcome::Interrupted,
        duration,
        hashing: 0.0,
        outputs: vec![],
        failure: None,
        tolerated: false,
    }
}

pub fn blocked(stage: &str, by: &str) -> Event {
    Event::StageBlocked { stage: stage.into(), by: by.into() }
}

pub fn skipped(stage: &str, reason: &str) -> Event {
    Event::StageSkipped { stage: stage.into(), reason: reason.into(), fingerprint: None }
}

/// Memory that can be read while somebody else writes to it.
#[derive(Clone, Default)]
pub struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Options whose times of day are UTC.
pub fn options(mode: Mode) -> ConsoleOptions {
    ConsoleOptions { zone: TimeZone::UTC, width: Some(100), ..ConsoleOptions::new(mode) }
}

/// What a console without a terminal writes.
pub fn shown(options: ConsoleOptions, events: &[Stamped]) -> String {
    let buffer = Buffer::default();
    let mut console = Console::on_writer(options, Box::new(buffer.clone()));
    for event in events {
        console.event(event).unwrap();
        console.tick();
    }
    console.finish().unwrap();
    buffer.text()
}

/// A report has what its schema says, and nothing else.
pub fn follows_schema(report: &Value) {
    let mut schema = Report::schema().to_value();
    closed(&mut schema);
    assert_eq!(super::schema::errors(&schema, report), [""; 0]);
}

/// Lets no object have properties that the schema does not name: readers ignore them, writers have to declare them.
fn closed(schema: &mut Value) {
    if let Some(object) = schema.as_object_mut() {
        if object.contains_key("properties") {
            object.entry("additionalProperties").or_insert(false.into());
        }
        object.values_mut().for_each(closed);
    } else if let Some(items) = schema.as_array_mut() {
        items.iter_mut().for_each(closed);
    }
}
