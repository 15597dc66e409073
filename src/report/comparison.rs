//! A comparison for people: aligned tables, and Markdown. Of two builds, a table of workloads; of more, the tables of [`super::variants`].
//!
//! Knows the result and nothing of how it came about. A change is shown only where it is significant.

use super::figures::{
    Line, both, change, has_unknown, measured, short_names, summary_cell, with_interval, with_short_names,
};
use super::paint::{Cell, Grid, Look, Tone, escape};
use super::variants;
use crate::compare::judgement::{judged, of_variant};
use crate::compare::result::{Comparison, Form, Metric, Says, Summary, Variant};
use crate::text;

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

/// The tables, what was counted with, what is to be doubted, and what all of it comes to.
pub fn table(comparison: &Comparison, look: Look) -> String {
    let tables = match only(comparison) {
        Some(candidate) => vec![grid(comparison, candidate, &VALUES, &CHANGES), sizes(candidate)],
        None => vec![variants::overview(comparison), variants::workloads(comparison)],
    };
    let tables = tables.iter().filter(|grid| !grid.is_empty());
    let tables: Vec<String> = tables.map(|grid| grid.render(width(look, grid), look.paint)).collect();
    let (sentence, tone) = sentence(comparison);
    let (tables, footnotes) = (tables.join("\n"), footnotes(comparison).join("\n"));
    format!("{tables}\n{footnotes}\n\n{}\n", look.paint.toned(tone, &sentence))
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
    let (mut folded, mut all) = (Vec::new(), Grid::new(["workload", "metric", ">base", ">candidate", ">change", ">p"]));
    match only(comparison) {
        Some(candidate) => {
            out.push_str(&grid(comparison, candidate, &SHOWN, &[]).markdown());
            let sizes = sizes(candidate);
            if !sizes.is_empty() {
                out.push_str(&format!("\n{}", sizes.markdown()));
            }
            details(comparison, candidate, &mut all, None);
        }
        None => {
            out.push_str(&variants::overview(comparison).markdown());
            let sizes = variants::sizes(comparison).markdown();
            folded.extend([("workloads", variants::workloads(comparison).markdown()), ("sizes of files", sizes)]);
            all = Grid::new(["variant", "workload", "metric", ">base", ">variant", ">change", ">p"]);
            for variant in comparison.measured() {
                details(comparison, variant, &mut all, Some(variant.build.short_name()));
            }
        }
    }
    out.push('\n');
    footnotes(comparison).iter().for_each(|line| out.push_str(&format!("- {}\n", escape(line))));
    for (title, table) in folded.iter().filter(|(_, table)| !table.is_empty()) {
        out.push_str(&format!("\n<details><summary>{title}</summary>\n\n{table}\n</details>\n"));
    }
    let machine = &comparison.machine;
    let processor = if machine.processor.is_empty() { "an unknown processor" } else { &machine.processor };
    let made = [escape(processor), text::plural(machine.cores, "core"), format!("Linux {}", escape(&machine.kernel))];
    out.push_str("\n<details><summary>all metrics, with 95 % intervals of the medians</summary>\n\n");
    let (details, made) = (all.markdown(), made.join(", "));
    out + &format!("{details}\n{made}, optbuild {}\n\n</details>\n", comparison.optbuild)
}

/// What is held against what: `plain against pgo`, or how many there are.
pub(super) fn between(comparison: &Comparison) -> String {
    let base = &comparison.base.name;
    match comparison.candidate() {
        Some(candidate) => format!("{base} against {}", candidate.build.name),
        None => format!("{} against {base}", text::plural(comparison.variants.len(), "build")),
    }
}

/// Where there are two builds alone: the one that is not the base.
fn only(comparison: &Comparison) -> Option<&Variant> {
    match comparison.variants.as_slice() {
        [only] if only.missing.is_none() => Some(only),
        _ => None,
    }
}

/// Adds all metrics of a side, with their intervals.
fn details(comparison: &Comparison, variant: &Variant, to: &mut Grid, called: Option<&str>) {
    for (workload, name) in variant.workloads.iter().zip(short_names(comparison)) {
        for measured in &workload.metrics {
            let p = measured.adjusted_p_value.or(measured.p_value).map(|p| format!("{p:.4}")).unwrap_or_default();
            let [base, candidate] = [&measured.base, &measured.candidate].map(|sample| with_interval(measured, sample));
            let cells = [name.to_string(), measured.metric.title(), base, candidate, change(measured).0, p];
            to.row(called.map(str::to_owned).into_iter().chain(cells));
        }
    }
}

/// A row for each workload, and below them what is said of all. Of some metrics both values are shown, of others the change alone.
fn grid(comparison: &Comparison, candidate: &Variant, values: &[Metric], changes: &[Metric]) -> Grid {
    let (values, changes) = (measured(comparison, values), measured(comparison, changes));
    let with_values = values.iter().flat_map(|metric| [format!(">{}", metric.title()), ">change".into()]);
    let header = ["workload".to_string()].into_iter().chain(with_values);
    let mut grid = Grid::new(header.chain(changes.iter().map(|metric| format!(">{}", metric.title()))));
    let cell = |found: Option<(String, Tone)>| found.map(|(text, tone)| tone.cell(text)).unwrap_or_default();
    let mut row = |name: Cell, value: &dyn Fn(Metric) -> String, change: &dyn Fn(Metric) -> Cell| {
        let with_values = values.iter().flat_map(|metric| [value(*metric).into(), change(*metric)]);
        grid.row([name].into_iter().chain(with_values).chain(changes.iter().map(|metric| change(*metric))));
    };
    for (workload, name) in candidate.workloads.iter().zip(short_names(comparison)) {
        let value = |metric| workload.metric(metric).map(both).unwrap_or_default();
        row(name.as_ref().into(), &value, &|metric| cell(workload.metric(metric).map(change)));
    }
    for line in lines(&candidate.summary) {
        let of = |metric| cell(candidate.summary_of(metric).map(|summary| summary_cell(line, summary)));
        row(Tone::Bold.cell(line.title()), &|_| String::new(), &of);
    }
    grid
}

fn width(look: Look, grid: &Grid) -> usize {
    if look.width == 0 { grid.natural_width() } else { look.width }
}

/// The mean, and where anything is significant the largest improvement and the largest regression.
fn lines(summary: &[Summary]) -> Vec<Line> {
    let mut lines = vec![Line::Mean];
    lines.extend(summary.iter().any(|summary| summary.better > 0).then_some(Line::Best));
    lines.extend(summary.iter().any(|summary| summary.worse > 0).then_some(Line::Worst));
    lines
}

fn sizes(candidate: &Variant) -> Grid {
    let mut grid = Grid::new(["file", ">size", ">change", "of that"]);
    for size in &candidate.sizes {
        let both = format!("{} → {}", text::size(size.base), text::size(size.candidate));
        let change = size.change.map(text::change).unwrap_or_default();
        grid.row([size.name.clone(), both, change, size.why.clone().unwrap_or_default()]);
    }
    grid.compact()
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

/// What the numbers are, and what is to be doubted.
fn footnotes(comparison: &Comparison) -> Vec<String> {
    let base = &comparison.base.name;
    let mut lines = match (comparison.candidate(), only(comparison)) {
        (Some(candidate), _) | (None, Some(candidate)) => {
            vec![format!("{base} → {}; negative is better", candidate.build.name)]
        }
        (None, None) => vec![format!("changes against {base}, where a row names no other; negative is better")],
    };
    if only(comparison).is_none() {
        let workloads = text::plural(comparison.workloads().len(), "workload");
        lines.push(format!(
            "each the mean over {workloads}; `largest` is the change of one workload that is farthest from 0"
        ));
    }
    if comparison.form == Form::Candidate {
        for step in comparison.measured().take(comparison.variants.len() - 1) {
            let sentence = with_short_names(comparison, &of_variant(comparison, step).sentence);
            lines.push(format!("{}: {sentence}", step.build.short_name()));
        }
    }
    if let Some(correction) = &comparison.correction {
        let level = correction.level * 100.0;
        let tests = text::plural(correction.tests, "test");
        lines.push(format!("a change: less than {level} % chance, corrected by Holm for {tests} of each metric"));
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
        let least = comparison.correction.as_ref().map(|correction| correction.least_runs);
        let least = least.map(|least| format!(" (it takes {least} a side)")).unwrap_or_default();
        lines.push(format!("in brackets: too few runs{least} to say whether it is a change; not in the mean"));
    }
    lines
}
