//! The report of a run: its model, held against earlier runs, with facts in order and the files that stages want shown.
//!
//! The only place of the model that reads what stages made. What cannot be read is left out, or says why.

use std::fs::File;
use std::io::{self, Read};

use camino::Utf8Path;

use super::{Compared, FORMAT, Past, Report, RunModel, Shown, Stage};
use crate::event::{StageState, Stamped};
use crate::report::summary::{self, Again};
use crate::text;

/// More of a comparison is not read: it has a line per run of a workload.
const COMPARISON: u64 = 32 << 20;
/// More of a file that is to be shown is not printed: it is meant for a table.
const SHOWN: u64 = 64 << 10;
/// Columns of what is said in a report of a run.
const WIDTH: usize = 100;

impl Report {
    /// The report of a run. `again` says how to go on; without it, as without options.
    pub fn of(events: &[Stamped], past: &Past, again: Option<&Again>) -> Report {
        RunModel::of(events).report(past, again)
    }

    /// What the stages that this run finished want shown, in order.
    pub fn files_to_show(&self) -> Vec<Shown> {
        let done = self.with(&[StageState::Done]).into_iter();
        let outputs = done.flat_map(|stage| stage.outputs.iter().map(move |output| (&stage.name, output)));
        let shown = outputs.filter(|(_, output)| output.show).map(|(stage, output)| {
            let text = text_of(output.path.as_str().into());
            let text = text.unwrap_or_else(|error| format!("{} cannot be shown: {error}\n", output.path));
            Shown { title: format!("{stage}.{}", output.name), text }
        });
        shown.collect()
    }
}

impl RunModel {
    /// See [`Report::of`].
    pub fn report(mut self, past: &Past, again: Option<&Again>) -> Report {
        let default = Again::of(&self);
        let again = again.unwrap_or(&default);
        let (verdict, remedies) = (summary::verdict(&self, again), summary::remedies(&self, again, WIDTH));
        let (remarks, timeline) = (summary::remarks(&self), self.timeline());
        let started = self.began().unwrap_or_default().to_string();
        let shown = self.files_to_show();
        self.report.stages.iter_mut().for_each(|stage| stage.settle(past));
        self.hold_against(past);
        let Report { mut run, stages, mut tools, .. } = self.report;
        (run.started, run.verdict, run.remedies, run.remarks) = (started, verdict, remedies, remarks);
        tools.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        let comparisons = comparisons(&stages);
        // A table of what is here as numbers says nothing else.
        let compared = |title: &str| {
            comparisons.iter().any(|of| title.strip_prefix(&of.stage).is_some_and(|rest| rest.starts_with('.')))
        };
        let shown = shown.into_iter().filter(|shown| !compared(&shown.title)).collect();
        Report { format: FORMAT, run, timeline, comparisons, shown, tools, stages }
    }
}

/// The comparisons among the outputs of stages: files in JSON that are one.
fn comparisons(stages: &[Stage]) -> Vec<Compared> {
    let made = stages.iter().filter(|stage| stage.state.has_outputs());
    let outputs = made.flat_map(|stage| stage.outputs.iter().map(move |output| (stage, output)));
    let json = outputs.filter(|(_, output)| output.path.ends_with(".json"));
    let read = json.filter_map(|(stage, output)| {
        let (bytes, _) = read(output.path.as_str().into(), COMPARISON).ok()?;
        Some(Compared { stage: stage.name.clone(), result: serde_json::from_slice(&bytes).ok()? })
    });
    read.collect()
}

fn text_of(path: &Utf8Path) -> io::Result<String> {
    let (bytes, length) = read(path, SHOWN)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if length > SHOWN {
        text.push_str(&format!("\n… {} in all: {path}\n", text::size(length)));
    }
    Ok(text)
}

/// The beginning of a file, and its length.
fn read(path: &Utf8Path, limit: u64) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, length))
}
