//! The time that earlier runs spent on a stage that is not done, by their events.

use jiff::{SignedDuration, Timestamp};
use optbuild::event::{Event, Outcome, Stamped};
use optbuild::run::earlier::unfinished;

fn at(seconds: i64, event: Event) -> Stamped {
    Stamped { time: Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds), event }
}

fn started(seconds: i64, stage: &str, fingerprint: &str, earlier: f64) -> Stamped {
    let (stage, fingerprint) = (stage.into(), fingerprint.into());
    at(seconds, Event::StageStarted { stage, fingerprint, reasons: Vec::new(), expected: None, earlier, jobs: 1 })
}

fn finished(seconds: i64, stage: &str, outcome: Outcome, duration: f64) -> Stamped {
    let stage = stage.into();
    let (hashing, outputs, failure, tolerated) = (0.0, Vec::new(), None, false);
    at(seconds, Event::StageFinished { stage, outcome, duration, hashing, outputs, failure, tolerated })
}

fn noted(seconds: i64, stage: &str) -> Stamped {
    at(seconds, Event::Note { stage: stage.into(), text: String::new() })
}

#[test]
fn what_was_stopped_counts_with_what_came_before_it() {
    let events = [started(10, "build", "f", 7.0), finished(30, "build", Outcome::Interrupted, 20.5), noted(40, "x")];
    assert_eq!(unfinished(&events, "build", "f"), 27.5);
    let events = [started(10, "build", "f", 0.0), finished(13, "build", Outcome::Failed, 3.0)];
    assert_eq!(unfinished(&events, "build", "f"), 3.0);
}

#[test]
fn a_killed_run_counts_up_to_its_last_word() {
    let events = [started(10, "build", "f", 7.0), started(11, "other", "f", 0.0), noted(40, "other")];
    assert_eq!(unfinished(&events, "build", "f"), 37.0);
}

#[test]
fn a_clock_that_was_set_back_does_not_matter_to_what_ended() {
    let events = [started(3000, "build", "f", 7.0), finished(10, "build", Outcome::Failed, 20.0)];
    assert_eq!(unfinished(&events, "build", "f"), 27.0);
    let events = [started(3000, "build", "f", 7.0), finished(10, "build", Outcome::Done, 20.0)];
    assert_eq!(unfinished(&events, "build", "f"), 0.0);
    assert_eq!(unfinished(&[started(3000, "build", "f", 7.0), noted(10, "build")], "build", "f"), 7.0);
}

#[test]
fn what_was_done_or_is_of_other_sources_does_not_count() {
    let events = [started(10, "build", "f", 7.0), finished(30, "build", Outcome::Done, 20.0)];
    assert_eq!(unfinished(&events, "build", "f"), 0.0);
    assert_eq!(unfinished(&events, "build", "g"), 0.0);
    assert_eq!(unfinished(&[], "build", "f"), 0.0);
}
