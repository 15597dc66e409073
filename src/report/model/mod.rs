//! A run as one value: what every form of the report is made from, and the JSON form itself.
//!
//! [`RunModel`] makes it from events, one at a time. Data only here. Durations are in seconds, sizes in bytes, moments in seconds since
//! the run began. Unaware of how it is shown.

pub mod diff;
pub mod facts;
mod fold;
pub mod past;
pub mod timeline;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compare::result::Comparison;
use crate::compare::result::is_result;
use crate::event::{self, Fact, StageState, Withheld};

pub use facts::{Bolt, Count, Estimate, Hot, Inner, Profile, WorkloadProfile};
pub use fold::RunModel;
pub use timeline::Timeline;

/// Changes when a reader of an older report would misunderstand one.
pub const FORMAT: u32 = 1;

/// A run of a pipeline.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Report {
    /// Of this document.
    pub format: u32,
    pub run: Run,
    /// All stages that are on, in the order of the pipeline.
    pub stages: Vec<Stage>,
    pub timeline: Timeline,
    /// Results of comparisons that stages made.
    pub comparisons: Vec<Compared>,
    /// What stages want shown: text files that they made.
    pub shown: Vec<Shown>,
    pub tools: Vec<Tool>,
    /// Outputs of the pipeline that were not put in place.
    #[serde(default)]
    pub withheld: Vec<Withheld>,
    /// What caches did for the run.
    #[serde(default)]
    pub cache: CacheUse,
}

/// What caches did for a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CacheUse {
    /// Stages that a cache had.
    pub hits: Vec<String>,
    /// Stages that no cache had, or that are not shared.
    pub misses: Vec<String>,
    /// Seconds that the hits took where they were made.
    pub saved: f64,
    /// Bytes of their outputs.
    pub held: u64,
    /// Bytes that were fetched, and sent, as they were transferred.
    pub fetched: u64,
    pub sent: u64,
}

/// The run as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Run {
    pub id: String,
    pub pipeline: String,
    /// The pipeline's file.
    pub file: String,
    /// Version of optbuild.
    pub optbuild: String,
    /// The command line, ready to paste; without secrets.
    pub command: String,
    /// Where it was given.
    pub cwd: String,
    /// Without secrets.
    pub variables: BTreeMap<String, serde_json::Value>,
    /// RFC 3339, in UTC.
    pub started: String,
    pub outcome: Outcome,
    /// It was under way when this was written. Then the outcome is `unfinished`, and so are the stages in hand. Events cannot tell:
    /// whoever looks at its process does.
    #[serde(default)]
    pub running: bool,
    /// One sentence that says how it ended.
    pub verdict: String,
    /// After a failure: how to go on, a line each.
    pub remedies: Vec<String>,
    /// A line each: stages that were not begun, and what the run used.
    pub remarks: Vec<String>,
    /// What the run says, else up to its last event.
    pub wall: f64,
    /// User and system time of all commands.
    pub cpu: f64,
    /// Of the largest process.
    pub peak_memory: u64,
    /// Time for hashing and syncing.
    pub hashing: f64,
    /// What the stages that were up to date took when they ran.
    pub saved: f64,
    /// Slots that the stages shared.
    pub jobs: usize,
}

/// How a run or a step ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    Failed,
    Interrupted,
    /// It is still under way, or was killed.
    #[default]
    Unfinished,
}

impl From<event::Outcome> for Outcome {
    fn from(outcome: event::Outcome) -> Outcome {
        match outcome {
            event::Outcome::Done => Outcome::Done,
            event::Outcome::Failed => Outcome::Failed,
            event::Outcome::Interrupted => Outcome::Interrupted,
        }
    }
}

impl Outcome {
    /// How it ended, if it has.
    pub fn ended(self) -> Option<event::Outcome> {
        use event::Outcome::{Done, Failed, Interrupted};
        [Done, Failed, Interrupted].into_iter().find(|outcome| Outcome::from(*outcome) == self)
    }
}

/// A comparison that a stage made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Compared {
    pub stage: String,
    pub result: Comparison,
    /// Whether the profiles of the run fit, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fit: Vec<String>,
}

/// A file that a stage wants shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Shown {
    /// `stage.output`
    pub title: String,
    /// Its text, or a sentence that says why there is none.
    pub text: String,
}

/// A program that stages ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Tool {
    pub name: String,
    pub path: String,
    /// The line in which it says its version; empty if it does not.
    pub version: String,
    pub stages: Vec<String>,
}

/// A stage.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Stage {
    pub name: String,
    pub state: StageState,
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
    #[serde(default)]
    pub warnings: Vec<Warning>,
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
    pub before: Option<Made>,
    /// All that its operations reported, as long as it is not sorted into the fields above.
    #[serde(skip)]
    pub reported: Vec<Fact>,
}

/// Something that the user should see even if everything went well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Warning {
    /// What it is about: a stage has one of each.
    pub about: String,
    pub text: String,
}

/// A stage as an earlier run made it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Made {
    pub run: String,
    /// What it took then, in that run and in those that had worked on it before.
    pub duration: f64,
}

/// How far the workloads of a stage are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    pub outcome: Outcome,
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
pub struct Output {
    pub name: String,
    pub path: String,
    pub bytes: u64,
    pub files: u64,
    /// In earlier runs that made it, the latest last. None of a comparison.
    pub earlier: Vec<EarlierSize>,
    /// Its content is to be shown.
    #[serde(skip)]
    pub show: bool,
}

/// The size that an output had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EarlierSize {
    pub run: String,
    pub bytes: u64,
}

/// Why a stage failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Failure {
    /// Empty if no step failed.
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

/// How a stage differs from the last time.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Seconds, of all runs that worked on it: the last time, and now.
    pub duration: (f64, f64),
    /// Outputs whose size differs: name, bytes the last time, bytes now. Those that are shown to people, and none of a comparison.
    pub sizes: Vec<(String, u64, u64)>,
}

impl Report {
    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The stages in one of these states, in order.
    pub fn with(&self, states: &[StageState]) -> Vec<&Stage> {
        self.stages.iter().filter(|stage| states.contains(&stage.state)).collect()
    }

    /// No stage was begun or blocked: all that was asked for is there.
    pub fn nothing_to_do(&self) -> bool {
        self.run.outcome == Outcome::Done
            && !self.with(&[StageState::UpToDate]).is_empty()
            && !self.stages.iter().any(|stage| stage.state.ran() || stage.state == StageState::Blocked)
    }

    /// The schema of the JSON form.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Report)
    }
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

    /// Sentences of comparisons that say that what was made is slower.
    pub fn slower(&self) -> impl Iterator<Item = &str> {
        self.reported.iter().filter_map(Fact::slower)
    }

    /// The commands that a person would ask for first: what the stage did, without what is done around each workload.
    pub fn main_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(|step| !matches!(step.kind, StepKind::AroundWorkload | StepKind::Pool))
    }

    /// The pool that is under way.
    pub fn open_pool(&self) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.kind == StepKind::Pool && step.duration.is_none())
    }

    /// The command under way that began last.
    pub fn open_step(&self) -> Option<&Step> {
        self.steps.iter().rev().find(|step| step.kind != StepKind::Pool && step.duration.is_none())
    }

    /// What is different from the last time; nothing for a stage that was not done now, or never before.
    pub fn change(&self) -> Option<Change> {
        let before = self.before.as_ref()?;
        let sizes = self.shown_outputs().filter_map(|output| {
            let bytes = output.before().filter(|bytes| *bytes != output.bytes)?;
            Some((output.name.clone(), bytes, output.bytes))
        });
        Some(Change { duration: (before.duration, self.in_all()), sizes: sizes.collect() })
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

    /// How long it took, or has been under way in a run of so many seconds.
    pub fn length(&self, wall: f64) -> f64 {
        self.duration.unwrap_or((wall - self.start).max(0.0))
    }
}
