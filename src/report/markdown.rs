//! A report as Markdown, for the page of a CI job or an issue.

mod details;

use super::comparison;
use super::model::{Bolt, Compared, Failure, Outcome, Profile, Report, Run, Stage, State};
use super::summary::{Change, table};
use crate::text;

/// How wide the bars of the waterfall are, in characters.
const BARS: usize = 40;
/// So many of a kind are shown; the rest is in the other forms.
const MOST: usize = 10;

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
    let mut text = format!("### {mark} optbuild: {}\n\n", escape(&run.pipeline));
    text.push_str(&format!("{}\n\n", escape(&run.verdict)));
    let rows: Vec<&Stage> =
        report.stages.iter().filter(|stage| stage.state.ran() || stage.state == State::Blocked).collect();
    if !rows.is_empty() {
        text.push_str("| stage | status | duration | share | outputs | change |\n|:--|:--|--:|--:|:--|:--|\n");
        rows.iter().for_each(|stage| text.push_str(&row(stage, run)));
        text.push('\n');
    }
    run.remarks.iter().for_each(|remark| text.push_str(&format!("- {}\n", escape(remark))));
    if !run.remarks.is_empty() {
        text.push('\n');
    }
    for (stage, failure) in report.stages.iter().filter_map(|stage| Some((stage, stage.failure.as_ref()?))) {
        text.push_str(&failed(stage, failure));
    }
    report.comparisons.iter().for_each(|compared| text.push_str(&compared_builds(compared)));
    for shown in &report.shown {
        text.push_str(&format!("**{}**\n\n{}", escape(&shown.title), fence("text", shown.text.trim_end())));
    }
    text.push_str(&folded("When what ran", &waterfall(report)));
    text.push_str(&folded("Profiles", &profiles(report)));
    text.push_str(&folded("BOLT", &bolts(report)));
    text.push_str(&folded("Inside of stages", &inner(report)));
    text.push_str(&folded("Sizes against earlier runs", &details::sizes(report)));
    for stage in &report.stages {
        text.push_str(&folded(&format!("What {} did", escape(&stage.name)), &details::stage(stage)));
    }
    text.push_str(&folded("Tools", &tools(report)));
    text.push_str(&folded("This run", &details::run(&report.run)));
    text
}

fn row(stage: &Stage, run: &Run) -> String {
    let ran = stage.state.ran();
    let outputs: Vec<String> =
        stage.shown_outputs().map(|output| format!("{} {}", escape(&output.name), text::size(output.bytes))).collect();
    let status = match (&stage.state, &stage.why) {
        (State::Blocked, Some(by)) => format!("blocked by {by}"),
        (state, _) => state.words(run.running).into(),
    };
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        escape(&stage.name),
        escape(&status),
        if ran { text::duration(stage.duration) } else { String::new() },
        if ran { text::percent(stage.duration, run.wall) } else { String::new() },
        outputs.join("<br>"),
        escape(&change(stage).unwrap_or_default()),
    )
}

/// Against the last time that the stage was done.
fn change(stage: &Stage) -> Option<String> {
    let before = stage.before.as_ref()?;
    let sizes = stage.shown_outputs().filter_map(|output| {
        let bytes = output.before().filter(|bytes| *bytes != output.bytes)?;
        Some((output.name.clone(), bytes, output.bytes))
    });
    let change = Change { duration: (before.duration, stage.in_all()), sizes: sizes.collect() };
    Some(table::change_text(&change, true, true))
}

fn failed(stage: &Stage, failure: &Failure) -> String {
    let tolerated = if stage.state == State::Tolerated { ", tolerated" } else { "" };
    let step = escape(&failure.step);
    let mut text = format!("**{}** failed in {step}{tolerated}: {}\n\n", escape(&stage.name), escape(&failure.what));
    if !failure.command.is_empty() {
        text.push_str(&fence("sh", &failure.command));
    }
    if !failure.error.is_empty() {
        text.push_str(&fence("text", &failure.error.join("\n")));
    }
    if !failure.tail.is_empty() {
        let summary = format!("last {} of the log", text::plural(failure.tail.len(), "line"));
        text.push_str(&format!("<details><summary>{summary}</summary>\n\n"));
        text.push_str(&fence("text", &failure.tail.join("\n")));
        text.push_str("</details>\n\n");
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
    let lines: Vec<String> = begun
        .iter()
        .map(|(stage, start)| {
            let from = column(*start).min(BARS - 1);
            let to = column(start + stage.duration).max(from + 1);
            let bar = format!("{}{}", " ".repeat(from), "█".repeat(to - from));
            let length = text::pad_left(&text::duration(stage.duration), 9);
            let used = if stage.cpu() > 0.0 { format!("  CPU {}", text::duration(stage.cpu())) } else { String::new() };
            format!("{}  {}{length}{used}", text::pad(&stage.name, columns), text::pad(&bar, BARS))
        })
        .collect();
    fence("text", &lines.join("\n"))
}

fn compared_builds(compared: &Compared) -> String {
    let result = &compared.result;
    let (base, candidate) = (escape(&result.base.name), escape(&result.candidate.name));
    let title = format!("**{}**: {base} against {candidate}; less is better", escape(&compared.stage));
    format!("{title}\n\n{}\n", comparison::markdown(result))
}

fn profiles(report: &Report) -> String {
    let with: Vec<(&Stage, &Profile)> =
        report.stages.iter().filter_map(|stage| Some((stage, stage.profile.as_ref()?))).collect();
    if with.is_empty() {
        return String::new();
    }
    let mut text = String::from("| stage | raw profiles | bytes | functions |\n|:--|--:|--:|--:|\n");
    for (stage, profile) in &with {
        let (files, functions) = (text::count(profile.files), text::count(profile.functions));
        text.push_str(&format!(
            "| {} | {files} | {} | {functions} |\n",
            escape(&stage.name),
            text::size(profile.bytes)
        ));
    }
    text.push('\n');
    for (stage, profile) in with.iter().filter(|(_, profile)| !profile.hottest.is_empty()) {
        text.push_str(&format!("Hottest functions of {}:\n\n", escape(&stage.name)));
        for hot in profile.hottest.iter().take(MOST) {
            text.push_str(&format!("- {} {}\n", text::quantity(hot.count, ""), escape(&hot.function)));
        }
        text.push('\n');
    }
    text
}

fn bolts(report: &Report) -> String {
    let with = report.stages.iter().filter_map(|stage| Some((stage, stage.bolt.as_ref()?)));
    with.map(|(stage, of)| bolt(stage, of)).collect()
}

fn bolt(stage: &Stage, bolt: &Bolt) -> String {
    let mut text = format!("{}\n\n", escape(&stage.name));
    for count in &bolt.counts {
        text.push_str(&format!("- {}: {}\n", escape(&count.name), text::quantity(count.value, &count.unit)));
    }
    if !bolt.dyno.is_empty() {
        text.push_str("\n| executed | before | after | change |\n|:--|--:|--:|--:|\n");
    }
    for dyno in &bolt.dyno {
        let change = if dyno.before > 0.0 { (dyno.after - dyno.before) / dyno.before * 100.0 } else { 0.0 };
        let (before, after) = (text::quantity(dyno.before, ""), text::quantity(dyno.after, ""));
        text.push_str(&format!("| {} | {before} | {after} | {change:+.1} % |\n", escape(&dyno.name)));
    }
    text + "\n"
}

fn inner(report: &Report) -> String {
    let mut text = String::new();
    for stage in report.stages.iter().filter(|stage| !stage.inner.is_empty()) {
        text.push_str(&format!("{}\n\n", escape(&stage.name)));
        for inner in stage.inner.iter().take(MOST) {
            text.push_str(&format!("- {} {}\n", text::duration(inner.seconds), escape(&inner.name)));
        }
        text.push('\n');
    }
    text
}

fn tools(report: &Report) -> String {
    if report.tools.is_empty() {
        return String::new();
    }
    let mut text = String::from("| tool | version | path |\n|:--|:--|:--|\n");
    for tool in &report.tools {
        text.push_str(&format!("| {} | {} | {} |\n", escape(&tool.name), escape(&tool.version), escape(&tool.path)));
    }
    text + "\n"
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

/// Text that markdown leaves as it is, in one line, also in a cell of a table. Code in backticks stays code.
fn escape(text: &str) -> String {
    let paired = text.matches('`').count().is_multiple_of(2);
    let mut in_code = false;
    let mut escaped = String::new();
    for char in text.chars() {
        match char {
            '`' if paired => {
                in_code = !in_code;
                escaped.push(char);
            }
            '\n' | '\r' => escaped.push(' '),
            '|' => escaped.push_str("\\|"),
            _ if in_code => escaped.push(char),
            '`' | '*' | '_' | '\\' | '[' | ']' | '~' => escaped.extend(['\\', char]),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            _ => escaped.push(char),
        }
    }
    escaped
}
