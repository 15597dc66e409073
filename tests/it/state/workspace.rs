//! In which state a workspace is, and which stage can start from there.

use optbuild::pipeline::StartsFrom;
use optbuild::state::layout::Layout;
use optbuild::state::workspace::{
    Candidate, WorkspaceDecision, WorkspaceState, clean, mark_clean, mark_dirty, may_start, read,
};

const STAGE: Candidate<'_> = Candidate {
    stage: "second",
    fingerprint: "f2",
    starts_from: StartsFrom::Predecessor,
    predecessor: Some("first"),
    predecessor_record: Some("f1"),
};

fn left_by(stage: &str, fingerprint: &str, dirty: bool) -> WorkspaceState {
    let lineage = vec!["f1".into(), fingerprint.into()];
    WorkspaceState { stage: stage.into(), fingerprint: fingerprint.into(), dirty, lineage, ..WorkspaceState::default() }
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
    let first = |dirty| {
        let now = read(&layout, "tree").unwrap().unwrap();
        WorkspaceState { stage: "first".into(), fingerprint: "f1".into(), lineage: vec!["f1".into()], dirty, ..now }
    };
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
