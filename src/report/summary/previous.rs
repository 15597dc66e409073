//! What stages took and made the last time, to compare a run with.

use std::collections::BTreeMap;

use super::{RunSummary, StageSummary, Status};
use crate::compare::result::is_result;

/// The last known figures of every stage. Made from the summaries of earlier runs, oldest first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Previous {
    pub stages: BTreeMap<String, PreviousStage>,
}

/// A stage when it was last done.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PreviousStage {
    /// Seconds, of all runs that worked on it.
    pub duration: f64,
    /// Output to bytes.
    pub outputs: BTreeMap<String, u64>,
}

/// How a stage differs from the last time.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Seconds, of all runs that worked on it: the last time, and now.
    pub duration: (f64, f64),
    /// Outputs whose size differs: name, bytes the last time, bytes now. Those that are shown to people, and none of a comparison.
    pub sizes: Vec<(String, u64, u64)>,
}

impl Previous {
    /// Takes in a later run: stages that it finished replace what was known of them.
    pub fn add(&mut self, run: &RunSummary) {
        for stage in run.with(|status| *status == Status::Done) {
            let outputs = stage.outputs.iter().map(|output| (output.name.clone(), output.bytes)).collect();
            self.stages.insert(stage.name.clone(), PreviousStage { duration: stage.in_all(), outputs });
        }
    }

    /// What changed; nothing for a stage that was not done now, or never before.
    pub fn change(&self, stage: &StageSummary) -> Option<Change> {
        let before = self.stages.get(&stage.name).filter(|_| stage.status == Status::Done)?;
        let measured = stage.outputs.iter().any(|output| is_result(&output.path));
        let outputs = stage.shown_outputs().filter(|_| !measured);
        let sizes = outputs.filter_map(|output| {
            let bytes = *before.outputs.get(&output.name)?;
            (bytes != output.bytes).then(|| (output.name.clone(), bytes, output.bytes))
        });
        Some(Change { duration: (before.duration, stage.in_all()), sizes: sizes.collect() })
    }
}

impl From<&RunSummary> for Previous {
    fn from(run: &RunSummary) -> Previous {
        let mut previous = Previous::default();
        previous.add(run);
        previous
    }
}
