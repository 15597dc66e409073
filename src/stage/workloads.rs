//! The commands that a stage runs a program with, for running them on other builds of it. Unaware of how they are measured.

use std::collections::BTreeMap;

use super::{Context, PlanError, kind_of};
use crate::facts::Facts;
use crate::pipeline::{Pipeline, Text};
use crate::plan::{Arg, Command};

/// Commands with `{program}` in them, and what a comparison stage says of its sides.
#[derive(Debug, Default)]
pub struct Workloads {
    /// Names and commands. A working directory of the stage's own is any empty one.
    pub commands: Vec<(String, Command)>,
    pub base_env: BTreeMap<String, Arg>,
    pub candidate_env: BTreeMap<String, Arg>,
}

/// The workloads of a stage of kind `compare` or `gather`.
///
/// # Errors
/// When the stage is of another kind, or its commands do not run the program that it gathers from.
pub fn workloads(
    pipeline: &Pipeline,
    facts: &Facts,
    stage: &str,
    unavailable: &std::collections::BTreeSet<String>,
) -> Result<Workloads, PlanError> {
    let missing =
        |message: &str| PlanError::Invalid { stage: stage.into(), key: "kind".into(), message: message.into() };
    let Some(declared) = pipeline.stage(stage) else { return Err(missing("the pipeline has no stage of this name")) };
    let mut cx = Context::new(pipeline, facts, declared, unavailable);
    cx.common()?;
    let found = kind_of(declared).map(|kind| kind.workloads(&mut cx)).transpose()?.flatten();
    found.ok_or_else(|| missing("only stages of kind `compare` or `gather` have workloads"))
}

pub(super) fn env(declared: &BTreeMap<String, Text>, cx: &mut Context) -> Result<BTreeMap<String, Arg>, PlanError> {
    declared.iter().map(|(name, text)| Ok((name.clone(), cx.arg(text)?))).collect()
}
