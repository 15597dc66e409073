//! In which state a workspace is, and whether a stage can start from there.
//!
//! A workspace is a build directory that several stages change in turn. Unaware of what they do in it.

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use crate::fs::disk::{self, At, DiskError};
use crate::pipeline::StartsFrom;

/// Which stage changed a workspace last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceState {
    pub stage: String,
    pub fingerprint: String,
    /// The stage has begun, and has not finished.
    pub dirty: bool,
    /// Fingerprints of the stages on whose work this one goes on, each from the state that the one before it has left; its own
    /// last.
    #[serde(default)]
    pub lineage: Vec<String>,
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
        stage: String,
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
    WorkspaceDecision::RunFirst { stage: predecessor.to_string(), why }
}

/// The state of a workspace; none when there is no such directory, or nobody knows.
pub fn read(layout: &Layout, name: &str) -> Result<Option<WorkspaceState>, DiskError> {
    if !layout.workspace(name).is_dir() {
        return Ok(None);
    }
    let bytes = disk::read_if_there(&layout.workspace_state(name))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Notes, durably, that a stage is about to change the workspace, from the state that the stage with the fingerprint `predecessor`
/// has left. To be called before it does.
pub fn mark_dirty(
    layout: &Layout,
    name: &str,
    stage: &str,
    fingerprint: &str,
    predecessor: Option<&str>,
) -> Result<(), DiskError> {
    disk::make_dir(&layout.workspaces())?;
    let mut lineage = read(layout, name)?.map(|state| state.lineage).unwrap_or_default();
    match predecessor.and_then(|id| lineage.iter().position(|known| known == id)) {
        Some(at) => lineage.truncate(at + 1),
        None => lineage = predecessor.into_iter().map(Into::into).collect(),
    }
    lineage.push(fingerprint.into());
    write(layout, name, &WorkspaceState { stage: stage.into(), fingerprint: fingerprint.into(), dirty: true, lineage })
}

/// Notes, durably, that the stage has finished in the workspace. To be called after its record was put.
pub fn mark_clean(layout: &Layout, name: &str, stage: &str, fingerprint: &str) -> Result<(), DiskError> {
    disk::make_dir(&layout.workspaces())?;
    let before = read(layout, name)?.filter(|state| state.fingerprint == fingerprint);
    let lineage = before.map_or_else(|| vec![fingerprint.into()], |state| state.lineage);
    write(layout, name, &WorkspaceState { stage: stage.into(), fingerprint: fingerprint.into(), dirty: false, lineage })
}

fn write(layout: &Layout, name: &str, state: &WorkspaceState) -> Result<(), DiskError> {
    let path = layout.workspace_state(name);
    disk::write_durably(&path, &serde_json::to_vec(state).at("write", &path)?)
}

/// Removes a workspace.
pub fn clean(layout: &Layout, name: &str) -> Result<(), DiskError> {
    // First the note: a workspace without one is in no state, half a workspace with one would be trusted.
    disk::remove_durably(&layout.workspace_state(name))?;
    disk::discard(&layout.workspace(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAGE: Candidate<'_> = Candidate {
        stage: "second",
        fingerprint: "f2",
        starts_from: StartsFrom::Predecessor,
        predecessor: Some("first"),
        predecessor_record: Some("f1"),
    };

    fn left_by(stage: &str, fingerprint: &str, dirty: bool) -> WorkspaceState {
        let lineage = vec!["f1".into(), fingerprint.into()];
        WorkspaceState { stage: stage.into(), fingerprint: fingerprint.into(), dirty, lineage }
    }

    fn runs_first(decision: WorkspaceDecision, because: &str) {
        match decision {
            WorkspaceDecision::RunFirst { stage, why } => {
                assert_eq!(stage, "first");
                assert!(why.contains(because), "{why}");
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn starts_after_its_predecessor() {
        assert_eq!(may_start(Some(&left_by("first", "f1", false)), STAGE), WorkspaceDecision::Start);
    }

    #[test]
    fn continues_where_it_was_interrupted_under_the_same_fingerprint() {
        assert_eq!(may_start(Some(&left_by("second", "f2", true)), STAGE), WorkspaceDecision::Continue);
        runs_first(may_start(Some(&left_by("second", "old", true)), STAGE), "interrupted");
    }

    #[test]
    fn starts_after_a_predecessor_that_was_killed_behind_its_record() {
        assert_eq!(may_start(Some(&left_by("first", "f1", true)), STAGE), WorkspaceDecision::Start);
    }

    #[test]
    fn does_not_start_from_any_other_state() {
        runs_first(may_start(None, STAGE), "empty");
        runs_first(may_start(Some(&left_by("first", "f0", true)), STAGE), "interrupted");
        runs_first(may_start(Some(&left_by("first", "f0", false)), STAGE), "earlier version");
        runs_first(may_start(Some(&left_by("third", "f3", false)), STAGE), "`third`");
        runs_first(may_start(Some(&left_by("second", "f2", false)), STAGE), "`second`");
        let unrecorded = Candidate { predecessor_record: None, ..STAGE };
        runs_first(may_start(Some(&left_by("first", "f1", false)), unrecorded), "no record");
    }

    #[test]
    fn the_first_stage_and_one_that_starts_from_any_state_always_start() {
        let first = Candidate { predecessor: None, predecessor_record: None, ..STAGE };
        let any = Candidate { starts_from: StartsFrom::Any, ..STAGE };
        for state in [None, Some(left_by("third", "f3", true))] {
            assert_eq!(may_start(state.as_ref(), first), WorkspaceDecision::Start);
            assert_eq!(may_start(state.as_ref(), any), WorkspaceDecision::Start);
        }
    }

    #[test]
    fn starts_from_what_later_stages_have_added_to() {
        let later = Candidate { starts_from: StartsFrom::Later, ..STAGE };
        for state in [left_by("third", "f3", false), left_by("third", "f3", true), left_by("second", "f2", false)] {
            assert_eq!(may_start(Some(&state), later), WorkspaceDecision::Start);
        }
        let other = WorkspaceState { lineage: vec!["f0".into(), "f3".into()], ..left_by("third", "f3", false) };
        runs_first(may_start(Some(&other), later), "`third`");
        runs_first(may_start(None, later), "empty");
        let unrecorded = Candidate { predecessor_record: None, ..later };
        runs_first(may_start(Some(&left_by("third", "f3", false)), unrecorded), "no record");
    }

    #[test]
    fn the_lineage_ends_where_a_stage_begins_again() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(camino::Utf8Path::from_path(directory.path()).unwrap());
        std::fs::create_dir_all(layout.workspace("tree")).unwrap();
        let lineage = || read(&layout, "tree").unwrap().unwrap().lineage;
        mark_dirty(&layout, "tree", "first", "f1", None).unwrap();
        mark_clean(&layout, "tree", "first", "f1").unwrap();
        mark_dirty(&layout, "tree", "second", "f2", Some("f1")).unwrap();
        mark_clean(&layout, "tree", "second", "f2").unwrap();
        mark_dirty(&layout, "tree", "third", "f3", Some("f2")).unwrap();
        assert_eq!(lineage(), ["f1", "f2", "f3"]);
        mark_dirty(&layout, "tree", "second", "g2", Some("f1")).unwrap();
        assert_eq!(lineage(), ["f1", "g2"]);
        mark_dirty(&layout, "tree", "first", "g1", None).unwrap();
        assert_eq!(lineage(), ["g1"]);
    }

    #[test]
    fn a_note_without_its_workspace_is_worth_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::new(camino::Utf8Path::from_path(directory.path()).unwrap());
        let first = |dirty| WorkspaceState { lineage: vec!["f1".into()], ..left_by("first", "f1", dirty) };
        mark_dirty(&layout, "tree", "first", "f1", None).unwrap();
        assert_eq!(read(&layout, "tree").unwrap(), None);
        std::fs::create_dir(layout.workspace("tree")).unwrap();
        assert_eq!(read(&layout, "tree").unwrap(), Some(first(true)));
        mark_clean(&layout, "tree", "first", "f1").unwrap();
        assert_eq!(read(&layout, "tree").unwrap(), Some(first(false)));
        std::fs::write(layout.workspace_state("tree"), "{\"stage\":").unwrap();
        assert_eq!(read(&layout, "tree").unwrap(), None);
        clean(&layout, "tree").unwrap();
        assert!(!layout.workspace("tree").exists() && !layout.workspace_state("tree").exists());
    }
}
