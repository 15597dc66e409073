//! The sums of the workloads that count, on disk: one in the directory of each workload, until several become one.
//!
//! That happens in one step: a directory with their sum and their names is made aside, synced and renamed. From then on the
//! sums of those workloads do not count any more, whether they are still there or not. Unaware of how an attempt's sum comes about.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::event::Fact;
use crate::fs::{disk, whole};
use crate::op::merge::damage::Damage;
use crate::op::merge::engine::merge_with_tool;
use crate::op::merge::tools::Job;
use crate::profile::Format;
use crate::profile::raw::Sum;

/// In a workload's directory: its sum. A directory with the files that follow.
pub const SUM: &str = "sum";
/// What was added up here.
pub(super) const SAVED: &str = "profile.sum";
const COUNTS: &str = "counts.json";
/// Begins the names of directories with the sums of many workloads; a number follows. No workload's directory begins with a dot.
const MANY: &str = ".sum-";

/// So many workloads' sums are left apart.
const APART: usize = 32;

/// How many profiles became a sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counts {
    pub files: u64,
    pub bytes: u64,
    pub merged: u64,
    pub empty: u64,
    pub damaged: u64,
    /// Merged without some functions.
    pub spoiled: u64,
    /// What is lost with those that are damaged.
    #[serde(default)]
    pub damage: Damage,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Note {
    counts: Counts,
    /// Directories of workloads whose sums are in it.
    workloads: BTreeSet<String>,
}

impl Counts {
    /// Notes it in a sum's directory, with the workloads that are in it if there are several.
    pub fn write(self, dir: &Utf8Path, workloads: &[String]) -> Result<()> {
        let note = Note { counts: self, workloads: workloads.iter().cloned().collect() };
        let path = dir.join(COUNTS);
        fs::write(&path, serde_json::to_vec(&note)?).with_context(|| format!("cannot write {path}"))
    }

    fn add(&mut self, other: Counts) {
        let Counts { files, bytes, merged, empty, damaged, spoiled, damage } = other;
        self.files += files;
        self.bytes += bytes;
        self.merged += merged;
        self.empty += empty;
        self.damaged += damaged;
        self.spoiled += spoiled;
        self.damage.join(damage);
    }

    pub fn facts(self) -> Vec<Fact> {
        let fact = |name: &str, value: u64, unit: &str| Fact::new(name, value as f64, unit);
        let mut facts = vec![
            fact("raw-profiles", self.files, "files"),
            fact("raw-bytes", self.bytes, "bytes"),
            fact("merged-profiles", self.merged, "files"),
        ];
        for (name, count) in [
            ("empty-profiles", self.empty),
            ("damaged-profiles", self.damaged),
            ("profiles-with-impossible-counts", self.spoiled),
        ] {
            facts.extend((count > 0).then(|| fact(name, count, "files")));
        }
        facts
    }
}

/// The name of the file with what a tool has merged.
pub fn rest_name(format: Format) -> &'static str {
    match format {
        Format::Profdata => "rest.profdata",
        Format::Fdata => "rest.fdata",
    }
}

/// The sums that count.
pub struct Parts {
    dirs: Vec<Utf8PathBuf>,
    /// The names of the workloads whose sums stand alone.
    alone: Vec<String>,
    /// The names of the workloads that are in the sum of many.
    joined: BTreeSet<String>,
    many: Option<u64>,
    pub counts: Counts,
}

impl Parts {
    /// Those below the directory of workloads that count.
    ///
    /// # Errors
    /// A directory or a note in it cannot be read.
    pub fn find(committed: &Utf8Path) -> Result<Parts> {
        let mut parts = Parts {
            dirs: Vec::new(),
            alone: Vec::new(),
            joined: BTreeSet::new(),
            many: None,
            counts: Counts::default(),
        };
        let names = disk::names_in(committed)?;
        parts.many = names.iter().filter_map(|name| name.strip_prefix(MANY)?.parse().ok()).max();
        if let Some(many) = parts.many {
            parts.joined = parts.take(committed.join(format!("{MANY}{many}")))?;
        }
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            let dir = committed.join(name).join(SUM);
            if !parts.joined.contains(name) && dir.join(COUNTS).exists() {
                parts.take(dir)?;
                parts.alone.push(name.clone());
            }
        }
        Ok(parts)
    }

    fn take(&mut self, dir: Utf8PathBuf) -> Result<BTreeSet<String>> {
        let path = dir.join(COUNTS);
        let text = whole::read(&path).with_context(|| format!("cannot read {path}"))?;
        let note: Note = serde_json::from_slice(&text).with_context(|| format!("{path} is damaged"))?;
        self.counts.add(note.counts);
        self.dirs.push(dir);
        Ok(note.workloads)
    }

    fn bytes(&self) -> u64 {
        let files = self.dirs.iter().flat_map(|dir| [SAVED, "rest.profdata", "rest.fdata"].map(|name| dir.join(name)));
        files.filter_map(|file| fs::metadata(file).ok()).map(|file| file.len()).sum()
    }

    /// All that was added up here; none, if nothing was.
    fn sum(&self) -> Result<Option<Sum>> {
        let mut all: Option<Sum> = None;
        for file in self.dirs.iter().map(|dir| dir.join(SAVED)).filter(|file| file.exists()) {
            let sum = Sum::open(&file)?;
            match &mut all {
                Some(all) => all.join(sum),
                None => all = Some(sum),
            }
        }
        Ok(all)
    }

    fn rests(&self, format: Format) -> Vec<Utf8PathBuf> {
        self.dirs.iter().map(|dir| dir.join(rest_name(format))).filter(|file| file.exists()).collect()
    }

    /// What is to be merged by a tool: a raw profile for each binary, written to `work`, and what the tool has merged before.
    ///
    /// # Errors
    /// A sum cannot be read or written.
    pub fn files(&self, format: Format, work: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
        let mut files = Vec::new();
        if let Some(sum) = self.sum()? {
            files = sum.write(work)?;
            // Whose profiles came first is chance, and where binaries share functions the order tells.
            let mut by_binary = Vec::new();
            for file in files {
                let mut header = [0; 72];
                let read = fs::File::open(&file).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut header));
                read.with_context(|| format!("cannot read {file}"))?;
                by_binary.push((header, file));
            }
            by_binary.sort();
            files = by_binary.into_iter().map(|(_, file)| file).collect();
        }
        files.extend(self.rests(format));
        Ok(files)
    }
}

/// Removes what a kill has left of [`absorb`].
///
/// # Errors
/// It cannot be removed.
pub fn sweep(committed: &Utf8Path) -> Result<()> {
    disk::make_dir(committed)?;
    disk::sweep(committed)?;
    // The sum of a workload is removed where it stands.
    for name in disk::names_in(committed)?.iter().filter(|name| !name.starts_with('.')) {
        let dir = committed.join(name);
        if dir.is_dir() {
            disk::sweep(&dir)?;
        }
    }
    clean(committed, &Parts::find(committed)?)
}

/// Makes one sum of all, if there are many or they take more than so many bytes.
///
/// # Errors
/// Something cannot be read or written. Then the sums count as before.
pub fn absorb(committed: &Utf8Path, format: Format, tool: &Utf8Path, bytes: u64) -> Result<()> {
    let parts = Parts::find(committed)?;
    if parts.alone.len() < 2 || (parts.alone.len() < APART && parts.bytes() < bytes) {
        return Ok(());
    }
    let aside = tempfile::Builder::new().prefix(".tmp-").tempdir_in(committed);
    let aside = aside.with_context(|| format!("cannot write to the directory {committed}"))?;
    let work = Utf8Path::from_path(aside.path()).context("a path that is not UTF-8")?;
    let dir = work.join(SUM);
    disk::make_dir(&dir)?;
    if let Some(sum) = parts.sum()? {
        sum.save(&dir.join(SAVED))?;
    }
    let rests = parts.rests(format);
    let output = dir.join(rest_name(format));
    match rests.as_slice() {
        [] => {}
        [rest] => drop(fs::copy(rest, &output).with_context(|| format!("cannot copy {rest}"))?),
        _ => {
            let complaints = merge_with_tool(format, &Job::simple(tool, work, &output), &rests, &[])?;
            if let Some((path, reason)) = complaints.first() {
                anyhow::bail!("{path}: {reason}");
            }
        }
    }
    let workloads: Vec<String> = parts.joined.iter().chain(&parts.alone).cloned().collect();
    parts.counts.write(&dir, &workloads)?;
    disk::sync_tree(&dir, work)?;
    disk::rename_durably(&dir, &committed.join(format!("{MANY}{}", parts.many.map_or(1, |many| many + 1))))?;
    clean(committed, &Parts::find(committed)?)
}

/// Removes sums that do not count any more because they are in another one.
fn clean(committed: &Utf8Path, parts: &Parts) -> Result<()> {
    let current = parts.many.map(|many| format!("{MANY}{many}"));
    for name in disk::names_in(committed)? {
        if name.starts_with(MANY) && Some(&name) != current.as_ref() {
            disk::discard(&committed.join(&name))?;
        } else if parts.joined.contains(&name) {
            disk::discard(&committed.join(&name).join(SUM))?;
        }
    }
    Ok(())
}
