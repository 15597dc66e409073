//! What a stage reads from outside of the state directory, as hashes: files, source trees and globs.
//!
//! A hash depends on names relative to the source, on content, link targets and the executable bit; not on where the source
//! lies, on times, or on the order in which a file system lists it. That something is missing is a hash too: whether it
//! matters is for the commands to say.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;

use super::hash::Hasher;
use super::listing::{self, ListError};
use crate::fs::pattern::Patterns;
use crate::plan::Source;
use crate::proc::start;
use crate::sync::lock;

/// How often a source is read anew when files vanish or change meanwhile.
const ATTEMPTS: usize = 3;

/// What a source was when it was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceHash {
    pub hash: String,
    pub files: u64,
}

/// Why a source could not be hashed.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error("cannot read `{path}` ({name}): {cause}")]
    Read { name: String, path: String, cause: io::Error },
    #[error("cannot list the files of `{path}` ({name}): {cause}")]
    Git { name: String, path: Utf8PathBuf, cause: String },
    #[error("`{path}` ({name}) is not a pattern: {cause}")]
    Pattern { name: String, path: Utf8PathBuf, cause: String },
    #[error(
        "`{path}` ({name}) lies in {system}, whose files the kernel makes up when they are read: there is nothing that could be compared \
         with another day; name files of a disk"
    )]
    MadeUp { name: String, path: String, system: &'static str },
    #[error(
        "`{file}` vanished or changed while `{path}` ({name}) was hashed, {ATTEMPTS} times in a row; \
         wait until nothing writes there, then run again"
    )]
    Unstable { name: String, path: Utf8PathBuf, file: String },
}

/// Sources that were hashed already, so that stages that share one pay once.
#[derive(Debug)]
pub struct Sources {
    hasher: Arc<Hasher>,
    exclude: Mutex<Vec<Utf8PathBuf>>,
    known: Mutex<HashMap<Key, SourceHash>>,
    /// The files behind hashes, so that it can be said which have changed.
    files: Mutex<HashMap<String, Arc<Files>>>,
}

/// The files of a tree: name, what it is, hash.
type Files = Vec<(PathBuf, (u8, blake3::Hash))>;

/// What decides which files a source has.
type Key = (Utf8PathBuf, bool, Vec<String>);

impl Sources {
    /// `exclude`: absolute paths of directories that are never part of a source, such as the state directory.
    pub fn new(hasher: Arc<Hasher>, exclude: Vec<Utf8PathBuf>) -> Sources {
        let exclude = Mutex::new(exclude);
        Sources { hasher, exclude, known: Mutex::default(), files: Mutex::default() }
    }

    /// More files that are never part of a source. What is known is looked at again if one is new.
    pub fn leave_out(&self, files: impl IntoIterator<Item = Utf8PathBuf>) {
        let mut exclude = lock(&self.exclude);
        let before = exclude.len();
        for file in files {
            if !exclude.contains(&file) {
                exclude.push(file);
            }
        }
        if exclude.len() > before {
            lock(&self.known).clear();
        }
    }

    pub fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// The hash of a source as it was when this first asked for it.
    pub fn hash(&self, source: &Source) -> Result<SourceHash, SourceError> {
        let known = lock(&self.known).get(&key(source)).cloned();
        match known {
            Some(known) => Ok(known),
            None => self.hash_again(source),
        }
    }

    /// The hash of a source as it is. To be asked after a stage that read it.
    pub fn hash_again(&self, source: &Source) -> Result<SourceHash, SourceError> {
        let (hash, files) = hash_files(&self.hasher, source, &lock(&self.exclude).clone())?;
        lock(&self.files).entry(hash.hash.clone()).or_insert_with(|| Arc::new(files));
        lock(&self.known).insert(key(source), hash.clone());
        Ok(hash)
    }

    /// The files in which two states of a tree differ, by their hashes; none where one of them was not seen here.
    pub fn changed(&self, before: &str, now: &str) -> Vec<Utf8PathBuf> {
        let files = lock(&self.files);
        let (Some(before), Some(now)) = (files.get(before), files.get(now)) else { return Vec::new() };
        let (before, now): (HashSet<_>, HashSet<_>) = (before.iter().collect(), now.iter().collect());
        let names = before.symmetric_difference(&now).map(|(name, _)| name.to_string_lossy().into_owned().into());
        let names: BTreeSet<Utf8PathBuf> = names.collect();
        names.into_iter().collect()
    }

    /// Looks at every source afresh from here on: after commands ran that may have changed some.
    pub fn forget(&self) {
        lock(&self.known).clear();
    }
}

fn key(source: &Source) -> Key {
    (source.path.clone(), source.glob, source.exclude.clone())
}

/// Hashes a source as it is.
///
/// # Errors
/// When files cannot be read, git fails, a pattern is none, or files come and go all the time.
pub fn hash_source(hasher: &Hasher, source: &Source, exclude: &[Utf8PathBuf]) -> Result<SourceHash, SourceError> {
    hash_files(hasher, source, exclude).map(|(hash, _)| hash)
}

fn hash_files(hasher: &Hasher, source: &Source, exclude: &[Utf8PathBuf]) -> Result<(SourceHash, Files), SourceError> {
    let mut unstable = String::new();
    for _ in 0..ATTEMPTS {
        match attempt(hasher, source, exclude) {
            Err(Trouble::Unstable(file)) => unstable = file.to_string_lossy().into_owned(),
            Err(Trouble::Final(error)) => return Err(error),
            Ok(hash) => return Ok(hash),
        }
    }
    Err(SourceError::Unstable { name: source.name.clone(), path: source.path.clone(), file: unstable })
}

enum Trouble {
    Unstable(PathBuf),
    Final(SourceError),
}

fn attempt(hasher: &Hasher, source: &Source, exclude: &[Utf8PathBuf]) -> Result<(SourceHash, Files), Trouble> {
    if source.glob {
        return glob(hasher, source, exclude);
    }
    // The tree's own path may go through links; names in it never do.
    let root = match source.path.as_std_path().canonicalize() {
        Ok(root) => root,
        Err(error) if is_missing(&error) => return Ok((SourceHash::of_nothing("absent"), Files::new())),
        Err(error) => return Err(refused(source, source.path.as_std_path(), error)),
    };
    let exclude = canonical(exclude);
    let metadata = fs::metadata(&root).map_err(|error| refused(source, &root, error))?;
    if metadata.is_dir() {
        check_system(source, &root)?;
        let without = patterns(source, &source.exclude)?;
        let names = listing::tree(&root, &exclude, &|name| without.match_path(name)).map_err(|error| match error {
            ListError::Io(error) => refused_or_gone(source, &root, error),
            ListError::Git { message, .. } => Trouble::Final(SourceError::Git {
                name: source.name.clone(),
                path: source.path.clone(),
                cause: message,
            }),
        })?;
        return combine("tree", hasher, source, &root, names);
    }
    // As in a tree: a pipe would be waited for, and a device has no end.
    if !metadata.is_file() {
        return Ok((SourceHash::of_nothing("no file"), Files::new()));
    }
    let hash = hasher.file_with(&root, &metadata).map_err(|error| refused_or_gone(source, &root, error))?;
    let mut all = start("file");
    all.update(if is_executable(&metadata) { b"x" } else { b"f" }).update(hash.as_bytes());
    Ok((SourceHash { hash: finish(&all), files: 1 }, Files::new()))
}

/// A tree of files that are made up as they are read has no end, or is another one each time.
fn check_system(source: &Source, root: &Path) -> Result<(), Trouble> {
    const MADE_UP: [(u64, &str); 7] = [
        (0x9fa0, "/proc"),
        (0x6265_6572, "sysfs"),
        (0x6367_7270, "cgroup2"),
        (0x6462_6720, "debugfs"),
        (0x7472_6163, "tracefs"),
        (0x7363_6673, "securityfs"),
        (0x1cd1, "devpts"),
    ];
    let found = rustix::fs::statfs(root).map_err(|error| refused(source, root, error.into()))?;
    match MADE_UP.iter().find(|(magic, _)| *magic == found.f_type as u64) {
        None => Ok(()),
        Some((_, system)) => Err(Trouble::Final(SourceError::MadeUp {
            name: source.name.clone(),
            path: source.path.to_string(),
            system,
        })),
    }
}

fn refused(source: &Source, path: &Path, cause: io::Error) -> Trouble {
    let path = path.to_string_lossy().into_owned();
    Trouble::Final(SourceError::Read { name: source.name.clone(), path, cause })
}

/// The same of something that was there a moment ago.
fn refused_or_gone(source: &Source, path: &Path, cause: io::Error) -> Trouble {
    match cause.kind() {
        io::ErrorKind::Interrupted => Trouble::Unstable(path.to_owned()),
        _ if is_missing(&cause) => Trouble::Unstable(path.to_owned()),
        _ => refused(source, path, cause),
    }
}

fn patterns<S: AsRef<str>>(source: &Source, patterns: &[S]) -> Result<Patterns, Trouble> {
    Patterns::new(patterns).map_err(|cause| {
        Trouble::Final(SourceError::Pattern { name: source.name.clone(), path: source.path.clone(), cause })
    })
}

/// Files that match a pattern. Directories do not; `dir/**` has the files of one.
fn glob(hasher: &Hasher, source: &Source, exclude: &[Utf8PathBuf]) -> Result<(SourceHash, Files), Trouble> {
    let (prefix, pattern) = split_glob(&source.path);
    let matcher = patterns(source, &[pattern.as_str()])?;
    let depth = (!pattern.as_str().contains("**")).then(|| pattern.components().count());
    let exclude = canonical(exclude);
    let exclude: Vec<&PathBuf> = exclude.iter().collect();
    let mut names = Vec::new();
    if prefix.is_dir() {
        check_system(source, prefix.as_std_path())?;
        for entry in listing::files(prefix.as_std_path(), &exclude, &|_| false, depth) {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(prefix.as_std_path()).to_owned();
                refused_or_gone(source, &path, error.into())
            })?;
            match entry.path().strip_prefix(&prefix) {
                Ok(name) if matcher.match_path(name) => names.push(name.to_owned()),
                _ => {}
            }
        }
    }
    if names.is_empty() {
        return Ok((SourceHash::of_nothing("no match"), Files::new()));
    }
    names.sort();
    combine("glob", hasher, source, prefix.as_std_path(), names)
}

/// The directory in which a pattern has its first wildcard, and the pattern from there. A component that exists as it is
/// written is no wildcard: directories may be called `[old]`.
pub(super) fn split_glob(path: &Utf8Path) -> (Utf8PathBuf, Utf8PathBuf) {
    let mut prefix = Utf8PathBuf::new();
    let mut components = path.components();
    loop {
        let rest = components.as_path();
        let Some(component) = components.next() else { return (prefix, Utf8PathBuf::new()) };
        let wild = component.as_str().contains(['*', '?', '[', '{']);
        let last = components.as_path().as_str().is_empty();
        if last || wild && !prefix.join(component).exists() {
            return (prefix, rest.to_owned());
        }
        prefix.push(component);
    }
}

/// One file of a tree: what it is, and its hash.
type Leaf = Option<(u8, blake3::Hash)>;

fn combine(
    what: &str,
    hasher: &Hasher,
    source: &Source,
    root: &Path,
    names: Vec<PathBuf>,
) -> Result<(SourceHash, Files), Trouble> {
    let read = |cause: io::Error| {
        let path = source.path.to_string();
        Trouble::Final(SourceError::Read { name: source.name.clone(), path, cause })
    };
    start::workers().map_err(|error| read(error.into()))?;
    let leaves: Vec<io::Result<Leaf>> = names.par_iter().map(|name| leaf(hasher, &root.join(name))).collect();
    let mut all = start(what);
    let mut files = Files::new();
    for (name, leaf) in names.into_iter().zip(leaves) {
        let leaf = leaf.map_err(|cause| refused_or_gone(source, &root.join(&name), cause))?;
        let Some((kind, hash)) = leaf else { continue };
        let bytes = name.as_os_str().as_bytes();
        all.update(&[kind]).update(&(bytes.len() as u64).to_le_bytes()).update(bytes).update(hash.as_bytes());
        files.push((name, (kind, hash)));
    }
    Ok((SourceHash { hash: finish(&all), files: files.len() as u64 }, files))
}

/// None for a file that git tracks but is deleted, and for what is neither file nor link.
fn leaf(hasher: &Hasher, path: &Path) -> io::Result<Leaf> {
    let metadata = match path.symlink_metadata() {
        Ok(metadata) => metadata,
        Err(error) if is_missing(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        let target = fs::read_link(path)?;
        let mut hash = blake3::Hasher::new();
        hash.update(target.as_os_str().as_bytes());
        // Who reads the link reads the file, which may lie elsewhere, or be ignored.
        if let Ok(metadata) = fs::metadata(path)
            && metadata.is_file()
        {
            hash.update(b"\0").update(hasher.file_with(path, &metadata)?.as_bytes());
        }
        return Ok(Some((b'l', hash.finalize())));
    }
    if !metadata.is_file() {
        return Ok(None);
    }
    let kind = if is_executable(&metadata) { b'x' } else { b'f' };
    Ok(Some((kind, hasher.file_with(path, &metadata)?)))
}

impl SourceHash {
    fn of_nothing(what: &str) -> SourceHash {
        SourceHash { hash: finish(&start(what)), files: 0 }
    }
}

/// Whether two paths name the same place or one contains the other, without looking at the disk.
pub(super) fn overlap(a: &Utf8Path, b: &Utf8Path) -> bool {
    a.starts_with(b) || b.starts_with(a)
}

fn canonical(paths: &[Utf8PathBuf]) -> Vec<PathBuf> {
    paths.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone().into_std_path_buf())).collect()
}

fn start(what: &str) -> blake3::Hasher {
    let mut hasher = blake3::Hasher::new();
    hasher.update(what.as_bytes()).update(b"\0");
    hasher
}

fn finish(hasher: &blake3::Hasher) -> String {
    hasher.finalize().to_hex().to_string()
}

fn is_executable(metadata: &fs::Metadata) -> bool {
    metadata.mode() & 0o100 != 0
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
