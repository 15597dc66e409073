//! The append-only file of everything that happened in a run.
//!
//! Unaware of what events mean. A kill may leave the last line unfinished; what is before it counts.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::MetadataExt as _;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::layout::Layout;
use crate::event::{Event, Stamped};
use crate::fs::disk::{self, At, DiskError};
use crate::names::RunId;
use crate::proc::{is_alive, open_files};

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
        // The clock may have been set back since the last run: what began later is called later all the same.
        let last = runs(layout)?.iter().rev().find_map(|run| RunName::parse(run));
        let mut name = last.map(RunName::next).map_or(RunName::new(time), |next| next.max(RunName::new(time)));
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

/// What the lines of a journal say.
#[derive(Default)]
pub struct Lines {
    /// The events of the lines that were wanted.
    pub events: Vec<Stamped>,
    /// Numbers of lines that are no event.
    pub damaged: Vec<String>,
    /// How many lines were looked into.
    pub parsed: usize,
}

impl Lines {
    fn told(self, path: &Utf8Path) -> (Vec<Stamped>, Option<String>) {
        let damaged = self.damaged.join(", ");
        let warning =
            (!damaged.is_empty()).then(|| format!("`{path}` has lines that this optbuild cannot read: {damaged}"));
        (self.events, warning)
    }
}

/// Reads the lines that are wanted. The others are not parsed.
pub fn parse(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Lines {
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

/// No first line is longer, however long a damaged file is.
const LONGEST: u64 = 16 << 20;

/// The first event: what the run is. None: it was killed before it could say.
pub fn first(path: &Utf8Path) -> Result<Option<Stamped>, DiskError> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.at("read", path)?,
    };
    let mut line = Vec::new();
    BufReader::new(file).take(LONGEST).read_until(b'\n', &mut line).at("read", path)?;
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
    let running = is_under_way(layout, &events);
    if !running && !has_ended(&events) {
        // It may have come to its end since.
        (events, warning) = read(&path)?;
    }
    Ok(RunEvents { events, warning, running })
}

/// Whether the run that these events are of has not said how it ended, and its process still works in this state directory: a copy of
/// the directory has the same journal.
pub fn is_under_way(layout: &Layout, events: &[Stamped]) -> bool {
    let alive = |stamped: &Stamped| match &stamped.event {
        Event::RunStarted { pid, pid_start, .. } => is_alive(*pid, *pid_start) && holds(*pid, layout),
        _ => false,
    };
    !has_ended(events) && events.iter().any(alive)
}

/// Whether a process has the lock of the directory open. One that may not be looked into is taken to have it.
fn holds(pid: u32, layout: &Layout) -> bool {
    let lock = fs::metadata(layout.lock()).map(|found| (found.dev(), found.ino()));
    lock.is_ok_and(|lock| open_files::has_open(pid, lock).unwrap_or(true))
}

fn has_ended(events: &[Stamped]) -> bool {
    events.iter().any(|stamped| matches!(stamped.event, Event::RunFinished { .. }))
}

/// The names of all runs, the earliest first.
pub fn runs(layout: &Layout) -> Result<Vec<RunId>, DiskError> {
    let runs = disk::names_in(&layout.runs())?;
    Ok(runs.into_iter().filter(|name| RunName::parse(name).is_some()).map(RunId::from).collect())
}

/// The name of the run that began last.
pub fn last_run(layout: &Layout) -> Result<Option<RunId>, DiskError> {
    Ok(runs(layout)?.pop())
}

/// `YYYYMMDD-HHMMSS-xxxx`, in UTC, so that sorted names are in the order in which runs began: the last four digits are the fraction of
/// the second, in 65536ths. The order is that of the state directory, whatever the clock says: no run has a name before that of the last
/// one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunName {
    /// Since 1970.
    pub second: i64,
    /// Of the second, in 65536ths.
    pub fraction: u16,
}

impl RunName {
    fn new(time: Timestamp) -> RunName {
        let nanoseconds = i64::from(time.subsec_nanosecond().max(0));
        RunName { second: time.as_second(), fraction: u16::try_from(nanoseconds * 65536 / 1_000_000_000).unwrap_or(0) }
    }

    /// The name for a run that finds this one taken.
    pub fn next(self) -> RunName {
        match self.fraction.checked_add(1) {
            Some(fraction) => RunName { fraction, ..self },
            None => RunName { second: self.second + 1, fraction: 0 },
        }
    }

    /// None for what is no name of a run.
    fn parse(name: &str) -> Option<RunName> {
        let digits = |range: std::ops::Range<usize>, radix| {
            name.get(range).is_some_and(|part| part.chars().all(|c| c.is_digit(radix)))
        };
        if !(name.len() == 20 && digits(0..8, 10) && digits(9..15, 10) && digits(16..20, 16)) {
            return None;
        }
        let (time, fraction) = name.rsplit_once('-')?;
        let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", time).ok()?;
        let second = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
        Some(RunName { second, fraction: u16::from_str_radix(fraction, 16).ok()? })
    }
}

impl std::fmt::Display for RunName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let second = Timestamp::from_second(self.second).unwrap_or_default();
        write!(f, "{}-{:04x}", second.strftime("%Y%m%d-%H%M%S"), self.fraction)
    }
}
