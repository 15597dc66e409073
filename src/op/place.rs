//! `put-in-place` and `restore`: a file takes the place of another one, under all its names, as if it had been built there. The original
//! comes back before the build goes on.
//!
//! | what a kill can interrupt | why it can be done again |
//! |---|---|
//! | replacing the names of a file | the name that was asked for is replaced last; the others are found by it |
//! | restoring the names | the place is restored last, and the note of what was put there goes after that |
//! | a build tool that makes a directory anew: it deletes it first | the file has another name outside, which is noted |
//!
//! Unaware of what is put there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use crate::event::Fact;
use crate::fs::{disk, pattern, tree};
use crate::plan::ops::given::{PutInPlace, Restore};

impl PutInPlace {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (target, mut names) = if self.origin_outside.is_empty() {
            let missing = || format!("there is no {} to replace", self.target);
            let target = one(&self.target)?.with_context(missing)?;
            (target.canonicalize_utf8().with_context(missing)?, Vec::new())
        } else {
            origin(self)?
        };
        let Some(dir) = target.parent().filter(|_| target.is_file()) else { bail!("{target} is not a file") };
        let file_name = target.file_name().unwrap_or_default();
        // Of a name by which the next call finds what a kill leaves.
        let prefix = format!(".put-{file_name}-");
        sweep(dir, &prefix)?;
        // As the names below it will be found. The original must be none of them.
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
const ORIGINALS: &str = "optbuild-originals";
/// Ends the name of the original, and of the note of what stands in its place.
const ORIGINAL: &str = ".orig";
const PLACED: &str = ".placed";

/// The note of what stands in the place of an original.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Placed {
    /// The place.
    pub target: Utf8PathBuf,
    /// Of the content that was put there.
    pub hash: String,
}

impl Placed {
    /// None if nothing was put there. Half a note is none: it is written before anything is replaced.
    fn read(note: &Utf8Path) -> Result<Option<Placed>> {
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
fn names_below(dir: &Utf8Path, device: u64, inode: u64) -> Result<Vec<Utf8PathBuf>> {
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

fn hash(path: &Utf8Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    hasher.update_reader(file).with_context(|| format!("cannot read {path}"))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Begins the name of a note, in the directory in which names are looked for.
const NOTE: &str = "origin-of-";

/// The name outside of `args.origin_outside` of the file that `args.target` names, and all names that it has.
///
/// # Errors
/// There is none, or more than one file that is meant; and nothing that is still there was noted before.
fn origin(args: &PutInPlace) -> Result<(Utf8PathBuf, Vec<Utf8PathBuf>)> {
    let Some(seen) = one(&args.target)? else {
        return match noted(args)? {
            Some(origin) if origin.is_file() => Ok((origin, Vec::new())),
            Some(gone) => {
                bail!("there is no {} to replace, nor {gone}, which it was made from{}", args.target, remedy(args))
            }
            None => {
                bail!("there is no {} to replace, and no note of what it was made from{}", args.target, remedy(args))
            }
        };
    };
    let seen = seen.canonicalize_utf8().with_context(|| format!("cannot find {seen}"))?;
    let outside = args.origin_outside.iter().filter_map(|dir| dir.canonicalize_utf8().ok()).collect::<Vec<_>>();
    let meta = fs::metadata(&seen).with_context(|| format!("cannot look at {seen}"))?;
    let names = names_below(&args.links_below, meta.dev(), meta.ino())?;
    if let Some(origin) = other_name(&args.links_below, &seen, &outside, &names)? {
        note(args, &origin)?;
        return Ok((origin, names));
    }
    // A copy that was not finished, or one of what stood at the origin before that was restored.
    match noted(args)? {
        Some(origin) if origin.is_file() && origin.file_name() == seen.file_name() => Ok((origin, names)),
        _ => bail!(
            "{seen} has no other name outside of {}, so what is made from there next would be the original again{}",
            outside.iter().map(|dir| dir.as_str()).collect::<Vec<_>>().join(", "),
            remedy(args)
        ),
    }
}

fn remedy(args: &PutInPlace) -> String {
    match &args.built_by {
        Some(stage) => format!("\n  Run the stage again that builds it: `optbuild run … --from {stage}`"),
        None => "\n  Run the stage again that builds it (`--from`)".into(),
    }
}

/// A link to the same file, or where links are refused a file with the same content.
fn other_name(
    below: &Utf8Path,
    seen: &Utf8Path,
    outside: &[Utf8PathBuf],
    names: &[Utf8PathBuf],
) -> Result<Option<Utf8PathBuf>> {
    let is_origin =
        |path: &Utf8Path| !outside.iter().any(|dir| path.starts_with(dir)) && path.file_name() == seen.file_name();
    if let Some(name) = names.iter().filter(|name| is_origin(name)).min() {
        return Ok(Some(name.clone()));
    }
    let content = hash(seen)?;
    let dir = below.canonicalize_utf8().with_context(|| format!("there is no directory {below}"))?;
    for entry in WalkDir::new(&dir).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read the directory {dir}"))?;
        let path = Utf8Path::from_path(entry.path()).filter(|path| is_origin(path) && path.is_file());
        if let Some(path) = path
            && hash(path)? == content
        {
            return Ok(Some(path.to_owned()));
        }
    }
    Ok(None)
}

/// Where the note is: not in the directory that is deleted, nor beside the origin, which is not known without it.
fn note_of(args: &PutInPlace) -> Option<Utf8PathBuf> {
    let name = args.target.file_name()?.replace('*', "any");
    Some(args.links_below.join(format!("{NOTE}{name}")))
}

fn note(args: &PutInPlace, origin: &Utf8Path) -> Result<()> {
    let Some(note) = note_of(args) else { return Ok(()) };
    Ok(disk::write_durably(&note, origin.as_str().as_bytes())?)
}

fn noted(args: &PutInPlace) -> Result<Option<Utf8PathBuf>> {
    let Some(note) = note_of(args) else { return Ok(None) };
    match fs::read_to_string(&note) {
        Ok(text) => Ok(Some(text.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {note}")),
    }
}

impl Restore {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let originals = self.below.join(ORIGINALS);
        let mut restored = 0;
        for name in disk::names_in(&originals)? {
            let Some(name) = name.strip_suffix(PLACED) else { continue };
            let note = originals.join(format!("{name}{PLACED}"));
            restored += match Placed::read(&note)? {
                Some(placed) => self.put_back(&placed, &originals.join(format!("{name}{ORIGINAL}")))?,
                None => 0,
            };
            tree::remove(&note)?;
        }
        Ok(if restored > 0 { vec![Fact::count("restored-names", restored, "files")] } else { Vec::new() })
    }

    /// Gives the original all names that stand for what was put in its place.
    fn put_back(&self, placed: &Placed, original: &Utf8Path) -> Result<usize> {
        if !original.exists() {
            return Ok(0);
        }
        let place = &placed.target;
        let mut names = match self.one_name(placed)? {
            Some(name) => {
                let meta = fs::metadata(&name).with_context(|| format!("cannot look at {name}"))?;
                names_below(&self.below, meta.dev(), meta.ino())?
            }
            None => Vec::new(),
        };
        // The place itself last: as long as it is there, the other names are found by it.
        names.retain(|name| name != place);
        let gone = !place.exists() && place.parent().is_some_and(Utf8Path::is_dir);
        if gone || place.is_file() && hash(place)? == placed.hash {
            names.push(place.clone());
        }
        for name in &names {
            let link = Utf8PathBuf::from(format!("{name}.restored"));
            tree::remove(&link)?;
            fs::hard_link(original, &link).with_context(|| format!("cannot link {link}"))?;
            fs::rename(&link, name).with_context(|| format!("cannot replace {name}"))?;
            // Renaming over another name of the same file does nothing.
            tree::remove(&link)?;
        }
        tree::remove(original)?;
        Ok(names.len())
    }

    /// A name of what was put in place: the place, or where the build tool has deleted that, another one.
    fn one_name(&self, placed: &Placed) -> Result<Option<Utf8PathBuf>> {
        if placed.target.is_file() && hash(&placed.target)? == placed.hash {
            return Ok(Some(placed.target.clone()));
        }
        for entry in WalkDir::new(&self.below) {
            let entry = entry.with_context(|| format!("cannot read the directory {}", self.below))?;
            let path = Utf8Path::from_path(entry.path()).filter(|path| path.file_name() == placed.target.file_name());
            if let Some(path) = path
                && path.is_file()
                && hash(path)? == placed.hash
            {
                return Ok(Some(path.to_owned()));
            }
        }
        Ok(None)
    }
}
