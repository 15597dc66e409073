//! Everything that a person or a CI system sees of a run: listeners of the runner's events, and renderers for subcommands.
//!
//! Knows events and records. Unaware of pipelines, of how stages are run, and of what a stage's kind means.

pub mod comparison;
pub mod console;
pub mod github;
pub mod html;
pub mod info;
pub mod json;
pub mod markdown;
pub mod model;
pub mod paint;
pub mod summary;
mod table;
pub mod trace;

use crate::event::Stamped;

pub use console::{Console, ConsoleOptions, Mode, Verbosity};
pub use summary::{Previous, RunSummary};

/// Something that is told of all that happens in a run, in order, on one thread.
pub trait Listener {
    /// # Errors
    /// What it writes to cannot be written.
    fn event(&mut self, stamped: &Stamped) -> anyhow::Result<()>;

    /// Called about eight times a second while no event comes.
    fn tick(&mut self) {}

    /// Called once, after the last event, also when the run ended without a `run-finished`.
    ///
    /// # Errors
    /// What it writes to cannot be written.
    fn finish(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}
