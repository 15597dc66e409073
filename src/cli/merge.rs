//! `optbuild merge`: profiles of many processes become one. Unaware of how they are added up.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::process::Command;

use anyhow::{Context, Error, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::MergeArgs;
use super::exit::{Machine, usage};
use super::output::{print, tell};
use crate::facts::Facts;
use crate::op::merge::engine;
use crate::op::merge::tools::Order;
use crate::op::merge::work::{Output, Work};
use crate::profile::header::{Header, HeaderKind};
use crate::profile::raw::Input;
use crate::profile::raw::layout::LONGEST_HEADER;
use crate::profile::{self, Format};
use crate::text;
use crate::toolchain::{formats, rust};

/// `optbuild merge`
pub fn merge(args: &MergeArgs) -> Result<u8> {
    let output = Output::at(&args.output)?;
    let mut files: Vec<Input> = Vec::new();
    let plain = args.input.iter().map(|input| (1, input));
    for (weight, input) in plain.chain(args.weighted_input.iter().map(|(weight, input)| (*weight, input))) {
        if !input.exists() {
            return Err(usage!("there is no {input}"));
        }
        // A file that is named is taken whatever its name. What is found is not, if it is what an earlier merge wrote here.
        if !input.is_dir() {
            files.push((input.clone(), weight));
            continue;
        }
        let wanted =
            |path: &Utf8Path| matches!(path.extension(), Some("profraw" | "profdata" | "fdata")) && !output.is(path);
        let found = profile::find(input, wanted).with_context(|| format!("cannot look for profiles in {input}"))?;
        if found.is_empty() {
            tell(&format!("there is no profile (*.profraw, *.profdata, *.fdata) in {input}"));
        }
        files.extend(found.into_iter().map(|file| (file.path, weight)));
    }
    let format = format(&files)?;
    if format == Format::Fdata && files.iter().any(|(_, weight)| *weight != 1) {
        return Err(usage!("profiles of BOLT have no weights: merge-fdata adds them up as they are"));
    }
    let work = Work::beside(&output)?;
    let tool = match (&args.profdata, format) {
        (Some(tool), Format::Profdata) => tool.clone(),
        (_, Format::Profdata) => reader(&files, &work)?,
        (_, Format::Fdata) => candidates("merge-fdata").next().ok_or_else(|| none("merge-fdata"))?,
    };
    let merged = work.join("merged");
    let order = Order {
        format,
        tool: &tool,
        files: &files,
        with: &[],
        threads: args.jobs.map_or(0, |jobs| jobs as usize),
        work: &work,
        output: &merged,
        limit: args.max_damaged,
    };
    let outcome = engine::merge(&order)?;
    output.put(&merged)?;
    for (path, reason) in &outcome.spoiled {
        tell(&format!("{path}: {reason}"));
    }
    for (path, reason) in &outcome.damaged {
        tell(&format!("left out: {path}: {reason}"));
    }
    let good = files.len() - outcome.empty - outcome.damaged.len();
    let mut line = format!("{}: {}", args.output, text::plural(good, "profile"));
    for (number, what) in [(outcome.empty, "empty"), (outcome.damaged.len(), "damaged")] {
        if number > 0 {
            line.push_str(&format!(", {number} {what}"));
        }
    }
    match format {
        Format::Profdata if outcome.written => line.push_str(", without llvm-profdata"),
        Format::Profdata => line.push_str(&format!("; {} added up before llvm-profdata", outcome.added)),
        Format::Fdata => {}
    }
    line.push('\n');
    print(&line)?;
    Ok(0)
}

/// The family that all files belong to.
fn format(files: &[Input]) -> Result<Format> {
    let mut seen: [Option<&Utf8Path>; 2] = [None, None];
    for (path, _) in files {
        let header = Header::read(path).with_context(|| format!("cannot read {path}"))?;
        let bolt = header.is_none() && path.extension() == Some(Format::Fdata.raw_extension());
        seen[usize::from(bolt)].get_or_insert(path);
    }
    match seen {
        [Some(profile), Some(bolt)] => Err(usage!(
            "{profile} is a profile of LLVM's instrumentation and {bolt} one of BOLT: merge them one family at a time"
        )),
        [Some(_), None] => Ok(Format::Profdata),
        [None, Some(_)] => Ok(Format::Fdata),
        [None, None] => Err(usage!("there is no profile (*.profraw, *.profdata, *.fdata) in what was named")),
    }
}

/// The first of the tools that read most of the files. What it does not read is for the merge to judge: a damaged file may name
/// any version.
fn reader(files: &[Input], work: &Utf8Path) -> Result<Utf8PathBuf> {
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
fn candidates(name: &'static str) -> impl Iterator<Item = Utf8PathBuf> {
    let facts = Facts::live();
    let numbered =
        (13..=35).rev().flat_map(move |major| [format!("{name}-{major}"), format!("/usr/lib/llvm-{major}/bin/{name}")]);
    let of_rust = rust::llvm_tools(&facts, name);
    std::iter::once(name.to_string()).chain(numbered).filter_map(move |program| facts.program(&program)).chain(of_rust)
}

/// What is said where there is no tool.
fn none(name: &str) -> Error {
    Machine(format!("there is no {name} in PATH: install LLVM's tools")).into()
}

/// Whether a tool has nothing against the version of a profile.
fn reads(tool: &Utf8Path, profile: &Utf8Path) -> bool {
    let Ok(output) = Command::new(tool).args(["show", profile.as_str()]).output() else { return false };
    let said = String::from_utf8_lossy(&output.stderr);
    !said.contains("version mismatch") && !said.contains("unsupported instrumentation profile format version")
}
