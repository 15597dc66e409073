//! A simulated run as a table, with what its end waits for. Unaware of how it was simulated.

use super::Look;
use crate::report::paint::{Grid, Tone};
use crate::text;

/// A stage in a simulated run. Times are seconds since its beginning.
#[derive(Debug, Clone, Default)]
pub struct CourseRow {
    pub stage: String,
    /// From 1.
    pub machine: usize,
    pub start: f64,
    pub end: f64,
    /// What it waited for, in words.
    pub waited: String,
    /// The end of the run waits for it.
    pub critical: bool,
}

/// A simulated run.
#[derive(Debug, Clone, Default)]
pub struct SimulationInfo {
    pub machines: usize,
    /// Of each machine.
    pub slots: usize,
    /// Where the times come from, in words.
    pub times: String,
    pub rows: Vec<CourseRow>,
    /// Stages of which no time is known.
    pub unknown: Vec<String>,
}

/// `optbuild plan --simulate`
pub fn simulation_text(info: &SimulationInfo, look: Look) -> String {
    let several = info.machines > 1;
    let mut grid = Grid::new(["", "stage", ">machine", ">starts", ">takes", ">ends", "waits for"]);
    for row in &info.rows {
        let tone = if row.critical { Tone::Bold } else { Tone::Plain };
        grid.row([
            tone.cell(if row.critical { "*" } else { "" }),
            tone.cell(&row.stage),
            if several { row.machine.to_string() } else { String::new() }.into(),
            if row.start > 0.0 { text::duration(row.start) } else { "0 s".into() }.into(),
            text::duration(row.end - row.start).into(),
            text::duration(row.end).into(),
            Tone::Dim.cell(&row.waited),
        ]);
    }
    let mut lines = grid.compact().render(look.width, look.paint);
    let wall = info.rows.iter().map(|row| row.end).fold(0.0, f64::max);
    let in_turn: f64 = info.rows.iter().map(|row| row.end - row.start).sum();
    let machines = text::plural(info.machines, "machine");
    let slots = text::plural(info.slots, "slot");
    let each = if several { " each" } else { "" };
    let share = if in_turn > 0.0 { format!(", {} of that", text::percent(wall, in_turn)) } else { String::new() };
    lines.push_str(&format!(
        "\none stage after the other: {}\n{machines} of {slots}{each}: {}{share}\n",
        text::duration(in_turn),
        look.paint.bold(&text::duration(wall)),
    ));
    let critical = info.rows.iter().filter(|row| row.critical);
    let path: Vec<String> =
        critical.map(|row| format!("{} {}", row.stage, text::duration(row.end - row.start))).collect();
    lines.push_str(&format!("the end waits for (*): {}\n", path.join(" → ")));
    lines.push_str(&look.paint.dim(&format!("times: {}\n", info.times)));
    if !info.unknown.is_empty() {
        let unknown = info.unknown.join(", ");
        lines.push_str(&look.paint.warn(&format!("no time is known of {unknown}: here they take none\n")));
    }
    lines
}
