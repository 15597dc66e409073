//! The pipelines that come with the program, and how a pipeline is found by its name.
//!
//! They are embedded, so that a name works anywhere; a pipeline has to be files before it can be loaded, because its stages
//! refer to files beside it. Unaware of what pipelines do.

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use include_dir::{Dir, DirEntry, include_dir};
use toml::de::DeTable;

use super::error::{list as quoted, nearest};
use super::merge;
use super::tree::{self, Node, Table};

static EMBEDDED: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/pipelines");

/// Where a pipeline's own file is, in a directory of a pipeline.
const FILE: &str = "pipeline.toml";

/// Digits of the content's hash in a path: 80 bits.
const HASH_DIGITS: usize = 20;

/// A pipeline that has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub name: String,
    /// `shipped`, or the path of its file relative to the working directory.
    pub origin: String,
    pub description: String,
    /// How many stages it has, with those of the pipelines that it extends.
    pub stages: usize,
}

/// Why there is no pipeline of a name.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    #[error("there is no pipeline `{name}`{hint}", hint = hint(.nearest, .known))]
    Unknown {
        name: String,
        nearest: Option<String>,
        /// All names there are.
        known: Vec<String>,
    },
    #[error("the shipped pipeline `{name}` cannot be unpacked into {into}: {source}")]
    Unpack { name: String, into: Utf8PathBuf, source: std::io::Error },
}

fn hint(nearest: &Option<String>, known: &[String]) -> String {
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let meant = nearest.as_ref().map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    format!("; {meant}there is {}; a file is given by its path, as `./build.toml`", quoted(&names))
}

/// The pipelines in `./pipelines` and the shipped ones, by name. One here hides a shipped one.
pub fn list(cwd: &Utf8Path) -> Vec<Listed> {
    let mut listed: Vec<Listed> = Vec::new();
    let local = cwd.join("pipelines").read_dir_utf8();
    for entry in local.into_iter().flatten().flatten() {
        let path = entry.path();
        let file = if path.is_dir() { path.join(FILE) } else { path.to_owned() };
        let name = path.file_name().map(|name| name.strip_suffix(".toml").unwrap_or(name));
        if let (Some(name), Some("toml"), Ok(text)) = (name, file.extension(), std::fs::read_to_string(&file)) {
            let origin = file.strip_prefix(cwd).unwrap_or(&file).to_string();
            let read = |path: &Utf8Path| std::fs::read_to_string(path).ok();
            listed.push(describe(name, origin, &text, &file, &read));
        }
    }
    for entry in EMBEDDED.entries() {
        if let Some((name, file)) = shipped(entry)
            && !listed.iter().any(|listed| listed.name == name)
        {
            let read = |path: &Utf8Path| EMBEDDED.get_file(inside(path)?)?.contents_utf8().map(String::from);
            let (text, path) = (
                file.contents_utf8().unwrap_or_default(),
                Utf8Path::from_path(file.path()).unwrap_or(Utf8Path::new(FILE)),
            );
            listed.push(describe(name, "shipped".into(), text, path, &read));
        }
    }
    listed.sort_by(|a, b| a.name.cmp(&b.name));
    listed
}

/// Whether it is a path rather than a name: it ends in `.toml`, has a slash, or is a file.
pub fn is_path(name_or_path: &str, cwd: &Utf8Path) -> bool {
    name_or_path.ends_with(".toml") || name_or_path.contains('/') || cwd.join(name_or_path).is_file()
}

/// The file of a pipeline: the path itself, or what the name stands for in `./pipelines`, or a shipped pipeline, which is
/// unpacked, read-only, into `unpack_into/HASH` (if it is not there yet).
///
/// # Errors
/// When no pipeline has the name, or it cannot be unpacked. That a path leads nowhere is for [`load`](super::load) to tell.
pub fn find(name_or_path: &str, cwd: &Utf8Path, unpack_into: &Utf8Path) -> Result<Utf8PathBuf, FindError> {
    if is_path(name_or_path, cwd) {
        let path = cwd.join(name_or_path);
        let inside = path.join(FILE);
        return Ok(if inside.is_file() { inside } else { path });
    }
    let here = cwd.join("pipelines");
    for local in [here.join(format!("{name_or_path}.toml")), here.join(name_or_path).join(FILE)] {
        if local.is_file() {
            return Ok(local);
        }
    }
    let found = EMBEDDED.entries().iter().filter_map(shipped).find(|(name, _)| *name == name_or_path);
    match found {
        Some((name, file)) => unpack(&EMBEDDED, name, file, unpack_into).map_err(|source| FindError::Unpack {
            name: name.into(),
            into: unpack_into.to_owned(),
            source,
        }),
        None => {
            let known: Vec<String> = list(cwd).into_iter().map(|listed| listed.name).collect();
            let nearest = nearest(name_or_path, known.iter().map(String::as_str));
            Err(FindError::Unknown { name: name_or_path.into(), nearest, known })
        }
    }
}

/// The experiment that belongs to a pipeline, in its directory.
const EXPERIMENT: &str = "experiment.toml";

/// The file of an experiment: the one beside the pipeline of a name where it has one, else as [`find`].
///
/// # Errors
/// As [`find`].
pub fn find_experiment(name_or_path: &str, cwd: &Utf8Path, unpack_into: &Utf8Path) -> Result<Utf8PathBuf, FindError> {
    let found = find(name_or_path, cwd, unpack_into)?;
    let named = !name_or_path.ends_with(".toml");
    let beside = found.with_file_name(EXPERIMENT);
    let own_directory = found.file_name() == Some(FILE);
    Ok(if named && own_directory && beside.is_file() { beside } else { found })
}

type File = include_dir::File<'static>;
type Root = &'static Dir<'static>;

/// A pipeline among what is embedded: its name, and its own file.
fn shipped(entry: &'static DirEntry<'static>) -> Option<(&'static str, &'static File)> {
    match entry {
        DirEntry::Dir(dir) => {
            Some((Utf8Path::from_path(dir.path())?.as_str(), EMBEDDED.get_file(dir.path().join(FILE))?))
        }
        DirEntry::File(file) => Some((Utf8Path::from_path(file.path())?.as_str().strip_suffix(".toml")?, file)),
    }
}

fn describe(name: &str, origin: String, text: &str, path: &Utf8Path, read: Read) -> Listed {
    let (own, tree) = (parsed(text), merged(text, path, read, DEEPEST));
    let description = own.get("description").and_then(Node::as_str).unwrap_or_default();
    let stages = tree.get("stage").and_then(Node::as_array).unwrap_or_default();
    let stages = stages.iter().filter(|stage| stage.as_table().is_some()).count();
    Listed { name: name.into(), origin, description: description.into(), stages }
}

/// Gives the text of a pipeline file.
type Read<'a> = &'a dyn Fn(&Utf8Path) -> Option<String>;

/// Longer chains of pipelines that extend each other are circles.
const DEEPEST: usize = 16;

/// What a file says, as far as it can be read.
fn parsed(text: &str) -> Table {
    tree::table(DeTable::parse_recoverable(text).0.into_inner(), 0)
}

/// A pipeline file laid on those that it extends, whatever is wrong with it.
fn merged(text: &str, path: &Utf8Path, read: Read, deepest: usize) -> Table {
    let (tree, mut base) = (parsed(text), Table::default());
    for extended in extended(&tree).into_iter().filter(|_| deepest > 0) {
        let path = path.parent().unwrap_or(Utf8Path::new("")).join(extended);
        let text = read(&path).or_else(|| {
            let (_, file) = EMBEDDED.entries().iter().filter_map(shipped).find(|(name, _)| *name == extended)?;
            file.contents_utf8().map(String::from)
        });
        if let Some(text) = text {
            base = merge::files(base, merged(&text, &path, read, deepest - 1), &mut Vec::new());
        }
    }
    merge::files(base, tree, &mut Vec::new())
}

/// The pipelines that a file names with `extends`.
fn extended(tree: &Table) -> Vec<&str> {
    let extends = tree.get("extends").or_else(|| tree.get("pipeline"));
    extends.map(Node::one_or_more).unwrap_or_default().iter().filter_map(Node::as_str).collect()
}

/// Puts a pipeline with all that belongs to it into a directory named by its content, in one rename.
pub fn unpack(root: Root, name: &str, file: &'static File, unpack_into: &Utf8Path) -> std::io::Result<Utf8PathBuf> {
    let mut files: Vec<(&Utf8Path, &[u8])> = Vec::new();
    let mut seen = BTreeSet::new();
    belongings(root, file, &mut seen, &mut files);
    files.sort_unstable();
    let mut hasher = blake3::Hasher::new();
    hasher.update(name.as_bytes());
    for (path, content) in &files {
        for part in [path.as_str().as_bytes(), content] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
    }
    let target = unpack_into.join(&hasher.finalize().to_hex()[..HASH_DIGITS]);
    let own = target.join(Utf8Path::from_path(file.path()).unwrap_or(Utf8Path::new(FILE)));
    if own.is_file() {
        return Ok(own);
    }
    std::fs::create_dir_all(unpack_into)?;
    let aside = tempfile::Builder::new().prefix(".unpacking-").tempdir_in(unpack_into)?;
    for (path, content) in &files {
        let path = aside.path().join(path);
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir)?;
        }
        std::fs::write(&path, content)?;
        std::fs::File::open(&path)?.sync_all()?;
    }
    set_modes(aside.path(), 0o555, 0o444)?;
    let renamed = std::fs::rename(aside.path(), &target);
    if renamed.is_err() {
        // What is left has to be writable to be deleted.
        set_modes(aside.path(), 0o755, 0o644)?;
        if !own.is_file() {
            return renamed.map(|()| own);
        }
        // Another run was faster; it is the same content.
    } else {
        let _ = aside.keep();
        std::fs::File::open(unpack_into)?.sync_all()?;
    }
    Ok(own)
}

/// Sets the modes of all directories and files in a directory.
pub fn set_modes(root: &Path, dirs: u32, files: u32) -> std::io::Result<()> {
    // To be looked into, directories must be open until their content is done: the deepest first.
    for entry in walkdir::WalkDir::new(root).contents_first(true) {
        let entry = entry?;
        let mode = if entry.file_type().is_dir() { dirs } else { files };
        std::fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// The files of a pipeline: its own, all in its directory if it has one, and those of the pipelines that it extends.
fn belongings(
    root: Root,
    file: &'static File,
    seen: &mut BTreeSet<&'static Path>,
    files: &mut Vec<(&'static Utf8Path, &'static [u8])>,
) {
    let Some(path) = Utf8Path::from_path(file.path()).filter(|_| seen.insert(file.path())) else { return };
    match path.components().next() {
        Some(first) if path.components().count() > 1 => {
            let dir = root.get_dir(first.as_str());
            let all = dir.into_iter().flat_map(all_files);
            let all = all.filter_map(|file| Some((Utf8Path::from_path(file.path())?, file.contents())));
            let known: BTreeSet<&Utf8Path> = files.iter().map(|(path, _)| *path).collect();
            files.extend(all.filter(|(path, _)| !known.contains(path)));
        }
        _ => files.push((path, file.contents())),
    }
    for name in extended(&parsed(file.contents_utf8().unwrap_or_default())) {
        let below = inside(&path.parent().unwrap_or(Utf8Path::new("")).join(name));
        if let Some(file) = below.and_then(|below| root.get_file(below)) {
            belongings(root, file, seen, files);
        }
    }
}

fn all_files(dir: &'static Dir<'static>) -> Vec<&'static File> {
    let below = dir.dirs().flat_map(all_files);
    dir.files().chain(below).collect()
}

/// The path without `.` and `..`, if it does not leave the root.
fn inside(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut out = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::Normal(name) => out.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir if out.pop() => {}
            _ => return None,
        }
    }
    Some(out)
}
