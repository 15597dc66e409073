//! Writes a bundle. The same profiles and the same manifest make the same bytes: there is no time, no user and no directory in it.

use std::io::{self, Read, Write};

use tar::{EntryType, Header};

use super::manifest::{Entry, Kind, MANIFEST, Manifest};
use super::read::recognise;

/// Profiles get little smaller at higher levels, and take many times longer.
const LEVEL: i32 = 10;

/// What can be said of a profile by looking at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    pub kind: Kind,
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
    let bytes = io::copy(&mut first.as_slice().chain(profile), &mut hasher)?;
    Ok(recognise(&first).map(|(kind, header)| Description {
        kind,
        version: header.map(|header| header.version),
        context_sensitive: header.is_some_and(|header| header.context_sensitive),
        bytes,
        blake3: hasher.finalize().to_hex().to_string(),
    }))
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
