//! Hashes of files, with a cache that saves reading those whose `stat` has not changed.
//!
//! Unaware of which files matter. A file that changed so recently that its time stamps cannot prove anything is hashed, but
//! not remembered, as git does with its index.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::fs::disk::{self, DiskError};
use crate::fs::stat::{self, Stat};
use crate::proc::start;
use crate::sync::lock;

/// The first bytes of the cache's file; changes with its format.
const MAGIC: &[u8] = b"optbuild hashes 1\n";
/// Entries that nobody asked for in so many days are dropped.
const KEPT_DAYS: u32 = 30;
/// How often a file is read again that changes while it is read.
const ATTEMPTS: usize = 3;
/// The hash of a path; paths themselves are not needed, and are most of what there is to read.
type Key = [u8; 16];

/// Hashes files.
#[derive(Debug, Default)]
pub struct Hasher {
    cache: Option<Utf8PathBuf>,
    /// From the file; read without a lock.
    known: HashMap<Key, Known>,
    /// Of this process.
    fresh: Mutex<HashMap<Key, (Stat, blake3::Hash)>>,
    today: u32,
}

#[derive(Debug)]
struct Known {
    stat: Stat,
    hash: blake3::Hash,
    used: AtomicU32,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    key: Key,
    stat: Stat,
    hash: [u8; 32],
    /// The day, counted from 1970, on which it was asked for.
    used: u32,
}

impl Hasher {
    /// With the cache in this file, which need not exist. A damaged one is the same as none.
    pub fn open(cache: &Utf8Path) -> Result<Hasher, DiskError> {
        let stored = disk::read_if_there(cache)?.and_then(|bytes| decode(&bytes)).unwrap_or_default();
        let known = stored
            .into_iter()
            .map(|entry| {
                let hash = blake3::Hash::from_bytes(entry.hash);
                (entry.key, Known { stat: entry.stat, hash, used: AtomicU32::new(entry.used) })
            })
            .collect();
        let today = u32::try_from(stat::now() / (24 * 3600 * 1_000_000_000)).unwrap_or(0);
        Ok(Hasher { cache: Some(cache.to_owned()), known, fresh: Mutex::default(), today })
    }

    /// Reads every file that it is asked for, and remembers nothing.
    pub fn without_cache() -> Hasher {
        Hasher::default()
    }

    /// The hash of a file's content. Links are followed.
    ///
    /// # Errors
    /// What the file system says; `Interrupted` when the file kept changing while it was read.
    pub fn file(&self, path: impl AsRef<Path>) -> io::Result<blake3::Hash> {
        let path = path.as_ref();
        self.file_with(path, &fs::metadata(path)?)
    }

    /// Likewise, for a file whose metadata (of the file itself, not of a link) was just read.
    pub fn file_with(&self, path: &Path, metadata: &fs::Metadata) -> io::Result<blake3::Hash> {
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
        }
        if self.cache.is_none() {
            return read(path).map(|(_, hash, _)| hash);
        }
        let key = key(path);
        let stat = Stat::of(metadata);
        if let Some(known) = self.known.get(&key).filter(|known| known.stat == stat) {
            known.used.store(self.today, Ordering::Relaxed);
            return Ok(known.hash);
        }
        if let Some((known, hash)) = self.fresh().get(&key)
            && *known == stat
        {
            return Ok(*hash);
        }
        let (stat, hash, settled) = read(path)?;
        if settled {
            self.fresh().insert(key, (stat, hash));
        }
        Ok(hash)
    }

    /// The hashes of several files, in their order.
    pub fn files<P: AsRef<Path> + Sync>(&self, paths: &[P]) -> Vec<io::Result<blake3::Hash>> {
        match start::workers() {
            Ok(()) => paths.par_iter().map(|path| self.file(path)).collect(),
            Err(_) => paths.iter().map(|path| self.file(path)).collect(),
        }
    }

    /// Writes the cache, if there is something to add to it.
    pub fn save(&self) -> Result<(), DiskError> {
        let Some(cache) = &self.cache else { return Ok(()) };
        let fresh = self.fresh();
        // Days of use are written along with entries, and for their own sake only when it matters for keeping them.
        let stale = |known: &Known| self.today.saturating_sub(known.used.load(Ordering::Relaxed));
        if fresh.is_empty() && !self.known.values().any(|known| stale(known) > KEPT_DAYS) {
            return Ok(());
        }
        let old = self.known.iter().filter(|(key, known)| !fresh.contains_key(*key) && stale(known) <= KEPT_DAYS);
        let old = old.map(|(key, known)| Stored {
            key: *key,
            stat: known.stat,
            hash: *known.hash.as_bytes(),
            used: known.used.load(Ordering::Relaxed),
        });
        let new = fresh.iter().map(|(key, (stat, hash))| Stored {
            key: *key,
            stat: *stat,
            hash: *hash.as_bytes(),
            used: self.today,
        });
        let entries: Vec<Stored> = old.chain(new).collect();
        match encode(&entries) {
            Ok(bytes) => disk::write_whole(cache, &bytes),
            Err(error) => disk::At::at(Err(io::Error::other(error)), "write", cache),
        }
    }

    fn fresh(&self) -> std::sync::MutexGuard<'_, HashMap<Key, (Stat, blake3::Hash)>> {
        lock(&self.fresh)
    }
}

/// Reads a file that stays the same from before to after, and says whether its time stamps prove that from here on.
fn read(path: &Path) -> io::Result<(Stat, blake3::Hash, bool)> {
    for _ in 0..ATTEMPTS {
        let file = File::open(path)?;
        let now = stat::now();
        let before = Stat::of(&file.metadata()?);
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&file)?;
        if before == Stat::of(&file.metadata()?) {
            return Ok((before, hasher.finalize(), before.settled(now)));
        }
    }
    Err(io::Error::new(io::ErrorKind::Interrupted, "it changes while it is read"))
}

fn key(path: &Path) -> Key {
    let mut key = Key::default();
    key.copy_from_slice(&blake3::hash(path.as_os_str().as_encoded_bytes()).as_bytes()[..16]);
    key
}

fn encode(entries: &[Stored]) -> postcard::Result<Vec<u8>> {
    let body = postcard::to_stdvec(entries)?;
    Ok([MAGIC, &check(&body), &body].concat())
}

/// None for anything but what [`encode`] made.
fn decode(bytes: &[u8]) -> Option<Vec<Stored>> {
    let (sum, body) = bytes.strip_prefix(MAGIC)?.split_at_checked(8)?;
    if sum != check(body) {
        return None;
    }
    postcard::from_bytes(body).ok()
}

fn check(body: &[u8]) -> [u8; 8] {
    let mut sum = [0; 8];
    sum.copy_from_slice(&blake3::hash(body).as_bytes()[..8]);
    sum
}
