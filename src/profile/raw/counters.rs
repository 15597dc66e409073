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
const LARGEST: u64 = 1 << 56;

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
    /// One of them is larger than llvm-profdata takes for possible; none has been added.
    TooLarge,
    /// A sum could be; none has been added.
    SumTooLarge,
}

impl Counters {
    /// All zero, for a section of so many bytes.
    pub fn new(bytes: usize) -> Counters {
        let lengths = (0..bytes.div_ceil(CHUNK)).map(|number| (bytes - number * CHUNK).min(CHUNK) / 8);
        let chunks = lengths.map(|length| Mutex::new(vec![0; length])).collect();
        Counters { chunks, bytes, bound: AtomicU64::new(0) }
    }

    /// Adds those of a file, which begin at this byte of it. Threads that begin at different chunks do not wait for each other.
    ///
    /// # Errors
    /// The file cannot be read. What was added by then stays.
    pub fn add(&self, file: &File, at: usize, first: usize, buffer: &mut Vec<u8>) -> io::Result<Added> {
        let mut all = 0;
        let order = || (0..self.chunks.len()).map(|number| (number + first) % self.chunks.len());
        let mut done = 0;
        for number in order() {
            all |= self.one(file, at, number, buffer, u64::wrapping_add)?;
            done += 1;
            if all >= LARGEST {
                break;
            }
        }
        // A word with all bits that some counter has is no smaller than the largest.
        let fits = |bound: u64| bound.checked_add(all).filter(|bound| *bound < LARGEST);
        let result = match all >= LARGEST {
            true => Added::TooLarge,
            false => match self.bound.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits) {
                Ok(_) => return Ok(Added::Yes),
                Err(_) => Added::SumTooLarge,
            },
        };
        for number in order().take(done) {
            self.one(file, at, number, buffer, u64::wrapping_sub)?;
        }
        Ok(result)
    }

    fn one(
        &self,
        file: &File,
        at: usize,
        number: usize,
        buffer: &mut Vec<u8>,
        add: impl Fn(u64, u64) -> u64,
    ) -> io::Result<u64> {
        let length = (self.bytes - number * CHUNK).min(CHUNK);
        buffer.resize(CHUNK, 0);
        let part = &mut buffer[..length];
        file.read_exact_at(part, (at + number * CHUNK) as u64)?;
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
    pub fn write<E>(self, mut write: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
        for chunk in self.chunks {
            let sums = chunk.into_inner().unwrap_or_else(PoisonError::into_inner);
            let bytes: Vec<u8> = sums.iter().flat_map(|sum| sum.to_le_bytes()).collect();
            write(&bytes)?;
        }
        Ok(())
    }
}
