//! The states of a stage: which may follow which, and their words in JSON.

use optbuild::event::StageState::{
    Blocked, Done, Failed, Interrupted, NotStarted, Running, Skipped, Tolerated, UpToDate,
};

#[test]
fn a_stage_ends_only_after_it_was_begun() {
    let all = [NotStarted, UpToDate, Skipped, Blocked, Running, Done, Failed, Tolerated, Interrupted];
    for state in all {
        let ends = state.next().iter().any(|next| next.ran() && *next != Running);
        assert_eq!(ends, state == Running, "{state:?}");
        assert!(!state.next().contains(&NotStarted), "{state:?}");
    }
    assert!(all.iter().filter(|state| state.has_outputs()).all(|state| state.next() == [Running]));
}

/// Readers of reports know these words.
#[test]
fn the_words_of_the_json() {
    for (state, word) in [(Running, "unfinished"), (UpToDate, "up-to-date"), (NotStarted, "not-started")] {
        assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{word}\""));
    }
}
