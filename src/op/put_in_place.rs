//! `op put-in-place`: a file takes the place of another one under all of that one's names, as if it had been built there.
//!
//! Safe to repeat, and to repeat after a kill at any point: the file asked for is replaced last. `op restore` puts the original back.

mod origin;

use std::fs;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::event::Fact;
use crate::fs::disk;
use crate::fs::pattern;
use crate::fs::tree;

/// Replaces a file by another one, keeping its modification time and mode.
#[derive(Debug, clap::Args)]
pub struct PutInPlace {
    /// The file that is put there. It is copied.
    #[arg(long)]
    pub file: Utf8PathBuf,
    /// The file whose place it takes: a path, whose last component can have a `*` that one file matches.
    #[arg(long)]
    pub target: Utf8PathBuf,
    /// Replaces all names below this directory that the target's inode has.
    #[arg(long)]
    pub links_below: Utf8PathBuf,
    /// A directory that is made anew out of files with more names: the target is the name of the same file outside of it. Can be
    /// repeated; those that are not there do not matter.
    #[arg(long)]
    pub origin_outside: Vec<Utf8PathBuf>,
    /// Keeps the original, as `NAME.orig` in the directory `optbuild-originals` of `links_below`: build tools empty their own
    /// directories.
    #[arg(long)]
    pub keep_original: bool,
    /// The stage that builds what is replaced, for the message that it is not there.
    #[arg(long)]
    pub built_by: Option<String>,
}

impl PutInPlace {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (target, mut names) = if self.origin_outside.is_empty() {
            let missing = || format!("there is no {} to replace", self.target);
            let target = one(&self.target)?.with_context(missing)?;
            (target.canonicalize_utf8().with_context(missing)?, Vec::new())
        } else {
            origin::find(self)?
        };
        let Some(dir) = target.parent().filter(|_| target.is_file()) else { bail!("{target} is not a file") };
        let file_name = target.file_name().unwrap_or_default();
        // Of a name by which the next call finds what a kill leaves.
        let prefix = format!(".put-{file_name}-");
        sweep(dir, &prefix)?;
        // As the names below it will be found, of which the original must not be one.
        let below = self.links_below.canonicalize_utf8();
        let below = below.with_context(|| format!("there is no directory {}", self.links_below))?;
        let originals = below.join(ORIGINALS);
        let original = originals.join(format!("{file_name}{ORIGINAL}"));
        let placed = originals.join(format!("{file_name}{PLACED}"));

        let wanted = hash(&self.file)?;
        let present = hash(&target)?;
        let before = Placed::read(&placed)?.unwrap_or_default();
        // What stands there is an original unless this operation has put it there.
        let is_original = present != wanted && present != before.hash;
        let meta = fs::metadata(&target).with_context(|| format!("cannot look at {target}"))?;
        fs::create_dir_all(&originals).with_context(|| format!("cannot make the directory {originals}"))?;
        if self.keep_original && is_original {
            tree::remove(&original)?;
            let kept = fs::hard_link(&target, &original);
            kept.with_context(|| format!("cannot keep the original as {original}"))?;
        }

        names.extend(names_below(&below, meta.dev(), meta.ino())?);
        // After a kill the other names may still be those of the original, or already those of the new file.
        if let Ok(kept) = fs::metadata(&original) {
            names.extend(names_below(&below, kept.dev(), kept.ino())?);
        }
        names.retain(|name| *name != target && *name != original);
        names.sort();
        names.dedup();

        let fresh = tempfile::Builder::new().prefix(&prefix).tempdir_in(dir);
        let fresh = fresh.with_context(|| format!("cannot write to the directory {dir}"))?;
        let aside = Utf8Path::from_path(fresh.path()).context("a path that is not UTF-8")?;
        let new = aside.join("new");
        tree::copy_file(&self.file, &new)?;
        tree::set_times(&new, &meta)?;
        fs::set_permissions(&new, meta.permissions()).with_context(|| format!("cannot set the mode of {new}"))?;
        fs::File::open(&new).and_then(|file| file.sync_all()).with_context(|| format!("cannot sync {new}"))?;
        Placed { target: target.clone(), hash: wanted }.write(&placed)?;

        for (index, name) in names.iter().enumerate() {
            let link = aside.join(format!("link-{index}"));
            fs::hard_link(&new, &link).with_context(|| format!("cannot link {link}"))?;
            fs::rename(&link, name).with_context(|| format!("cannot replace {name}"))?;
        }
        fs::rename(&new, &target).with_context(|| format!("cannot replace {target}"))?;
        Ok(vec![Fact::count("replaced-names", names.len() + 1, "files")])
    }
}

/// Where originals are kept, in the directory in which names are looked for.
pub(super) const ORIGINALS: &str = "optbuild-originals";
/// Ends the name of the original, and of the note of what stands in its place.
pub(super) const ORIGINAL: &str = ".orig";
pub(super) const PLACED: &str = ".placed";

/// The note of what stands in the place of an original.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Placed {
    /// The place.
    pub target: Utf8PathBuf,
    /// Of the content that was put there.
    pub hash: String,
}

impl Placed {
    /// None if nothing was put there. Half a note is none: it is written before anything is replaced.
    pub(super) fn read(note: &Utf8Path) -> Result<Option<Placed>> {
        let bytes = disk::read_if_there(note)?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
    }

    fn write(&self, note: &Utf8Path) -> Result<()> {
        let text = serde_json::to_vec(self).with_context(|| format!("cannot write {note}"))?;
        Ok(disk::write_durably(note, &text)?)
    }
}

/// The one file that a path with a `*` matches; none if there is none.
fn one(target: &Utf8Path) -> Result<Option<Utf8PathBuf>> {
    let matching = pattern::there(target).with_context(|| format!("cannot look for {target}"))?;
    match matching.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only.clone())),
        several => {
            let names: Vec<&str> = several.iter().filter_map(|path| path.file_name()).collect();
            bail!("there is more than one {target} to replace: {}", names.join(", "))
        }
    }
}

/// All names below a directory that a file has.
pub(super) fn names_below(dir: &Utf8Path, device: u64, inode: u64) -> Result<Vec<Utf8PathBuf>> {
    let mut names = Vec::new();
    let dir = dir.canonicalize_utf8().with_context(|| format!("there is no directory {dir}"))?;
    for entry in WalkDir::new(&dir) {
        let entry = entry.with_context(|| format!("cannot read the directory {dir}"))?;
        let meta = entry.metadata().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        if meta.is_file() && (meta.dev(), meta.ino()) == (device, inode) {
            let Ok(path) = Utf8PathBuf::from_path_buf(entry.into_path()) else {
                bail!("a name of the file below {dir} is not UTF-8");
            };
            names.push(path);
        }
    }
    Ok(names)
}

fn sweep(dir: &Utf8Path, prefix: &str) -> Result<()> {
    let entries = dir.read_dir_utf8().with_context(|| format!("cannot read the directory {dir}"))?;
    for entry in entries.flatten().filter(|entry| entry.file_name().starts_with(prefix)) {
        tree::remove(entry.path())?;
    }
    Ok(())
}

pub(super) fn hash(path: &Utf8Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    hasher.update_reader(file).with_context(|| format!("cannot read {path}"))?;
    Ok(hasher.finalize().to_hex().to_string())
}
