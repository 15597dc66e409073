//! The sum of one attempt's profiles: what is added up here, and what a tool merges in batches. Damaged files are set aside.
//!
//! Unaware of when files come.

use std::fs::{self, File};
use std::io::Read;
use std::sync::{Arc, PoisonError};

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::Shared;
use super::silent::{Silent, Writers};
use super::store::{self, Counts};
use crate::event::Fact;
use crate::op::last;
use crate::op::merge::tools::{self, Job};
use crate::op::merge::{self, merge_with_tool};
use crate::profile::header::{Header, HeaderKind};
use crate::profile::raw::{self, Fate, Reason, Spoiled, Sum};
use crate::profile::watch::TakenFile;
use crate::profile::{Format, fdata};
use crate::stdio;

/// So many files, or so many bytes, are enough to start a tool for.
const TOOL_FILES: usize = 1000;
const TOOL_BYTES: u64 = 256 << 20;
/// After so many damaged profiles and no good one, a version that the tool does not read ends the workload.
const WRONG_VERSIONS: usize = 4;
/// Of so many profiles it is kept which functions were left out.
const NAMED: usize = 20;
/// The first words of a raw profile's header, which differ for different binaries and not for processes of one.
const HEADER: usize = 9 * 8;

pub(super) struct Partial {
    shared: Arc<Shared>,
    attempt: u64,
    work: Utf8PathBuf,
    quarantine: Utf8PathBuf,
    /// Where the processes write, for messages.
    root: Utf8PathBuf,
    sum: Sum,
    /// For the tool.
    handed: Vec<TakenFile>,
    /// What the tool has merged.
    rest: Option<Utf8PathBuf>,
    number: usize,
    counts: Counts,
    damaged: Vec<Reason>,
    /// Of the first few profiles with impossible counts.
    spoiled: Vec<Spoiled>,
    writers: Writers,
    /// Bytes of damaged files that are kept, until the attempt counts.
    kept: u64,
}

impl Partial {
    /// Nothing. Damaged files go to `quarantine`; processes write to `root`, for messages.
    pub fn new(
        shared: Arc<Shared>,
        attempt: u64,
        work: Utf8PathBuf,
        quarantine: Utf8PathBuf,
        root: Utf8PathBuf,
    ) -> Partial {
        Partial {
            shared,
            attempt,
            work,
            quarantine,
            root,
            sum: Sum::new(),
            handed: Vec::new(),
            rest: None,
            number: 0,
            counts: Counts::default(),
            damaged: Vec::new(),
            spoiled: Vec::new(),
            writers: Writers::default(),
            kept: 0,
        }
    }

    /// Adds files, and deletes them.
    ///
    /// # Errors
    /// The tool cannot read this version of profiles, or something cannot be read or written.
    pub fn add(&mut self, files: Vec<TakenFile>, fast: bool) -> Result<()> {
        self.counts.files += files.len() as u64;
        self.counts.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
        files.iter().for_each(|file| self.writers.add(&file.name));
        let (mut good, mut wrong_version) = (Vec::new(), None);
        for file in files {
            if file.written {
                self.set_aside(&file, "it is still being written by a process that the workload's end did not end")?;
            } else if let Some(reason) = self.refused(&file)? {
                self.set_aside(&file, &reason)?;
                wrong_version = wrong_version.or_else(|| tools::of_wrong_version(&reason).then_some(reason));
            } else {
                good.push(file);
            }
        }
        // One may have got here by accident; if all are, the workload need not go on to its end.
        if let Some(wrong) = wrong_version
            && good.is_empty()
            && self.handed.is_empty()
            && self.counts.merged == 0
            && self.damaged.len() > WRONG_VERSIONS
        {
            bail!("{wrong}");
        }
        match self.shared.args.format {
            Format::Profdata => self.add_up(good, fast)?,
            Format::Fdata => self.look_at(good)?,
        }
        let bytes: u64 = self.handed.iter().map(|file| file.bytes).sum();
        if self.handed.len() >= TOOL_FILES || bytes >= TOOL_BYTES.min(self.shared.args.disk_budget / 4) {
            self.flush()?;
        }
        Ok(())
    }

    fn add_up(&mut self, files: Vec<TakenFile>, fast: bool) -> Result<()> {
        let threads = if fast { self.shared.args.threads } else { 1 };
        let paths: Vec<Utf8PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let became = self.sum.add(&paths, threads)?;
        for (file, became) in files.into_iter().zip(became) {
            match became {
                Fate::Added => self.done(&file)?,
                Fate::AddedInPart(spoiled) => {
                    stdio::say(&format!("{}: {spoiled}", file.name));
                    self.counts.spoiled += 1;
                    if self.spoiled.len() < NAMED {
                        self.spoiled.push(spoiled);
                    }
                    self.done(&file)?;
                }
                Fate::Empty => self.empty(&file)?,
                Fate::Damaged(reason) => self.set_aside(&file, &reason)?,
                Fate::Handed(_) => self.handed.push(file),
            }
        }
        Ok(())
    }

    fn look_at(&mut self, files: Vec<TakenFile>) -> Result<()> {
        for file in files {
            let condition = fdata::condition(&file.path).with_context(|| format!("cannot read {}", file.path))?;
            match condition.damage() {
                Some(damage) => self.set_aside(&file, damage)?,
                None if condition == fdata::Condition::Empty => self.empty(&file)?,
                None => self.handed.push(file),
            }
        }
        Ok(())
    }

    /// Asks the tool about the first profile of each binary, and of each version that it does not know. What it does not read is not
    /// added to a sum, and a version that it does not know is noticed at once.
    fn refused(&self, file: &TakenFile) -> Result<Option<String>> {
        if self.shared.args.format == Format::Fdata {
            return Ok(None);
        }
        let mut header = Vec::new();
        let read = File::open(&file.path).and_then(|file| file.take(HEADER as u64).read_to_end(&mut header));
        read.with_context(|| format!("cannot read {}", file.path))?;
        let known = Header::parse(&header);
        let version = known.filter(|header| header.kind == HeaderKind::Raw).map(|header| header.version);
        let answers = || self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if header.len() < HEADER || answers().reads.contains(&header) {
            return Ok(None);
        }
        let counted = known.map(|header| header.counted);
        if let (Some(kind), Some((others, other))) = (counted, answers().counted.clone())
            && kind != others
        {
            return Ok(Some(raw::two_kinds(kind, others, &other)));
        }
        if let Some((other, reason)) = version.and_then(|version| answers().refuses.get(&version).cloned()) {
            return Ok(Some(reason.replace(other.as_str(), file.path.as_str())));
        }
        let output = self.work.join("first");
        let job = Job::simple(&self.shared.args.tool, &self.work, &output);
        let mut complaints = tools::profdata(&job, &[(file.path.clone(), 1)], &[])?;
        complaints.retain(|(_, reason)| !merge::is_harmless(reason));
        let Some((path, reason)) = complaints.pop() else {
            let mut answers = answers();
            // Another attempt may have had its first profile meanwhile.
            match (counted, &answers.counted) {
                (Some(kind), Some((others, other))) if kind != *others => {
                    return Ok(Some(raw::two_kinds(kind, *others, other)));
                }
                (Some(kind), None) => answers.counted = Some((kind, self.root.join(&file.name))),
                _ => {}
            }
            answers.reads.insert(header);
            return Ok(None);
        };
        if let Some(version) = version.filter(|_| tools::of_wrong_version(&reason)) {
            answers().refuses.insert(version, (path, reason.clone()));
        }
        Ok(Some(reason))
    }

    /// Lets the tool merge what it was handed.
    ///
    /// # Errors
    /// It fails although no file is damaged.
    pub fn flush(&mut self) -> Result<()> {
        let files = std::mem::take(&mut self.handed);
        if files.is_empty() {
            return Ok(());
        }
        self.number += 1;
        let output = self.work.join(format!("rest-{}", self.number));
        let job = Job::simple(&self.shared.args.tool, &self.work, &output);
        let paths: Vec<Utf8PathBuf> = files.iter().map(|file| file.path.clone()).collect();
        let before: Vec<Utf8PathBuf> = self.rest.iter().cloned().collect();
        let complaints = merge_with_tool(self.shared.args.format, &job, &paths, &before)?;
        let complaint =
            |path: &Utf8Path| complaints.iter().find(|(bad, reason)| bad == path && !merge::is_harmless(reason));
        for file in &files {
            match complaint(&file.path) {
                Some((_, reason)) => self.set_aside(file, reason)?,
                None => self.done(file)?,
            }
        }
        if output.exists() {
            for old in &before {
                fs::remove_file(old).with_context(|| format!("cannot remove {old}"))?;
            }
            self.rest = Some(output);
        }
        Ok(())
    }

    fn done(&mut self, file: &TakenFile) -> Result<()> {
        self.counts.merged += 1;
        self.counts.damage.add_good(file.bytes);
        self.delete(file)
    }

    fn empty(&mut self, file: &TakenFile) -> Result<()> {
        self.counts.empty += 1;
        self.delete(file)
    }

    fn delete(&self, file: &TakenFile) -> Result<()> {
        fs::remove_file(&file.path).with_context(|| format!("cannot delete {}", file.path))?;
        self.shared.budget.merged(self.attempt, file.bytes);
        Ok(())
    }

    fn set_aside(&mut self, file: &TakenFile, reason: &str) -> Result<()> {
        self.counts.damaged += 1;
        stdio::say(&format!("set aside: {}: {reason}", file.name));
        self.counts.damage.add(&file.path).with_context(|| format!("cannot read {}", file.path))?;
        if self.shared.room.take(file.bytes) {
            self.kept += file.bytes;
        } else {
            File::create(&file.path).with_context(|| format!("cannot write {}", file.path))?;
        }
        merge::quarantine(&self.quarantine, &[(file.path.clone(), reason.to_owned())])?;
        self.damaged.push((self.root.join(&file.name), reason.to_owned()));
        self.shared.budget.merged(self.attempt, file.bytes);
        Ok(())
    }

    /// Merges what is left, and writes the sum to a directory. `processes`: a list of those that the workload started.
    ///
    /// # Errors
    /// There is nothing to sum up, or what [`Partial::flush`] says.
    pub fn finish(mut self, to: &Utf8Path, processes: &Utf8Path, workload: &str, command: &str) -> Result<Vec<Fact>> {
        self.flush()?;
        let (counts, format) = (self.counts, self.shared.args.format);
        let silent = Silent::find(processes, &self.writers, format)?;
        if counts.files == 0 {
            let seen = if silent.count() > 0 { format!("\n  {}", silent.words()) } else { String::new() };
            bail!("{}{seen}", merge::nothing_written(format, self.root.as_str(), command));
        }
        if counts.merged == 0 {
            merge::check_content(counts.files as usize, counts.empty as usize, &self.damaged)?;
        }
        let counted = self.counted()?;
        let times = self.weigh(workload, counted)?;
        fs::create_dir_all(to).with_context(|| format!("cannot make the directory {to}"))?;
        if self.sum.files() > 0 {
            self.sum.save(&to.join(store::SAVED))?;
        }
        if let Some(rest) = &self.rest {
            let place = to.join(store::rest_name(self.shared.args.format));
            fs::rename(rest, &place).with_context(|| format!("cannot write {place}"))?;
        }
        counts.write(to, &[])?;
        self.kept = 0;
        let mut facts = counts.facts();
        facts.extend(merge::left_out(self.spoiled.iter()));
        facts.push(last::took_part(workload, counted));
        facts.extend((times != 1).then(|| last::multiplied(workload, times)));
        facts.extend(silent.facts(format));
        Ok(facts)
    }

    /// The sum of all counts. None: the tool has merged some of them, and nobody has to know.
    fn counted(&self) -> Result<Option<u64>> {
        let (tool, format) = (&self.shared.args.tool, self.shared.args.format);
        let rest = match &self.rest {
            None => 0,
            Some(_) if format == Format::Profdata && self.shared.weights.are_plain() => return Ok(None),
            Some(rest) => tools::total(format, tool, rest)?,
        };
        Ok(Some(u64::try_from(self.sum.total() + rest).unwrap_or(u64::MAX)))
    }

    /// Gives the sum the share of the whole profile that the workload is to have. Returns by what its counts were multiplied.
    fn weigh(&mut self, workload: &str, counted: Option<u64>) -> Result<u64> {
        let times = self.shared.weights.times(workload, counted.unwrap_or(0).into());
        if times == 1 {
            return Ok(1);
        }
        self.sum.multiply(times).with_context(|| format!("the workload `{workload}` cannot have its weight"))?;
        if let Some(rest) = self.rest.take() {
            let output = self.work.join("weighed");
            let job = Job::simple(&self.shared.args.tool, &self.work, &output);
            tools::multiply(self.shared.args.format, &job, &rest, times)?;
            self.rest = Some(output);
        }
        Ok(times)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // An attempt that does not count is removed.
        self.shared.room.give_back(self.kept);
    }
}
