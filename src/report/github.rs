//! GitHub Actions' workflow commands, and the summary of a run on the page of its job.
//!
//! Formats only: that a run is in GitHub Actions is found out by [`super::console::Mode::detect`].

use std::fs::OpenOptions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;

use anyhow::Context;
use camino::Utf8PathBuf;

use super::model::{Past, Report, load};
use super::summary::closing::Again;
use super::{Listener, markdown, text};
use crate::run::event::{Event, Stamped};
use crate::state::layout::Layout;

/// What GitHub takes for one step.
const SUMMARY_LIMIT: usize = 1024 * 1024;

/// Lines that can be unfolded under a title.
pub fn group(title: &str, lines: &str) -> String {
    let lines = if lines.is_empty() || lines.ends_with('\n') { lines.to_owned() } else { format!("{lines}\n") };
    format!("::group::{}\n{lines}::endgroup::\n", data(title))
}

/// An annotation on the run's page.
pub fn error(title: &str, message: &str) -> String {
    format!("::error title={}::{}\n", property(title), data(message))
}

/// As [`error`], for what does not fail the run.
pub fn warning(title: &str, message: &str) -> String {
    format!("::warning title={}::{}\n", property(title), data(message))
}

/// Output of programs, in which nothing is taken for a workflow command.
pub fn verbatim(output: &str) -> String {
    // Random, so that no program can end it.
    let token = format!("optbuild-{:016x}", RandomState::new().build_hasher().finish());
    verbatim_with(output, &token)
}

fn verbatim_with(output: &str, token: &str) -> String {
    let end = if output.is_empty() || output.ends_with('\n') { "" } else { "\n" };
    format!("::stop-commands::{token}\n{output}{end}::{token}::\n")
}

/// GitHub's escaping of a command's text.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// GitHub's escaping of a command's properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// Appends the summary of a run to the file that `GITHUB_STEP_SUMMARY` names.
pub struct StepSummary {
    file: Utf8PathBuf,
    /// Where earlier runs are.
    layout: Option<Layout>,
    again: Option<Again>,
    events: Vec<Stamped>,
}

impl StepSummary {
    /// `again`: as in [`super::ConsoleOptions`].
    pub fn new(file: impl Into<Utf8PathBuf>, layout: Option<Layout>, again: Option<Again>) -> StepSummary {
        StepSummary { file: file.into(), layout, again, events: Vec::new() }
    }

    /// The file that GitHub Actions asks for, if this is a job of it.
    pub fn file_from_environment() -> Option<Utf8PathBuf> {
        let file = std::env::var("GITHUB_STEP_SUMMARY").ok()?;
        (!file.is_empty()).then(|| file.into())
    }
}

impl Listener for StepSummary {
    fn event(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        self.events.push(stamped.clone());
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        if !self.events.iter().any(|stamped| matches!(stamped.event, Event::RunStarted { .. })) {
            return Ok(());
        }
        let past = match &self.layout {
            Some(layout) => load::past(layout, &self.events).context("earlier runs cannot be read")?,
            None => Past::default(),
        };
        let text = markdown::render(&Report::of(&self.events, &past, self.again.as_ref()));
        if text.len() > SUMMARY_LIMIT {
            tracing::warn!("the step summary is left out: {} is more than GitHub takes", text::size(text.len() as u64));
            return Ok(());
        }
        let file = OpenOptions::new().create(true).append(true).open(&self.file);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("the step summary cannot be written to {}", self.file))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The escapes are those of https://github.com/actions/toolkit, packages/core/src/command.ts.
    #[test]
    fn commands_are_escaped() {
        assert_eq!(error("a:b,c%", "x\ny: 5 %"), "::error title=a%3Ab%2Cc%25::x%0Ay: 5 %25\n");
        assert_eq!(warning("w", "m"), "::warning title=w::m\n");
        assert_eq!(group("lib\n", "one\ntwo"), "::group::lib%0A\none\ntwo\n::endgroup::\n");
        assert_eq!(group("lib", ""), "::group::lib\n::endgroup::\n");
    }

    #[test]
    fn output_of_programs_is_no_command() {
        assert_eq!(verbatim_with("::error::x", "t"), "::stop-commands::t\n::error::x\n::t::\n");
        assert_ne!(verbatim("x"), verbatim("x"), "a token is used once");
    }
}
