//! Copies of files and directories, out of a build directory or with something else in them, and whether two files are equal.
//!
//! cargo looks at every member of a workspace before it builds one. A member that needs the network, or a program that is not there, keeps
//! all others from being built, so a copy can be without it. Unaware of what the files are for.

use std::fs::{self, Metadata};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::{Context, Error, Result, bail};
use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use walkdir::WalkDir;

use crate::event::Fact;
use crate::fs::pattern::{self, Patterns};
use crate::fs::tree;
use crate::plan::ops::given::{Capture, CaptureBench, CopyWorkspace, LinkTools, Same, Shadow};

impl Capture {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let Some(from) = self.from.iter().find(|from| from.exists()) else {
            let names: Vec<&str> = self.from.iter().map(|from| from.as_str()).collect();
            let from = self.from.first().context("nothing to copy is named")?;
            bail!("there is no {}, which is declared as an output. {}", names.join(", nor "), beside(from));
        };
        let linked = Patterns::new(&self.link).map_err(Error::msg)?;
        let root = from.canonicalize_utf8().with_context(|| format!("cannot find {from}"))?;
        let below = |path: &Utf8Path| path.strip_prefix(&root).map(Utf8Path::to_owned).unwrap_or_default();
        let takes = |path: &Utf8Path| !self.without.contains(&below(path));
        tree::copy_anew(from, &self.to, takes, |from, to, _| {
            // Refused across file systems, and beyond a number of links.
            if linked.match_path(below(from).as_std_path()) && fs::hard_link(from, to).is_ok() {
                return Ok(());
            }
            tree::copy_file(from, to)
        })?;
        Ok(Vec::new())
    }
}

/// A line of what cargo writes with `--message-format=json`, as far as it is of use.
#[derive(Deserialize)]
struct Message {
    target: Option<Built>,
    executable: Option<Utf8PathBuf>,
}

#[derive(Deserialize)]
struct Built {
    kind: Vec<String>,
    name: String,
}

impl CaptureBench {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (file, name) = (&self.messages, &self.name);
        let text = fs::read_to_string(file).with_context(|| format!("cannot read {file}"))?;
        let built = text.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
        let mut benches = built.filter(|message| {
            message
                .target
                .as_ref()
                .is_some_and(|target| target.name == *name && target.kind.iter().any(|kind| kind == "bench"))
        });
        let Some(from) = benches.find_map(|message| message.executable) else {
            bail!("cargo has not said which file the bench `{name}` is; what it said stands in {file}");
        };
        tree::copy_anew(&from, &self.to, |_| true, |from, to, _| tree::copy_file(from, to))?;
        Ok(Vec::new())
    }
}

impl LinkTools {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        tree::remove(&self.dir)?;
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make the directory {}", self.dir))?;
        for pair in self.tool.chunks_exact(2) {
            let link = self.dir.join(&pair[0]);
            std::os::unix::fs::symlink(&pair[1], &link).with_context(|| format!("cannot make the link {link}"))?;
        }
        Ok(Vec::new())
    }
}

/// What is there instead, because a name is often only slightly wrong.
fn beside(path: &Utf8Path) -> String {
    let mut dir = path.parent();
    while let Some(parent) = dir.filter(|dir| !dir.is_dir()) {
        dir = parent.parent();
    }
    let Some(dir) = dir else { return String::new() };
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_string()).collect();
    names.sort();
    let more = if names.len() > 10 { ", …" } else { "" };
    names.truncate(10);
    match names.is_empty() {
        true => format!("{dir} is empty"),
        false => format!("In {dir} there are: {}{more}", names.join(", ")),
    }
}

impl Shadow {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (from, to) = (&self.from, &self.to);
        if !from.is_dir() {
            bail!("{from} is not a directory");
        }
        let replaced = self.replaced()?;
        let original = from.join(&replaced);
        let original = fs::metadata(&original).with_context(|| format!("there is no {original} to replace"))?;
        if !original.is_file() {
            bail!("{} is not a file, so it cannot be replaced", from.join(&replaced));
        }
        tree::remove(to)?;
        let mut first: Option<Utf8PathBuf> = None;
        tree::copy_tree(from, to, |source, target, meta| {
            // A file can have several names: rustc's libLLVM stands in two directories of a toolchain.
            if (meta.dev(), meta.ino()) == (original.dev(), original.ino()) {
                match &first {
                    Some(first) => link_or_copy(first, target)?,
                    None => {
                        tree::copy_file(&self.with, target)?;
                        let mode = fs::set_permissions(target, original.permissions());
                        mode.with_context(|| format!("cannot set the mode of {target}"))?;
                        first = Some(target.to_owned());
                    }
                }
                return Ok(());
            }
            if may_be_linked(source, meta) { link_or_copy(source, target) } else { tree::copy_file(source, target) }
        })?;
        if first.is_none() {
            bail!("{replaced} was not found while {from} was copied");
        }
        Ok(Vec::new())
    }

    /// Follows links inside of the directory to the file that they lead to.
    fn replaced(&self) -> Result<Utf8PathBuf> {
        let found = pattern::resolve(&self.from.join(&self.replace))
            .with_context(|| format!("cannot find what is to be replaced in {}", self.from))?;
        let replace = found.strip_prefix(&self.from).unwrap_or(&self.replace);
        let mut at = normalized(replace).with_context(|| format!("{} does not lie in {}", self.replace, self.from))?;
        // Longer chains than the kernel follows are circles.
        for _ in 0..40 {
            let path = self.from.join(&at);
            let Ok(link) = path.read_link_utf8() else { return Ok(at) };
            let next = at.parent().unwrap_or(Utf8Path::new("")).join(&link);
            match normalized(&next) {
                Some(next) => at = next,
                None => bail!(
                    "{path} is a link to {link}, outside of {}; it would not be replaced in a copy. Copy the file into the \
                     directory first",
                    self.from
                ),
            }
        }
        bail!("{} is a link that leads in a circle", self.from.join(&self.replace))
    }
}

/// Hard links only to what is never written in place: `strip` and linkers write through links to what they are given.
fn may_be_linked(path: &Utf8Path, meta: &Metadata) -> bool {
    let name = path.file_name().unwrap_or_default();
    let library = [".so", ".dylib", ".dll"].iter().any(|suffix| name.ends_with(suffix)) || name.contains(".so.");
    meta.permissions().mode() & 0o111 == 0 && !library
}

fn link_or_copy(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    // Refused across file systems, for files of other users, and beyond a number of links.
    match fs::hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(_) => tree::copy_file(from, to),
    }
}

/// Without `.` and `..`; none if it leads out of where it starts.
fn normalized(path: &Utf8Path) -> Option<Utf8PathBuf> {
    let mut normal = Utf8PathBuf::new();
    for component in path.components() {
        match component {
            Utf8Component::Normal(name) => normal.push(name),
            Utf8Component::CurDir => {}
            Utf8Component::ParentDir => {
                if !normal.pop() {
                    return None;
                }
            }
            Utf8Component::RootDir | Utf8Component::Prefix(_) => return None,
        }
    }
    Some(normal)
}

impl CopyWorkspace {
    /// Copies it.
    pub fn run(&self) -> Result<Vec<Fact>> {
        let manifest = self.from.join("Cargo.toml");
        let text = fs::read_to_string(&manifest).with_context(|| format!("cannot read {manifest}"))?;
        let reduced = without(&text, &self.without).with_context(|| format!("{manifest} is not a manifest"))?;
        tree::remove(&self.to)?;
        let mut files = 0;
        for entry in WalkDir::new(&self.from).into_iter().filter_entry(|entry| !self.is_left_out(entry.path())) {
            let entry = entry.with_context(|| format!("cannot read the directory {}", self.from))?;
            let Some(source) = Utf8Path::from_path(entry.path()) else { continue };
            let below = source.strip_prefix(&self.from).unwrap_or(source);
            let target = if below.as_str().is_empty() { self.to.clone() } else { self.to.join(below) };
            if entry.file_type().is_dir() {
                fs::create_dir_all(&target).with_context(|| format!("cannot make the directory {target}"))?;
            } else if entry.file_type().is_symlink() {
                let link = source.read_link_utf8().with_context(|| format!("cannot read the link {source}"))?;
                std::os::unix::fs::symlink(&link, &target).with_context(|| format!("cannot make the link {target}"))?;
            } else {
                // With its time: cargo goes by that.
                tree::copy_file(source, &target)?;
                files += 1;
            }
        }
        if let Some(reduced) = reduced {
            let copy = self.to.join("Cargo.toml");
            let times = fs::metadata(&manifest).with_context(|| format!("cannot look at {manifest}"))?;
            tree::remove(&copy)?;
            fs::write(&copy, reduced).with_context(|| format!("cannot write {copy}"))?;
            tree::set_times(&copy, &times)?;
        }
        Ok(vec![Fact::count("copied", files, "files")])
    }

    fn is_left_out(&self, path: &std::path::Path) -> bool {
        let Ok(below) = path.strip_prefix(&self.from) else { return false };
        let below = below.to_str().unwrap_or_default();
        ["target", ".git"].contains(&below)
            || self.without.iter().any(|member| below == member)
            || self.skip.iter().any(|dir| below == dir.as_str())
    }
}

/// The manifest without the members and their settings; none if nothing of them is in it.
pub fn without(manifest: &str, members: &[String]) -> Result<Option<String>> {
    let mut table: toml::Table = manifest.parse()?;
    let before = table.clone();
    let listed = table.get_mut("workspace").and_then(|workspace| workspace.get_mut("members"));
    if let Some(listed) = listed.and_then(toml::Value::as_array_mut) {
        listed.retain(|member| !member.as_str().is_some_and(|member| members.iter().any(|left| left == member)));
    }
    for profile in table.get_mut("profile").and_then(toml::Value::as_table_mut).into_iter().flatten() {
        if let Some(packages) = profile.1.get_mut("package").and_then(toml::Value::as_table_mut) {
            packages.retain(|package, _| !members.iter().any(|left| left == package));
        }
    }
    Ok(if table == before { None } else { Some(toml::to_string(&table)?) })
}

impl Same {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let read = |path: &Utf8PathBuf| fs::read(path).with_context(|| format!("cannot read {path}"));
        let (left, right) = (read(&self.left)?, read(&self.right)?);
        if left == right {
            return Ok(vec![Fact::bytes("compared", left.len() as u64)]);
        }
        let mut lines = (left.split(|byte| *byte == b'\n'), right.split(|byte| *byte == b'\n'));
        let mut number = 0;
        loop {
            number += 1;
            let pair = (lines.0.next(), lines.1.next());
            if pair.0 != pair.1 || pair == (None, None) {
                bail!(
                    "`{}` does not print what its `same-as` prints; they differ first in line {number}:\n  {}: {}\n  {}: {}",
                    self.label,
                    self.left,
                    shown(pair.0),
                    self.right,
                    shown(pair.1)
                );
            }
        }
    }
}

/// A line of output may be anything, of any length.
fn shown(line: Option<&[u8]>) -> String {
    const LONGEST: usize = 200;
    let Some(line) = line else { return "(no such line)".into() };
    let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST)]);
    let more = if line.len() > LONGEST { "…" } else { "" };
    format!("{}{more}", text.escape_debug())
}
