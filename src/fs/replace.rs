//! A file or directory takes the place of another one. A kill at any point leaves the old one or the new one, whole.
//!
//! | there is | what happens |
//! |---|---|
//! | nothing, or a file that a file replaces | one rename |
//! | anything else | both exchange their names; then the old one is removed |
//! | the same, where the file system cannot exchange names | the old one is renamed aside, then the new one into its place |
//!
//! In the last case a kill between the renames leaves nothing in the place, until [`sweep`] renames the old one back. Unaware of what
//! the files mean.

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
    let old = beside(to, OLD);
    if old.symlink_metadata().is_ok() && to.symlink_metadata().is_err() {
        rename(&old, to)?;
    }
    tree::remove(&old)?;
    tree::remove(&beside(to, NEW))
}

/// Names beside the place, which do not change, so that what a kill leaves is found. After an exchange the old one has the name of the new.
const NEW: &str = ".optbuild-";
const OLD: &str = ".optbuild~";

fn beside(to: &Utf8Path, prefix: &str) -> Utf8PathBuf {
    to.with_file_name(format!("{prefix}{}", to.file_name().unwrap_or_default()))
}

/// Gives `new` the name `to`. `reached` is called between two steps: a test ends there as a kill does.
fn put(
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
            tree::remove(&old)?;
            rename(to, &old)?;
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

/// NFS and old kernels cannot.
fn exchange(new: &Utf8Path, old: &Utf8Path) -> io::Result<()> {
    renameat_with(CWD, new.as_std_path(), CWD, old.as_std_path(), RenameFlags::EXCHANGE).map_err(|error| match error {
        Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP => io::Error::new(io::ErrorKind::Unsupported, error),
        other => other.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cannot(_: &Utf8Path, _: &Utf8Path) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What a file, or the one file in a directory, says.
    fn text(path: &Utf8Path) -> Option<String> {
        fs::read_to_string(path).or_else(|_| fs::read_to_string(path.join("file"))).ok()
    }

    fn make(path: &Utf8Path, is_dir: bool, text: &str) {
        tree::remove(path).unwrap();
        if is_dir {
            fs::create_dir(path).unwrap();
        }
        fs::write(if is_dir { path.join("file") } else { path.to_owned() }, text).unwrap();
    }

    /// For every kind of the new and the old one: the steps, and a kill behind each of them.
    fn kills(exchange: fn(&Utf8Path, &Utf8Path) -> io::Result<()>, gone_until_swept: bool) {
        let dir = tempfile::tempdir().unwrap();
        let to = Utf8Path::from_path(dir.path()).unwrap().join("place");
        for (new_is_dir, old_is_dir) in [(true, true), (true, false), (false, true), (false, false)] {
            for last in 0..4 {
                let new = beside(&to, NEW);
                make(&new, new_is_dir, "new");
                make(&to, old_is_dir, "old");
                let mut step = 0;
                let ended = put(&new, &to, exchange, &mut || {
                    step += 1;
                    if step > last { anyhow::bail!("killed") } else { Ok(()) }
                });
                let (killed, before) = (ended.is_err(), text(&to));
                assert!(before.is_some() || gone_until_swept, "killed behind step {last}");
                sweep(&to).unwrap();
                let after = text(&to);
                assert!(killed || after.as_deref() == Some("new"));
                assert!(matches!(after.as_deref(), Some("old" | "new")), "killed behind step {last}: {after:?}");
                let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
                assert_eq!(names, ["place"], "something was left");
            }
        }
    }

    #[test]
    fn a_kill_leaves_the_old_one_or_the_new_one() {
        kills(exchange, false);
    }

    #[test]
    fn where_names_cannot_be_exchanged_sweeping_brings_the_old_one_back() {
        kills(cannot, true);
    }

    #[test]
    fn a_copy_takes_the_place_of_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let (from, to) = (dir.join("from"), dir.join("to"));
        make(&from, true, "new");
        for old in [None, Some(true), Some(false)] {
            if let Some(is_dir) = old {
                make(&to, is_dir, "old");
            }
            replace(&from, &to).unwrap();
            assert_eq!((text(&from).as_deref(), text(&to).as_deref()), (Some("new"), Some("new")));
        }
        assert!(replace(&dir.join("nothing"), &to).is_err());
        assert_eq!(text(&to).as_deref(), Some("new"), "what cannot be replaced stays");
        assert_eq!(dir.read_dir_utf8().unwrap().count(), 2);
    }
}
