//! What each stage took and made; and each for itself: why it ran, its steps with their commands, and what happened inside of them.

use maud::{Markup, html};

use super::parts;
use crate::event::StageState;
use crate::report::model::{Outcome, Output, Report, Stage, Step};
use crate::text;

/// So many inner steps are shown; the rest is in the JSON form.
const INNER: usize = 40;

pub(super) fn table(report: &Report) -> Option<Markup> {
    if report.stages.is_empty() {
        return None;
    }
    let wall = report.run.wall;
    let before = report.stages.iter().any(|stage| stage.before.is_some());
    let columns = ["stage", "status", ">time", "share", ">change", ">CPU", ">largest process", ">outputs"];
    let columns: Vec<&str> = columns.into_iter().filter(|column| before || *column != ">change").collect();
    Some(parts::scrolled(
        Some("stages"),
        &columns,
        &html! {
            tbody {
                @for stage in &report.stages {
                    tr data-stage=(stage.name) {
                        td { a href=(format!("#stage-{}", stage.name)) { (stage.name) } }
                        td { (parts::state(stage.state, report.run.running)) }
                        @if stage.start.is_some() {
                            td.num.duration { (parts::seconds(stage.duration)) }
                            td.share { (parts::bar(stage.duration, wall)) (text::percent(stage.duration, wall)) }
                            @if before { td.num { @if let Some(before) = &stage.before { (parts::change(before.duration, stage.in_all())) } } }
                        } @else if let Some(made) = &stage.made {
                            td.num.dim.saved { (parts::seconds(made.duration)) }
                            td.dim { "saved" }
                            @if before { td {} }
                        } @else {
                            td colspan=(if before { 3 } else { 2 }) {}
                        }
                        td.num.cpu { @if stage.cpu() > 0.0 { (parts::seconds(stage.cpu())) } }
                        td.num.peak { @if stage.peak_memory > 0 { (parts::bytes(stage.peak_memory)) } }
                        td.num { @if !stage.outputs.is_empty() { (text::size(stage.shown_outputs().map(|output| output.bytes).sum())) } }
                    }
                }
            }
        },
    ))
}

pub(super) fn outputs(report: &Report) -> Option<Markup> {
    let with: Vec<&Stage> = report.stages.iter().filter(|stage| !stage.outputs.is_empty()).collect();
    if with.is_empty() {
        return None;
    }
    let earlier = with.iter().any(|stage| stage.outputs.iter().any(|output| !output.earlier.is_empty()));
    let columns: &[&str] = if earlier {
        &["output", ">size", ">change", "earlier runs", ">files", "path"]
    } else {
        &["output", ">size", ">files", "path"]
    };
    Some(parts::scrolled(
        Some("outputs"),
        columns,
        &html! {
            tbody {
                @for stage in with {
                    @for output in stage.shown_outputs() {
                        tr data-output=(format!("{}.{}", stage.name, output.name)) {
                            td { (stage.name) "." b { (output.name) } }
                            td.num { (parts::bytes(output.bytes)) }
                            @if earlier { (size_change(output)) }
                            td.num { (parts::count(output.files)) }
                            td { code { (output.path) } }
                        }
                    }
                }
            }
        },
    ))
}

/// How its size changed, and the sizes that it had.
fn size_change(output: &Output) -> Markup {
    let earlier = output.earlier.iter().map(|earlier| earlier.bytes as f64);
    let sizes: Vec<f64> = earlier.chain([output.bytes as f64]).collect();
    html! {
        td.num {
            @if let Some(before) = output.before() {
                (parts::change(before as f64, output.bytes as f64))
                @if before != output.bytes && text::percent_change(before as f64, output.bytes as f64) == "±0 %" {
                    " (" (text::size_change(before, output.bytes)) ")"
                }
            }
        }
        td { (parts::sparkline(&sizes)) }
    }
}

pub(super) fn details(report: &Report) -> Option<Markup> {
    Some(html! { @for stage in &report.stages { (stage_of(stage, report.run.running)) } })
}

fn stage_of(stage: &Stage, running: bool) -> Markup {
    let failed = stage.state == StageState::Failed;
    html! {
        details.stage id=(format!("stage-{}", stage.name)) open[failed] {
            summary {
                b { (stage.name) } " " (parts::state(stage.state, running)) " "
                @if stage.start.is_some() { (parts::seconds(stage.duration)) }
            }
            @if let Some(why) = &stage.why {
                p { (if stage.state == StageState::Blocked { "Blocked by " } else { "Skipped: " }) (why) }
            }
            @if let Some(made) = &stage.made {
                p { "Made in " (parts::seconds(made.duration)) @if !made.run.is_empty() { " by run " code { (made.run) } } "." }
            }
            @if stage.earlier > 0.0 { p { "Earlier runs had worked on it for " (parts::seconds(stage.earlier)) "." } }
            @if !stage.reasons.is_empty() { p { "It ran because " (stage.reasons.join("; ")) "." } }
            @if stage.workloads.total > 0 {
                p { (parts::count(stage.workloads.committed as u64)) " of " (text::plural(stage.workloads.total, "workload")) " count." }
            }
            @if stage.retries > 0 { p { (text::plural(stage.retries, "step")) " had to be tried again." } }
            @for warning in &stage.warnings { p.warn { (warning.text) } }
            @if !stage.notes.is_empty() { ul { @for note in &stage.notes { li { (note) } } } }
            @if !stage.inner.is_empty() { (inner(stage)) }
            @if !stage.steps.is_empty() { (steps(stage, running)) }
            @if !stage.facts.is_empty() && stage.profile.is_none() {
                (parts::facts(&stage.facts))
            }
        }
    }
}

fn inner(stage: &Stage) -> Markup {
    let longest = stage.inner.first().map_or(0.0, |inner| inner.seconds);
    html! {
        h4 { "Inside of it" }
        (parts::table(&[], &html! {
            @for inner in stage.inner.iter().take(INNER) {
                tr { td.num { (parts::seconds(inner.seconds)) } td.share { (parts::bar(inner.seconds, longest)) } td { code { (inner.name) } } }
            }
        }))
        @if stage.inner.len() > INNER {
            p.dim { "and " (stage.inner.len() - INNER) " shorter ones" }
        }
    }
}

fn steps(stage: &Stage, running: bool) -> Markup {
    html! {
        ol.steps {
            @for step in stage.main_steps() {
                li {
                    (line(step, running))
                    @if !step.command.is_empty() {
                        details { summary { "command" } pre.command { (step.command) } p.dim { "log: " code { (step.log) } } }
                    }
                }
            }
        }
    }
}

fn line(step: &Step, running: bool) -> Markup {
    html! {
        div.line {
            b { (step.name) }
            @match step.duration {
                Some(duration) => { (parts::seconds(duration)) }
                None => span.warn { (StageState::Running.words(running)) },
            }
            @if step.outcome != Outcome::Done && step.duration.is_some() {
                span.bad { (parts::outcome(step.outcome)) }
            }
            @if step.cpu() > 0.0 { span.dim { "CPU " (parts::seconds(step.cpu())) } }
            @if step.peak_memory > 0 { span.dim { (parts::bytes(step.peak_memory)) } }
        }
    }
}
