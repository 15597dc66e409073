//! Whether a profile fits what a program is used for: how much of what is executed lies in functions that are hot in the profile.
//!
//! Hot is what LLVM calls so: a function with a count that is one of the largest ones, which together make up 99 % of all
//! (`ProfileSummaryBuilder::computeDetailedSummary`, `ProfileSummaryInfo::isHotCount`). A compiler makes the rest smaller, not faster. The
//! share of functions that have a profile says nothing of that: most functions of a program never run.
//!
//! Functions are those of one name and one shape, as a compiler looks for them. Unaware of formats, and of where profiles come from.

use std::collections::{HashMap, HashSet};

/// Of the sum of all counts, what hot ones make up: 990,000 of a million.
const HOT: (u128, u128) = (990_000, 1_000_000);

/// What identifies a function: its name, and the hash of its shape.
type Identity = (String, u64);

/// A profile that a program is to be built with.
#[derive(Debug, Default)]
pub struct Trained {
    counts: Vec<u64>,
    /// The largest count of each function.
    largest: HashMap<Identity, u64>,
}

/// The functions that are hot in it, and how much of what is executed lies in them.
#[derive(Debug)]
pub struct Hot {
    /// The smallest count that is hot.
    pub least: u64,
    functions: HashSet<Identity>,
    inside: u128,
    all: u128,
}

impl Trained {
    /// Adds a function.
    pub fn add(&mut self, name: &str, hash: u64, counts: &[u64]) {
        self.counts.extend(counts);
        let largest = counts.iter().copied().max().unwrap_or(0);
        self.largest.insert((name.to_owned(), hash), largest);
    }

    /// What is hot. Nothing is in a profile without counts.
    pub fn hot(mut self) -> Hot {
        self.counts.sort_unstable_by(|a, b| b.cmp(a));
        let total: u128 = self.counts.iter().map(|count| u128::from(*count)).sum();
        let wanted = total * HOT.0 / HOT.1;
        let (mut sum, mut least) = (0, u64::MAX);
        for count in self.counts {
            if sum >= wanted {
                break;
            }
            sum += u128::from(count);
            least = count;
        }
        let hot = self.largest.into_iter().filter(|(_, largest)| *largest >= least);
        Hot { least, functions: hot.map(|(identity, _)| identity).collect(), inside: 0, all: 0 }
    }
}

impl Hot {
    /// How many functions are hot.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// Takes in what a function of the same program executes.
    pub fn execute(&mut self, name: &str, hash: u64, counts: &[u64]) {
        let sum: u128 = counts.iter().map(|count| u128::from(*count)).sum();
        self.all += sum;
        if self.functions.contains(&(name.to_owned(), hash)) {
            self.inside += sum;
        }
    }

    /// The share of all that lies in hot functions, from 0 to 1. None: nothing was executed.
    pub fn share(&self) -> Option<f64> {
        (self.all > 0).then(|| self.inside as f64 / self.all as f64)
    }
}
