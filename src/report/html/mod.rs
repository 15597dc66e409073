//! A report as one HTML file that needs nothing else: no network, no other file, and no script to be read.
//!
//! All text goes through maud's escaping. The script only shows what is under the pointer; a content security policy lets no
//! other one run, should something of a log ever be taken for markup. Unaware of where the file is put.

mod compared;
mod details;
mod overview;
mod parts;
mod profiles;
mod stages;
mod tables;
mod waterfall;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::model::Report;

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
        ("failures", "Failures", overview::failures(report)),
        ("comparison", "Did it help?", compared::section(report)),
        ("timeline", "Timeline", waterfall::section(report)),
        ("stages", "Stages", stages::section(report)),
        ("profiles", "Profiles", profiles::profiles(report)),
        ("bolt", "BOLT", profiles::bolt(report)),
        ("outputs", "Outputs", stages::outputs(report)),
        ("details", "Steps and commands", details::section(report)),
        ("run", "This run", overview::about(report)),
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
                (overview::header(report))
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
