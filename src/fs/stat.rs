//! What `stat` says of a file, to tell that it is the one that was hashed before.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

const SECOND: i64 = 1_000_000_000;

/// Two equal ones, the earlier of which was [`settled`](Stat::settled), mean equal content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// Bytes.
    pub size: u64,
    /// Nanoseconds since 1970, as is `ctime`.
    pub mtime: i64,
    pub ctime: i64,
    pub inode: u64,
}

impl Stat {
    pub fn of(metadata: &Metadata) -> Stat {
        Stat {
            size: metadata.size(),
            mtime: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
            ctime: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
        }
    }

    /// Whether a change after `now` must show in the time stamps.
    ///
    /// Clocks of file systems tick: two changes within one tick have the same time. A time with a fraction of a second comes
    /// from a fine clock, which Linux advances at least every 10 ms; one without may come from a file system that counts in
    /// seconds or, as FAT does, in pairs of them.
    pub fn settled(&self, now: i64) -> bool {
        let latest = self.mtime.max(self.ctime);
        let tick = if latest % SECOND == 0 { 2 * SECOND } else { SECOND / 10 };
        latest < now - tick
    }
}

/// The time by the system's clock, in nanoseconds since 1970.
pub fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

/// Of a file's time stamp.
fn nanoseconds(seconds: i64, fraction: i64) -> i64 {
    seconds.saturating_mul(SECOND).saturating_add(fraction)
}
