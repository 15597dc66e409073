//! What operations of a stage reported, as files for operations that come later: in the same run, and when the stage runs again.
//!
//! A record is removed when its stage begins again. So what it says is put aside first, and stays until the stage has been done once
//! more: a run that fails in between changes nothing of it. Unaware of what the numbers mean.

use anyhow::Result;
use camino::Utf8Path;

use crate::event::Fact;
use crate::fs::disk::{self, DiskError};
use crate::plan::{StagePlan, Symbol};
use crate::state::record::RecordOutcome;
use crate::state::store::State;

/// Keeps what the present record of a stage says, if a step of its plan reads that.
///
/// # Errors
/// The record cannot be read, or the file cannot be written.
pub fn keep(state: &State, plan: &StagePlan, stage: &str) -> Result<(), DiskError> {
    if !plan.all_steps().any(|step| step.names(Symbol::ReportedLast)) {
        return Ok(());
    }
    match state.current(stage)?.filter(|record| record.outcome == RecordOutcome::Done) {
        Some(record) => {
            disk::make_dir(&state.layout().stage(stage))?;
            disk::write_json(&state.layout().reported(stage), &record.facts)
        }
        None => Ok(()),
    }
}

/// Writes what was reported so far.
///
/// # Errors
/// The file cannot be written.
pub fn write(file: &Utf8Path, facts: &[Fact]) -> Result<(), DiskError> {
    disk::write_json(file, &facts)
}
