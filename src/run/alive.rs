//! Whether a run is under way, by its journal. Unaware of who asks.

use crate::event::{Event, Stamped};
use crate::proc::tree::is_alive;

/// Whether the run that these events are of has not said how it ended, and its process still runs on this machine.
pub fn is_under_way(events: &[Stamped]) -> bool {
    !events.iter().any(|stamped| matches!(stamped.event, Event::RunFinished { .. })) && is_owner_alive(events)
}

/// Whether the process that writes these events still runs on this machine.
pub fn is_owner_alive(events: &[Stamped]) -> bool {
    events.iter().any(|stamped| match &stamped.event {
        Event::RunStarted { pid, pid_start, .. } => is_alive(*pid, *pid_start),
        _ => false,
    })
}
