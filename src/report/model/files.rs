//! Files that stages made and that a report shows: results of comparisons. What cannot be read is left out.

use std::fs::File;
use std::io::Read;

use camino::Utf8Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Stage;
use crate::compare::result::Comparison;

/// More of a file is not read: a comparison has a line per run of a workload.
const LIMIT: u64 = 32 << 20;

/// A comparison that a stage made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Compared {
    pub stage: String,
    pub result: Comparison,
}

/// The comparisons among the outputs of stages: files in JSON that are one.
pub(super) fn comparisons(stages: &[Stage]) -> Vec<Compared> {
    let made = stages.iter().filter(|stage| stage.state.has_outputs());
    let outputs = made.flat_map(|stage| stage.outputs.iter().map(move |output| (stage, output)));
    let json = outputs.filter(|(_, output)| output.path.ends_with(".json"));
    json.filter_map(|(stage, output)| {
        let result = read(Utf8Path::new(&output.path))?;
        Some(Compared { stage: stage.name.clone(), result })
    })
    .collect()
}

fn read(path: &Utf8Path) -> Option<Comparison> {
    let file = File::open(path).ok()?;
    if !file.metadata().is_ok_and(|found| found.is_file()) {
        return None;
    }
    let mut text = Vec::new();
    file.take(LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}
