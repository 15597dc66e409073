//! `op merge`: many profiles become one, with llvm-profdata or merge-fdata.
//!
//! Knows where to look and which files to leave out; how counts are added is the tools' business.

mod tools;

pub(super) use tools::show;

use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::Fact;
use crate::profile::{self, Format, ProfileFile, fdata, header};

/// Merges the profiles below directories into one file.
#[derive(Debug, clap::Args)]
pub struct Merge {
    /// The family of profiles.
    #[arg(long)]
    pub format: Format,
    /// llvm-profdata or merge-fdata.
    #[arg(long)]
    pub tool: Utf8PathBuf,
    /// A directory to look in, with all below it. Can be repeated.
    #[arg(long, required = true)]
    pub input: Vec<Utf8PathBuf>,
    /// Looks for merged profiles (`profile.profdata`, `profile.fdata`) instead of raw ones.
    #[arg(long)]
    pub merged: bool,
    /// A merged profile to add: the first level, for context-sensitive ones. Can be repeated.
    #[arg(long)]
    pub with: Vec<Utf8PathBuf>,
    /// The file to write.
    #[arg(long, conflicts_with = "output_dir", required_unless_present = "output_dir")]
    pub output: Option<Utf8PathBuf>,
    /// The directory to write `STEM-HASH.EXTENSION` to, named by the hash of the content.
    #[arg(long, requires = "name")]
    pub output_dir: Option<Utf8PathBuf>,
    /// The first part of that name.
    #[arg(long, requires = "output_dir")]
    pub name: Option<String>,
    /// Threads of llvm-profdata. 0: as many as there are cores.
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
    /// Deletes the raw profiles when they are merged.
    #[arg(long)]
    pub consume: bool,
}

/// How many digits of its content's hash stand in the name of a merged profile: 80 bits.
const HASH_DIGITS: usize = 20;

impl Merge {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let found = self.find()?;
        if found.is_empty() {
            bail!(self.nothing_written());
        }
        let bytes: u64 = found.iter().map(|file| file.bytes).sum();
        let (good, empty, truncated) = self.sort_out(&found)?;
        if good.is_empty() {
            bail!(
                "none of the {} profiles below {} has content; the processes that should have written them were killed, \
                 or the disk is full",
                found.len(),
                self.places()
            );
        }

        let dir = match (&self.output, &self.output_dir) {
            (Some(output), _) => output.parent().unwrap_or(Utf8Path::new(".")),
            (None, Some(dir)) => dir,
            (None, None) => bail!("one of --output and --output-dir is needed"),
        };
        fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
        // Beside the result, so that a rename puts it in place whole or not at all.
        let work = tempfile::Builder::new()
            .prefix(".merge-")
            .tempdir_in(dir)
            .with_context(|| format!("cannot write to the directory {dir}"))?;
        let work_dir = Utf8Path::from_path(work.path()).context("a path that is not UTF-8")?;
        let partial = work_dir.join("merged");
        let job = tools::Job { tool: &self.tool, threads: self.threads, work: work_dir, output: &partial };
        let refused = match self.format {
            Format::Profdata => tools::profdata(&job, &good, &self.with)?,
            Format::Fdata => tools::fdata(&job, &good, &self.with)?,
        };
        let functions = tools::functions(self.format, &self.tool, &partial)?;
        self.put(&partial)?;
        if self.consume {
            self.delete(&found)?;
        }

        let mut facts = if self.merged {
            Vec::new()
        } else {
            vec![Fact::new("raw-profiles", found.len(), "files"), Fact::bytes("raw-bytes", bytes)]
        };
        facts.push(Fact::new("functions", functions, "functions"));
        if empty > 0 {
            facts.push(Fact::new("empty-profiles", empty, "files"));
        }
        if truncated + refused > 0 {
            facts.push(Fact::new("damaged-profiles", truncated + refused, "files"));
        }
        Ok(facts)
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

    /// The files to merge, and how many were empty and truncated. merge-fdata refuses all files because of one such.
    fn sort_out(&self, found: &[ProfileFile]) -> Result<(Vec<Utf8PathBuf>, usize, usize)> {
        let (mut good, mut empty, mut truncated) = (Vec::new(), 0, 0);
        for file in found {
            let condition = match self.format {
                Format::Fdata => fdata::condition(&file.path).with_context(|| format!("cannot read {}", file.path))?,
                Format::Profdata if file.bytes == 0 => fdata::Condition::Empty,
                Format::Profdata => fdata::Condition::Good,
            };
            match condition {
                fdata::Condition::Good => good.push(file.path.clone()),
                fdata::Condition::Empty => empty += 1,
                fdata::Condition::Truncated => truncated += 1,
            }
        }
        Ok((good, empty, truncated))
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
        fs::rename(partial, &output).with_context(|| format!("cannot write {output}"))
    }

    fn delete(&self, found: &[ProfileFile]) -> Result<()> {
        for file in found {
            fs::remove_file(&file.path).with_context(|| format!("cannot delete {}", file.path))?;
        }
        Ok(())
    }

    fn places(&self) -> String {
        let places: Vec<&str> = self.input.iter().map(|dir| dir.as_str()).collect();
        places.join(", ")
    }

    fn nothing_written(&self) -> String {
        let what = match (self.merged, self.format) {
            (true, _) => format!("no workload left a profile.{}", self.format.merged_extension()),
            (false, Format::Profdata) => "the workload wrote no raw profile (*.profraw)".to_string(),
            (false, Format::Fdata) => "the workload wrote no BOLT profile (*.fdata)".to_string(),
        };
        let ran = match std::env::var(super::RAN) {
            Ok(command) if !command.is_empty() => format!("\n  what was run: {command}"),
            _ => String::new(),
        };
        let mut causes = vec![
            "the program that ran is not the instrumented one: look at its path, LD_LIBRARY_PATH, and `ldd`",
            "it was killed by a signal, or ended by `_exit`, `abort` or `exec`, so that nothing was written at its end",
            "it may not write there: a sandbox, another user, a full disk",
        ];
        match self.format {
            Format::Profdata => causes.extend([
                "it was linked without the profile runtime, or it is a static library's object that nothing calls",
                "something in between cleared LLVM_PROFILE_FILE from the environment",
            ]),
            Format::Fdata => causes.push("the library that llvm-bolt instrumented was not the one that was loaded"),
        }
        format!("{what}{ran}\n  looked in: {}\n  usual causes:\n  - {}", self.places(), causes.join("\n  - "))
    }
}

/// Distinct raw versions among files, each with one of its files.
fn raw_versions(files: &[Utf8PathBuf]) -> Result<std::collections::BTreeMap<u32, &Utf8PathBuf>> {
    let mut versions = std::collections::BTreeMap::new();
    for path in files {
        let header = header::Header::read(path).with_context(|| format!("cannot read {path}"))?;
        if let Some(header) = header.filter(|header| header.kind == header::HeaderKind::Raw) {
            versions.entry(header.version).or_insert(path);
        }
    }
    Ok(versions)
}

#[cfg(test)]
mod tests;
