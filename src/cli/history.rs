//! `optbuild history`: the runs in a state directory, and what changed from one to another.

use anyhow::{Context as _, Result};

use super::args::{HistoryArgs, HistoryCommand, HistoryDiffArgs};
use super::exit::Usage;
use super::output::print;
use super::{last_run, project};
use crate::names::RunId;
use crate::report::info::{RunRow, diff_table, history_table};
use crate::report::model::diff::Diff;
use crate::report::model::past;
use crate::state::journal;
use crate::state::layout::Layout;

/// `optbuild history`
pub fn history(args: &HistoryArgs) -> Result<u8> {
    match &args.command {
        Some(HistoryCommand::Diff(args)) => diff(args),
        None => list(args),
    }
}

fn list(args: &HistoryArgs) -> Result<u8> {
    let layout = project::existing_state(args.common.state_dir.as_deref())?;
    let mut rows = Vec::new();
    for run in journal::runs(&layout)?.into_iter().rev() {
        if rows.len() == args.number {
            break;
        }
        let (model, warning) = past::read(&layout, &run)?;
        if let Some(warning) = warning {
            tracing::debug!("{warning}");
        }
        rows.extend(model.began().map(|_| RunRow::of(&run, &model)));
    }
    rows.reverse();
    if rows.is_empty() && args.number > 0 {
        return Err(last_run::nothing_run(&layout));
    }
    if args.common.json {
        print(&(serde_json::to_string_pretty(&rows).context("the runs cannot be written as JSON")? + "\n"))?;
    } else {
        print(&history_table(&rows, &jiff::tz::TimeZone::system(), super::output::look()))?;
    }
    Ok(0)
}

fn diff(args: &HistoryDiffArgs) -> Result<u8> {
    let layout = project::existing_state(args.common.state_dir.as_deref())?;
    let to = find(&layout, Some(&args.to))?;
    let from = match &args.from {
        Some(name) => find(&layout, Some(name))?,
        None => before(&layout, &to)?,
    };
    let diff = Diff::of(&past::report(&layout, &from)?, &past::report(&layout, &to)?);
    if args.common.json {
        print(&(serde_json::to_string_pretty(&diff).context("the changes cannot be written as JSON")? + "\n"))?;
    } else {
        print(&diff_table(&diff, args.all, super::output::look()))?;
    }
    Ok(0)
}

/// The last run of the same pipeline before that one.
fn before(layout: &Layout, run: &str) -> Result<RunId> {
    let of = past::about(layout, run)?;
    for name in journal::runs(layout)?.into_iter().rev().filter(|name| name.as_str() < run) {
        if past::about(layout, &name)?.same_pipeline(&of) {
            return Ok(name);
        }
    }
    let (pipeline, file) = (of.pipeline, of.file);
    Err(Usage(format!(
        "{run} is the first run of the pipeline {pipeline} ({file}), there is none to compare it with; \
         `optbuild history diff A B` compares any two"
    ))
    .into())
}

/// The run that is meant: by its name, a part of it, `last`, or `last~N`. None: the last one.
pub fn find(layout: &Layout, wanted: Option<&str>) -> Result<RunId> {
    let mut runs = journal::runs(layout)?;
    let wanted = wanted.unwrap_or("last");
    let back = match wanted.strip_prefix("last") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('~').and_then(|number| number.parse::<usize>().ok()),
        None => None,
    };
    if let Some(back) = back {
        // One that was killed before it could say what it is has done nothing.
        let mut begun = Vec::new();
        while let Some(run) = runs.pop() {
            if std::fs::metadata(layout.journal(&run)).is_ok_and(|found| found.len() > 0) {
                begun.push(run);
                if begun.len() > back {
                    break;
                }
            }
        }
        return match (begun.get(back), begun.len()) {
            (Some(run), _) => Ok(run.clone()),
            (None, 0) => Err(last_run::nothing_run(layout)),
            (None, number) => {
                let are = if number == 1 { "is" } else { "are" };
                let runs = crate::text::plural(number, "run");
                Err(Usage(format!("there is no run `{wanted}`: there {are} {runs}; `optbuild history` lists them"))
                    .into())
            }
        };
    }
    let found: Vec<&RunId> = runs.iter().filter(|run| *run == wanted || run.contains(wanted)).collect();
    match found.as_slice() {
        [run] => Ok((*run).clone()),
        [] => Err(Usage(format!("there is no run `{wanted}`; `optbuild history` lists them")).into()),
        several => {
            let names: Vec<&str> = several.iter().take(5).map(|run| run.as_str()).collect();
            Err(Usage(format!("`{wanted}` may be one of several runs: {}", names.join(", "))).into())
        }
    }
}
