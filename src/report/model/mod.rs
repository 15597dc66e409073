//! A run as one value: what every form of the report is made from, and the JSON form itself.
//!
//! Data only. Durations are in seconds, sizes in bytes, moments in seconds since the run began. Unaware of how it is shown.

mod build;
pub mod diff;
mod events;
mod facts;
mod files;
mod lanes;
pub mod load;
mod stage;
mod timeline;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use build::Past;
pub use facts::{Bolt, Count, Estimate, Hot, Inner, Profile, WorkloadProfile};
pub use files::Compared;
pub use stage::{Before, Failure, Made, Output, Stage, State, Step, StepKind, Workloads};
pub use timeline::Timeline;

/// Changes when a reader of an older report would misunderstand one.
pub const FORMAT: u32 = 1;

/// A run of a pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
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
}

/// The run as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// It was under way when this was written. Then the outcome is `unfinished`, and so are the stages in hand.
    #[serde(default)]
    pub running: bool,
    /// One sentence that says how it ended.
    pub verdict: String,
    /// After a failure: how to go on, a line each.
    pub remedies: Vec<String>,
    /// A line each: stages that were not begun, and what the run used.
    pub remarks: Vec<String>,
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

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    Failed,
    Interrupted,
    /// It is still under way, or was killed.
    Unfinished,
}

/// A file that a stage wants shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Shown {
    /// `stage.output`
    pub title: String,
    /// Its text, or a sentence that says why there is none.
    pub text: String,
}

/// A program that stages ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tool {
    pub name: String,
    pub path: String,
    /// The line in which it says its version; empty if it does not.
    pub version: String,
    pub stages: Vec<String>,
}

impl Report {
    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.name == name)
    }

    /// The schema of the JSON form.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Report)
    }
}
