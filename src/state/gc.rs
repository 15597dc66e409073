//! What takes how much space in a state directory, and the removal of what no recent run refers to.
//!
//! Nothing else removes records of finished stages for good. Unaware of pipelines: what a run referred to is read from its
//! journal, and what that was made from out of the records.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use super::journal;
use super::layout::Layout;
use super::record::Record;
use super::store::State;
use crate::event::Event;
use crate::fs::disk::{self, DiskError};
use crate::names::{FingerprintId, RunId, StageName};

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
    pub records: Vec<(StageName, FingerprintId)>,
    /// Output directories, those that had no record included.
    pub outputs: Vec<Utf8PathBuf>,
    pub manifests: usize,
    /// Runs whose journals and logs went.
    pub runs: Vec<RunId>,
    pub before: Sizes,
    pub after: Sizes,
}

/// Removes what old runs made or used, and nothing that the last run did. Needs the lock.
///
/// | asked for | what goes |
/// |---|---|
/// | `keep_runs` alone | all that the last `keep_runs` runs do not refer to |
/// | `max_size`, too | the same, the oldest first, until no more bytes are used; then that of the last `keep_runs` runs, one by one |
///
/// A run refers to the records that it used or tried to make, and through them to all that they were made from; also where a stage
/// behind them failed. The last run is the last one that has begun. Build directories and workspaces are not touched, and outputs that
/// have no record always go.
pub fn gc(state: &State, keep_runs: usize, max_size: Option<u64>) -> Result<GcReport, DiskError> {
    let layout = state.layout();
    let mut report = GcReport { before: sizes(layout), ..GcReport::default() };
    let mut records: BTreeMap<FingerprintId, Record> =
        state.all_records()?.into_iter().map(|record| (record.fingerprint.id(), record)).collect();
    let mut runs: VecDeque<RunId> = journal::runs(layout)?.into();
    let mut kept = last_begun(layout, &runs, keep_runs.max(1))?;

    // Outputs without a record are those of stages that never finished, and records that cannot be read.
    remove_orphans(layout, &records, &mut report)?;

    let mut used = sizes(layout).total();
    let fits = |used: u64| max_size.is_some_and(|max| used <= max);
    loop {
        let reachable = reachable(&records, kept.iter().flat_map(|(_, referred)| referred).cloned().collect());
        let mut old: Vec<&FingerprintId> = records.keys().filter(|id| !reachable.contains(*id)).collect();
        old.sort_by_key(|id| (records[*id].finished, *id));
        let mut old: VecDeque<FingerprintId> = old.into_iter().cloned().collect();
        let is_old = |run: &RunId| kept.back().is_none_or(|(oldest, _)| run < oldest);
        while !fits(used) {
            // A run's logs go with the oldest of the records that are still there from its time.
            let (run, record) = (runs.front().filter(|run| is_old(run)), old.front().and_then(|id| records.get(id)));
            match (run, record) {
                (None, None) => break,
                (Some(run), record) if record.is_none_or(|record| *run <= record.run) => {
                    used = used.saturating_sub(size(&layout.run(run)));
                    disk::discard(&layout.run(run))?;
                    report.runs.extend(runs.pop_front());
                }
                _ => {
                    let Some((id, record)) = old.pop_front().and_then(|id| records.remove_entry(&id)) else { break };
                    let out = layout.out(&record.stage, &id);
                    used = used.saturating_sub(size(&out));
                    // First the record: it exists only while its outputs do.
                    state.remove_record(&id)?;
                    disk::discard(&out)?;
                    report.outputs.push(out);
                    report.records.push((record.stage, id));
                }
            }
        }
        if max_size.is_none() || fits(used) || kept.len() <= 1 {
            break;
        }
        kept.pop_back();
    }
    remove_pointers(state)?;
    remove_manifests(state, &mut report)?;
    report.after = sizes(layout);
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

/// The last runs that have begun, no more than so many and the newest first, with the fingerprints that each used or tried to make.
/// A run that was killed before it could say what it is has done nothing.
fn last_begun(
    layout: &Layout,
    runs: &VecDeque<RunId>,
    number: usize,
) -> Result<VecDeque<(RunId, BTreeSet<FingerprintId>)>, DiskError> {
    let mut found = VecDeque::new();
    for run in runs.iter().rev() {
        if found.len() == number {
            break;
        }
        let (events, _) = journal::read_without_samples(&layout.journal(run))?;
        if events.is_empty() {
            continue;
        }
        let referred = events.into_iter().filter_map(|stamped| match stamped.event {
            Event::StageUpToDate { fingerprint, .. } | Event::StageStarted { fingerprint, .. } => Some(fingerprint),
            Event::StageSkipped { fingerprint, .. } => fingerprint,
            _ => None,
        });
        found.push_back((run.clone(), referred.collect()));
    }
    Ok(found)
}

/// With all that these were made from.
fn reachable(records: &BTreeMap<FingerprintId, Record>, mut open: Vec<FingerprintId>) -> BTreeSet<FingerprintId> {
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if let Some(record) = records.get(&id)
            && found.insert(id)
        {
            open.extend(record.inputs.iter().map(|input| input.fingerprint.clone()));
            open.extend(record.fingerprint.predecessor().map(Into::into));
        }
    }
    found
}

fn remove_orphans(
    layout: &Layout,
    records: &BTreeMap<FingerprintId, Record>,
    report: &mut GcReport,
) -> Result<(), DiskError> {
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
    let ids: BTreeSet<FingerprintId> = records.iter().map(|record| record.fingerprint.id()).collect();
    for name in disk::names_in(&layout.records())? {
        if name.split_once('.').is_none_or(|(id, _)| !ids.contains(id)) {
            disk::remove_tree(&layout.records().join(name))?;
        }
    }
    Ok(())
}
