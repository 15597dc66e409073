//! A report as one HTML file that needs nothing else: no network, no other file, and no script to be read.
//!
//! All text goes through maud's escaping. The script only shows what is under the pointer; a content security policy lets no
//! other one run, should something of a log ever be taken for markup. Unaware of where the file is put.

pub mod compared;
mod parts;
mod profiles;
mod stages;
mod waterfall;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::Report;
use crate::event::StageState;
use crate::text;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");

/// The page.
///
/// # Errors
/// The report cannot be written as JSON, which the page has in it.
pub fn render(report: &Report) -> serde_json::Result<String> {
    // In JSON a `<` can be written otherwise, and then nothing in it ends the element that it stands in.
    let json = serde_json::to_string(report)?.replace('<', "\\u003c");
    // Whoever writes something into a log cannot know it: it depends on what is written there.
    let nonce = &blake3::hash(json.as_bytes()).to_hex()[..32];
    Ok(page(report, &json, nonce).into_string())
}

fn page(report: &Report, json: &str, nonce: &str) -> Markup {
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; \
         form-action 'none'"
    );
    let sections = [
        ("failures", "Failures", failures(report)),
        ("comparison", "Did it help?", compared::section(report)),
        ("timeline", "Timeline", waterfall::section(report)),
        ("stages", "Stages", stages::table(report)),
        ("profiles", "Profiles", profiles::profiles(report)),
        ("bolt", "BOLT", profiles::bolt(report)),
        ("outputs", "Outputs", stages::outputs(report)),
        ("details", "Steps and commands", stages::details(report)),
        ("run", "This run", about(report)),
    ];
    let sections: Vec<_> = sections.into_iter().filter_map(|(id, title, body)| Some((id, title, body?))).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(format!("optbuild {}", report.run.optbuild));
                title { (report.run.pipeline) ": " (parts::outcome_of(&report.run)) " · optbuild" }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                (header(report))
                nav aria-label="Sections" {
                    @for (id, title, _) in &sections { a href=(format!("#{id}")) { (title) } }
                }
                main {
                    @for (id, title, body) in &sections {
                        section id=(id) {
                            h2 { (title) }
                            (body)
                        }
                    }
                }
                footer { "Made by optbuild " (report.run.optbuild) ". The same as JSON: " code { "optbuild report " (report.run.id) " --format json" } }
                script type="application/json" id="report" { (PreEscaped(json)) }
                script nonce=(nonce) { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// The head of the page.
fn header(report: &Report) -> Markup {
    let run = &report.run;
    let started = run.started.split('.').next().unwrap_or_default().trim_end_matches('Z').replace('T', " ");
    let fresh = report.with(&[StageState::UpToDate]).len();
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

fn failures(report: &Report) -> Option<Markup> {
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

fn about(report: &Report) -> Option<Markup> {
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
            (parts::table(&["tool", "version", "path", "stages"], &html! {
                @for tool in &report.tools {
                    tr { td { (tool.name) } td { (tool.version) } td { code { (tool.path) } } td.dim { (tool.stages.join(", ")) } }
                }
            }))
        }
    })
}
