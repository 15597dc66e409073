//! Many profiles become one: raw ones are added up first, and llvm-profdata or merge-fdata does the rest.
//!
//! Says which files were damaged; what becomes of them is the caller's business. Unaware of where files come from.

use std::collections::HashSet;
use std::fs;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use super::bolt;
use super::damage::Damage;
use super::own::OwnWriter;
use super::tools::{self, Job, Order};
use crate::profile::header::Header;
use crate::profile::raw::{self, Input, Reason, Spoiled};
use crate::profile::{Format, fdata};

/// What became of the files.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub empty: usize,
    /// Left out, with the reason.
    pub damaged: Vec<Reason>,
    /// Functions that were left out of a file, which is merged without them.
    pub spoiled: Vec<(Utf8PathBuf, Spoiled)>,
    /// How many were added up without the tool.
    pub added: usize,
    /// Whether the result was written without it, too.
    pub written: bool,
}

/// Merges files of one format with a tool, and returns those that it says something about, with what it says.
///
/// # Errors
/// It cannot do its work.
pub(in crate::op) fn merge_with_tool(
    format: Format,
    job: &Job,
    files: &[Utf8PathBuf],
    with: &[Utf8PathBuf],
) -> Result<Vec<Reason>> {
    match format {
        Format::Profdata => {
            let inputs: Vec<Input> = files.iter().map(|path| (path.clone(), 1)).collect();
            tools::profdata(job, &inputs, with)
        }
        Format::Fdata => bolt::merge_good(job, files, with),
    }
}

/// Merges.
///
/// # Errors
/// No file has content, too many are damaged, the tool reads another version, or something cannot be read or written.
pub(crate) fn merge(order: &Order) -> Result<Outcome> {
    match order.format {
        Format::Profdata => profdata(order),
        Format::Fdata => fdata(order),
    }
}

fn profdata(order: &Order) -> Result<Outcome> {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if order.threads == 0 { cores() } else { order.threads };
    let folded = raw::fold_weighted(order.files, order.work, threads)?;
    let (empty, mut damaged) = (folded.empty.len(), folded.damaged);
    check_content(order.files.len(), empty, &damaged)?;
    let left: Vec<Input> = folded.left.into_iter().zip(folded.weights).collect();
    let (mut added, mut spoiled) = (folded.added, folded.spoiled);
    check_kinds(&left, order.with)?;
    let own = OwnWriter::new(order, &left, folded.handed.is_empty())?;
    let written = own.write(order.output)?;
    if !written {
        let job = Job { tool: order.tool, work: order.work, output: order.output, sums: &folded.sums, threads };
        let mut complaints = tools::profdata(&job, &left, order.with)?;
        if complaints.is_empty() {
            own.compare(order.output)?;
        }
        if complaints.iter().any(|(path, _)| folded.sums.iter().any(|(sum, _)| sum == path)) {
            // It knows better: it gets the files themselves.
            let bad = |path: &Utf8PathBuf| damaged.iter().any(|(bad, _)| bad == path);
            let left: Vec<Input> = order.files.iter().filter(|(path, _)| !bad(path)).cloned().collect();
            complaints = tools::profdata(&job, &left, order.with)?;
            added = 0;
            spoiled.clear();
        }
        complaints.retain(|(_, reason)| !is_harmless(reason));
        damaged.extend(complaints);
    }
    check_share(order, &damaged)?;
    check_content(order.files.len(), empty, &damaged)?;
    Ok(Outcome { empty, damaged, spoiled, added, written })
}

/// Refuses merged profiles that are of another kind than what they are to be added to, which is all of one.
fn check_kinds(left: &[Input], with: &[Utf8PathBuf]) -> Result<()> {
    let header = |path: &Utf8PathBuf| Header::read(path).with_context(|| format!("cannot read {path}"));
    for with in with {
        let Some((first, _)) = left.first() else { break };
        if let (Some(own), Some(other)) = (header(with)?, header(first)?)
            && own.counted != other.counted
        {
            bail!("{with} cannot be added: {}", raw::two_kinds(own.counted, other.counted, first));
        }
    }
    Ok(())
}

/// It says this of a count that it takes nevertheless.
pub(in crate::op) fn is_harmless(complaint: &str) -> bool {
    complaint.contains("excessively large counter value")
}

fn fdata(order: &Order) -> Result<Outcome> {
    let (mut good, mut outcome) = (Vec::new(), Outcome::default());
    for (path, _) in order.files {
        // merge-fdata reads some files that are cut off as if they were whole.
        let condition = fdata::condition(path).with_context(|| format!("cannot read {path}"))?;
        match condition.damage() {
            Some(damage) => outcome.damaged.push((path.clone(), damage.into())),
            None if condition == fdata::Condition::Empty => outcome.empty += 1,
            None => good.push(path.clone()),
        }
    }
    check_content(order.files.len(), outcome.empty, &outcome.damaged)?;
    check_share(order, &outcome.damaged)?;
    let job = Job::simple(order.tool, order.work, order.output);
    outcome.damaged.extend(bolt::merge_good(&job, &good, order.with)?);
    check_share(order, &outcome.damaged)?;
    check_content(order.files.len(), outcome.empty, &outcome.damaged)?;
    Ok(outcome)
}

/// Refuses profiles if none has content, or none is good.
pub(in crate::op) fn check_content(files: usize, empty: usize, damaged: &[Reason]) -> Result<()> {
    if empty == files {
        bail!(
            "none of the {empty} profiles has content; the processes that should have written them were killed, or the \
             disk is full"
        );
    }
    if empty + damaged.len() == files {
        bail!("none of the {files} profiles is good:{}", first_few(damaged));
    }
    Ok(())
}

fn check_share(order: &Order, damaged: &[Reason]) -> Result<()> {
    if damaged.is_empty() {
        return Ok(());
    }
    let bad: HashSet<&Utf8PathBuf> = damaged.iter().map(|(path, _)| path).collect();
    let mut damage = Damage::default();
    for (path, _) in order.files {
        let counted = match bad.contains(path) {
            true => damage.add(path),
            false => fs::metadata(path).map(|found| match found.len() {
                0 => {}
                bytes => damage.add_good(bytes),
            }),
        };
        counted.with_context(|| format!("cannot read {path}"))?;
    }
    if damage.is_within(order.limit) {
        return Ok(());
    }
    let (bad, all) = (damaged.len(), order.files.len());
    if let Some((path, reason)) = damaged.iter().find(|(_, reason)| raw::is_of_two_kinds(reason)) {
        bail!(
            "{bad} of {all} profiles do not fit to the others, as {path}: {reason}\n  They are of builds with different flags: look \
             which programs wrote them, and merge one kind at a time"
        );
    }
    if let Some((_, wrong)) = damaged.iter().find(|(_, reason)| tools::of_wrong_version(reason)) {
        bail!("{bad} of {all} profiles: {wrong}");
    }
    bail!(
        "{}; no more than {} may be:{}\n  Processes that were killed while they wrote and full disks leave such files. \
         `--max-damaged` sets how much is accepted",
        damage.words(all as u64),
        order.limit,
        first_few(damaged)
    );
}

/// The first few, a line each.
fn first_few(damaged: &[Reason]) -> String {
    let lines: Vec<String> = damaged.iter().take(5).map(|(path, reason)| format!("\n  - {path}: {reason}")).collect();
    let more = if damaged.len() > 5 { format!("\n  - and {} more", damaged.len() - 5) } else { String::new() };
    lines.concat() + &more
}
