//! The stages of a pipeline as a graph, for Graphviz and Mermaid.

use std::collections::BTreeSet;

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
