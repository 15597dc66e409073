//! `optbuild doctor`.

use super::Look;
use crate::report::paint::Tone;
use crate::report::table::Grid;
use crate::text;
use crate::toolchain::doctor::{DoctorRow, Status};

fn words(status: Status) -> (&'static str, Tone) {
    match status {
        Status::Ok => ("ok", Tone::Good),
        Status::Missing => ("missing", Tone::Bad),
        Status::OptionalMissing => ("missing, optional", Tone::Warn),
        Status::TooOld => ("wrong version", Tone::Bad),
    }
}

/// A tool per row; below, what to do, each remedy once; at the end whether all is there.
pub fn doctor_table(rows: &[DoctorRow], look: Look) -> String {
    let (wide, short) = (grid(rows, |stages| stages.join(", ")), grid(rows, counted));
    let grid = if wide.natural_width() > look.width { short } else { wide };
    // Paths come last and are not wrapped: they are there to be copied.
    let mut text = grid.render(look.width.max(grid.natural_width()), look.paint);
    let mut remedies: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows.iter().filter(|row| row.status != Status::Ok) {
        let Some(wanted) = row.remedy.as_deref().filter(|remedy| !remedy.is_empty()) else { continue };
        match remedies.iter_mut().find(|(remedy, _)| *remedy == wanted) {
            Some((_, names)) => names.push(&row.tool),
            None => remedies.push((wanted, vec![&row.tool])),
        }
    }
    if !remedies.is_empty() {
        text.push_str(&format!("\n{}\n", look.paint.bold("What to do")));
        remedies.iter().for_each(|(remedy, names)| text.push_str(&format!("  {}: {remedy}\n", names.join(", "))));
    }
    let failing = rows.iter().filter(|row| words(row.status).1 == Tone::Bad).count();
    let verdict = match failing {
        0 => look.paint.good("everything that is needed is there"),
        failing => look.paint.bad(&format!("{} missing or not fit", text::plural(failing, "tool"))),
    };
    text.push_str(&format!("\n{verdict}\n"));
    text
}

fn grid(rows: &[DoctorRow], needed_for: fn(&[String]) -> String) -> Grid {
    let mut grid = Grid::new(["tool", "status", "version", "required", "needed for", "found"]);
    for row in rows {
        let (words, tone) = words(row.status);
        grid.row([
            Tone::Plain.cell(&row.tool),
            tone.cell(words),
            row.version.clone().unwrap_or_default().into(),
            row.requirement.clone().unwrap_or_default().into(),
            needed_for(&row.needed_for).into(),
            row.path.as_ref().map(ToString::to_string).unwrap_or_default().into(),
        ]);
    }
    grid.compact()
}

/// For narrow terminals: one by its name, more by their number.
fn counted(stages: &[String]) -> String {
    match stages {
        [] => String::new(),
        [one] => one.clone(),
        [first, more @ ..] => format!("{first}, +{}", more.len()),
    }
}
