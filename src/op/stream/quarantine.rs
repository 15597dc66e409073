//! How much disk damaged profiles may take: one limit for all workloads of a stage, because nobody merges them away.
//!
//! Unaware of why a profile is damaged.

use std::io;
use std::sync::{Mutex, PoisonError};

use camino::Utf8Path;
use walkdir::WalkDir;

use crate::fs::disk::{self, DiskError};

/// In a workload's directory: its damaged profiles, each with its reason beside it.
pub(super) const QUARANTINE: &str = "quarantine";
/// The most that is kept. Of what is beyond it, and beyond a quarter of the budget, only the reasons.
const KEPT: u64 = 64 << 20;

/// Room that is left.
pub(super) struct Room(Mutex<u64>);

impl Room {
    /// What earlier runs have left below the directory of workloads that count takes of it.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn new(committed: &Utf8Path, disk_budget: u64) -> Result<Room, DiskError> {
        let mut taken = 0u64;
        for name in disk::names_in(committed)? {
            taken = taken.saturating_add(bytes(&committed.join(name).join(QUARANTINE)));
        }
        Ok(Room(Mutex::new(KEPT.min(disk_budget / 4).saturating_sub(taken))))
    }

    /// Whether a file of so many bytes can be kept; then it takes them.
    pub fn take(&self, bytes: u64) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let after = left.checked_sub(bytes);
        *left = after.unwrap_or(*left);
        after.is_some()
    }

    /// Files of so many bytes are gone.
    pub fn give_back(&self, bytes: u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += bytes;
    }
}

/// Of the profiles, without the reasons. What cannot be read takes nothing: most workloads have no such directory.
fn bytes(dir: &Utf8Path) -> u64 {
    let files = WalkDir::new(dir).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let profiles = files.filter(|entry| entry.path().extension().is_none_or(|extension| extension != "reason"));
    profiles.filter_map(|entry| entry.metadata().map_err(io::Error::from).ok()).map(|file| file.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_limit_for_all_runs() {
        let temporary = tempfile::tempdir().unwrap();
        let committed = Utf8Path::from_path(temporary.path()).unwrap();
        for (name, bytes) in [("a/quarantine/x", 100), ("a/quarantine/x.reason", 7), ("b/quarantine/y", 50), ("b/z", 9)]
        {
            let path = committed.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, vec![0; bytes]).unwrap();
        }
        // A quarter of 1,000, of which 150 are taken.
        let room = Room::new(committed, 1000).unwrap();
        assert!(!room.take(101) && room.take(60) && !room.take(41) && room.take(40) && !room.take(1));
        room.give_back(60);
        assert!(room.take(60) && !room.take(1));
        let room = Room::new(&committed.join("none"), 1 << 40).unwrap();
        assert!(room.take(64 << 20) && !room.take(1));
    }
}
