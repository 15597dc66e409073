//! `op clear-if-changed`: removes what was built with other options, where the build tool itself does not notice.
//!
//! A text file beside the directories says with which options they were begun. Unaware of what the options mean.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::event::Fact;
use crate::fs::disk;
use crate::fs::pattern;
use crate::fs::tree;

/// Removes directories unless they were begun with the same options.
#[derive(Debug, clap::Args)]
pub struct ClearIfChanged {
    /// The text file that says with which options.
    #[arg(long)]
    pub stamp: Utf8PathBuf,
    /// An option: any text.
    #[arg(long, allow_hyphen_values = true)]
    pub option: Vec<String>,
    /// A directory whose files are an option: their names, sizes and times, not what is in them. For a build tool that looks at the same,
    /// and is only to be made to look.
    #[arg(long)]
    pub tree: Option<Utf8PathBuf>,
    /// What is removed, a directory or a file; its last component may be a pattern with a `*`.
    #[arg(long)]
    pub clear: Vec<Utf8PathBuf>,
}

impl ClearIfChanged {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let mut options: String = self.option.iter().map(|option| format!("{option}\n")).collect();
        if let Some(tree) = &self.tree {
            options.push_str(&format!("files of {tree}: {}\n", files(tree)?));
        }
        let before = disk::read_if_there(&self.stamp)?;
        if before.as_deref() == Some(options.as_bytes()) {
            return Ok(Vec::new());
        }
        let mut there = Vec::new();
        for path in &self.clear {
            there.extend(pattern::there(path).with_context(|| format!("cannot look for {path}"))?);
        }
        if let (Some(before), true) = (&before, !there.is_empty()) {
            let before = String::from_utf8_lossy(before);
            let gone = before.lines().filter(|line| !options.lines().any(|option| option == *line));
            gone.for_each(|line| eprintln!("was built with {line}"));
            let new = options.lines().filter(|option| !before.lines().any(|line| line == *option));
            new.for_each(|line| eprintln!("is built with {line}"));
        }
        // First the note goes: without one, whatever is there is removed.
        disk::remove_durably(&self.stamp)?;
        there.iter().try_for_each(|path| tree::remove(path))?;
        let parent = self.stamp.parent().context("the stamp is no file")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
        disk::write_durably(&self.stamp, options.as_bytes())?;
        Ok(if there.is_empty() { Vec::new() } else { vec![Fact::number("directories-cleared", there.len() as f64)] })
    }
}

/// A hash of all files below a directory: names, sizes, times of modification.
fn files(tree: &Utf8Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for entry in WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {tree}"))?;
        let meta = entry.metadata().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        if meta.is_dir() {
            continue;
        }
        hasher.update(entry.path().as_os_str().as_bytes());
        let about = format!("\0{} {}.{}\0", meta.size(), meta.mtime(), meta.mtime_nsec());
        hasher.update(about.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}
