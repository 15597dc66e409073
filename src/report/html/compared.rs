//! Results of comparisons, and text that stages want shown.

use maud::{Markup, html};

use super::super::comparison::{Line, summary_cell};
use super::super::model::{Compared, Report};
use super::super::text;
use super::parts;
use crate::compare::result::{Comparison, Measured, Metric, Summary, Unit, Verdict};

pub(super) fn section(report: &Report) -> Option<Markup> {
    if report.comparisons.is_empty() && report.shown.is_empty() {
        return None;
    }
    Some(html! {
        @for compared in &report.comparisons { (comparison(compared)) }
        @for shown in &report.shown {
            h3 { (shown.title) }
            (super::tables::shown(&shown.text))
        }
    })
}

fn comparison(compared: &Compared) -> Markup {
    let result = &compared.result;
    // Those that were measured for some workload, in the order of tables.
    let metrics: Vec<Metric> = Metric::ALL
        .into_iter()
        .filter(|metric| result.workloads.iter().any(|workload| workload.metric(*metric).is_some()))
        .collect();
    html! {
        div.card data-comparison=(compared.stage) {
            h3 { (compared.stage) }
            p { b { (result.base.name) } " against " b { (result.candidate.name) } ". Less is better." }
            (parts::scrolled(&summary(result)))
            details open[result.workloads.len() <= 8] {
                summary { (text::plural(result.workloads.len(), "workload")) }
                (parts::scrolled(&html! {
                    table {
                        thead { tr { th { "workload" } @for metric in &metrics { th.num { (metric.title()) } } } }
                        tbody {
                            @for workload in &result.workloads {
                                tr {
                                    td title=(workload.command) { (workload.name) }
                                    @for metric in &metrics {
                                        td.num { @if let Some(measured) = workload.metric(*metric) { (cell(measured)) } }
                                    }
                                }
                            }
                        }
                    }
                }))
            }
            @if !result.sizes.is_empty() { (parts::scrolled(&sizes(result))) }
            @for warning in result.noise.iter().chain(&result.budget.left_out).chain(&result.notes) { p.warn { (warning) } }
            p.dim {
                "Instructions: " (result.counter.name)
                @if let Some(because) = &result.counter.because { " (" (because) ")" }
                ". " (result.machine.processor) ", " (text::plural(result.machine.cores, "core")) ", Linux " (result.machine.kernel) "."
            }
        }
    }
}

fn summary(result: &Comparison) -> Markup {
    html! {
        table {
            thead { tr { th {} th.num { "mean" } th.num { "best" } th.num { "worst" } th.num { "better" } th.num { "same" } th.num { "worse" } } }
            tbody {
                @for summary in &result.summary {
                    tr.key[summary.metric == result.headline()] {
                        td { (summary.metric.title()) }
                        td.num { (over_all(Line::Mean, summary)) }
                        td.num title=[&summary.best_workload] { (over_all(Line::Best, summary)) }
                        td.num title=[&summary.worst_workload] { (over_all(Line::Worst, summary)) }
                        td.num { (summary.better) } td.num { (summary.unchanged) } td.num { (summary.worse) }
                    }
                }
            }
        }
    }
}

fn sizes(result: &Comparison) -> Markup {
    html! {
        table {
            thead { tr { th { "file" } th.num { "base" } th.num { "candidate" } th.num { "change" } } }
            tbody {
                @for size in &result.sizes {
                    tr {
                        td { (size.name) } td.num { (parts::bytes(size.base)) } td.num { (parts::bytes(size.candidate)) }
                        td.num { @if let Some(change) = size.change { (relative(change)) } }
                    }
                }
            }
        }
    }
}

/// As in the table of the comparison itself: nothing where no workload's change is significant.
fn over_all(line: Line, summary: &Summary) -> String {
    summary_cell(line, summary).0
}

fn relative(change: f64) -> Markup {
    html! { data value=(change) { (text::change(change)) } }
}

fn cell(measured: &Measured) -> Markup {
    let tone = match measured.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoChange | Verdict::Unknown => "same",
    };
    let number = |value: f64| match measured.metric.unit() {
        Unit::Seconds => text::duration(value),
        Unit::Bytes => text::size(value as u64),
        Unit::Count => text::count(value as u64),
    };
    let values = format!("{} → {}", number(measured.base.median), number(measured.candidate.median));
    let doubt = if measured.verdict == Verdict::Unknown { "; too few runs to say whether it is a change" } else { "" };
    let title = format!("{values}{doubt}");
    html! {
        span class=(tone) title=(title) {
            @match (measured.verdict, measured.change) {
                (Verdict::NoChange, _) => { "no change" }
                (Verdict::Unknown, Some(change)) => { "(" (relative(change)) ")" }
                (_, Some(change)) => { (relative(change)) }
                (_, None) => { (values) }
            }
        }
    }
}
