//! `optbuild status` and `optbuild artifacts`.

use camino::Utf8PathBuf;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::super::table::{Grid, Tone};
use super::Look;
use crate::event::Fact;
use crate::text;

/// Where a stage stands between runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageState {
    UpToDate,
    /// It will run, because of what the text says: `it was never done`.
    WillRun(String),
    /// Whether it runs is known when that stage is done.
    DependsOn(String),
    Off,
    /// Its last attempt failed under `on-failure = "continue"`, and is not tried again by itself.
    Failed,
    /// Begun, and not ended.
    Interrupted,
    Running,
    Blocked(String),
}

/// A stage, for `status`.
#[derive(Debug, Clone)]
pub struct StatusRow {
    pub stage: String,
    pub state: StageState,
    /// Seconds, of the last time it was done.
    pub duration: Option<f64>,
    pub finished: Option<Timestamp>,
    /// Of its outputs.
    pub bytes: Option<u64>,
    /// What it said of profiles when it was done.
    pub profiles: Vec<String>,
    /// All that its operations reported then.
    pub facts: Vec<Fact>,
}

/// An output, for `artifacts`.
#[derive(Debug, Clone)]
pub struct ArtifactRow {
    pub stage: String,
    pub output: String,
    pub bytes: u64,
    pub files: u64,
    pub portable: bool,
    pub hash: String,
    pub path: Utf8PathBuf,
}

impl StageState {
    fn words(&self) -> (String, Tone) {
        match self {
            StageState::UpToDate => ("up to date".into(), Tone::Good),
            StageState::WillRun(reason) if reason.is_empty() => ("will run".into(), Tone::Warn),
            StageState::WillRun(reason) => (format!("will run because {reason}"), Tone::Warn),
            StageState::DependsOn(stage) => (format!("depends on {stage}"), Tone::Plain),
            StageState::Off => ("off".into(), Tone::Dim),
            StageState::Failed => ("failed, tolerated".into(), Tone::Bad),
            StageState::Interrupted => ("interrupted, will continue".into(), Tone::Warn),
            StageState::Running => ("running".into(), Tone::Bold),
            StageState::Blocked(why) => (format!("blocked: {why}"), Tone::Warn),
        }
    }
}

/// A stage per row, and a sum below.
pub fn status_table(rows: &[StatusRow], zone: &TimeZone, look: Look) -> String {
    let mut grid = Grid::new(&["stage", "state", "took", "finished", "size"]).right(&[2, 4]);
    for row in rows {
        let (words, tone) = row.state.words();
        let finished = row.finished.map(|time| time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string());
        grid.row([
            (row.stage.clone(), Tone::Plain),
            (words, tone),
            (row.duration.map(text::duration).unwrap_or_default(), Tone::Plain),
            (finished.unwrap_or_default(), Tone::Plain),
            (row.bytes.map(text::size).unwrap_or_default(), Tone::Plain),
        ]);
    }
    let mut table = grid.compact().render(look.width, look.paint);
    let on = rows.iter().filter(|row| row.state != StageState::Off).count();
    let fresh = rows.iter().filter(|row| row.state == StageState::UpToDate).count();
    let took: f64 = rows.iter().filter_map(|row| row.duration).sum();
    let bytes: u64 = rows.iter().filter_map(|row| row.bytes).sum();
    let sum = format!("{fresh} of {} up to date", text::plural(on, "stage"));
    let sum = if took > 0.0 { format!("{sum}, {} of work, {}", text::duration(took), text::size(bytes)) } else { sum };
    let profiles = rows.iter().flat_map(|row| row.profiles.iter().map(|sentence| (row.stage.as_str(), sentence)));
    let profiles: Vec<(&str, &String)> = profiles.collect();
    if !profiles.is_empty() {
        let column = profiles.iter().map(|(stage, _)| text::width(stage)).max().unwrap_or(0);
        table.push('\n');
        for (stage, sentence) in profiles {
            table.push_str(&format!("{}  {sentence}\n", text::pad(stage, column)));
        }
    }
    table.push_str(&format!("\n{}\n", look.paint.dim(&sum)));
    table
}

/// An output per row. Paths are never cut or wrapped: they are there to be copied.
pub fn artifacts_table(rows: &[ArtifactRow], look: Look) -> String {
    let mut grid = Grid::new(&["artifact", "size", "files", "", "hash", "path"]).right(&[1, 2]);
    for row in rows {
        let fixed = if row.portable { "" } else { "fixed to its path" };
        grid.row([
            (format!("{}.{}", row.stage, row.output), Tone::Plain),
            (text::size(row.bytes), Tone::Plain),
            (text::count(row.files), Tone::Plain),
            (fixed.to_owned(), Tone::Dim),
            (row.hash.chars().take(12).collect(), Tone::Dim),
            (row.path.to_string(), Tone::Plain),
        ]);
    }
    let grid = grid.compact();
    grid.render(look.width.max(grid.natural_width()), look.paint)
}
