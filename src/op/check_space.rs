//! `op check-space`: whether the disk has room for what is going to be written, asked before hours of work.

use std::io;

use anyhow::{Context, Result};
use camino::Utf8PathBuf;
use walkdir::WalkDir;

use crate::event::Fact;
use crate::text;

/// Checks that a file system has room.
#[derive(Debug, clap::Args)]
pub struct CheckSpace {
    /// A directory on it that will grow. What it holds already counts as written.
    #[arg(long)]
    pub dir: Utf8PathBuf,
    /// How many bytes it is going to hold.
    #[arg(long)]
    pub bytes: u64,
    /// The key of the stage that says how many.
    #[arg(long)]
    pub key: Option<String>,
}

impl CheckSpace {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let dir = &self.dir;
        let stat =
            rustix::fs::statvfs(dir.as_std_path()).with_context(|| format!("cannot ask for the space on {dir}"))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let needed = self.bytes.saturating_sub(if free < self.bytes { size(dir.as_std_path()) } else { 0 });
        if free < needed {
            let (free, needed) = (text::size(free), text::size(needed));
            let smaller = self.key.iter().map(|key| format!("set a smaller `{key}` in the stage, "));
            let smaller: String = smaller.collect();
            // Of this kind, so that it is known for what it is: the machine's fault.
            let error = io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{free} are free where {dir} lies, and about {needed} will be written; free some, {smaller}or put the state \
                     elsewhere with `--state-dir`"
                ),
            );
            return Err(error.into());
        }
        Ok(Vec::new())
    }
}

/// Bytes of the files in a directory; what cannot be read counts as nothing.
fn size(dir: &std::path::Path) -> u64 {
    let files = WalkDir::new(dir).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(std::fs::Metadata::is_file).map(|meta| meta.len()).sum()
}
