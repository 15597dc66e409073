//! `optbuild status`, `artifacts` and `explain`: where the stages of a pipeline stand between runs; `optbuild history`: the runs, and what
//! changed from one to another.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::Look;
use crate::event::{Fact, Outcome, StageState};
use crate::report::model::RunModel;
use crate::report::model::diff::{Change as Changed, Diff, PERCENT, Quantity, Verdict};
use crate::report::paint::{Cell, Grid, Tone};
use crate::report::summary::named_lines;
use crate::state::fingerprint::{Change, Difference};
use crate::text;

/// What the next run would do with a stage, or what keeps it from that. What a run did with one is a
/// [`StageState`](crate::event::StageState).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outlook {
    UpToDate,
    WillRun,
    /// Whether it runs is known when that stage is done.
    DependsOn,
    Off,
    /// Its last attempt failed under `on-failure = "continue"`, and is not tried again by itself.
    Failed,
    /// Begun, and not ended.
    Interrupted,
    Running,
    Blocked,
}

/// A stage, for `status`.
#[derive(Debug, Clone, Serialize)]
pub struct StatusRow {
    pub stage: String,
    pub state: Outlook,
    /// Why, as `it was never done`; or the stage that it depends on.
    pub because: Option<String>,
    /// Seconds, of the last time it was done.
    pub duration: Option<f64>,
    pub finished: Option<Timestamp>,
    /// Of its outputs.
    pub bytes: Option<u64>,
    /// All that its operations reported then.
    pub facts: Vec<Fact>,
    /// What it said of profiles when it was done.
    #[serde(skip)]
    pub profiles: Vec<String>,
}

/// An output, for `artifacts`.
#[derive(Debug, Clone, Serialize)]
pub struct ArtifactRow {
    pub stage: String,
    pub output: String,
    pub path: Utf8PathBuf,
    pub bytes: u64,
    pub files: u64,
    pub portable: bool,
    pub hash: String,
    /// It is not at its path yet, but in a cache.
    pub held: bool,
}

impl StatusRow {
    fn words(&self) -> Cell {
        let because = self.because.as_deref().unwrap_or_default();
        match self.state {
            Outlook::UpToDate => Tone::Good.cell("up to date"),
            Outlook::WillRun if because.is_empty() => Tone::Warn.cell("will run"),
            Outlook::WillRun => Tone::Warn.cell(format!("will run because {because}")),
            Outlook::DependsOn => Tone::Plain.cell(format!("depends on {because}")),
            Outlook::Off => Tone::Dim.cell("off"),
            Outlook::Failed => Tone::Bad.cell("failed, tolerated"),
            Outlook::Interrupted => Tone::Warn.cell("interrupted, will continue"),
            Outlook::Running => Tone::Bold.cell("running"),
            Outlook::Blocked => Tone::Warn.cell(format!("blocked: {because}")),
        }
    }
}

/// A stage per row, and a sum below.
pub fn status_table(rows: &[StatusRow], zone: &TimeZone, look: Look) -> String {
    let mut grid = Grid::new(["stage", "state", ">took", "finished", ">size"]);
    for row in rows {
        grid.row([
            Tone::Plain.cell(&row.stage),
            row.words(),
            row.duration.map(text::duration).unwrap_or_default().into(),
            row.finished.map(|time| super::minute(time, zone)).unwrap_or_default().into(),
            row.bytes.map(text::size).unwrap_or_default().into(),
        ]);
    }
    let mut table = grid.compact().render(look.width, look.paint);
    let on = rows.iter().filter(|row| row.state != Outlook::Off).count();
    let fresh = rows.iter().filter(|row| row.state == Outlook::UpToDate).count();
    let took: f64 = rows.iter().filter_map(|row| row.duration).sum();
    let bytes: u64 = rows.iter().filter_map(|row| row.bytes).sum();
    let sum = format!("{fresh} of {} up to date", text::plural(on, "stage"));
    let sum = if took > 0.0 { format!("{sum}, {} of work, {}", text::duration(took), text::size(bytes)) } else { sum };
    let profiles = rows.iter().flat_map(|row| row.profiles.iter().map(|sentence| (row.stage.as_str(), sentence)));
    let profiles = named_lines(&profiles.collect::<Vec<_>>());
    if !profiles.is_empty() {
        table.push_str(&format!("\n{}\n", profiles.join("\n")));
    }
    table.push_str(&format!("\n{}\n", look.paint.dim(&sum)));
    table
}

/// An output per row. Paths are never cut or wrapped: they are there to be copied.
pub fn artifacts_table(rows: &[ArtifactRow], look: Look) -> String {
    let mut grid = Grid::new(["artifact", ">size", ">files", "", "hash", "path"]);
    for row in rows {
        let fixed = match (row.held, row.portable) {
            (true, _) => "held in a cache",
            (false, true) => "",
            (false, false) => "fixed to its path",
        };
        grid.row([
            Cell::from(format!("{}.{}", row.stage, row.output)),
            text::size(row.bytes).into(),
            text::count(row.files).into(),
            Tone::Dim.cell(fixed),
            Tone::Dim.cell(row.hash.chars().take(12).collect::<String>()),
            row.path.as_str().into(),
        ]);
    }
    let grid = grid.compact();
    grid.render(look.width.max(grid.natural_width()), look.paint)
}

/// Why a stage will or will not run.
#[derive(Debug, Clone, Default)]
pub struct Explanation {
    pub stage: String,
    /// `up to date`, `will run because …`, `depends on …`.
    pub state: String,
    pub differences: Vec<Difference>,
    /// Anything else worth a line.
    pub notes: Vec<String>,
}

/// The differences, grouped by what they mean for the build directory.
pub fn explain_text(explanation: &Explanation, look: Look) -> String {
    let mut text = format!("{}: {}\n", look.paint.bold(&explanation.stage), explanation.state);
    let (sources, configuration): (Vec<&Difference>, Vec<&Difference>) =
        explanation.differences.iter().partition(|difference| difference.is_source);
    let of_sources = if configuration.is_empty() {
        "sources differ: the build directory is kept, the build tool goes on in it"
    } else {
        "sources differ"
    };
    let of_configuration = "the configuration differs: the build directory is wiped first";
    for (title, differences) in [(of_configuration, configuration), (of_sources, sources)] {
        if !differences.is_empty() {
            text.push_str(&format!("\n{title}\n{}", list(&differences, look)));
        }
    }
    if !explanation.notes.is_empty() {
        text.push_str(&format!("\n{}\n", explanation.notes.join("\n")));
    }
    text
}

fn list(differences: &[&Difference], look: Look) -> String {
    let column = differences.iter().map(|difference| text::width(&difference.part)).max().unwrap_or(0);
    let mut text = String::new();
    for Difference { part, kind, .. } in differences {
        let (old, new) = match kind {
            Change::Changed { old, new } => (Some(old.as_str()), Some(new.as_str())),
            Change::Added { new } => (None, Some(new.as_str())),
            Change::Removed { old } => (Some(old.as_str()), None),
        };
        let value = |value: Option<&str>| value.map_or("(none)".to_owned(), short);
        let line = format!("  {}  {} -> {}", text::pad(part, column), value(old), value(new));
        let several = [old, new].into_iter().flatten().any(|value| value.contains('\n'));
        if several || text::width(&line) > look.width {
            text.push_str(&format!("  {part}\n{}", lines(old, new, look)));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    text
}

/// Lines that only one of the two has, the old ones first.
fn lines(old: Option<&str>, new: Option<&str>, look: Look) -> String {
    let set = |text: Option<&str>| text.unwrap_or_default().lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let (olds, news) = (set(old), set(new));
    let mut text = String::new();
    for line in old.unwrap_or_default().lines().filter(|line| !news.contains(*line)) {
        text.push_str(&format!("    {}\n", look.paint.bad(&format!("- {}", short(line)))));
    }
    for line in new.unwrap_or_default().lines().filter(|line| !olds.contains(*line)) {
        text.push_str(&format!("    {}\n", look.paint.good(&format!("+ {}", short(line)))));
    }
    if text.is_empty() { "    the same lines in another order\n".into() } else { text }
}

/// Hashes by their first digits.
fn short(value: &str) -> String {
    let hash = value.len() >= 40 && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    match value {
        "" => "\"\"".into(),
        _ if hash => value.chars().take(12).collect(),
        _ => value.to_owned(),
    }
}

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

fn what(change: &Changed) -> String {
    match change.quantity {
        Quantity::Duration => "time".into(),
        Quantity::Cpu => "CPU time".into(),
        Quantity::PeakMemory => "largest process".into(),
        Quantity::Size => format!("size of {}", change.name),
        Quantity::Fact => change.name.clone(),
    }
}

fn percent(change: &Changed) -> String {
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
fn tone(change: &Changed) -> Tone {
    match (change.quantity, change.verdict) {
        (Quantity::Fact, _) | (_, Verdict::Little) => Tone::Plain,
        (_, Verdict::More) => Tone::Bad,
        (_, Verdict::Less) => Tone::Good,
    }
}
