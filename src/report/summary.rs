//! What is said at the end of a run: the table of its stages, the lines below it, how to go on, and one sentence.
//!
//! Arithmetic is in the model. Unaware of where the text goes.

use std::collections::BTreeMap;

use super::model::{Change, Outcome, Report, Stage, facts};
use super::paint::{Grid, Look, Tone};
use crate::event::{StageState, Withheld};
use crate::text;

/// The command lines that go on with a run. What a person typed is known to the command line only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Again {
    /// `optbuild resume`, with the options that find the run again.
    pub resume: String,
    /// `optbuild run demo`, to which `--from STAGE` can be added.
    pub run: String,
}

impl Again {
    /// As the run was begun, for who is where it was.
    pub fn of(report: &Report) -> Again {
        let run = &report.run;
        let begun = Some(run.command.clone()).filter(|command| command.starts_with("optbuild run"));
        let named = || format!("optbuild run {}", text::shell::quote(&run.pipeline));
        Again { resume: "optbuild resume".into(), run: begun.unwrap_or_else(named) }
    }
}

/// A line for each failure: first those that were tolerated.
pub fn failures(report: &Report) -> Vec<String> {
    let line = |stage: &Stage| {
        let tolerated = if stage.state == StageState::Tolerated { ", tolerated (on-failure = continue)" } else { "" };
        let what = stage.failure.as_ref().map(|failure| format!(": {}", failure.what)).unwrap_or_default();
        let log = stage.failure.as_ref().map(|failure| &failure.log).filter(|log| !log.is_empty());
        let log = log.map(|log| format!("\n  log: {log}")).unwrap_or_default();
        format!("{} failed{tolerated}{what}{log}", stage.name)
    };
    let stages = [StageState::Tolerated, StageState::Failed].map(|state| report.with(&[state]));
    stages.iter().flatten().map(|stage| line(stage)).collect()
}

/// How to go on after a failure, a line each; nothing if the run did not fail.
pub fn remedies(report: &Report, again: &Again, width: usize) -> Vec<String> {
    let failed = [StageState::Failed, StageState::Tolerated].map(|state| report.with(&[state])).concat();
    if report.run.outcome != Outcome::Failed {
        return Vec::new();
    }
    let Some(stage) = failed.first() else {
        let anyway = (format!("{} --put-anyway", again.run), "puts it in place all the same".to_owned());
        return if report.withheld.is_empty() { Vec::new() } else { with_aims(&[anyway], width) };
    };
    let mut lines = Vec::new();
    if failed.iter().any(|stage| stage.failure.as_ref().is_some_and(|failure| failure.environment)) {
        lines.push(
            "a tool, a disk or a permission is missing on this machine; `optbuild doctor` checks them".to_owned(),
        );
    }
    let commands = [
        (again.resume.clone(), "goes on where this run stopped".to_owned()),
        (format!("{} --from {}", again.run, stage.name), format!("{} again, and what depends on it", stage.name)),
    ];
    lines.extend(with_aims(&commands, width));
    lines
}

/// Commands, each with what it is for: behind it, or above it where `width` columns are not enough.
fn with_aims(commands: &[(String, String)], width: usize) -> Vec<String> {
    let columns = commands.iter().map(|(command, _)| text::width(command)).max().unwrap_or(0);
    let beside: Vec<String> =
        commands.iter().map(|(command, aim)| format!("{}  # {aim}", text::pad(command, columns))).collect();
    if beside.iter().all(|line| text::width(line) <= width) {
        return beside;
    }
    commands.iter().flat_map(|(command, aim)| [format!("# {aim}"), command.clone()]).collect()
}

/// What was not put in place, why, and where it lies: a few lines for each output.
pub fn withheld(report: &Report) -> Vec<String> {
    let told = |withheld: &Withheld| {
        let Withheld { output, judge, why, slower, lies, place, earlier } = withheld;
        let judge = if *slower { format!("{judge} says: ") } else { String::new() };
        let earlier = if *earlier {
            format!("\n  what stands in {place} is still that of an earlier run")
        } else {
            String::new()
        };
        format!("`{output}` was not put in place, because {judge}{why}\n  it lies in {lies}{earlier}")
    };
    report.withheld.iter().map(told).collect()
}

/// One sentence.
pub fn verdict(report: &Report, again: &Again) -> String {
    use StageState::{Blocked, Done, Failed, NotStarted, Running, Skipped, Tolerated, UpToDate};
    let names = |stages: Vec<&Stage>| stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>().join(", ");
    let count = |state| report.with(&[state]).len();
    // How many stages are in a state, for those in which there are any.
    let parts = |states: &[StageState]| -> Vec<String> {
        let counted = states.iter().map(|state| (count(*state), state)).filter(|(number, _)| *number > 0);
        counted.map(|(number, state)| format!("{number} {}", state.words(false))).collect()
    };
    let behind = |parts: Vec<String>| if parts.is_empty() { String::new() } else { format!("; {}", parts.join(", ")) };
    let duration = text::duration(report.run.wall);
    if report.nothing_to_do() {
        let fresh = count(UpToDate);
        let are = if fresh == 1 { "is" } else { "are" };
        let skipped: String = parts(&[Skipped]).iter().map(|part| format!(", {part}")).collect();
        let cached = cached(report).map(|cached| format!("; {cached}")).unwrap_or_default();
        return format!(
            "nothing to do: {} {are} up to date{skipped} ({duration}){cached}",
            text::plural(fresh, "stage")
        );
    }
    match report.run.outcome {
        Outcome::Done => {
            let parts = parts(&[UpToDate, Tolerated, Blocked, Skipped]);
            let parts: String = parts.iter().map(|part| format!("; {part}")).collect();
            let slower: Vec<&Stage> = report.stages.iter().filter(|stage| stage.slower().next().is_some()).collect();
            let slower = if slower.is_empty() { String::new() } else { format!("; slower, says {}", names(slower)) };
            format!("done: {} in {duration}{parts}{slower}", text::plural(count(Done), "stage"))
        }
        Outcome::Failed => {
            let parts = behind(parts(&[Done, UpToDate, Blocked, Skipped, NotStarted]));
            let outputs: Vec<&str> = report.withheld.iter().map(|withheld| withheld.output.as_str()).collect();
            let outputs = outputs.join(", ");
            match (count(Failed), count(Tolerated)) {
                (0, _) if report.withheld.iter().any(|withheld| withheld.slower) => {
                    format!("slower, so not put in place: {outputs}{parts} ({duration})")
                }
                (0, 0) if !outputs.is_empty() => format!("not put in place: {outputs}{parts} ({duration})"),
                (0, 0) => format!("failed, though no stage did{parts} ({duration})"),
                (0, _) => format!("failed (--strict): {}{parts} ({duration})", names(report.with(&[Tolerated]))),
                _ => format!("failed: {}{parts} ({duration})", names(report.with(&[Failed]))),
            }
        }
        Outcome::Interrupted => format!("interrupted; `{}` continues", again.resume),
        Outcome::Unfinished if report.run.running => {
            let mut parts = [parts(&[Done, UpToDate]), parts(&[NotStarted])];
            let failed = report.with(&[Failed, Tolerated]).len();
            parts[0].extend((failed > 0).then(|| format!("{failed} failed")));
            let now = report.with(&[Running]);
            let now = if now.is_empty() { String::new() } else { format!(": {}", names(now)) };
            format!("still running{now}{} ({duration} so far)", behind(parts.concat()))
        }
        Outcome::Unfinished => format!("ended without a result; `{}` continues", again.resume),
    }
}

/// How much a row of the table says. From the richest that fits.
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

/// The stages that ran or were blocked as a table, the others in a line per kind. `bars`: shares are drawn as well. Every line ends in a
/// line feed.
pub fn render(report: &Report, look: Look, bars: bool) -> String {
    let mut text = String::new();
    let rows = report.stages.iter().filter(|stage| stage.state.ran() || stage.state == StageState::Blocked);
    let rows: Vec<&Stage> = rows.collect();
    if !rows.is_empty() {
        let layouts = LAYOUTS.map(|layout| Layout { bar: if bars { layout.bar } else { 0 }, ..layout });
        let mut grids = layouts.iter().map(|layout| fill(report, &rows, *layout));
        let last = || fill(report, &rows, layouts[layouts.len() - 1]);
        let grid = grids.find(|grid| grid.natural_width() <= look.width).unwrap_or_else(last);
        text.push_str(&format!("{}\n", grid.render(look.width, look.paint)));
    }
    let profiles = profiles(report);
    if !profiles.is_empty() {
        text.push_str(&format!("{}\n\n", profiles.join("\n")));
    }
    for line in slower(report) {
        text.push_str(&format!("{}\n", look.paint.bad(&line)));
    }
    for line in warnings(report) {
        text.push_str(&format!("{}\n", look.paint.warn(&line)));
    }
    for line in others(report).into_iter().chain(totals(report)) {
        text.push_str(&format!("{}\n", look.paint.dim(&line)));
    }
    text
}

fn fill(report: &Report, rows: &[&Stage], layout: Layout) -> Grid {
    let share = if layout.bar > 0 { "share of wall" } else { ">share" };
    let mut grid = Grid::new(["stage", "status", ">duration", share, "outputs", "change"]);
    for (stage, share) in rows.iter().zip(shares(report.run.wall, rows, layout)) {
        let change = stage.change().map(|change| change_text(&change, layout.long, layout.flat));
        grid.row([
            Tone::Plain.cell(&stage.name),
            tone(stage.state).cell(status(stage.state, layout.long)),
            if stage.state.ran() { text::duration(stage.duration).into() } else { "".into() },
            share.into(),
            outputs(stage, if layout.flat { ", " } else { "\n" }).into(),
            change.unwrap_or_default().into(),
        ]);
        for (name, seconds) in stage.inner_sums() {
            let cells = [format!("  {name}"), String::new(), text::duration(seconds)];
            grid.row(cells.map(|cell| Tone::Dim.cell(cell)));
        }
    }
    grid.compact()
}

/// The share of each row, with a bar if there is room; empty for stages that did not run.
fn shares(wall: f64, rows: &[&Stage], layout: Layout) -> Vec<String> {
    let bars: Vec<String> = rows.iter().map(|stage| bar(stage.duration, wall, layout.bar)).collect();
    // With the percentage behind it at least as wide as the header.
    let columns = bars.iter().map(|bar| text::width(bar)).max().unwrap_or(0).max(7);
    let share = |(stage, bar): (&&Stage, &String)| {
        let percent = text::percent(stage.duration, wall);
        match (stage.state.ran() && layout.share, layout.bar) {
            (false, _) => String::new(),
            (true, 0) => percent,
            (true, _) => format!("{} {}", text::pad(bar, columns), text::pad_left(&percent, 5)),
        }
    };
    rows.iter().zip(&bars).map(share).collect()
}

/// Who blocks a stage is said below the table.
fn status(state: StageState, long: bool) -> &'static str {
    if state == StageState::Tolerated && !long { "tolerated" } else { state.words(false) }
}

/// What a state is for a person, wherever states have colours.
pub(super) fn tone(state: StageState) -> Tone {
    match state {
        StageState::Done => Tone::Good,
        StageState::Failed => Tone::Bad,
        StageState::Tolerated | StageState::Blocked | StageState::Interrupted | StageState::Running => Tone::Warn,
        StageState::NotStarted | StageState::UpToDate | StageState::Skipped => Tone::Dim,
    }
}

/// Eighths of a column, so that small differences can be seen.
fn bar(part: f64, whole: f64, columns: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * columns as f64 * 8.0).round() as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

/// The outputs of a stage with their sizes.
pub(super) fn outputs(stage: &Stage, between: &str) -> String {
    let texts = stage.shown_outputs().map(|output| format!("{} {}", output.name, text::size(output.bytes)));
    texts.collect::<Vec<_>>().join(between)
}

/// Duration first; sizes only where they differ.
pub(super) fn change_text(change: &Change, long: bool, flat: bool) -> String {
    let (old, new) = change.duration;
    let percent = text::percent_change(old, new);
    let duration = match (long, percent.as_str()) {
        (_, "") => text::duration_change(new - old),
        (true, "±0 %") | (false, _) => format!("time {percent}"),
        (true, _) => format!("{} ({percent})", text::duration_change(new - old)),
    };
    let sizes = change.sizes.iter().map(|(name, old, new)| format!("{name} {}", size_change(*old, *new)));
    [duration].into_iter().chain(sizes).collect::<Vec<_>>().join(if flat { ", " } else { "\n" })
}

/// In percent, or in bytes where that would be nothing.
pub(super) fn size_change(old: u64, new: u64) -> String {
    match text::percent_change(old as f64, new as f64) {
        percent if old != new && matches!(percent.as_str(), "" | "±0 %") => text::size_change(old, new),
        percent => percent,
    }
}

/// Lines for those who read no table: what was gathered and became of it, stages that were not begun, and what the run used.
pub(super) fn remarks(report: &Report) -> Vec<String> {
    profiles(report)
        .into_iter()
        .chain(slower(report))
        .chain(warnings(report))
        .chain(others(report))
        .chain(totals(report))
        .collect()
}

/// What is slower than what it is compared with, a line for each comparison of this run.
fn slower(report: &Report) -> Vec<String> {
    let told = report.stages.iter().flat_map(|stage| stage.slower().map(move |sentence| (stage, sentence)));
    told.map(|(stage, sentence)| format!("SLOWER: {}: {sentence}", stage.name)).collect()
}

/// What a person should see even if everything went well.
fn warnings(report: &Report) -> Vec<String> {
    let told = report.stages.iter().flat_map(|stage| stage.warnings.iter().map(move |warning| (stage, warning)));
    told.map(|(stage, warning)| format!("warning: {}: {}", stage.name, warning.text)).collect()
}

/// What was gathered, and what became of it, a line per stage.
fn profiles(report: &Report) -> Vec<String> {
    let told = report.stages.iter().flat_map(|stage| {
        facts::sentences(&stage.reported).into_iter().map(move |sentence| (stage.name.as_str(), sentence))
    });
    named_lines(&told.collect::<Vec<_>>())
}

/// Lines, each behind the name of its stage.
pub(super) fn named_lines<S: AsRef<str>>(lines: &[(&str, S)]) -> Vec<String> {
    let column = lines.iter().map(|(name, _)| text::width(name)).max().unwrap_or(0);
    lines.iter().map(|(name, line)| format!("{}  {}", text::pad(name, column), line.as_ref())).collect()
}

/// Stages that were not begun, those of a kind in one line.
fn others(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let fresh = report.with(&[StageState::UpToDate]);
    if !fresh.is_empty() {
        let saved = report.run.saved;
        let saved = if saved > 0.0 { format!(" ({} saved)", text::duration(saved)) } else { String::new() };
        lines.push(format!("up to date: {}{saved}", names(&fresh)));
    }
    lines.extend(cached(report));
    let mut grouped: BTreeMap<String, Vec<&Stage>> = BTreeMap::new();
    for stage in &report.stages {
        let why = stage.why.as_deref().unwrap_or_default();
        let what = match stage.state {
            StageState::Skipped => format!("skipped ({why})"),
            StageState::Blocked => format!("blocked ({why} has no output)"),
            _ => continue,
        };
        grouped.entry(what).or_default().push(stage);
    }
    lines.extend(grouped.iter().map(|(what, stages)| format!("{what}: {}", names(stages))));
    let pending = report.with(&[StageState::NotStarted]);
    lines.extend((!pending.is_empty()).then(|| format!("not started: {}", names(&pending))));
    lines
}

/// What caches did for the run; nothing if none was asked and nothing was sent.
fn cached(report: &Report) -> Option<String> {
    let cache = &report.cache;
    let mut parts = Vec::new();
    if !cache.hits.is_empty() {
        let saved = text::duration(cache.saved);
        let hits = text::plural(cache.hits.len(), "stage");
        parts.push(format!("had {hits} ({saved} and {} saved)", text::size(cache.held)));
    }
    if !cache.misses.is_empty() {
        parts.push(format!("did not have {}", text::plural(cache.misses.len(), "stage")));
    }
    parts.extend((cache.fetched > 0).then(|| format!("{} fetched", text::size(cache.fetched))));
    parts.extend((cache.sent > 0).then(|| format!("{} sent", text::size(cache.sent))));
    (!parts.is_empty()).then(|| format!("cache: {}", parts.join(", ")))
}

/// Up to four names, else the number of stages.
fn names(stages: &[&Stage]) -> String {
    if stages.len() > 4 {
        return text::plural(stages.len(), "stage");
    }
    stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// What the whole run used; nothing if no step ended.
fn totals(report: &Report) -> Option<String> {
    let run = &report.run;
    if run.cpu <= 0.0 && run.peak_memory == 0 {
        return None;
    }
    let mut parts = vec![format!("wall {}", text::duration(run.wall)), format!("CPU {}", text::duration(run.cpu))];
    if run.peak_memory > 0 {
        parts.push(format!("largest process {}", text::size(run.peak_memory)));
    }
    if run.hashing > 0.0 {
        parts.push(format!("hashing and syncing {}", text::duration(run.hashing)));
    }
    Some(parts.join(", "))
}
