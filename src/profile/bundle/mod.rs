//! Bundles: the merged profiles of a run in one archive, with a manifest that says what each is of.
//!
//! A bundle is a tar archive, compressed with zstd or xz, whose first member is `manifest.json`; the members behind it are the
//! profiles that the manifest lists, with its sizes and hashes. rust's own `reproducible-artifacts` archives are read too: their
//! profiles are named by their roles, and nothing more is said of them.
//!
//! Reading is a function over a reader, which trusts nothing in it: sizes are bounded before anything is read, and no path of the
//! archive is ever written to. Writing the same profiles and the same manifest makes the same bytes: there is no time, no user and no
//! directory in it. Unaware of pipelines, of stages and of where bundles lie.

mod archive;
mod manifest;
mod read;

pub use manifest::{Binary, Entry, FORMAT, MANIFEST, Manifest, Member, Source, is_role};
pub use read::{Bundle, Origin, Wanted, read};

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::Format;
use read::recognise;

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

/// Profiles get little smaller at higher levels, and take many times longer.
const LEVEL: i32 = 10;

/// What can be said of a profile by looking at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub kind: Format,
    pub version: Option<u32>,
    pub context_sensitive: bool,
    pub bytes: u64,
    pub blake3: String,
}

/// Looks at a merged profile. None: it is none.
///
/// # Errors
/// It cannot be read.
pub fn describe(mut profile: impl Read) -> io::Result<Option<Description>> {
    let mut first = Vec::new();
    profile.by_ref().take(1 << 12).read_to_end(&mut first)?;
    let mut hasher = blake3::Hasher::new();
    io::copy(&mut first.as_slice().chain(profile), &mut hasher)?;
    Ok(recognise(&first, &hasher))
}

/// Writes a bundle; `open` opens what stands at a name in it.
///
/// # Errors
/// Something cannot be read or written, or a file has another size than the manifest says.
pub fn write(
    to: impl Write,
    manifest: &Manifest,
    mut open: impl FnMut(&str) -> io::Result<Box<dyn Read>>,
) -> io::Result<()> {
    let mut encoder = zstd::Encoder::new(to, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut archive = tar::Builder::new(encoder);
    let mut text = serde_json::to_vec_pretty(manifest)?;
    text.push(b'\n');
    append(&mut archive, MANIFEST, text.len() as u64, text.as_slice())?;
    for member in manifest.profiles.iter().flat_map(Entry::members) {
        append(&mut archive, &member.file, member.bytes, open(&member.file)?)?;
    }
    archive.into_inner()?.finish()?.flush()
}

fn append(archive: &mut tar::Builder<impl Write>, name: &str, bytes: u64, content: impl Read) -> io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(bytes);
    let mut content = Counted { reader: content.take(bytes + 1), read: 0 };
    archive.append_data(&mut header, name, &mut content)?;
    if content.read != bytes {
        return Err(io::Error::other(format!("`{name}` changed while it was packed")));
    }
    Ok(())
}

/// Counts what is read.
struct Counted<R> {
    reader: R,
    read: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        self.read += got as u64;
        Ok(got)
    }
}
