//! A run in the trace format that Chrome and Perfetto read: each stage a process, its steps and workloads the threads in it.
//!
//! The format: "Trace Event Format", JSON object form; moments and durations in microseconds.

use serde_json::{Value, json};

use super::model::{Report, Run, Stage, StepKind};

/// Of the run as a whole; stages are counted from here on.
const RUN: usize = 1;
/// The first thread with steps.
const STEPS: usize = 1;

/// The trace as JSON.
pub fn render(report: &Report) -> Value {
    let mut events = Vec::new();
    name(&mut events, RUN, 0, &format!("optbuild {}", report.run.pipeline));
    let timeline = &report.timeline;
    for (index, (cores, memory)) in timeline.cores.iter().zip(&timeline.memory).enumerate() {
        let at = micros(index as f64 * timeline.step);
        events.push(json!({"ph": "C", "pid": RUN, "name": "busy cores", "ts": at, "args": {"cores": cores}}));
        events.push(json!({"ph": "C", "pid": RUN, "name": "memory", "ts": at, "args": {"bytes": memory}}));
    }
    for (number, stage) in report.stages.iter().enumerate().filter(|(_, stage)| stage.start.is_some()) {
        add_stage(&mut events, RUN + 1 + number, stage, &report.run);
    }
    json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "run": report.run.id,
            "pipeline": report.run.pipeline,
            "optbuild": report.run.optbuild,
            "started": report.run.started,
        },
        "traceEvents": events,
    })
}

fn add_stage(events: &mut Vec<Value>, pid: usize, stage: &Stage, run: &Run) {
    name(events, pid, pid, &stage.name);
    events.push(json!({
        "ph": "X", "pid": pid, "tid": 0, "name": stage.name, "cat": "stage",
        "ts": micros(stage.start.unwrap_or_default()), "dur": micros(stage.duration),
        "args": {"status": stage.state.words(run.running), "fingerprint": stage.fingerprint, "reasons": stage.reasons},
    }));
    events.push(json!({"ph": "M", "pid": pid, "tid": 0, "name": "thread_name", "args": {"name": "stage"}}));
    let mut lanes = 0;
    for step in &stage.steps {
        let tid = if step.kind == StepKind::Pool { 0 } else { STEPS + step.lane };
        lanes = lanes.max(tid);
        events.push(json!({
            "ph": "X", "pid": pid, "tid": tid, "name": step.name, "cat": step.kind,
            "ts": micros(step.start), "dur": micros(step.length(run.wall)),
            "args": {
                "command": step.command, "log": step.log, "cpu": step.cpu(), "peak memory": step.peak_memory,
            },
        }));
    }
    for tid in STEPS..=lanes {
        let named = format!("steps {tid}");
        events.push(json!({"ph": "M", "pid": pid, "tid": tid, "name": "thread_name", "args": {"name": named}}));
    }
}

fn name(events: &mut Vec<Value>, pid: usize, order: usize, name: &str) {
    events.push(json!({"ph": "M", "pid": pid, "name": "process_name", "args": {"name": name}}));
    events.push(json!({"ph": "M", "pid": pid, "name": "process_sort_index", "args": {"sort_index": order}}));
}

fn micros(seconds: f64) -> f64 {
    (seconds * 1e6).round()
}
