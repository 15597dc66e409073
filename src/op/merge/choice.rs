//! Which llvm-profdata merges, where neither a key nor a compiler of the pipeline says it: the instrumented build does, among all that are
//! installed.
//!
//! | what is looked at | what it tells |
//! |---|---|
//! | `.comment` of its programs: `clang version 22.1.8` | the LLVM of the compiler, which is going to read the merged profile, too |
//! | `__llvm_profile_raw_version` in their symbols | the version of the raw profiles, which some LLVMs write and read |
//!
//! Unaware of what is merged.

use std::fmt;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::tools::pass_on;
use crate::facts::Facts;
use crate::fs::pattern;
use crate::profile::{self, elf};
use crate::toolchain::{Tool, formats, llvm, version};

/// The tool for the profiles of a build: the given one, if it is the best that is installed, or nothing is known of the build. Says which
/// it is where it is another one.
///
/// # Errors
/// The build cannot be read.
pub fn fitting(given: &Utf8Path, build: Option<&Utf8Path>) -> Result<Utf8PathBuf> {
    let Some(build) = build else { return Ok(given.to_owned()) };
    let build = pattern::resolve(build).unwrap_or_else(|_| build.to_owned());
    let traces = Traces::of(&build)?;
    let wanted = traces.llvms();
    if wanted.is_empty() {
        return Ok(given.to_owned());
    }
    let facts = Facts::live();
    // Where there is no such tool in PATH, the name stands for itself.
    let path = facts.program(given.as_str()).unwrap_or_else(|| given.to_owned());
    let own = Tool::at(&facts, "llvm-profdata", path).llvm_major();
    for major in wanted {
        if own == Some(major) {
            break;
        }
        if let Some(tool) = llvm::profdata_of_llvm(&facts, major) {
            let instead = own.map(|own| format!(", which is of LLVM {own}")).unwrap_or_default();
            let path = tool.path;
            pass_on(&format!(
                "{path} (LLVM {major}) merges the profiles of {build} ({traces}), not {given}{instead}\n"
            ));
            return Ok(path);
        }
    }
    // If it is the wrong one, the first profile tells.
    Ok(given.to_owned())
}

/// What is known of how a build was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traces {
    /// The LLVM of the newest clang that compiled some of it.
    pub compiler: Option<u64>,
    pub raw_version: Option<u64>,
}

impl Traces {
    /// Of a file, or all files of a directory.
    fn of(build: &Utf8Path) -> Result<Traces> {
        let mut traces = Traces { compiler: None, raw_version: None };
        for file in profile::find(build, |_| true).with_context(|| format!("cannot read {build}"))? {
            let making = match elf::making(&file.path) {
                Ok(making) => making,
                // A directory may hold all sorts of files.
                Err(_) if build.is_dir() => None,
                Err(error) => return Err(error),
            };
            let Some(making) = making else { continue };
            let clangs = making.compilers.iter().filter(|text| text.contains("clang version"));
            traces.compiler = clangs.filter_map(|text| Some(version::parse(text)?.major)).chain(traces.compiler).max();
            traces.raw_version = making.raw_version.max(traces.raw_version);
        }
        Ok(traces)
    }

    /// LLVMs whose llvm-profdata reads the raw profiles and writes what the compiler reads, the best first: the compiler's own, then the
    /// next older ones. Of an unknown compiler, the oldest: what that writes, all of them read.
    pub fn llvms(self) -> Vec<u64> {
        match (self.compiler, self.raw_version) {
            (Some(compiler), _) => {
                let of_version = formats::raw_version(compiler).and_then(formats::raw_llvms);
                let first = of_version.map_or(compiler, |llvms| *llvms.start());
                (first..=compiler).rev().collect()
            }
            (None, Some(version)) => formats::raw_llvms(version).into_iter().flatten().collect(),
            (None, None) => Vec::new(),
        }
    }
}

impl fmt::Display for Traces {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        match (self.compiler, self.raw_version) {
            (Some(compiler), _) => write!(to, "compiled by clang {compiler}"),
            (None, Some(version)) => write!(to, "raw version {version}"),
            (None, None) => write!(to, "of an unknown compiler"),
        }
    }
}
