//! A comparison of two builds for people: an aligned table, and Markdown.
//!
//! Knows the result and nothing of how it came about. A change is shown only where it is significant.

use std::borrow::Cow;

use super::paint::{Cell, Grid, Look, Tone, escape};
use crate::compare::judgement::judged;
use crate::compare::result::{Comparison, Measured, Metric, Sample, Says, Summary, Unit, Verdict, Workload};
use crate::text;

/// What stands in place of a change that is none, and of one of which nothing is known.
const NO_CHANGE: &str = "no change";
const UNKNOWN: &str = "?";

/// Metrics of which both values are shown, and those of which the change is.
const VALUES: [Metric; 2] = [Metric::Instructions, Metric::WallTime];
const CHANGES: [Metric; 6] = [
    Metric::Cycles,
    Metric::BranchMisses,
    Metric::CacheMisses,
    Metric::UserTime,
    Metric::PeakMemory,
    Metric::PageFaults,
];

/// Metrics of the Markdown table that is not folded away.
const SHOWN: [Metric; 4] = [Metric::Instructions, Metric::WallTime, Metric::UserTime, Metric::PeakMemory];

/// The table, what was counted with, what is to be doubted, and what all of it comes to.
pub fn table(comparison: &Comparison, look: Look) -> String {
    let grid = grid(comparison, &measured(comparison, &VALUES), &measured(comparison, &CHANGES));
    let mut out = grid.render(width(look, &grid), look.paint);
    let sizes = sizes(comparison);
    if !sizes.is_empty() {
        out.push_str(&format!("\n{}", sizes.render(width(look, &sizes), look.paint)));
    }
    let (sentence, tone) = sentence(comparison);
    format!("{out}\n{}\n\n{}\n", footnotes(comparison).join("\n"), look.paint.toned(tone, &sentence))
}

/// To paste into a pull request: the table, and all metrics with their intervals folded away.
pub fn markdown(comparison: &Comparison) -> String {
    let (sentence, tone) = sentence(comparison);
    let mark = match tone {
        Tone::Good => "✅ ",
        Tone::Bad => "❌ ",
        _ => "",
    };
    let mut out = format!("{mark}**{}**\n\n", escape(&sentence));
    out.push_str(&grid(comparison, &measured(comparison, &SHOWN), &[]).markdown());
    let sizes = sizes(comparison);
    if !sizes.is_empty() {
        out.push_str(&format!("\n{}", sizes.markdown()));
    }
    out.push('\n');
    footnotes(comparison).iter().for_each(|line| out.push_str(&format!("- {}\n", escape(line))));
    let mut details = Grid::new(["workload", "metric", ">base", ">candidate", ">change", ">p"]);
    for (workload, name) in comparison.workloads.iter().zip(short_names(comparison)) {
        for measured in &workload.metrics {
            let p = measured.p_value.map(|p| format!("{p:.4}")).unwrap_or_default();
            let [base, candidate] = [&measured.base, &measured.candidate].map(|sample| with_interval(measured, sample));
            details.row([name.to_string(), measured.metric.title(), base, candidate, change(measured).0, p]);
        }
    }
    let machine = &comparison.machine;
    let processor = if machine.processor.is_empty() { "an unknown processor" } else { &machine.processor };
    let made = [escape(processor), text::plural(machine.cores, "core"), format!("Linux {}", escape(&machine.kernel))];
    out.push_str("\n<details><summary>all metrics, with 95 % intervals of the medians</summary>\n\n");
    let (details, made) = (details.markdown(), made.join(", "));
    out + &format!("{details}\n{made}, optbuild {}\n\n</details>\n", comparison.optbuild)
}

/// A row for each workload, and below them what is said of all. Of some metrics both values are shown, with a column for the change in each
/// step on the way, of others the change alone.
fn grid(comparison: &Comparison, values: &[Metric], changes: &[Metric]) -> Grid {
    let steps = || comparison.steps.iter().map(|step| format!(">{}", step.short_name()));
    let with_values = values.iter().flat_map(|metric| {
        let title = format!(">{}", metric.title());
        [title].into_iter().chain(steps()).chain([">change".into()])
    });
    let header = ["workload".to_string()].into_iter().chain(with_values);
    let mut grid = Grid::new(header.chain(changes.iter().map(|metric| format!(">{}", metric.title()))));
    let cell = |found: Option<(String, Tone)>| found.map(|(text, tone)| tone.cell(text)).unwrap_or_default();
    // What stands for a metric in the columns of the steps, and in that of the candidate.
    type Cells<'a> = (&'a dyn Fn(Metric) -> Vec<Cell>, &'a dyn Fn(Metric) -> Cell);
    let mut row = |name: Cell, value: &dyn Fn(Metric) -> String, (steps, change): Cells| {
        let with_values = values
            .iter()
            .flat_map(|metric| [value(*metric).into()].into_iter().chain(steps(*metric)).chain([change(*metric)]));
        grid.row([name].into_iter().chain(with_values).chain(changes.iter().map(|metric| change(*metric))));
    };
    for (index, (workload, name)) in comparison.workloads.iter().zip(short_names(comparison)).enumerate() {
        let of = |workload: &Workload, metric| cell(workload.metric(metric).map(change));
        let steps = |metric| {
            let steps = comparison.steps.iter().map(|step| step.workloads.get(index));
            steps.map(|workload| workload.map(|workload| of(workload, metric)).unwrap_or_default()).collect()
        };
        let value = |metric| workload.metric(metric).map(both).unwrap_or_default();
        row(name.as_ref().into(), &value, (&steps, &|metric| of(workload, metric)));
    }
    for line in lines(comparison) {
        let of = |summary: Option<&Summary>| cell(summary.map(|summary| summary_cell(line, summary)));
        let steps = |metric| comparison.steps.iter().map(|step| of(step.summary_of(metric))).collect();
        row(Tone::Bold.cell(line.title()), &|_| String::new(), (&steps, &|metric| of(comparison.summary_of(metric))));
    }
    grid
}

/// Those of the metrics that were measured.
fn measured(comparison: &Comparison, metrics: &[Metric]) -> Vec<Metric> {
    metrics.iter().copied().filter(|metric| is_measured(comparison, *metric)).collect()
}

/// `863.1 M (860.0 M – 865.2 M), 3 ×`
fn with_interval(measured: &Measured, sample: &Sample) -> String {
    let unit = measured.metric.unit();
    let interval = sample.interval.map(|[low, high]| format!(" ({} – {})", value(unit, low), value(unit, high)));
    format!("{}{}, {} ×", value(unit, sample.median), interval.unwrap_or_default(), sample.runs)
}

fn width(look: Look, grid: &Grid) -> usize {
    if look.width == 0 { grid.natural_width() } else { look.width }
}

pub(super) fn is_measured(comparison: &Comparison, metric: Metric) -> bool {
    comparison.workloads.iter().any(|workload| workload.metric(metric).is_some())
}

/// Whether there were too few runs of some workload.
pub(super) fn has_unknown(comparison: &Comparison) -> bool {
    let mut measured = comparison.workloads.iter().flat_map(|workload| &workload.metrics);
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
    fn title(self) -> &'static str {
        match self {
            Line::Mean => "mean",
            Line::Best => "max improvement",
            Line::Worst => "max regression",
        }
    }
}

/// The mean, and where anything is significant the largest improvement and the largest regression.
fn lines(comparison: &Comparison) -> Vec<Line> {
    let mut lines = vec![Line::Mean];
    lines.extend(comparison.summary.iter().any(|summary| summary.better > 0).then_some(Line::Best));
    lines.extend(comparison.summary.iter().any(|summary| summary.worse > 0).then_some(Line::Worst));
    lines
}

/// The change over all workloads of which something is known, where one of them is significant.
pub(super) fn summary_cell(line: Line, summary: &Summary) -> (String, Tone) {
    let change = match line {
        Line::Mean => Some(summary.mean).filter(|_| summary.better + summary.worse > 0),
        Line::Best => summary.best.filter(|_| summary.better > 0),
        Line::Worst => summary.worst.filter(|_| summary.worse > 0),
    };
    match change {
        Some(change) => (text::change(change), if change < 0.0 { Tone::Good } else { Tone::Bad }),
        None if line == Line::Mean && !summary.is_known() => (UNKNOWN.into(), Tone::Dim),
        None if line == Line::Mean => (NO_CHANGE.into(), Tone::Dim),
        None => (String::new(), Tone::Plain),
    }
}

/// `863.1 M → 746.8 M`
fn both(measured: &Measured) -> String {
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

fn sizes(comparison: &Comparison) -> Grid {
    let mut grid = Grid::new(["file", ">size", ">change"]);
    for size in &comparison.sizes {
        let both = format!("{} → {}", text::size(size.base), text::size(size.candidate));
        let change = size.change.map(text::change).unwrap_or_default();
        grid.row([size.name.clone(), both, change]);
    }
    grid
}

/// What all of it comes to, as the rows call workloads.
pub(super) fn sentence(comparison: &Comparison) -> (String, Tone) {
    let judgement = judged(comparison);
    let tone = match judgement.says {
        Says::Faster => Tone::Good,
        Says::Slower => Tone::Bad,
        Says::Undecided => Tone::Bold,
    };
    (with_short_names(comparison, &judgement.sentence), tone)
}

/// A sentence that calls workloads as the rows do.
fn with_short_names(comparison: &Comparison, sentence: &str) -> String {
    let names = comparison.workloads.iter().zip(short_names(comparison));
    let short = |sentence: String, (workload, name): (&Workload, Cow<str>)| {
        sentence.replace(&format!("`{}`", workload.name), &format!("`{name}`"))
    };
    names.fold(sentence.to_owned(), short)
}

/// What the numbers are, and what is to be doubted.
fn footnotes(comparison: &Comparison) -> Vec<String> {
    let mut lines = vec![format!("{} → {}; negative is better", comparison.base.name, comparison.candidate.name)];
    for step in &comparison.steps {
        let sentence = with_short_names(comparison, &step.verdict.sentence);
        lines.push(format!("{}: {sentence}", step.short_name()));
    }
    let counter = &comparison.counter;
    let because = counter.because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default();
    let budget = &comparison.budget;
    lines.push(format!("instructions: {}{because}", counter.name));
    let (used, allowed) = (text::duration(budget.used), text::duration(budget.allowed));
    lines.push(format!("times: medians, 95 % intervals in the JSON; {used} of {allowed} used"));
    let named = |line: &String| with_short_names(comparison, line);
    lines.extend(comparison.noise.iter().map(|line| format!("noisy: {}", named(line))));
    lines.extend(budget.left_out.iter().map(|line| format!("left out: {}", named(line))));
    lines.extend(comparison.notes.iter().map(|line| format!("note: {}", named(line))));
    if has_unknown(comparison) {
        lines.push("in brackets: too few runs to say whether it is a change; not in the mean".into());
    }
    lines
}

/// Names of workloads without what all of them have: `measure[script=orders]` is `orders` where the others are
/// `measure[script=…]` too.
pub fn short_names(comparison: &Comparison) -> Vec<Cow<'_, str>> {
    let names: Vec<&str> = comparison.workloads.iter().map(|workload| workload.name.as_str()).collect();
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
