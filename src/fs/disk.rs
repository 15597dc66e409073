//! Changes of the file system that survive a kill and a power cut, or did not happen.
//!
//! Unaware of what the files mean.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Serialize;
use serde::de::DeserializeOwned;
use walkdir::WalkDir;

use super::whole;

/// Names of files that are being written. Left over after a kill; [`sweep`] removes them.
const ASIDE: &str = ".tmp-";
/// Names of what is being deleted. Left over after a kill; [`sweep`] removes them.
const GONE: &str = ".gone-";

/// Up to this many files and directories are synced one by one; more by syncing their file system once.
///
/// `syncfs` also waits for what other programs have written, which can be gigabytes; `fsync` costs about a third of a
/// millisecond per file on an SSD (see the figures in `tests/it/state/timing.rs`).
const SYNCED_ONE_BY_ONE: usize = 64;

/// Less than so many bytes, and the disk is called full: a program that finds no space often leaves some, of what it gave up.
const LEAST_SPACE: u64 = 256 * 1024;

/// Something that the file system refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} `{path}`: {cause}")]
pub struct DiskError {
    pub action: &'static str,
    pub path: Utf8PathBuf,
    /// Shown by the error itself, and so not its `source`.
    pub cause: io::Error,
}

/// Whether it is the disk, the memory or the user's rights, and not what was asked of them.
pub fn refuses(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    let kinds = [FileTooLarge, OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull];
    kinds.contains(&error.kind()) || error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Whether the file system of a path has no space left for anything, or no inodes.
pub fn is_full(path: &Utf8Path) -> bool {
    rustix::fs::statvfs(path.as_std_path()).is_ok_and(|system| {
        let none_free = |free: u64, all: u64, needed: u64| all > 0 && free < needed;
        none_free(system.f_bavail.saturating_mul(system.f_frsize), system.f_blocks, LEAST_SPACE)
            || none_free(system.f_favail, system.f_files, 1)
    })
}

/// Adds to an I/O error what was tried, and on which path.
pub trait At<T> {
    fn at(self, action: &'static str, path: impl AsRef<Utf8Path>) -> Result<T, DiskError>;
}

impl<T, E: Into<io::Error>> At<T> for Result<T, E> {
    fn at(self, action: &'static str, path: impl AsRef<Utf8Path>) -> Result<T, DiskError> {
        self.map_err(|cause| DiskError { action, path: path.as_ref().to_owned(), cause: cause.into() })
    }
}

/// Puts a file in place as a whole: afterwards it is on disk, and before that the old one was.
pub fn write_durably(path: &Utf8Path, bytes: &[u8]) -> Result<(), DiskError> {
    write_aside(path, bytes, true)?;
    sync_dir(parent(path))
}

/// Puts a file in place as a whole, for a cache: a kill leaves the old or the new one, a power cut may leave neither.
pub fn write_whole(path: &Utf8Path, bytes: &[u8]) -> Result<(), DiskError> {
    write_aside(path, bytes, false)
}

fn write_aside(path: &Utf8Path, bytes: &[u8], sync: bool) -> Result<(), DiskError> {
    let mut aside = tempfile::Builder::new()
        .prefix(ASIDE)
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(parent(path))
        .at("write", path)?;
    aside.write_all(bytes).at("write", path)?;
    if sync {
        aside.as_file().sync_all().at("sync", path)?;
    }
    aside.persist(path).at("put in place", path)?;
    Ok(())
}

/// Removes a file so that it does not come back after a power cut. That there is none is fine.
pub fn remove_durably(path: &Utf8Path) -> Result<(), DiskError> {
    match fs::remove_file(path) {
        Ok(()) => sync_dir(parent(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at("remove", path),
    }
}

/// Makes a directory and those above it.
pub fn make_dir(path: &Utf8Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).at("make the directory", path)
}

/// Makes a directory that is empty, whatever was there.
pub fn make_empty_dir(path: &Utf8Path) -> Result<(), DiskError> {
    discard(path)?;
    make_dir(path)
}

/// Brings to disk what is at `path`, with everything below it, and the directories from there up to `top`.
pub fn sync_tree(path: &Utf8Path, top: &Utf8Path) -> Result<(), DiskError> {
    let mut found = Vec::new();
    for entry in WalkDir::new(path).follow_root_links(false) {
        let entry = entry.map_err(io::Error::from).at("read", path)?;
        let kind = entry.file_type();
        if kind.is_file() || kind.is_dir() {
            found.push(entry.into_path());
        }
        if found.len() > SYNCED_ONE_BY_ONE {
            sync_file_system(path)?;
            found.clear();
            break;
        }
    }
    // Contents before the directories that name them.
    for path in found.iter().rev() {
        let name = path.to_string_lossy().into_owned();
        // What cannot be opened for reading (mode 000) is synced with the file system.
        match File::open(path) {
            Ok(file) => file.sync_all().at("sync", name)?,
            Err(_) => sync_file_system(Utf8Path::new(&name).parent().unwrap_or(top))?,
        }
    }
    for directory in path.ancestors().skip(1).take_while(|directory| directory.starts_with(top)) {
        sync_dir(directory)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn sync_file_system(path: &Utf8Path) -> Result<(), DiskError> {
    let file = File::open(path).at("sync", path)?;
    rustix::fs::syncfs(&file).at("sync", path)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(path: &Utf8Path) -> Result<(), DiskError> {
    for entry in WalkDir::new(path).contents_first(true) {
        let entry = entry.map_err(io::Error::from).at("sync", path)?;
        if !entry.file_type().is_symlink() {
            File::open(entry.path()).and_then(|file| file.sync_all()).at("sync", path)?;
        }
    }
    Ok(())
}

/// Brings to disk which names a directory has.
pub fn sync_dir(path: &Utf8Path) -> Result<(), DiskError> {
    File::open(path).and_then(|directory| directory.sync_all()).at("sync", path)
}

/// Removes whatever is at `path`, directories that cannot be written to included. That there is nothing is fine.
pub fn remove_tree(path: &Utf8Path) -> Result<(), DiskError> {
    let kind = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at("remove", path),
    };
    if !kind.is_dir() {
        return match fs::remove_file(path) {
            // Whoever wrote it has put it in place meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other.at("remove", path),
        };
    }
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::remove_dir_all(path).at("remove", path)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// Gives the owner all rights on the directories of a tree. What fails here shows when the tree is removed.
fn open_up(path: &Utf8Path) {
    // The walk reads a directory after it gave its entry, when it can be read already.
    for entry in WalkDir::new(path).into_iter().flatten().filter(|entry| entry.file_type().is_dir()) {
        if let Ok(metadata) = entry.metadata() {
            let mode = metadata.mode() & 0o7777 | 0o700;
            let _ = fs::set_permissions(entry.path(), Permissions::from_mode(mode));
        }
    }
}

/// Removes a tree so that a kill in the middle leaves nothing of it under its name.
///
/// The directory of an image, in the lower layer of an overlay, cannot be renamed. It is removed where it is, so a kill can leave a part
/// of it. Whatever says that the tree is whole has to be gone before.
pub fn discard(path: &Utf8Path) -> Result<(), DiskError> {
    match fs::symlink_metadata(path) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at("remove", path),
    }
    let aside = tempfile::Builder::new().prefix(GONE).tempdir_in(parent(path)).at("remove", path)?.keep();
    let aside = Utf8PathBuf::try_from(aside).map_err(|error| error.into_io_error()).at("remove", path)?;
    let gone = aside.join("tree");
    let renamed = match fs::rename(path, &gone) {
        // A directory that moves is written to: its `..` changes.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            open_up(path);
            fs::rename(path, &gone)
        }
        other => other,
    };
    if let Err(error) = renamed {
        // Nothing is in it.
        let _ = fs::remove_dir(&aside);
        if error.kind() == io::ErrorKind::CrossesDevices {
            return remove_tree(path);
        }
        return Err(error).at("remove", path);
    }
    remove_tree(&aside)
}

/// Removes what killed runs left half written or half deleted directly in `directory`.
pub fn sweep(directory: &Utf8Path) -> Result<(), DiskError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).at("read", directory),
    };
    for entry in entries {
        let entry = entry.at("read", directory)?;
        if let Some(name) = entry.file_name().to_str().filter(|name| is_leftover(name)) {
            remove_tree(&directory.join(name))?;
        }
    }
    Ok(())
}

/// Whether a name is one of a file that was being written or deleted.
pub fn is_leftover(name: &str) -> bool {
    name.starts_with(ASIDE) || name.starts_with(GONE)
}

/// Renames within a file system, and brings the names to disk. What is renamed must be on disk already.
pub fn rename_durably(from: &Utf8Path, to: &Utf8Path) -> Result<(), DiskError> {
    make_dir(parent(to))?;
    fs::rename(from, to).at("rename", from)?;
    sync_dir(parent(to))
}

/// The text of a file, or nothing if there is none.
pub fn read_if_there(path: &Utf8Path) -> Result<Option<Vec<u8>>, DiskError> {
    match whole::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).at("read", path),
    }
}

/// What a file of JSON says; nothing if there is none, or it is damaged.
pub fn read_json<T: DeserializeOwned>(path: &Utf8Path) -> Result<Option<T>, DiskError> {
    Ok(read_if_there(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Puts a value in place as JSON, durably.
pub fn write_json(path: &Utf8Path, value: &impl Serialize) -> Result<(), DiskError> {
    write_durably(path, &serde_json::to_vec(value).at("write", path)?)
}

/// Names of files and directories in a directory that is part of the state, sorted; none if there is no such directory.
pub fn names_in(directory: &Utf8Path) -> Result<Vec<String>, DiskError> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error).at("read", directory),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry.at("read", directory)?.file_name().into_string()
            && !is_leftover(&name)
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn parent(path: &Utf8Path) -> &Utf8Path {
    match path.parent() {
        Some(parent) if !parent.as_str().is_empty() => parent,
        _ => Utf8Path::new("."),
    }
}
