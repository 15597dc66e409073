//! How much of a merged profile each workload is.
//!
//! Counts of a workload are multiplied by one whole number, before they are added to those of others. Where workloads are balanced, that
//! number depends on the workload's own counts alone, and not on those of others:
//!
//! | | |
//! |---|---|
//! | balanced | the whole number, 1 or more, that brings the sum of its counts nearest to its weight times [`SHARE`] |
//! | as counted | its weight |
//!
//! So nothing is rounded away, the order of workloads and in how many parts they are merged do not matter, and `llvm-profdata
//! merge -weighted-input` does the same. Unaware of formats.

use std::collections::BTreeMap;

/// What counts of a balanced workload of weight 1 add up to. So much no training counts in a day, and ten thousand workloads have room in a
/// count of 64 bits.
pub const SHARE: u64 = 1 << 48;

/// The largest weight of a workload.
pub const LARGEST: u64 = 100;

/// The weights of a stage's workloads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Weights {
    pub balance: bool,
    /// Those that are not 1.
    pub of: BTreeMap<String, u64>,
}

impl Weights {
    /// As operations are given them: names and weights in turns.
    ///
    /// # Errors
    /// A weight is no number, as a sentence.
    pub fn parse(balance: bool, words: &[String]) -> Result<Weights, String> {
        let one = |pair: &[String]| match pair {
            [name, weight] => match weight.parse() {
                Ok(weight) => Ok((name.clone(), weight)),
                Err(_) => Err(format!("`{weight}` is no weight of a workload")),
            },
            _ => Err("a weight has a name and a number".into()),
        };
        Ok(Weights { balance, of: words.chunks(2).map(one).collect::<Result<_, String>>()? })
    }

    /// Whether counts are only added up.
    pub fn are_plain(&self) -> bool {
        !self.balance && self.of.is_empty()
    }

    /// By what the counts of a workload, which have this sum, are multiplied.
    pub fn times(&self, workload: &str, total: u128) -> u64 {
        let weight = self.of.get(workload).copied().unwrap_or(1);
        if !self.balance {
            return weight;
        }
        if total == 0 {
            return 1;
        }
        let wanted = u128::from(weight) * u128::from(SHARE);
        u64::try_from((wanted + total / 2) / total).unwrap_or(1).max(1)
    }
}
