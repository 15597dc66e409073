//! Finds a tool, learns its version and what it can do. Through facts only; unaware of stages, except in [`doctor`], which
//! reads their plans.
//!
//! A tool is looked for in this order, and the first one counts that has a version which the pipeline asks for:
//!
//! | where | names |
//! |---|---|
//! | the declared directory, and `bin` in it | those that `[tools]` gives, else the tool's own |
//! | PATH | the same |
//! | the newest LLVM of Homebrew | the tool's own; only tools of LLVM whose names are not given |
//! | PATH, then the directories of distributions, from the newest LLVM to the oldest | `clang-22`; `clang` |

pub mod doctor;
pub mod formats;
pub mod llvm;
pub mod packages;
pub mod rust;
pub mod rustc_perf;
pub mod version;

use std::iter;
use std::ops::RangeInclusive;

use camino::{Utf8Path, Utf8PathBuf};
use semver::{Version, VersionReq};

use crate::facts::Facts;
use crate::pipeline::{Piece, Pipeline, Text, ToolDecl, VarValue};
use crate::plan::Gap;

/// The versions of LLVM under whose numbers tools are looked for: names are guessed, because reading every directory of PATH
/// costs more. BOLT is in LLVM since 14.
pub(super) const LLVM_MAJORS: RangeInclusive<u64> = 14..=35;

/// Directories of one version of LLVM: Debian and Ubuntu; Fedora; Arch and Alpine; Gentoo; Homebrew.
const LLVM_DIRS: [&str; 6] = [
    "/usr/lib/llvm-{}/bin",
    "/usr/lib64/llvm{}/bin",
    "/usr/lib/llvm{}/bin",
    "/usr/lib/llvm/{}/bin",
    "/opt/homebrew/opt/llvm@{}/bin",
    "/usr/local/opt/llvm@{}/bin",
];

/// Directories of the newest LLVM only: Homebrew does not put it into PATH, Apple has its own there.
const LLVM_DIRS_UNVERSIONED: [&str; 2] = ["/opt/homebrew/opt/llvm/bin", "/usr/local/opt/llvm/bin"];

/// A tool that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    pub path: Utf8PathBuf,
    /// As far as it prints one.
    pub version: Option<Version>,
}

impl Tool {
    /// The tool at a path, asked for its version. `name` is what it is called in a pipeline.
    pub fn at(facts: &Facts, name: &str, path: Utf8PathBuf) -> Tool {
        Tool { version: version::of(facts, name, &path), path }
    }

    /// Of an LLVM tool: which LLVM.
    pub fn llvm_major(&self) -> Option<u64> {
        self.version.as_ref().map(|version| version.major)
    }
}

/// Looks for a tool as `[tools]` says, or as its name says if it is not there, and asks it for its version.
///
/// # Errors
/// A gap: it is not there, or what is there has another version.
pub fn find(facts: &Facts, pipeline: &Pipeline, name: &str) -> Result<Tool, Gap> {
    Ok(Tool::at(facts, name, locate(facts, pipeline, name)?))
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
        return candidates(facts, pipeline, name).next().ok_or_else(|| missing(facts, pipeline, name));
    };
    let requirement = VersionReq::parse(text).map_err(|error| Gap {
        what: format!("`{text}`, the version of the tool `{name}`, is not a requirement: {error}"),
        remedy: format!("write `tools.{name}.version` as `22`, `>=19` or `>=3.20, <5`"),
    })?;
    let mut unfit: Option<(Utf8PathBuf, Option<Version>)> = None;
    for path in candidates(facts, pipeline, name) {
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
    match declared_dir(facts, pipeline, name) {
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
        [Piece::Var(variable)] => Some(variable),
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
    let with_llvm = is_llvm(name) || matches!(name, packages::PROFILE_RUNTIME | packages::BOLT_RUNTIME);
    let mut others = pipeline.tools.iter().filter(|(name, _)| with_llvm && is_llvm(name));
    own.or_else(|| others.find_map(|(_, tool)| of(tool)))
}

/// The file name of a path, empty if there is none.
fn file_name(path: &Utf8Path) -> &str {
    path.file_name().unwrap_or_default()
}

/// Existing programs in the order in which they are to be tried.
pub(super) fn candidates<'a>(
    facts: &'a Facts,
    pipeline: &Pipeline,
    name: &'a str,
) -> impl Iterator<Item = Utf8PathBuf> + use<'a> {
    let given = pipeline.tools.get(name).map(|tool| tool.names.clone()).unwrap_or_default();
    let versioned = given.is_empty() && is_llvm(name);
    let names = if given.is_empty() { default_names(name) } else { given };
    let dir = declared_dir(facts, pipeline, name);
    let declared: Vec<Utf8PathBuf> = dir
        .iter()
        .flat_map(|dir| [dir.clone(), dir.join("bin")])
        .flat_map(|dir| names.iter().map(move |name| dir.join(name)).collect::<Vec<_>>())
        .collect();
    // The last of the default names is the program's own: `ld.lld` for `lld`.
    let program = names.last().cloned().unwrap_or_default();
    let found = move |path: Utf8PathBuf| facts.program(path.as_str());
    let in_path = names.into_iter().filter_map(|name| facts.program(&name));
    let in_distribution = iter::once(()).filter(move |()| versioned).flat_map(move |()| {
        let newest = LLVM_DIRS_UNVERSIONED.map(|dir| Utf8Path::new(dir).join(&program));
        let program = program.clone();
        let numbered = LLVM_MAJORS.rev().flat_map(move |major| with_number(facts, &program, major));
        newest.into_iter().filter_map(found).chain(numbered)
    });
    declared.into_iter().filter_map(found).chain(in_path).chain(in_distribution)
}

/// A program of one LLVM, under the names and in the directories of distributions.
fn with_number<'a>(facts: &'a Facts, program: &str, major: u64) -> impl Iterator<Item = Utf8PathBuf> + use<'a> {
    let named = facts.program(&format!("{program}-{major}"));
    let dirs = LLVM_DIRS.map(|dir| Utf8PathBuf::from(dir.replace("{}", &major.to_string())).join(program));
    named.into_iter().chain(dirs.into_iter().filter_map(|path| facts.program(path.as_str())))
}

/// Programs that may be of one LLVM, wherever they are: the names without a number have to be asked.
pub(super) fn installed(facts: &Facts, program: &str, major: u64) -> impl Iterator<Item = Utf8PathBuf> {
    let newest = LLVM_DIRS_UNVERSIONED.map(|dir| Utf8Path::new(dir).join(program));
    let newest = newest.into_iter().filter_map(|path| facts.program(path.as_str()));
    let of_rust = iter::once(()).flat_map(move |()| rust::llvm_tools(facts, program));
    with_number(facts, program, major).chain(facts.program(program)).chain(newest).chain(of_rust)
}

/// The programs that a tool's name stands for.
fn default_names(name: &str) -> Vec<String> {
    match name {
        // `lld` itself only says that it wants to be called by another name.
        "lld" => vec!["ld.lld".into()],
        "ninja" => vec!["ninja".into(), "ninja-build".into()],
        name => vec![name.into()],
    }
}

/// Whether a tool comes with LLVM, and so has the number of an LLVM in the names that distributions give it.
pub(super) fn is_llvm(name: &str) -> bool {
    name.starts_with("llvm-")
        || matches!(name, "clang" | "clang++" | "clang-cl" | "clang-scan-deps" | "lld" | "ld.lld" | "wasm-ld")
        || matches!(name, "merge-fdata" | "perf2bolt" | "opt" | "llc" | "lli" | "FileCheck" | "dsymutil")
}

/// The directory that `[tools]` gives, if it gives one that is not empty.
pub(super) fn declared_dir(facts: &Facts, pipeline: &Pipeline, name: &str) -> Option<Utf8PathBuf> {
    let dir = Utf8PathBuf::from(text_value(facts, pipeline, pipeline.tools.get(name)?.dir.as_ref()?)?);
    if dir.as_str().is_empty() {
        return None;
    }
    Some(pipeline.dirs.first().cloned().unwrap_or_default().join(dir))
}

/// The string that a text is, if it refers to nothing that is known only when stages run.
fn text_value(facts: &Facts, pipeline: &Pipeline, text: &Text) -> Option<String> {
    let mut value = String::new();
    for piece in &text.pieces {
        match piece {
            Piece::Literal(text) => value.push_str(text),
            Piece::Host => value.push_str(&facts.host()),
            Piece::PipelineDir(file) => value.push_str(pipeline.dirs.get(*file)?.as_str()),
            Piece::Var(name) => match &pipeline.vars.get(name)?.value {
                VarValue::String(text) => value.push_str(text),
                VarValue::Path(path) => value.push_str(path.as_str()),
                VarValue::Int(number) => value.push_str(&number.to_string()),
                VarValue::Bool(_) | VarValue::List(_) => return None,
            },
            Piece::Outputs(_)
            | Piece::SelfOut
            | Piece::SelfBuild
            | Piece::SelfCompiler { .. }
            | Piece::Jobs
            | Piece::Tool(_) => return None,
        }
    }
    Some(value)
}
