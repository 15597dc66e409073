//! What a run came to: built event by event, live or from a journal that is read back.
//!
//! Data and arithmetic only; how it is shown is in the files beside this one.

pub mod alike;
pub mod closing;
mod facts;
mod previous;
pub mod profiles;
mod shown;
pub mod table;

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;

pub use crate::event::Fact;
pub use previous::{Change, Previous, PreviousStage};
pub use shown::{Shown, shown};

use crate::event::{Event, Failure, Outcome, OutputInfo, Stamped, Usage};
use crate::names::StepId;

/// A run, as far as its events tell. Durations are in seconds.
#[derive(Debug, Clone, Default)]
pub struct RunSummary {
    pub run: String,
    pub pipeline: String,
    pub file: Utf8PathBuf,
    pub args: Vec<String>,
    /// Without secrets.
    pub variables: BTreeMap<String, serde_json::Value>,
    pub jobs: usize,
    pub started: Option<Timestamp>,
    /// Time of the last event.
    pub latest: Option<Timestamp>,
    /// `None`: it is still under way, or was killed.
    pub outcome: Option<Outcome>,
    /// It is under way. Events cannot tell: whoever looks at its process does.
    pub running: bool,
    /// Of the whole run, as it says itself; 0 as long as it has not ended.
    pub duration: f64,
    /// In the order of the file.
    pub stages: Vec<StageSummary>,
}

/// A stage of a run.
#[derive(Debug, Clone, Default)]
pub struct StageSummary {
    pub name: String,
    pub status: Status,
    pub duration: f64,
    /// Seconds that earlier runs worked on what this one went on with.
    pub earlier: f64,
    pub hashing: f64,
    pub outputs: Vec<OutputInfo>,
    /// Sums over all its steps, with those that were tried again; of `peak_memory` the largest.
    pub usage: Usage,
    pub workloads: Workloads,
    pub facts: Vec<Fact>,
    pub reasons: Vec<String>,
    pub notes: Vec<String>,
    pub failure: Option<Failure>,
    /// How often a step or workload was tried again.
    pub retries: usize,
    /// Steps that are pools: what they used is counted with their workloads.
    pools: Vec<StepId>,
}

/// Where a stage stands in a run.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Status {
    /// Its turn did not come.
    #[default]
    Pending,
    UpToDate {
        /// What it took when it ran.
        saved: f64,
    },
    Skipped {
        reason: String,
    },
    Blocked {
        by: String,
    },
    /// Under way; in the journal of a run that was killed, what it was doing.
    Running,
    Done,
    Failed {
        tolerated: bool,
    },
    Interrupted,
}

/// How far the pools of a stage are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Workloads {
    /// 0 if nobody said.
    pub total: usize,
    /// Counted by this run or an earlier one.
    pub committed: usize,
}

impl RunSummary {
    /// The summary of a journal.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Stamped>) -> RunSummary {
        let mut summary = RunSummary::default();
        events.into_iter().for_each(|event| summary.add(event));
        summary
    }

    /// Takes in the next event.
    pub fn add(&mut self, stamped: &Stamped) {
        self.latest = Some(stamped.time);
        match &stamped.event {
            Event::RunStarted { run, pipeline, file, args, vars, stages, jobs, .. } => {
                self.run = run.to_string();
                self.pipeline.clone_from(pipeline);
                self.file.clone_from(file);
                self.args.clone_from(args);
                self.variables.clone_from(vars);
                self.jobs = *jobs;
                self.started = Some(stamped.time);
                stages.iter().for_each(|stage| _ = self.stage(stage));
            }
            Event::RunFinished { outcome, duration } => {
                self.outcome = Some(*outcome);
                self.duration = *duration;
            }
            event => self.add_to_stage(event),
        }
    }

    fn add_to_stage(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. } | Event::RunFinished { .. } | Event::ProcessStarted { .. } => {}
            Event::StepStarted { .. } | Event::ToolsUsed { .. } | Event::Sampled { .. } => {}
            Event::StageUpToDate { stage, saved, .. } => self.stage(stage).status = Status::UpToDate { saved: *saved },
            Event::StageSkipped { stage, reason, .. } => {
                self.stage(stage).status = Status::Skipped { reason: reason.clone() };
            }
            Event::StageBlocked { stage, by } => self.stage(stage).status = Status::Blocked { by: by.to_string() },
            Event::StageStarted { stage, reasons, earlier, .. } => {
                let stage = self.stage(stage);
                stage.status = Status::Running;
                stage.earlier = *earlier;
                stage.reasons.clone_from(reasons);
            }
            Event::Note { stage, text } => self.stage(stage).notes.push(text.clone()),
            Event::PoolStarted { stage, step, workloads, committed } => {
                let stage = self.stage(stage);
                stage.pools.push(step.clone());
                stage.workloads.total += workloads;
                stage.workloads.committed += committed;
            }
            Event::Fact { stage, fact } => self.stage(stage).add_fact(fact.clone()),
            Event::StepFinished { stage, step, usage, .. } => {
                let stage = self.stage(stage);
                if !stage.pools.contains(step) {
                    add_usage(&mut stage.usage, usage);
                }
            }
            Event::WorkloadCommitted { stage, .. } => self.stage(stage).workloads.committed += 1,
            Event::Retrying { stage, .. } => self.stage(stage).retries += 1,
            Event::StageFinished { stage, outcome, duration, hashing, outputs, failure, tolerated } => {
                let stage = self.stage(stage);
                stage.status = match outcome {
                    Outcome::Done => Status::Done,
                    Outcome::Failed => Status::Failed { tolerated: *tolerated },
                    Outcome::Interrupted => Status::Interrupted,
                };
                stage.duration = *duration;
                stage.hashing = *hashing;
                stage.outputs.clone_from(outputs);
                stage.failure.clone_from(failure);
            }
        }
    }

    /// The stage of that name, which is added if the run did not announce it.
    fn stage(&mut self, name: &str) -> &mut StageSummary {
        let index = self.stages.iter().position(|stage| stage.name == name).unwrap_or_else(|| {
            self.stages.push(StageSummary { name: name.to_owned(), ..StageSummary::default() });
            self.stages.len() - 1
        });
        &mut self.stages[index]
    }

    /// The stage of that name.
    pub fn get(&self, name: &str) -> Option<&StageSummary> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// Wall time in seconds: what the run says, else up to its last event.
    pub fn wall(&self) -> f64 {
        match (self.outcome, self.started, self.latest) {
            (None, Some(started), Some(latest)) => latest.duration_since(started).as_secs_f64().max(0.0),
            _ => self.duration,
        }
    }

    /// Sums over all stages; `peak_memory` is of the largest process.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        self.stages.iter().for_each(|stage| add_usage(&mut sum, &stage.usage));
        sum
    }

    /// Seconds that stages spent hashing and syncing.
    pub fn hashing(&self) -> f64 {
        self.stages.iter().map(|stage| stage.hashing).sum()
    }

    /// Seconds that the stages that were up to date took when they ran.
    pub fn saved(&self) -> f64 {
        let saved = |stage: &StageSummary| match stage.status {
            Status::UpToDate { saved } => saved,
            _ => 0.0,
        };
        self.stages.iter().map(saved).sum()
    }

    /// The stages for which a test holds, in order.
    pub fn with(&self, test: impl Fn(&Status) -> bool) -> Vec<&StageSummary> {
        self.stages.iter().filter(|stage| test(&stage.status)).collect()
    }

    /// No stage was begun or blocked: all that was asked for is there.
    pub fn nothing_to_do(&self) -> bool {
        self.outcome == Some(Outcome::Done)
            && self.stages.iter().any(|stage| matches!(stage.status, Status::UpToDate { .. }))
            && !self.stages.iter().any(|stage| stage.status.ran() || matches!(stage.status, Status::Blocked { .. }))
    }
}

impl StageSummary {
    /// Seconds of all runs that worked on it.
    pub fn in_all(&self) -> f64 {
        self.earlier + self.duration
    }
}

impl Status {
    /// Whether the stage was begun in this run.
    pub fn ran(&self) -> bool {
        matches!(self, Status::Running | Status::Done | Status::Failed { .. } | Status::Interrupted)
    }

    /// In words, for tables.
    pub fn words(&self) -> String {
        match self {
            Status::Pending => "not started".into(),
            Status::UpToDate { .. } => "up to date".into(),
            Status::Skipped { .. } => "skipped".into(),
            Status::Blocked { by } => format!("blocked by {by}"),
            Status::Running => "not finished".into(),
            Status::Done => "done".into(),
            Status::Failed { tolerated: true } => "failed, tolerated".into(),
            Status::Failed { tolerated: false } => "failed".into(),
            Status::Interrupted => "interrupted".into(),
        }
    }
}

impl StageSummary {
    /// Its outputs for people: the directory `out` stands for itself only where nothing in it has a name of its own.
    pub fn shown_outputs(&self) -> impl Iterator<Item = &OutputInfo> {
        let alone = self.outputs.iter().all(|output| output.name == "out");
        self.outputs.iter().filter(move |output| alone || output.name != "out")
    }

    /// Bytes of all outputs.
    pub fn bytes(&self) -> u64 {
        self.outputs.iter().map(|output| output.bytes).sum()
    }
}

fn add_usage(sum: &mut Usage, usage: &Usage) {
    sum.wall += usage.wall;
    sum.user += usage.user;
    sum.system += usage.system;
    sum.peak_memory = sum.peak_memory.max(usage.peak_memory);
}
