//! What an artifact consists of: the manifest of a file or of a directory tree.
//!
//! The manifest itself says nothing of time and place, so that equal artifacts have equal ones; the times and inodes by which a change
//! is noticed quickly are kept beside it, per record. Unaware of what artifacts are for.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::hash::Hasher;
use super::tools::ToolError;
use crate::fs::disk::{self, At, DiskError};
use crate::fs::stat::{self, Stat};
use crate::proc::start;

/// The files of an artifact, sorted by the bytes of their paths. Of an artifact that is a file, a single one whose path is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub entries: Vec<Entry>,
}

/// A file, directory or link of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Relative to the artifact.
    pub path: Utf8PathBuf,
    pub content: Content,
}

/// What stands at a path. Modes are permission bits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Content {
    File { mode: u32, size: u64, hash: [u8; 32] },
    Link { target: String },
    Directory { mode: u32 },
}

/// What `stat` said of each file of a manifest; none for other entries, and for a file that had changed so recently that its times
/// prove nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Times(Vec<Option<Stat>>);

/// Why something cannot be an artifact.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    #[error("`{0}` does not exist")]
    Missing(Utf8PathBuf),
    #[error("the name `{name}` in `{directory}` is not UTF-8; files of an artifact must have names that are")]
    NotUtf8 { directory: Utf8PathBuf, name: String },
    #[error("`{0}` is neither a file, a directory nor a link; remove it from the artifact")]
    Special(Utf8PathBuf),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Whether an error is one of the machine, and no build can do anything about it: the disk is full, broken or read-only, or
/// a permission is missing.
pub fn is_to_blame(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        if cause.is::<ToolError>() {
            return true;
        }
        let disk = match cause.downcast_ref::<ManifestError>() {
            Some(ManifestError::Disk(error)) => Some(error),
            _ => cause.downcast_ref::<DiskError>(),
        };
        disk.map(|error| &error.cause).or(cause.downcast_ref::<std::io::Error>()).is_some_and(disk::refuses)
    })
}

impl Manifest {
    /// Looks at an artifact as it is. A link at `path` itself is followed; those below are kept as links.
    pub fn of(path: &Utf8Path, hasher: &Hasher) -> Result<(Manifest, Times), ManifestError> {
        let now = stat::now();
        let found = list(path)?;
        let entries: Vec<Result<Entry, ManifestError>> = found
            .par_iter()
            .map(|Found { path: relative, metadata }| {
                let content = content(&place(path, relative), metadata, hasher)?;
                Ok(Entry { path: relative.clone(), content })
            })
            .collect();
        let entries = entries.into_iter().collect::<Result<_, _>>()?;
        let files = found.iter().map(|found| Some(&found.metadata).filter(|metadata| metadata.is_file()));
        let times = files.map(|file| file.map(Stat::of).filter(|stat| stat.settled(now))).collect();
        Ok((Manifest { entries }, Times(times)))
    }

    /// The manifest's name: says what the content is, and nothing else.
    pub fn hash(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        for Entry { path, content } in &self.entries {
            hasher.update(&(path.as_str().len() as u64).to_le_bytes()).update(path.as_str().as_bytes());
            match content {
                Content::File { mode, size, hash } => {
                    hasher.update(b"f").update(&mode.to_le_bytes()).update(&size.to_le_bytes()).update(hash)
                }
                Content::Link { target } => {
                    hasher.update(b"l").update(&(target.len() as u64).to_le_bytes()).update(target.as_bytes())
                }
                Content::Directory { mode } => hasher.update(b"d").update(&mode.to_le_bytes()),
            };
        }
        hasher.finalize().to_hex().to_string()
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.entries.iter().map(|entry| if let Content::File { size, .. } = entry.content { size } else { 0 }).sum()
    }

    /// How many files and links there are.
    pub fn files(&self) -> u64 {
        let directories =
            self.entries.iter().filter(|entry| matches!(entry.content, Content::Directory { .. })).count();
        (self.entries.len() - directories) as u64
    }

    pub fn encode(&self) -> io::Result<Vec<u8>> {
        postcard::to_stdvec(self).map_err(io::Error::other)
    }

    pub fn decode(bytes: &[u8]) -> Option<Manifest> {
        postcard::from_bytes(bytes).ok()
    }

    /// The first difference between the manifest and what stands at `path`, as a sentence; none if there is none.
    ///
    /// A file with the mode, size, times and inode that it had is taken to be the same; any other is hashed. Without `times` all are.
    pub fn difference(
        &self,
        times: Option<&Times>,
        path: &Utf8Path,
        hasher: &Hasher,
    ) -> Result<Option<String>, DiskError> {
        self.compare(times, path, hasher, true)
    }

    /// Likewise, but what was added is no difference.
    pub fn change(&self, times: Option<&Times>, path: &Utf8Path, hasher: &Hasher) -> Result<Option<String>, DiskError> {
        self.compare(times, path, hasher, false)
    }

    fn compare(
        &self,
        times: Option<&Times>,
        path: &Utf8Path,
        hasher: &Hasher,
        additions: bool,
    ) -> Result<Option<String>, DiskError> {
        let mut found = match list(path) {
            Ok(found) => found,
            Err(ManifestError::Disk(error)) => return Err(error),
            Err(difference) => return Ok(Some(difference.to_string())),
        };
        if !additions {
            let by_path = |found: &Found| {
                self.entries.binary_search_by(|entry| entry.path.as_str().cmp(found.path.as_str())).is_ok()
            };
            found.retain(by_path);
        }
        let mut before = self.entries.iter().map(|entry| &entry.path).peekable();
        for Found { path: relative, .. } in &found {
            match before.next() {
                Some(expected) if expected.as_str() == relative.as_str() => {}
                Some(expected) if expected.as_str() < relative.as_str() => {
                    return Ok(Some(format!("`{}` does not exist", place(path, expected))));
                }
                _ => return Ok(Some(format!("`{}` was added", place(path, relative)))),
            }
        }
        if let Some(expected) = before.next() {
            return Ok(Some(format!("`{}` does not exist", place(path, expected))));
        }
        let times = times.filter(|times| times.0.len() == self.entries.len());
        let first = self
            .entries
            .par_iter()
            .zip(&found)
            .enumerate()
            .map(|(index, (entry, found))| {
                entry.difference(
                    times.and_then(|times| times.0[index]),
                    &place(path, &entry.path),
                    &found.metadata,
                    hasher,
                )
            })
            .find_map_first(Result::transpose);
        first.transpose()
    }

    /// Likewise, but reads every file.
    pub fn verify(&self, path: &Utf8Path) -> Result<Option<String>, DiskError> {
        self.difference(None, path, &Hasher::without_cache())
    }
}

impl Entry {
    fn difference(
        &self,
        before: Option<Stat>,
        path: &Utf8Path,
        metadata: &Metadata,
        hasher: &Hasher,
    ) -> Result<Option<String>, DiskError> {
        let changed = |what: &str| Ok(Some(format!("{what} `{path}` was changed")));
        match &self.content {
            Content::File { mode, size, hash } => {
                if !metadata.is_file() {
                    return Ok(Some(format!("`{path}` is not a file any more")));
                }
                if permissions(metadata) != *mode {
                    return changed("the mode of");
                }
                if metadata.len() != *size {
                    return changed("the content of");
                }
                if before != Some(Stat::of(metadata))
                    && hasher.file_with(path.as_std_path(), metadata).at("read", path)?.as_bytes() != hash
                {
                    return changed("the content of");
                }
            }
            Content::Link { target } => {
                if !metadata.is_symlink() {
                    return Ok(Some(format!("`{path}` is not a link any more")));
                }
                if fs::read_link(path).at("read", path)?.as_os_str() != target.as_str() {
                    return changed("the target of");
                }
            }
            Content::Directory { mode } => {
                if !metadata.is_dir() {
                    return Ok(Some(format!("`{path}` is not a directory any more")));
                }
                if permissions(metadata) != *mode {
                    return changed("the mode of");
                }
            }
        }
        Ok(None)
    }
}

struct Found {
    path: Utf8PathBuf,
    metadata: Metadata,
}

/// What there is, sorted by the bytes of the paths.
fn list(root: &Utf8Path) -> Result<Vec<Found>, ManifestError> {
    start::workers().at("read", root)?;
    let metadata = match fs::metadata(root) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(ManifestError::Missing(root.to_owned())),
        Err(error) => Err(error).at("read", root)?,
    };
    if metadata.is_file() {
        return Ok(vec![Found { path: Utf8PathBuf::new(), metadata }]);
    }
    if !metadata.is_dir() {
        return Err(ManifestError::Special(root.to_owned()));
    }
    let mut names = Vec::new();
    // The slash: a link at the top is followed.
    for entry in WalkDir::new(root.join("")).min_depth(1) {
        let entry = entry.map_err(io::Error::from).at("read", root)?;
        let relative = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let Some(relative) = Utf8Path::from_path(relative) else {
            let name = entry.file_name().to_string_lossy().into_owned();
            let directory = entry.path().parent().unwrap_or(root.as_std_path());
            let directory = Utf8PathBuf::from(directory.to_string_lossy().into_owned());
            return Err(ManifestError::NotUtf8 { directory, name });
        };
        let kind = entry.file_type();
        if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
            return Err(ManifestError::Special(root.join(relative)));
        }
        names.push(relative.to_owned());
    }
    // As text: paths compare component by component, which takes longer than all the rest.
    names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
    let below = names.into_par_iter().map(|path| {
        let full = root.join(&path);
        let metadata = fs::symlink_metadata(&full).at("read", full)?;
        Ok(Found { path, metadata })
    });
    let mut found = vec![Found { path: Utf8PathBuf::new(), metadata }];
    found.extend(below.collect::<Result<Vec<_>, DiskError>>()?);
    Ok(found)
}

fn content(path: &Utf8Path, metadata: &Metadata, hasher: &Hasher) -> Result<Content, ManifestError> {
    if metadata.is_dir() {
        return Ok(Content::Directory { mode: permissions(metadata) });
    }
    if metadata.is_symlink() {
        let target = fs::read_link(path).at("read", path)?;
        return match target.into_os_string().into_string() {
            Ok(target) => Ok(Content::Link { target }),
            Err(target) => {
                Err(ManifestError::NotUtf8 { directory: path.to_owned(), name: target.to_string_lossy().into_owned() })
            }
        };
    }
    let hash = *hasher.file_with(path.as_std_path(), metadata).at("read", path)?.as_bytes();
    Ok(Content::File { mode: permissions(metadata), size: metadata.len(), hash })
}

/// `join` alone would add a slash to the path of an artifact that is a file.
fn place(root: &Utf8Path, relative: &Utf8Path) -> Utf8PathBuf {
    if relative.as_str().is_empty() { root.to_owned() } else { root.join(relative) }
}

fn permissions(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}
