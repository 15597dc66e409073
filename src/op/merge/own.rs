//! The merged profile without llvm-profdata, where that tool is known to write the same bytes.
//!
//! | state of a tool and a shape of profiles | what a merge does |
//! |---|---|
//! | not known | the tool writes; what optbuild would write is compared with it, and the outcome is kept |
//! | the same, fewer than [`AGAIN`] merges ago | optbuild writes and reads back; if that finds anything, the tool writes, and both are compared |
//! | the same, [`AGAIN`] merges ago | as if not known |
//! | not the same | the tool writes |
//!
//! The key of what is kept:
//!
//! | part | why |
//! |---|---|
//! | content of the tool and of its libraries, and what it prints as its version | another tool may write other bytes |
//! | version of optbuild, and [`WRITER`] | what is written here may have changed |
//! | shape of the profiles ([`Profile::shape`]) | other parts of either writer may be in use |
//!
//! It stands in the user's cache. Where there is none, or where the tool may be another one tomorrow (a script, or a program of another
//! name), the tool always writes. Unaware of how either writes.

use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::engine::Order;
use super::tools::pass_on;
use crate::plan::ToolUse;
use crate::profile::header::{Header, HeaderKind};
use crate::profile::indexed::{self, Profile};
use crate::profile::raw::Input;
use crate::state::hash::Hasher;
use crate::state::tools::ToolIdentities;

/// Changes with what is written, so that everything is compared anew.
const WRITER: u32 = 2;
/// After so many merges without the tool, the next one is compared with it again.
pub const AGAIN: u64 = 15;
/// What is read at most besides the largest profile: profiles of many binaries, as of all tests of a project, are llvm-profdata's, which
/// reads one at a time. In memory a profile takes a few times its size.
const MORE: u64 = 8 << 20;

/// What would be written. None: that is left to llvm-profdata.
pub struct OwnWriter(pub Option<Ready>);

/// What was read, and what is known of the tool.
pub struct Ready {
    pub profile: Profile,
    pub trust: Trust,
}

/// Whether these files are few and small enough to be read at once.
pub fn fits(left: &[Input]) -> Result<bool> {
    let sizes =
        left.iter().map(|(path, _)| Ok(fs::metadata(path).with_context(|| format!("cannot read {path}"))?.len()));
    let sizes = sizes.collect::<Result<Vec<u64>>>()?;
    let largest = sizes.iter().max().copied().unwrap_or_default();
    Ok(sizes.iter().sum::<u64>() - largest <= MORE)
}

impl OwnWriter {
    /// Reads what is left to be merged, if nothing in it needs llvm-profdata and what that writes is known or can be learned.
    pub fn new(order: &Order, left: &[Input], understood: bool) -> Result<OwnWriter> {
        let plain = understood && order.with.is_empty() && left.iter().all(|(_, weight)| *weight == 1);
        let cache = cache().filter(|_| plain);
        OwnWriter::kept_in(cache.as_deref(), order.tool, left)
    }

    /// The same of plain profiles, with what is known kept in this directory.
    pub fn kept_in(cache: Option<&Utf8Path>, tool: &Utf8Path, left: &[Input]) -> Result<OwnWriter> {
        let Some(cache) = cache else { return Ok(OwnWriter(None)) };
        if !fits(left)? {
            return Ok(OwnWriter(None));
        }
        let Some(tool) = identity(cache, tool) else { return Ok(OwnWriter(None)) };
        let paths: Vec<Utf8PathBuf> = left.iter().map(|(path, _)| path.clone()).collect();
        let Ok(profile) = Profile::read(&paths).context("cannot read the sums of raw profiles")? else {
            return Ok(OwnWriter(None));
        };
        let trust = Trust::kept_in(cache, &tool, &profile.shape());
        let may = trust.known != Known::Different;
        Ok(OwnWriter(may.then_some(Ready { profile, trust })))
    }

    /// Writes it, if the tool is known to write the same. False: it is not known, or it is time to look again, or what was written is
    /// not what it should be.
    pub fn write(&self, output: &Utf8Path) -> Result<bool> {
        self.write_with(output, Profile::write)
    }

    /// The same with another writer.
    pub fn write_with(&self, output: &Utf8Path, write: impl Fn(&Profile, u32) -> Option<Vec<u8>>) -> Result<bool> {
        let Some(Ready { profile, trust }) = &self.0 else { return Ok(false) };
        let Known::Same { version, merges } = trust.known else { return Ok(false) };
        if merges >= AGAIN {
            return Ok(false);
        }
        let Some(bytes) = write(profile, version) else { return Ok(false) };
        fs::write(output, bytes).with_context(|| format!("cannot write {output}"))?;
        let written = fs::read(output).with_context(|| format!("cannot read {output}"))?;
        if let Err(wrong) = indexed::check(&written, profile, version) {
            pass_on(&format!(
                "note: optbuild did not write this profile well ({wrong}); llvm-profdata writes it instead. Please report this\n"
            ));
            return Ok(false);
        }
        trust.keep(Known::Same { version, merges: merges + 1 });
        Ok(true)
    }

    /// Compares what the tool wrote, and remembers.
    pub fn compare(&self, output: &Utf8Path) -> Result<()> {
        let Some(Ready { profile, trust }) = &self.0 else { return Ok(()) };
        let cannot = || format!("cannot read {output}");
        let header = Header::read(output).with_context(cannot)?.filter(|header| header.kind == HeaderKind::Indexed);
        let Some(Header { version, .. }) = header else { return Ok(()) };
        let theirs = fs::read(output).with_context(cannot)?;
        let good = |ours: &Vec<u8>| *ours == theirs && indexed::check(ours, profile, version).is_ok();
        let same = profile.write(version).is_some_and(|ours| good(&ours));
        if !same && matches!(trust.known, Known::Same { .. }) {
            pass_on(
                "note: llvm-profdata writes this profile differently than optbuild, which wrote such profiles before: from now on \
                 llvm-profdata writes them. If you need theirs byte for byte, merge those of before again. Please report this\n",
            );
        }
        tracing::debug!("what is written without the tool is {}", if same { "the same" } else { "not the same" });
        trust.keep(if same { Known::Same { version, merges: 0 } } else { Known::Different });
        Ok(())
    }
}

/// What is known of a tool and a shape of profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    Nothing,
    /// In this version of the format the tool writes what optbuild writes; so many merges were done without it since that was seen.
    Same {
        version: u32,
        merges: u64,
    },
    Different,
}

/// The same, and where it is kept: the first line is `same VERSION MERGES` or `different`, the second the shape for people.
pub struct Trust {
    pub file: Utf8PathBuf,
    pub shape: String,
    pub known: Known,
}

impl Trust {
    /// What is known, as it is kept in this directory.
    pub fn kept_in(cache: &Utf8Path, tool: &str, shape: &str) -> Trust {
        let name = |text: &str| blake3::hash(text.as_bytes()).to_hex()[..20].to_owned();
        let file = cache.join("llvm-profdata").join(name(tool)).join(name(shape));
        let text = fs::read_to_string(&file).unwrap_or_default();
        let words: Vec<&str> = text.lines().next().unwrap_or_default().split(' ').collect();
        let known = match words.as_slice() {
            ["same", version, merges] => match (version.parse(), merges.parse()) {
                (Ok(version), Ok(merges)) => Known::Same { version, merges },
                _ => Known::Nothing,
            },
            ["different"] => Known::Different,
            _ => Known::Nothing,
        };
        Trust { file, shape: shape.to_owned(), known }
    }

    /// Keeps what is known now. Where it cannot be written, the next merge compares again. A merge at the same time may be forgotten by
    /// the count.
    pub fn keep(&self, known: Known) {
        let first = match known {
            Known::Same { version, merges } => format!("same {version} {merges}"),
            Known::Different => "different".into(),
            Known::Nothing => return,
        };
        let write = || -> std::io::Result<()> {
            self.file.parent().map_or(Ok(()), fs::create_dir_all)?;
            fs::write(&self.file, format!("{first}\n{}\n", self.shape))
        };
        if let Err(error) = write() {
            tracing::debug!("{} was not written: {error}", self.file);
        }
    }
}

/// The user's cache of optbuild.
fn cache() -> Option<Utf8PathBuf> {
    let of = |name: &str| std::env::var(name).ok().map(Utf8PathBuf::from).filter(|path| path.is_absolute());
    of("XDG_CACHE_HOME").or_else(|| of("HOME").map(|home| home.join(".cache"))).map(|dir| dir.join("optbuild"))
}

/// What a tool is, and who writes here. None: it cannot be told whether it changes.
pub fn identity(cache: &Utf8Path, tool: &Utf8Path) -> Option<String> {
    let path = Utf8PathBuf::from_path_buf(fs::canonicalize(which::which(tool).ok()?).ok()?).ok()?;
    // A script or a program of another name may start one tool today and another one tomorrow.
    let named = path.file_name().is_some_and(|name| name.starts_with("llvm-profdata"));
    let mut magic = [0; 4];
    fs::File::open(&path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic)).ok()?;
    if !named || magic != *b"\x7fELF" {
        return None;
    }
    let tools = ToolIdentities::open(&cache.join("tools")).ok()?;
    let identity = tools.identity(&ToolUse { name: "llvm-profdata".into(), path }, &Hasher::without_cache()).ok()?;
    // Without it, the next merge looks at the tool again.
    if let Err(error) = fs::create_dir_all(cache).map_err(anyhow::Error::from).and_then(|()| Ok(tools.save()?)) {
        tracing::debug!("what {tool} is was not kept: {error:#}");
    }
    Some(format!("{WRITER} {} {identity}", env!("CARGO_PKG_VERSION")))
}
