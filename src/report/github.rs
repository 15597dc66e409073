//! GitHub Actions' workflow commands, and the summary of a run on the page of its job.
//!
//! Formats only: that a run is in GitHub Actions is found out by [`super::console::Mode::detect`].

use std::borrow::Cow;
use std::fs::OpenOptions;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::Write;
use std::ops::Range;

use anyhow::Context;
use camino::Utf8PathBuf;

use super::model::RunModel;
use super::model::past::{self, Past};
use super::summary::Again;
use super::{Listener, markdown};
use crate::event::Stamped;
use crate::state::layout::Layout;
use crate::text;

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

/// [`verbatim`] with a given token.
pub fn verbatim_with(output: &str, token: &str) -> String {
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
    run: RunModel,
}

impl StepSummary {
    /// `again`: as in [`super::ConsoleOptions`].
    pub fn new(file: impl Into<Utf8PathBuf>, layout: Option<Layout>, again: Option<Again>) -> StepSummary {
        StepSummary { file: file.into(), layout, again, run: RunModel::default() }
    }

    /// The file that GitHub Actions asks for, if this is a job of it.
    pub fn file_from_environment() -> Option<Utf8PathBuf> {
        let file = std::env::var("GITHUB_STEP_SUMMARY").ok()?;
        (!file.is_empty()).then(|| file.into())
    }
}

impl Listener for StepSummary {
    fn event(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        self.run.add(stamped);
        Ok(())
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        let run = std::mem::take(&mut self.run);
        if run.run.id.is_empty() {
            return Ok(());
        }
        let past = match &self.layout {
            Some(layout) => past::all(layout, &run).context("earlier runs cannot be read")?,
            None => Past::default(),
        };
        let text = markdown::render(&run.report(&past, self.again.as_ref()));
        let Some(text) = fitting(&text, SUMMARY_LIMIT) else {
            tracing::warn!("the step summary is left out: {} is more than GitHub takes", text::size(text.len() as u64));
            return Ok(());
        };
        let file = OpenOptions::new().create(true).append(true).open(&self.file);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("the step summary cannot be written to {}", self.file))
    }
}

/// The text in at most `limit` bytes: without its largest folded sections, as many as it takes. None: that is not enough.
pub fn fitting(text: &str, limit: usize) -> Option<Cow<'_, str>> {
    if text.len() <= limit {
        return Some(text.into());
    }
    let mut sections = folded(text);
    sections.sort_by_key(|section| std::cmp::Reverse(section.len()));
    let (mut left_out, mut size) = (Vec::new(), text.len());
    for section in sections {
        size -= section.len();
        left_out.push(section);
        let note = format!(
            "{} left out, because GitHub takes no more than {}: `optbuild report --format md`\n",
            text::plural(left_out.len(), "folded section"),
            text::size(limit as u64)
        );
        if size + note.len() <= limit {
            left_out.sort_by_key(|section| section.start);
            let starts = [0].into_iter().chain(left_out.iter().map(|section| section.end));
            let ends = left_out.iter().map(|section| section.start).chain([text.len()]);
            let kept: String = starts.zip(ends).map(|(start, end)| &text[start..end]).collect();
            return Some((kept + &note).into());
        }
    }
    None
}

/// Where the sections lie that are unfolded by who wants to see them: from `<details>` to the line `</details>`, neither of which
/// counts in a code block.
fn folded(text: &str) -> Vec<Range<usize>> {
    let (mut sections, mut begun, mut fence) = (Vec::new(), None, "");
    let mut at = 0;
    for whole in text.split_inclusive('\n') {
        let line = whole.trim_end();
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        if !fence.is_empty() {
            fence = if line == fence { "" } else { fence };
        } else if ticks.len() >= 3 {
            fence = ticks;
        } else if line.starts_with("<details>") {
            begun = Some(at);
        } else if let (Some(start), "</details>") = (begun, line) {
            sections.push(start..at + whole.len());
            begun = None;
        }
        at += whole.len();
    }
    sections
}
