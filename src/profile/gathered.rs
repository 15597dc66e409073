//! How much there is in a gathered profile, and how much less than in another one.
//!
//! A training that ended early, a workload that is gone, a file that was lost: the profile is good by itself, and each of them shows in
//! these figures alone. Unaware of where they are kept.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What is in a gathered profile.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Figures {
    /// The sum of all counts.
    pub total_count: u64,
    /// Of BOLT's profiles those that were run: it has no others.
    pub functions: u64,
    pub functions_run: u64,
    /// Those that took part, and the sum of the counts of each where that is known.
    #[serde(default)]
    pub workloads: BTreeMap<String, Option<u64>>,
}

/// A profile beside the last one of the same kind. Shares are from 0 to 1, and above 1 where there is more.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    pub total: f64,
    pub functions_run: f64,
    /// Workloads that took part then, and not now.
    pub missing: Vec<String>,
    /// Workloads that counted less than half, and how much of it.
    pub shrunk: Vec<(String, f64)>,
}

/// Below this share of what it was a workload counts as shrunk.
const SHRUNK: f64 = 0.5;

impl Figures {
    /// What has changed since.
    pub fn against(&self, last: &Figures) -> Change {
        let missing = last.workloads.keys().filter(|name| !self.workloads.contains_key(*name));
        let shrunk = last.workloads.iter().filter_map(|(name, before)| {
            let share = of((*self.workloads.get(name)?)?, (*before)?);
            (share < SHRUNK).then(|| (name.clone(), share))
        });
        Change {
            total: of(self.total_count, last.total_count),
            functions_run: of(self.functions_run, last.functions_run),
            missing: missing.cloned().collect(),
            shrunk: shrunk.collect(),
        }
    }
}

/// A part of what it was before; all of nothing.
fn of(now: u64, before: u64) -> f64 {
    if before == 0 { 1.0 } else { now as f64 / before as f64 }
}
