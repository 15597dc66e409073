//! Patterns of file names.
//!
//! | pattern | matches |
//! |---|---|
//! | [`Patterns`], of sources and captures | `?`, `*` and `[ab]` within a name, `**` over any number of directories, `{a,b}` one of both; `\` takes a character as it is |
//! | [`resolve`], of outputs whose name holds the hash of their content | one `*`, in the last component, and one file |
//!
//! Build tools do not notice a profile that changed under the same name, so its name has to change with it; when a plan is
//! made it is not known yet.

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use camino::{Utf8Path, Utf8PathBuf};

/// Whether the path is a pattern.
pub fn is_pattern(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| name.contains('*'))
}

/// The one file that a pattern matches; a path that is no pattern is itself.
///
/// # Errors
/// No file matches, or more than one, or the directory cannot be read.
pub fn resolve(path: &Utf8Path) -> io::Result<Utf8PathBuf> {
    if !is_pattern(path) {
        return Ok(path.to_owned());
    }
    let mut found = there(path)?;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (Some(_), false) => Err(io::Error::other(format!("more than one file matches {path}"))),
        (None, _) => Err(io::Error::new(io::ErrorKind::NotFound, format!("no file matches {path}"))),
    }
}

/// All that is there of what a pattern matches, in no order; of a path that is no pattern, the path itself. Nothing where there is no
/// directory.
///
/// # Errors
/// The directory cannot be read.
pub fn there(path: &Utf8Path) -> io::Result<Vec<Utf8PathBuf>> {
    let (Some(dir), Some(pattern), true) = (path.parent(), path.file_name(), is_pattern(path)) else {
        return Ok(Vec::from_iter(path.symlink_metadata().is_ok().then(|| path.to_owned())));
    };
    let entries = match dir.read_dir_utf8() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if matches(pattern, entry.file_name()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

/// Whether a pattern matches the name of a file.
pub fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        Some((before, after)) => {
            name.len() >= before.len() + after.len() && name.starts_with(before) && name.ends_with(after)
        }
        None => name == pattern,
    }
}

/// Patterns of paths, relative to some directory.
#[derive(Debug, Default)]
pub struct Patterns(Vec<String>);

impl Patterns {
    /// # Errors
    /// One of them is not a pattern; says which, and what is wrong with it.
    pub fn new<S: AsRef<str>>(patterns: &[S]) -> Result<Patterns, String> {
        let patterns: Vec<String> = patterns.iter().map(|pattern| pattern.as_ref().to_owned()).collect();
        match patterns.iter().find_map(|pattern| unclosed(pattern).map(|bracket| (pattern, bracket))) {
            Some((pattern, bracket)) => {
                Err(format!("`{bracket}` is not closed in `{pattern}`; write `\\{bracket}` for the character itself"))
            }
            None => Ok(Patterns(patterns)),
        }
    }

    /// Whether one of them matches a path.
    pub fn match_path(&self, path: &Path) -> bool {
        self.0.iter().any(|pattern| fast_glob::glob_match(pattern, path.as_os_str().as_bytes()))
    }
}

/// The first bracket that has no end: the library takes such a pattern for one that matches nothing.
fn unclosed(pattern: &str) -> Option<char> {
    let mut open: Vec<char> = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match (character, open.last()) {
            ('\\', _) => drop(characters.next()),
            (']', Some('[')) | ('}', Some('{')) => drop(open.pop()),
            (_, Some('[')) => {}
            ('[' | '{', _) => open.push(character),
            _ => {}
        }
    }
    open.first().copied()
}
