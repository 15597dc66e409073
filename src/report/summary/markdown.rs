//! The summary of a run as markdown, for a CI system's page or an issue.

use super::super::text;
use super::closing::{self, Again};
use super::table::{change_text, others, totals};
use super::{Previous, RunSummary, Shown, StageSummary, Status};
use crate::run::event::{Failure, Outcome};

/// The whole summary: a heading, the table, notes, failures with the ends of their logs.
pub fn render(run: &RunSummary, previous: Option<&Previous>, again: &Again) -> String {
    let mark = match run.outcome {
        Some(Outcome::Done) => "✅",
        Some(Outcome::Failed) => "❌",
        Some(Outcome::Interrupted) | None => "⚠️",
    };
    let mut text = format!("### {mark} optbuild: {}\n\n", escape(&run.pipeline));
    text.push_str(&format!("{}\n\n", escape(&closing::verdict(run, again))));
    let rows = run.with(|status| status.ran() || matches!(status, Status::Blocked { .. }));
    if !rows.is_empty() {
        text.push_str("| stage | status | duration | share | outputs | change |\n|:--|:--|--:|--:|:--|:--|\n");
        rows.iter().for_each(|stage| text.push_str(&row(run, stage, previous)));
        text.push('\n');
    }
    let told = run.stages.iter().filter_map(|stage| Some(format!("{}: {}", stage.name, stage.profile_sentence()?)));
    let notes: Vec<String> = told.chain(others(run)).chain(totals(run)).collect();
    notes.iter().for_each(|note| text.push_str(&format!("- {}\n", escape(note))));
    if !notes.is_empty() {
        text.push('\n');
    }
    for stage in run.with(|status| matches!(status, Status::Failed { .. })) {
        if let Some(stage_failure) = &stage.failure {
            text.push_str(&failure(stage, stage_failure));
        }
    }
    text
}

/// The files that stages want shown.
pub fn shown(shown: &[Shown]) -> String {
    let block = |shown: &Shown| format!("**{}**\n\n{}", escape(&shown.title), fence("text", shown.text.trim_end()));
    shown.iter().map(block).collect()
}

fn row(run: &RunSummary, stage: &StageSummary, previous: Option<&Previous>) -> String {
    let ran = stage.status.ran();
    let outputs: Vec<String> =
        stage.shown_outputs().map(|output| format!("{} {}", escape(&output.name), text::size(output.bytes))).collect();
    let change = previous.and_then(|previous| previous.change(stage)).map(|change| change_text(&change, true, true));
    format!(
        "| {} | {} | {} | {} | {} | {} |\n",
        escape(&stage.name),
        escape(&stage.status.words()),
        if ran { text::duration(stage.duration) } else { String::new() },
        if ran { text::percent(stage.duration, run.wall()) } else { String::new() },
        outputs.join("<br>"),
        escape(&change.unwrap_or_default()),
    )
}

fn failure(stage: &StageSummary, failure: &Failure) -> String {
    let tolerated = if stage.status == (Status::Failed { tolerated: true }) { ", tolerated" } else { "" };
    let step = escape(&failure.step);
    let mut text = format!("**{}** failed in {step}{tolerated}: {}\n\n", escape(&stage.name), escape(&failure.what));
    if !failure.command.is_empty() {
        text.push_str(&fence("sh", &failure.command));
    }
    if !failure.tail.is_empty() {
        let tail: Vec<String> = failure.tail.iter().map(|line| text::plain_line(line)).collect();
        let summary = format!("last {} of the log", text::plural(tail.len(), "line"));
        text.push_str(&format!("<details><summary>{summary}</summary>\n\n"));
        text.push_str(&fence("text", &tail.join("\n")));
        text.push_str("</details>\n\n");
    }
    text
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
