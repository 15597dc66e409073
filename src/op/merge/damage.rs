//! How much of a training is lost with damaged profiles.
//!
//! It is weighed by bytes, not by files: of three files one can have most of what was counted, and one that is no profile at all has
//! nothing.
//!
//! | a damaged file | weighs |
//! |---|---|
//! | that its header says to be larger, up to a gigabyte | what the header says: the rest was cut off |
//! | that ends within its header | as much as a good file, on average |
//! | any other | its length; of more than a gigabyte what it has on disk: nobody has filled a hole |
//!
//! Unaware of why a file is damaged.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use crate::profile::raw::layout::{LONGEST_HEADER, MAGIC, Sections};
use crate::text;
use crate::text::share::Share;

/// More than this is not believed of a header alone.
const BELIEVED: u64 = 1 << 30;
/// One of four files, of the average size, is no more than a quarter.
const ROUNDING: f64 = 1e-9;
/// A block of `stat`, in bytes.
const BLOCK: u64 = 512;

/// What is lost, beside what is there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Damage {
    pub good: u64,
    pub good_bytes: u64,
    pub damaged: u64,
    /// Of damaged files whose size is known.
    pub lost_bytes: u64,
    /// Damaged files that end within their header.
    pub cut: u64,
}

impl Damage {
    /// Counts a damaged file.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn add(&mut self, path: &Utf8Path) -> io::Result<()> {
        self.damaged += 1;
        match weight(path)? {
            Some(bytes) => self.lost_bytes += bytes,
            None => self.cut += 1,
        }
        Ok(())
    }

    pub fn add_good(&mut self, bytes: u64) {
        self.good += 1;
        self.good_bytes += bytes;
    }

    pub fn join(&mut self, other: Damage) {
        let Damage { good, good_bytes, damaged, lost_bytes, cut } = other;
        self.good += good;
        self.good_bytes += good_bytes;
        self.damaged += damaged;
        self.lost_bytes += lost_bytes;
        self.cut += cut;
    }

    /// The share of all bytes, from 0 to 1, that is lost.
    pub fn share(&self) -> f64 {
        let average = if self.good == 0 { 1.0 } else { self.good_bytes as f64 / self.good as f64 };
        let lost = self.lost_bytes as f64 + self.cut as f64 * average;
        let all = lost + self.good_bytes as f64;
        if all == 0.0 { 0.0 } else { lost / all }
    }

    /// Whether no more is lost than this share.
    pub fn is_within(&self, limit: Share) -> bool {
        self.damaged == 0 || self.share() <= limit.value() + ROUNDING
    }

    /// Of so many files: `3 of 6 profiles are damaged, with 50 % of all bytes`
    pub fn words(&self, all: u64) -> String {
        let (damaged, all) = (text::count(self.damaged), text::count(all));
        format!("{damaged} of {all} profiles are damaged, with {} of all bytes", text::percent(self.share(), 1.0))
    }
}

/// How many bytes a damaged file stands for. None: it ends within its header.
fn weight(path: &Utf8Path) -> io::Result<Option<u64>> {
    let found = fs::metadata(path)?;
    // File systems that compress, or write late, tell little of small files.
    let there = if found.len() > BELIEVED { found.len().min(found.blocks() * BLOCK) } else { found.len() };
    let mut head = Vec::new();
    File::open(path)?.take(LONGEST_HEADER as u64).read_to_end(&mut head)?;
    if !head.starts_with(&MAGIC) {
        return Ok(Some(there));
    }
    let whole = Sections::parse(&head, u64::MAX).ok().map(|sections| sections.values_at as u64);
    match whole.filter(|bytes| *bytes <= BELIEVED) {
        // Behind what the header tells of stand values.
        Some(bytes) if found.len() <= BELIEVED => Ok(Some(bytes.max(there))),
        Some(bytes) => Ok(Some(bytes)),
        None if head.len() < LONGEST_HEADER => Ok(None),
        None => Ok(Some(there)),
    }
}
