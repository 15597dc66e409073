//! The head of the page, the failures below it, and in the end what the run was.

use maud::{Markup, html};

use super::super::model::{Report, State};
use super::parts;
use crate::text;

pub(super) fn header(report: &Report) -> Markup {
    let run = &report.run;
    let started = run.started.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
    let fresh = report.stages.iter().filter(|stage| stage.state == State::UpToDate).count();
    html! {
        header {
            h1 { (run.pipeline) " " span class=(format!("pill {}", parts::outcome_tone(run.outcome))) { (parts::outcome_of(run)) } }
            p.verdict { (run.verdict) }
            p.dim { "Run " code { (run.id) } ", begun " time datetime=(run.started) { (started) " UTC" } }
            dl.tiles {
                (tile("wall time", &parts::seconds(run.wall), "wall"))
                (tile("CPU time", &parts::seconds(run.cpu), "cpu"))
                (tile("busy cores", &html! { data value=(cores(report)) { (format!("{:.1}", cores(report))) } }, "cores"))
                (tile("largest process", &parts::bytes(run.peak_memory), "peak"))
                @if run.saved > 0.0 {
                    (tile(&format!("saved: {} up to date", text::plural(fresh, "stage")), &parts::seconds(run.saved), "saved"))
                }
                @if run.hashing > 0.0 { (tile("hashing and syncing", &parts::seconds(run.hashing), "hashing")) }
            }
        }
    }
}

fn cores(report: &Report) -> f64 {
    if report.run.wall > 0.0 { report.run.cpu / report.run.wall } else { 0.0 }
}

fn tile(name: &str, value: &Markup, key: &str) -> Markup {
    html! { div { dt { (name) } dd data-key=(key) { (value) } } }
}

pub(super) fn failures(report: &Report) -> Option<Markup> {
    let failed = || report.stages.iter().filter_map(|stage| Some((stage, stage.failure.as_ref()?)));
    failed().next()?;
    Some(html! {
        @for (stage, failure) in failed() {
            div.failure {
                h3 { (stage.name) " " (parts::state(stage.state, report.run.running)) }
                p {
                    @if !failure.step.is_empty() { b { (failure.step) } ": " }
                    (failure.what)
                    @if failure.environment { " (a fault of the machine: " code { "optbuild doctor" } ")" }
                }
                @if !failure.error.is_empty() { pre { (failure.error.join("\n")) "\n…" } }
                @if !failure.tail.is_empty() { pre { (failure.tail.join("\n")) } }
                @if !failure.log.is_empty() { p.dim { "The whole log: " code { (failure.log) } } }
                @if !failure.command.is_empty() {
                    details { summary { "The command" } pre.command { (failure.command) } }
                }
            }
        }
        @if !report.run.remedies.is_empty() { pre { (report.run.remedies.join("\n")) } }
    })
}

pub(super) fn about(report: &Report) -> Option<Markup> {
    let run = &report.run;
    Some(html! {
        dl.pairs {
            dt { "command" } dd { code { (run.command) } }
            dt { "in" } dd { code { (run.cwd) } }
            dt { "pipeline" } dd { code { (run.file) } }
            dt { "slots" } dd { (run.jobs) }
        }
        @if !run.variables.is_empty() {
            h3 { "Variables" }
            dl.pairs { @for (name, value) in &run.variables { dt { (name) } dd { code { (text::variable(value)) } } } }
        }
        @if !report.tools.is_empty() {
            h3 { "Tools" }
            (parts::scrolled(&html! {
                table {
                    thead { tr { th { "tool" } th { "version" } th { "path" } th { "stages" } } }
                    tbody {
                        @for tool in &report.tools {
                            tr { td { (tool.name) } td { (tool.version) } td { code { (tool.path) } } td.dim { (tool.stages.join(", ")) } }
                        }
                    }
                }
            }))
        }
    })
}
