//! `op capture`: takes a result out of a build directory, so that what happens there next cannot change it.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use globset::{GlobBuilder, GlobSetBuilder};

use crate::event::Fact;
use crate::fs::tree;

/// Copies a file or a directory tree, with modes, links and modification times.
#[derive(Debug, clap::Args)]
pub struct Capture {
    /// What is copied. A link to a file is followed. Where several are named, the first that is there.
    #[arg(long, required = true)]
    pub from: Vec<Utf8PathBuf>,
    /// Where the copy stands. What was there before is removed.
    #[arg(long)]
    pub to: Utf8PathBuf,
    /// Files that are never written in place, as patterns relative to the directory: they are hard links where that is possible.
    #[arg(long)]
    pub link: Vec<String>,
    /// Paths in the directory that are left out.
    #[arg(long)]
    pub without: Vec<Utf8PathBuf>,
}

impl Capture {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let Some(from) = self.from.iter().find(|from| from.exists()) else {
            let names: Vec<&str> = self.from.iter().map(|from| from.as_str()).collect();
            let from = self.from.first().context("nothing to copy is named")?;
            bail!("there is no {}, which is declared as an output. {}", names.join(", nor "), beside(from));
        };
        let mut linked = GlobSetBuilder::new();
        for pattern in &self.link {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build();
            linked.add(glob.with_context(|| format!("`{pattern}` is not a pattern"))?);
        }
        let linked = linked.build().context("the patterns cannot be used together")?;
        let root = from.canonicalize_utf8().with_context(|| format!("cannot find {from}"))?;
        let below = |path: &Utf8Path| path.strip_prefix(&root).map(Utf8Path::to_owned).unwrap_or_default();
        let takes = |path: &Utf8Path| !self.without.contains(&below(path));
        tree::copy_anew(from, &self.to, takes, |from, to, _| {
            // Refused across file systems, and beyond a number of links.
            if linked.is_match(below(from)) && fs::hard_link(from, to).is_ok() {
                return Ok(());
            }
            tree::copy_file(from, to)
        })?;
        Ok(Vec::new())
    }
}

/// What is there instead, because a name is often only slightly wrong.
fn beside(path: &Utf8Path) -> String {
    let mut dir = path.parent();
    while let Some(parent) = dir.filter(|dir| !dir.is_dir()) {
        dir = parent.parent();
    }
    let Some(dir) = dir else { return String::new() };
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string()).collect();
    names.sort();
    let more = if names.len() > 10 { ", …" } else { "" };
    names.truncate(10);
    match names.is_empty() {
        true => format!("{dir} is empty"),
        false => format!("In {dir} there are: {}{more}", names.join(", ")),
    }
}
