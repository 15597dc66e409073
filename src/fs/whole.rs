//! Files that are read as a whole: none that only claims to be long. Unaware of what is in them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;

/// A file of at least so many bytes is refused when it has less than one in `SPARSE` of them on disk: no process wrote it.
const HUGE: u64 = 1 << 30;
const SPARSE: u64 = 64;

/// That a file has next to nothing of its length on disk, in words. None: it has, or it is small.
pub fn never_written(metadata: &Metadata) -> Option<String> {
    let (length, on_disk) = (metadata.len(), metadata.blocks().saturating_mul(512));
    let sparse = metadata.is_file() && length >= HUGE && on_disk < length / SPARSE;
    sparse.then(|| format!("it is {length} bytes long and has {on_disk} bytes on disk: it was never written"))
}

/// The bytes of a file.
///
/// # Errors
/// It cannot be read, was never written, or does not fit into memory.
pub fn read(path: &Utf8Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if let Some(reason) = never_written(&metadata) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(usize::try_from(metadata.len()).unwrap_or(usize::MAX))?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The same of text.
///
/// # Errors
/// As [`read`], or it is not UTF-8.
pub fn read_text(path: &Utf8Path) -> io::Result<String> {
    String::from_utf8(read(path)?).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
