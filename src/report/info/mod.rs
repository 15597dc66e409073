//! What subcommands print about pipelines, records and this machine: pure renderers of rows that the command line fills in.
//!
//! Unaware of where the rows come from. Every renderer returns whole lines, the last one ended.

mod doctor;
mod explain;
mod graph;
mod pipeline;
mod profile;
mod status;

use super::paint::Paint;

pub use doctor::{ToolRow, ToolState, doctor_table};
pub use explain::{Difference, Explanation, explain_text};
pub use graph::{Graph, GraphEdge, GraphNode, graph_dot, graph_mermaid};
pub use pipeline::{ListRow, PipelineInfo, StageInfo, ToolInfo, VarInfo, list_table, pipeline_table};
pub use profile::{ChangeInfo, DiffInfo, HotFunction, LevelInfo, ProfileInfo, diff_text, profile_text};
pub use status::{ArtifactRow, StageState, StatusRow, artifacts_table, status_table};

/// How a text is to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    pub paint: Paint,
}

impl Default for Look {
    /// For a file or a pipe.
    fn default() -> Look {
        Look { width: 120, paint: Paint::PLAIN }
    }
}
