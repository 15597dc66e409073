//! A report as Markdown, for the page of a CI job or an issue.

use super::comparison;
use super::model::{Bolt, Compared, Failure, Outcome, Profile, Report, Run, Stage};
use super::paint::{Grid, escape};
use super::summary;
use crate::event::StageState;
use crate::text;

/// How wide the bars of the waterfall are, in characters.
const BARS: usize = 40;
/// So many of a kind are shown; the rest is in the other forms.
const MOST: usize = 10;
/// The same of earlier sizes of an output.
const SIZES: usize = 5;

/// The whole report: a heading, the table, failures with the ends of their logs, comparisons; and folded the waterfall, profiles,
/// BOLT, sizes, the commands of each stage, and what the run was. Nothing that is folded has something folded in it.
pub fn render(report: &Report) -> String {
    let run = &report.run;
    let mark = match run.outcome {
        Outcome::Done => "✅",
        Outcome::Failed => "❌",
        Outcome::Unfinished if run.running => "⏳",
        Outcome::Interrupted | Outcome::Unfinished => "⚠️",
    };
    let mut text = format!("### {mark} optbuild: {}\n\n{}\n\n", escape(&run.pipeline), escape(&run.verdict));
    text.push_str(&ended(stages(report).markdown()));
    text.push_str(&ended(list(run.remarks.iter().map(|remark| escape(remark)))));
    for (stage, failure) in report.stages.iter().filter_map(|stage| Some((stage, stage.failure.as_ref()?))) {
        text.push_str(&failed(stage, failure));
    }
    let withheld = summary::withheld(report).into_iter().map(|text| escape(&text.replace("\n ", ";")));
    text.push_str(&ended(list(withheld)));
    for Compared { stage, result, fit } in &report.comparisons {
        let title = format!("**{}**: {}; less is better", escape(stage), escape(&comparison::between(result)));
        text.push_str(&format!("{title}\n\n{}\n", comparison::markdown(result)));
        text.push_str(&ended(list(fit.iter().map(|sentence| escape(sentence)))));
    }
    for shown in &report.shown {
        text.push_str(&format!("**{}**\n\n{}", escape(&shown.title), fence("text", shown.text.trim_end())));
    }
    text.push_str(&folded("When what ran", &waterfall(report)));
    text.push_str(&folded("Profiles", &profiles(report)));
    let bolts = report.stages.iter().filter_map(|stage| Some(bolt(stage, stage.bolt.as_ref()?)));
    text.push_str(&folded("BOLT", &bolts.collect::<String>()));
    text.push_str(&folded("Inside of stages", &report.stages.iter().map(inner).collect::<String>()));
    text.push_str(&folded("Sizes against earlier runs", &ended(sizes(report).markdown())));
    for stage in &report.stages {
        text.push_str(&folded(&format!("What {} did", escape(&stage.name)), &what_it_did(stage)));
    }
    let mut tools = Grid::new(["tool", "version", "path"]);
    report.tools.iter().for_each(|tool| tools.row([&tool.name, &tool.version, &tool.path]));
    text.push_str(&folded("Tools", &ended(tools.markdown())));
    text.push_str(&folded("This run", &about(run)));
    text
}

fn stages(report: &Report) -> Grid {
    let run = &report.run;
    let mut grid = Grid::new(["stage", "status", ">duration", ">share", "outputs", "change"]);
    for stage in &report.stages {
        let ran = stage.state.ran();
        let status = match (stage.state, &stage.why) {
            (StageState::Blocked, Some(by)) => format!("blocked by {by}"),
            (StageState::Blocked, None) => "blocked".into(),
            (state, _) if ran => state.words(run.running).into(),
            _ => continue,
        };
        let change = stage.change().map(|change| summary::change_text(&change, true, true));
        grid.row([
            stage.name.clone(),
            status,
            if ran { text::duration(stage.duration) } else { String::new() },
            if ran { text::percent(stage.duration, run.wall) } else { String::new() },
            summary::outputs(stage, "\n"),
            change.unwrap_or_default(),
        ]);
    }
    grid
}

fn failed(stage: &Stage, failure: &Failure) -> String {
    let tolerated = if stage.state == StageState::Tolerated { ", tolerated" } else { "" };
    let step = escape(&failure.step);
    let mut text = format!("**{}** failed in {step}{tolerated}: {}\n\n", escape(&stage.name), escape(&failure.what));
    if !failure.command.is_empty() {
        text.push_str(&fence("sh", &failure.command));
    }
    if !failure.error.is_empty() {
        text.push_str(&fence("text", &failure.error.join("\n")));
    }
    if !failure.tail.is_empty() {
        let title = format!("last {} of the log", text::plural(failure.tail.len(), "line"));
        text.push_str(&folded(&title, &fence("text", &failure.tail.join("\n"))));
    }
    text
}

/// Stages as bars below each other.
fn waterfall(report: &Report) -> String {
    let wall = report.run.wall;
    let begun: Vec<(&Stage, f64)> = report.stages.iter().filter_map(|stage| Some((stage, stage.start?))).collect();
    if begun.is_empty() || wall <= 0.0 {
        return String::new();
    }
    let columns = begun.iter().map(|(stage, _)| text::width(&stage.name)).max().unwrap_or(0);
    let column = |at: f64| ((at / wall * BARS as f64).round() as usize).min(BARS);
    let line = |(stage, start): &(&Stage, f64)| {
        let from = column(*start).min(BARS - 1);
        let to = column(start + stage.duration).max(from + 1);
        let bar = format!("{}{}", " ".repeat(from), "█".repeat(to - from));
        let length = text::pad_left(&text::duration(stage.duration), 9);
        let used = if stage.cpu() > 0.0 { format!("  CPU {}", text::duration(stage.cpu())) } else { String::new() };
        format!("{}  {}{length}{used}", text::pad(&stage.name, columns), text::pad(&bar, BARS))
    };
    fence("text", &begun.iter().map(line).collect::<Vec<_>>().join("\n"))
}

fn profiles(report: &Report) -> String {
    let with: Vec<(&Stage, &Profile)> =
        report.stages.iter().filter_map(|stage| Some((stage, stage.profile.as_ref()?))).collect();
    let mut grid = Grid::new(["stage", ">raw profiles", ">bytes", ">functions"]);
    for (stage, profile) in &with {
        let (files, functions) = (text::count(profile.files), text::count(profile.functions));
        grid.row([stage.name.clone(), files, text::size(profile.bytes), functions]);
    }
    let mut text = ended(grid.markdown());
    for (stage, profile) in with.iter().filter(|(_, profile)| !profile.hottest.is_empty()) {
        let hottest = profile.hottest.iter().take(MOST);
        let hottest = hottest.map(|hot| format!("{} {}", text::quantity(hot.count, ""), escape(&hot.function)));
        text.push_str(&format!("Hottest functions of {}:\n\n{}", escape(&stage.name), ended(list(hottest))));
    }
    text
}

fn bolt(stage: &Stage, bolt: &Bolt) -> String {
    let counts = bolt.counts.iter();
    let counts = counts.map(|count| format!("{}: {}", escape(&count.name), text::quantity(count.value, &count.unit)));
    let mut grid = Grid::new(["executed", ">before", ">after", ">change"]);
    for dyno in &bolt.dyno {
        let change = if dyno.before > 0.0 { (dyno.after - dyno.before) / dyno.before * 100.0 } else { 0.0 };
        let [before, after] = [dyno.before, dyno.after].map(|number| text::quantity(number, ""));
        grid.row([dyno.name.clone(), before, after, format!("{change:+.1} %")]);
    }
    let table = if grid.is_empty() { String::new() } else { format!("\n{}", grid.markdown()) };
    format!("{}\n\n{}{table}\n", escape(&stage.name), list(counts))
}

fn inner(stage: &Stage) -> String {
    let inner = stage.inner.iter().take(MOST);
    let lines = list(inner.map(|inner| format!("{} {}", text::duration(inner.seconds), escape(&inner.name))));
    if lines.is_empty() { lines } else { format!("{}\n\n{lines}\n", escape(&stage.name)) }
}

/// The outputs that earlier runs made as well, with their sizes then.
fn sizes(report: &Report) -> Grid {
    let mut grid = Grid::new(["output", ">before", ">now", ">change"]);
    for (stage, output) in report.stages.iter().flat_map(|stage| stage.shown_outputs().map(move |o| (stage, o))) {
        let Some(before) = output.before() else { continue };
        let earlier = &output.earlier[output.earlier.len().saturating_sub(SIZES)..];
        let earlier: Vec<String> = earlier.iter().map(|earlier| text::size(earlier.bytes)).collect();
        let change = summary::size_change(before, output.bytes);
        grid.row([format!("{}.{}", stage.name, output.name), earlier.join(", "), text::size(output.bytes), change]);
    }
    grid
}

/// Why a stage ran, what is to be known of it, and its commands, ready to paste.
fn what_it_did(stage: &Stage) -> String {
    let mut details = String::new();
    if !stage.reasons.is_empty() {
        details.push_str(&format!("It ran because {}.\n\n", escape(&stage.reasons.join("; "))));
    }
    if stage.earlier > 0.0 {
        details.push_str(&format!("Earlier runs had worked on it for {}.\n\n", text::duration(stage.earlier)));
    }
    details.push_str(&ended(list(stage.notes.iter().map(|note| escape(note)))));
    let steps = stage.main_steps().filter(|step| !step.command.is_empty());
    let mut commands: Vec<String> =
        steps.map(|step| format!("# {}\n{}", text::plain_line(&step.name), step.command)).collect();
    // What was tried again.
    commands.dedup();
    if !commands.is_empty() {
        details.push_str(&fence("sh", &commands.join("\n\n")));
    }
    details
}

/// Its command line, and what that set.
fn about(run: &Run) -> String {
    let lines = [
        format!("run {}, optbuild {}", escape(&run.id), escape(&run.optbuild)),
        format!("in {}", escape(&run.cwd)),
        format!("pipeline {}", escape(&run.file)),
        text::plural(run.jobs, "slot"),
    ];
    let mut variables = Grid::new(["variable", "value"]);
    run.variables.iter().for_each(|(name, value)| variables.row([name.clone(), text::variable(value)]));
    format!("{}{}{}", fence("sh", &run.command), ended(list(lines)), ended(variables.markdown()))
}

fn list(lines: impl IntoIterator<Item = String>) -> String {
    lines.into_iter().map(|line| format!("- {line}\n")).collect()
}

/// A block with an empty line behind it; nothing stays nothing.
fn ended(block: String) -> String {
    if block.is_empty() { block } else { block + "\n" }
}

/// Something that is unfolded by who wants to see it; nothing if there is nothing.
fn folded(title: &str, content: &str) -> String {
    match content {
        "" => String::new(),
        content => format!("<details><summary>{title}</summary>\n\n{content}</details>\n\n"),
    }
}

/// A code block whose fence is longer than any in it.
fn fence(language: &str, code: &str) -> String {
    let longest = code.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{code}\n{fence}\n\n")
}
