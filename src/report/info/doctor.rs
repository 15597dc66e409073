//! `optbuild doctor`.

use super::super::table::{Grid, Tone};
use super::Look;
use crate::text;

/// A tool on this machine.
#[derive(Debug, Clone, Default)]
pub struct ToolRow {
    pub name: String,
    /// Path; `None` if there is none.
    pub found: Option<String>,
    pub version: Option<String>,
    /// Empty: any version.
    pub requirement: String,
    /// Stages or kinds that run it.
    pub needed_for: Vec<String>,
    pub state: ToolState,
    /// What to do, if something is to be done.
    pub remedy: String,
}

/// Whether a tool will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ToolState {
    #[default]
    Ok,
    Missing,
    /// Missing or too old, and stages do without it.
    Optional,
    /// There, but of a version that does not meet the requirement.
    WrongVersion,
    /// There, but it does not work.
    Broken,
}

impl ToolState {
    fn words(self) -> (&'static str, Tone) {
        match self {
            ToolState::Ok => ("ok", Tone::Good),
            ToolState::Missing => ("missing", Tone::Bad),
            ToolState::Optional => ("missing, optional", Tone::Warn),
            ToolState::WrongVersion => ("wrong version", Tone::Bad),
            ToolState::Broken => ("broken", Tone::Bad),
        }
    }

    fn fails(self) -> bool {
        !matches!(self, ToolState::Ok | ToolState::Optional)
    }
}

/// A tool per row; below, what to do, each remedy once; at the end whether all is there.
pub fn doctor_table(rows: &[ToolRow], look: Look) -> String {
    let (wide, short) = (grid(rows, |stages| stages.join(", ")), grid(rows, counted));
    let grid = if wide.natural_width() > look.width { short } else { wide };
    // Paths come last and are not wrapped: they are there to be copied.
    let mut text = grid.render(look.width.max(grid.natural_width()), look.paint);
    let mut remedies: Vec<(&str, Vec<&str>)> = Vec::new();
    for row in rows.iter().filter(|row| row.state != ToolState::Ok && !row.remedy.is_empty()) {
        match remedies.iter_mut().find(|(remedy, _)| *remedy == row.remedy) {
            Some((_, names)) => names.push(&row.name),
            None => remedies.push((&row.remedy, vec![&row.name])),
        }
    }
    if !remedies.is_empty() {
        text.push_str(&format!("\n{}\n", look.paint.bold("What to do")));
        remedies.iter().for_each(|(remedy, names)| text.push_str(&format!("  {}: {remedy}\n", names.join(", "))));
    }
    let failing = rows.iter().filter(|row| row.state.fails()).count();
    let verdict = match failing {
        0 => look.paint.good("everything that is needed is there"),
        failing => look.paint.bad(&format!("{} missing or not fit", text::plural(failing, "tool"))),
    };
    text.push_str(&format!("\n{verdict}\n"));
    text
}

fn grid(rows: &[ToolRow], needed_for: fn(&[String]) -> String) -> Grid {
    let mut grid = Grid::new(&["tool", "status", "version", "required", "needed for", "found"]);
    for row in rows {
        let (words, tone) = row.state.words();
        grid.row([
            (row.name.clone(), Tone::Plain),
            (words.to_owned(), tone),
            (row.version.clone().unwrap_or_default(), Tone::Plain),
            (row.requirement.clone(), Tone::Plain),
            (needed_for(&row.needed_for), Tone::Plain),
            (row.found.clone().unwrap_or_default(), Tone::Plain),
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
