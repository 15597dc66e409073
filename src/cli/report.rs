//! `optbuild report`: a run as HTML, Markdown or JSON, and as a trace.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::args::{ReportArgs, ReportFormat};
use super::output::print;
use super::{history, project};
use crate::report::model::{Report, past};
use crate::report::{html, markdown, trace};

/// `optbuild report`
pub fn report(args: &ReportArgs) -> Result<u8> {
    if args.schema {
        return super::man::print_schema(&Report::schema());
    }
    let layout = project::existing_state(args.state_dir.as_deref())?;
    let run = history::find(&layout, args.run.as_deref())?;
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
