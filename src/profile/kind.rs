//! What the counts of a profile of LLVM are of. Two kinds are never added up: their functions have other hashes, or their numbers mean
//! something else. Unaware of what follows a header.
//!
//! | flag of the version word | set | not set |
//! |---|---|---|
//! | 56 | blocks of intermediate code (`-fprofile-generate`, `-Cprofile-generate`) | regions of source code |
//! | 60 | one byte each: whether it was executed | how often it was executed |
//! | 61 | of the entries of functions only | of all |

use std::fmt;

/// A kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Counted {
    of_source: bool,
    single_bytes: bool,
    entries_only: bool,
}

impl Counted {
    /// By the version word of a raw or merged profile.
    pub fn of(version: u64) -> Counted {
        let flag = |number: u32| version >> number & 1 == 1;
        Counted { of_source: !flag(56), single_bytes: flag(60), entries_only: flag(61) }
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let numbers = if self.single_bytes { "coverage by single bytes" } else { "counts" };
        let entries = if self.entries_only { " of functions' entries" } else { "" };
        let code = match self.of_source {
            true => "source code (-fprofile-instr-generate, -Cinstrument-coverage)",
            false => "intermediate code (-fprofile-generate, -Cprofile-generate)",
        };
        write!(to, "{numbers}{entries} in {code}")
    }
}
