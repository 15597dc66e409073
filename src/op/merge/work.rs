//! Where a merge keeps files until it is done, and how its result takes its place.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::ops::Deref;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use tempfile::TempDir;

use crate::profile::WORK;

/// A directory for files in between. It is locked while its merge lives, and goes with it; what a killed one left, the next one in the
/// same place removes.
pub(crate) struct Work {
    path: Utf8PathBuf,
    _dir: TempDir,
    _lock: File,
}

impl Work {
    /// In the directory of the result: a rename puts that in place whole or not at all.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn within(dir: &Utf8Path) -> Result<Work> {
        let cannot = || format!("cannot write to the directory {dir}");
        fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
        sweep(dir);
        let work = tempfile::Builder::new().prefix(WORK).tempdir_in(dir).with_context(cannot)?;
        let path = Utf8Path::from_path(work.path()).context("a path that is not UTF-8")?.to_owned();
        let lock = File::open(&path).with_context(cannot)?;
        // Where a file system has no locks, nothing there is swept either.
        let _ = lock.try_lock();
        Ok(Work { path, _dir: work, _lock: lock })
    }

    /// For a result at `output`.
    ///
    /// # Errors
    /// As [`Work::within`].
    pub fn beside(output: &Output) -> Result<Work> {
        if !output.writes_into {
            return Work::within(parent(&output.path));
        }
        // There are no directories beside a device.
        let temporary = std::env::temp_dir();
        Work::within(Utf8Path::from_path(&temporary).context("TMPDIR is not UTF-8")?)
    }
}

impl Deref for Work {
    type Target = Utf8Path;
    fn deref(&self) -> &Utf8Path {
        &self.path
    }
}

/// Removes what no merge that lives has locked. That it cannot is no reason not to merge.
fn sweep(dir: &Utf8Path) {
    let Ok(entries) = dir.read_dir_utf8() else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().starts_with(WORK)) {
        let dead = || File::open(entry.path()).is_ok_and(|lock| lock.try_lock().is_ok());
        // One that was made in this moment is not locked yet.
        let old =
            entry.metadata().ok().and_then(|meta| meta.modified().ok()?.elapsed().ok()).is_some_and(|age| age > YOUNG);
        if old
            && dead()
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::debug!("{} is left over and stays: {error}", entry.path());
        }
    }
}

const YOUNG: std::time::Duration = std::time::Duration::from_secs(1);

/// Where a result goes.
pub(crate) struct Output {
    path: Utf8PathBuf,
    /// What is there is no file but a device or a pipe, which cannot be replaced.
    writes_into: bool,
    permissions: Option<fs::Permissions>,
}

impl Output {
    /// Follows links, as all that open a file for writing do.
    ///
    /// # Errors
    /// What is there cannot be looked at, or is a directory.
    pub fn at(path: &Utf8Path) -> Result<Output> {
        match fs::metadata(path) {
            Ok(meta) => {
                anyhow::ensure!(!meta.is_dir(), "{path} is a directory: name a file in it");
                let path = path.canonicalize_utf8().with_context(|| format!("cannot look at {path}"))?;
                Ok(Output { path, writes_into: !meta.is_file(), permissions: Some(meta.permissions()) })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                Ok(Output { path: path.to_owned(), writes_into: false, permissions: None })
            }
            Err(error) => Err(error).with_context(|| format!("cannot look at {path}")),
        }
    }

    /// Whether a file is what would be replaced.
    pub fn is(&self, path: &Utf8Path) -> bool {
        self.permissions.is_some() && path.canonicalize_utf8().is_ok_and(|path| path == self.path)
    }

    /// Puts a file in its place.
    ///
    /// # Errors
    /// It cannot be written. What was there before then still is, if it is a file.
    pub fn put(&self, merged: &Utf8Path) -> Result<()> {
        let cannot = || format!("cannot write {}", self.path);
        if self.writes_into {
            let mut into = fs::OpenOptions::new().write(true).open(&self.path).with_context(cannot)?;
            std::io::copy(&mut File::open(merged).with_context(cannot)?, &mut into).with_context(cannot)?;
            return Ok(());
        }
        if let Some(permissions) = &self.permissions {
            fs::set_permissions(merged, permissions.clone()).with_context(cannot)?;
        }
        fs::rename(merged, &self.path).with_context(cannot)
    }
}

fn parent(path: &Utf8Path) -> &Utf8Path {
    path.parent().filter(|dir| !dir.as_str().is_empty()).unwrap_or(Utf8Path::new("."))
}
