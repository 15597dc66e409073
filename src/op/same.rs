//! `op same`: whether two outputs are equal, byte for byte.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;

use crate::event::Fact;

/// Compares two files and shows the first line in which they differ.
#[derive(Debug, clap::Args)]
pub struct Same {
    /// What is tested.
    #[arg(long)]
    pub left: Utf8PathBuf,
    /// What it must be equal to.
    #[arg(long)]
    pub right: Utf8PathBuf,
    /// What printed them, for messages.
    #[arg(long)]
    pub label: String,
}

impl Same {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let read = |path: &Utf8PathBuf| fs::read(path).with_context(|| format!("cannot read {path}"));
        let (left, right) = (read(&self.left)?, read(&self.right)?);
        if left == right {
            return Ok(vec![Fact::bytes("compared", left.len() as u64)]);
        }
        let mut lines = (left.split(|byte| *byte == b'\n'), right.split(|byte| *byte == b'\n'));
        let mut number = 0;
        loop {
            number += 1;
            let pair = (lines.0.next(), lines.1.next());
            if pair.0 != pair.1 || pair == (None, None) {
                bail!(
                    "`{}` does not print what its `same-as` prints; they differ first in line {number}:\n  {}: {}\n  {}: {}",
                    self.label,
                    self.left,
                    shown(pair.0),
                    self.right,
                    shown(pair.1)
                );
            }
        }
    }
}

/// A line of output may be anything, of any length.
fn shown(line: Option<&[u8]>) -> String {
    const LONGEST: usize = 200;
    let Some(line) = line else { return "(no such line)".into() };
    let text = String::from_utf8_lossy(&line[..line.len().min(LONGEST)]);
    let more = if line.len() > LONGEST { "…" } else { "" };
    format!("{}{more}", text.escape_debug())
}
