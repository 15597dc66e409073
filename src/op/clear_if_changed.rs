//! `op clear-if-changed`: removes what was built with other options, where the build tool itself does not notice.
//!
//! A text file beside the directories says with which options they were begun. Unaware of what the options mean.

use std::fs;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;

use super::{Fact, tree};
use crate::state::disk;

/// Removes directories unless they were begun with the same options.
#[derive(Debug, clap::Args)]
pub struct ClearIfChanged {
    /// The text file that says with which options.
    #[arg(long)]
    pub stamp: Utf8PathBuf,
    /// An option: any text.
    #[arg(long, allow_hyphen_values = true)]
    pub option: Vec<String>,
    /// What is removed.
    #[arg(long)]
    pub clear: Vec<Utf8PathBuf>,
}

impl ClearIfChanged {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let options: String = self.option.iter().map(|option| format!("{option}\n")).collect();
        let before = disk::read_if_there(&self.stamp)?;
        if before.as_deref() == Some(options.as_bytes()) {
            return Ok(Vec::new());
        }
        let there = self.clear.iter().filter(|dir| dir.exists()).count();
        if let (Some(before), true) = (&before, there > 0) {
            let before = String::from_utf8_lossy(before);
            let gone = before.lines().filter(|line| !options.lines().any(|option| option == *line));
            gone.for_each(|line| eprintln!("was built with {line}"));
            let new = options.lines().filter(|option| !before.lines().any(|line| line == *option));
            new.for_each(|line| eprintln!("is built with {line}"));
        }
        // First the note goes: without one, whatever is there is removed.
        disk::remove_durably(&self.stamp)?;
        self.clear.iter().try_for_each(|dir| tree::remove(dir))?;
        let parent = self.stamp.parent().context("the stamp is no file")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
        disk::write_durably(&self.stamp, options.as_bytes())?;
        Ok(if there > 0 { vec![Fact::number("directories-cleared", there as f64)] } else { Vec::new() })
    }
}
