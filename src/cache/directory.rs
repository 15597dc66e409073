//! The store that is a directory: on a disk that several machines see, or one that a CI system carries from job to job.
//!
//! An object is a file of its name. It is written beside its place, brought to disk, and renamed, so that readers see all of it or
//! nothing. Links are never followed below the directory's own path: another writer may have put one there. Unaware of what is kept.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;
use walkdir::WalkDir;

use super::{Body, Can, Meta, Put, Store, StoreError, When, is_name};
use crate::fs::disk;

/// What begins the name of a file that is being written. No object's name begins with a dot.
const ASIDE: &str = ".tmp-";
const MIB: u64 = 1 << 20;

/// A directory with objects in it.
#[derive(Debug)]
pub struct Directory {
    root: Utf8PathBuf,
    can: Can,
}

impl Directory {
    /// The directory need not exist: it is made when the first object is put there.
    pub fn new(root: impl Into<Utf8PathBuf>) -> Directory {
        let can = Can { absent: true, list: true, delete: true, own_object: MIB, pack: 64 * MIB };
        Directory { root: root.into(), can }
    }

    /// The same with limits of another store, to see what they lead to.
    #[must_use]
    pub fn with_limits(mut self, own_object: u64, pack: u64) -> Directory {
        (self.can.own_object, self.can.pack) = (own_object, pack);
        self
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    fn path(&self, action: &'static str, name: &str) -> Result<Utf8PathBuf, StoreError> {
        if is_name(name) {
            return Ok(self.root.join(name));
        }
        let cause = io::Error::new(io::ErrorKind::InvalidInput, "no object can have that name");
        Err(self.failed(action, name, cause))
    }

    fn failed(&self, action: &'static str, name: &str, cause: io::Error) -> StoreError {
        StoreError { action, name: name.into(), place: self.place(), cause }
    }

    fn write(&self, path: &Utf8Path, body: Body<'_>, when: When) -> io::Result<Put> {
        let Some(parent) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
        fs::create_dir_all(parent)?;
        let mut aside =
            tempfile::Builder::new().prefix(ASIDE).permissions(Permissions::from_mode(0o666)).tempfile_in(parent)?;
        match body {
            Body::Bytes(bytes) => aside.write_all(bytes)?,
            Body::File(file) => {
                io::copy(&mut File::open(file)?, aside.as_file_mut())?;
            }
        }
        aside.as_file().sync_all()?;
        let written = match when {
            When::Always => aside.persist(path).map(drop).map_err(|error| error.error),
            When::Absent => in_place(aside.path(), path.as_std_path()),
        };
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Put::Exists),
            Err(error) => return Err(error),
        }
        File::open(parent)?.sync_all()?;
        Ok(Put::Written)
    }
}

/// Renames unless there is something. What was renamed is not there any more when the temporary file is to be removed, which is fine.
fn in_place(aside: &std::path::Path, path: &std::path::Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, aside, CWD, path, RenameFlags::NOREPLACE) {
        // A file system that does not know the flag, such as NFS.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => match fs::hard_link(aside, path) {
            // Nor hard links. Two writers of one name write the same, or records that are both right.
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists && path.symlink_metadata().is_err() => {
                fs::rename(aside, path)
            }
            other => other,
        },
        other => Ok(other?),
    }
}

impl Store for Directory {
    fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        let path = self.path("read", name)?;
        match open(&path).and_then(|file| Ok((file.metadata()?, file))) {
            Ok((metadata, mut file)) if metadata.is_file() => match range {
                None => Ok(Some(Box::new(file))),
                Some(range) => {
                    let moved = file.seek(SeekFrom::Start(range.start));
                    moved.map_err(|error| self.failed("read", name, error))?;
                    Ok(Some(Box::new(file.take(range.end.saturating_sub(range.start)))))
                }
            },
            Ok(_) => Ok(None),
            Err(error) if is_absent(&error) && !self.root.is_file() => Ok(None),
            Err(error) => Err(self.failed("read", name, error)),
        }
    }

    fn head(&self, name: &str) -> Result<Option<u64>, StoreError> {
        match self.path("look for", name)?.symlink_metadata() {
            Ok(metadata) => Ok(Some(metadata.len()).filter(|_| metadata.is_file())),
            Err(error) if is_absent(&error) => Ok(None),
            Err(error) => Err(self.failed("look for", name, error)),
        }
    }

    fn put(&self, name: &str, body: Body<'_>, when: When) -> Result<Put, StoreError> {
        let path = self.path("write", name)?;
        self.write(&path, body, when).map_err(|error| self.failed("write", name, error))
    }

    fn list(&self, directory: &str) -> Result<Vec<Meta>, StoreError> {
        let top = match directory.strip_suffix('/') {
            Some(name) => self.path("list", name)?,
            None if directory.is_empty() => self.root.clone(),
            None => return Err(self.failed("list", directory, io::ErrorKind::InvalidInput.into())),
        };
        let mut found = Vec::new();
        for entry in WalkDir::new(&top).sort_by_file_name() {
            let entry = match entry.map_err(io::Error::from) {
                Ok(entry) => entry,
                // It was taken away meanwhile, or there is no such directory.
                Err(error) if is_absent(&error) => continue,
                Err(error) => return Err(self.failed("list", directory, error)),
            };
            let name = Utf8Path::from_path(entry.path()).and_then(|path| path.strip_prefix(&self.root).ok());
            let Some(name) = name.filter(|name| is_name(name.as_str())) else { continue };
            if let Some(metadata) = entry.metadata().ok().filter(fs::Metadata::is_file) {
                let written = Timestamp::new(metadata.mtime(), 0).unwrap_or_default();
                found.push(Meta { name: name.as_str().into(), size: metadata.len(), written });
            }
        }
        Ok(found)
    }

    fn delete(&self, names: &[String]) -> Result<(), StoreError> {
        for name in names {
            match fs::remove_file(self.path("remove", name)?) {
                Err(error) if !is_absent(&error) => return Err(self.failed("remove", name, error)),
                _ => {}
            }
        }
        Ok(())
    }

    fn sweep(&self, before: Timestamp) -> Result<usize, StoreError> {
        let mut removed = 0;
        for entry in WalkDir::new(&self.root).into_iter().filter_map(Result::ok) {
            let aside = entry.file_name().to_str().is_some_and(disk::is_leftover);
            let old = |metadata: fs::Metadata| metadata.is_file() && metadata.mtime() < before.as_second();
            if aside && entry.metadata().is_ok_and(old) && fs::remove_file(entry.path()).is_ok() {
                removed += 1;
            }
        }
        Ok(removed)
    }

    fn can(&self) -> Can {
        self.can
    }

    fn place(&self) -> String {
        self.root.to_string()
    }
}

/// Does not follow a link, nor wait for the other end of a pipe.
fn open(path: &Utf8Path) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path)
}

/// There is no such file; or a link is in its place.
fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}
