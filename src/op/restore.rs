//! `op restore`: takes back what `op put-in-place` did below a directory, so that a build goes on from its own files.
//!
//! Safe to repeat, and to repeat after a kill at any point: the note of what was put in place goes last. What was built again since stays.

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use super::put_in_place::{ORIGINAL, ORIGINALS, PLACED, Placed, hash, names_below};
use crate::event::Fact;
use crate::fs::disk;
use crate::fs::tree;

/// Puts originals back in their places.
#[derive(Debug, clap::Args)]
pub struct Restore {
    /// Where to look for them.
    #[arg(long)]
    pub below: Utf8PathBuf,
}

impl Restore {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let originals = self.below.join(ORIGINALS);
        let mut restored = 0;
        for name in disk::names_in(&originals)? {
            let Some(name) = name.strip_suffix(PLACED) else { continue };
            let note = originals.join(format!("{name}{PLACED}"));
            restored += match Placed::read(&note)? {
                Some(placed) => self.put_back(&placed, &originals.join(format!("{name}{ORIGINAL}")))?,
                None => 0,
            };
            tree::remove(&note)?;
        }
        Ok(if restored > 0 { vec![Fact::count("restored-names", restored, "files")] } else { Vec::new() })
    }

    /// Gives the original all names that stand for what was put in its place.
    fn put_back(&self, placed: &Placed, original: &Utf8Path) -> Result<usize> {
        if !original.exists() {
            return Ok(0);
        }
        let place = &placed.target;
        let mut names = match self.one_name(placed)? {
            Some(name) => {
                let meta = fs::metadata(&name).with_context(|| format!("cannot look at {name}"))?;
                names_below(&self.below, meta.dev(), meta.ino())?
            }
            None => Vec::new(),
        };
        // The place itself last: as long as it is there, the other names are found by it.
        names.retain(|name| name != place);
        let gone = !place.exists() && place.parent().is_some_and(Utf8Path::is_dir);
        if gone || place.is_file() && hash(place)? == placed.hash {
            names.push(place.clone());
        }
        for name in &names {
            let link = Utf8PathBuf::from(format!("{name}.restored"));
            tree::remove(&link)?;
            fs::hard_link(original, &link).with_context(|| format!("cannot link {link}"))?;
            fs::rename(&link, name).with_context(|| format!("cannot replace {name}"))?;
            // Renaming over another name of the same file does nothing.
            tree::remove(&link)?;
        }
        tree::remove(original)?;
        Ok(names.len())
    }

    /// A name of what was put in place: the place, or where the build tool has deleted that, another one.
    fn one_name(&self, placed: &Placed) -> Result<Option<Utf8PathBuf>> {
        if placed.target.is_file() && hash(&placed.target)? == placed.hash {
            return Ok(Some(placed.target.clone()));
        }
        for entry in WalkDir::new(&self.below) {
            let entry = entry.with_context(|| format!("cannot read the directory {}", self.below))?;
            let path = Utf8Path::from_path(entry.path()).filter(|path| path.file_name() == placed.target.file_name());
            if let Some(path) = path
                && path.is_file()
                && hash(path)? == placed.hash
            {
                return Ok(Some(path.to_owned()));
            }
        }
        Ok(None)
    }
}
