//! For which tools optbuild may write the merged profile itself: those of which it has seen that they write the same bytes.
//!
//! The first time that a tool meets profiles of a shape, both write; the outcome is kept in the user's cache. A tool that
//! changed is another tool. Unaware of the format.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

/// Changes with what is written, so that everything is compared anew.
const WRITER: u32 = 1;

/// What is known of one tool.
pub(super) struct Trust {
    file: Utf8PathBuf,
    /// `SHAPE VERSION` per line; version 0: the bytes differ.
    known: String,
}

impl Trust {
    /// None: there is no place to keep it, or it cannot be told whether the tool changes.
    pub fn of(tool: &Utf8Path) -> Option<Trust> {
        Trust::kept_in(&cache()?, tool)
    }

    fn kept_in(cache: &Utf8Path, tool: &Utf8Path) -> Option<Trust> {
        let program = Utf8PathBuf::from_path_buf(fs::canonicalize(which::which(tool).ok()?).ok()?).ok()?;
        // A script or a program of another name may start one tool today and another one tomorrow.
        let named = program.file_name().is_some_and(|name| name.starts_with("llvm-profdata"));
        let mut magic = [0; 4];
        fs::File::open(&program).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic)).ok()?;
        if !named || magic != *b"\x7fELF" {
            return None;
        }
        let mut identity = format!("{WRITER} {} {}", env!("CARGO_PKG_VERSION"), stat(&program)?);
        // What merges is in a library that may be replaced alone.
        let libraries = program.parent()?.parent()?.join("lib");
        let mut names: Vec<String> = fs::read_dir(&libraries)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter(|name| name.starts_with("libLLVM") && name.contains(".so"))
            .collect();
        names.sort();
        for name in names {
            identity.push_str(&stat(&libraries.join(name))?);
        }
        let name = blake3::hash(identity.as_bytes()).to_hex();
        let file = cache.join("llvm-profdata").join(&name.as_str()[..20]);
        let known = fs::read_to_string(&file).unwrap_or_default();
        Some(Trust { file, known })
    }

    /// The version in which profiles of this shape are written as the tool does. `Some(None)`: it does not write the same.
    /// None: that is not known.
    pub fn version(&self, shape: u64) -> Option<Option<u32>> {
        let line =
            self.known.lines().find_map(|line| line.split_once(' ').filter(|(known, _)| *known == shape.to_string()));
        let version = line?.1.parse::<u32>().ok()?;
        Some(Some(version).filter(|version| *version > 0))
    }

    /// Keeps what was seen. Where it cannot be written, the next merge sees it again.
    pub fn learn(&self, shape: u64, version: Option<u32>) {
        let line = format!("{shape} {}\n", version.unwrap_or_default());
        let write = || -> std::io::Result<()> {
            if let Some(dir) = self.file.parent() {
                fs::create_dir_all(dir)?;
            }
            fs::OpenOptions::new().append(true).create(true).open(&self.file)?.write_all(line.as_bytes())
        };
        if let Err(error) = write() {
            tracing::debug!("{} was not written: {error}", self.file);
        }
    }
}

/// The user's cache of optbuild.
fn cache() -> Option<Utf8PathBuf> {
    let of = |name: &str| std::env::var(name).ok().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("optbuild"))
}

/// What differs when a file is replaced.
fn stat(path: &Utf8Path) -> Option<String> {
    let meta = fs::metadata(path).ok()?;
    let (size, inode) = (meta.size(), meta.ino());
    Some(format!("{path} {size} {inode} {}.{} {}\n", meta.mtime(), meta.mtime_nsec(), meta.dev()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_is_known_until_the_tool_changes() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let tool = dir.join("llvm-profdata-99");
        fs::write(&tool, "\x7fELF 1").unwrap();
        fs::set_permissions(&tool, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let trust = || Trust::kept_in(dir, &tool).unwrap();
        assert_eq!(trust().version(5), None);
        trust().learn(5, Some(13));
        trust().learn(6, None);
        assert_eq!((trust().version(5), trust().version(6), trust().version(7)), (Some(Some(13)), Some(None), None));
        fs::write(&tool, "\x7fELF another").unwrap();
        assert_eq!(trust().version(5), None);
        fs::write(&tool, "#!/bin/sh").unwrap();
        assert!(Trust::kept_in(dir, &tool).is_none());
    }
}
