//! `op restore`: takes back what `op put-in-place` did below a directory, so that a build goes on from its own files.
//!
//! Safe to repeat, and to repeat after a kill at any point: the note of what was put in place goes last.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use super::put_in_place::{ORIGINAL, PLACED, names_below};
use super::{Fact, tree};

/// Puts originals back in their places.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// Where to look for them.
    #[arg(long)]
    pub below: Utf8PathBuf,
}

impl Restore {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        if !self.below.is_dir() {
            return Ok(Vec::new());
        }
        let mut notes = Vec::new();
        for entry in WalkDir::new(&self.below) {
            let entry = entry.with_context(|| format!("cannot read the directory {}", self.below))?;
            if let Some(path) = Utf8Path::from_path(entry.path()).filter(|path| path.as_str().ends_with(PLACED)) {
                notes.push(path.to_owned());
            }
        }
        let mut restored = 0;
        for note in notes {
            let place = Utf8PathBuf::from(note.as_str().trim_end_matches(PLACED));
            restored += self.put_back(&place)?;
            tree::remove(&note)?;
        }
        Ok(if restored > 0 { vec![Fact::new("restored-names", restored, "files")] } else { Vec::new() })
    }

    /// Gives the original all names that stand for what was put in its place.
    fn put_back(&self, place: &Utf8Path) -> Result<usize> {
        let original = Utf8PathBuf::from(format!("{place}{ORIGINAL}"));
        if !original.exists() {
            return Ok(0);
        }
        let mut names = vec![place.to_owned()];
        if let Ok(meta) = fs::metadata(place) {
            names.extend(names_below(std::slice::from_ref(&self.below), meta.dev(), meta.ino())?);
        }
        names.sort();
        names.dedup();
        // The place itself last: as long as it is there, the other names are found by it.
        names.retain(|name| *name != *place && *name != original);
        names.push(place.to_owned());
        for name in &names {
            let link = Utf8PathBuf::from(format!("{name}.restored"));
            tree::remove(&link)?;
            fs::hard_link(&original, &link).with_context(|| format!("cannot link {link}"))?;
            fs::rename(&link, name).with_context(|| format!("cannot replace {name}"))?;
            // Renaming over another name of the same file does nothing.
            tree::remove(&link)?;
        }
        tree::remove(&original)?;
        Ok(names.len())
    }
}
