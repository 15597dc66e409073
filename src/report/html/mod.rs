//! A report as one HTML file that needs nothing else: no network, no other file, and no script to be read.
//!
//! All text goes through maud's escaping. The script only shows what is under the pointer; a content security policy lets no
//! other one run, should something of a log ever be taken for markup. Unaware of where the file is put.

pub mod compared;
mod stages;
mod variants;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::{Outcome, Report, Run};
use super::paint::Tone;
use super::summary;
use crate::event::{Fact, StageState};
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
        ("timeline", "Timeline", stages::waterfall(report)),
        ("stages", "Stages", stages::table(report)),
        ("profiles", "Profiles", stages::profiles(report)),
        ("bolt", "BOLT", stages::bolt(report)),
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
                title { (report.run.pipeline) ": " (outcome_of(&report.run)) " · optbuild" }
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
            h1 { (run.pipeline) " " span class=(format!("pill {}", outcome_tone(run.outcome))) { (outcome_of(run)) } }
            p.verdict { (run.verdict) }
            p.dim { "Run " code { (run.id) } ", begun " time datetime=(run.started) { (started) " UTC" } }
            dl.tiles {
                (tile("wall time", &seconds(run.wall), "wall"))
                (tile("CPU time", &seconds(run.cpu), "cpu"))
                (tile("busy cores", &html! { data value=(cores(report)) { (format!("{:.1}", cores(report))) } }, "cores"))
                (tile("largest process", &bytes(run.peak_memory), "peak"))
                @if run.saved > 0.0 {
                    (tile(&format!("saved: {} up to date", text::plural(fresh, "stage")), &seconds(run.saved), "saved"))
                }
                @if run.hashing > 0.0 { (tile("hashing and syncing", &seconds(run.hashing), "hashing")) }
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
    if failed().next().is_none() && report.withheld.is_empty() {
        return None;
    }
    Some(html! {
        @for lines in summary::withheld(report) { div.failure { pre { (lines) } } }
        @for (stage, failure) in failed() {
            div.failure {
                h3 { (stage.name) " " (state(stage.state, report.run.running)) }
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
            (table(&["tool", "version", "path", "stages"], &html! {
                @for tool in &report.tools {
                    tr { td { (tool.name) } td { (tool.version) } td { code { (tool.path) } } td.dim { (tool.stages.join(", ")) } }
                }
            }))
        }
    })
}

// What several sections are made of. A number stands in a `data` element that has it unrounded.

fn seconds(value: f64) -> Markup {
    html! { data value=(value) { (text::duration(value)) } }
}

fn bytes(value: u64) -> Markup {
    html! { data value=(value) { (text::size(value)) } }
}

fn count(value: u64) -> Markup {
    html! { data value=(value) { (text::count(value)) } }
}

/// A noun behind a number.
fn noun(number: u64, noun: &str) -> String {
    format!("{noun}{}", if number == 1 { "" } else { "s" })
}

/// The class of a change.
fn tone_class(tone: Tone) -> &'static str {
    match tone {
        Tone::Good => "better",
        Tone::Bad => "worse",
        _ => "same",
    }
}

/// A number with the unit that an operation gave it.
fn quantity(value: f64, unit: &str) -> Markup {
    html! { data value=(value) { (text::quantity(value, unit)) } }
}

/// A change where more is worse.
fn change(before: f64, after: f64) -> Markup {
    let percent = text::percent_change(before, after);
    let tone = match percent.as_str() {
        "" | "±0 %" => "same",
        _ if after > before => "worse",
        _ => "better",
    };
    html! { @if !percent.is_empty() { span class=(tone) { (percent) } } }
}

/// A bar for a share of something.
fn bar(part: f64, whole: f64) -> Markup {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) * 100.0 } else { 0.0 };
    html! { span.bar aria-hidden="true" { i style=(format!("width:{share:.2}%")) {} } }
}

/// A line through values, oldest first; nothing for fewer than two.
fn sparkline(values: &[f64]) -> Markup {
    let (least, most) =
        values.iter().fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(*value), most.max(*value)));
    let last = values.len().saturating_sub(1).max(1) as f64;
    let point = |(index, value): (usize, &f64)| {
        let y = if most > least { 14.0 - 12.0 * (value - least) / (most - least) } else { 8.0 };
        format!("{:.1},{y:.1}", index as f64 / last * 60.0)
    };
    let points: Vec<String> = values.iter().enumerate().map(point).collect();
    html! {
        @if values.len() > 1 {
            svg.spark viewBox="-1 0 62 16" width="62" height="16" aria-hidden="true" { polyline points=(points.join(" ")) {} }
        }
    }
}

/// A status with its colour. `running`: the run is under way.
fn state(state: StageState, running: bool) -> Markup {
    html! { span class=(format!("pill {}", tone(state))) { (state.words(running)) } }
}

/// The class of a state.
fn tone(state: StageState) -> &'static str {
    match summary::tone(state) {
        Tone::Good => "good",
        Tone::Bad => "bad",
        Tone::Warn => "warn",
        _ => "dim",
    }
}

/// What became of a run, up to now.
fn outcome_of(run: &Run) -> &'static str {
    if run.running { "still running" } else { outcome(run.outcome) }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::Failed => "failed",
        Outcome::Interrupted => "interrupted",
        Outcome::Unfinished => "not finished",
    }
}

fn outcome_tone(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "good",
        Outcome::Failed => "bad",
        Outcome::Interrupted | Outcome::Unfinished => "warn",
    }
}

/// A table that can be moved sideways where it is wider than the screen. Names of columns of numbers begin with `>`; without names
/// there is no head.
fn table(columns: &[&str], rows: &Markup) -> Markup {
    scrolled(None, columns, &html! { tbody { (rows) } })
}

/// The same of a body that has a class, or of several.
fn scrolled(class: Option<&str>, columns: &[&str], bodies: &Markup) -> Markup {
    html! {
        div.scroll tabindex="0" {
            table class=[class] {
                @if !columns.is_empty() {
                    thead {
                        tr {
                            @for column in columns {
                                @match column.strip_prefix('>') { Some(name) => th.num { (name) }, None => th { (column) } }
                            }
                        }
                    }
                }
                (bodies)
            }
        }
    }
}

/// Names with what they stand for.
fn facts(facts: &[Fact]) -> Markup {
    html! {
        dl.pairs {
            @for fact in facts {
                dt { (fact.name.replace('-', " ")) span.dim { " (" (fact.step) ")" } }
                dd { (quantity(fact.value, &fact.unit)) }
            }
        }
    }
}
