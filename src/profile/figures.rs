//! Figures of profiles: how many functions one has and how hot they are, and how far two of them differ. Unaware of formats.
//!
//! The overlap of two is what `llvm-profdata overlap` calls that of edges: each count as a share of its profile's sum, and the smaller
//! of the two shares, added up. Two runs of one program that differ in length only overlap by 100 %.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// Figures of a profile.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Statistics {
    pub functions: u64,
    /// Functions all of whose counts are zero.
    pub never_run: u64,
    /// The largest count of all.
    pub largest: u64,
    /// The sum of all counts.
    pub total: u128,
}

impl Statistics {
    /// Adds a function.
    pub fn add(&mut self, counts: &[u64]) {
        let largest = counts.iter().copied().max().unwrap_or(0);
        self.functions += 1;
        self.never_run += u64::from(largest == 0);
        self.largest = self.largest.max(largest);
        self.total += counts.iter().map(|count| u128::from(*count)).sum::<u128>();
    }

    /// The share of functions that were never run, from 0 to 1; 0 of nothing.
    pub fn never_run_share(&self) -> f64 {
        share(self.never_run, self.functions)
    }
}

/// A part of a whole, from 0 to 1; 0 of nothing.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The functions with the largest counts.
#[derive(Debug)]
pub struct Hottest {
    most: usize,
    // The smallest of them is on top. By name, so that equal counts do not depend on the order.
    found: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Hottest {
    /// Keeps `most` functions.
    pub fn new(most: usize) -> Hottest {
        Hottest { most, found: BinaryHeap::new() }
    }

    /// Takes a function in, if it is hot enough. One that was never run is not.
    pub fn add(&mut self, name: &str, count: u64) {
        let smallest = self.found.peek().map_or(0, |Reverse((count, _))| *count);
        if count == 0 || (self.found.len() == self.most && count < smallest) {
            return;
        }
        self.found.push(Reverse((count, Reverse(name.to_owned()))));
        if self.found.len() > self.most {
            self.found.pop();
        }
    }

    /// The hottest first.
    pub fn take(self) -> Vec<(String, u64)> {
        let sorted = self.found.into_sorted_vec();
        sorted.into_iter().map(|Reverse((count, Reverse(name)))| (name, count)).collect()
    }
}

/// A function of one shape: its hash, and its counts.
type Shape = (u64, Box<[u64]>);

/// The counts of a profile.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// By name; of one name there may be functions of several shapes, each with its hash.
    functions: BTreeMap<String, Vec<Shape>>,
    total: u128,
}

impl Counts {
    /// Adds a function. Where a format knows no hashes, `hash` is 0.
    pub fn add(&mut self, name: &str, hash: u64, counts: &[u64]) {
        self.total += counts.iter().map(|count| u128::from(*count)).sum::<u128>();
        let shapes = match self.functions.get_mut(name) {
            Some(shapes) => shapes,
            None => self.functions.entry(name.to_owned()).or_default(),
        };
        shapes.push((hash, counts.into()));
    }

    /// How many there are of different names.
    pub fn functions(&self) -> usize {
        self.functions.len()
    }

    /// How many of them were run.
    pub fn functions_run(&self) -> usize {
        let ran = |shapes: &&Vec<Shape>| shapes.iter().any(|(_, counts)| counts.iter().any(|count| *count > 0));
        self.functions.values().filter(ran).count()
    }

    /// The sum of all counts.
    pub fn total(&self) -> u128 {
        self.total
    }

    fn of_total(&self, count: u128) -> f64 {
        if self.total == 0 { 0.0 } else { count as f64 / self.total as f64 }
    }
}

/// What two profiles have in common, and what not. Shares are from 0 to 1.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Comparison {
    pub overlap: f64,
    /// Functions of one shape in both.
    pub same: u64,
    /// Names that are in both, without a shape in common.
    pub mismatched: Vec<String>,
    pub only_base: Vec<String>,
    pub only_other: Vec<String>,
    /// The share of each profile's counts that lies in functions which the other one does not have in that shape.
    pub lost_base: f64,
    pub lost_other: f64,
    /// By how much they changed, largest first.
    pub changes: Vec<Change>,
}

/// A function whose share of all counts is another one.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    pub name: String,
    pub base: f64,
    pub other: f64,
}

/// Compares two profiles, and keeps the `top` largest changes.
pub fn compare(base: &Counts, other: &Counts, top: usize) -> Comparison {
    let mut result = Comparison::default();
    let (mut both_base, mut both_other) = (0.0, 0.0);
    let none = Vec::new();
    for (name, shapes) in &base.functions {
        let others = other.functions.get(name).unwrap_or(&none);
        let mut same = 0;
        for (hash, counts) in shapes {
            let fits = |found: &&Shape| found.0 == *hash && found.1.len() == counts.len();
            let Some((_, found)) = others.iter().find(fits) else { continue };
            same += 1;
            for (a, b) in counts.iter().zip(found) {
                let (a, b) = (base.of_total(u128::from(*a)), other.of_total(u128::from(*b)));
                result.overlap += a.min(b);
                both_base += a;
                both_other += b;
            }
        }
        result.same += same;
        match (others.is_empty(), same) {
            (true, _) => result.only_base.push(name.clone()),
            (false, 0) => result.mismatched.push(name.clone()),
            _ => {}
        }
    }
    let missing = other.functions.keys().filter(|name| !base.functions.contains_key(*name));
    result.only_other = missing.cloned().collect();
    let lost = |all: u128, both: f64| if all == 0 { 0.0 } else { (1.0 - both).max(0.0) };
    (result.lost_base, result.lost_other) = (lost(base.total, both_base), lost(other.total, both_other));
    result.changes = changes(base, other, top);
    result
}

fn changes(base: &Counts, other: &Counts, top: usize) -> Vec<Change> {
    let sum = |counts: &Counts, name: &str| {
        let shapes = counts.functions.get(name).into_iter().flatten();
        counts.of_total(shapes.flat_map(|(_, counts)| counts.iter()).map(|count| u128::from(*count)).sum())
    };
    let names = base.functions.keys().chain(other.functions.keys().filter(|name| !base.functions.contains_key(*name)));
    let change = |name: &String| Change { name: name.clone(), base: sum(base, name), other: sum(other, name) };
    let mut changes: Vec<Change> = names.map(change).filter(|change| change.base != change.other).collect();
    changes.sort_by(|a, b| b.size().total_cmp(&a.size()).then_with(|| a.name.cmp(&b.name)));
    changes.truncate(top);
    changes
}

impl Change {
    fn size(&self) -> f64 {
        (self.base - self.other).abs()
    }
}
