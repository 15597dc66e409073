//! What a stage takes of the machine while it runs, and whether it fits beside others. Unaware of order and of results.

use std::collections::BTreeMap;

use super::verdict::Work;
use crate::pipeline::{OutputRef, Stage};

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub slots: usize,
    /// In bytes.
    pub memory: u64,
}

/// What a stage takes.
pub struct Share {
    pub slots: usize,
    memory: u64,
    exclusive: bool,
    workspace: Option<String>,
    inputs: Vec<OutputRef>,
}

impl Share {
    /// Of a stage that is ready.
    pub fn of(stage: &Stage, work: &Work, budget: Budget) -> Share {
        let wanted = stage.common.jobs.map(|jobs| jobs as usize).or(work.plan.default_jobs);
        Share {
            slots: wanted.unwrap_or(budget.slots).clamp(1, budget.slots),
            memory: stage.common.memory.map_or(0, |size| size.as_u64()).min(budget.memory),
            exclusive: stage.common.exclusive || stage.kind.answers.measures,
            workspace: stage.common.workspace.clone(),
            inputs: work.plan.inputs(),
        }
    }

    /// Whether the stage of that name, which takes this, can start beside those that run.
    pub fn fits(&self, name: &str, running: &BTreeMap<String, Share>, budget: Budget) -> bool {
        let others = || running.values();
        if running.is_empty() {
            return true;
        }
        let slots: usize = others().map(|other| other.slots).sum();
        let memory: u64 = others().map(|other| other.memory).sum();
        slots + self.slots <= budget.slots
            && memory + self.memory <= budget.memory
            && !self.exclusive
            && !others().any(|other| other.exclusive)
            && !others().any(|other| other.workspace.is_some() && other.workspace == self.workspace)
            // A stage that runs again empties its output directory, from which another one may still read.
            && !others().any(|other| other.inputs.iter().any(|input| input.stage == name))
    }
}
