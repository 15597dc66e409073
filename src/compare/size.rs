//! Sizes of what is compared, and why a file is larger than another one, as far as that is not what runs: relocations that the linker kept, old
//! code that llvm-bolt left, and so on. Such a file is no slower for it.
//!
//! Unaware of how the files were made.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::request::Build;
use super::result::{Form, SideKind, Size};
use super::statistics::change;
use crate::profile::elf::Ballast;
use crate::text;

/// Below this growth, nothing is said.
const LEAST: f64 = 0.1;
/// A part is named that makes so much of what came in addition.
const PART: f64 = 0.1;

/// Sizes of what is compared: of programs or of the libraries that make up a toolchain, then of the files that were named.
///
/// # Errors
/// When a file that was named is not there, where all sides have to work.
pub fn sizes(base: &Build, candidate: &Build, form: Form) -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    let (before, after) = (files(base), files(candidate));
    // Programs have the names that they have; of libraries, one may be missing.
    let mut pairs: Vec<(&String, &Utf8PathBuf, &Utf8PathBuf)> = Vec::new();
    for (index, (name, path)) in after.iter().enumerate() {
        let program = index == 0 && base.kind == SideKind::Program;
        let other =
            before.iter().enumerate().find(|(place, (other, _))| if program { *place == 0 } else { other == name });
        pairs.extend(other.map(|(_, (_, other))| (name, other, path)));
    }
    let named = candidate.files.iter().filter_map(|(name, after)| {
        let (_, before) = base.files.iter().find(|(other, _)| other == name)?;
        Some((name, before, after))
    });
    let mut seen: Vec<&Utf8Path> = Vec::new();
    for (name, before, after) in pairs.into_iter().chain(named) {
        if seen.contains(&after.as_path()) {
            continue;
        }
        seen.push(after);
        let (base, candidate) = match (bytes(before), bytes(after)) {
            (Ok(base), Ok(candidate)) => (base, candidate),
            (Err(_), _) | (_, Err(_)) if form == Form::Sides => continue,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let change = change(base as f64, candidate as f64);
        let why = why_larger(before, after);
        sizes.push(Size { name: name.clone(), base, candidate, change, why });
    }
    Ok(sizes)
}

fn bytes(path: &Utf8Path) -> Result<u64> {
    Ok(std::fs::metadata(path).with_context(|| format!("the size of {path} is not known"))?.len())
}

/// What makes up a side, under names that are the same on both.
fn files(build: &Build) -> Vec<(String, Utf8PathBuf)> {
    if build.kind == SideKind::Program {
        let name = build.path.file_name().unwrap_or(build.path.as_str());
        return [(name.into(), build.path.clone())].into_iter().chain(libraries(&build.path)).collect();
    }
    let entries = build.path.join("lib").read_dir_utf8().into_iter().flatten().flatten();
    let paths: Vec<Utf8PathBuf> = entries.map(|entry| entry.path().to_owned()).collect();
    let starting = |start: &str| {
        // The largest: the others are scripts for linkers.
        let fits = |path: &&Utf8PathBuf| path.file_name().is_some_and(|name| name.starts_with(start));
        let largest = paths.iter().filter(fits).max_by_key(|path| path.metadata().map_or(0, |meta| meta.len()));
        largest.map(|path| (format!("{}.so", start.trim_end_matches(['-', '.'])), path.clone()))
    };
    ["librustc_driver-", "libLLVM"].into_iter().filter_map(starting).collect()
}

/// The libraries that a program comes with, as compilers do: those that it names and that stand in `../lib` beside it, but the system's own. A
/// version is no part of the names.
fn libraries(program: &Utf8Path) -> Vec<(String, Utf8PathBuf)> {
    let beside = || program.canonicalize_utf8().ok()?.parent()?.parent().map(|dir| dir.join("lib"));
    let Some(dir) = beside().filter(|dir| dir.is_dir() && !["/usr/lib", "/lib"].contains(&dir.as_str())) else {
        return Vec::new();
    };
    let Ok(content) = std::fs::read(program) else { return Vec::new() };
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut found: Vec<(String, Utf8PathBuf)> = entries
        .filter_map(|entry| {
            let (stem, _) = entry.file_name().split_once(".so")?;
            let named = [b"\0".as_slice(), entry.file_name().as_bytes(), b"\0"].concat();
            memchr::memmem::find(&content, &named)?;
            let stem = stem.trim_end_matches(|char: char| char.is_ascii_digit() || matches!(char, '-' | '.'));
            Some((format!("{stem}.so"), entry.path().to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// What came in addition, the largest part first. None: the file is hardly larger, or that is not known.
pub fn why_larger(before: &Utf8Path, after: &Utf8Path) -> Option<String> {
    let size = |path: &Utf8Path| path.metadata().map_or(0, |meta| meta.len());
    let (old, new) = (size(before), size(after));
    if (new as f64) < old as f64 * (1.0 + LEAST) {
        return None;
    }
    // What cannot be read is larger for no reason that is known.
    let read = |path: &Utf8Path| Ballast::read(path).unwrap_or_default();
    Some(words(read(before)?, read(after)?, new - old)).filter(|words| !words.is_empty())
}

/// Of what came in addition to a file.
pub fn words(before: Ballast, after: Ballast, more: u64) -> String {
    let mut parts = [
        (after.old_code.saturating_sub(before.old_code), "old code that llvm-bolt kept (`-use-old-text`)"),
        (after.relocations.saturating_sub(before.relocations), "relocations that the linker kept (`strip`)"),
        (after.debug.saturating_sub(before.debug), "debug information"),
        (after.symbols.saturating_sub(before.symbols), "symbols"),
        (after.gaps.saturating_sub(before.gaps), "gaps between sections"),
    ];
    parts.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let named = parts.iter().filter(|(bytes, _)| *bytes > 0 && *bytes as f64 >= more as f64 * PART);
    let named: Vec<String> = named.map(|(bytes, what)| format!("{} {what}", text::size(*bytes))).collect();
    named.join(", ")
}
