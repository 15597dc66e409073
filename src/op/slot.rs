//! `op clear-slot` and `op collect`: the directory that a BOLT-instrumented file writes its profiles to.
//!
//! The path is compiled in, so it belongs to a slot, not to an attempt. Beside each instrumented copy stands a text file with
//! that path, which both operations read.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::fs::tree;
use crate::profile::{self, ProfileFile};

/// Makes a slot ready for an attempt: the directory exists and holds no profiles.
#[derive(Debug, clap::Args)]
pub struct ClearSlot {
    /// The text file with the path that is compiled in.
    #[arg(long)]
    pub path_file: Utf8PathBuf,
}

/// Moves the profiles of an attempt out of its slot.
#[derive(Debug, clap::Args)]
pub struct Collect {
    /// The text file with the path that is compiled in.
    #[arg(long)]
    pub path_file: Utf8PathBuf,
    /// The directory that they are moved to.
    #[arg(long)]
    pub to: Utf8PathBuf,
}

impl ClearSlot {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let slot = Slot::read(&self.path_file)?;
        fs::create_dir_all(&slot.dir).with_context(|| format!("cannot make the directory {}", slot.dir))?;
        for file in slot.profiles()? {
            tree::remove(&file.path)?;
        }
        Ok(Vec::new())
    }
}

impl Collect {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let slot = Slot::read(&self.path_file)?;
        fs::create_dir_all(&self.to).with_context(|| format!("cannot make the directory {}", self.to))?;
        for file in slot.profiles()? {
            let target = self.to.join(file.path.file_name().unwrap_or_default());
            // Across file systems a rename is refused.
            if fs::rename(&file.path, &target).is_err() {
                tree::copy_file(&file.path, &target)?;
                tree::remove(&file.path)?;
            }
        }
        Ok(Vec::new())
    }
}

/// Where the instrumented file of a slot writes: files in `dir` whose names begin with `stem`.
pub(super) struct Slot {
    pub dir: Utf8PathBuf,
    pub stem: String,
}

impl Slot {
    pub fn read(path_file: &Utf8Path) -> Result<Slot> {
        let text = fs::read_to_string(path_file).with_context(|| format!("cannot read {path_file}"))?;
        let path = Utf8Path::new(text.trim_end_matches('\n'));
        match (path.parent(), path.file_name()) {
            (Some(dir), Some(stem)) if path.is_absolute() => Ok(Slot { dir: dir.to_owned(), stem: stem.to_owned() }),
            _ => bail!("{path_file} does not hold the absolute path of a profile"),
        }
    }

    fn profiles(&self) -> Result<Vec<ProfileFile>> {
        let ours = |path: &Utf8Path| {
            let name = path.file_name().unwrap_or_default();
            name == self.stem || (name.starts_with(&format!("{}.", self.stem)) && name.ends_with(".fdata"))
        };
        profile::find(&self.dir, ours).with_context(|| format!("cannot read the directory {}", self.dir))
    }
}
