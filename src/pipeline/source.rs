//! The text of the files that a pipeline is made of, and which place in which file a span is.
//!
//! All files share one range of offsets, so that a tree that was merged from several files still tells of every value where it
//! stands. Unaware of what the files say.

use std::io::Read;
use std::ops::Range;

use camino::{Utf8Path, Utf8PathBuf};

/// No pipeline is larger. Keeps a device or a stray archive from being read to its end.
const LARGEST: u64 = 16 << 20;

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    /// Absolute.
    pub path: Utf8PathBuf,
    /// How messages call it.
    pub shown: String,
    pub text: String,
    /// Where its offsets begin.
    pub base: usize,
}

impl Source {
    /// The directory that it lies in.
    pub fn dir(&self) -> &Utf8Path {
        self.path.parent().unwrap_or(&self.path)
    }
}

/// The files of a pipeline; the first is the one that was asked for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub files: Vec<Source>,
}

impl Sources {
    /// Adds a file and says which one it is.
    pub fn add(&mut self, path: Utf8PathBuf, shown: String, text: String) -> usize {
        // One more than its length, so that the end of a file is not the begin of the next.
        let base = self.files.last().map_or(0, |last| last.base + last.text.len() + 1);
        self.files.push(Source { path, shown, text, base });
        self.files.len() - 1
    }

    /// Which file an offset is in.
    pub fn file_of(&self, offset: usize) -> usize {
        self.files.partition_point(|file| file.base <= offset).saturating_sub(1)
    }

    /// The file that a span is in, and the span in its text: within it, and between characters.
    pub fn place(&self, span: &Range<usize>) -> Option<(&Source, Range<usize>)> {
        let file = self.files.get(self.file_of(span.start))?;
        let inside = |offset: usize| {
            let offset = offset.saturating_sub(file.base).min(file.text.len());
            (0..=offset).rev().find(|at| file.text.is_char_boundary(*at)).unwrap_or(0)
        };
        let (start, end) = (inside(span.start), inside(span.end));
        Some((file, start..end.max(start)))
    }

    /// The span of a part of a string value, as closely as its quoting allows. `part` is in bytes of the value.
    pub fn within(&self, span: &Range<usize>, value: &str, part: &Range<usize>) -> Range<usize> {
        let Some((file, place)) = self.place(span) else { return span.clone() };
        let (raw, wanted) = (&file.text[place.clone()], value.get(part.clone()).unwrap_or_default());
        let at = match raw.find(value) {
            Some(start) => Some(start + part.start),
            None if wanted.is_empty() => None,
            None => raw.find(wanted),
        };
        match at {
            Some(start) => span.start + start..span.start + start + wanted.len(),
            None => span.clone(),
        }
    }

    /// Hash of the text of all files.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for file in &self.files {
            hasher.update(&(file.text.len() as u64).to_le_bytes());
            hasher.update(file.text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }
}

/// Reads a file as text.
///
/// # Errors
/// A sentence, when it is missing, a directory, unreadable, too large, or not UTF-8.
pub(super) fn read(path: &Utf8Path, shown: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => format!("there is no file `{shown}`"),
        std::io::ErrorKind::IsADirectory => format!("`{shown}` is a directory, not a pipeline file"),
        std::io::ErrorKind::PermissionDenied => format!("`{shown}` cannot be read: permission denied"),
        _ => format!("`{shown}` cannot be read: {error}"),
    };
    let file = std::fs::File::open(path).map_err(cannot)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(cannot)?;
    if bytes.len() as u64 > LARGEST {
        return Err(format!("`{shown}` is larger than {} MiB, too large for a pipeline file", LARGEST >> 20));
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let byte = error.as_bytes()[at];
        format!(
            "`{shown}` is not UTF-8 text: the byte 0x{byte:02x} at line {line}, column {column} does not belong there"
        )
    })?;
    // An editor of another system ends lines so; a shell would take the `\r` for a part of a word.
    Ok(text.replace("\r\n", "\n"))
}
