//! Finds a tool, learns its version and what it can do. Through facts only; unaware of stages, except in [`doctor`], which
//! reads their plans.

pub mod doctor;
pub mod formats;
pub mod install;
pub mod llvm;
pub mod packages;
pub mod rust;
pub mod rustc_perf;
mod search;
pub mod version;

use camino::{Utf8Path, Utf8PathBuf};
use semver::{Version, VersionReq};

use crate::facts::Facts;
use crate::pipeline::{Pipeline, ToolDecl};
use crate::plan::Gap;

/// A tool that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub path: Utf8PathBuf,
    /// As far as it prints one.
    pub version: Option<Version>,
}

impl Tool {
    /// Of an LLVM tool: which LLVM.
    pub fn llvm_major(&self) -> Option<u64> {
        self.version.as_ref().map(|version| version.major)
    }
}

/// Looks for a tool as `[tools]` says, or as its name says if it is not there: in the declared directory, in PATH, then
/// under the names and in the directories that distributions give to several versions of LLVM. The first one counts that
/// has a version the pipeline asks for. The tool is asked for its version.
///
/// # Errors
/// A gap: it is not there, or what is there has another version.
pub fn find(facts: &Facts, pipeline: &Pipeline, name: &str) -> Result<Tool, Gap> {
    let path = locate(facts, pipeline, name)?;
    let version = version::of(facts, name, &path);
    Ok(Tool { path, version })
}

/// The same without asking for the version, unless `[tools]` says which will do: an arbitrary program need not know
/// `--version`, and planning should not wait for it.
///
/// # Errors
/// As [`find`].
pub fn locate(facts: &Facts, pipeline: &Pipeline, name: &str) -> Result<Utf8PathBuf, Gap> {
    let declared = pipeline.tools.get(name);
    // `*` is met by a program that does not know its version, too.
    let Some(text) = declared.and_then(|tool| tool.version.as_deref()).filter(|text| text.trim() != "*") else {
        return search::candidates(facts, pipeline, name).next().ok_or_else(|| missing(facts, pipeline, name));
    };
    let requirement = VersionReq::parse(text).map_err(|error| Gap {
        what: format!("`{text}`, the version of the tool `{name}`, is not a requirement: {error}"),
        remedy: format!("write `tools.{name}.version` as `22`, `>=19` or `>=3.20, <5`"),
    })?;
    let mut unfit: Option<(Utf8PathBuf, Option<Version>)> = None;
    for path in search::candidates(facts, pipeline, name) {
        match version::of(facts, name, &path) {
            Some(version) if requirement.matches(&version) => return Ok(path),
            // The first one is the one that the user would expect to be taken.
            version => _ = unfit.get_or_insert((path, version)),
        }
    }
    let Some((path, version)) = unfit else { return Err(missing(facts, pipeline, name)) };
    let found = match version {
        Some(version) => format!("is version {version}"),
        None => "does not say which version it is".into(),
    };
    let newer = match package_of(facts, pipeline, name) {
        // A package of that name is there, in another version.
        Some(package) => format!("install one that fits (the package `{package}`, if this machine has it so new)"),
        None => "install one that fits".into(),
    };
    let place = match dir_variable(pipeline, name) {
        Some(variable) => format!("`--set {variable}=DIR`"),
        None => format!("`dir` in `tools.{name}`"),
    };
    let remedy = format!("{newer}, or say where it is with {place}");
    Err(Gap { what: format!("`{name}` at {path} {found}, and the pipeline asks for `{text}`"), remedy })
}

fn missing(facts: &Facts, pipeline: &Pipeline, name: &str) -> Gap {
    let remedy = remedy(facts, pipeline, name);
    match search::declared_dir(facts, pipeline, name) {
        Some(dir) => Gap { what: format!("`{name}` is neither in {dir} nor installed"), remedy },
        None => Gap { what: format!("`{name}` is not installed"), remedy },
    }
}

/// How to come by a tool: the package, and the variable that says where it is.
fn remedy(facts: &Facts, pipeline: &Pipeline, name: &str) -> String {
    let mut remedy = packages::remedy(facts, name, package_of(facts, pipeline, name).as_deref());
    if let Some(variable) = dir_variable(pipeline, name) {
        remedy.push_str(&format!(", or say where it is with `--set {variable}=DIR`"));
    }
    remedy
}

/// The variable that says in which directory a tool is.
fn dir_variable<'a>(pipeline: &'a Pipeline, name: &str) -> Option<&'a str> {
    match pipeline.tools.get(name)?.dir.as_ref()?.pieces.as_slice() {
        [crate::pipeline::Piece::Var(variable)] => Some(variable),
        _ => None,
    }
}

/// The package of this machine's package manager that has a tool in a version that the pipeline asks for.
pub(crate) fn package_of(facts: &Facts, pipeline: &Pipeline, name: &str) -> Option<String> {
    let manager = packages::Manager::of(facts);
    let declared = pipeline.tools.get(name);
    let requirement = requirement(pipeline, name);
    let declared = declared.and_then(|tool| tool.package.clone()).filter(|_| manager == packages::Manager::Apt);
    declared.or_else(|| packages::package(manager, name, packages::llvm_major(requirement.as_ref())))
}

/// The versions that the pipeline asks for. For a tool of LLVM without a requirement of its own that of another one, so that
/// they fit each other.
fn requirement(pipeline: &Pipeline, name: &str) -> Option<VersionReq> {
    let of = |tool: &ToolDecl| VersionReq::parse(tool.version.as_deref()?).ok();
    let own = pipeline.tools.get(name).and_then(of);
    let is_llvm = search::is_llvm(name) || matches!(name, packages::PROFILE_RUNTIME | packages::BOLT_RUNTIME);
    let mut others = pipeline.tools.iter().filter(|(name, _)| is_llvm && search::is_llvm(name));
    own.or_else(|| others.find_map(|(_, tool)| of(tool)))
}

/// The file name of a path, empty if there is none.
fn file_name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or_default()
}

#[cfg(test)]
mod tests;
