//! A file or directory takes the place of another one. A kill at any point leaves the old one or the new one, whole.
//!
//! | there is | what happens |
//! |---|---|
//! | nothing, or a file that a file replaces | one rename |
//! | anything else | both exchange their names; then the old one is removed |
//! | the same, where the file system cannot exchange names | the old one is renamed aside, then the new one into its place |
//! | the same, where the old one is a directory of a lower layer of an overlay, which has no name to change | a copy of the old one is put aside, the old one is removed, then the new one is renamed into its place |
//!
//! In the last two cases a kill leaves nothing in the place, or a part of the old one, until [`sweep`] renames back what was put aside.
//! Unaware of what the files mean.

use std::fs;
use std::io;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::tree;

/// Puts a copy of a file or directory in the place of what stands at `to`, if there is anything.
///
/// # Errors
/// When it cannot be copied, or not be put there.
pub fn replace(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    // What lies aside says what the place is.
    sweep(to)?;
    let copy = beside(to, NEW);
    if let Err(error) = tree::copy(from, &copy) {
        // Where the disk is full, half a copy takes the rest of the space.
        let _ = tree::remove(&copy);
        return Err(error);
    }
    put(&copy, to, exchange, &mut || Ok(()))
}

/// Removes what a [`replace`] that was killed has left, and takes back what it had only begun.
///
/// # Errors
/// When something cannot be removed or renamed.
pub fn sweep(to: &Utf8Path) -> Result<()> {
    let (old, new) = (beside(to, OLD), beside(to, NEW));
    let is_there = |path: &Utf8Path| path.symlink_metadata().is_ok();
    // As long as there is a new one, it has not come into its place: what stands there is a part of the old one.
    if is_there(&old) && (is_there(&new) || !is_there(to)) {
        tree::remove(to)?;
        rename(&old, to)?;
    }
    tree::remove(&old)?;
    tree::remove(&beside(to, PART))?;
    tree::remove(&new)
}

/// Names beside the place, which do not change, so that what a kill leaves is found. After an exchange the old one has the name of the new.
pub const NEW: &str = ".optbuild-";
const OLD: &str = ".optbuild~";
/// A copy of the old one that is being made.
const PART: &str = ".optbuild+";

/// A name beside the place.
pub fn beside(to: &Utf8Path, prefix: &str) -> Utf8PathBuf {
    to.with_file_name(format!("{prefix}{}", to.file_name().unwrap_or_default()))
}

/// Gives `new` the name `to`. `reached` is called between two steps: a test ends there as a kill does.
pub fn put(
    new: &Utf8Path,
    to: &Utf8Path,
    exchange: impl Fn(&Utf8Path, &Utf8Path) -> io::Result<()>,
    reached: &mut dyn FnMut() -> Result<()>,
) -> Result<()> {
    let is_dir = |path: &Utf8Path| path.symlink_metadata().ok().map(|meta| meta.is_dir());
    if matches!((is_dir(new), is_dir(to)), (_, None) | (Some(false), Some(false))) {
        return rename(new, to);
    }
    match exchange(new, to) {
        Ok(()) => {
            reached()?;
            tree::remove(new)
        }
        Err(error) if error.kind() == io::ErrorKind::Unsupported || error.kind() == io::ErrorKind::InvalidInput => {
            let old = beside(to, OLD);
            rename(to, &old)?;
            reached()?;
            rename(new, to)?;
            reached()?;
            tree::remove(&old)
        }
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            let (old, part) = (beside(to, OLD), beside(to, PART));
            tree::copy(to, &part)?;
            reached()?;
            rename(&part, &old)?;
            reached()?;
            tree::remove(to)?;
            reached()?;
            rename(new, to)?;
            reached()?;
            tree::remove(&old)
        }
        Err(error) => Err(error).with_context(|| format!("cannot put {to} in place")),
    }
}

fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    fs::rename(from, to).with_context(|| format!("cannot rename {from} to {to}"))
}

/// Two paths exchange their names. NFS and old kernels cannot.
pub fn exchange(new: &Utf8Path, old: &Utf8Path) -> io::Result<()> {
    renameat_with(CWD, new.as_std_path(), CWD, old.as_std_path(), RenameFlags::EXCHANGE).map_err(|error| match error {
        Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP => io::Error::new(io::ErrorKind::Unsupported, error),
        other => other.into(),
    })
}
