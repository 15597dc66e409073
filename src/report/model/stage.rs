//! A stage of a run, with its steps and outputs. Data only.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::facts::{Bolt, Inner, Profile};
use crate::compare::result::is_result;
use crate::event::Fact;

/// A stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Stage {
    pub name: String,
    pub state: State,
    /// Why it was skipped, or who blocks it.
    pub why: Option<String>,
    /// Where it was made, if this run did not: it was up to date.
    pub made: Option<Made>,
    /// When it began; none if it did not.
    pub start: Option<f64>,
    pub duration: f64,
    /// How long earlier runs worked on what it went on with.
    #[serde(default)]
    pub earlier: f64,
    /// Of the duration: in which none of its commands ran.
    pub hashing: f64,
    /// Sums over all its steps, with those that were tried again.
    pub user: f64,
    pub system: f64,
    /// Of the largest process.
    pub peak_memory: u64,
    /// Slots that it was given.
    pub jobs: usize,
    pub fingerprint: String,
    /// Why it ran.
    pub reasons: Vec<String>,
    pub notes: Vec<String>,
    pub retries: usize,
    pub workloads: Workloads,
    pub steps: Vec<Step>,
    /// Steps of a build tool inside of a step, the longest first.
    pub inner: Vec<Inner>,
    pub outputs: Vec<Output>,
    pub profile: Option<Profile>,
    pub bolt: Option<Bolt>,
    /// What its operations counted, besides the above.
    pub facts: Vec<Fact>,
    pub failure: Option<Failure>,
    /// When it was last done before this run.
    pub before: Option<Before>,
}

/// What became of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its turn did not come.
    #[default]
    NotStarted,
    UpToDate,
    Skipped,
    Blocked,
    /// The run is under way, or was killed when this stage was.
    Unfinished,
    Done,
    Failed,
    /// It failed, and the pipeline goes on without it.
    Tolerated,
    Interrupted,
}

impl State {
    /// Whether the stage was begun in this run.
    pub fn ran(self) -> bool {
        matches!(self, State::Unfinished | State::Done | State::Failed | State::Tolerated | State::Interrupted)
    }

    /// Whether its outputs are there.
    pub fn has_outputs(self) -> bool {
        matches!(self, State::Done | State::UpToDate)
    }

    /// `running`: the run is under way.
    pub fn words(self, running: bool) -> &'static str {
        match self {
            State::Unfinished if running => "running",
            State::NotStarted => "not started",
            State::UpToDate => "up to date",
            State::Skipped => "skipped",
            State::Blocked => "blocked",
            State::Unfinished => "not finished",
            State::Done => "done",
            State::Failed => "failed",
            State::Tolerated => "failed, tolerated",
            State::Interrupted => "interrupted",
        }
    }
}

/// The earlier run that made what a stage has.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Made {
    pub run: String,
    /// What it took then.
    pub duration: f64,
}

/// How far the workloads of a stage are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Workloads {
    pub total: usize,
    /// Counted by this run or an earlier one.
    pub committed: usize,
}

/// A command that was run, or a pool of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Step {
    pub name: String,
    pub kind: StepKind,
    pub start: f64,
    /// None if it did not end before the run did.
    pub duration: Option<f64>,
    pub outcome: super::Outcome,
    pub user: f64,
    pub system: f64,
    /// Of the largest process.
    pub peak_memory: u64,
    /// Ready to paste; without secrets. Empty for a pool.
    pub command: String,
    pub log: String,
    /// Steps of one lane do not overlap.
    pub lane: usize,
}

/// What a step is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    Step,
    /// Workloads, each of which is a step of its own.
    Pool,
    Workload,
    /// Before or after a workload: its name begins with that of the workload.
    AroundWorkload,
}

/// An output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Output {
    pub name: String,
    pub path: String,
    pub bytes: u64,
    pub files: u64,
    /// In earlier runs that made it, the latest last. None of a comparison.
    pub earlier: Vec<EarlierSize>,
}

/// The size that an output had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct EarlierSize {
    pub run: String,
    pub bytes: u64,
}

/// Why a stage failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Failure {
    pub step: String,
    /// A sentence: `the command exited with status 1`.
    pub what: String,
    /// Ready to paste; empty if no command failed.
    pub command: String,
    pub log: String,
    /// The first error of the log and what follows it, if it does not stand among the last lines.
    #[serde(default)]
    pub error: Vec<String>,
    /// The last lines of the log.
    pub tail: Vec<String>,
    /// The failure is of the machine (a tool, a disk, a permission), not of the stage.
    pub environment: bool,
}

/// A stage when it was done before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Before {
    pub run: String,
    /// Of that run, and of those that had worked on it before.
    pub duration: f64,
}

impl Stage {
    /// Seconds of all runs that worked on it.
    pub fn in_all(&self) -> f64 {
        self.earlier + self.duration
    }

    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }

    /// Its outputs for people: the directory `out` stands for itself only where nothing in it has a name of its own.
    pub fn shown_outputs(&self) -> impl Iterator<Item = &Output> {
        let alone = self.outputs.iter().all(|output| output.name == "out");
        self.outputs.iter().filter(move |output| alone || output.name != "out")
    }

    /// Whether its outputs are results of measuring, whose sizes say nothing.
    pub fn measures(&self) -> bool {
        self.outputs.iter().any(|output| is_result(output.path.as_str().into()))
    }

    /// The commands that a person would ask for first: what the stage did, without what is done around each workload.
    pub fn main_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| step.kind != StepKind::AroundWorkload)
    }
}

impl Output {
    /// Its size the last time before this run.
    pub fn before(&self) -> Option<u64> {
        self.earlier.last().map(|earlier| earlier.bytes)
    }
}

impl Step {
    pub fn cpu(&self) -> f64 {
        self.user + self.system
    }
}
