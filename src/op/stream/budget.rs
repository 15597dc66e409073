//! How much disk profiles may take: those that are not merged yet, and those that are damaged.
//!
//! | bytes that are not merged | what happens |
//! |---|---|
//! | above a quarter of the budget | all threads merge |
//! | above half of it, while there is something to merge | workloads are stopped, until a quarter is left |
//!
//! Only the process itself can finish a file that it still writes: workloads are not stopped for such files alone. Damaged profiles have
//! one limit for all workloads of a stage, because they are not merged away: 64 MiB, or a quarter of the budget. Beyond it only the
//! reasons are kept. Unaware of why a profile is damaged.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::Utf8Path;
use walkdir::WalkDir;

use super::Runner;
use crate::event::Fact;
use crate::fs::disk::{self, DiskError};
use crate::plan::companion::Said;
use crate::text;

/// What another thread left behind is whole: nothing fails while one of these is locked.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) struct Budget {
    limit: u64,
    used: Mutex<Used>,
    runner: Arc<Runner>,
}

#[derive(Default)]
struct Used {
    /// Bytes of files that can be merged, by attempt.
    taken: BTreeMap<u64, u64>,
    /// Bytes of files that processes may still write.
    waiting: BTreeMap<u64, u64>,
    peak: u64,
    held: bool,
    noted: bool,
}

impl Used {
    fn total(&self) -> u64 {
        self.taken.values().chain(self.waiting.values()).sum()
    }
}

impl Budget {
    pub fn new(limit: u64, runner: Arc<Runner>) -> Budget {
        Budget { limit, used: Mutex::default(), runner }
    }

    /// A file of an attempt, of so many bytes, can be merged; so many cannot yet. Both at once: no byte is counted twice between them.
    pub fn taken(&self, attempt: u64, bytes: u64, waiting: u64) {
        self.change(|used| {
            *used.taken.entry(attempt).or_default() += bytes;
            used.waiting.insert(attempt, waiting);
        });
    }

    /// Files of so many bytes are merged, and gone.
    pub fn merged(&self, attempt: u64, bytes: u64) {
        self.change(|used| {
            let taken = used.taken.entry(attempt).or_default();
            *taken = taken.saturating_sub(bytes);
        });
    }

    /// So many bytes cannot be merged yet.
    pub fn waiting(&self, attempt: u64, bytes: u64) {
        self.change(|used| {
            used.waiting.insert(attempt, bytes);
        });
    }

    /// Nothing of the attempt is left.
    pub fn ended(&self, attempt: u64) {
        self.change(|used| {
            used.taken.remove(&attempt);
            used.waiting.remove(&attempt);
        });
    }

    /// Merging is what matters most.
    pub fn is_pressing(&self) -> bool {
        let used = lock(&self.used);
        used.held || used.total() > self.limit / 4
    }

    /// The most that was taken at a time.
    pub fn peak(&self) -> Fact {
        let used = lock(&self.used);
        Fact::new("peak-unmerged", used.peak as f64, "bytes")
    }

    fn change(&self, change: impl FnOnce(&mut Used)) {
        let mut used = lock(&self.used);
        change(&mut used);
        let total = used.total();
        used.peak = used.peak.max(total);
        // What is written until the workloads have stopped has to fit as well: that takes some hundredths of a second.
        let most = if used.held { self.limit / 4 } else { self.limit / 2 };
        let hold = total > most && used.taken.values().any(|bytes| *bytes > 0);
        if hold != used.held {
            used.held = hold;
            self.runner.say(&Said::Hold(hold));
            if hold && !used.noted {
                used.noted = true;
                self.runner.say(&Said::Note(format!(
                    "workloads wait until profiles are merged: {} of them are not, of a `disk-budget` of {}",
                    text::size(total),
                    text::size(self.limit)
                )));
            }
        }
    }
}

/// In a workload's directory: its damaged profiles, each with its reason beside it.
pub(super) const QUARANTINE: &str = "quarantine";
/// The most that is kept. Of what is beyond it, and beyond a quarter of the budget, only the reasons.
const KEPT: u64 = 64 << 20;

/// Room that is left.
pub struct Room(Mutex<u64>);

impl Room {
    /// The room without what earlier runs have left below the directory of workloads that count.
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
        let mut left = lock(&self.0);
        let after = left.checked_sub(bytes);
        *left = after.unwrap_or(*left);
        after.is_some()
    }

    /// Files of so many bytes are gone.
    pub fn give_back(&self, bytes: u64) {
        *lock(&self.0) += bytes;
    }
}

/// How large the profiles in a directory are, without the reasons. What cannot be read counts nothing: most workloads have no such
/// directory.
fn bytes(dir: &Utf8Path) -> u64 {
    let files = WalkDir::new(dir).into_iter().flatten().filter(|entry| entry.file_type().is_file());
    let profiles = files.filter(|entry| entry.path().extension().is_none_or(|extension| extension != "reason"));
    profiles.filter_map(|entry| entry.metadata().map_err(io::Error::from).ok()).map(|file| file.len()).sum()
}
