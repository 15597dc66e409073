//! `optbuild show` and `optbuild list`.

use super::super::table::{Grid, Tone};
use super::Look;
use crate::text;

/// A pipeline, for `show`.
#[derive(Debug, Clone, Default)]
pub struct PipelineInfo {
    pub name: String,
    pub description: String,
    /// Where it stands, or that it is a shipped one.
    pub origin: String,
    pub vars: Vec<VarInfo>,
    pub tools: Vec<ToolInfo>,
    pub stages: Vec<StageInfo>,
    /// Path under `out/NAME`, and the reference that is put there.
    pub outputs: Vec<(String, String)>,
    /// Stages that are done, and what they said of profiles.
    pub profiles: Vec<(String, String)>,
}

/// A variable.
#[derive(Debug, Clone, Default)]
pub struct VarInfo {
    pub name: String,
    pub kind: String,
    /// `None`: it is required.
    pub default: Option<String>,
    pub description: String,
    pub choices: Vec<String>,
    pub secret: bool,
}

/// A tool.
#[derive(Debug, Clone, Default)]
pub struct ToolInfo {
    pub name: String,
    /// Empty: any version.
    pub requirement: String,
    pub optional: bool,
    pub used_by: Vec<String>,
}

/// A stage.
#[derive(Debug, Clone, Default)]
pub struct StageInfo {
    pub name: String,
    pub kind: String,
    /// Alternatives of one reference as `a | b`.
    pub depends_on: Vec<String>,
    pub description: String,
    /// Switched off by `when`.
    pub off: bool,
}

/// A pipeline, for `list`.
#[derive(Debug, Clone, Default)]
pub struct ListRow {
    pub name: String,
    /// `shipped`, or a path.
    pub origin: String,
    pub stages: usize,
    pub description: String,
}

/// All that a pipeline declares.
pub fn pipeline_table(info: &PipelineInfo, look: Look) -> String {
    let mut text = format!("{}\n", look.paint.bold(&info.name));
    for line in [&info.description, &info.origin] {
        if !line.is_empty() {
            text.push_str(&format!("{line}\n"));
        }
    }
    let mut section = |title: &str, grid: Grid| {
        if !grid.is_empty() {
            text.push_str(&format!("\n{}\n", look.paint.bold(title)));
            text.push_str(&text::indent(&grid.compact().render(look.width.saturating_sub(2), look.paint), 2));
        }
    };
    section("Variables", vars(&info.vars));
    section("Tools", tools(&info.tools));
    section("Stages", stages(&info.stages));
    section("Outputs", outputs(&info.outputs));
    section("Profiles, when they were last made or used", profiles(&info.profiles));
    text
}

fn vars(vars: &[VarInfo]) -> Grid {
    let mut grid = Grid::new(&["name", "type", "default", "description"]);
    for var in vars {
        let (default, tone) = match &var.default {
            None => ("required".to_owned(), Tone::Warn),
            Some(_) if var.secret => ("***".to_owned(), Tone::Plain),
            Some(default) if default.is_empty() => ("\"\"".to_owned(), Tone::Plain),
            Some(default) => (default.clone(), Tone::Plain),
        };
        let mut description = var.description.clone();
        let mut add = |words: &str| {
            let space = match description.chars().last() {
                None => "",
                Some('.' | '!' | '?') => " ",
                Some(_) => ". ",
            };
            description.push_str(&format!("{space}{words}"));
        };
        if !var.choices.is_empty() {
            add(&format!("One of: {}.", var.choices.join(", ")));
        }
        if var.secret {
            add("Secret.");
        }
        let name = (var.name.clone(), Tone::Plain);
        grid.row([name, (var.kind.clone(), Tone::Plain), (default, tone), (description, Tone::Plain)]);
    }
    grid
}

fn tools(tools: &[ToolInfo]) -> Grid {
    let mut grid = Grid::new(&["name", "version", "", "used by"]);
    for tool in tools {
        let version = if tool.requirement.is_empty() { "any" } else { &tool.requirement };
        let optional = if tool.optional { "optional" } else { "" };
        let cells =
            [&tool.name, version, optional, &tool.used_by.join(", ")].map(|cell| (cell.to_owned(), Tone::Plain));
        grid.row(cells);
    }
    grid
}

fn stages(stages: &[StageInfo]) -> Grid {
    let mut grid = Grid::new(&["name", "kind", "depends on", "description"]);
    for stage in stages {
        let kind = if stage.off { format!("{} (off)", stage.kind) } else { stage.kind.clone() };
        let tone = if stage.off { Tone::Dim } else { Tone::Plain };
        let depends_on = stage.depends_on.join(", ");
        grid.row([stage.name.clone(), kind, depends_on, stage.description.clone()].map(|cell| (cell, tone)));
    }
    grid
}

fn outputs(outputs: &[(String, String)]) -> Grid {
    let mut grid = Grid::new(&["path", "from"]);
    for (path, from) in outputs {
        grid.row([path, from].map(|cell| (cell.clone(), Tone::Plain)));
    }
    grid
}

fn profiles(profiles: &[(String, String)]) -> Grid {
    let mut grid = Grid::new(&["stage", "profile"]);
    for (stage, profile) in profiles {
        grid.row([stage, profile].map(|cell| (cell.clone(), Tone::Plain)));
    }
    grid
}

/// The pipelines that can be run by their names.
pub fn list_table(rows: &[ListRow], look: Look) -> String {
    let mut grid = Grid::new(&["pipeline", "stages", "from", "description"]).right(&[1]);
    for row in rows {
        let stages = text::count(row.stages as u64);
        grid.row(
            [row.name.clone(), stages, row.origin.clone(), row.description.clone()].map(|cell| (cell, Tone::Plain)),
        );
    }
    grid.compact().render(look.width, look.paint)
}
