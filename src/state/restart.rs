//! What a cut of power may have taken from a build directory.
//!
//! Outputs are synced before they count. What a build tool writes in between is not: Linux brings it to the disk by itself, within
//! 35 seconds by default (`vm.dirty_expire_centisecs` and `dirty_writeback_centisecs`), and ext4 commits names every five. So after a cut,
//! a young file may have its name and its time and no content, and ninja, make or cargo take it for built. Such files are removed, and
//! the tools make them anew. Unaware of what stands in the directory.

use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::fs::disk::{At, DiskError};
use crate::fs::stat::Stat;

/// Files that changed within this time before the last change, in nanoseconds, are young. It is more than Linux lets pass.
const YOUNG: i64 = 60_000_000_000;

/// Since when a directory was written to: as long as both are the same, nothing can have been lost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The kernel's name for the time since the machine was started; empty where it has none.
    id: String,
    /// The directory's inode, which a copy does not share: what was copied was read, so it was there. None: it was still to be made.
    inode: Option<u64>,
}

impl Boot {
    /// Of a directory now.
    pub fn of(dir: &Utf8Path) -> Boot {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let inode = dir.symlink_metadata().ok().map(|metadata| metadata.ino());
        Boot { id: id.trim().to_string(), inode }
    }

    /// Whether the machine was started again before `now`, and the directory is still the same one.
    pub fn ended_before(&self, now: &Boot) -> bool {
        let known = !self.id.is_empty() && !now.id.is_empty();
        known && self.id != now.id && (self.inode.is_none() || self.inode == now.inode)
    }
}

/// Removes the files of a directory that may not have reached the disk when the machine ended, and returns how many they were. What
/// changed before `since`, in nanoseconds since 1970, was synced.
pub fn remove_young(dir: &Utf8Path, since: i64) -> Result<usize, DiskError> {
    let mut files = Vec::new();
    for entry in walkdir::WalkDir::new(dir) {
        let entry = entry.map_err(std::io::Error::from).at("read", dir)?;
        // What optbuild writes there itself is written whole, and is no product of the build.
        let is_own = entry.depth() == 1 && entry.file_name().to_string_lossy().starts_with("optbuild-");
        if entry.file_type().is_dir() || is_own {
            continue;
        }
        let stat = Stat::of(&entry.metadata().map_err(std::io::Error::from).at("read", dir)?);
        // Not the time that a file claims: what is unpacked claims to be old.
        files.push((stat.ctime, entry.into_path()));
    }
    let Some(last) = files.iter().map(|(changed, _)| *changed).max() else { return Ok(0) };
    files.retain(|(changed, _)| *changed >= since.max(last - YOUNG));
    for (_, path) in &files {
        std::fs::remove_file(path).at("remove", Utf8Path::new(&*path.to_string_lossy()))?;
    }
    Ok(files.len())
}
