//! Where a file comes from that has another name in a directory which is made anew: found by that name, and noted, because whoever makes
//! the directory anew begins by deleting it, and may be killed then. Unaware of what is put there.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use walkdir::WalkDir;

use super::{PutInPlace, hash, names_below, one};
use crate::fs::disk;

/// Begins the name of a note, in the directory in which names are looked for.
const NOTE: &str = "origin-of-";

/// The name outside of `args.origin_outside` of the file that `args.target` names, and all names that it has.
///
/// # Errors
/// There is none, or more than one file that is meant; and nothing that is still there was noted before.
pub(super) fn find(args: &PutInPlace) -> Result<(Utf8PathBuf, Vec<Utf8PathBuf>)> {
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
