//! In which state a workspace is, and whether a stage can start from there.
//!
//! A workspace is a build directory that several stages change in turn. Unaware of what they do in it.

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::restart::{self, Boot};
use crate::fs::disk::{self, DiskError};
use crate::fs::stat;
use crate::names::{FingerprintId, StageName};
use crate::pipeline::StartsFrom;

/// Which stage changed a workspace last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceState {
    pub stage: StageName,
    pub fingerprint: FingerprintId,
    /// The stage has begun, and has not finished.
    pub dirty: bool,
    /// Fingerprints of the stages on whose work this one goes on, each from the state that the one before it has left; its own
    /// last.
    #[serde(default)]
    pub lineage: Vec<FingerprintId>,
    /// When the machine was started that last wrote to the workspace.
    #[serde(default)]
    pub boot: Boot,
    /// When the workspace was clean the last time, and on the disk: nanoseconds since 1970.
    #[serde(default)]
    pub since: i64,
}

/// A stage that wants to start in a workspace.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    pub stage: &'a str,
    pub fingerprint: &'a str,
    pub starts_from: StartsFrom,
    /// The stage before it in the workspace.
    pub predecessor: Option<&'a str>,
    /// The fingerprint of that stage's good record, if there is one.
    pub predecessor_record: Option<&'a str>,
}

/// Whether a stage can start in its workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceDecision {
    /// The workspace is in the state that the stage starts from.
    Start,
    /// It was left by the stage itself, interrupted.
    Continue,
    /// Another stage must run first.
    RunFirst {
        stage: StageName,
        /// A sentence: what is wrong with the workspace.
        why: String,
    },
}

impl WorkspaceState {
    /// Whether what a stage left, by its fingerprint, is still under what has been done since.
    pub fn goes_on_from(&self, fingerprint: &str) -> bool {
        self.lineage.iter().any(|id| id == fingerprint)
    }
}

/// Decides whether a stage can start, from the state that [`read`] gave.
pub fn may_start(state: Option<&WorkspaceState>, candidate: Candidate<'_>) -> WorkspaceDecision {
    if state.is_some_and(|state| {
        state.dirty && state.stage == candidate.stage && state.fingerprint == candidate.fingerprint
    }) {
        return WorkspaceDecision::Continue;
    }
    // The first stage of a workspace brings it into a state by itself, from whatever it finds.
    let (StartsFrom::Predecessor | StartsFrom::Later, Some(predecessor)) =
        (candidate.starts_from, candidate.predecessor)
    else {
        return WorkspaceDecision::Start;
    };
    if candidate.starts_from == StartsFrom::Later
        && let (Some(state), Some(record)) = (state, candidate.predecessor_record)
        && state.goes_on_from(record)
    {
        return WorkspaceDecision::Start;
    }
    let why = match (state, candidate.predecessor_record) {
        // A stage's record is removed before it makes the workspace dirty, and is put before it says that it is clean. Where
        // both are there, it was killed in between.
        (Some(state), Some(record)) if state.stage == predecessor && state.fingerprint == record => {
            return WorkspaceDecision::Start;
        }
        (_, None) => format!("`{predecessor}`, from whose state it starts, has no record"),
        (None, _) => "the workspace is empty, or was not left by a stage".to_string(),
        (Some(state), _) if state.dirty => format!("the workspace was left by `{}`, interrupted", state.stage),
        (Some(state), _) if state.stage != predecessor => format!("the workspace was last left by `{}`", state.stage),
        _ => format!("the workspace was left by an earlier version of `{predecessor}`"),
    };
    WorkspaceDecision::RunFirst { stage: predecessor.into(), why }
}

/// The state of a workspace; none when there is no such directory, or nobody knows.
pub fn read(layout: &Layout, name: &str) -> Result<Option<WorkspaceState>, DiskError> {
    if !layout.workspace(name).is_dir() {
        return Ok(None);
    }
    disk::read_json(&layout.workspace_state(name))
}

/// Notes, durably, that a stage is about to change the workspace, from the state that the stage with the fingerprint `predecessor`
/// has left. To be called before it does.
///
/// If the machine was started again since another stage, or this one, was interrupted in it, files that may not have reached the disk are
/// removed; how many is returned.
pub fn mark_dirty(
    layout: &Layout,
    name: &str,
    stage: &str,
    fingerprint: &str,
    predecessor: Option<&str>,
) -> Result<usize, DiskError> {
    disk::make_dir(&layout.workspaces())?;
    let before = read(layout, name)?;
    let boot = Boot::of(&layout.workspace(name));
    let (mut lost, mut since) = (0, stat::now());
    if let Some(before) = before.as_ref().filter(|before| before.dirty) {
        since = before.since;
        if before.boot.ended_before(&boot) {
            lost = restart::remove_young(&layout.workspace(name), since)?;
        }
    }
    let mut lineage = before.map(|state| state.lineage).unwrap_or_default();
    match predecessor.and_then(|id| lineage.iter().position(|known| known == id)) {
        Some(at) => lineage.truncate(at + 1),
        None => lineage = predecessor.into_iter().map(Into::into).collect(),
    }
    lineage.push(fingerprint.into());
    let (stage, fingerprint) = (stage.into(), fingerprint.into());
    write(layout, name, &WorkspaceState { stage, fingerprint, dirty: true, lineage, boot, since })?;
    Ok(lost)
}

/// Notes, durably, that the stage has finished in the workspace. To be called after its record was put.
pub fn mark_clean(layout: &Layout, name: &str, stage: &str, fingerprint: &str) -> Result<(), DiskError> {
    disk::make_dir(&layout.workspaces())?;
    let before = read(layout, name)?.filter(|state| state.fingerprint == fingerprint);
    let lineage = before.map_or_else(|| vec![fingerprint.into()], |state| state.lineage);
    let (stage, fingerprint) = (stage.into(), fingerprint.into());
    let (boot, since) = (Boot::of(&layout.workspace(name)), stat::now());
    write(layout, name, &WorkspaceState { stage, fingerprint, dirty: false, lineage, boot, since })
}

fn write(layout: &Layout, name: &str, state: &WorkspaceState) -> Result<(), DiskError> {
    disk::write_json(&layout.workspace_state(name), state)
}

/// Removes a workspace.
pub fn clean(layout: &Layout, name: &str) -> Result<(), DiskError> {
    // First the note: a workspace without one is in no state, half a workspace with one would be trusted.
    disk::remove_durably(&layout.workspace_state(name))?;
    disk::discard(&layout.workspace(name))
}
