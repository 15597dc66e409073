//! `optbuild merge`: profiles of many processes become one. Unaware of how they are added up.

use std::fs;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::MergeArgs;
use super::exit::{Machine, Usage};
use super::plan::print;
use crate::facts::Facts;
use crate::op::merge::engine::{self, Order};
use crate::profile::header::Header;
use crate::profile::{self, Format};

/// `optbuild merge`
pub fn merge(args: &MergeArgs) -> Result<u8> {
    let mut files = Vec::new();
    for input in &args.input {
        if !input.exists() {
            return Err(Usage(format!("there is no {input}")).into());
        }
        // A file that is named is taken whatever its name.
        let wanted =
            |path: &Utf8Path| path == input || matches!(path.extension(), Some("profraw" | "profdata" | "fdata"));
        let found = profile::find(input, wanted).with_context(|| format!("cannot look for profiles in {input}"))?;
        files.extend(found.into_iter().map(|file| file.path));
    }
    let format = format(&files)?;
    let tool = tool(args, format)?;
    let dir = match args.output.parent() {
        Some(dir) if !dir.as_str().is_empty() => dir,
        _ => Utf8Path::new("."),
    };
    let work = engine::work_in(dir)?;
    let work_dir = Utf8Path::from_path(work.path()).context("a path that is not UTF-8")?;
    let merged = work_dir.join("merged");
    let order = Order {
        format,
        tool: &tool,
        files: &files,
        with: &[],
        threads: args.jobs.map_or(0, |jobs| jobs as usize),
        work: work_dir,
        output: &merged,
        limit: args.max_damaged,
    };
    let outcome = engine::merge(&order)?;
    fs::rename(&merged, &args.output).with_context(|| format!("cannot write {}", args.output))?;
    for (path, reason) in &outcome.damaged {
        anstream::eprintln!("left out: {path}: {reason}");
    }
    let good = files.len() - outcome.empty - outcome.damaged.len();
    let mut line = format!("{}: {good} profiles", args.output);
    for (number, what) in [(outcome.empty, "empty"), (outcome.damaged.len(), "damaged")] {
        if number > 0 {
            line.push_str(&format!(", {number} {what}"));
        }
    }
    if format == Format::Profdata {
        line.push_str(&format!("; {} added up before llvm-profdata", outcome.added));
    }
    line.push('\n');
    print(&line)?;
    Ok(0)
}

/// The family that all files belong to.
fn format(files: &[Utf8PathBuf]) -> Result<Format> {
    let mut seen: [Option<&Utf8Path>; 2] = [None, None];
    for path in files {
        let header = Header::read(path).with_context(|| format!("cannot read {path}"))?;
        let bolt = header.is_none() && path.extension() == Some(Format::Fdata.raw_extension());
        seen[usize::from(bolt)].get_or_insert(path);
    }
    match seen {
        [Some(profile), Some(bolt)] => Err(Usage(format!(
            "{profile} is a profile of LLVM's instrumentation and {bolt} one of BOLT: merge them one family at a time"
        ))
        .into()),
        [Some(_), None] => Ok(Format::Profdata),
        [None, Some(_)] => Ok(Format::Fdata),
        [None, None] => {
            Err(Usage("there is no profile (*.profraw, *.profdata, *.fdata) in what was named".into()).into())
        }
    }
}

/// The tool that was named, or the first one found: in PATH, then with the number of its LLVM, the newest first.
fn tool(args: &MergeArgs, format: Format) -> Result<Utf8PathBuf> {
    let name = match format {
        Format::Profdata => "llvm-profdata",
        Format::Fdata => "merge-fdata",
    };
    if let (Some(tool), Format::Profdata) = (&args.profdata, format) {
        return Ok(tool.clone());
    }
    let facts = Facts::live();
    let numbered =
        (14..=35).rev().flat_map(|major| [format!("{name}-{major}"), format!("/usr/lib/llvm-{major}/bin/{name}")]);
    let found = std::iter::once(name.to_string()).chain(numbered).find_map(|program| facts.program(&program));
    found.ok_or_else(|| Machine(format!("there is no {name} in PATH: install LLVM's tools")).into())
}
