//! `optbuild profile diff`

use std::collections::HashMap;

use anyhow::Result;

use super::subject::{Format, Subject, list};
use crate::cli::args::ProfileDiffArgs;
use crate::cli::exit::Usage;
use crate::cli::output::{look, print};
use crate::op::merge::tools::Level;
use crate::profile::fdata;
use crate::profile::figures::{Counts, compare};
use crate::profile::names::demangle;
use crate::report::info::{ChangeInfo, DiffInfo, diff_text};

/// How two profiles differ.
pub(super) fn diff(args: &ProfileDiffArgs) -> Result<u8> {
    let [base, other] = [Subject::find(&args.base, &args.form)?, Subject::find(&args.other, &args.form)?];
    let (a, b) = match (&base.format, &other.format) {
        (Format::Llvm(..), Format::Llvm(..)) => (counts(&base)?, counts(&other)?),
        (Format::Bolt(a), Format::Bolt(b)) => bolt(a, b),
        _ => {
            let message =
                "one is a profile of LLVM's instrumentation and the other one of BOLT: their counts mean other things";
            return Err(Usage(format!("{} and {} cannot be compared; {message}", base.path, other.path)).into());
        }
    };
    let found = compare(&a, &b, args.form.top);
    let readable = |names: Vec<String>| names.iter().map(|name| demangle(name)).collect();
    let changes = found.changes.into_iter().map(|change| ChangeInfo {
        demangled: demangle(&change.name),
        name: change.name,
        base: change.base * 100.0,
        other: change.other * 100.0,
    });
    let mut info = DiffInfo {
        base: base.path.to_string(),
        other: other.path.to_string(),
        overlap: found.overlap * 100.0,
        base_total_count: a.total().to_string(),
        other_total_count: b.total().to_string(),
        base_functions: a.functions(),
        other_functions: b.functions(),
        base_functions_run: a.functions_run(),
        other_functions_run: b.functions_run(),
        base_workloads: base.workloads,
        other_workloads: other.workloads,
        same_functions: found.same,
        lost_base: found.lost_base * 100.0,
        lost_other: found.lost_other * 100.0,
        mismatched: found.mismatched,
        only_base: found.only_base,
        only_other: found.only_other,
        changes: changes.collect(),
    };
    if args.form.json {
        print(&format!("{:#}\n", serde_json::json!(info)))?;
        return Ok(0);
    }
    for names in [&mut info.mismatched, &mut info.only_base, &mut info.only_other] {
        *names = readable(std::mem::take(names));
    }
    print(&diff_text(&info, args.form.top, look()))?;
    Ok(0)
}

/// The first level; of a profile that has no other one, the second.
fn counts(subject: &Subject) -> Result<Counts> {
    let Format::Llvm(header, tool) = &subject.format else { return Ok(Counts::default()) };
    let mut counts = Counts::default();
    list(tool, &subject.path, Level::First, |function| counts.add(function.name, function.hash, function.counts))?;
    if counts.functions() == 0 && header.context_sensitive {
        list(tool, &subject.path, Level::ContextSensitive, |function| {
            counts.add(function.name, function.hash, function.counts);
        })?;
    }
    Ok(counts)
}

/// A profile of BOLT has a count for each branch that was taken. For both profiles the branches get the same places in a
/// function's list, with 0 where one has not taken a branch.
fn bolt(a: &str, b: &str) -> (Counts, Counts) {
    let mut places: HashMap<&str, HashMap<&str, usize>> = HashMap::new();
    for text in [a, b] {
        fdata::branches(text, |function, place, _| {
            let known = places.entry(function).or_default();
            let next = known.len();
            known.entry(place).or_insert(next);
        });
    }
    let side = |text| {
        let mut lists: HashMap<&str, Vec<u64>> = HashMap::new();
        fdata::branches(text, |function, place, count| {
            let Some(known) = places.get(function) else { return };
            let list = lists.entry(function).or_insert_with(|| vec![0; known.len()]);
            if let Some(sum) = known.get(place).and_then(|place| list.get_mut(*place)) {
                *sum = sum.saturating_add(count);
            }
        });
        let mut counts = Counts::default();
        lists.iter().for_each(|(function, list)| counts.add(function, 0, list));
        counts
    };
    (side(a), side(b))
}
