//! `optbuild history` and `optbuild history diff`.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Look;
use crate::event::{Outcome, StageState};
use crate::report::model::RunModel;
use crate::report::model::diff::{Change, Diff, PERCENT, Quantity, Verdict};
use crate::report::paint::Tone;
use crate::report::table::{Cell, Grid};
use crate::text;

/// A run, for `history`.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RunRow {
    pub run: String,
    pub pipeline: String,
    pub started: Option<Timestamp>,
    /// None: it is under way, or was killed.
    pub outcome: Option<Outcome>,
    pub running: bool,
    /// Seconds.
    pub wall: f64,
    /// User and system time of all commands.
    pub cpu: f64,
    /// How many stages it finished, and how many it found up to date.
    pub done: usize,
    pub up_to_date: usize,
    /// Seconds that the latter took when they ran.
    pub saved: f64,
    pub failed: Vec<String>,
}

impl RunRow {
    pub fn of(run: &str, model: &RunModel) -> RunRow {
        let failed = model.with(&[StageState::Failed, StageState::Tolerated]);
        let about = &model.run;
        RunRow {
            run: run.into(),
            pipeline: about.pipeline.clone(),
            started: model.began(),
            outcome: about.outcome.ended(),
            running: about.running,
            wall: about.wall,
            cpu: about.cpu,
            done: model.with(&[StageState::Done]).len(),
            up_to_date: model.with(&[StageState::UpToDate]).len(),
            saved: about.saved,
            failed: failed.iter().map(|stage| stage.name.clone()).collect(),
        }
    }

    fn outcome(&self) -> Cell {
        match self.outcome {
            Some(Outcome::Done) if self.failed.is_empty() => Tone::Good.cell("done"),
            Some(Outcome::Done) => Tone::Warn.cell(format!("done, without {}", self.failed.join(", "))),
            Some(Outcome::Failed) => Tone::Bad.cell(format!("failed: {}", self.failed.join(", "))),
            Some(Outcome::Interrupted) => Tone::Warn.cell("interrupted"),
            None if self.running => Tone::Bold.cell("still running"),
            None => Tone::Warn.cell("not finished"),
        }
    }
}

/// The runs as a table, the last one below.
pub fn history_table(rows: &[RunRow], zone: &TimeZone, look: Look) -> String {
    let columns = ["run", "begun", "pipeline", "outcome", ">wall", ">CPU", ">done", ">up to date", ">saved"];
    let mut grid = Grid::new(columns);
    for row in rows {
        let begun = row.started.map(|time| super::minute(time, zone)).unwrap_or_default();
        let seconds = |seconds: f64| if seconds > 0.0 { text::duration(seconds) } else { String::new() };
        grid.row([
            Tone::Plain.cell(&row.run),
            Tone::Dim.cell(begun),
            Tone::Plain.cell(&row.pipeline),
            row.outcome(),
            seconds(row.wall).into(),
            seconds(row.cpu).into(),
            row.done.to_string().into(),
            row.up_to_date.to_string().into(),
            Tone::Dim.cell(seconds(row.saved)),
        ]);
    }
    grid.compact().render(look.width, look.paint)
}

/// What changed, the largest change first; with `all` also what may be chance.
pub fn diff_table(diff: &Diff, all: bool, look: Look) -> String {
    let little = diff.changes.iter().filter(|change| change.verdict == Verdict::Little);
    let mut changes = diff.notable();
    let hidden = little.clone().count();
    if all {
        changes.extend(little);
    }
    let mut text = format!("{} → {}\n", diff.from, diff.to);
    for line in unlike(diff) {
        text.push_str(&format!("{}\n", look.paint.warn(&line)));
    }
    text.push('\n');
    if !changes.is_empty() {
        let mut grid = Grid::new(["stage", "what", ">before", ">after", ">change"]);
        for change in changes {
            grid.row([
                Tone::Plain.cell(&change.stage),
                what(change).into(),
                Tone::Dim.cell(text::quantity(change.before, &change.unit)),
                text::quantity(change.after, &change.unit).into(),
                tone(change).cell(percent(change)),
            ]);
        }
        text.push_str(&grid.render(look.width, look.paint));
        text.push('\n');
    } else {
        text.push_str("nothing became slower or larger, faster or smaller\n");
    }
    if !all && hidden > 0 {
        let differences = text::plural(hidden, "smaller difference");
        let line = format!("{differences}, as one run has from the next: --all");
        text.push_str(&format!("{}\n", look.paint.dim(&line)));
    }
    if !diff.incomparable.is_empty() {
        let line = format!("only one of the runs has a result of: {}", diff.incomparable.join(", "));
        text.push_str(&format!("{}\n", look.paint.dim(&line)));
    }
    text
}

/// Why a difference may be one of what was asked for.
fn unlike(diff: &Diff) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some([from, to]) = &diff.other_pipelines {
        let (from, to) = (format!("{} ({})", from.name, from.file), format!("{} ({})", to.name, to.file));
        lines.push(format!("different pipelines: {from} → {to}; only the names of the stages are the same"));
    }
    lines.extend(diff.other_variables.iter().map(|variable| {
        let (before, after) = (text::variable(&variable.before), text::variable(&variable.after));
        format!("run with another {}: {before} → {after}", variable.name)
    }));
    lines
}

fn what(change: &Change) -> String {
    match change.quantity {
        Quantity::Duration => "time".into(),
        Quantity::Cpu => "CPU time".into(),
        Quantity::PeakMemory => "largest process".into(),
        Quantity::Size => format!("size of {}", change.name),
        Quantity::Fact => change.name.clone(),
    }
}

fn percent(change: &Change) -> String {
    if change.unit == PERCENT {
        return format!("{:+.1} points", change.after - change.before);
    }
    if change.before < 0.0 {
        return format!("{:+.1} %", (change.after - change.before) / -change.before * 100.0);
    }
    match text::percent_change(change.before, change.after).as_str() {
        "" => "from nothing".into(),
        "±0 %" => format!("{:+.2} %", (change.after - change.before) / change.before * 100.0),
        percent => percent.into(),
    }
}

/// Of what was counted nobody knows whether more is worse.
fn tone(change: &Change) -> Tone {
    match (change.quantity, change.verdict) {
        (Quantity::Fact, _) | (_, Verdict::Little) => Tone::Plain,
        (_, Verdict::More) => Tone::Bad,
        (_, Verdict::Less) => Tone::Good,
    }
}
