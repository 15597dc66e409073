//! `optbuild history` and `optbuild report`: the runs in a state directory, what changed from one to another, and one as HTML, Markdown or
//! JSON, and as a trace.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::args::{HistoryArgs, HistoryCommand, HistoryDiffArgs, ReportArgs, ReportFormat};
use super::exit::usage;
use super::output::{look, print};
use super::project::{existing_state, nothing_run};
use super::show;
use crate::names::RunId;
use crate::report::info::{RunRow, diff_table, history_table};
use crate::report::model::diff::Diff;
use crate::report::model::{Report, past};
use crate::report::{html, markdown, trace};
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
    let layout = existing_state(args.common.state_dir.as_deref())?;
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
        return Err(nothing_run(&layout));
    }
    show(args.common.json, &rows, || history_table(&rows, &jiff::tz::TimeZone::system(), look()))
}

fn diff(args: &HistoryDiffArgs) -> Result<u8> {
    let layout = existing_state(args.common.state_dir.as_deref())?;
    let to = find(&layout, Some(&args.to))?;
    let from = match &args.from {
        Some(name) => find(&layout, Some(name))?,
        None => before(&layout, &to)?,
    };
    let diff = Diff::of(&past::report(&layout, &from)?, &past::report(&layout, &to)?);
    show(args.common.json, &diff, || diff_table(&diff, args.all, look()))
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
    Err(usage!(
        "{run} is the first run of the pipeline {pipeline} ({file}), there is none to compare it with; \
         `optbuild history diff A B` compares any two"
    ))
}

/// The run that is meant: by its name, a part of it, `last`, or `last~N`. None: the last one.
pub fn find(layout: &Layout, wanted: Option<&str>) -> Result<RunId> {
    let runs = journal::runs(layout)?;
    let wanted = wanted.unwrap_or("last");
    let back = match wanted.strip_prefix("last") {
        Some("") => Some(0),
        Some(rest) => rest.strip_prefix('~').and_then(|number| number.parse::<usize>().ok()),
        None => None,
    };
    if let Some(back) = back {
        // One that was killed before it could say what it is has done nothing.
        let has_begun = |run: &RunId| std::fs::metadata(layout.journal(run)).is_ok_and(|found| found.len() > 0);
        let begun = runs.into_iter().rev().filter(has_begun);
        let begun: Vec<RunId> = begun.take(back.saturating_add(1)).collect();
        return match (begun.get(back), begun.len()) {
            (Some(run), _) => Ok(run.clone()),
            (None, 0) => Err(nothing_run(layout)),
            (None, number) => {
                let are = if number == 1 { "is" } else { "are" };
                let runs = crate::text::plural(number, "run");
                Err(usage!("there is no run `{wanted}`: there {are} {runs}; `optbuild history` lists them"))
            }
        };
    }
    let found: Vec<&RunId> = runs.iter().filter(|run| *run == wanted || run.contains(wanted)).collect();
    match found.as_slice() {
        [run] => Ok((*run).clone()),
        [] => Err(usage!("there is no run `{wanted}`; `optbuild history` lists them")),
        several => {
            let names: Vec<&str> = several.iter().take(5).map(|run| run.as_str()).collect();
            Err(usage!("`{wanted}` may be one of several runs: {}", names.join(", ")))
        }
    }
}

/// `optbuild report`
pub fn report(args: &ReportArgs) -> Result<u8> {
    if args.schema {
        return super::print_schema(&Report::schema());
    }
    let layout = existing_state(args.state_dir.as_deref())?;
    let run = find(&layout, args.run.as_deref())?;
    let report = past::report(&layout, &run)?;
    if let Some(file) = &args.trace {
        let text = serde_json::to_string(&trace::render(&report)).context("the trace cannot be written as JSON")?;
        put(file, &text)?;
        if args.output.is_none() && args.format.is_none() {
            return Ok(0);
        }
    }
    let format = format(args);
    let text = match format {
        ReportFormat::Html => html::render(&report).context("the report cannot be written as JSON")?,
        ReportFormat::Md => markdown::render(&report),
        ReportFormat::Json => {
            serde_json::to_string_pretty(&report).context("the report cannot be written as JSON")? + "\n"
        }
    };
    match &args.output {
        Some(file) => put(file, &text)?,
        None if format == ReportFormat::Html => {
            let file = layout.run(&run).join("report.html");
            put(&file, &text)?;
            print(&format!("{file}\n"))?;
        }
        None => put(Utf8Path::new("-"), &text)?,
    }
    Ok(0)
}

/// What was asked for, else what the file's name says.
fn format(args: &ReportArgs) -> ReportFormat {
    let by_name = || match args.output.as_deref().and_then(Utf8Path::extension) {
        Some("md" | "markdown") => ReportFormat::Md,
        Some("json") => ReportFormat::Json,
        _ => ReportFormat::Html,
    };
    args.format.unwrap_or_else(by_name)
}

/// Writes a file. `-` is standard output.
fn put(file: &Utf8Path, text: &str) -> Result<()> {
    if file == "-" {
        return print(text);
    }
    if let Some(dir) = file.parent().filter(|dir| !dir.as_str().is_empty()) {
        std::fs::create_dir_all(dir).with_context(|| format!("cannot make the directory {dir}"))?;
    }
    std::fs::write(file, text).with_context(|| format!("cannot write {file}"))
}
