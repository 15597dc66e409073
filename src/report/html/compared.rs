//! Results of comparisons, and text that stages want shown. In the latter, tables as Markdown has them become tables.

use maud::{Markup, html};

use super::variants;
use crate::compare::judgement::of_variant;
use crate::compare::result::{Comparison, Form, Measured, Metric, Sample, Size, Summary, Variant, Verdict};
use crate::report::comparison;
use crate::report::figures::{self, Line, has_unknown, summary_cell, value};
use crate::report::model::{Compared, Report};
use crate::text;

pub(super) fn section(report: &Report) -> Option<Markup> {
    if report.comparisons.is_empty() && report.shown.is_empty() {
        return None;
    }
    Some(html! {
        @for compared in &report.comparisons { (comparison(compared)) }
        @for shown in &report.shown {
            h3 { (shown.title) }
            (text_shown(&shown.text))
        }
    })
}

fn comparison(compared: &Compared) -> Markup {
    let result = &compared.result;
    let workloads = result.workloads();
    html! {
        div.card.compared data-comparison=(compared.stage) {
            h3 { (compared.stage) }
            @match result.candidate() {
                Some(candidate) => p { b { (result.base.name) } " → " b { (candidate.build.name) } ". Less is better." },
                None => p { (text::plural(result.variants.len(), "build")) " against " b { (result.base.name) } ". Less is better." },
            }
            (verdict(result))
            @for sentence in &compared.fit { p { (sentence) "." } }
            @match result.variants.as_slice() {
                [only] => (one(result, only)),
                _ => (many(result)),
            }
            details {
                summary { "Commands of the workloads" }
                dl.pairs { @for workload in workloads { dt { (workload.name) } dd { code { (workload.command) } } } }
            }
            @if let [only] = result.variants.as_slice() && !only.sizes.is_empty() { (sizes(&only.sizes)) }
            @for warning in result.noise.iter().chain(&result.budget.left_out).chain(&result.notes) { p.warn { (warning) } }
            p.dim {
                "Instructions: " (result.counter.name)
                @if let Some(because) = &result.counter.because { " (" (because) ")" }
                ". " (result.machine.processor) ", " (text::plural(result.machine.cores, "core")) ", Linux " (result.machine.kernel) "."
            }
            p.dim.budget {
                "Budget: " (super::seconds(result.budget.allowed)) " allowed, " (super::seconds(result.budget.planned)) " planned, "
                (super::seconds(result.budget.used)) " used."
            }
        }
    }
}

/// A build beside the base.
fn one(result: &Comparison, variant: &Variant) -> Markup {
    html! {
        (summary(result, variant))
        details open[variant.workloads.len() <= 8] {
            summary { (text::plural(variant.workloads.len(), "workload")) }
            (workloads(result, variant))
            (brackets(result))
        }
        details {
            summary { "Medians with their 95 % intervals" }
            (intervals(variant))
        }
    }
}

/// More than one: a picture of all, their table, and then each by itself.
fn many(result: &Comparison) -> Markup {
    html! {
        (variants::picture(result))
        (variants::table(result))
        (brackets(result))
        @if let Some(correction) = &result.correction {
            p.dim {
                "What is not significant is no change: the chance of any change of a metric is below "
                (correction.level * 100.0) " %, corrected by Holm for " (text::plural(correction.tests, "test")) "."
            }
        }
        @for variant in result.measured() {
            details {
                summary { (variants::title(variant)) ": workloads, sizes, intervals" }
                @if let Some(description) = &variant.build.description { p { (description) } }
                p { (of_variant(result, variant).sentence) "." }
                (workloads(result, variant))
                @if !variant.sizes.is_empty() { (sizes(&variant.sizes)) }
                (intervals(variant))
            }
        }
    }
}

fn brackets(result: &Comparison) -> Markup {
    html! {
        @if has_unknown(result) { p.dim { "In brackets: too few runs to say whether it is a change; not in the mean." } }
    }
}

fn workloads(result: &Comparison, variant: &Variant) -> Markup {
    // In the order of tables.
    let metrics: Vec<Metric> = Metric::all().filter(|metric| result.has(*metric)).collect();
    let titles: Vec<String> = metrics.iter().map(|metric| format!(">{}", metric.title())).collect();
    let columns: Vec<&str> = ["workload"].into_iter().chain(titles.iter().map(String::as_str)).collect();
    super::table(
        &columns,
        &html! {
            @for workload in &variant.workloads {
                tr {
                    td { (workload.name) }
                    @for metric in &metrics {
                        td.num { @if let Some(measured) = workload.metric(*metric) { (cell(measured)) } }
                    }
                }
            }
        },
    )
}

/// What all of it comes to.
fn verdict(result: &Comparison) -> Markup {
    let (sentence, tone) = comparison::sentence(result);
    let steps =
        result.variants.split_last().filter(|_| result.form == Form::Candidate).map_or(&[][..], |(_, steps)| steps);
    html! {
        p class=(format!("verdict {}", super::tone_class(tone))) { b { (sentence) } }
        @for step in steps { p { (of_variant(result, step).sentence) } }
    }
}

fn summary(result: &Comparison, variant: &Variant) -> Markup {
    let unknown = variant.summary.iter().any(|summary| summary.unknown > 0);
    let columns = ["", ">mean", ">best", ">worst", ">better", ">same", ">worse", ">unknown"];
    super::table(
        &columns[..columns.len() - usize::from(!unknown)],
        &html! {
            @for summary in &variant.summary {
                tr.key[summary.metric == result.headline()] {
                    td { (summary.metric.title()) }
                    td.num { (summary_cell(Line::Mean, summary).0) }
                    (extreme(Line::Best, summary, summary.best_workload.as_deref()))
                    (extreme(Line::Worst, summary, summary.worst_workload.as_deref()))
                    td.num { (summary.better) } td.num { (summary.unchanged) } td.num { (summary.worse) }
                    @if unknown { td.num { (summary.unknown) } }
                }
            }
        },
    )
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
fn intervals(variant: &Variant) -> Markup {
    super::scrolled(
        None,
        &["metric", ">base", ">candidate", ">change", ">p"],
        &html! {
            @for workload in &variant.workloads {
                tbody {
                    tr { th.group colspan="5" scope="rowgroup" { (workload.name) } }
                    @for measured in &workload.metrics {
                        tr data-metric=(measured.metric.name()) {
                            td { (measured.metric.title()) }
                            td.num { (sample(measured, &measured.base)) }
                            td.num { (sample(measured, &measured.candidate)) }
                            td.num { (change(measured)) }
                            td.num { @if let Some(p) = measured.adjusted_p_value.or(measured.p_value) { data value=(p) { (format!("{p:.4}")) } } }
                        }
                    }
                }
            }
        },
    )
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

fn sizes(sizes: &[Size]) -> Markup {
    super::table(
        &["file", ">base", ">candidate", ">change"],
        &html! {
            @for size in sizes {
                tr {
                    td { (size.name) @if let Some(why) = &size.why { span.below { "of that " (why) } } }
                    td.num { (super::bytes(size.base)) } td.num { (super::bytes(size.candidate)) }
                    td.num { @if let Some(change) = size.change { data value=(change) { (text::change(change)) } } }
                }
            }
        },
    )
}

/// The change, and below it what it is between.
fn cell(measured: &Measured) -> Markup {
    html! {
        (change(measured))
        span.below { (median(measured, &measured.base)) " → " (median(measured, &measured.candidate)) }
    }
}

fn change(measured: &Measured) -> Markup {
    let (text, tone) = figures::change(measured);
    let known = measured.change.filter(|_| measured.verdict != Verdict::NoChange);
    html! { span class=(super::tone_class(tone)) { @if let Some(change) = known { data value=(change) { (text) } } @else { (text) } } }
}

/// Text that a stage wants shown: tables as Markdown has them become tables, the rest stays as it is.
pub fn text_shown(text: &str) -> Markup {
    let mut lines = text.lines().peekable();
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        if let Some(rule) = lines.peek().filter(|_| is_row(line)).and_then(|next| rule(next)) {
            lines.next();
            let mut rows = Vec::new();
            while let Some(row) = lines.next_if(|line| is_row(line)) {
                rows.push(cells(row));
            }
            blocks.push(table(&cells(line), &rule, &rows));
            continue;
        }
        let mut plain = vec![line];
        while let Some(line) = lines.next_if(|line| !is_row(line)) {
            plain.push(line);
        }
        let plain = plain.join("\n");
        if !plain.trim().is_empty() {
            blocks.push(html! { pre { (plain.trim_matches('\n')) } });
        }
    }
    html! { @for block in blocks { (block) } }
}

fn table(header: &[String], right: &[bool], rows: &[Vec<String>]) -> Markup {
    let class = |column: usize| right.get(column).copied().unwrap_or(false).then_some("num");
    html! {
        div.scroll tabindex="0" {
            table.shown {
                thead { tr { @for (column, cell) in header.iter().enumerate() { th class=[class(column)] { (cell) } } } }
                tbody {
                    @for row in rows {
                        tr.key[row.first().is_some_and(|name| name == "mean")] {
                            @for (column, cell) in row.iter().enumerate() { td class=[class(column)] { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

fn is_row(line: &str) -> bool {
    let line = line.trim();
    line.len() > 1 && line.starts_with('|') && line.ends_with('|')
}

/// Which columns are set flush right, if the line is that below a header: `| :--- | ---: |`.
fn rule(line: &str) -> Option<Vec<bool>> {
    let dashes = |cell: &String| cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':'));
    let cells = cells(line);
    (is_row(line) && cells.iter().all(dashes)).then(|| cells.iter().map(|cell| cell.ends_with(':')).collect())
}

/// What stands between bars, one of which may itself be text: `\|`.
fn cells(line: &str) -> Vec<String> {
    let inner = line.trim();
    let inner = inner.strip_prefix('|').unwrap_or(inner);
    let inner = inner.strip_suffix('|').unwrap_or(inner);
    inner.replace("\\|", "\u{1}").split('|').map(|cell| cell.trim().replace('\u{1}', "|")).collect()
}
