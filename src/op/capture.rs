//! `op capture`: takes a result out of a build directory, so that what happens there next cannot change it.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::fs::glob::Globs;
use crate::fs::tree;

/// Copies a file or a directory tree, with modes, links and modification times.
#[derive(Debug, Default, clap::Args)]
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
        self.copy().map(|()| Vec::new())
    }

    /// Copies.
    ///
    /// # Errors
    /// When there is nothing to copy, or it cannot be read or written.
    pub fn copy(&self) -> Result<()> {
        let to = &self.to;
        let found = self.from.iter().find_map(|from| Some((from, fs::metadata(from).ok()?)));
        let Some((from, meta)) = found else {
            let names: Vec<&str> = self.from.iter().map(|from| from.as_str()).collect();
            let from = self.from.first().context("nothing to copy is named")?;
            bail!("there is no {}, which is declared as an output. {}", names.join(", nor "), beside(from));
        };
        if to.starts_with(from) || from.starts_with(to) {
            bail!("{from} cannot be copied to {to}: one lies in the other");
        }
        tree::remove(to)?;
        if meta.is_dir() {
            self.directory(from)?;
        } else {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
            }
            tree::copy_file(from, to)?;
        }
        Ok(())
    }

    fn directory(&self, from: &Utf8Path) -> Result<()> {
        let linked = Globs::new(&self.link).map_err(anyhow::Error::msg).context("a pattern of `link` is none")?;
        let root = from.canonicalize_utf8().with_context(|| format!("cannot find {from}"))?;
        let below = |path: &Utf8Path| path.strip_prefix(&root).map(Utf8Path::to_owned).unwrap_or_default();
        let takes = |path: &Utf8Path| !self.without.contains(&below(path));
        tree::copy_part(&root, &self.to, takes, |from, to, _| {
            // Refused across file systems, and beyond a number of links.
            if linked.is_match(below(from)) && fs::hard_link(from, to).is_ok() {
                return Ok(());
            }
            tree::copy_file(from, to)
        })
    }
}

/// Puts a copy of a file or directory in the place of what stands at `to`, which is there or replaced as a whole.
///
/// # Errors
/// When it cannot be copied.
pub fn replace(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    // Of a fixed name, so that what a kill leaves is found.
    let copy = aside(to);
    if let Err(error) = (Capture { from: vec![from.to_owned()], to: copy.clone(), ..Capture::default() }).copy() {
        // Where there is no space, the half of a copy takes what is left of it.
        let _ = tree::remove(&copy);
        return Err(error);
    }
    // A directory cannot be renamed over another one.
    if to.is_dir() {
        tree::remove(to)?;
    }
    fs::rename(&copy, to).with_context(|| format!("cannot put {to} in place"))
}

/// Removes what a [`replace`] that was killed has left.
///
/// # Errors
/// When it cannot be removed.
pub fn sweep(to: &Utf8Path) -> Result<()> {
    tree::remove(&aside(to))
}

fn aside(to: &Utf8Path) -> Utf8PathBuf {
    to.with_file_name(format!(".optbuild-{}", to.file_name().unwrap_or_default()))
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
