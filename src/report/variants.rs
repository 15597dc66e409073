//! A comparison of more than two builds as tables: a row for each build with what it gained and what it cost, and below it what each workload
//! says.
//!
//! Knows the result and nothing of how it came about.

use super::figures::{Line, change, largest, measured, short_names, summary_cell, tone, value};
use super::paint::{Cell, Grid, Tone};
use crate::compare::result::{Comparison, Measured, Metric, Side, Variant};
use crate::text;

/// Metrics that the row of a build has.
pub(super) const OVERVIEW: [Metric; 5] =
    [Metric::Instructions, Metric::Cycles, Metric::WallTime, Metric::UserTime, Metric::PeakMemory];

/// Metrics of which a workload's rows have the value, and those of which they have the change alone.
const VALUES: [Metric; 2] = [Metric::Instructions, Metric::WallTime];
const CHANGES: [Metric; 3] = [Metric::Cycles, Metric::UserTime, Metric::PeakMemory];

/// A row for each build, and one below it for the workload that it changes most.
pub(super) fn overview(comparison: &Comparison) -> Grid {
    let metrics = measured(comparison, &OVERVIEW);
    let titles = metrics.iter().map(|metric| format!(">{}", metric.title()));
    let header = ["variant".to_string()].into_iter().chain(titles);
    let mut grid = Grid::new(header.chain([">size", ">build", ">training", ">disk"].map(String::from)));
    let base = format!("{} (base)", comparison.base.short_name());
    let size = comparison.measured().filter(|variant| variant.against.is_none()).find_map(Variant::size);
    let nothing = metrics.iter().map(|_| Cell::default());
    let size = size.map(|(base, _)| text::size(base)).unwrap_or_default();
    grid.row([base.into()].into_iter().chain(nothing).chain([size.into()]).chain(costs(&comparison.base)));
    for variant in &comparison.variants {
        let name = title(variant);
        if let Some(why) = &variant.missing {
            grid.note(name, Tone::Bad.cell(format!("not measured: {why}")));
            continue;
        }
        let of = |metric: &Metric| {
            let found = variant.summary_of(*metric).map(|summary| summary_cell(Line::Mean, summary));
            found.map(|(text, tone)| tone.cell(text)).unwrap_or_default()
        };
        let size = size_change(variant).map(|change| Cell::from(text::change(change))).unwrap_or_default();
        let cells = metrics.iter().map(of).chain([size]).chain(costs(&variant.build));
        grid.row([name.into()].into_iter().chain(cells));
        // Of one workload, it is the mean.
        let most = |metric: &Metric| {
            let most = variant.summary_of(*metric).and_then(largest).filter(|_| variant.workloads.len() > 1);
            most.map(|(change, _)| tone(change).cell(text::change(change))).unwrap_or_default()
        };
        let cells: Vec<Cell> = metrics.iter().map(most).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            let nothing = (0..4).map(|_| Cell::default());
            grid.row([Tone::Dim.cell("  largest")].into_iter().chain(cells).chain(nothing));
        }
    }
    grid.compact()
}

/// A block of rows for each workload: the base, and the builds beside it.
pub(super) fn workloads(comparison: &Comparison) -> Grid {
    let (values, changes) = (measured(comparison, &VALUES), measured(comparison, &CHANGES));
    let with_values = values.iter().flat_map(|metric| [format!(">{}", metric.title()), ">change".into()]);
    let header = ["workload".to_string()].into_iter().chain(with_values);
    let mut grid = Grid::new(header.chain(changes.iter().map(|metric| format!(">{}", metric.title()))));
    for (index, name) in short_names(comparison).iter().enumerate() {
        grid.note(name.as_ref(), Cell::default());
        let base = comparison.measured().find(|variant| variant.against.is_none());
        let base = base.and_then(|variant| variant.workloads.get(index));
        let of_base = |metric: &Metric| -> [Cell; 2] {
            let measured = base.and_then(|workload| workload.metric(*metric));
            let value = measured.map(|measured| value(metric.unit(), measured.base.median));
            [value.unwrap_or_default().into(), Cell::default()]
        };
        let nothing = changes.iter().map(|_| Cell::default());
        let base = format!("  {}", comparison.base.short_name());
        grid.row([base.into()].into_iter().chain(values.iter().flat_map(of_base)).chain(nothing));
        for variant in comparison.measured() {
            let Some(workload) = variant.workloads.get(index) else { continue };
            let cell = |measured: Option<&Measured>| {
                measured.map(change).map(|(text, tone)| tone.cell(text)).unwrap_or_default()
            };
            let both = |metric: &Metric| -> [Cell; 2] {
                let measured = workload.metric(*metric);
                let value = measured.map(|measured| value(metric.unit(), measured.candidate.median));
                [value.unwrap_or_default().into(), cell(measured)]
            };
            let changes = changes.iter().map(|metric| cell(workload.metric(*metric)));
            let name = format!("  {}", title(variant));
            grid.row([name.into()].into_iter().chain(values.iter().flat_map(both)).chain(changes));
        }
    }
    grid
}

/// The sizes of all files of all builds.
pub(super) fn sizes(comparison: &Comparison) -> Grid {
    let mut grid = Grid::new(["variant", "file", ">size", ">change", "of that"]);
    for variant in comparison.measured() {
        for size in &variant.sizes {
            let both = format!("{} → {}", text::size(size.base), text::size(size.candidate));
            let change = size.change.map(text::change).unwrap_or_default();
            grid.row([title(variant), size.name.clone(), both, change, size.why.clone().unwrap_or_default()]);
        }
    }
    grid.compact()
}

/// What a row calls a build, with what it is held against where that is not the base.
pub(super) fn title(variant: &Variant) -> String {
    let name = variant.build.short_name();
    match &variant.against {
        Some(against) => format!("{name} (to {against})"),
        None => name.into(),
    }
}

/// How all its files together changed.
pub(super) fn size_change(variant: &Variant) -> Option<f64> {
    let (before, after) = variant.size()?;
    crate::compare::statistics::change(before as f64, after as f64)
}

/// Time of building and of training, and disk; nothing of what is not known.
pub(super) fn costs(side: &Side) -> [Cell; 3] {
    let cost = side.cost.unwrap_or_default();
    let time = |seconds: Option<f64>| match seconds {
        Some(0.0) => "none".into(),
        seconds => seconds.map(text::duration).unwrap_or_default(),
    };
    [time(cost.build), time(cost.training), cost.disk.map(text::size).unwrap_or_default()].map(Cell::from)
}
