//! Reads runs from a state directory: their journals, and records of what earlier runs made.
//!
//! What cannot be read is left out of a report; that is no reason to have none.

use std::collections::{BTreeMap, HashMap};

use super::{Past, Report, Stage, State};
use crate::event::{Event, Stamped};
use crate::fs::disk::DiskError;
use crate::report::summary::RunSummary;
use crate::report::summary::alike::Subject;
use crate::state::journal;
use crate::state::layout::Layout;
use crate::state::record::Record;

/// How many earlier runs are read for what changed.
const EARLIER: usize = 20;

/// What a state directory knows besides the run that these events are of.
pub fn past(layout: &Layout, events: &[Stamped]) -> Result<Past, DiskError> {
    let run = RunSummary::of(events);
    Ok(Past { earlier: earlier(layout, &run)?, made: made(layout, events)?, running: false })
}

/// What went before a run, of the same pipeline with the same variables, the oldest first.
pub fn earlier(layout: &Layout, run: &RunSummary) -> Result<Vec<RunSummary>, DiskError> {
    let names = journal::runs(layout)?;
    let before = names.iter().rev().filter(|name| name.as_str() < run.run.as_str()).take(EARLIER);
    let mut earlier = Vec::new();
    for name in before {
        let (events, _) = journal::read(&layout.journal(name))?;
        let summary = RunSummary::of(&events);
        if Subject::of(&summary).is_like(Subject::of(run)) {
            earlier.push(summary);
        }
    }
    earlier.reverse();
    Ok(earlier)
}

/// The stages that were up to date, as they were made.
fn made(layout: &Layout, events: &[Stamped]) -> Result<BTreeMap<String, (String, Stage)>, DiskError> {
    let mut reports: HashMap<String, Report> = HashMap::new();
    let mut made = BTreeMap::new();
    for stamped in events {
        let Event::StageUpToDate { stage, fingerprint, .. } = &stamped.event else { continue };
        let path = layout.record(fingerprint);
        let bytes = crate::fs::disk::read_if_there(&path)?;
        let Some(record) = bytes.and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok()) else { continue };
        if !reports.contains_key(record.run.as_str()) {
            let (events, _) = journal::read(&layout.journal(&record.run))?;
            reports.insert(record.run.to_string(), Report::of(&events, &Past::default(), None));
        }
        let known = reports.get(record.run.as_str()).and_then(|report| report.stage(stage));
        let known = known.filter(|known| known.state == State::Done && *fingerprint == known.fingerprint);
        let stage_then = known.cloned().unwrap_or_else(|| of_record(layout, &record));
        made.insert(stage.to_string(), (record.run.to_string(), stage_then));
    }
    Ok(made)
}

/// What a record says of a stage whose run is forgotten.
fn of_record(layout: &Layout, record: &Record) -> Stage {
    let outputs = record.outputs.iter().map(|(name, output)| super::Output {
        name: name.clone(),
        path: layout.root().join(&output.path).into_string(),
        bytes: output.bytes,
        files: output.files,
        earlier: Vec::new(),
    });
    let facts = super::facts::sort(&record.facts);
    Stage {
        name: record.stage.to_string(),
        state: State::Done,
        duration: record.duration,
        fingerprint: record.fingerprint.id().into(),
        outputs: outputs.collect(),
        inner: facts.inner,
        profile: facts.profile,
        bolt: facts.bolt,
        facts: facts.rest,
        ..Stage::default()
    }
}

/// The report of a run, with what changed since earlier ones.
pub fn report(layout: &Layout, run: &str) -> Result<Report, DiskError> {
    let read = read(layout, run)?;
    if let Some(warning) = read.warning {
        tracing::warn!("{warning}");
    }
    let past = Past { running: read.running, ..past(layout, &read.events)? };
    Ok(Report::of(&read.events, &past, None))
}

/// A run as its journal has it.
pub struct Read {
    pub events: Vec<Stamped>,
    /// What of it cannot be read.
    pub warning: Option<String>,
    /// It is under way.
    pub running: bool,
}

/// Reads a run, which may be under way.
pub fn read(layout: &Layout, run: &str) -> Result<Read, DiskError> {
    let path = layout.journal(run);
    let (mut events, mut warning) = journal::read(&path)?;
    let running = journal::is_under_way(&events);
    if !running && !events.iter().any(|stamped| matches!(stamped.event, Event::RunFinished { .. })) {
        // It may have come to its end since.
        (events, warning) = journal::read(&path)?;
    }
    Ok(Read { events, warning, running })
}
