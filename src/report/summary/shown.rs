//! Outputs that a stage wants printed: `show` in its declaration.
//!
//! The only thing here that reads files.

use std::io::Read;

use camino::Utf8Path;

use super::{RunSummary, Status};
use crate::text;

/// More of a file is not printed: it is meant for a table.
const LIMIT: u64 = 64 * 1024;

/// The content of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// `stage.output`
    pub title: String,
    /// Its text, or a sentence that says why there is none.
    pub text: String,
}

/// What the stages that this run finished want shown, in order.
pub fn shown(run: &RunSummary) -> Vec<Shown> {
    let done = run.with(|status| *status == Status::Done);
    let outputs = done.iter().flat_map(|stage| stage.outputs.iter().map(|output| (&stage.name, output)));
    outputs
        .filter(|(_, output)| output.show)
        .map(|(stage, output)| {
            let text = read(&output.path).unwrap_or_else(|error| format!("{} cannot be shown: {error}\n", output.path));
            Shown { title: format!("{stage}.{}", output.name), text }
        })
        .collect()
}

fn read(path: &Utf8Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if length > LIMIT {
        text.push_str(&format!("\n… {} in all: {path}\n", text::size(length)));
    }
    Ok(text)
}
