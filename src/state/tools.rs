//! What a tool is: its version output, and the content of what really runs.
//!
//! A program's path says little: rustup's `rustc` is a link to rustup, and `clang` a small program in front of libLLVM. What
//! was found is kept with the `stat` of every file involved, so that nothing is run for a tool that did not change.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use object::read::elf::FileHeader;
use serde::{Deserialize, Serialize};

use super::hash::Hasher;
use crate::fs::disk::{self, At, DiskError};
use crate::fs::stat::{self, Stat};
use crate::plan::ToolUse;
use crate::proc::probe::{self, NoAnswer};
use crate::sync::lock;

/// Changes when identities are made of something else, or are kept by something else.
const FORMAT: u32 = 3;
/// How long a tool may take to say its version.
const PATIENCE: Duration = Duration::from_secs(20);
/// What is kept of the line in which a tool says its version, in characters.
const LONGEST_VERSION: usize = 120;
/// Libraries in which a compiler has what makes it the version that it is.
const LIBRARIES: [&str; 5] = ["libLLVM", "libclang", "librustc_driver", "liblld", "libbolt"];

/// Why a tool has no identity.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    #[error("cannot read the tool {name}, `{path}`: {cause}")]
    Read { name: String, path: Utf8PathBuf, cause: io::Error },
    #[error("`{path}` is rustup's, but `rustc --print sysroot` beside it failed: {message}; try `rustup show`")]
    Rustup { path: Utf8PathBuf, message: String },
    /// Without it, the same tool would be another one.
    #[error(
        "`{path}`, the tool {name}: `{question}` {reason}, so it is not known what the tool is, and nothing was kept of it; run again, \
         and see that the command works"
    )]
    NoAnswer { name: String, path: Utf8PathBuf, question: String, reason: String },
}

/// Identities of tools.
#[derive(Debug, Default)]
pub struct ToolIdentities {
    file: Option<Utf8PathBuf>,
    known: Mutex<Known>,
    /// The toolchains that rustup's programs in a directory stand for.
    sysroots: Mutex<HashMap<PathBuf, PathBuf>>,
}

#[derive(Debug, Default)]
struct Known {
    tools: BTreeMap<String, Identity>,
    changed: bool,
}

#[derive(Debug, Serialize, Deserialize)]
struct Identity {
    identity: String,
    /// The line in which it says its version.
    version: String,
    /// The program first.
    files: Vec<(PathBuf, Stat)>,
}

impl ToolIdentities {
    /// With the cache in this file, which need not exist. A damaged one is the same as none.
    pub fn open(file: &Utf8Path) -> Result<ToolIdentities, DiskError> {
        let stored: Option<(u32, BTreeMap<String, Identity>)> = disk::read_json(file)?;
        let tools = stored.filter(|(format, _)| *format == FORMAT).map(|(_, tools)| tools).unwrap_or_default();
        let known = Mutex::new(Known { tools, changed: false });
        Ok(ToolIdentities { file: Some(file.to_owned()), known, sysroots: Mutex::default() })
    }

    /// The identity of a tool: a hash.
    pub fn identity(&self, tool: &ToolUse, hasher: &Hasher) -> Result<String, ToolError> {
        let refused = |cause| ToolError::Read { name: tool.name.clone(), path: tool.path.clone(), cause };
        let program = self.program(tool)?;
        // Programs that look at the name they are called by have one file and several identities.
        let key = format!("{} {}", tool.path, program.display());
        if let Some(known) = self.known().tools.get(&key)
            && known.files.iter().all(|(path, stat)| stat_of(path).is_ok_and(|now| now == *stat))
        {
            return Ok(known.identity.clone());
        }
        let now = stat::now();
        let unanswered = |question: &str, reason: String| ToolError::NoAnswer {
            name: tool.name.clone(),
            path: tool.path.clone(),
            question: question.replace("PROGRAM", &program.to_string_lossy()),
            reason,
        };
        // As they are called: links are followed whenever one is looked at, and may lead elsewhere by then.
        let mut paths = vec![program.clone()];
        paths.extend(libraries(&program).map_err(|reason| unanswered("LD_TRACE_LOADED_OBJECTS=1 PROGRAM", reason))?);
        let mut identity = blake3::Hasher::new();
        let mut files = Vec::new();
        for path in paths {
            let stat = stat_of(&path).map_err(refused)?;
            identity.update(hasher.file(&path).map_err(refused)?.as_bytes());
            files.push((path, stat));
        }
        let version = version(&program).map_err(|reason| unanswered("PROGRAM --version", reason))?;
        identity.update(version.as_bytes());
        let identity = identity.finalize().to_hex().to_string();
        if files.iter().all(|(_, stat)| stat.settled(now)) {
            let mut known = self.known();
            let version = version_line(&version);
            known.tools.insert(key, Identity { identity: identity.clone(), version, files });
            known.changed = true;
        }
        Ok(identity)
    }

    /// The line in which a tool says its version; empty if its identity was not asked for, or it does not say.
    pub fn version(&self, tool: &ToolUse) -> String {
        let begin = format!("{} ", tool.path);
        let known = self.known();
        let mut of_tool = known.tools.iter().filter(|(key, _)| key.starts_with(&begin));
        of_tool.next_back().map(|(_, known)| known.version.clone()).unwrap_or_default()
    }

    /// Writes the cache, if something was added.
    pub fn save(&self) -> Result<(), DiskError> {
        let Some(file) = &self.file else { return Ok(()) };
        let mut known = self.known();
        if !known.changed {
            return Ok(());
        }
        let text = serde_json::to_vec(&(FORMAT, &known.tools)).at("write", file)?;
        disk::write_whole(file, &text)?;
        known.changed = false;
        Ok(())
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        lock(&self.known)
    }

    /// The program that runs: the tool itself, or the one of the toolchain that rustup would start.
    fn program(&self, tool: &ToolUse) -> Result<PathBuf, ToolError> {
        let path = tool.path.as_std_path();
        if !is_rustup_proxy(path) {
            return Ok(path.to_owned());
        }
        let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path.to_owned()) };
        let mut sysroots = lock(&self.sysroots);
        let sysroot = match sysroots.get(directory) {
            Some(sysroot) => sysroot.clone(),
            None => {
                let sysroot = sysroot(&directory.join("rustc"))
                    .map_err(|message| ToolError::Rustup { path: tool.path.clone(), message })?;
                sysroots.insert(directory.to_owned(), sysroot.clone());
                sysroot
            }
        };
        let program = sysroot.join("bin").join(name);
        // Some of rustup's programs are of no toolchain.
        Ok(if program.exists() { program } else { path.to_owned() })
    }
}

/// Whether a program is rustup under another name: a link to it, symbolic or hard.
fn is_rustup_proxy(path: &Path) -> bool {
    if path.file_stem().is_some_and(|name| name == "rustup") {
        return false;
    }
    let same = |other: PathBuf| match (fs::metadata(path), fs::metadata(other)) {
        (Ok(a), Ok(b)) => (dev(&a), Stat::of(&a)) == (dev(&b), Stat::of(&b)),
        _ => false,
    };
    path.canonicalize().is_ok_and(|real| real.file_name().is_some_and(|name| name == "rustup"))
        || path.parent().is_some_and(|directory| same(directory.join("rustup")))
}

fn dev(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::dev(metadata)
}

fn sysroot(rustc: &Path) -> Result<PathBuf, String> {
    let command = duct::cmd!(rustc, "--print", "sysroot").stdin_null();
    match probe::ask(&command, PATIENCE) {
        Ok(output) if output.status.success() => Ok(String::from_utf8_lossy(&output.stdout).trim_end().into()),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_string()),
        Err(reason) => Err(format!("it {reason}")),
    }
}

/// What a program prints when asked for its version, or whatever else it says to that; nothing if it is none that can be started.
/// The error says why it gave no answer.
fn version(program: &Path) -> Result<String, String> {
    let command = duct::cmd!(program, "--version").env("LC_ALL", "C").stdin_null();
    match probe::ask(&command.stderr_to_stdout(), PATIENCE) {
        Ok(output) => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(reason @ NoAnswer::NotStarted(_)) if !reason.is_of_the_moment() => Ok(String::new()),
        Err(NoAnswer::NotRun { said, .. }) if said.contains(LAUNCHER) => Ok(String::new()),
        Err(reason) => Err(reason.to_string()),
    }
}

/// A launcher of compilers runs what it is given: asked for a version, the shell of `exec "$@"` finds no program `--version`.
const LAUNCHER: &str = "--version: not found";

/// The first line with a number in it: `LLVM (http://llvm.org/):` is no version.
fn version_line(output: &str) -> String {
    let mut lines = output.lines().map(str::trim).filter(|line| !line.is_empty());
    let says = |line: &&str| line.contains(|c: char| c.is_ascii_digit());
    lines.find(says).unwrap_or_default().chars().take(LONGEST_VERSION).collect()
}

fn stat_of(path: &Path) -> io::Result<Stat> {
    fs::metadata(path).map(|metadata| Stat::of(&metadata))
}

/// The libraries of [`LIBRARIES`] that a program loads, sorted. The error says why that is not known.
fn libraries(program: &Path) -> Result<Vec<PathBuf>, String> {
    // Only a program that needs one is asked which it finds: one that is linked statically would run.
    if !needed(program).iter().any(|name| is_telling(name)) {
        return Ok(Vec::new());
    }
    let command = duct::cmd!(program).env("LD_TRACE_LOADED_OBJECTS", "1").stdin_null();
    let output = probe::ask(&command.stderr_null(), PATIENCE).map_err(|reason| reason.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut libraries = Vec::new();
    for (name, found) in text.lines().filter_map(|line| line.trim().split_once(" => ")) {
        if is_telling(name) {
            // `libLLVM.so.22 => not found`, as while a package is replaced.
            let (path, _) = found.rsplit_once(" (").ok_or_else(|| format!("says `{name} => {found}`"))?;
            libraries.push(PathBuf::from(path));
        }
    }
    libraries.sort();
    libraries.dedup();
    Ok(libraries)
}

fn is_telling(name: &str) -> bool {
    LIBRARIES.iter().any(|library| name.starts_with(library))
}

/// Read as far as needed: programs are large.
type ElfData = object::ReadCache<fs::File>;

/// Names of the libraries that a dynamically linked ELF program says it needs; none for anything else.
fn needed(program: &Path) -> Vec<String> {
    let Ok(file) = fs::File::open(program) else { return Vec::new() };
    let data = object::ReadCache::new(file);
    match object::FileKind::parse(&data) {
        Ok(object::FileKind::Elf64) => needed_elf::<object::elf::FileHeader64<object::Endianness>>(&data),
        Ok(object::FileKind::Elf32) => needed_elf::<object::elf::FileHeader32<object::Endianness>>(&data),
        _ => Some(Vec::new()),
    }
    .unwrap_or_default()
}

fn needed_elf<Elf: FileHeader<Endian = object::Endianness>>(data: &ElfData) -> Option<Vec<String>> {
    let header = Elf::parse(data).ok()?;
    let endian = header.endian().ok()?;
    let table = header.sections(endian, data).ok()?.dynamic_table(endian, data).ok()?;
    let names = table.iter().filter(|entry| entry.tag == object::elf::DT_NEEDED);
    Some(names.filter_map(|entry| table.string(entry).ok().map(|name| String::from_utf8_lossy(name).into())).collect())
}
