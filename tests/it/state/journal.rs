//! The journals of runs: what is read from a damaged one, what is not parsed, and the names and the order of runs.

use std::fs::{self, OpenOptions};
use std::io::Write;

use camino::Utf8Path;
use jiff::Timestamp;
use optbuild::event::{Event, Outcome, Stamped, TreeSample};
use optbuild::names::{RunId, StepId};
use optbuild::state::journal::{
    Journal, RunName, event_name, first, is_no_sample, last_run, parse, read, read_without_samples, runs,
};
use optbuild::state::layout::Layout;

fn temporary() -> (tempfile::TempDir, Layout) {
    let directory = tempfile::tempdir().unwrap();
    let layout = Layout::new(Utf8Path::from_path(directory.path()).unwrap());
    (directory, layout)
}

fn event(duration: f64) -> Stamped {
    Stamped { time: Timestamp::UNIX_EPOCH, event: Event::RunFinished { outcome: Outcome::Done, duration } }
}

fn durations(events: &[Stamped]) -> Vec<f64> {
    let duration = |stamped: &Stamped| match stamped.event {
        Event::RunFinished { duration, .. } => duration,
        _ => -1.0,
    };
    events.iter().map(duration).collect()
}

#[test]
fn a_torn_last_line_is_left_out() {
    let (_directory, layout) = temporary();
    let (run, mut journal) = Journal::create(&layout, Timestamp::UNIX_EPOCH).unwrap();
    journal.append(&event(1.0)).unwrap();
    journal.append(&event(2.0)).unwrap();
    journal.sync().unwrap();
    let path = layout.journal(&run);
    let length = fs::metadata(&path).unwrap().len();
    for cut in 1..20 {
        OpenOptions::new().write(true).open(&path).unwrap().set_len(length - cut).unwrap();
        let (events, warning) = read(&path).unwrap();
        // Without its line end the last line is still whole.
        assert_eq!(durations(&events), if cut == 1 { vec![1.0, 2.0] } else { vec![1.0] });
        assert_eq!(warning, None);
    }
}

#[test]
fn a_damaged_line_is_passed_over_and_named() {
    let (_directory, layout) = temporary();
    let (_, mut journal) = Journal::create(&layout, Timestamp::UNIX_EPOCH).unwrap();
    journal.append(&event(1.0)).unwrap();
    let mut damage = OpenOptions::new().append(true).open(journal.path()).unwrap();
    damage.write_all(b"\xff\xfe\0\n").unwrap();
    damage.write_all(b"{\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"of-a-later-version\"}\n").unwrap();
    journal.append(&event(2.0)).unwrap();
    let (events, warning) = read(journal.path()).unwrap();
    assert_eq!(durations(&events), [1.0, 2.0]);
    assert_eq!(first(journal.path()).unwrap().map(|first| durations(&[first])), Some(vec![1.0]));
    assert!(warning.unwrap().ends_with("cannot read: 2, 3"));
}

/// A run of hours has thousands of them, and most readers have no use for any.
#[test]
fn samples_are_passed_over_without_being_parsed() {
    let (_directory, layout) = temporary();
    let (_, mut journal) = Journal::create(&layout, Timestamp::UNIX_EPOCH).unwrap();
    let stamped = |event| Stamped { time: Timestamp::UNIX_EPOCH, event };
    let step = StepId::step("x");
    let tree = TreeSample { stage: "s".into(), step, cpu: 1.0, memory: 2, processes: 3 };
    journal.append(&event(1.0)).unwrap();
    for _ in 0..100 {
        journal.append(&stamped(Event::Sampled { trees: vec![tree.clone()] })).unwrap();
    }
    // The word in the text of another event is none of its name.
    let text = "\"event\":\"sampled\"".to_owned();
    journal.append(&stamped(Event::Note { stage: "sampled".into(), text })).unwrap();
    journal.append(&event(2.0)).unwrap();
    let bytes = fs::read(journal.path()).unwrap();
    let (all, some) = (parse(&bytes, |_| true), parse(&bytes, is_no_sample));
    assert_eq!((all.parsed, all.events.len()), (103, 103));
    assert_eq!((some.parsed, some.events.len()), (3, 3));
    assert_eq!(read_without_samples(journal.path()).unwrap().0.len(), 3);
    // A run that was killed was under way at its last word.
    let time = Timestamp::from_second(7).unwrap();
    journal.append(&Stamped { time, event: Event::Sampled { trees: Vec::new() } }).unwrap();
    fs::File::options().append(true).open(journal.path()).unwrap().write_all(b"{\"time\":").unwrap();
    let (events, warning) = read_without_samples(journal.path()).unwrap();
    assert_eq!((events.len(), events.last().map(|event| event.time), warning), (4, Some(time), None));
}

#[test]
fn a_line_says_what_happened_without_being_parsed() {
    let line = serde_json::to_string(&event(1.0)).unwrap();
    assert_eq!(event_name(&line), "run-finished");
    assert_eq!(event_name("nothing of the kind"), "");
}

#[test]
fn runs_sort_in_the_order_in_which_they_began() {
    let (_directory, layout) = temporary();
    // The clock is set back twice, and once it is ahead again.
    let times = ["2026-02-03T04:05:06Z", "2026-02-03T04:05:06Z", "2025-12-31T23:59:59.5Z", "2026-02-03T04:05:06.999Z"];
    let names: Vec<RunId> =
        times.iter().map(|time| Journal::create(&layout, time.parse().unwrap()).unwrap().0).collect();
    assert_eq!(names, ["20260203-040506-0000", "20260203-040506-0001", "20260203-040506-0002", "20260203-040506-ffbe"]);
    for other in ["something-else", "99999999-999999-ffff"] {
        fs::create_dir(layout.runs().join(other)).unwrap();
    }
    assert_eq!(runs(&layout).unwrap(), names);
    assert_eq!(last_run(&layout).unwrap().as_deref(), Some("20260203-040506-ffbe"));
}

#[test]
fn a_name_can_overflow_into_the_next_second() {
    let last = RunName { second: 59, fraction: u16::MAX };
    assert_eq!(last.to_string(), "19700101-000059-ffff");
    assert_eq!(last.next().to_string(), "19700101-000100-0000");
}

#[test]
fn no_runs_in_a_state_without_any() {
    let (_directory, layout) = temporary();
    assert_eq!(last_run(&layout).unwrap(), None);
}
