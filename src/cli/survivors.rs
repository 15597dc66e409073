//! What a killed run has left running is ended before anything else touches its directories. Needs the lock.

use std::collections::BTreeMap;

use anyhow::Result;

use super::last_run;
use crate::event::Event;
use crate::run::process;
use crate::state::layout::Layout;

/// Returns when nothing of the last run is left. Supervisors end their commands when a run is killed; this waits for them.
pub fn end(layout: &Layout) -> Result<()> {
    let Some((_, events)) = last_run::last_begun(layout)? else { return Ok(()) };
    let mut supervisors = BTreeMap::new();
    for stamped in events {
        match stamped.event {
            Event::ProcessStarted { stage, step, pid, start_time } => {
                supervisors.insert((stage, step), (pid, start_time));
            }
            Event::StepFinished { stage, step, .. } => {
                supervisors.remove(&(stage, step));
            }
            // A run waits for everything that it has started.
            Event::RunFinished { .. } => return Ok(()),
            _ => {}
        }
    }
    let supervisors: Vec<(u32, u64)> = supervisors.into_values().collect();
    Ok(process::end_survivors(&layout.runs(), &supervisors)?)
}
