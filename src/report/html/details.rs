//! Each stage for itself: why it ran, its steps with their commands, and what happened inside of them.

use maud::{Markup, html};

use super::super::model::{Report, Stage, State, Step, StepKind};
use super::parts;
use crate::text;

/// So many inner steps are shown; the rest is in the JSON form.
const INNER: usize = 40;

pub(super) fn section(report: &Report) -> Option<Markup> {
    Some(html! { @for stage in &report.stages { (stage_of(stage, report.run.running)) } })
}

fn stage_of(stage: &Stage, running: bool) -> Markup {
    let failed = matches!(stage.state, State::Failed);
    html! {
        details.stage id=(format!("stage-{}", stage.name)) open[failed] {
            summary {
                b { (stage.name) } " " (parts::state(stage.state, running)) " "
                @if stage.start.is_some() { (parts::seconds(stage.duration)) }
            }
            @if let Some(why) = &stage.why {
                p { (if stage.state == State::Blocked { "Blocked by " } else { "Skipped: " }) (why) }
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
            @if !stage.notes.is_empty() { ul { @for note in &stage.notes { li { (note) } } } }
            @if !stage.inner.is_empty() { (inner(stage)) }
            @if !stage.steps.is_empty() { (steps(stage, running)) }
            @if !stage.facts.is_empty() && stage.profile.is_none() {
                dl.pairs {
                    @for fact in &stage.facts {
                        dt { (fact.name.replace('-', " ")) span.dim { " (" (fact.step) ")" } }
                        dd { (parts::quantity(fact.value, &fact.unit)) }
                    }
                }
            }
        }
    }
}

fn inner(stage: &Stage) -> Markup {
    let longest = stage.inner.first().map_or(0.0, |inner| inner.seconds);
    html! {
        h4 { "Inside of it" }
        (parts::scrolled(&html! {
            table {
                tbody {
                    @for inner in stage.inner.iter().take(INNER) {
                        tr { td.num { (parts::seconds(inner.seconds)) } td.share { (parts::bar(inner.seconds, longest)) } td { code { (inner.name) } } }
                    }
                }
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
            @for step in stage.main_steps().filter(|step| step.kind != StepKind::Pool) {
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
                None => span.warn { (State::Unfinished.words(running)) },
            }
            @if step.outcome != super::super::model::Outcome::Done && step.duration.is_some() {
                span.bad { (parts::outcome(step.outcome)) }
            }
            @if step.cpu() > 0.0 { span.dim { "CPU " (parts::seconds(step.cpu())) } }
            @if step.peak_memory > 0 { span.dim { (parts::bytes(step.peak_memory)) } }
        }
    }
}
