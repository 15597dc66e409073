//! What stands in a report for who wants to know exactly: commands, sizes up to now, and what the run was asked for.

use super::super::model::{Output, Run, Stage, StepKind};
use super::{Report, escape, fence};
use crate::text;

/// So many earlier sizes of an output are shown; the rest is in the other forms.
const SIZES: usize = 5;

/// The outputs that earlier runs made as well, with their sizes then.
pub(super) fn sizes(report: &Report) -> String {
    let outputs = report.stages.iter().flat_map(|stage| stage.shown_outputs().map(move |output| (stage, output)));
    let rows: String = outputs
        .filter_map(|(stage, output)| {
            let before = output.before()?;
            let earlier = &output.earlier[output.earlier.len().saturating_sub(SIZES)..];
            let earlier: Vec<String> = earlier.iter().map(|earlier| text::size(earlier.bytes)).collect();
            let name = escape(&format!("{}.{}", stage.name, output.name));
            let now = text::size(output.bytes);
            Some(format!("| {name} | {} | {now} | {} |\n", earlier.join(", "), change(before, output)))
        })
        .collect();
    if rows.is_empty() { rows } else { format!("| output | before | now | change |\n|:--|--:|--:|--:|\n{rows}\n") }
}

fn change(before: u64, output: &Output) -> String {
    match text::percent_change(before as f64, output.bytes as f64).as_str() {
        "" | "±0 %" if before != output.bytes => text::size_change(before, output.bytes),
        percent => percent.to_owned(),
    }
}

/// Why a stage ran, what is to be known of it, and its commands, ready to paste.
pub(super) fn stage(stage: &Stage) -> String {
    let mut details = String::new();
    if !stage.reasons.is_empty() {
        details.push_str(&format!("It ran because {}.\n\n", escape(&stage.reasons.join("; "))));
    }
    if stage.earlier > 0.0 {
        details.push_str(&format!("Earlier runs had worked on it for {}.\n\n", text::duration(stage.earlier)));
    }
    stage.notes.iter().for_each(|note| details.push_str(&format!("- {}\n", escape(note))));
    if !stage.notes.is_empty() {
        details.push('\n');
    }
    let steps = stage.main_steps().filter(|step| step.kind != StepKind::Pool && !step.command.is_empty());
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
pub(super) fn run(run: &Run) -> String {
    let mut details = fence("sh", &run.command);
    details.push_str(&format!("- run {}, optbuild {}\n", escape(&run.id), escape(&run.optbuild)));
    details.push_str(&format!("- in {}\n- pipeline {}\n", escape(&run.cwd), escape(&run.file)));
    details.push_str(&format!("- {}\n\n", text::plural(run.jobs, "slot")));
    if !run.variables.is_empty() {
        details.push_str("| variable | value |\n|:--|:--|\n");
        for (name, value) in &run.variables {
            details.push_str(&format!("| {} | {} |\n", escape(name), escape(&text::variable(value))));
        }
        details.push('\n');
    }
    details
}
