//! Where a stage stands in a run: the one word for it in the runner, in reports and in their JSON.
//!
//! ```text
//! NotStarted ─┬─► UpToDate, Skipped ─┐
//!             ├─► Blocked            │ a later stage needs its workspace as this stage leaves it
//!             │                      ▼
//!             └──────────────────► Running ─┬─► Done ──► Running, for the same reason
//!                                           ├─► Failed
//!                                           ├─► Tolerated
//!                                           └─► Interrupted
//! ```
//!
//! | state | has outputs | was begun in this run | what it depends on is |
//! |---|---|---|---|
//! | `NotStarted` | not yet | no | not done, or waits for slots |
//! | `UpToDate` | of an earlier run | no | done |
//! | `Skipped` | perhaps of an earlier run | no | of no interest |
//! | `Blocked` | no | no | without outputs |
//! | `Running` | not yet | yes | done |
//! | `Done` | yes | yes | done |
//! | `Failed`, `Tolerated`, `Interrupted` | no | yes | done |
//!
//! Unaware of why a stage is where it is: reasons, records and durations stand beside the state.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Event, Outcome};
use crate::names::StageName;

/// What became of a stage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    /// Its turn has not come.
    #[default]
    NotStarted,
    UpToDate,
    Skipped,
    Blocked,
    /// The run is under way, or was killed when this stage was.
    #[serde(rename = "unfinished")]
    Running,
    Done,
    Failed,
    /// It failed, and the pipeline goes on without it.
    Tolerated,
    Interrupted,
}

impl StageState {
    /// The states that can follow.
    pub fn next(self) -> &'static [StageState] {
        use StageState::{Blocked, Done, Failed, Interrupted, NotStarted, Running, Skipped, Tolerated, UpToDate};
        match self {
            NotStarted => &[UpToDate, Skipped, Blocked, Running],
            Running => &[Done, Failed, Tolerated, Interrupted],
            UpToDate | Skipped | Done => &[Running],
            Blocked | Failed | Tolerated | Interrupted => &[],
        }
    }

    /// How a stage ended that was begun. `tolerated`: its failure does not fail the run.
    pub fn ended(outcome: Outcome, tolerated: bool) -> StageState {
        match outcome {
            Outcome::Done => StageState::Done,
            Outcome::Failed if tolerated => StageState::Tolerated,
            Outcome::Failed => StageState::Failed,
            Outcome::Interrupted => StageState::Interrupted,
        }
    }

    /// Whether the stage was begun in this run.
    pub fn ran(self) -> bool {
        use StageState::{Done, Failed, Interrupted, Running, Tolerated};
        matches!(self, Running | Done | Failed | Tolerated | Interrupted)
    }

    /// Whether its outputs are there.
    pub fn has_outputs(self) -> bool {
        matches!(self, StageState::Done | StageState::UpToDate)
    }

    /// Whether it failed, tolerated or not.
    pub fn failed(self) -> bool {
        matches!(self, StageState::Failed | StageState::Tolerated)
    }

    /// For people. `running`: the run is under way.
    pub fn words(self, running: bool) -> &'static str {
        match self {
            StageState::NotStarted => "not started",
            StageState::UpToDate => "up to date",
            StageState::Skipped => "skipped",
            StageState::Blocked => "blocked",
            StageState::Running if running => "running",
            StageState::Running => "not finished",
            StageState::Done => "done",
            StageState::Failed => "failed",
            StageState::Tolerated => "failed, tolerated",
            StageState::Interrupted => "interrupted",
        }
    }
}

impl Event {
    /// The state that this event brings a stage into.
    pub fn stage_state(&self) -> Option<(&StageName, StageState)> {
        match self {
            Event::StageUpToDate { stage, .. } => Some((stage, StageState::UpToDate)),
            Event::StageSkipped { stage, .. } => Some((stage, StageState::Skipped)),
            Event::StageBlocked { stage, .. } => Some((stage, StageState::Blocked)),
            Event::StageStarted { stage, .. } => Some((stage, StageState::Running)),
            Event::StageFinished { stage, outcome, tolerated, .. } => {
                Some((stage, StageState::ended(*outcome, *tolerated)))
            }
            _ => None,
        }
    }
}
