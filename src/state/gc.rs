//! What takes how much space in a state directory, and the removal of what no recent run refers to.
//!
//! Nothing else removes records of finished stages for good. Unaware of pipelines: what a run referred to is read from its
//! journal, and what that was made from out of the records.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use super::journal;
use super::layout::Layout;
use super::record::Record;
use super::store::State;
use crate::event::Event;
use crate::fs::disk::{self, DiskError};

/// Bytes on disk; of a file with several names once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Outputs of finished stages.
    pub outputs: u64,
    /// Build directories of stages, and committed workloads.
    pub stages: u64,
    pub workspaces: u64,
    /// Journals and logs.
    pub runs: u64,
    /// Records, manifests, caches.
    pub rest: u64,
}

impl Sizes {
    pub fn total(&self) -> u64 {
        self.outputs + self.stages + self.workspaces + self.runs + self.rest
    }
}

/// What a collection removed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// Stage and fingerprint of the records.
    pub records: Vec<(String, String)>,
    /// Output directories, those that had no record included.
    pub outputs: Vec<Utf8PathBuf>,
    pub manifests: usize,
    /// Names of runs whose journals and logs went.
    pub runs: Vec<String>,
    /// Bytes before and after.
    pub before: u64,
    pub after: u64,
}

/// Removes records, outputs and logs that the last `keep_runs` runs do not refer to, directly or through what they were made
/// from, the oldest first, until at most `max_size` bytes are used; all of them without it. Needs the lock.
///
/// Of what is kept nothing is removed even when it is larger than `max_size`. Build directories and workspaces are not touched.
pub fn gc(state: &State, keep_runs: usize, max_size: Option<u64>) -> Result<GcReport, DiskError> {
    let layout = state.layout();
    let before = sizes(layout).total();
    let mut report = GcReport { before, after: before, ..GcReport::default() };
    let records: BTreeMap<String, Record> =
        state.all_records()?.into_iter().map(|record| (record.fingerprint.id(), record)).collect();
    let runs = journal::runs(layout)?;
    let (old_runs, kept_runs) = runs.split_at(runs.len().saturating_sub(keep_runs));
    let kept = reachable(&records, referred(layout, kept_runs)?);

    // Outputs without a record are those of stages that never finished, and records that cannot be read.
    remove_orphans(layout, &records, &mut report)?;

    let mut old: Vec<(&String, &Record)> = records.iter().filter(|(id, _)| !kept.contains(*id)).collect();
    old.sort_by_key(|(id, record)| (record.finished, *id));
    let mut used = sizes(layout).total();
    let fits = |used: u64| max_size.is_some_and(|max| used <= max);
    let mut old_runs = old_runs.iter().peekable();
    let mut old = old.into_iter().peekable();
    while !fits(used) {
        // A run's logs go with the oldest of the records that are still there from its time.
        let run_is_older = match (old_runs.peek(), old.peek()) {
            (None, None) => break,
            (Some(run), Some((_, record))) => **run <= record.run,
            (Some(_), None) => true,
            (None, Some(_)) => false,
        };
        if run_is_older {
            if let Some(run) = old_runs.next() {
                used = used.saturating_sub(size(&layout.run(run)));
                disk::discard(&layout.run(run))?;
                report.runs.push(run.clone());
            }
        } else if let Some((id, record)) = old.next() {
            let out = layout.out(&record.stage, id);
            used = used.saturating_sub(size(&out));
            // First the record: it exists only while its outputs do.
            state.remove_record(id)?;
            disk::discard(&out)?;
            report.outputs.push(out);
            report.records.push((record.stage.clone(), id.clone()));
        }
    }
    remove_pointers(state)?;
    remove_manifests(state, &mut report)?;
    report.after = sizes(layout).total();
    Ok(report)
}

/// How much space what takes.
pub fn sizes(layout: &Layout) -> Sizes {
    let mut seen = BTreeSet::new();
    let mut of = |path: &Utf8Path| disk_usage(path, &mut seen);
    let outputs = of(&layout.outputs());
    let stages = of(&layout.stages());
    let workspaces = of(&layout.workspaces());
    let runs = of(&layout.runs());
    let rest = of(layout.root());
    Sizes { outputs, stages, workspaces, runs, rest }
}

fn size(path: &Utf8Path) -> u64 {
    disk_usage(path, &mut BTreeSet::new())
}

/// Blocks of what is at a path, without what was counted before. What vanishes meanwhile does not count.
fn disk_usage(path: &Utf8Path, seen: &mut BTreeSet<(u64, u64)>) -> u64 {
    let entries = WalkDir::new(path).into_iter().filter_map(Result::ok).filter_map(|entry| entry.metadata().ok());
    entries
        .filter(|metadata| seen.insert((metadata.dev(), metadata.ino())))
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

/// The fingerprints that runs used or made.
fn referred(layout: &Layout, runs: &[String]) -> Result<BTreeSet<String>, DiskError> {
    let mut fingerprints = BTreeSet::new();
    for run in runs {
        let path = layout.journal(run);
        if !path.exists() {
            continue;
        }
        let (events, _) = journal::read(&path)?;
        fingerprints.extend(events.into_iter().filter_map(|stamped| match stamped.event {
            Event::StageUpToDate { fingerprint, .. } | Event::StageStarted { fingerprint, .. } => {
                Some(fingerprint.into())
            }
            _ => None,
        }));
    }
    Ok(fingerprints)
}

/// With all that these were made from.
fn reachable(records: &BTreeMap<String, Record>, from: BTreeSet<String>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open: Vec<String> = from.into_iter().collect();
    while let Some(id) = open.pop() {
        if let Some(record) = records.get(&id)
            && found.insert(id)
        {
            open.extend(record.inputs.iter().map(|input| input.fingerprint.clone()));
            open.extend(record.fingerprint.predecessor().map(str::to_owned));
        }
    }
    found
}

fn remove_orphans(layout: &Layout, records: &BTreeMap<String, Record>, report: &mut GcReport) -> Result<(), DiskError> {
    let owned: BTreeSet<Utf8PathBuf> = records.iter().map(|(id, record)| layout.out(&record.stage, id)).collect();
    for stage in disk::names_in(&layout.outputs())? {
        for name in disk::names_in(&layout.outputs().join(&stage))? {
            let path = layout.outputs().join(&stage).join(name);
            if !owned.contains(&path) {
                disk::discard(&path)?;
                report.outputs.push(path);
            }
        }
    }
    Ok(())
}

/// Removes names whose record is gone.
fn remove_pointers(state: &State) -> Result<(), DiskError> {
    for stage in disk::names_in(&state.layout().names())? {
        if state.current(&stage)?.is_none() {
            disk::remove_durably(&state.layout().name(&stage))?;
        }
    }
    Ok(())
}

/// Removes the manifests, and times, that no record names any more.
fn remove_manifests(state: &State, report: &mut GcReport) -> Result<(), DiskError> {
    let layout = state.layout();
    let records = state.all_records()?;
    let named: BTreeSet<&String> =
        records.iter().flat_map(|record| record.outputs.values()).map(|output| &output.hash).collect();
    for name in disk::names_in(&layout.manifests())? {
        if !named.contains(&name) {
            disk::remove_tree(&layout.manifest(&name))?;
            report.manifests += 1;
        }
    }
    let ids: BTreeSet<String> = records.iter().map(|record| record.fingerprint.id()).collect();
    for name in disk::names_in(&layout.records())? {
        if name.split_once('.').is_none_or(|(id, _)| !ids.contains(id)) {
            disk::remove_tree(&layout.records().join(name))?;
        }
    }
    Ok(())
}
