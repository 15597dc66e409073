//! `optbuild show`, `optbuild list`, and the stages of a pipeline as a graph for Graphviz and Mermaid.

use std::collections::BTreeSet;

use super::Look;
use crate::report::paint::Tone;
use crate::report::table::Grid;
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
    section("Outputs", pairs(["path", "from"], &info.outputs));
    section("Profiles, when they were last made or used", pairs(["stage", "profile"], &info.profiles));
    text
}

fn vars(vars: &[VarInfo]) -> Grid {
    let mut grid = Grid::new(["name", "type", "default", "description"]);
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
        grid.row([Tone::Plain.cell(&var.name), var.kind.as_str().into(), tone.cell(default), description.into()]);
    }
    grid
}

fn tools(tools: &[ToolInfo]) -> Grid {
    let mut grid = Grid::new(["name", "version", ""]);
    for tool in tools {
        let version = if tool.requirement.is_empty() { "any" } else { &tool.requirement };
        grid.row([tool.name.as_str(), version, if tool.optional { "optional" } else { "" }]);
    }
    grid
}

fn stages(stages: &[StageInfo]) -> Grid {
    let mut grid = Grid::new(["name", "kind", "depends on", "description"]);
    for stage in stages {
        let (tone, off) = if stage.off { (Tone::Dim, " (off)") } else { (Tone::Plain, "") };
        let kind = format!("{}{off}", stage.kind);
        let cells = [stage.name.clone(), kind, stage.depends_on.join(", "), stage.description.clone()];
        grid.row(cells.map(|cell| tone.cell(cell)));
    }
    grid
}

fn pairs(columns: [&str; 2], pairs: &[(String, String)]) -> Grid {
    let mut grid = Grid::new(columns);
    pairs.iter().for_each(|(one, other)| grid.row([one, other]));
    grid
}

/// The pipelines that can be run by their names.
pub fn list_table(rows: &[ListRow], look: Look) -> String {
    let mut grid = Grid::new(["pipeline", ">stages", "from", "description"]);
    for row in rows {
        let stages = text::count(row.stages as u64);
        grid.row([row.name.clone(), stages, row.origin.clone(), row.description.clone()]);
    }
    grid.compact().render(look.width, look.paint)
}

/// Stages and what they depend on.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    pub name: String,
    pub nodes: Vec<GraphNode>,
    pub edges: Vec<GraphEdge>,
}

/// A stage.
#[derive(Debug, Clone, Default)]
pub struct GraphNode {
    pub name: String,
    pub kind: String,
    /// Stages of one workspace are drawn together.
    pub workspace: Option<String>,
    pub off: bool,
}

/// `to` depends on `from`. Edges whose ends are no nodes are left out.
#[derive(Debug, Clone, Default)]
pub struct GraphEdge {
    pub from: String,
    pub to: String,
    /// Used only where an earlier alternative has no output.
    pub fallback: bool,
}

impl Graph {
    fn index(&self, name: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.name == name)
    }

    fn workspaces(&self) -> BTreeSet<&str> {
        self.nodes.iter().filter_map(|node| node.workspace.as_deref()).collect()
    }

    fn within<'a>(&'a self, workspace: Option<&'a str>) -> impl Iterator<Item = (usize, &'a GraphNode)> {
        self.nodes.iter().enumerate().filter(move |(_, node)| node.workspace.as_deref() == workspace)
    }
}

/// In Graphviz's language.
pub fn graph_dot(graph: &Graph) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " "));
    let node = |node: &GraphNode| {
        let label = quote(&format!("{}\u{0}{}", node.name, node.kind)).replace('\u{0}', "\\n");
        let style = if node.off { ", style=dashed, fontcolor=gray" } else { "" };
        format!("{} [label={label}{style}];", quote(&node.name))
    };
    let mut text = format!("digraph {} {{\n", quote(&graph.name));
    text.push_str("  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (number, workspace) in graph.workspaces().into_iter().enumerate() {
        text.push_str(&format!(
            "  subgraph cluster_{number} {{\n    label={};\n",
            quote(&format!("workspace {workspace}"))
        ));
        graph.within(Some(workspace)).for_each(|(_, stage)| text.push_str(&format!("    {}\n", node(stage))));
        text.push_str("  }\n");
    }
    graph.within(None).for_each(|(_, stage)| text.push_str(&format!("  {}\n", node(stage))));
    for edge in &graph.edges {
        if graph.index(&edge.from).is_some() && graph.index(&edge.to).is_some() {
            let style = if edge.fallback { " [style=dashed]" } else { "" };
            text.push_str(&format!("  {} -> {}{style};\n", quote(&edge.from), quote(&edge.to)));
        }
    }
    text.push_str("}\n");
    text
}

/// In Mermaid's language, as GitHub draws it in markdown.
pub fn graph_mermaid(graph: &Graph) -> String {
    // Entities of Mermaid; names of stages may be words of its language, so nodes are numbered.
    let quote = |text: &str| text.replace('#', "#35;").replace('"', "#quot;").replace('<', "#lt;").replace('\n', " ");
    let node = |(number, node): (usize, &GraphNode)| {
        let off = if node.off { ":::off" } else { "" };
        format!("s{number}[\"{}<br/>{}\"]{off}", quote(&node.name), quote(&node.kind))
    };
    let mut text = String::from("flowchart LR\n");
    for (number, workspace) in graph.workspaces().into_iter().enumerate() {
        text.push_str(&format!("  subgraph w{number}[\"workspace {}\"]\n", quote(workspace)));
        graph.within(Some(workspace)).for_each(|stage| text.push_str(&format!("    {}\n", node(stage))));
        text.push_str("  end\n");
    }
    graph.within(None).for_each(|stage| text.push_str(&format!("  {}\n", node(stage))));
    for edge in &graph.edges {
        if let (Some(from), Some(to)) = (graph.index(&edge.from), graph.index(&edge.to)) {
            let arrow = if edge.fallback { "-.->" } else { "-->" };
            text.push_str(&format!("  s{from} {arrow} s{to}\n"));
        }
    }
    if graph.nodes.iter().any(|node| node.off) {
        text.push_str("  classDef off stroke-dasharray: 4 4,color:#888\n");
    }
    text
}
