//! A comparison of more than two builds in a page: a picture of what each of them gains and costs, and the same as a table.
//!
//! In the picture each build is a row. A dot stands where the mean of its changes is, a whisker over the mean's 95 % interval, and a line at 0;
//! beside them a bar for the time that building and training took. Unaware of how it was measured.

use maud::{Markup, html};

use crate::compare::judgement::mean;
use crate::compare::result::{Comparison, Metric, Side, Variant};
use crate::report::figures::{Line, largest, summary_cell, tone};
use crate::report::paint::Tone;
pub(super) use crate::report::variants::title;
use crate::report::variants::{OVERVIEW, size_change};
use crate::text;

/// Metrics that the picture has, where they were measured.
const DRAWN: [Metric; 2] = [Metric::Instructions, Metric::WallTime];

/// Lines with numbers in a panel, at most.
const MARKS: f64 = 5.0;

/// Changes from left to right.
struct Scale {
    metric: Metric,
    low: f64,
    high: f64,
    /// From one line to the next.
    step: f64,
}

impl Scale {
    /// One that holds all intervals, and 0. None: the metric was not measured.
    fn of(result: &Comparison, metric: Metric) -> Option<Scale> {
        let means: Vec<(f64, f64)> = result.measured().filter_map(|variant| mean(&variant.workloads, metric)).collect();
        if means.is_empty() {
            return None;
        }
        let low = means.iter().map(|(change, half)| change - half).fold(0.0, f64::min);
        let high = means.iter().map(|(change, half)| change + half).fold(0.0, f64::max);
        let least = (high - low).max(0.002) / MARKS;
        let power = 10_f64.powf(least.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= least);
        let step = step.unwrap_or(10.0 * power);
        // A dot at the edge is a whole one.
        let room = (high - low).max(0.002) * 0.06;
        Some(Scale { metric, low: low - room, high: high + room, step })
    }

    /// Where a change stands, in percent of the width.
    fn at(&self, change: f64) -> f64 {
        (change - self.low) / (self.high - self.low) * 100.0
    }

    fn marks(&self) -> impl Iterator<Item = f64> {
        let (first, last) = ((self.low / self.step).ceil() as i64, (self.high / self.step).floor() as i64);
        (first..=last).map(|number| number as f64 * self.step)
    }

    fn mark_text(&self, mark: f64) -> String {
        let digits = usize::from(self.step < 0.01) + usize::from(self.step < 0.001);
        if mark.abs() < self.step / 2.0 { "0".into() } else { format!("{:+.digits$} %", mark * 100.0) }
    }
}

/// All builds at a glance.
pub(super) fn picture(result: &Comparison) -> Markup {
    let scales: Vec<Scale> = DRAWN.into_iter().filter_map(|metric| Scale::of(result, metric)).collect();
    let sides = || result.variants.iter().map(|variant| &variant.build).chain([&result.base]);
    let longest = sides().map(spent).fold(0.0, f64::max);
    let columns = format!("--panels:{}", scales.len());
    html! {
        div.forest.free[longest == 0.0] style=(columns) data-picture="variants" {
            div.row.head {
                span {}
                @for scale in &scales { b { (scale.metric.title()) } }
                @if longest > 0.0 { b { "time to make" } }
            }
            (row(&format!("{} (base)", result.base.short_name()), result.base.description.as_deref(), &html! {
                @for scale in &scales { (track(scale, None)) span.value {} }
                (bar(&result.base, longest))
            }))
            @for variant in &result.variants {
                (row(&title(variant), variant.build.description.as_deref(), &html! {
                    @if let Some(why) = &variant.missing {
                        span.missing { "not measured: " (why) }
                    } @else {
                        @for scale in &scales { (track(scale, Some(variant))) (drawn(scale, variant)) }
                    }
                    (bar(&variant.build, longest))
                }))
            }
            div.row.axis {
                span {}
                @for scale in &scales {
                    div.track {
                        @for mark in scale.marks() {
                            span style=(format!("left:{:.2}%", scale.at(mark))) { (scale.mark_text(mark)) }
                        }
                    }
                    span {}
                }
            }
        }
        p.dim {
            "Dots are means over the workloads, lines their 95 % intervals; left of the line at 0 is better. Gray is no change. The table counts a \
             workload without a significant change as 0."
            @if longest > 0.0 {
                " Time: " span.key.build {} " building, " span.key.training {} " training."
            }
        }
    }
}

fn row(name: &str, description: Option<&str>, cells: &Markup) -> Markup {
    html! { div.row data-variant=(name) { span.label title=(description.unwrap_or(name)) { (name) } (cells) } }
}

/// The dot of a build and its whisker, over the lines.
fn track(scale: &Scale, variant: Option<&Variant>) -> Markup {
    let found = variant.and_then(|variant| mean(&variant.workloads, scale.metric));
    html! {
        div.track {
            @for mark in scale.marks() { i.mark style=(format!("left:{:.2}%", scale.at(mark))) {} }
            i.zero style=(format!("left:{:.2}%", scale.at(0.0))) {}
            @if let (Some((change, half)), Some(variant)) = (found, variant) {
                @let class = super::tone_class(tone_of(scale.metric, variant));
                @let (low, high) = (scale.at(change - half), scale.at(change + half));
                i.whisker.(class) style=(format!("left:{low:.2}%;width:{:.2}%", high - low)) {}
                i.dot.(class) style=(format!("left:{:.2}%", scale.at(change))) title=(said(change, half)) {}
            }
        }
    }
}

/// `-12.3 % (-13.0 % to -11.6 %)`
fn said(change: f64, half: f64) -> String {
    format!("{} ({} to {})", text::change(change), text::change(change - half), text::change(change + half))
}

/// The number beside the dot: as the table has it, where nothing is called a change.
fn drawn(scale: &Scale, variant: &Variant) -> Markup {
    let found = mean(&variant.workloads, scale.metric);
    let tone = tone_of(scale.metric, variant);
    html! {
        span.value.(super::tone_class(tone)) {
            @match (found, tone) {
                (Some((change, _)), Tone::Good | Tone::Bad) => data value=(change) { (text::change(change)) },
                (Some(_), _) => { "no change" },
                (None, _) => { "?" },
            }
        }
    }
}

/// Whether there is a significant change in the direction of the mean, and that is not within its interval.
fn tone_of(metric: Metric, variant: &Variant) -> Tone {
    let Some((change, half)) = mean(&variant.workloads, metric) else { return Tone::Dim };
    let Some(summary) = variant.summary_of(metric) else { return Tone::Dim };
    let found = if change < 0.0 { summary.better } else { summary.worse };
    if found > 0 && change.abs() > half { tone(change) } else { Tone::Dim }
}

/// Seconds that it took to make a build.
fn spent(side: &Side) -> f64 {
    let cost = side.cost.unwrap_or_default();
    cost.build.unwrap_or(0.0) + cost.training.unwrap_or(0.0)
}

fn bar(side: &Side, longest: f64) -> Markup {
    let cost = side.cost.unwrap_or_default();
    let width = |seconds: Option<f64>| format!("width:{:.2}%", seconds.unwrap_or(0.0) / longest * 100.0);
    html! {
        @if longest > 0.0 {
            span.cost {
                span.bar { i.build style=(width(cost.build)) {} i.training style=(width(cost.training)) {} }
                @if spent(side) > 0.0 { (super::seconds(spent(side))) }
            }
        }
    }
}

/// A row for each build.
pub(super) fn table(result: &Comparison) -> Markup {
    let metrics: Vec<Metric> = OVERVIEW.into_iter().filter(|metric| result.has(*metric)).collect();
    let sides = || result.variants.iter().map(|variant| &variant.build).chain([&result.base]);
    let costs = sides().any(|side| side.cost.is_some());
    let titles = metrics.iter().map(|metric| format!(">{}", metric.title()));
    let mut columns: Vec<String> = ["variant".to_owned()].into_iter().chain(titles).chain([">size".into()]).collect();
    columns.extend(costs.then(|| [">build", ">training", ">disk"].map(String::from)).into_iter().flatten());
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let size = result.measured().filter(|variant| variant.against.is_none()).find_map(Variant::size);
    super::table(
        &columns,
        &html! {
            tr {
                td { (result.base.short_name()) " (base)" }
                @for _ in &metrics { td {} }
                td.num { @if let Some((size, _)) = size { (super::bytes(size)) } }
                @if costs { (cost(&result.base)) }
            }
            @for variant in &result.variants {
                tr {
                    td { (title(variant)) }
                    @if let Some(why) = &variant.missing {
                        td.bad colspan=(metrics.len() + 1) { "not measured: " (why) }
                    } @else {
                        @for metric in &metrics { (change(variant, *metric)) }
                        td.num {
                            @if let (Some(change), Some((_, size))) = (size_change(variant), variant.size()) {
                                data value=(change) { (text::change(change)) }
                                span.below { (super::bytes(size)) }
                            }
                        }
                    }
                    @if costs { (cost(&variant.build)) }
                }
            }
        },
    )
}

/// The mean, and below it the workload that changed most.
fn change(variant: &Variant, metric: Metric) -> Markup {
    let summary = variant.summary_of(metric);
    html! {
        td.num {
            @if let Some(summary) = summary {
                @let (text, tone) = summary_cell(Line::Mean, summary);
                span class=(super::tone_class(tone)) { data value=(summary.mean) { (text) } }
                @if let Some((change, workload)) = largest(summary).filter(|_| variant.workloads.len() > 1) {
                    span.below title=(workload.unwrap_or_default()) { "largest " (text::change(change)) }
                }
            }
        }
    }
}

fn cost(side: &Side) -> Markup {
    let cost = side.cost.unwrap_or_default();
    html! {
        @for time in [cost.build, cost.training] {
            td.num { @match time { Some(0.0) => "none", Some(time) => (super::seconds(time)), None => {} } }
        }
        td.num { @if let Some(disk) = cost.disk { (super::bytes(disk)) } }
    }
}
