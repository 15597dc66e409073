//! Bundles: the merged profiles of a run in one archive, with a manifest that says what each is of.
//!
//! A bundle is a tar archive, compressed with zstd or xz, whose first member is `manifest.json`; the members behind it are the
//! profiles that the manifest lists, with its sizes and hashes. rust's own `reproducible-artifacts` archives are read too: their
//! profiles are named by their roles, and nothing more is said of them.
//!
//! Reading is a function over a reader, which trusts nothing in it: sizes are bounded before anything is read, and no path of the
//! archive is ever written to. Unaware of pipelines, of stages and of where bundles lie.

mod archive;
mod manifest;
mod read;
mod rust;
mod unpack;
mod write;

pub use manifest::{Binary, Entry, FORMAT, Kind, MANIFEST, Manifest, Member, Source, is_role};
pub use read::{Bundle, Origin, Wanted, read};
pub use write::{Description, describe, write};

use std::io;

/// What a reader puts up with. Sizes are in bytes, after unpacking.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Of `manifest.json`.
    pub manifest: u64,
    /// Of one profile.
    pub profile: u64,
    /// Of all that is in the archive.
    pub total: u64,
    pub members: usize,
    /// What the decompressor may keep in memory.
    pub memory: u64,
}

impl Default for Limits {
    /// Far above what rustc's profiles are (about 100 MB each), and far below what fills a disk unnoticed.
    fn default() -> Limits {
        Limits { manifest: 1 << 20, profile: 4 << 30, total: 16 << 30, members: 1000, memory: 256 << 20 }
    }
}

/// Why a bundle is not taken.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    #[error(
        "it is not a bundle: it is compressed neither with zstd nor with xz. `optbuild profile export` makes bundles; rust's \
         `reproducible-artifacts-*.tar.xz` are taken too"
    )]
    Compression,
    #[error("it is not a bundle: it begins with `{0}` instead of `{MANIFEST}`")]
    Foreign(String),
    #[error("it is damaged, or was cut off: {0}")]
    Damaged(String),
    #[error("it ends in the middle of {0}: it was cut off")]
    Truncated(String),
    #[error("`{name}` in it {why}; a bundle has plain files with plain names only")]
    Member { name: String, why: &'static str },
    #[error("`{0}` is in it twice")]
    Duplicate(String),
    #[error("{what} in it has {bytes} bytes, more than the limit of {limit}")]
    TooLarge { what: String, bytes: u64, limit: u64 },
    #[error("it unpacks to more than the limit of {0} bytes")]
    TooMuch(u64),
    #[error("it has more than {0} members")]
    TooMany(usize),
    #[error("its `{MANIFEST}` cannot be used: {0}")]
    Manifest(String),
    #[error("it has format {0}, and this optbuild reads format {FORMAT}; update optbuild")]
    Newer(u64),
    #[error("its `{MANIFEST}` does not list `{0}`")]
    Unlisted(String),
    #[error("its `{MANIFEST}` lists `{0}`, which is not in it")]
    Missing(String),
    #[error("`{name}` has {found} bytes, and its `{MANIFEST}` says {declared}: one of them was changed")]
    Size { name: String, declared: u64, found: u64 },
    #[error(
        "`{0}` is not what its `{MANIFEST}` says: the hash differs, so it was changed or damaged after it was packed"
    )]
    Hash(String),
    #[error("`{name}` is {found}, not {declared}")]
    Content { name: String, declared: String, found: String },
    #[error("there is no profile in it")]
    Empty,
    #[error(transparent)]
    Read(io::Error),
    #[error("a profile cannot be unpacked: {0}")]
    Write(io::Error),
}

#[cfg(test)]
mod tests;
