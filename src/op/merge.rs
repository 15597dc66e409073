//! `op merge`: many profiles become one.
//!
//! Knows where to look, and where damaged files are put; how counts are added is the engine's and the tools' business.

pub mod bolt;
pub mod choice;
pub mod damage;
mod died;
pub(crate) mod engine;
mod halves;
pub mod own;
pub mod tools;
pub(crate) mod work;

pub(super) use engine::{check_content, is_harmless, merge_with_tool};

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, Error, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::stream::store;
use crate::event::Fact;
use crate::fs::{tree, whole};
use crate::plan::RAN;
use crate::plan::ops::given::Merge;
use crate::profile::raw::{Input, Reason, Spoiled};
use crate::profile::weights::Weights;
use crate::profile::{self, Format, ProfileFile};
use crate::text::file_name::file_name;
use crate::text::share::Share;
use work::Work;

/// How many digits of its content's hash stand in the name of a merged profile: 80 bits.
pub(super) const HASH_DIGITS: usize = 20;

/// Damage that is accepted is told of above this.
const WORTH_A_WARNING: Share = Share::percent(1.0);

impl Merge {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let dir = match (&self.output, &self.output_dir) {
            (Some(output), _) => output.parent().unwrap_or(Utf8Path::new(".")),
            (None, Some(dir)) => dir,
            (None, None) => bail!("one of --output and --output-dir is needed"),
        };
        let tool = &choice::fitting(&self.tool, self.of_build.as_deref())?;
        let work = Work::within(dir)?;
        let partial = work.join("merged");
        let found = self.find()?;
        let bytes: u64 = found.iter().map(|file| file.bytes).sum();
        let mut files: Vec<Input> = self.weighed(&found, tool, &work)?;
        let mut facts = Vec::new();
        if self.merged {
            let (sums, warnings) = self.sums(&work)?;
            files.extend(sums.into_iter().map(|file| (file, 1)));
            facts = warnings;
        }
        if files.is_empty() {
            let ran = std::env::var(RAN).unwrap_or_default();
            bail!(match self.merged {
                true => format!("no workload left a profile\n  looked in: {}", self.places()),
                false => nothing_written(self.format, &self.places(), &ran),
            });
        }
        let order = tools::Order {
            format: self.format,
            tool,
            files: &files,
            with: &self.with,
            threads: self.threads,
            work: &work,
            output: &partial,
            limit: self.max_damaged,
        };
        let outcome = engine::merge(&order).with_context(|| format!("cannot merge what is below {}", self.places()))?;
        let functions = tools::functions(self.format, tool, &partial)?;
        self.put(&partial)?;
        if self.consume {
            quarantine(&dir.join("quarantine"), &outcome.damaged)?;
            let bad = |path: &Utf8Path| outcome.damaged.iter().any(|(bad, _)| bad == path);
            self.delete(found.iter().filter(|file| !bad(&file.path)))?;
        }

        for (path, spoiled) in &outcome.spoiled {
            tools::pass_on(&format!("{path}: {spoiled}\n"));
        }
        if !self.merged {
            facts.extend([Fact::count("raw-profiles", found.len(), "files"), Fact::bytes("raw-bytes", bytes)]);
        }
        facts.push(Fact::count("functions", functions, "functions"));
        if outcome.empty > 0 {
            facts.push(Fact::count("empty-profiles", outcome.empty, "files"));
        }
        if !outcome.spoiled.is_empty() {
            facts.push(Fact::count("profiles-with-impossible-counts", outcome.spoiled.len(), "files"));
            facts.extend(left_out(outcome.spoiled.iter().map(|(_, spoiled)| spoiled)));
        }
        if !outcome.damaged.is_empty() {
            facts.push(Fact::count("damaged-profiles", outcome.damaged.len(), "files"));
        }
        Ok(facts)
    }

    /// The files, so that each workload has its share. Those of raw profiles are as they are.
    fn weighed(&self, found: &[ProfileFile], tool: &Utf8Path, work: &Utf8Path) -> Result<Vec<Input>> {
        let weights = Weights::parse(self.balance, &self.weight).map_err(Error::msg)?;
        let one = |(number, file): (usize, &ProfileFile)| -> Result<Input> {
            let workload = file.path.parent().and_then(Utf8Path::file_name);
            let Some(workload) = workload.filter(|_| self.merged && !weights.are_plain()) else {
                return Ok((file.path.clone(), 1));
            };
            // The directory of a workload is called as a file can be.
            let named = weights.of.keys().find(|name| file_name(name) == workload);
            let total = tools::total(self.format, tool, &file.path)?;
            let times = weights.times(named.map_or(workload, String::as_str), total);
            if self.format == Format::Profdata {
                return Ok((file.path.clone(), times));
            }
            let output = work.join(format!("weighed-{number}.fdata"));
            tools::multiply(self.format, &tools::Job::simple(tool, work, &output), &file.path, times)?;
            Ok((output, 1))
        };
        found.iter().enumerate().map(one).collect()
    }

    fn find(&self) -> Result<Vec<ProfileFile>> {
        let extension = self.format.raw_extension();
        let merged = format!("profile.{}", self.format.merged_extension());
        let wanted = |path: &Utf8Path| match self.merged {
            true => path.file_name() == Some(merged.as_str()),
            false => path.extension() == Some(extension),
        };
        let mut found = Vec::new();
        for dir in &self.input {
            found.extend(profile::find(dir, wanted).with_context(|| format!("cannot look for profiles in {dir}"))?);
        }
        Ok(found)
    }

    fn put(&self, partial: &Utf8Path) -> Result<()> {
        let output = match (&self.output, &self.output_dir, &self.name) {
            (Some(output), ..) => output.clone(),
            (None, Some(dir), Some(name)) => {
                let content = fs::read(partial).with_context(|| format!("cannot read {partial}"))?;
                let hash = blake3::hash(&content).to_hex();
                dir.join(format!("{name}-{}.{}", &hash[..HASH_DIGITS], self.format.merged_extension()))
            }
            _ => bail!("--output-dir needs --name"),
        };
        tree::set_mode_of_profile(partial)?;
        fs::rename(partial, &output).with_context(|| format!("cannot write {output}"))
    }

    fn delete<'a>(&self, found: impl Iterator<Item = &'a ProfileFile>) -> Result<()> {
        for file in found {
            fs::remove_file(&file.path).with_context(|| format!("cannot delete {}", file.path))?;
        }
        Ok(())
    }

    fn places(&self) -> String {
        let places: Vec<&str> = self.input.iter().map(|dir| dir.as_str()).collect();
        places.join(", ")
    }

    /// What was merged while workloads ran, as files, and what is to be said of it. Fails if too much was damaged.
    fn sums(&self, work: &Utf8Path) -> Result<(Vec<Utf8PathBuf>, Vec<Fact>)> {
        let (mut files, mut warnings) = (Vec::new(), Vec::new());
        for (number, dir) in self.input.iter().enumerate() {
            let parts = store::Parts::find(dir)?;
            let counts = parts.counts;
            let damage = counts.damage;
            if !damage.is_within(self.max_damaged) {
                let reasons = first_reasons(dir)?;
                bail!(
                    "{}; no more than {} may be. They are in the directories `quarantine` below {dir}, each with its reason in a \
                     file beside it:{reasons}\n  Processes that were killed while they wrote and full disks leave such files. \
                     `max-damaged` in the stage sets how much is accepted: then `optbuild resume` only merges",
                    damage.words(counts.files),
                    self.max_damaged
                );
            }
            if !damage.is_within(WORTH_A_WARNING) {
                warnings.push(Fact::warning(format!(
                    "{}, and left out: what they counted is missing",
                    damage.words(counts.files)
                )));
            }
            let work = work.join(format!("sums-{number}"));
            fs::create_dir(&work).with_context(|| format!("cannot make the directory {work}"))?;
            files.extend(parts.files(self.format, &work)?);
        }
        Ok((files, warnings))
    }
}

/// So many functions that were left out are facts.
const NAMED: usize = 10;

/// The functions that were left out of profiles, each with the largest of its impossible counts.
pub(super) fn left_out<'a>(spoiled: impl Iterator<Item = &'a Spoiled>) -> Vec<Fact> {
    let mut largest: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, count) in spoiled.flat_map(|spoiled| &spoiled.named) {
        if largest.len() < NAMED || largest.contains_key(name.as_str()) {
            let known = largest.entry(name).or_default();
            *known = (*known).max(*count);
        }
    }
    largest.into_iter().map(|(name, count)| Fact::number(format!("left-out/{name}"), count as f64)).collect()
}

/// Why nothing may have been written, for a person. `places` is where it was looked, `ran` the command.
pub(super) fn nothing_written(format: Format, places: &str, ran: &str) -> String {
    let what = match format {
        Format::Profdata => "the workload wrote no raw profile (*.profraw)",
        Format::Fdata => "the workload wrote no BOLT profile (*.fdata)",
    };
    let ran = if ran.is_empty() { String::new() } else { format!("\n  what was run: {ran}") };
    let mut causes = vec![
        "the program that ran is not the instrumented one: look at its path, LD_LIBRARY_PATH, and `ldd`",
        "it was killed by a signal, or ended by `_exit`, `abort` or `exec`, so that nothing was written at its end",
        "it may not write there: a sandbox, another user, a full disk",
    ];
    match format {
        Format::Profdata => causes.extend([
            "it was linked without the profile runtime, or it is a static library's object that nothing calls",
            "something in between cleared LLVM_PROFILE_FILE from the environment",
        ]),
        Format::Fdata => causes.push("the library that llvm-bolt instrumented was not the one that was loaded"),
    }
    format!("{what}{ran}\n  looked in: {places}\n  usual causes:\n  - {}", causes.join("\n  - "))
}

/// The first few reasons of files that were set aside below a directory, a line each.
fn first_reasons(dir: &Utf8Path) -> Result<String> {
    let notes = profile::find(dir, |path| path.extension() == Some("reason"));
    let mut lines = String::new();
    for note in notes.with_context(|| format!("cannot look into {dir}"))?.into_iter().take(5) {
        let text = whole::read_text(&note.path).with_context(|| format!("cannot read {}", note.path))?;
        lines.push_str(&format!("\n  - {}", text.trim_end()));
    }
    Ok(lines)
}

/// Moves damaged files into a directory, each with its reason beside it.
pub(super) fn quarantine(dir: &Utf8Path, damaged: &[Reason]) -> Result<()> {
    for (number, (path, reason)) in damaged.iter().enumerate() {
        fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
        let name = path.file_name().unwrap_or("profile");
        let mut place = dir.join(name);
        // Directories of several processes may hold files of one name.
        if place.exists() {
            place = dir.join(format!("{number}-{name}"));
        }
        fs::rename(path, &place).with_context(|| format!("cannot move {path} to {place}"))?;
        let note = dir.join(format!("{}.reason", place.file_name().unwrap_or(name)));
        fs::write(&note, format!("{path}: {reason}\n")).with_context(|| format!("cannot write {note}"))?;
    }
    Ok(())
}
