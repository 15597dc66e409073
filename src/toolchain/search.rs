//! Where a tool may be. Unaware of versions, except as parts of names.

use std::iter;
use std::ops::RangeInclusive;

use camino::{Utf8Path, Utf8PathBuf};

use crate::facts::Facts;
use crate::pipeline::{Piece, Pipeline, Text, VarValue};

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
    with_number(facts, program, major).chain(facts.program(program)).chain(newest)
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
            Piece::Outputs(_) | Piece::SelfOut | Piece::SelfBuild | Piece::Jobs | Piece::Tool(_) => return None,
        }
    }
    Some(value)
}
