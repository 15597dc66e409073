//! `op shadow`: a copy of a directory in which one file is another one. The original stays as it is, whatever happens.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Context, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};

use crate::event::Fact;
use crate::fs::pattern;
use crate::fs::tree;

/// Copies a directory and replaces one file in the copy.
#[derive(Debug, clap::Args)]
pub struct Shadow {
    /// The directory.
    #[arg(long)]
    pub from: Utf8PathBuf,
    /// Where the copy stands. What was there before is removed.
    #[arg(long)]
    pub to: Utf8PathBuf,
    /// The file to replace, relative to the directory. Where it is a link, the file that it leads to is replaced. Its name can
    /// have a `*`, if exactly one file matches.
    #[arg(long)]
    pub replace: Utf8PathBuf,
    /// The file that stands in its place. It gets the mode of what it replaces.
    #[arg(long)]
    pub with: Utf8PathBuf,
}

impl Shadow {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (from, to) = (&self.from, &self.to);
        if !from.is_dir() {
            bail!("{from} is not a directory");
        }
        let replaced = self.replaced()?;
        let original = from.join(&replaced);
        let original = fs::metadata(&original).with_context(|| format!("there is no {original} to replace"))?;
        if !original.is_file() {
            bail!("{} is not a file, so it cannot be replaced", from.join(&replaced));
        }
        tree::remove(to)?;
        let mut first: Option<Utf8PathBuf> = None;
        tree::copy_tree(from, to, |source, target, meta| {
            // A file can have several names: rustc's libLLVM stands in two directories of a toolchain.
            if (meta.dev(), meta.ino()) == (original.dev(), original.ino()) {
                match &first {
                    Some(first) => link_or_copy(first, target)?,
                    None => {
                        tree::copy_file(&self.with, target)?;
                        let mode = fs::set_permissions(target, original.permissions());
                        mode.with_context(|| format!("cannot set the mode of {target}"))?;
                        first = Some(target.to_owned());
                    }
                }
                return Ok(());
            }
            if may_be_linked(source, meta) { link_or_copy(source, target) } else { tree::copy_file(source, target) }
        })?;
        if first.is_none() {
            bail!("{replaced} was not found while {from} was copied");
        }
        Ok(Vec::new())
    }

    /// Follows links inside of the directory to the file that they lead to.
    fn replaced(&self) -> Result<Utf8PathBuf> {
        let found = pattern::resolve(&self.from.join(&self.replace))
            .with_context(|| format!("cannot find what is to be replaced in {}", self.from))?;
        let replace = found.strip_prefix(&self.from).unwrap_or(&self.replace);
        let mut at = normalized(replace).with_context(|| format!("{} does not lie in {}", self.replace, self.from))?;
        // Longer chains than the kernel follows are circles.
        for _ in 0..40 {
            let path = self.from.join(&at);
            let Ok(link) = path.read_link_utf8() else { return Ok(at) };
            let next = at.parent().unwrap_or(Utf8Path::new("")).join(&link);
            match normalized(&next) {
                Some(next) => at = next,
                None => bail!(
                    "{path} is a link to {link}, outside of {}; it would not be replaced in a copy. Copy the file into the \
                     directory first",
                    self.from
                ),
            }
        }
        bail!("{} is a link that leads in a circle", self.from.join(&self.replace))
    }
}

/// Hard links only to what is never written in place: `strip` and linkers write through links to what they are given.
fn may_be_linked(path: &Utf8Path, meta: &Metadata) -> bool {
    let name = path.file_name().unwrap_or_default();
    let library = [".so", ".dylib", ".dll"].iter().any(|suffix| name.ends_with(suffix)) || name.contains(".so.");
    meta.permissions().mode() & 0o111 == 0 && !library
}

fn link_or_copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    // Refused across file systems, for files of other users, and beyond a number of links.
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => tree::copy_file(from, to),
    }
}

/// Without `.` and `..`; none if it leads out of where it starts.
fn normalized(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut normal = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::Normal(name) => normal.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Utf8Component::RootDir | Utf8Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}
