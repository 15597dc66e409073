//! How much disk profiles take that are not merged yet, and when workloads have to wait for that.
//!
//! Workloads are stopped only while there is something to merge: files of living processes get less by nobody's work but theirs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::Says;
use crate::event::Fact;
use crate::plan::companion::Said;
use crate::text;

pub(super) struct Budget {
    limit: u64,
    used: Mutex<Used>,
    says: Arc<Says>,
}

#[derive(Default)]
struct Used {
    /// Bytes of files that can be merged, by attempt.
    taken: BTreeMap<u64, u64>,
    /// Bytes of files that processes may still write.
    waiting: BTreeMap<u64, u64>,
    peak: u64,
    held: bool,
    told: bool,
}

impl Used {
    fn total(&self) -> u64 {
        self.taken.values().chain(self.waiting.values()).sum()
    }
}

impl Budget {
    pub fn new(limit: u64, says: Arc<Says>) -> Budget {
        Budget { limit, used: Mutex::default(), says }
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
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.held || used.total() > self.limit / 4
    }

    /// The most that was taken at a time.
    pub fn peak(&self) -> Fact {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        Fact::new("peak-unmerged", used.peak as f64, "bytes")
    }

    fn change(&self, change: impl FnOnce(&mut Used)) {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut used);
        let total = used.total();
        used.peak = used.peak.max(total);
        // What is written until the workloads have stopped has to fit as well: that takes some hundredths of a second.
        let most = if used.held { self.limit / 4 } else { self.limit / 2 };
        let hold = total > most && used.taken.values().any(|bytes| *bytes > 0);
        if hold != used.held {
            used.held = hold;
            self.says.say(&Said::Hold(hold));
            if hold && !used.told {
                used.told = true;
                self.says.say(&Said::Note(format!(
                    "workloads wait until profiles are merged: {} of them are not, of a `disk-budget` of {}",
                    text::size(total),
                    text::size(self.limit)
                )));
            }
        }
    }
}
