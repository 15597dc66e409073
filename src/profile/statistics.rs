//! Figures of a profile: how many functions it has, how many were never run, the largest counts. Unaware of formats.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures() {
        let mut all = Statistics::default();
        all.add(&[0, 100, 1]);
        all.add(&[0, 0]);
        all.add(&[]);
        all.add(&[u64::MAX, 7]);
        assert_eq!((all.functions, all.never_run, all.largest), (4, 2, u64::MAX));
        assert_eq!(all.total, u128::from(u64::MAX) + 108);
        assert_eq!(all.never_run_share(), 0.5);
        assert_eq!(Statistics::default().never_run_share(), 0.0);
    }

    #[test]
    fn the_hottest_first() {
        let mut hottest = Hottest::new(3);
        for (name, count) in [("a", 1), ("b", 9), ("c", 0), ("d", 4), ("e", 9), ("f", 4)] {
            hottest.add(name, count);
        }
        assert_eq!(hottest.take(), [("b".into(), 9), ("e".into(), 9), ("d".into(), 4)]);
        let mut none = Hottest::new(0);
        none.add("a", 1);
        assert_eq!(none.take(), []);
    }
}
