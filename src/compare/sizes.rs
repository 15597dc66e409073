//! Sizes of what is compared: of programs, of the libraries that make up a toolchain, and of files that were named.

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::request::{Build, Request};
use super::result::{SideKind, Size};
use super::session;

/// In the order: program or libraries, then the files that were named.
///
/// # Errors
/// When a file that was named is not there.
pub fn of(request: &Request) -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    let (base, candidate) = (&request.base, &request.candidate);
    let (before, after) = (files(base), files(candidate));
    for ((name, before), (other, after)) in
        before.iter().flat_map(|before| after.iter().map(move |after| (before, after)))
    {
        // Programs have the names that they have; of a toolchain's libraries, one may be missing.
        if name == other || base.kind == SideKind::Program {
            sizes.push(session::size(other, bytes(before)?, bytes(after)?));
        }
    }
    for (name, before, after) in &request.sizes {
        sizes.push(session::size(name, bytes(before)?, bytes(after)?));
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
        return vec![(name.into(), build.path.clone())];
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
