//! Many profiles become one: raw ones are added up first, and llvm-profdata or merge-fdata does the rest.
//!
//! Says which files were damaged; what becomes of them is the caller's business. Unaware of where files come from.

use std::str::FromStr;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::tools::{self, Job, Reason};
use crate::profile::{Format, fdata, raw};

/// What to merge, with what, into which file.
pub(crate) struct Order<'a> {
    pub format: Format,
    /// llvm-profdata or merge-fdata.
    pub tool: &'a Utf8Path,
    /// Each is one profile for the share of damaged ones.
    pub files: &'a [Utf8PathBuf],
    /// Merged profiles that must be good.
    pub with: &'a [Utf8PathBuf],
    /// 0: as many as there are cores.
    pub threads: usize,
    /// For files in between; on the output's file system.
    pub work: &'a Utf8Path,
    pub output: &'a Utf8Path,
    pub limit: Share,
}

/// What became of the files.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub empty: usize,
    /// Left out, with the reason.
    pub damaged: Vec<Reason>,
    /// How many were added up without the tool.
    pub added: usize,
}

/// A part of all files, as `1%` on command lines.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share(f64);

impl Share {
    /// From 0 to 1.
    pub(crate) fn of_one(self) -> f64 {
        self.0
    }
}

impl FromStr for Share {
    type Err = String;
    fn from_str(text: &str) -> Result<Share, String> {
        let number = text.strip_suffix('%').map(str::trim).and_then(|number| number.parse::<f64>().ok());
        let share = number.filter(|number| (0.0..=100.0).contains(number)).map(|number| Share(number / 100.0));
        share.ok_or_else(|| "a share is written as `1%`, from 0% to 100%".into())
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, to: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(to, "{}%", self.0 * 100.0)
    }
}

/// Merges.
///
/// # Errors
/// No file has content, too many are damaged, the tool reads another version, or something cannot be read or written.
pub(crate) fn merge(order: &Order) -> Result<Outcome> {
    let outcome = match order.format {
        Format::Profdata => profdata(order)?,
        Format::Fdata => fdata(order)?,
    };
    Ok(outcome)
}

fn profdata(order: &Order) -> Result<Outcome> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if order.threads == 0 { cores() } else { order.threads };
    let folded = raw::fold(order.files, order.work, threads)?;
    let (empty, mut damaged) = (folded.empty.len(), folded.damaged);
    check_content(order, empty, &damaged)?;
    let job = Job { tool: order.tool, work: order.work, output: order.output, sums: &folded.sums };
    // What llvm-profdata makes of a few files should not depend on how many threads it has.
    let of_tool = |files: usize| if files < FEW { 1 } else { threads };
    let mut left = folded.left;
    let mut complaints = tools::profdata(&job, &left, order.with, of_tool(left.len()))?;
    let mut added = folded.added;
    if complaints.iter().any(|(path, _)| folded.sums.iter().any(|(sum, _)| sum == path)) {
        // It knows better: it gets the files themselves.
        left = order.files.iter().filter(|path| !damaged.iter().any(|(bad, _)| bad == *path)).cloned().collect();
        complaints = tools::profdata(&job, &left, order.with, of_tool(left.len()))?;
        added = 0;
    }
    // It says this of a count that it takes nevertheless.
    complaints.retain(|(_, reason)| !reason.contains("excessively large counter value"));
    damaged.extend(complaints);
    check_share(order, &damaged)?;
    Ok(Outcome { empty, damaged, added })
}

/// A directory for files in between, in the directory of the result: a rename puts that in place whole or not at all.
///
/// # Errors
/// It cannot be made.
pub(crate) fn work_in(dir: &Utf8Path) -> Result<tempfile::TempDir> {
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
    let work = tempfile::Builder::new().prefix(".merge-").tempdir_in(dir);
    work.with_context(|| format!("cannot write to the directory {dir}"))
}

/// So many files llvm-profdata merges in one thread.
const FEW: usize = 32;

fn fdata(order: &Order) -> Result<Outcome> {
    let (mut good, mut outcome) = (Vec::new(), Outcome::default());
    for path in order.files {
        // merge-fdata refuses all files because of an empty or a truncated one.
        match fdata::condition(path).with_context(|| format!("cannot read {path}"))? {
            fdata::Condition::Good => good.push(path.clone()),
            fdata::Condition::Empty => outcome.empty += 1,
            fdata::Condition::Truncated => outcome.damaged.push((path.clone(), "its last line is not complete".into())),
        }
    }
    check_content(order, outcome.empty, &outcome.damaged)?;
    check_share(order, &outcome.damaged)?;
    let job = Job { tool: order.tool, work: order.work, output: order.output, sums: &[] };
    tools::fdata(&job, &good, order.with)?;
    Ok(outcome)
}

fn check_content(order: &Order, empty: usize, damaged: &[Reason]) -> Result<()> {
    if empty == order.files.len() {
        bail!(
            "none of the {empty} profiles has content; the processes that should have written them were killed, or the \
             disk is full"
        );
    }
    if empty + damaged.len() == order.files.len() {
        bail!("none of the {} profiles is good:{}", order.files.len(), some(damaged));
    }
    Ok(())
}

fn check_share(order: &Order, damaged: &[Reason]) -> Result<()> {
    let (bad, all) = (damaged.len(), order.files.len());
    if bad as f64 > order.limit.0 * all as f64 {
        bail!(
            "{bad} of {all} profiles are damaged, more than {} of them:{}\n  Processes that were killed while they wrote and \
             full disks leave such files. `--max-damaged` sets how many are accepted",
            order.limit,
            some(damaged)
        );
    }
    Ok(())
}

/// The first few, a line each.
fn some(damaged: &[Reason]) -> String {
    let lines: Vec<String> = damaged.iter().take(5).map(|(path, reason)| format!("\n  - {path}: {reason}")).collect();
    let more = if damaged.len() > 5 { format!("\n  - and {} more", damaged.len() - 5) } else { String::new() };
    lines.concat() + &more
}
