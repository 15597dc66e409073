//! `optbuild merge`: profiles of many processes become one. Unaware of how they are added up.

mod reader;

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::args::MergeArgs;
use super::exit::Usage;
use super::output::{print, tell};
use crate::op::merge::engine;
use crate::op::merge::tools::Order;
use crate::op::merge::work::{Output, Work};
use crate::profile::header::Header;
use crate::profile::raw::Input;
use crate::profile::{self, Format};
use crate::text;

/// `optbuild merge`
pub fn merge(args: &MergeArgs) -> Result<u8> {
    let output = Output::at(&args.output)?;
    let mut files: Vec<Input> = Vec::new();
    let plain = args.input.iter().map(|input| (1, input));
    for (weight, input) in plain.chain(args.weighted_input.iter().map(|(weight, input)| (*weight, input))) {
        if !input.exists() {
            return Err(Usage(format!("there is no {input}")).into());
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
        return Err(Usage("profiles of BOLT have no weights: merge-fdata adds them up as they are".into()).into());
    }
    let work = Work::beside(&output)?;
    let tool = match (&args.profdata, format) {
        (Some(tool), Format::Profdata) => tool.clone(),
        (_, Format::Profdata) => reader::find(&files, &work)?,
        (_, Format::Fdata) => reader::candidates("merge-fdata").next().ok_or_else(|| reader::none("merge-fdata"))?,
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
