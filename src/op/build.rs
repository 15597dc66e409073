//! What is done around a build tool: room for it, removing what it would not notice to be out of date, and what it has left.
//!
//! `clear-if-changed` keeps a text file beside the directories, which says with which options they were begun. `metrics` reads the
//! `metrics.json` that x.py keeps: a list of calls, each a tree of steps with the time that was spent in a step itself
//! (`src/build_helper/src/metrics.rs` in rust's sources). Unaware of what the options mean.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection};
use serde::Deserialize;
use walkdir::WalkDir;

use crate::event::Fact;
use crate::fs::{disk, pattern, tree};
use crate::plan::ops::given::{CheckLto, CheckSpace, ClearIfChanged, Metrics};
use crate::stdio;
use crate::text;

impl ClearIfChanged {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let mut options: String = self.option.iter().map(|option| format!("{option}\n")).collect();
        if let Some(tree) = &self.tree {
            options.push_str(&format!("files of {tree}: {}\n", files(tree)?));
        }
        let before = disk::read_if_there(&self.stamp)?;
        if before.as_deref() == Some(options.as_bytes()) {
            return Ok(Vec::new());
        }
        let there = all_there(&self.clear)?;
        self.check_names(&there)?;
        if let (Some(before), true) = (&before, !there.is_empty()) {
            let before = String::from_utf8_lossy(before);
            let gone = before.lines().filter(|line| !options.lines().any(|option| option == *line));
            gone.for_each(|line| stdio::say(&format!("was built with {line}")));
            let new = options.lines().filter(|option| !before.lines().any(|line| line == *option));
            new.for_each(|line| stdio::say(&format!("is built with {line}")));
        }
        // First the note goes: without one, whatever is there is removed.
        disk::remove_durably(&self.stamp)?;
        there.iter().try_for_each(|path| tree::remove(path))?;
        let parent = self.stamp.parent().context("the stamp is no file")?;
        fs::create_dir_all(parent).with_context(|| format!("cannot make the directory {parent}"))?;
        disk::write_durably(&self.stamp, options.as_bytes())?;
        Ok(if there.is_empty() { Vec::new() } else { vec![Fact::number("directories-cleared", there.len() as f64)] })
    }
}

impl ClearIfChanged {
    /// Refuses a build whose directories have other names than known: what is to be removed would stay, and nobody would notice.
    ///
    /// Nothing to remove is no proof of that: what was removed before a kill is gone already. What stays beside it tells.
    fn check_names(&self, there: &[Utf8PathBuf]) -> Result<()> {
        let known = all_there(&self.beside)?;
        for built in &self.built {
            let (Some(dir), Some(pattern)) = (built.parent(), built.file_name()) else { continue };
            if there.iter().chain(&known).any(|path| path.starts_with(dir)) || !dir.exists() {
                continue;
            }
            for entry in WalkDir::new(dir) {
                let entry = entry.with_context(|| format!("cannot look for {built}"))?;
                if pattern::matches(pattern, &entry.file_name().to_string_lossy()) {
                    let clear: Vec<&str> =
                        self.clear.iter().filter(|path| path.starts_with(dir)).map(|path| path.as_str()).collect();
                    bail!(
                        "{} was built with other options, and what makes the build tool build it again is not where it is looked \
                         for ({}): this build tool arranges its directory in a way that optbuild does not know. Remove {dir}, which \
                         is built again then",
                        entry.path().display(),
                        clear.join(", ")
                    );
                }
            }
        }
        Ok(())
    }
}

/// All that some patterns match.
fn all_there(patterns: &[Utf8PathBuf]) -> Result<Vec<Utf8PathBuf>> {
    let mut there = Vec::new();
    for path in patterns {
        there.extend(pattern::there(path).with_context(|| format!("cannot look for {path}"))?);
    }
    Ok(there)
}

/// A hash of all files below a directory: names, sizes, times of modification.
fn files(tree: &Utf8Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    for entry in WalkDir::new(tree).sort_by_file_name() {
        let entry = entry.with_context(|| format!("cannot read {tree}"))?;
        let meta = entry.metadata().with_context(|| format!("cannot look at {}", entry.path().display()))?;
        if meta.is_dir() {
            continue;
        }
        hasher.update(entry.path().as_os_str().as_bytes());
        let about = format!("\0{} {}.{}\0", meta.size(), meta.mtime(), meta.mtime_nsec());
        hasher.update(about.as_bytes());
    }
    Ok(hasher.finalize().to_hex().to_string())
}

#[derive(Deserialize)]
struct Root {
    #[serde(default)]
    invocations: Vec<Invocation>,
}

#[derive(Deserialize)]
struct Invocation {
    #[serde(default)]
    children: Vec<Node>,
}

/// A step; test suites have no time of their own.
#[derive(Deserialize)]
struct Node {
    /// A path such as `bootstrap::core::build_steps::llvm::Llvm`.
    #[serde(rename = "type", default)]
    name: String,
    #[serde(default)]
    duration_excluding_children_sec: f64,
    #[serde(default)]
    children: Vec<Node>,
}

/// What a step belongs to, by the module that it stands in; steps of other modules are `other`.
const PARTS: [(&str, &str); 9] = [
    ("::llvm::", "inner/llvm"),
    // Until 2023.
    ("::native::", "inner/llvm"),
    ("::compile::Std", "inner/std"),
    ("::compile::StartupObjects", "inner/std"),
    ("::compile::", "inner/rustc"),
    ("::tool::", "inner/tools"),
    ("::dist::", "inner/dist"),
    ("::doc::", "inner/docs"),
    ("::test::", "inner/tests"),
];
const OTHER: &str = "inner/other";

impl Metrics {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let file = &self.file;
        let text = fs::read(file).with_context(|| format!("x.py wrote no {file}"))?;
        let root: Root = serde_json::from_slice(&text).with_context(|| format!("{file} is not what x.py writes"))?;
        let Some(last) = root.invocations.last() else { bail!("{file} has no invocation of x.py in it") };
        let mut seconds: BTreeMap<&'static str, f64> = BTreeMap::new();
        // No recursion: how deep the tree is, the file says.
        let mut open: Vec<&Node> = last.children.iter().collect();
        while let Some(node) = open.pop() {
            let part = PARTS.iter().find(|(module, _)| node.name.contains(module)).map_or(OTHER, |(_, part)| part);
            *seconds.entry(part).or_default() += node.duration_excluding_children_sec;
            open.extend(&node.children);
        }
        let order = PARTS.iter().map(|(_, part)| *part).chain([OTHER]);
        let mut facts: Vec<Fact> = Vec::new();
        for name in order {
            let value = seconds.remove(name).filter(|value| *value >= 0.1);
            facts.extend(value.map(|value| Fact::new(name, (value * 10.0).round() / 10.0, "s")));
        }
        Ok(facts)
    }
}

impl CheckSpace {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let dir = &self.dir;
        let stat =
            rustix::fs::statvfs(dir.as_std_path()).with_context(|| format!("cannot ask for the space on {dir}"))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let needed = self.bytes.saturating_sub(if free < self.bytes { size(dir.as_std_path()) } else { 0 });
        if free < needed {
            let (free, needed) = (text::size(free), text::size(needed));
            let smaller = self.key.iter().map(|key| format!("set a smaller `{key}` in the stage, "));
            let smaller: String = smaller.collect();
            // Of this kind, so that it is known for what it is: the machine's fault.
            let error = io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "{free} are free where {dir} lies, and about {needed} will be written; free some, {smaller}or put the state \
                     elsewhere with `--state-dir`"
                ),
            );
            return Err(error.into());
        }
        Ok(Vec::new())
    }
}

/// Bytes of the files in a directory; what cannot be read counts as nothing.
fn size(dir: &std::path::Path) -> u64 {
    let files = WalkDir::new(dir).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    files.filter(std::fs::Metadata::is_file).map(|meta| meta.len()).sum()
}

/// LLVM's bitcode, bare and in the wrapper that Apple's tools write (llvm/BinaryFormat/Magic.cpp).
const BITCODE: [&[u8]; 2] = [b"BC\xc0\xde", b"\xde\xc0\x17\x0b"];
/// The section with bitcode beside machine code, of `-ffat-lto-objects` (LLVM's FatLTO documentation).
const BESIDE: &str = ".llvm.lto";

impl CheckLto {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let path = &self.archive;
        let data =
            fs::read(path).with_context(|| format!("cannot read {path}, and so not tell whether there is LTO"))?;
        let archive = ArchiveFile::parse(&*data).with_context(|| format!("{path} is no static library"))?;
        for member in archive.members() {
            let member = member.and_then(|member| member.data(&*data));
            let member = member.with_context(|| format!("{path} is damaged"))?;
            if has_bitcode(member) {
                return Ok(Vec::new());
            }
        }
        bail!(
            "{path} holds machine code alone: it was not compiled for link-time optimisation, although the stage asks for it. Look at \
             the flags of the compilers in the log of this stage: `-flto` is missing, or another flag takes it back"
        )
    }
}

fn has_bitcode(member: &[u8]) -> bool {
    let beside = || {
        let object = object::File::parse(member).ok()?;
        object.section_by_name(BESIDE).map(|section| section.size() > 0)
    };
    BITCODE.iter().any(|magic| member.starts_with(magic)) || beside().unwrap_or_default()
}
