//! What subcommands print about pipelines, records, runs and this machine: pure renderers of rows that the command line fills in.
//!
//! Unaware of where the rows come from. Every renderer returns whole lines, the last one ended.

mod doctor;
mod history;
mod pipeline;
mod profile;
mod stages;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use super::paint::Look;
pub use doctor::doctor_table;
pub use history::{RunRow, diff_table, history_table};
pub use pipeline::{
    Graph, GraphEdge, GraphNode, ListRow, PipelineInfo, StageInfo, ToolInfo, VarInfo, graph_dot, graph_mermaid,
    list_table, pipeline_table,
};
pub use profile::{ChangeInfo, DiffInfo, HotFunction, LevelInfo, ProfileInfo, diff_text, profile_text};
pub use stages::{ArtifactRow, Explanation, Outlook, StatusRow, artifacts_table, explain_text, status_table};

/// A moment, as tables have it.
fn minute(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}
