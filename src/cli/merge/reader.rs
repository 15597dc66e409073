//! The llvm-profdata that reads what is to be merged, when none was named.
//!
//! Each LLVM reads raw profiles of one version only, so each tool is asked. Unaware of how profiles are merged.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::process::Command;

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::super::exit::Machine;
use crate::facts::Facts;
use crate::profile::header::{Header, HeaderKind};
use crate::profile::raw::Input;
use crate::profile::raw::layout::LONGEST_HEADER;
use crate::toolchain::{formats, rust};

/// The first of the tools that read most of the files. What it does not read is for the merge to judge: a damaged file may name
/// any version.
pub fn find(files: &[Input], work: &Utf8Path) -> Result<Utf8PathBuf> {
    // A file of each version, how many there are, and what to ask a tool about.
    let mut versions: BTreeMap<(bool, u32), (&Utf8Path, usize, Utf8PathBuf)> = BTreeMap::new();
    for (path, _) in files {
        let Some(header) = Header::read(path).with_context(|| format!("cannot read {path}"))? else { continue };
        let raw = header.kind == HeaderKind::Raw;
        let (_, number, _) = versions.entry((raw, header.version)).or_insert((path, 0, path.clone()));
        *number += 1;
    }
    for ((_, version), (path, _, probe)) in versions.iter_mut().filter(|((raw, _), _)| *raw) {
        // Of the header alone a tool says the same about the version, and reads no more.
        *probe = work.join(format!("probe-{version}"));
        let mut head = Vec::new();
        let read = File::open(*path).and_then(|file| file.take(LONGEST_HEADER as u64).read_to_end(&mut head));
        head.resize(LONGEST_HEADER, 0);
        read.and_then(|_| fs::write(&*probe, head))
            .with_context(|| format!("cannot copy the header of {path} to {probe}"))?;
    }
    let (mut best, mut most) = (None, 0);
    for tool in candidates("llvm-profdata") {
        let readable = versions.values().filter(|(.., probe)| reads(&tool, probe)).map(|(_, number, _)| number).sum();
        if best.is_none() || readable > most {
            (best, most) = (Some(tool), readable);
        }
        if most == versions.values().map(|(_, number, _)| number).sum::<usize>() {
            break;
        }
    }
    let best = best.ok_or_else(|| none("llvm-profdata"))?;
    if most > 0 || versions.is_empty() {
        return Ok(best);
    }
    let name = |((raw, version), (path, ..)): (&(bool, u32), &(&Utf8Path, usize, Utf8PathBuf))| match raw {
        true => format!(
            "\n  - raw profiles of version {version}, of {}, as {path}",
            formats::raw_in_words(u64::from(*version))
        ),
        false => format!("\n  - merged profiles of version {version}, as {path}"),
    };
    let names: String = versions.iter().map(name).collect();
    Err(Machine(format!(
        "no llvm-profdata on this machine reads these profiles:{names}\n  Each LLVM reads one version of raw profiles. Install the \
         LLVM that compiled the program, or name its tool with --profdata. A Rust toolchain of rustup has it as a component: `rustup component \
         add llvm-tools`"
    ))
    .into())
}

/// All tools of a name: in PATH, then with the number of its LLVM, the newest first, then those of Rust toolchains.
pub fn candidates(name: &'static str) -> impl Iterator<Item = Utf8PathBuf> {
    let facts = Facts::live();
    let numbered =
        (13..=35).rev().flat_map(move |major| [format!("{name}-{major}"), format!("/usr/lib/llvm-{major}/bin/{name}")]);
    let of_rust = rust::llvm_tools(&facts, name);
    std::iter::once(name.to_string()).chain(numbered).filter_map(move |program| facts.program(&program)).chain(of_rust)
}

/// What is said where there is no tool.
pub fn none(name: &str) -> Error {
    Machine(format!("there is no {name} in PATH: install LLVM's tools")).into()
}

/// Whether a tool has nothing against the version of a profile.
fn reads(tool: &Utf8Path, profile: &Utf8Path) -> bool {
    let Ok(output) = Command::new(tool).args(["show", profile.as_str()]).output() else { return false };
    let said = String::from_utf8_lossy(&output.stderr);
    !said.contains("version mismatch") && !said.contains("unsupported instrumentation profile format version")
}
