//! Results of comparisons, and text that stages want shown.

use maud::{Markup, html};

use super::super::comparison::{Line, is_measured, summary_cell, value};
use super::super::model::{Compared, Report};
use super::parts;
use crate::compare::result::{Budget, Comparison, Measured, Metric, Sample, Summary, Verdict};
use crate::text;

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
    // In the order of tables.
    let metrics: Vec<Metric> = Metric::all().filter(|metric| is_measured(result, *metric)).collect();
    html! {
        div.card.compared data-comparison=(compared.stage) {
            h3 { (compared.stage) }
            p { b { (result.base.name) } " → " b { (result.candidate.name) } ". Less is better." }
            (parts::scrolled(&summary(result)))
            details open[result.workloads.len() <= 8] {
                summary { (text::plural(result.workloads.len(), "workload")) }
                (parts::scrolled(&html! {
                    table {
                        thead { tr { th { "workload" } @for metric in &metrics { th.num { (metric.title()) } } } }
                        tbody {
                            @for workload in &result.workloads {
                                tr {
                                    td { (workload.name) }
                                    @for metric in &metrics {
                                        td.num { @if let Some(measured) = workload.metric(*metric) { (cell(measured)) } }
                                    }
                                }
                            }
                        }
                    }
                }))
                @if has_unknown(result) { p.dim { "In brackets: too few runs to say whether it is a change; not in the mean." } }
            }
            details {
                summary { "Medians with their 95 % intervals" }
                (parts::scrolled(&intervals(result)))
            }
            details {
                summary { "Commands of the workloads" }
                dl.pairs { @for workload in &result.workloads { dt { (workload.name) } dd { code { (workload.command) } } } }
            }
            @if !result.sizes.is_empty() { (parts::scrolled(&sizes(result))) }
            @for warning in result.noise.iter().chain(&result.budget.left_out).chain(&result.notes) { p.warn { (warning) } }
            p.dim {
                "Instructions: " (result.counter.name)
                @if let Some(because) = &result.counter.because { " (" (because) ")" }
                ". " (result.machine.processor) ", " (text::plural(result.machine.cores, "core")) ", Linux " (result.machine.kernel) "."
            }
            (budget(&result.budget))
        }
    }
}

/// What measuring was allowed to take, was expected to take at the least, and took.
fn budget(budget: &Budget) -> Markup {
    html! {
        p.dim.budget {
            "Budget: " (parts::seconds(budget.allowed)) " allowed, " (parts::seconds(budget.planned)) " planned, "
            (parts::seconds(budget.used)) " used."
        }
    }
}

fn summary(result: &Comparison) -> Markup {
    let unknown = result.summary.iter().any(|summary| summary.unknown > 0);
    html! {
        table {
            thead {
                tr {
                    th {} th.num { "mean" } th.num { "best" } th.num { "worst" } th.num { "better" } th.num { "same" } th.num { "worse" }
                    @if unknown { th.num { "unknown" } }
                }
            }
            tbody {
                @for summary in &result.summary {
                    tr.key[summary.metric == result.headline()] {
                        td { (summary.metric.title()) }
                        td.num { (summary_cell(Line::Mean, summary).0) }
                        (extreme(Line::Best, summary, summary.best_workload.as_deref()))
                        (extreme(Line::Worst, summary, summary.worst_workload.as_deref()))
                        td.num { (summary.better) } td.num { (summary.unchanged) } td.num { (summary.worse) }
                        @if unknown { td.num { (summary.unknown) } }
                    }
                }
            }
        }
    }
}

/// As in the table of the comparison itself: nothing where no workload's change is significant.
fn extreme(line: Line, summary: &Summary, workload: Option<&str>) -> Markup {
    let change = summary_cell(line, summary).0;
    html! {
        td.num {
            (change)
            @if let Some(workload) = workload.filter(|_| !change.is_empty()) { span.below.name { (workload) } }
        }
    }
}

/// A row for each metric, below the name of the workload: as narrow as can be.
fn intervals(result: &Comparison) -> Markup {
    html! {
        table {
            thead { tr { th { "metric" } th.num { "base" } th.num { "candidate" } th.num { "change" } th.num { "p" } } }
            @for workload in &result.workloads {
                tbody {
                    tr { th.group colspan="5" scope="rowgroup" { (workload.name) } }
                    @for measured in &workload.metrics {
                        tr data-metric=(measured.metric.name()) {
                            td { (measured.metric.title()) }
                            td.num { (sample(measured, &measured.base)) }
                            td.num { (sample(measured, &measured.candidate)) }
                            td.num { (change(measured)) }
                            td.num { @if let Some(p) = measured.p_value { data value=(p) { (format!("{p:.4}")) } } }
                        }
                    }
                }
            }
        }
    }
}

/// A median, how often it was measured, and the interval that it lies in.
fn sample(of: &Measured, sample: &Sample) -> Markup {
    html! {
        (median(of, sample)) ", " (sample.runs) " ×"
        @if let Some([low, high]) = sample.interval {
            span.below { (value(of.metric.unit(), low)) " – " (value(of.metric.unit(), high)) }
        }
    }
}

fn median(of: &Measured, sample: &Sample) -> Markup {
    html! { data value=(sample.median) { (value(of.metric.unit(), sample.median)) } }
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

fn has_unknown(result: &Comparison) -> bool {
    let mut measured = result.workloads.iter().flat_map(|workload| &workload.metrics);
    measured.any(|measured| measured.verdict == Verdict::Unknown)
}

fn relative(change: f64) -> Markup {
    html! { data value=(change) { (text::change(change)) } }
}

/// The change, and below it what it is between.
fn cell(measured: &Measured) -> Markup {
    html! {
        (change(measured))
        span.below { (median(measured, &measured.base)) " → " (median(measured, &measured.candidate)) }
    }
}

fn change(measured: &Measured) -> Markup {
    let tone = match measured.verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoChange | Verdict::Unknown => "same",
    };
    html! {
        span class=(tone) {
            @match (measured.verdict, measured.change) {
                (Verdict::NoChange, _) => { "no change" }
                (Verdict::Unknown, Some(change)) => { "(" (relative(change)) ")" }
                (Verdict::Unknown, None) => { "?" }
                (_, Some(change)) => { (relative(change)) }
                (_, None) => {}
            }
        }
    }
}
