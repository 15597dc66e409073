//! The append-only file of everything that happened in a run.
//!
//! Unaware of what events mean. A kill may leave the last line unfinished; what is before it counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::layout::Layout;
use crate::event::{Event, Stamped};
use crate::fs::disk::{self, At, DiskError};
use crate::names::RunId;
use crate::proc::is_alive;

/// Writes the journal of a run.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: Utf8PathBuf,
    /// The last line could not be finished: the disk was full.
    torn: bool,
}

impl Journal {
    /// Begins the journal of a run that begins at `time`. Gives the run its name as well.
    pub fn create(layout: &Layout, time: Timestamp) -> Result<(RunId, Journal), DiskError> {
        disk::make_dir(&layout.runs())?;
        let mut name = RunName::new(time);
        loop {
            let run = RunId::from(name.to_string());
            let directory = layout.run(&run);
            match fs::create_dir(&directory) {
                Ok(()) => {
                    let path = layout.journal(&run);
                    let file = OpenOptions::new().append(true).create_new(true).open(&path).at("write", &path)?;
                    disk::sync_dir(&directory)?;
                    disk::sync_dir(&layout.runs())?;
                    return Ok((run, Journal { file, path, torn: false }));
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => name = name.next(),
                Err(error) => Err(error).at("make the directory", directory)?,
            }
        }
    }

    /// Adds an event. It survives a kill of this process at once, a power cut after [`Journal::sync`].
    pub fn append(&mut self, event: &Stamped) -> Result<(), DiskError> {
        let mut line = serde_json::to_vec(event).at("write", &self.path)?;
        line.push(b'\n');
        if self.torn {
            line.insert(0, b'\n');
        }
        // A single write: a line is never torn by another's.
        let written = self.file.write_all(&line).at("write", &self.path);
        self.torn = written.is_err();
        written
    }

    /// Brings what was added to disk.
    pub fn sync(&self) -> Result<(), DiskError> {
        self.file.sync_data().at("sync", &self.path)
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }
}

/// The events of a journal, and a warning when some of it cannot be read. An unfinished last line is no reason for one; a run
/// that was killed before it had a journal has no events.
pub fn read(path: &Utf8Path) -> Result<(Vec<Stamped>, Option<String>), DiskError> {
    read_where(path, |_| true)
}

/// The same without [`Event::Sampled`], which is most of the journal of a long run. Only a last one is read: it says until when the
/// run is known to have been under way.
pub fn read_without_samples(path: &Utf8Path) -> Result<(Vec<Stamped>, Option<String>), DiskError> {
    let bytes = disk::read_if_there(path)?.unwrap_or_default();
    // What follows the last line end is no whole line.
    let last = bytes.split(|byte| *byte == b'\n').rev().nth(1).map(<[u8]>::as_ptr);
    Ok(parse(&bytes, |line| is_no_sample(line) || Some(line.as_ptr()) == last).told(path))
}

/// Whether a line is none of [`Event::Sampled`].
pub fn is_no_sample(line: &str) -> bool {
    event_name(line) != "sampled"
}

/// The same of the lines that are wanted. The others are not parsed.
pub fn read_where(path: &Utf8Path, wanted: impl Fn(&str) -> bool) -> Result<(Vec<Stamped>, Option<String>), DiskError> {
    Ok(parse(&disk::read_if_there(path)?.unwrap_or_default(), wanted).told(path))
}

#[derive(Default)]
struct Lines {
    events: Vec<Stamped>,
    /// Numbers of lines that are no event.
    damaged: Vec<String>,
    /// How many lines were looked into.
    parsed: usize,
}

impl Lines {
    fn told(self, path: &Utf8Path) -> (Vec<Stamped>, Option<String>) {
        let damaged = self.damaged.join(", ");
        let warning =
            (!damaged.is_empty()).then(|| format!("`{path}` has lines that this optbuild cannot read: {damaged}"));
        (self.events, warning)
    }
}

fn parse(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Lines {
    let mut found = Lines::default();
    let mut lines = bytes.split(|byte| *byte == b'\n').enumerate().peekable();
    while let Some((number, line)) = lines.next() {
        if line.is_empty() || std::str::from_utf8(line).is_ok_and(|line| !wanted(line)) {
            continue;
        }
        found.parsed += 1;
        match serde_json::from_slice(line) {
            Ok(event) => found.events.push(event),
            // What follows the last line end was never finished.
            Err(_) if lines.peek().is_none() => {}
            Err(_) => found.damaged.push((number + 1).to_string()),
        }
    }
    found
}

/// The first event: what the run is. None: it was killed before it could say.
pub fn first(path: &Utf8Path) -> Result<Option<Stamped>, DiskError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.at("read", path)?,
    };
    let mut line = Vec::new();
    BufReader::new(file).read_until(b'\n', &mut line).at("read", path)?;
    Ok(serde_json::from_slice(&line).ok())
}

/// What happened, by a line of a journal, which is not parsed: `stage-started`. Empty if the line does not say.
pub fn event_name(line: &str) -> &str {
    let rest = line.split_once("\"event\":\"").map_or("", |(_, rest)| rest);
    rest.split('"').next().unwrap_or_default()
}

/// A run as its journal has it.
#[derive(Debug)]
pub struct RunEvents {
    pub events: Vec<Stamped>,
    /// What of it cannot be read.
    pub warning: Option<String>,
    /// It is under way.
    pub running: bool,
}

/// Reads a run, which may be under way.
pub fn events_of(layout: &Layout, run: &str) -> Result<RunEvents, DiskError> {
    let path = layout.journal(run);
    let (mut events, mut warning) = read(&path)?;
    let running = is_under_way(&events);
    if !running && !has_ended(&events) {
        // It may have come to its end since.
        (events, warning) = read(&path)?;
    }
    Ok(RunEvents { events, warning, running })
}

/// Whether the run that these events are of has not said how it ended, and its process still runs on this machine.
pub fn is_under_way(events: &[Stamped]) -> bool {
    let alive = |stamped: &Stamped| match &stamped.event {
        Event::RunStarted { pid, pid_start, .. } => is_alive(*pid, *pid_start),
        _ => false,
    };
    !has_ended(events) && events.iter().any(alive)
}

fn has_ended(events: &[Stamped]) -> bool {
    events.iter().any(|stamped| matches!(stamped.event, Event::RunFinished { .. }))
}

/// The names of all runs, the earliest first.
pub fn runs(layout: &Layout) -> Result<Vec<RunId>, DiskError> {
    let runs = disk::names_in(&layout.runs())?;
    Ok(runs.into_iter().filter(|name| RunName::is_one(name)).map(RunId::from).collect())
}

/// The name of the run that began last.
pub fn last_run(layout: &Layout) -> Result<Option<RunId>, DiskError> {
    Ok(runs(layout)?.pop())
}

/// `YYYYMMDD-HHMMSS-xxxx`, in UTC, so that sorted names are in the order of time: the last four digits are the fraction of the
/// second, in 65536ths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct RunName {
    /// Since 1970.
    second: i64,
    fraction: u16,
}

impl RunName {
    fn new(time: Timestamp) -> RunName {
        let nanoseconds = i64::from(time.subsec_nanosecond().max(0));
        RunName { second: time.as_second(), fraction: u16::try_from(nanoseconds * 65536 / 1_000_000_000).unwrap_or(0) }
    }

    fn next(self) -> RunName {
        match self.fraction.checked_add(1) {
            Some(fraction) => RunName { fraction, ..self },
            None => RunName { second: self.second + 1, fraction: 0 },
        }
    }

    fn is_one(name: &str) -> bool {
        let digits = |range: std::ops::Range<usize>, radix| {
            name.get(range).is_some_and(|part| part.chars().all(|c| c.is_digit(radix)))
        };
        name.len() == 20 && digits(0..8, 10) && digits(9..15, 10) && digits(16..20, 16)
    }
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let second = Timestamp::from_second(self.second).unwrap_or_default();
        write!(f, "{}-{:04x}", second.strftime("%Y%m%d-%H%M%S"), self.fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Outcome, TreeSample};
    use crate::names::StepId;

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
        journal.file.write_all(b"\xff\xfe\0\n").unwrap();
        journal.file.write_all(b"{\"time\":\"1970-01-01T00:00:00Z\",\"event\":\"of-a-later-version\"}\n").unwrap();
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
        journal.file.write_all(b"{\"time\":").unwrap();
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
    fn runs_sort_by_time() {
        let (_directory, layout) = temporary();
        let times =
            ["2026-02-03T04:05:06.999Z", "2026-02-03T04:05:06Z", "2025-12-31T23:59:59.5Z", "2026-02-03T04:05:06Z"];
        let names: Vec<RunId> =
            times.iter().map(|time| Journal::create(&layout, time.parse().unwrap()).unwrap().0).collect();
        assert_eq!(
            names,
            ["20260203-040506-ffbe", "20260203-040506-0000", "20251231-235959-8000", "20260203-040506-0001"]
        );
        fs::create_dir(layout.runs().join("something-else")).unwrap();
        assert_eq!(
            runs(&layout).unwrap(),
            ["20251231-235959-8000", "20260203-040506-0000", "20260203-040506-0001", "20260203-040506-ffbe"]
        );
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
}
