//! From what a stage declares to what it will do: one file per kind.
//!
//! Planning looks at the world through [`Facts`] only and changes nothing. What is missing on this machine becomes a gap in
//! the plan; what cannot be planned at all is a [`PlanError`].

pub mod bolt;
pub mod bootstrap;
pub mod cargo;
pub mod cmake;
pub mod command;
pub mod compare;
mod context;
pub mod gather;
mod rust_checkout;
pub mod rustc_perf;
pub mod verify;
pub mod workloads;

use std::collections::BTreeSet;

pub use context::Context;

use crate::facts::Facts;
use crate::pipeline::{Kind, Pipeline};
use crate::plan::StagePlan;

pub use crate::plan::PlanError;

/// Plans one stage. Fallbacks of references are chosen past the `unavailable` stages: those that are off, skipped, or failed
/// under `on-failure = "continue"`.
pub fn plan(
    pipeline: &Pipeline,
    facts: &Facts,
    stage: &str,
    unavailable: &BTreeSet<String>,
) -> Result<StagePlan, PlanError> {
    let Some(stage) = pipeline.stage(stage) else {
        return Err(PlanError::Invalid {
            stage: stage.into(),
            key: "name".into(),
            message: "the pipeline has no stage of this name".into(),
        });
    };
    let mut cx = Context::new(pipeline, facts, stage, unavailable);
    if let Some(supplied) = &stage.supplied {
        gather::take(supplied, &mut cx)?;
        return Ok(cx.plan);
    }
    cx.common()?;
    match &stage.kind {
        Kind::Cmake(kind) => cmake::plan(kind, &mut cx)?,
        Kind::Cargo(kind) => cargo::plan(kind, &mut cx)?,
        Kind::Bootstrap(kind) => bootstrap::plan(kind, &mut cx)?,
        Kind::RustcPerf(kind) => rustc_perf::plan(kind, &mut cx)?,
        Kind::Gather(kind) => gather::plan(kind, &mut cx)?,
        Kind::Bolt(kind) => bolt::plan(kind, &mut cx)?,
        Kind::Command(kind) => command::plan(kind, &mut cx)?,
        Kind::Verify(kind) => verify::plan(kind, &mut cx)?,
        Kind::Compare(kind) => compare::plan(kind, &mut cx)?,
    }
    cx.checks()?;
    Ok(cx.plan)
}
