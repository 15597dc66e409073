//! `op capture`: takes a result out of a build directory, so that what happens there next cannot change it.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::{Fact, tree};

/// Copies a file or a directory tree, with modes, links and modification times.
#[derive(Debug, clap::Args)]
pub struct Capture {
    /// What is copied. A link to a file is followed.
    #[arg(long)]
    pub from: Utf8PathBuf,
    /// Where the copy stands. What was there before is removed.
    #[arg(long)]
    pub to: Utf8PathBuf,
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
        let (from, to) = (&self.from, &self.to);
        let Ok(meta) = fs::metadata(from) else {
            bail!("there is no {from}, which is declared as an output. {}", beside(from));
        };
        if to.starts_with(from) || from.starts_with(to) {
            bail!("{from} cannot be copied to {to}: one lies in the other");
        }
        tree::remove(to)?;
        if meta.is_dir() {
            tree::copy_tree(from, to, |from, to, _| tree::copy_file(from, to))?;
        } else {
            if let Some(parent) = to.parent() {
                fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
            }
            tree::copy_file(from, to)?;
        }
        Ok(())
    }
}

/// Puts a copy of a file or directory in the place of what stands at `to`, which is there or replaced as a whole.
///
/// # Errors
/// When it cannot be copied.
pub fn replace(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    // Of a fixed name, so that what a kill leaves is found.
    let copy = aside(to);
    if let Err(error) = (Capture { from: from.to_owned(), to: copy.clone() }).copy() {
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
