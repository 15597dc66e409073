//! Tries that were made, in a directory: a search that was killed goes on where it was.
//!
//! ```text
//! 007-only-1f2e…/           of the seventh try
//!     result.json           how it ended; written last, so that without it there was no try
//!     functions             the names that llvm-bolt was given
//!     logs/                 what its commands printed
//! ```
//!
//! Unaware of what is tried.

use std::collections::BTreeMap;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::Tried;
use crate::fs::disk;

/// The tries of one search.
#[derive(Debug)]
pub struct Tries {
    root: Utf8PathBuf,
    known: BTreeMap<String, Tried>,
    last: usize,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    key: String,
    #[serde(flatten)]
    tried: Tried,
}

impl Tries {
    /// Reads those that are there, and removes what was begun and did not end.
    ///
    /// # Errors
    /// The directory cannot be made, read or written to.
    pub fn open(root: &Utf8Path) -> Result<Tries> {
        disk::make_dir(root)?;
        disk::sweep(root)?;
        let mut tries = Tries { root: root.to_owned(), known: BTreeMap::new(), last: 0 };
        for name in disk::names_in(root)? {
            let dir = root.join(&name);
            let Some(mut kept) = disk::read_json::<Kept>(&dir.join("result.json"))? else {
                disk::discard(&dir)?;
                continue;
            };
            // The state directory may have been moved.
            kept.tried.log = kept.tried.log.map(|log| dir.join(log));
            let number = name.split('-').next().and_then(|number| number.parse().ok());
            tries.last = tries.last.max(number.unwrap_or_default());
            tries.known.insert(kept.key, kept.tried);
        }
        Ok(tries)
    }

    pub fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.known.len()
    }

    pub fn known(&self, key: &str) -> Option<&Tried> {
        self.known.get(key)
    }

    /// The directory of a new try, which is made.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn begin(&mut self, key: &str) -> Result<Utf8PathBuf> {
        self.last += 1;
        let dir = self.root.join(format!("{:03}-{key}", self.last));
        disk::make_dir(&dir)?;
        Ok(dir)
    }

    /// Keeps how a try ended. Its log is in `dir`.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn end(&mut self, dir: &Utf8Path, key: &str, tried: Tried) -> Result<()> {
        let below = tried.log.as_ref().and_then(|log| Some(log.strip_prefix(dir).ok()?.to_owned()));
        let kept = Kept { key: key.to_owned(), tried: Tried { log: below, ..tried.clone() } };
        disk::write_json(&dir.join("result.json"), &kept)?;
        self.known.insert(kept.key, tried);
        Ok(())
    }
}
