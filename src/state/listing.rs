//! Which files a source tree has: those that git tracks or does not ignore, else all of them.
//!
//! Only names; what is in the files is `sources.rs`'s business. Names are relative to the tree, sorted, and may be any bytes.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use walkdir::WalkDir;

use super::layout::{self, MARKER};

/// Why a tree could not be listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("`git ls-files` in `{}` failed: {message}", directory.display())]
    Git { directory: PathBuf, message: String },
}

/// Says of a file or directory, relative to the tree, that it is no part of it; a directory with all that is in it.
pub type Without<'a> = &'a dyn Fn(&Path) -> bool;

/// The files and links below `root`, relative to it. State directories, `.git`, what lies below `exclude` (absolute paths) and
/// what `without` says are left out, as are directories themselves, sockets and the like.
///
/// A file that git tracks may be in the list although it was deleted.
pub fn tree(root: &Path, exclude: &[PathBuf], without: Without<'_>) -> Result<Vec<PathBuf>, ListError> {
    // A tree that lies within an excluded directory was asked for nevertheless.
    let exclude = exclude.iter().filter(|path| !root.starts_with(path)).collect();
    let mut tree = Tree { root, exclude, without, names: Vec::new() };
    // Whether a directory above has a `.git` saves starting git where it has nothing to say.
    tree.add(Path::new(""), root.ancestors().any(|directory| directory.join(".git").exists()))?;
    let mut names = tree.names;
    // By bytes: paths themselves compare component by component, which takes long.
    names.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    // A file with conflicts is listed once per side.
    names.dedup();
    Ok(names)
}

struct Tree<'a> {
    root: &'a Path,
    exclude: Vec<&'a PathBuf>,
    without: Without<'a>,
    names: Vec<PathBuf>,
}

impl Tree<'_> {
    /// Adds the files of the directory `below` in the tree.
    fn add(&mut self, below: &Path, git: bool) -> Result<(), ListError> {
        let directory = self.root.join(below);
        let listed = if git { git_files(&directory)? } else { None };
        // Nothing at all: git ignores the directory as a whole.
        let Some(listed) = listed.filter(|listed| !listed.is_empty()) else {
            return self.walk(&directory);
        };
        let mut hidden = state_directories(&directory, &listed);
        hidden.extend(self.exclude.iter().filter_map(|path| path.strip_prefix(&directory).ok()).map(Path::to_owned));
        for Listed { name, repository } in listed {
            if hidden.iter().any(|hidden| name.starts_with(hidden)) {
                continue;
            }
            if repository {
                // Without a `.git` it is a submodule that was not checked out, or whose files were put there by other means.
                let git = directory.join(&name).join(".git").exists();
                self.add(&below.join(name.components().as_path()), git)?;
            } else {
                let name = below.join(name);
                let mut outer = name.ancestors().take_while(|outer| !outer.as_os_str().is_empty());
                if !outer.any(self.without) {
                    self.names.push(name);
                }
            }
        }
        Ok(())
    }

    /// All files.
    fn walk(&mut self, directory: &Path) -> Result<(), ListError> {
        let is_out = |path: &Path| path.strip_prefix(self.root).is_ok_and(self.without);
        for entry in files(directory, &self.exclude, &is_out, None) {
            let entry = entry.map_err(io::Error::from)?;
            self.names.extend(entry.path().strip_prefix(self.root).map(Path::to_owned));
        }
        Ok(())
    }
}

/// A line of git's.
struct Listed {
    name: PathBuf,
    /// A submodule, or a repository that git does not track.
    repository: bool,
}

impl Listed {
    /// Reads what `ls-files --stage` writes: mode, hash, stage, a tab and the name of what is tracked, else the name alone, which
    /// ends in a slash when it is that of a repository.
    fn parse(line: &[u8]) -> Listed {
        let (name, repository) = match line.iter().position(|byte| *byte == b'\t') {
            Some(tab) if is_tracked(&line[..tab]) => (&line[tab + 1..], line.starts_with(b"160000 ")),
            _ => (line, line.ends_with(b"/")),
        };
        Listed { name: PathBuf::from(OsStr::from_bytes(name)), repository }
    }
}

fn is_tracked(before_tab: &[u8]) -> bool {
    let mut words = before_tab.split(|byte| *byte == b' ');
    let is = |word: Option<&[u8]>, length: std::ops::RangeInclusive<usize>| {
        word.is_some_and(|word| length.contains(&word.len()) && word.iter().all(u8::is_ascii_hexdigit))
    };
    is(words.next(), 6..=6) && is(words.next(), 40..=64) && is(words.next(), 1..=1) && words.next().is_none()
}

/// git in a directory, with what it prints.
pub fn git(directory: &Path, args: &[&str]) -> Command {
    // A checkout that belongs to somebody else is fine to look at, and no monitor is to be started for it.
    let options = ["-c", "safe.directory=*", "-c", "core.fsmonitor=false"];
    let mut git = Command::new("git");
    git.args(options.iter().chain(args)).current_dir(directory).stdin(Stdio::null());
    // Set when optbuild is called from a hook; they would be about another repository.
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX"] {
        git.env_remove(name);
    }
    git
}

/// What git says; none when there is no git, or it does not know of a repository here.
fn git_files(directory: &Path) -> Result<Option<Vec<Listed>>, ListError> {
    let args = ["ls-files", "-z", "--stage", "--others", "--exclude-standard"];
    let result = git(directory, &args).env("LC_ALL", "C").output();
    let output = match result {
        Ok(output) => output,
        Err(error) if error.kind() == io::ErrorKind::NotFound && directory.is_dir() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_string();
        // Killed, it says nothing.
        let message = if said.is_empty() { output.status.to_string() } else { said };
        // Also of a `.git` file that points nowhere, as in a submodule that was copied elsewhere.
        if message.contains("not a git repository") || message.contains("must be run in a work tree") {
            return Ok(None);
        }
        return Err(ListError::Git { directory: directory.into(), message });
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    Ok(Some(names.map(Listed::parse).collect()))
}

/// State directories whose files git listed because somebody removed their `.gitignore`.
fn state_directories(directory: &Path, listed: &[Listed]) -> Vec<PathBuf> {
    listed
        .iter()
        .map(|listed| listed.name.as_path())
        .filter(|name| name.file_name() == Some(OsStr::new(MARKER)))
        .filter_map(|name| name.parent())
        .filter(|parent| !parent.as_os_str().is_empty() && layout::is_state_dir(&directory.join(parent)))
        .map(Path::to_owned)
        .collect()
}

/// A state directory, or one that cargo builds in (<https://bford.info/cachedir/>): programs made what is in it, and nobody reads it
/// as sources.
fn is_made(directory: &Path) -> bool {
    layout::is_state_dir(directory) || directory.join("CACHEDIR.TAG").exists()
}

/// Walks over the files and links of a directory, at most `depth` directories deep, without what is never a source, and without
/// paths that `is_out` says.
pub fn files<'a>(
    directory: &Path,
    exclude: &'a [&'a PathBuf],
    is_out: &'a dyn Fn(&Path) -> bool,
    depth: Option<usize>,
) -> impl Iterator<Item = walkdir::Result<walkdir::DirEntry>> + use<'a> {
    WalkDir::new(directory)
        .max_depth(depth.unwrap_or(usize::MAX))
        .into_iter()
        .filter_entry(move |entry| {
            entry.depth() == 0
                || !(entry.file_name() == ".git"
                    || exclude.iter().any(|excluded| entry.path() == excluded.as_path())
                    || is_out(entry.path())
                    || entry.file_type().is_dir() && is_made(entry.path()))
        })
        .filter(|entry| {
            !entry.as_ref().is_ok_and(|entry| !entry.file_type().is_file() && !entry.file_type().is_symlink())
        })
}
