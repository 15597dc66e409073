//! A comparison as Markdown, to paste into a pull request: the table, and all metrics with their intervals folded away.

use super::{both, change, footnotes, is_measured, lines, short_names, summary_cell, value};
use crate::compare::result::{Comparison, Measured, Metric, Workload};
use crate::text;

/// Metrics of the table that is not folded away.
const SHOWN: [Metric; 4] = [Metric::Instructions, Metric::WallTime, Metric::UserTime, Metric::PeakMemory];

/// The whole.
pub fn markdown(comparison: &Comparison) -> String {
    let shown: Vec<Metric> = SHOWN.into_iter().filter(|metric| is_measured(comparison, *metric)).collect();
    let names = short_names(comparison);
    let mut out = String::from("| workload |");
    let mut rule = String::from("|:--|");
    for metric in &shown {
        out.push_str(&format!(" {} | change |", metric.title()));
        rule.push_str("--:|--:|");
    }
    out = format!("{out}\n{rule}\n");
    for (workload, name) in comparison.workloads.iter().zip(&names) {
        out.push_str(&format!("| {} |", escape(name)));
        for metric in &shown {
            let measured = workload.metric(*metric);
            let (both, change) = (measured.map(both), measured.map(|measured| change(measured).0));
            out.push_str(&format!(" {} | {} |", both.unwrap_or_default(), change.unwrap_or_default()));
        }
        out.push('\n');
    }
    for line in lines(comparison) {
        out.push_str(&format!("| **{}** |", line.title()));
        for metric in &shown {
            let cell = comparison.summary_of(*metric).map(|summary| summary_cell(line, summary).0);
            let cell = cell.filter(|cell| !cell.is_empty()).map(|cell| format!("**{cell}**")).unwrap_or_default();
            out.push_str(&format!(" | {cell} |"));
        }
        out.push('\n');
    }
    if !comparison.sizes.is_empty() {
        out.push_str("\n| file | size | change |\n|:--|--:|--:|\n");
        for size in &comparison.sizes {
            let change = size.change.map(text::change).unwrap_or_default();
            let (base, candidate) = (text::size(size.base), text::size(size.candidate));
            out.push_str(&format!("| {} | {base} → {candidate} | {change} |\n", escape(&size.name)));
        }
    }
    out.push('\n');
    footnotes(comparison).iter().for_each(|line| out.push_str(&format!("- {}\n", escape(line))));
    out.push_str("\n<details><summary>all metrics, with 95 % intervals of the medians</summary>\n\n");
    out.push_str("| workload | metric | base | candidate | change | p |\n|:--|:--|--:|--:|--:|--:|\n");
    for (workload, name) in comparison.workloads.iter().zip(&names) {
        details(workload, name).into_iter().for_each(|line| out.push_str(&line));
    }
    let machine = &comparison.machine;
    let processor = if machine.processor.is_empty() { "an unknown processor" } else { &machine.processor };
    out.push_str(&format!(
        "\n{}, {}, Linux {}, optbuild {}\n\n</details>\n",
        escape(processor),
        text::plural(machine.cores, "core"),
        escape(&machine.kernel),
        comparison.optbuild
    ));
    out
}

fn details(workload: &Workload, name: &str) -> Vec<String> {
    let line = |measured: &Measured| {
        let side = |sample: &crate::compare::result::Sample| {
            let unit = measured.metric.unit();
            let interval =
                sample.interval.map(|[low, high]| format!(" ({} – {})", value(unit, low), value(unit, high)));
            format!("{}{}, {} ×", value(unit, sample.median), interval.unwrap_or_default(), sample.runs)
        };
        format!(
            "| {} | {} | {} | {} | {} | {} |\n",
            escape(name),
            measured.metric.title(),
            side(&measured.base),
            side(&measured.candidate),
            change(measured).0,
            measured.p_value.map(|p| format!("{p:.4}")).unwrap_or_default()
        )
    };
    workload.metrics.iter().map(line).collect()
}

/// Text that stays as it is in a cell.
fn escape(text: &str) -> String {
    let mut out = String::new();
    for char in text.chars() {
        match char {
            '\n' | '\r' => out.push(' '),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '|' | '*' | '_' | '\\' | '[' | ']' => out.extend(['\\', char]),
            _ => out.push(char),
        }
    }
    out
}
