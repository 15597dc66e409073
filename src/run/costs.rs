//! What the variants of an experiment cost: the time that their stages took, whichever run it was, and the disk that their outputs take.
//!
//! A stage that several variants share counts for each of them, as if each had been built alone. Unaware of what stages do, except for
//! whether they gather profiles.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use super::decide::Settled;
use crate::fs::disk::{self, DiskError};
use crate::names::{FingerprintId, StageName};
use crate::pipeline::{COSTS, Pipeline, Stage};
use crate::state::layout::Layout;
use crate::state::record::{Record, RecordOutcome};

/// The form of the file that the measurement reads.
const FORMAT: u32 = 1;

/// What one variant cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Cost {
    /// Seconds.
    pub build: f64,
    pub training: f64,
    /// Bytes.
    pub disk: u64,
}

/// What all variants cost, each alone and together.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    pub variants: BTreeMap<String, Cost>,
    /// Seconds of stages that are the same were counted once.
    pub together: f64,
}

impl Costs {
    /// Of stages that have a record.
    pub fn of(pipeline: &Pipeline, record: impl Fn(&str) -> Option<Arc<Record>>) -> Costs {
        let mut costs = Costs::default();
        let mut counted: BTreeSet<FingerprintId> = BTreeSet::new();
        for variant in &pipeline.variants {
            let cost = costs.variants.entry(variant.name.clone()).or_default();
            for stage in pipeline.stages.iter().filter(|stage| stage.variants.contains(&variant.name)) {
                let Some(record) = record(&stage.common.name) else { continue };
                let gathers = stage.kind.answers.gathers.is_some();
                *if gathers { &mut cost.training } else { &mut cost.build } += record.duration;
                cost.disk += disk_of(&record);
                if counted.insert(record.fingerprint.id()) {
                    costs.together += record.duration;
                }
            }
        }
        costs
    }

    /// Of what is done in a run.
    pub fn settled(pipeline: &Pipeline, settled: &BTreeMap<StageName, Settled>) -> Costs {
        Costs::of(pipeline, |stage| match settled.get(stage) {
            Some(Settled::Done(record)) => Some(Arc::clone(record)),
            _ => None,
        })
    }

    /// Seconds that the variants would have taken, each built alone.
    pub fn alone(&self) -> f64 {
        self.variants.values().map(|cost| cost.build + cost.training).sum()
    }
}

/// Outputs that lie in another one are counted once.
fn disk_of(record: &Record) -> u64 {
    if record.outcome == RecordOutcome::Failed {
        return 0;
    }
    let inside = |name: &String| {
        let path = &record.outputs[name].path;
        record
            .outputs
            .iter()
            .any(|(other, output)| other != name && path != &output.path && path.starts_with(&output.path))
    };
    record.outputs.iter().filter(|(name, _)| !inside(name)).map(|(_, output)| output.bytes).sum()
}

#[derive(Serialize)]
struct File<'a> {
    format: u32,
    sides: &'a BTreeMap<String, Cost>,
}

/// Writes the file beside the stage that measures, for its table. Nothing where nothing is tried.
pub fn write(
    pipeline: &Pipeline,
    stage: &Stage,
    settled: &BTreeMap<StageName, Settled>,
    layout: &Layout,
) -> Result<(), DiskError> {
    if pipeline.variants.is_empty() {
        return Ok(());
    }
    let costs = Costs::settled(pipeline, settled);
    let dir = layout.stage(&stage.common.name);
    disk::make_dir(&layout.stages())?;
    disk::make_dir(&dir)?;
    disk::write_json(&dir.join(COSTS), &File { format: FORMAT, sides: &costs.variants })
}
