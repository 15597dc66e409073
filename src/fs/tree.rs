//! Copies of files and directory trees, with modes, symbolic links and modification times as they were.

use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use crate::fs::disk;

/// Copies a file: shares its blocks where the file system can, else its bytes.
///
/// # Errors
/// One of the files cannot be read or written.
pub fn copy_file(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    let meta = fs::metadata(from).with_context(|| format!("cannot look at {from}"))?;
    reflink_copy::reflink_or_copy(from, to).with_context(|| format!("cannot copy {from} to {to}"))?;
    set_times(to, &meta)?;
    fs::set_permissions(to, meta.permissions()).with_context(|| format!("cannot set the mode of {to}"))
}

/// Gives a file the modification time that another one has.
pub fn set_times(path: &Utf8Path, like: &Metadata) -> Result<()> {
    let context = || format!("cannot set the modification time of {path}");
    let modified = like.modified().with_context(context)?;
    // The owner may set times through a descriptor for reading, whatever the mode says of writing.
    let file = File::open(path).with_context(context)?;
    file.set_times(FileTimes::new().set_modified(modified)).with_context(context)
}

/// The mode of a merged profile, whatever the umask: the one that who packs it gives it. `x.py dist` makes a hard link to a profile, and
/// sets this mode on the link, which is the recorded file.
const PACKED: u32 = 0o644;

/// Gives a merged profile its mode.
///
/// # Errors
/// It is not there, or another user's.
pub fn set_mode_of_profile(path: &Utf8Path) -> Result<()> {
    fs::set_permissions(path, Permissions::from_mode(PACKED)).with_context(|| format!("cannot set the mode of {path}"))
}

/// Copies a file, or a directory tree. A link to a file is followed. What stood at `to` is removed.
///
/// # Errors
/// One of the paths lies in the other, or something cannot be read or written.
pub fn copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    copy_anew(from, to, |_| true, |from, to, _| copy_file(from, to))
}

/// The same without what `takes` does not take of a directory. `file` puts each file of a directory in place.
///
/// # Errors
/// As [`copy`].
pub fn copy_anew(
    from: &Utf8Path,
    to: &Utf8Path,
    takes: impl Fn(&Utf8Path) -> bool,
    file: impl FnMut(&Utf8Path, &Utf8Path, &Metadata) -> Result<()>,
) -> Result<()> {
    if to.starts_with(from) || from.starts_with(to) {
        bail!("{from} cannot be copied to {to}: one lies in the other");
    }
    let meta = fs::metadata(from).with_context(|| format!("cannot look at {from}"))?;
    remove(to)?;
    if meta.is_dir() {
        return copy_part(from, to, takes, file);
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
    }
    copy_file(from, to)
}

/// Copies a tree into a directory that does not exist. `file` puts each file in place.
///
/// # Errors
/// `to` exists, lies in `from`, or something cannot be read or written.
pub fn copy_tree(
    from: &Utf8Path,
    to: &Utf8Path,
    file: impl FnMut(&Utf8Path, &Utf8Path, &Metadata) -> Result<()>,
) -> Result<()> {
    copy_part(from, to, |_| true, file)
}

/// The same without what `takes` does not take; directories with all that is in them.
pub fn copy_part(
    from: &Utf8Path,
    to: &Utf8Path,
    takes: impl Fn(&Utf8Path) -> bool,
    mut file: impl FnMut(&Utf8Path, &Utf8Path, &Metadata) -> Result<()>,
) -> Result<()> {
    let from = from.canonicalize_utf8().with_context(|| format!("cannot find {from}"))?;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
        let parent = parent.canonicalize_utf8().with_context(|| format!("cannot find {parent}"))?;
        if parent.starts_with(&from) {
            bail!("{to} lies in {from}, so the copy would have no end");
        }
    }
    let mut directories: Vec<(Utf8PathBuf, Metadata)> = Vec::new();
    let taken = |entry: &walkdir::DirEntry| Utf8Path::from_path(entry.path()).is_none_or(&takes);
    for entry in WalkDir::new(&from).sort_by_file_name().into_iter().filter_entry(taken) {
        let entry = entry.with_context(|| format!("cannot read the directory {from}"))?;
        let Some(source) = Utf8Path::from_path(entry.path()) else {
            bail!("{} is not UTF-8", entry.path().display());
        };
        let below = source.strip_prefix(&from).with_context(|| format!("{source} is not below {from}"))?;
        let target = if below.as_str().is_empty() { to.to_owned() } else { to.join(below) };
        let meta = fs::symlink_metadata(source).with_context(|| format!("cannot look at {source}"))?;
        if meta.is_dir() {
            fs::create_dir(&target).with_context(|| format!("cannot make the directory {target}"))?;
            directories.push((target, meta));
        } else if meta.is_symlink() {
            let link = source.read_link_utf8().with_context(|| format!("cannot read the link {source}"))?;
            std::os::unix::fs::symlink(&link, &target).with_context(|| format!("cannot make the link {target}"))?;
        } else if meta.is_file() {
            file(source, &target, &meta)?;
        } else {
            bail!("{source} is neither a file, a directory nor a link");
        }
    }
    // Innermost first: what is put into a directory changes its time.
    for (directory, meta) in directories.iter().rev() {
        let times = meta.modified().map(|modified| FileTimes::new().set_modified(modified));
        let set = times.and_then(|times| File::open(directory)?.set_times(times));
        set.with_context(|| format!("cannot set the modification time of {directory}"))?;
        let mode = fs::set_permissions(directory, meta.permissions());
        mode.with_context(|| format!("cannot set the mode of {directory}"))?;
    }
    Ok(())
}

/// Removes a file, a link or a whole directory, if there is one; directories that cannot be written to included.
pub fn remove(path: &Utf8Path) -> Result<()> {
    Ok(disk::remove_tree(path)?)
}
