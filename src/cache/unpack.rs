//! Puts the files of a stage's outputs into a fresh directory, out of objects that anybody may have written.
//!
//! | first, before a byte is written | |
//! |---|---|
//! | paths | relative, without `.`, `..`, empty parts and NUL; sorted, each once; what a path lies in is a directory of the same manifest |
//! | links | lead to somewhere in the artifact; an absolute one only where the artifact is good at one place only |
//! | modes | none but those of `rwx` |
//! | sizes | of all files together no more than is allowed, and each file is in an object |
//!
//! Then directories, then files, then links, so that nothing is written through a link. Each is opened below the directory by the
//! system's own check, and created anew. Each file is hashed while it is written. Unaware of who has signed what, and of where the
//! directory is put.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write as _};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::entry::Entry;
use super::objects::{self, Damaged, Gone, Moved, Objects, Place};
use super::{Store, StoreError};
use crate::fs::disk::{At as _, DiskError};
use crate::proc::start;
use crate::state::hash::Hasher;
use crate::state::manifest::{Content, Manifest};

/// Something that no honest program has written, or more than is allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is refused: {0}")]
pub struct Refused(pub String);

/// Lengths that Linux allows.
const LONGEST_NAME: usize = 255;
const LONGEST_PATH: usize = 4095;

/// Files and directories of one stage, no more.
const MOST_ENTRIES: usize = 4_000_000;

/// What is to be made of the outputs of a stage: paths below the directory of all of them.
#[derive(Debug, Default)]
struct Tree {
    entries: BTreeMap<String, Content>,
    /// Outputs that lie in others by way of a link: what is reached there must be this.
    reached: Vec<(Utf8PathBuf, String)>,
}

/// Writes the outputs of an entry to a directory, which is empty. `most` bounds their bytes. Returns their manifests.
///
/// # Errors
/// [`Refused`], [`Gone`], [`Damaged`], a [`StoreError`], or the disk refuses.
pub fn unpack(
    store: &dyn Store,
    entry: &Entry,
    most: u64,
    directory: &Utf8Path,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<(BTreeMap<String, Manifest>, Moved)> {
    let mut manifests = BTreeMap::new();
    for (name, output) in &entry.outputs {
        let manifest = objects::manifest(store, &output.manifest)?;
        check(&manifest, !output.portable)?;
        manifests.insert(name.clone(), manifest);
    }
    let tree = merged(entry, &manifests)?;
    let objects = objects::list(store, &entry.objects)?;
    let files = tree.files(&objects, most)?;
    let below = Below { top: open_top(directory)?, path: directory, stop };
    let moved = write(store, &tree, &objects, &files, &below)?;
    for (path, output) in &tree.reached {
        let manifest = manifests.get(output).context("an output has no manifest")?;
        let hasher = Hasher::without_cache();
        if let Some(difference) = manifest.difference(None, &directory.join(path), &hasher)? {
            bail!(Refused(format!("its output `{output}` is not what it says: {difference}")));
        }
    }
    Ok((manifests, moved))
}

/// Whether a manifest is one that can be put in place. `fixed`: what it is of is good at one place only, so paths of it are meant.
///
/// # Errors
/// Why not.
pub fn check(manifest: &Manifest, fixed: bool) -> Result<(), Refused> {
    let refused = |what: String| Err(Refused(what));
    let Some(first) = manifest.entries.first().filter(|first| first.path.as_str().is_empty()) else {
        return refused("the manifest does not begin with the artifact itself".into());
    };
    if manifest.entries.len() > MOST_ENTRIES {
        return refused("the manifest has more files than a stage makes".into());
    }
    match &first.content {
        Content::Directory { .. } => {}
        Content::File { .. } if manifest.entries.len() == 1 => {}
        _ => return refused("the artifact is neither a file nor a directory".into()),
    }
    let mut directories: BTreeSet<&str> = BTreeSet::new();
    let mut before: Option<&str> = None;
    for entry in &manifest.entries {
        let path = entry.path.as_str();
        if before.is_some_and(|before| before >= path) {
            return refused(format!("{path:?} is not in its order, or there twice"));
        }
        if before.is_some() {
            check_path(path)?;
            let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if !directories.contains(parent) {
                return refused(format!("{path:?} does not lie in a directory of the artifact"));
            }
        }
        before = Some(path);
        match &entry.content {
            Content::Directory { mode } | Content::File { mode, .. } if mode & !0o777 != 0 => {
                return refused(format!("{path:?} has the mode {mode:o}"));
            }
            Content::Directory { .. } => _ = directories.insert(path),
            Content::File { .. } => {}
            Content::Link { target } => check_link(path, target, fixed)?,
        }
    }
    Ok(())
}

/// A path that stays where it begins.
///
/// # Errors
/// It does not.
pub fn check_path(path: &str) -> Result<(), Refused> {
    let part = |part: &str| {
        !part.is_empty() && part != "." && part != ".." && !part.contains('\0') && part.len() <= LONGEST_NAME
    };
    if path.len() <= LONGEST_PATH && path.split('/').all(part) {
        return Ok(());
    }
    Err(Refused(format!("{path:?} is no path in an artifact")))
}

/// Leading `..` lead through directories that are real. Behind anything else, a `..` could lead out by way of another link.
fn check_link(path: &str, target: &str, fixed: bool) -> Result<(), Refused> {
    let refused = || Err(Refused(format!("the link {path:?} leads to {target:?}, out of the artifact")));
    if target.is_empty() || target.len() > LONGEST_PATH || target.contains('\0') {
        return refused();
    }
    if target.starts_with('/') {
        return if fixed { Ok(()) } else { refused() };
    }
    let up = target.split('/').take_while(|part| *part == "..").count();
    let depth = path.matches('/').count();
    let later = target.split('/').skip(up).any(|part| part == "..");
    if up > depth || later { refused() } else { Ok(()) }
}

/// All outputs as one tree: those that lie in others are there once.
fn merged(entry: &Entry, manifests: &BTreeMap<String, Manifest>) -> Result<Tree, Refused> {
    let mut outputs: Vec<(&str, &str, &Manifest)> = Vec::new();
    for (name, output) in &entry.outputs {
        let path = output.path.as_str();
        if !path.is_empty() {
            check_path(path)?;
        }
        outputs.extend(manifests.get(name).map(|manifest| (path, name.as_str(), manifest)));
    }
    outputs.sort_by_key(|(path, ..)| (path.len(), *path));
    let mut tree = Tree::default();
    for (top, name, manifest) in outputs {
        let whole = |path: &Utf8Path| match (top, path.as_str()) {
            ("", path) => path.to_owned(),
            (top, "") => top.to_owned(),
            (top, path) => format!("{top}/{path}"),
        };
        if tree.covers(top) {
            let same =
                manifest.entries.iter().all(|entry| tree.entries.get(&whole(&entry.path)) == Some(&entry.content));
            if !same {
                tree.reached.push((top.into(), name.into()));
            }
            continue;
        }
        if top.is_empty() && !matches!(manifest.entries.first().map(|e| &e.content), Some(Content::Directory { .. })) {
            return Err(Refused("the directory of all outputs is a file".into()));
        }
        let above = Utf8Path::new(top).ancestors().skip(1).filter(|above| !above.as_str().is_empty());
        for directory in above {
            tree.entries.entry(directory.as_str().into()).or_insert(Content::Directory { mode: 0o755 });
        }
        tree.entries.extend(manifest.entries.iter().map(|entry| (whole(&entry.path), entry.content.clone())));
    }
    Ok(tree)
}

/// Paths with their modes, by the content that they have.
type Files<'a> = BTreeMap<[u8; 32], Vec<(&'a str, u32)>>;

impl Tree {
    /// Whether an output at this path is a part of one that is there.
    fn covers(&self, path: &str) -> bool {
        let above = Utf8Path::new(path).ancestors().map(Utf8Path::as_str);
        // Directories that only lead to an output do not count: no output that is there has them.
        above.clone().any(|above| self.entries.contains_key(above)) && self.entries.contains_key("")
            || above
                .clone()
                .any(|above| matches!(self.entries.get(above), Some(Content::File { .. } | Content::Link { .. })))
            || self.entries.contains_key(path)
    }

    /// Its files by content, each of which must be in an object.
    fn files(&self, objects: &Objects, most: u64) -> Result<Files<'_>, Refused> {
        let known: BTreeMap<[u8; 32], u64> = objects.files.iter().map(|place| (place.hash, place.size)).collect();
        let mut files = Files::new();
        let mut bytes = 0_u64;
        for (path, content) in &self.entries {
            let Content::File { mode, size, hash } = content else { continue };
            if known.get(hash) != Some(size) {
                return Err(Refused(format!("{path:?} is in no object")));
            }
            bytes = bytes.saturating_add(*size);
            files.entry(*hash).or_default().push((path, *mode));
        }
        let inside = objects.objects.iter().fold(0_u64, |sum, object| sum.saturating_add(object.size));
        if bytes.max(inside) > most {
            return Err(Refused(format!(
                "it has {} bytes, and `max-bytes-per-stage` allows {most}",
                bytes.max(inside)
            )));
        }
        Ok(files)
    }
}

fn write(store: &dyn Store, tree: &Tree, objects: &Objects, files: &Files<'_>, below: &Below<'_>) -> Result<Moved> {
    let directory = below.path;
    let directories: Vec<(&str, u32)> = tree
        .entries
        .iter()
        .filter_map(|(path, content)| match content {
            Content::Directory { mode } => Some((path.as_str(), *mode)),
            _ => None,
        })
        .collect();
    for (path, _) in directories.iter().filter(|(path, _)| !path.is_empty()) {
        below.make_directory(path)?;
    }
    start::workers().at("write", directory)?;
    let bytes = AtomicU64::new(0);
    let places = |index: usize| objects.files.iter().filter(move |place| place.object as usize == index);
    let written: Result<Vec<()>> = (0..objects.objects.len())
        .into_par_iter()
        .map(|index| {
            let object = &objects.objects[index];
            let places: Vec<&Place> = places(index).collect();
            if places.iter().any(|place| files.contains_key(&place.hash)) {
                below.object(store, &object.name(), &places, files, &bytes)
            } else {
                Ok(())
            }
        })
        .collect();
    written?;
    for (path, content) in &tree.entries {
        if let Content::Link { target } = content {
            below.make_link(path, target)?;
        }
    }
    // The deepest first: one may be without the right to enter it.
    for (path, mode) in directories.iter().rev() {
        let opened =
            if path.is_empty() { rustix::io::dup(&below.top) } else { below.open(path, DIRECTORY, Mode::empty()) };
        let opened = opened.at("open", directory.join(path))?;
        rustix::fs::fchmod(&opened, Mode::from_raw_mode(*mode)).at("set the mode of", directory.join(path))?;
    }
    let size = |content: &Content| if let Content::File { size, .. } = content { *size } else { 0 };
    let content = tree.entries.values().map(size).sum();
    Ok(Moved { objects: objects.objects.len(), bytes: bytes.into_inner(), content })
}

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::RDONLY).union(OFlags::CLOEXEC);

fn open_top(directory: &Utf8Path) -> Result<OwnedFd, DiskError> {
    rustix::fs::open(directory.as_std_path(), DIRECTORY, Mode::empty()).at("open", directory)
}

/// A directory below which everything is opened that is written.
struct Below<'a> {
    top: OwnedFd,
    /// For messages.
    path: &'a Utf8Path,
    /// Whether to give up.
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl Below<'_> {
    /// Opens a path that neither leaves the directory nor leads through a link.
    fn open(&self, path: &str, flags: OFlags, mode: Mode) -> rustix::io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(&self.top, path, flags, mode, resolve) {
            // A kernel, or a sandbox, without that call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return other,
        }
        let mut opened = rustix::io::dup(&self.top)?;
        let (parents, name) = path.rsplit_once('/').unwrap_or(("", path));
        for part in parents.split('/').filter(|part| !part.is_empty()) {
            opened = rustix::fs::openat(&opened, part, DIRECTORY | OFlags::NOFOLLOW, Mode::empty())?;
        }
        rustix::fs::openat(&opened, name, flags, mode)
    }

    /// The directory in which a path lies, and the path's name in it.
    fn parent<'p>(&self, path: &'p str) -> Result<(OwnedFd, &'p str), DiskError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let opened =
            if parent.is_empty() { rustix::io::dup(&self.top) } else { self.open(parent, DIRECTORY, Mode::empty()) };
        Ok((opened.at("open", self.path.join(parent))?, name))
    }

    fn make_directory(&self, path: &str) -> Result<(), DiskError> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::mkdirat(&parent, name, Mode::RWXU).at("make the directory", self.path.join(path))
    }

    fn make_link(&self, path: &str, target: &str) -> Result<(), DiskError> {
        let (parent, name) = self.parent(path)?;
        rustix::fs::symlinkat(target, &parent, name).at("make the link", self.path.join(path))
    }

    fn create(&self, path: &str) -> Result<File, DiskError> {
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY;
        Ok(self.open(path, flags, Mode::RUSR | Mode::WUSR).at("write", self.path.join(path))?.into())
    }

    /// Reads an object from its beginning to its end, and writes the files that are in it.
    fn object(
        &self,
        store: &dyn Store,
        name: &str,
        places: &[&Place],
        files: &Files<'_>,
        bytes: &AtomicU64,
    ) -> Result<()> {
        let damaged = |_| Damaged(name.to_owned());
        let Some(body) = store.get(name, None)? else { bail!(Gone(name.into())) };
        let mut content = zstd::stream::read::Decoder::new(Counted { body, bytes }).map_err(damaged)?;
        for place in places {
            let paths = files.get(&place.hash).map(Vec::as_slice).unwrap_or_default();
            self.file(&mut content, name, place, paths)?;
        }
        match content.read(&mut [0]) {
            Ok(0) => Ok(()),
            _ => bail!(Damaged(name.into())),
        }
    }

    /// Writes a file while it is hashed, and copies it to the other places that have the same content.
    fn file(&self, content: &mut dyn Read, object: &str, place: &Place, paths: &[(&str, u32)]) -> Result<()> {
        let first = paths.first().map(|(path, _)| self.create(path).map(|file| (*path, file))).transpose()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; 128 << 10];
        let mut left = place.size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let read = match content.read(&mut buffer[..most]) {
                Ok(0) | Err(_) => bail!(Damaged(object.into())),
                Ok(read) => read,
            };
            if (self.stop)() {
                bail!("it was told to stop");
            }
            hasher.update(&buffer[..read]);
            if let Some((path, mut file)) = first.as_ref().map(|(path, file)| (path, file)) {
                file.write_all(&buffer[..read]).at("write", self.path.join(path))?;
            }
            left -= read as u64;
        }
        if *hasher.finalize().as_bytes() != place.hash {
            bail!(Damaged(object.into()));
        }
        let Some((from, file)) = first else { return Ok(()) };
        for (path, mode) in &paths[1..] {
            let mut copy = self.create(path)?;
            let original = self.open(from, OFlags::RDONLY, Mode::empty()).at("read", self.path.join(from))?;
            io::copy(&mut File::from(original), &mut copy).at("write", self.path.join(path))?;
            set_mode(&copy, *mode).at("set the mode of", self.path.join(path))?;
        }
        set_mode(&file, paths[0].1).at("set the mode of", self.path.join(from))?;
        Ok(())
    }
}

fn set_mode(file: &File, mode: u32) -> rustix::io::Result<()> {
    rustix::fs::fchmod(file, Mode::from_raw_mode(mode))
}

/// Counts what comes out of a store.
struct Counted<'a> {
    body: Box<dyn Read + Send>,
    bytes: &'a AtomicU64,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Whether an error is one of what lies in the cache, so that the stage has to run; all others are of the store, or of this machine.
pub fn is_of_the_entry(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<Refused>() || cause.is::<Gone>() || cause.is::<Damaged>())
}

/// Whether an error is one of the store.
pub fn is_of_the_store(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<StoreError>())
}
