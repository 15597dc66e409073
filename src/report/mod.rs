//! Everything that a person or a CI system sees of a run: listeners of the runner's events, and renderers for subcommands.
//!
//! Knows events, records, and what pipelines declare. Unaware of how stages are run, and of what a stage's kind means.

pub mod comparison;
pub mod console;
pub mod figures;
pub mod github;
pub mod html;
pub mod info;
pub mod markdown;
pub mod model;
pub mod paint;
pub mod summary;
pub mod trace;
pub mod variants;

use std::io::Write;

use anyhow::Context;

use crate::event::Stamped;

pub use console::{Console, ConsoleOptions, Mode, Verbosity};
pub use model::RunModel;
pub use model::past::Past;

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

/// Events as lines of JSON, the form they have in the journal too. One line per event, at once, so that a reader can follow.
pub struct Json<W: Write> {
    writer: W,
}

impl<W: Write> Json<W> {
    pub fn new(writer: W) -> Json<W> {
        Json { writer }
    }
}

impl<W: Write> Listener for Json<W> {
    fn event(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        let mut line = serde_json::to_string(stamped).context("an event cannot be written as JSON")?;
        line.push('\n');
        self.writer
            .write_all(line.as_bytes())
            .and_then(|()| self.writer.flush())
            .context("the output of --json cannot be written")
    }
}
