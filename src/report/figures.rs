//! How single figures of a comparison are written: values, changes, means; and short names of workloads.
//!
//! A change is shown only where it is significant. Unaware of tables and pages.

use std::borrow::Cow;

use super::paint::Tone;
use crate::compare::result::{Comparison, Measured, Metric, Sample, Summary, Unit, Verdict, Workload};
use crate::text;

/// What stands in place of a change that is none, and of one of which nothing is known.
const NO_CHANGE: &str = "no change";
const UNKNOWN: &str = "?";

/// Those of the metrics that were measured.
pub(super) fn measured(comparison: &Comparison, metrics: &[Metric]) -> Vec<Metric> {
    metrics.iter().copied().filter(|metric| comparison.has(*metric)).collect()
}

/// Whether there were too few runs of some workload.
pub(super) fn has_unknown(comparison: &Comparison) -> bool {
    let workloads = comparison.measured().flat_map(|variant| &variant.workloads);
    let mut measured = workloads.flat_map(|workload| &workload.metrics);
    measured.any(|measured| measured.verdict == Verdict::Unknown)
}

/// A line below the workloads, each with the changes of a metric over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    Mean,
    Best,
    Worst,
}

impl Line {
    pub(super) fn title(self) -> &'static str {
        match self {
            Line::Mean => "mean",
            Line::Best => "max improvement",
            Line::Worst => "max regression",
        }
    }
}

/// The change over all workloads of which something is known, where one of them is significant.
pub(super) fn summary_cell(line: Line, summary: &Summary) -> (String, Tone) {
    let change = match line {
        Line::Mean => Some(summary.mean).filter(|_| summary.better + summary.worse > 0),
        Line::Best => summary.best.filter(|_| summary.better > 0),
        Line::Worst => summary.worst.filter(|_| summary.worse > 0),
    };
    match change {
        Some(change) => (text::change(change), tone(change)),
        None if line == Line::Mean && !summary.is_known() => (UNKNOWN.into(), Tone::Dim),
        None if line == Line::Mean => (NO_CHANGE.into(), Tone::Dim),
        None => (String::new(), Tone::Plain),
    }
}

/// The significant change of one workload that is farthest from 0.
pub(super) fn largest(summary: &Summary) -> Option<(f64, Option<&str>)> {
    let best = summary.best.filter(|_| summary.better > 0).map(|change| (change, summary.best_workload.as_deref()));
    let worst = summary.worst.filter(|_| summary.worse > 0).map(|change| (change, summary.worst_workload.as_deref()));
    [best, worst].into_iter().flatten().max_by(|a, b| a.0.abs().total_cmp(&b.0.abs()))
}

/// The tone of a change that is one.
pub(super) fn tone(change: f64) -> Tone {
    if change < 0.0 { Tone::Good } else { Tone::Bad }
}

/// `863.1 M → 746.8 M`
pub(super) fn both(measured: &Measured) -> String {
    let unit = measured.metric.unit();
    format!("{} → {}", value(unit, measured.base.median), value(unit, measured.candidate.median))
}

/// A number as its metric is written.
pub(super) fn value(unit: Unit, number: f64) -> String {
    match unit {
        Unit::Seconds if number < 1.0 => format!("{:.1} ms", number * 1e3),
        Unit::Seconds if number < 100.0 => format!("{number:.2} s"),
        Unit::Seconds => text::duration(number),
        Unit::Bytes => text::size(number.max(0.0) as u64),
        Unit::Count => text::large(number),
    }
}

/// A significant change, or that there is none.
pub(super) fn change(measured: &Measured) -> (String, Tone) {
    match (measured.verdict, measured.change) {
        (Verdict::Better, Some(change)) => (text::change(change), Tone::Good),
        (Verdict::Worse, Some(change)) => (text::change(change), Tone::Bad),
        (Verdict::Unknown, Some(change)) => (format!("({})", text::change(change)), Tone::Dim),
        (Verdict::Unknown, None) => (UNKNOWN.into(), Tone::Dim),
        _ => (NO_CHANGE.into(), Tone::Dim),
    }
}

/// `863.1 M (860.0 M – 865.2 M), 3 ×`
pub(super) fn with_interval(measured: &Measured, sample: &Sample) -> String {
    let unit = measured.metric.unit();
    let interval = sample.interval.map(|[low, high]| format!(" ({} – {})", value(unit, low), value(unit, high)));
    format!("{}{}, {} ×", value(unit, sample.median), interval.unwrap_or_default(), sample.runs)
}

/// A sentence that calls workloads as the rows do.
pub(super) fn with_short_names(comparison: &Comparison, sentence: &str) -> String {
    let names = comparison.workloads().iter().zip(short_names(comparison));
    let short = |sentence: String, (workload, name): (&Workload, Cow<str>)| {
        sentence.replace(&format!("`{}`", workload.name), &format!("`{name}`"))
    };
    names.fold(sentence.to_owned(), short)
}

/// Names of workloads without what all of them have: `measure[script=orders]` is `orders` where the others are
/// `measure[script=…]` too.
pub fn short_names(comparison: &Comparison) -> Vec<Cow<'_, str>> {
    let names: Vec<&str> = comparison.workloads().iter().map(|workload| workload.name.as_str()).collect();
    let inner = |name: &str| -> Option<(usize, usize)> {
        let (start, end) = (name.find('=')? + 1, name.len().checked_sub(1)?);
        (name.contains('[') && name.ends_with(']') && !name[start..].contains(['=', ','])).then_some((start, end))
    };
    let Some((start, _)) = names.first().and_then(|first| inner(first)) else {
        return names.into_iter().map(Cow::Borrowed).collect();
    };
    let prefix = &names[0][..start];
    let same = |name: &&str| name.starts_with(prefix) && inner(name).is_some_and(|(other, _)| other == start);
    if !names.iter().all(same) {
        return names.into_iter().map(Cow::Borrowed).collect();
    }
    names.into_iter().map(|name| Cow::Borrowed(&name[start..name.len() - 1])).collect()
}
