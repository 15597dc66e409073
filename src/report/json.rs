//! Events as lines of JSON, the form they have in the journal too.

use std::io::Write;

use anyhow::Context;

use super::Listener;
use crate::event::Stamped;

/// Writes one line per event, at once, so that a reader can follow.
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
