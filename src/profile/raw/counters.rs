//! The sums of counters, for several threads at a time, in memory of one counter section whatever their number.
//!
//! Unaware of which function a counter belongs to.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Bytes that are read at once and locked together: they stay in the core's own cache.
pub(super) const CHUNK: usize = 256 << 10;

/// llvm-profdata takes a larger count for damage.
pub(super) const LARGEST: u64 = 1 << 56;

pub struct Counters {
    chunks: Vec<Mutex<Vec<u64>>>,
    bytes: usize,
    /// No sum is larger than this.
    bound: AtomicU64,
}

/// What became of a file's counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Added {
    Yes,
    /// One of them may be larger than llvm-profdata takes for possible; none has been added.
    TooLarge,
    /// A sum could be; none has been added.
    SumTooLarge,
}

/// Where a file's counters are.
#[derive(Clone, Copy)]
pub enum Source<'a> {
    /// In the file, from this byte on.
    File(&'a File, usize),
    Memory(&'a [u8]),
}

impl Counters {
    /// All zero, for a section of so many bytes.
    pub fn new(bytes: usize) -> Counters {
        let lengths = (0..bytes.div_ceil(CHUNK)).map(|number| (bytes - number * CHUNK).min(CHUNK) / 8);
        let chunks = lengths.map(|length| Mutex::new(vec![0; length])).collect();
        Counters { chunks, bytes, bound: AtomicU64::new(0) }
    }

    /// No sum is larger than this.
    pub fn bound(&self) -> u64 {
        self.bound.load(Ordering::Relaxed)
    }

    /// Says what is known of counters that were added up elsewhere.
    pub fn set_bound(&mut self, bound: u64) {
        *self.bound.get_mut() = bound;
    }

    /// Adds those of a file, so many times. Threads that begin at different chunks do not wait for each other.
    ///
    /// # Errors
    /// The file cannot be read. What was added by then stays.
    pub fn add(&self, source: Source, weight: u64, first: usize, buffer: &mut Vec<u8>) -> io::Result<Added> {
        let mut all = 0;
        let order = || (0..self.chunks.len()).map(|number| (number + first) % self.chunks.len());
        let mut done = 0;
        for number in order() {
            all |= match weight {
                1 => self.one(source, number, buffer, u64::wrapping_add)?,
                _ => self.one(source, number, buffer, |sum, count| sum.wrapping_add(count.wrapping_mul(weight)))?,
            };
            done += 1;
            if all > LARGEST {
                break;
            }
        }
        // A word with all bits that some counter has is no smaller than the largest.
        let result = match all > LARGEST {
            true => Added::TooLarge,
            false if self.reserve(all.checked_mul(weight)) => return Ok(Added::Yes),
            false => Added::SumTooLarge,
        };
        for number in order().take(done) {
            self.one(source, number, buffer, |sum, count| sum.wrapping_sub(count.wrapping_mul(weight)))?;
        }
        Ok(result)
    }

    /// Adds to the bound, if no sum can become too large by that.
    fn reserve(&self, more: Option<u64>) -> bool {
        let fits = |bound: u64| bound.checked_add(more?).filter(|bound| *bound <= LARGEST);
        self.bound.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
    }

    /// Adds other sums of the same section. False, and nothing done, if a sum could become too large.
    pub fn join(&self, other: &Counters) -> bool {
        if self.bytes != other.bytes || !self.reserve(Some(other.bound())) {
            return false;
        }
        for (own, other) in self.chunks.iter().zip(&other.chunks) {
            let other = other.lock().unwrap_or_else(PoisonError::into_inner);
            let mut own = own.lock().unwrap_or_else(PoisonError::into_inner);
            own.iter_mut().zip(other.iter()).for_each(|(own, other)| *own = own.wrapping_add(*other));
        }
        true
    }

    fn one(
        &self,
        source: Source,
        number: usize,
        buffer: &mut Vec<u8>,
        add: impl Fn(u64, u64) -> u64,
    ) -> io::Result<u64> {
        let length = (self.bytes - number * CHUNK).min(CHUNK);
        let part = match source {
            Source::File(file, at) => {
                buffer.resize(CHUNK, 0);
                let part = &mut buffer[..length];
                file.read_exact_at(part, (at + number * CHUNK) as u64)?;
                part
            }
            Source::Memory(bytes) => bytes.get(number * CHUNK..number * CHUNK + length).unwrap_or_default(),
        };
        let mut sums = self.chunks[number].lock().unwrap_or_else(PoisonError::into_inner);
        let mut all = 0;
        for (sum, counter) in sums.iter_mut().zip(part.as_chunks::<8>().0) {
            let counter = u64::from_le_bytes(*counter);
            all |= counter;
            *sum = add(*sum, counter);
        }
        Ok(all)
    }

    /// The section's bytes, in parts.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for chunk in &self.chunks {
            let sums = chunk.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            write(&bytes)?;
        }
        Ok(())
    }
}
