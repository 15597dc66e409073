//! What subcommands print about pipelines, records, runs and this machine: pure renderers, mostly of rows that the command line fills in.
//!
//! Here: `doctor`, `show`, `list`, and the stages of a pipeline as a graph for Graphviz and Mermaid. Unaware of where the rows come
//! from. Every renderer returns whole lines, the last one ended.

mod profile;
mod simulation;
mod stages;

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::paint::{Grid, Tone};
use crate::pipeline::shipped::Listed;
use crate::pipeline::{Pipeline, Stage, VarType};
use crate::text;
use crate::toolchain::doctor::{DoctorRow, Status};

pub use super::paint::Look;
pub use profile::{ChangeInfo, DiffInfo, HotFunction, LevelInfo, ProfileInfo, diff_text, profile_text};
pub use simulation::{CourseRow, SimulationInfo, simulation_text};
pub use stages::{
    ArtifactRow, Explanation, Outlook, RunRow, StatusRow, artifacts_table, diff_table, explain_text, history_table,
    status_table,
};

/// A moment, as tables have it.
fn minute(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// `optbuild doctor`: a tool per row; below, what to do, each remedy once; at the end whether all is there.
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

fn words(status: Status) -> (&'static str, Tone) {
    match status {
        Status::Ok => ("ok", Tone::Good),
        Status::Missing => ("missing", Tone::Bad),
        Status::OptionalMissing => ("missing, optional", Tone::Warn),
        Status::TooOld => ("wrong version", Tone::Bad),
    }
}

/// All that a pipeline declares. `profiles`: stages that are done, and what they said of profiles.
pub fn pipeline_table(pipeline: &Pipeline, profiles: &[(String, String)], look: Look) -> String {
    let mut text = format!("{}\n", look.paint.bold(&pipeline.name));
    for line in [pipeline.description.as_str(), pipeline.file.as_str()] {
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
    section("Variables", vars(pipeline));
    let mut tools = Grid::new(["name", "version", ""]);
    for (name, tool) in &pipeline.tools {
        let version = tool.version.as_deref().unwrap_or("any");
        tools.row([name.as_str(), version, if tool.optional { "optional" } else { "" }]);
    }
    section("Tools", tools);
    section("Stages", stages(pipeline));
    let mut outputs = Grid::new(["path", "from", ""]);
    for (path, declared) in &pipeline.outputs {
        let unless = declared.unless_slower.as_ref().map(|stage| format!("unless {stage} says it is slower"));
        outputs.row([path.clone(), declared.from.to_string(), unless.unwrap_or_default()]);
    }
    section("Outputs", outputs);
    let mut sentences = Grid::new(["stage", "profile"]);
    profiles.iter().for_each(|(stage, sentence)| sentences.row([stage, sentence]));
    section("Profiles, when they were last made or used", sentences);
    text
}

fn vars(pipeline: &Pipeline) -> Grid {
    let mut grid = Grid::new(["name", "type", "default", "description"]);
    for (name, var) in &pipeline.vars {
        let default = match var.default.as_deref() {
            None => Tone::Warn.cell("required"),
            Some(_) if var.secret => "***".into(),
            Some("") => "\"\"".into(),
            // With spaces, so that a long list can be wrapped.
            Some(list) if var.kind == VarType::List => list.replace(',', ", ").into(),
            Some(default) => default.into(),
        };
        let mut description = var.description.clone();
        let choices = (!var.choices.is_empty()).then(|| format!("One of: {}.", var.choices.join(", ")));
        for words in choices.into_iter().chain(var.secret.then(|| "Secret.".into())) {
            let space = match description.chars().last() {
                None => "",
                Some('.' | '!' | '?') => " ",
                Some(_) => ". ",
            };
            description.push_str(&format!("{space}{words}"));
        }
        grid.row([Tone::Plain.cell(name), var.kind.to_string().into(), default, description.into()]);
    }
    grid
}

fn stages(pipeline: &Pipeline) -> Grid {
    let mut grid = Grid::new(["name", "kind", "depends on", "description"]);
    for Stage { common, kind, dependencies, .. } in &pipeline.stages {
        let (tone, off) = if common.when { (Tone::Plain, "") } else { (Tone::Dim, " (off)") };
        let depends_on: Vec<String> = dependencies.iter().map(|alternatives| alternatives.join(" | ")).collect();
        let description = common.description.clone().unwrap_or_default();
        let cells = [common.name.clone(), format!("{}{off}", kind.name), depends_on.join(", "), description];
        grid.row(cells.map(|cell| tone.cell(cell)));
    }
    grid
}

/// The pipelines that can be run by their names.
pub fn list_table(rows: &[Listed], look: Look) -> String {
    let mut grid = Grid::new(["pipeline", ">stages", "from", "description"]);
    for row in rows {
        let stages = text::count(row.stages as u64);
        grid.row([row.name.clone(), stages, row.origin.clone(), row.description.clone()]);
    }
    grid.compact().render(look.width, look.paint)
}

/// How parts of a graph are written: stages by their numbers.
struct Language<'a> {
    workspace: &'a dyn Fn(usize, &str) -> String,
    end: &'a str,
    stage: &'a dyn Fn(usize, &Stage) -> String,
    /// From, to, and whether it is used only where an earlier alternative has no output.
    dependency: &'a dyn Fn(usize, usize, bool) -> String,
}

/// The stages, those of one workspace together, and what depends on what.
fn graph(stages: &[Stage], language: &Language) -> String {
    let mut text = String::new();
    let mut add = |indent: usize, line: &str| text.push_str(&format!("{:indent$}{line}\n", ""));
    let workspaces: BTreeSet<&str> = stages.iter().filter_map(|stage| stage.common.workspace.as_deref()).collect();
    let within = |workspace: Option<&str>| {
        let numbered: Vec<_> = stages.iter().enumerate().collect();
        numbered.into_iter().filter(|(_, stage)| stage.common.workspace.as_deref() == workspace).collect::<Vec<_>>()
    };
    for (number, workspace) in workspaces.into_iter().enumerate() {
        add(2, &(language.workspace)(number, workspace));
        within(Some(workspace)).into_iter().for_each(|(number, stage)| add(4, &(language.stage)(number, stage)));
        add(2, language.end);
    }
    within(None).into_iter().for_each(|(number, stage)| add(2, &(language.stage)(number, stage)));
    for (to, stage) in stages.iter().enumerate() {
        for (index, name) in stage.dependencies.iter().flat_map(|alternatives| alternatives.iter().enumerate()) {
            if let Some(from) = stages.iter().position(|stage| stage.common.name == *name) {
                add(2, &(language.dependency)(from, to, index > 0));
            }
        }
    }
    text
}

/// In Graphviz's language.
pub fn graph_dot(pipeline: &Pipeline) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "));
    let name = |number: usize| quote(&pipeline.stages[number].common.name);
    let drawn = graph(
        &pipeline.stages,
        &Language {
            workspace: &|number, name| {
                format!("subgraph cluster_{number} {{\n    label={};", quote(&format!("workspace {name}")))
            },
            end: "}",
            stage: &|number, stage| {
                let label = quote(&format!("{}\u{0}{}", stage.common.name, stage.kind.name)).replace('\u{0}', "\\n");
                let style = if stage.common.when { "" } else { ", style=dashed, fontcolor=gray" };
                format!("{} [label={label}{style}];", name(number))
            },
            dependency: &|from, to, fallback| {
                format!("{} -> {}{};", name(from), name(to), if fallback { " [style=dashed]" } else { "" })
            },
        },
    );
    let head = "rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];";
    format!("digraph {} {{\n  {head}\n{drawn}}}\n", quote(&pipeline.name))
}

/// In Mermaid's language, as GitHub draws it in markdown.
pub fn graph_mermaid(pipeline: &Pipeline) -> String {
    // Entities of Mermaid; names of stages may be words of its language, so nodes are numbered.
    let quote = |text: &str| text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('\n', " ");
    let drawn = graph(
        &pipeline.stages,
        &Language {
            workspace: &|number, name| format!("subgraph w{number}[\"workspace {}\"]", quote(name)),
            end: "end",
            stage: &|number, stage| {
                let off = if stage.common.when { "" } else { ":::off" };
                format!("s{number}[\"{}<br/>{}\"]{off}", quote(&stage.common.name), quote(stage.kind.name))
            },
            dependency: &|from, to, fallback| format!("s{from} {} s{to}", if fallback { "-.->" } else { "-->" }),
        },
    );
    let off = pipeline.stages.iter().any(|stage| !stage.common.when);
    let off = if off { "  classDef off stroke-dasharray: 4 4,color:#888\n" } else { "" };
    format!("flowchart LR\n{drawn}{off}")
}
