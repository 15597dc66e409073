//! Raw and merged profiles as files: their formats and versions, what is in them, and the linked files that they are of.
//!
//! | file | what it knows |
//! |---|---|
//! | `header` | the first bytes of LLVM's profiles |
//! | `kind` | what counts are of, and which are never added up |
//! | `raw/` | raw profiles: reading, adding up, keeping |
//! | `indexed/` | merged profiles: writing, and reading back what was written |
//! | `fdata` | BOLT's profiles, which are text |
//! | `listing`, `warnings` | what llvm-profdata and compilers print |
//! | `figures`, `names` | counts and functions of any profile |
//! | `gathered` | how much is in a gathered profile, against another one |
//! | `elf`, `linked` | the programs that profiles are of; how those were linked |
//! | `instrumented` | which functions of a program the compiler has instrumented |
//! | `bundle/` | profiles in one archive |
//! | `watch/` | profiles that appear while programs run |
//!
//! Unaware of stages and of the tools that merge.

pub mod bundle;
pub mod elf;
pub mod fdata;
pub mod figures;
pub mod fit;
pub mod gathered;
pub mod header;
pub mod indexed;
pub mod instrumented;
pub mod kind;
pub mod linked;
pub mod listing;
pub mod long_names;
pub mod names;
pub mod raw;
pub mod warnings;
pub mod watch;
pub mod weights;

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

/// The two families of profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Of instrumentation by the compiler: `.profraw`, merged `.profdata`.
    Profdata,
    /// Of BOLT: `.fdata`, raw and merged.
    Fdata,
}

impl Format {
    /// How it is called on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Format::Profdata => "profdata",
            Format::Fdata => "fdata",
        }
    }

    /// The extension of what one process writes.
    pub fn raw_extension(self) -> &'static str {
        match self {
            Format::Profdata => "profraw",
            Format::Fdata => "fdata",
        }
    }

    /// The extension of merged profiles.
    pub fn merged_extension(self) -> &'static str {
        self.name()
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        to.write_str(self.name())
    }
}

impl std::str::FromStr for Format {
    type Err = String;
    fn from_str(name: &str) -> Result<Format, String> {
        let formats = [Format::Profdata, Format::Fdata];
        let named = formats.into_iter().find(|format| format.name() == name);
        named.ok_or_else(|| "a format is `profdata` or `fdata`".into())
    }
}

/// A profile on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileFile {
    pub path: Utf8PathBuf,
    pub bytes: u64,
}

/// Begins the names of directories that a merge keeps its files in until it is done. The sums in them are no profiles to be found.
pub const WORK: &str = ".merge-";

/// All files below a directory (or the file itself) that `wanted` accepts by name, sorted by path; links to files count, those to
/// directories do not. None if there is no such directory.
///
/// # Errors
/// A directory cannot be read, or a path is not UTF-8.
pub fn find(below: &Utf8Path, wanted: impl Fn(&Utf8Path) -> bool) -> io::Result<Vec<ProfileFile>> {
    let mut found = Vec::new();
    if !below.exists() {
        return Ok(found);
    }
    let entries = WalkDir::new(below).into_iter();
    let is_work = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(WORK.as_bytes());
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_work(entry.file_name())) {
        let entry = entry.map_err(io::Error::from)?;
        let file = match entry.file_type() {
            kind if kind.is_file() => entry.metadata().map_err(io::Error::from)?,
            // One that leads nowhere is nothing.
            kind if kind.is_symlink() => match std::fs::metadata(entry.path()) {
                Ok(meta) if meta.is_file() => meta,
                _ => continue,
            },
            _ => continue,
        };
        let bytes = file.len();
        let path = Utf8PathBuf::from_path_buf(entry.into_path())
            .map_err(|path| io::Error::other(format!("{} is not UTF-8", path.display())))?;
        if wanted(&path) {
            found.push(ProfileFile { path, bytes });
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}
