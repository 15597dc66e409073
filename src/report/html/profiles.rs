//! What was gathered, and what llvm-bolt made of it.

use maud::{Markup, html};

use super::parts;
use crate::report::model::{Bolt, Profile, Report};
use crate::text;

/// So many of a profile's functions are shown without being asked for.
const HOTTEST: usize = 20;

pub(super) fn profiles(report: &Report) -> Option<Markup> {
    let with = || report.stages.iter().filter_map(|stage| Some((stage, stage.profile.as_ref()?)));
    with().next()?;
    Some(html! {
        @for (stage, profile) in with() {
            div.card data-profile=(stage.name) {
                h3 { (stage.name) }
                (profile_of(profile))
                @if !stage.facts.is_empty() { (parts::facts(&stage.facts)) }
            }
        }
    })
}

fn profile_of(profile: &Profile) -> Markup {
    let most = profile.workloads.iter().map(|workload| workload.bytes).max().unwrap_or(0) as f64;
    let hottest = profile.hottest.first().map_or(0.0, |hot| hot.count);
    html! {
        p {
            b { (parts::count(profile.files)) } (parts::noun(profile.files, " raw profile")) ", " b { (parts::bytes(profile.bytes)) }
            ", became one with " b { (parts::count(profile.functions)) } (parts::noun(profile.functions, " function"))
            @if profile.damaged > 0 {
                "; " (parts::count(profile.damaged)) (if profile.damaged == 1 { " was" } else { " were" }) " damaged and left out"
            }
            "."
        }
        @if profile.workloads.len() > 1 {
            details {
                summary { (text::plural(profile.workloads.len(), "workload")) }
                (parts::table(&["workload", ">profiles", ">bytes", "", ">functions"], &html! {
                    @for workload in &profile.workloads {
                        tr {
                            td { (workload.name) }
                            td.num { (parts::count(workload.files)) }
                            td.num { (parts::bytes(workload.bytes)) }
                            td.share { (parts::bar(workload.bytes as f64, most)) }
                            td.num { (parts::count(workload.functions)) }
                        }
                    }
                }))
            }
        }
        @if !profile.hottest.is_empty() {
            details {
                summary { "Hottest functions" }
                (parts::table(&[], &html! {
                    @for hot in profile.hottest.iter().take(HOTTEST) {
                        tr { td.share { (parts::bar(hot.count, hottest)) } td.num { (parts::quantity(hot.count, "")) } td { code { (hot.function) } } }
                    }
                }))
            }
        }
    }
}

pub(super) fn bolt(report: &Report) -> Option<Markup> {
    let with = || report.stages.iter().filter_map(|stage| Some((stage, stage.bolt.as_ref()?)));
    with().next()?;
    Some(html! {
        @for (stage, bolt) in with() {
            div.card data-bolt=(stage.name) {
                h3 { (stage.name) }
                (bolt_of(bolt))
            }
        }
    })
}

fn bolt_of(bolt: &Bolt) -> Markup {
    html! {
        @if !bolt.dyno.is_empty() {
            p.dim { "What its own estimate says is executed with the profile's workloads, per run of all of them." }
            (parts::table(&["executed", ">before", ">after", ">change"], &html! {
                @for dyno in &bolt.dyno {
                    tr.key[dyno.name == "taken branches"] {
                        td { (dyno.name) }
                        td.num { (parts::quantity(dyno.before, "")) }
                        td.num { (parts::quantity(dyno.after, "")) }
                        td.num { (exact_change(dyno.before, dyno.after)) }
                    }
                }
            }))
        }
        @if !bolt.counts.is_empty() {
            dl.pairs {
                @for count in &bolt.counts { dt { (count.name) } dd { (parts::quantity(count.value, &count.unit)) } }
            }
        }
    }
}

/// llvm-bolt says it with a tenth of a percent. More forward branches are neither good nor bad, hence without a colour.
fn exact_change(before: f64, after: f64) -> String {
    if before <= 0.0 || before == after {
        return "=".into();
    }
    format!("{:+.1} %", (after - before) / before * 100.0)
}
