//! From the events of a run, and what is known of earlier ones, to the report.

use std::collections::BTreeMap;

use super::events::{Events, in_lanes};
use super::facts;
use super::stage::EarlierSize;
use super::timeline::timeline;
use super::{Before, FORMAT, Failure, Made, Outcome, Output, Report, Run, Stage, State, Workloads};
use crate::event::{self, Event, Stamped};
use crate::report::summary::closing::{self, Again};
use crate::report::summary::{RunSummary, StageSummary, Status, shown, table};

/// What is known besides the run itself.
#[derive(Debug, Default)]
pub struct Past {
    /// Earlier runs of the pipeline with the same variables, the oldest first.
    pub earlier: Vec<RunSummary>,
    /// The run itself is under way.
    pub running: bool,
    /// For stages that were up to date: the stage as it was made, and where.
    pub made: BTreeMap<String, (String, Stage)>,
}

impl Report {
    /// The report of a run. `again` says how to go on; without it, as without options.
    pub fn of(events: &[Stamped], past: &Past, again: Option<&Again>) -> Report {
        let summary = RunSummary { running: past.running, ..RunSummary::of(events) };
        let course = Events::of(events, &summary);
        let wall = summary.wall();
        let default = Again::of(&summary);
        let mut stages: Vec<Stage> = summary.stages.iter().map(|stage| course.stage(stage, past)).collect();
        for stage in &mut stages {
            take_over(stage, past);
            let made = stage.made.as_ref().map(|made| made.run.as_str());
            let measures = stage.measures();
            for output in stage.outputs.iter_mut().filter(|_| !measures) {
                output.earlier = sizes(past, &stage.name, &output.name, made);
            }
        }
        let comparisons = super::files::comparisons(&stages);
        // A table of what is here as numbers says nothing else.
        let compared = |title: &str| {
            comparisons.iter().any(|of| title.strip_prefix(&of.stage).is_some_and(|rest| rest.starts_with('.')))
        };
        let shown = shown(&summary).into_iter().filter(|shown| !compared(&shown.title));
        let shown = shown.map(|shown| super::Shown { title: shown.title, text: shown.text }).collect();
        Report {
            format: FORMAT,
            run: course.run(&summary, again.unwrap_or(&default)),
            timeline: timeline(wall, &course.courses()),
            comparisons,
            shown,
            tools: course.tools(),
            stages,
        }
    }
}

/// What a stage that was up to date has was made by an earlier run.
fn take_over(stage: &mut Stage, past: &Past) {
    if stage.state != State::UpToDate {
        return;
    }
    if let Some((run, made)) = past.made.get(&stage.name) {
        let here = std::mem::take(stage);
        let duration = here.made.map_or(made.duration, |made| made.duration);
        *stage = Stage {
            name: here.name,
            state: here.state,
            made: Some(Made { run: run.clone(), duration }),
            start: None,
            duration: 0.0,
            hashing: 0.0,
            failure: None,
            reasons: Vec::new(),
            steps: Vec::new(),
            before: None,
            ..made.clone()
        };
    }
}

/// In runs before the one that made it: this one, or `made`.
fn sizes(past: &Past, stage: &str, output: &str, made: Option<&str>) -> Vec<EarlierSize> {
    let size = |run: &RunSummary| {
        let stage = run.get(stage).filter(|stage| stage.status == Status::Done)?;
        let output = stage.outputs.iter().find(|known| known.name == output)?;
        Some(EarlierSize { run: run.run.clone(), bytes: output.bytes })
    };
    past.earlier.iter().take_while(|run| Some(run.run.as_str()) != made).filter_map(size).collect()
}

impl Events<'_> {
    fn run(&self, summary: &RunSummary, again: &Again) -> Run {
        let usage = summary.usage();
        let (mut optbuild, mut cwd) = (String::new(), String::new());
        if let Some(Event::RunStarted { version, cwd: begun_in, .. }) = self.begin {
            (optbuild, cwd) = (version.clone(), begun_in.to_string());
        }
        let words = ["optbuild"].into_iter().chain(summary.args.iter().map(String::as_str));
        let command = shlex::try_join(words).unwrap_or_default();
        Run {
            id: summary.run.clone(),
            pipeline: summary.pipeline.clone(),
            file: summary.file.to_string(),
            optbuild,
            command,
            cwd,
            variables: summary.variables.clone(),
            started: self.started.to_string(),
            outcome: summary.outcome.as_ref().map_or(Outcome::Unfinished, Outcome::from),
            running: summary.running,
            verdict: closing::verdict(summary, again),
            remedies: closing::remedies(summary, again),
            remarks: [table::profiles(summary), table::others(summary)]
                .concat()
                .into_iter()
                .chain(table::totals(summary))
                .collect(),
            wall: summary.wall(),
            cpu: usage.user + usage.system,
            peak_memory: usage.peak_memory,
            hashing: summary.hashing(),
            saved: summary.saved(),
            jobs: summary.jobs,
        }
    }

    fn stage(&self, stage: &StageSummary, past: &Past) -> Stage {
        let (start, jobs, fingerprint) = self.begun.get(stage.name.as_str()).copied().unwrap_or_default();
        let facts = facts::sort(&stage.facts);
        let (state, why, made) = state(&stage.status);
        let duration = match (state, start) {
            (State::Unfinished, Some(start)) => (self.summary.wall() - start).max(0.0),
            _ => stage.duration,
        };
        Stage {
            name: stage.name.clone(),
            state,
            why,
            made,
            start,
            duration,
            earlier: stage.earlier,
            hashing: stage.hashing,
            user: stage.usage.user,
            system: stage.usage.system,
            peak_memory: stage.usage.peak_memory,
            jobs,
            fingerprint: fingerprint.into(),
            reasons: stage.reasons.clone(),
            notes: stage.notes.clone(),
            retries: stage.retries,
            workloads: Workloads { total: stage.workloads.total, committed: stage.workloads.committed },
            steps: self.steps.get(stage.name.as_str()).map(|steps| in_lanes(steps)).unwrap_or_default(),
            inner: facts.inner,
            outputs: stage.outputs.iter().map(output).collect(),
            profile: facts.profile,
            bolt: facts.bolt,
            facts: facts.rest,
            failure: stage.failure.as_ref().map(failure),
            before: if state == State::Done { before(past, &stage.name) } else { None },
        }
    }
}

fn before(past: &Past, stage: &str) -> Option<Before> {
    past.earlier.iter().rev().find_map(|run| {
        let stage = run.get(stage).filter(|stage| stage.status == Status::Done)?;
        Some(Before { run: run.run.clone(), duration: stage.in_all() })
    })
}

fn state(status: &Status) -> (State, Option<String>, Option<Made>) {
    let plain = |state| (state, None, None);
    match status {
        Status::Pending => plain(State::NotStarted),
        Status::UpToDate { saved } => (State::UpToDate, None, Some(Made { run: String::new(), duration: *saved })),
        Status::Skipped { reason } => (State::Skipped, Some(reason.clone()), None),
        Status::Blocked { by } => (State::Blocked, Some(by.clone()), None),
        Status::Running => plain(State::Unfinished),
        Status::Done => plain(State::Done),
        Status::Failed { tolerated: false } => plain(State::Failed),
        Status::Failed { tolerated: true } => plain(State::Tolerated),
        Status::Interrupted => plain(State::Interrupted),
    }
}

fn output(output: &event::OutputInfo) -> Output {
    let (path, earlier) = (output.path.to_string(), Vec::new());
    Output { name: output.name.clone(), path, bytes: output.bytes, files: output.files, earlier }
}

fn failure(failure: &event::Failure) -> Failure {
    let plain = |lines: &[String]| lines.iter().map(|line| crate::text::plain_line(line)).collect();
    Failure {
        step: failure.step.to_string(),
        what: failure.what.clone(),
        command: failure.command.clone(),
        log: failure.log.as_ref().map(ToString::to_string).unwrap_or_default(),
        error: plain(&failure.error),
        tail: plain(&failure.tail),
        environment: failure.environment,
    }
}

impl From<&event::Outcome> for Outcome {
    fn from(outcome: &event::Outcome) -> Outcome {
        match outcome {
            event::Outcome::Done => Outcome::Done,
            event::Outcome::Failed => Outcome::Failed,
            event::Outcome::Interrupted => Outcome::Interrupted,
        }
    }
}
