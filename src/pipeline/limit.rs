//! How large a pipeline may become when its values are put in. More is a mistake, and it is said before the memory is full of it: forty
//! variables of which each holds the one before ten times are a file of a kilobyte.
//!
//! Unaware of what the values are for.

use std::cell::Cell;

use super::error::Problem;

/// The most stages, and the most variables.
pub(super) const STAGES: usize = 5_000;
pub(super) const VARIABLES: usize = 5_000;
/// The most bytes of one value, or of all elements of a list. No argument of a program can be that long.
const VALUE: usize = 1 << 20;
/// The most bytes of all texts that values were put into.
const ALL: usize = 256 << 20;

/// What is left of [`ALL`].
#[derive(Debug)]
pub(super) struct Room(Cell<usize>);

impl Default for Room {
    fn default() -> Room {
        Room(Cell::new(ALL))
    }
}

impl Room {
    /// Takes so many bytes, for good.
    pub fn take(&self, bytes: usize) -> Result<(), Problem> {
        let left = self.0.get().checked_sub(bytes);
        self.0.set(left.unwrap_or_default());
        let message = || format!("with all values put in, the pipeline is larger than {} MiB", ALL >> 20);
        left.map(drop).ok_or_else(|| Problem::new(message()).help("see which variable holds another one many times"))
    }
}

/// Adds a part to a value.
pub(super) fn add(value: &mut String, part: &str) -> Result<(), Problem> {
    check(value.len() + part.len())?;
    value.push_str(part);
    Ok(())
}

/// Whether a value may have so many bytes.
pub(super) fn check(bytes: usize) -> Result<(), Problem> {
    if bytes <= VALUE {
        return Ok(());
    }
    let message = format!("with what it refers to, this is longer than {} MiB", VALUE >> 20);
    Err(Problem::new(message).help("no argument of a program can be that long; let the program read a file"))
}
