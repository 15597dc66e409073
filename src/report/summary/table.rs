//! The table at the end of a run, as text, and the lines below it.

use std::collections::BTreeMap;

use super::super::paint::Paint;
use super::super::table::{Grid, Tone};
use super::{Change, Previous, RunSummary, StageSummary, Status};
use crate::text;

/// How the table is to look.
#[derive(Debug, Clone, Copy)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    pub paint: Paint,
    /// Shares are drawn as bars too.
    pub bars: bool,
}

/// How much a row says. From the richest that fits.
#[derive(Clone, Copy)]
struct Layout {
    bar: usize,
    /// All outputs in one line, instead of one per line.
    flat: bool,
    /// Change as seconds and percent, instead of percent alone; and `failed, tolerated` instead of `tolerated`.
    long: bool,
    share: bool,
}

const LAYOUTS: [Layout; 5] = [
    Layout { bar: 12, flat: true, long: true, share: true },
    Layout { bar: 8, flat: false, long: true, share: true },
    Layout { bar: 5, flat: false, long: false, share: true },
    Layout { bar: 0, flat: false, long: false, share: true },
    Layout { bar: 0, flat: false, long: false, share: false },
];

/// The stages that ran or were blocked as a table, the others in a line per kind. Every line ends in a line feed.
pub fn render(run: &RunSummary, previous: Option<&Previous>, style: Style) -> String {
    let mut text = String::new();
    let rows = run.with(|status| status.ran() || matches!(status, Status::Blocked { .. }));
    if !rows.is_empty() {
        text.push_str(&stages(run, &rows, previous, style));
        text.push('\n');
    }
    let profiles = profiles(run);
    profiles.iter().for_each(|line| text.push_str(&format!("{line}\n")));
    if !profiles.is_empty() {
        text.push('\n');
    }
    for line in others(run) {
        text.push_str(&format!("{}\n", style.paint.dim(&line)));
    }
    if let Some(line) = totals(run) {
        text.push_str(&format!("{}\n", style.paint.dim(&line)));
    }
    text
}

fn stages(run: &RunSummary, rows: &[&StageSummary], previous: Option<&Previous>, style: Style) -> String {
    let mut grid = fill(run, rows, previous, LAYOUTS[0]);
    for layout in LAYOUTS {
        let layout = Layout { bar: if style.bars { layout.bar } else { 0 }, ..layout };
        grid = fill(run, rows, previous, layout);
        if grid.natural_width() <= style.width {
            break;
        }
    }
    grid.render(style.width, style.paint)
}

fn fill(run: &RunSummary, rows: &[&StageSummary], previous: Option<&Previous>, layout: Layout) -> Grid {
    let share = if layout.bar > 0 { "share of wall" } else { "share" };
    let right: &[usize] = if layout.bar > 0 { &[2] } else { &[2, 3] };
    let mut grid = Grid::new(&["stage", "status", "duration", share, "outputs", "change"]).right(right);
    for (stage, share) in rows.iter().zip(shares(run.wall(), rows, layout)) {
        let duration = if stage.status.ran() { text::duration(stage.duration) } else { String::new() };
        let change = previous.and_then(|previous| previous.change(stage));
        grid.row([
            (stage.name.clone(), Tone::Plain),
            (status(&stage.status, layout.long), tone(&stage.status)),
            (duration, Tone::Plain),
            (share, Tone::Plain),
            (outputs(stage, layout.flat), Tone::Plain),
            (change.map(|change| change_text(&change, layout.long, layout.flat)).unwrap_or_default(), Tone::Plain),
        ]);
        for (name, seconds) in stage.inner() {
            let cells = [format!("  {name}"), String::new(), text::duration(seconds)];
            grid.row(cells.into_iter().chain(std::iter::repeat_n(String::new(), 3)).map(|cell| (cell, Tone::Dim)));
        }
    }
    grid.compact()
}

/// The share of each row, with a bar if there is room; empty for stages that did not run.
fn shares(wall: f64, rows: &[&StageSummary], layout: Layout) -> Vec<String> {
    let bars: Vec<String> = rows.iter().map(|stage| bar(stage.duration, wall, layout.bar)).collect();
    // With the percentage behind it at least as wide as the header.
    let columns = bars.iter().map(|bar| text::width(bar)).max().unwrap_or(0).max(7);
    let share = |(stage, bar): (&&StageSummary, &String)| {
        let percent = text::percent(stage.duration, wall);
        match (stage.status.ran() && layout.share, layout.bar) {
            (false, _) => String::new(),
            (true, 0) => percent,
            (true, _) => format!("{} {}", text::pad(bar, columns), text::pad_left(&percent, 5)),
        }
    };
    rows.iter().zip(&bars).map(share).collect()
}

/// Who blocks a stage is said below the table.
fn status(status: &Status, long: bool) -> String {
    match status {
        Status::Blocked { .. } => "blocked".into(),
        Status::Failed { tolerated: true } if !long => "tolerated".into(),
        status => status.words(),
    }
}

fn tone(status: &Status) -> Tone {
    match status {
        Status::Done => Tone::Good,
        Status::Failed { tolerated: false } => Tone::Bad,
        Status::Failed { .. } | Status::Blocked { .. } | Status::Interrupted | Status::Running => Tone::Warn,
        Status::Pending | Status::UpToDate { .. } | Status::Skipped { .. } => Tone::Dim,
    }
}

/// Eighths of a column, so that small differences can be seen.
fn bar(part: f64, whole: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

fn outputs(stage: &StageSummary, flat: bool) -> String {
    let texts = stage.shown_outputs().map(|output| format!("{} {}", output.name, text::size(output.bytes)));
    texts.collect::<Vec<_>>().join(if flat { ", " } else { "\n" })
}

/// Duration first; sizes only where they differ.
pub(crate) fn change_text(change: &Change, long: bool, flat: bool) -> String {
    let (old, new) = change.duration;
    let percent = text::percent_change(old, new);
    let duration = match (long, percent.as_str()) {
        (_, "") => text::duration_change(new - old),
        (true, "±0 %") | (false, _) => format!("time {percent}"),
        (true, _) => format!("{} ({percent})", text::duration_change(new - old)),
    };
    let sizes = change.sizes.iter().map(|(name, old, new)| {
        let percent = text::percent_change(*old as f64, *new as f64);
        match percent.as_str() {
            "" | "±0 %" => format!("{name} {}", text::size_change(*old, *new)),
            percent => format!("{name} {percent}"),
        }
    });
    [duration].into_iter().chain(sizes).collect::<Vec<_>>().join(if flat { ", " } else { "\n" })
}

/// What was gathered, and what became of it, a line per stage.
pub(crate) fn profiles(run: &RunSummary) -> Vec<String> {
    let told = run.stages.iter().map(|stage| (stage.name.as_str(), stage.profile_sentences()));
    let told = told.flat_map(|(name, sentences)| sentences.into_iter().map(move |sentence| (name, sentence)));
    let told: Vec<(&str, String)> = told.collect();
    let column = told.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0);
    told.iter().map(|(name, sentence)| format!("{}  {sentence}", text::pad(name, column))).collect()
}

/// Stages that were not begun, those of a kind in one line.
pub(crate) fn others(run: &RunSummary) -> Vec<String> {
    let mut lines = Vec::new();
    let fresh = run.with(|status| matches!(status, Status::UpToDate { .. }));
    if !fresh.is_empty() {
        let saved = if run.saved() > 0.0 { format!(" ({} saved)", text::duration(run.saved())) } else { String::new() };
        lines.push(format!("up to date: {}{saved}", names(&fresh)));
    }
    let mut grouped: BTreeMap<String, Vec<&StageSummary>> = BTreeMap::new();
    for stage in &run.stages {
        let what = match &stage.status {
            Status::Skipped { reason } => format!("skipped ({reason})"),
            Status::Blocked { by } => format!("blocked ({by} has no output)"),
            _ => continue,
        };
        grouped.entry(what).or_default().push(stage);
    }
    lines.extend(grouped.iter().map(|(what, stages)| format!("{what}: {}", names(stages))));
    let pending = run.with(|status| *status == Status::Pending);
    if !pending.is_empty() {
        lines.push(format!("not started: {}", names(&pending)));
    }
    lines
}

/// Up to four names, else the number of stages.
fn names(stages: &[&StageSummary]) -> String {
    if stages.len() > 4 {
        return text::plural(stages.len(), "stage");
    }
    stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the whole run used; nothing if no step ended.
pub(crate) fn totals(run: &RunSummary) -> Option<String> {
    let usage = run.usage();
    let cpu = usage.user + usage.system;
    if usage.wall <= 0.0 {
        return None;
    }
    let mut parts = vec![format!("wall {}", text::duration(run.wall())), format!("CPU {}", text::duration(cpu))];
    if usage.peak_memory > 0 {
        parts.push(format!("largest process {}", text::size(usage.peak_memory)));
    }
    if run.hashing() > 0.0 {
        parts.push(format!("hashing and syncing {}", text::duration(run.hashing())));
    }
    Some(parts.join(", "))
}
