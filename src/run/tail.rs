//! The end of a log, as a person would see it on a terminal. Reads no more of the file than that.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use camino::Utf8Path;

/// What is read for one line, in bytes.
const LAST_LINE: u64 = 8 * 1024;
/// What is read for many lines: at first, and at most.
const FIRST_BLOCK: u64 = 32 * 1024;
const LAST_BLOCK: u64 = 1024 * 1024;

/// The last line that has something on it; none if there is none in the last few kilobytes.
///
/// # Errors
///
/// If the file cannot be read.
pub fn last_line(path: &Utf8Path) -> io::Result<Option<String>> {
    let (bytes, _) = end(path, LAST_LINE)?;
    let text = shown(&bytes);
    Ok(text.lines().rev().map(overwritten).find(|line| !line.trim().is_empty()).map(|line| line.trim_end().to_owned()))
}

/// The last `count` lines, without empty ones at the end. Fewer if the file has not so many, or they are longer than a megabyte.
///
/// # Errors
///
/// If the file cannot be read.
pub fn last_lines(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    let mut block = FIRST_BLOCK;
    loop {
        let (bytes, whole) = end(path, block)?;
        let text = shown(&bytes);
        let text = text.trim_end();
        let mut lines: Vec<&str> = text.lines().collect();
        if !whole && lines.len() <= count && block < LAST_BLOCK {
            block *= 4;
            continue;
        }
        // The first one of a part may have begun before it; alone it is better than nothing.
        if !whole && lines.len() > 1 {
            lines.remove(0);
        }
        let from = lines.len().saturating_sub(count);
        return Ok(lines[from..].iter().map(|line| overwritten(line).trim_end().to_owned()).collect());
    }
}

/// The first line that has something on it, of a part of a log.
pub(super) fn plain(bytes: &[u8]) -> String {
    let text = shown(bytes);
    let line = text.lines().map(overwritten).find(|line| !line.trim().is_empty());
    line.unwrap_or_default().trim().to_owned()
}

/// The last `limit` bytes, and whether that is the whole file.
fn end(path: &Utf8Path, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(limit);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    // The file may be growing.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, from == 0))
}

/// Without colours and other escape sequences, of which the first may be cut.
pub(super) fn shown(bytes: &[u8]) -> String {
    anstream::adapter::strip_str(&String::from_utf8_lossy(bytes)).to_string()
}

/// What a terminal shows of a line that was written over itself, as progress bars do: the part after the last carriage return
/// that has something on it.
pub(super) fn overwritten(line: &str) -> &str {
    line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default()
}
