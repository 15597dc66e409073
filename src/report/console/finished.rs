//! What is printed when a stage ends.

use super::super::github;
use super::super::summary::{StageSummary, Status};
use super::{Console, block};
use crate::event::{Failure, Stamped};
use crate::names::StepId;
use crate::text;

const NAME_COLUMNS: usize = 24;
const DURATION_COLUMNS: usize = "59 m 59 s".len();

impl Console {
    pub(super) fn stage_finished(&mut self, stamped: &Stamped, name: &str) -> anyhow::Result<()> {
        let group = self.running.iter().position(|running| running.name == name);
        let group = group.map(|index| self.running.remove(index).group).unwrap_or_default();
        let Some(stage) = self.summary.get(name).cloned() else { return Ok(()) };
        let failed = matches!(stage.status, Status::Failed { .. });
        if self.quiet() && !failed {
            return Ok(());
        }
        let line = if self.terminal() { self.marked(&stage) } else { worded(&stage) };
        if self.github() {
            let facts = facts(&stage).map(|line| line + "\n").unwrap_or_default();
            self.print(&github::group(&line, &format!("{group}{facts}")))?;
        } else {
            self.timed(stamped, &line)?;
            if let Some(line) = facts(&stage).filter(|_| !self.quiet()) {
                self.below(&line)?;
            }
        }
        match &stage.failure {
            Some(failure) if failed => self.failure(&stage, failure),
            _ => Ok(()),
        }
    }

    /// For a terminal: a mark, the name, the duration.
    fn marked(&self, stage: &StageSummary) -> String {
        let names = self.summary.stages.iter().map(|stage| text::width(&stage.name));
        let columns = names.max().unwrap_or(0).min(NAME_COLUMNS);
        let duration = text::pad_left(&text::duration(stage.duration), DURATION_COLUMNS);
        let line = format!("{}  {duration}", text::pad(&stage.name, columns));
        let (mark, words) = match stage.status {
            Status::Done => return format!("{} {line}", self.paint.good("✓")),
            Status::Failed { tolerated: true } => (self.paint.warn("!"), self.paint.warn(&verdict(stage))),
            Status::Failed { tolerated: false } => (self.paint.bad("✗"), self.paint.bad(&verdict(stage))),
            _ => (self.paint.warn("!"), self.paint.warn(&verdict(stage))),
        };
        format!("{mark} {line}  {words}")
    }

    fn failure(&mut self, stage: &StageSummary, failure: &Failure) -> anyhow::Result<()> {
        if self.github() {
            let message = format!("{} (step {})", failure.what, failure.step);
            let title = format!("{} {}", stage.name, stage.status.words());
            let tolerated = stage.status == Status::Failed { tolerated: true };
            let annotate = if tolerated { github::warning } else { github::error };
            self.print(&annotate(&title, &message))?;
            return self.print(&github::verbatim(&block::render(failure, self.paint)));
        }
        // Elsewhere it stands in the line above.
        let what = if self.terminal() { format!("  {}\n", failure.what) } else { String::new() };
        let block = block::render(failure, self.paint);
        self.print(&format!("{what}{block}"))
    }
}

/// For logs: a sentence.
fn worded(stage: &StageSummary) -> String {
    let duration = text::duration(stage.duration);
    match stage.status {
        Status::Done => {
            let outputs = stage.shown_outputs().map(|output| format!("{} {}", output.name, text::size(output.bytes)));
            let outputs = outputs.collect::<Vec<_>>().join(", ");
            let outputs = if outputs.is_empty() { outputs } else { format!(": {outputs}") };
            format!("{}: done in {duration}{outputs}", stage.name)
        }
        _ => {
            let what = stage.failure.as_ref().map(|failure| format!(": {}", failure.what)).unwrap_or_default();
            format!("{}: {} after {duration}{what}", stage.name, verdict(stage))
        }
    }
}

/// `failed in optimize, tolerated`
fn verdict(stage: &StageSummary) -> String {
    let failure = stage.failure.as_ref();
    let step =
        failure.filter(|failure| failure.step != StepId::default()).map(|failure| format!(" in {}", failure.step));
    let (word, tolerated) = match stage.status {
        Status::Failed { tolerated: true } => ("failed", ", tolerated"),
        Status::Failed { tolerated: false } => ("failed", ""),
        _ => ("interrupted", ""),
    };
    format!("{word}{}{tolerated}", step.unwrap_or_default())
}

/// Workloads and facts in one line.
fn facts(stage: &StageSummary) -> Option<String> {
    let workloads = stage.workloads.committed;
    let workloads = (workloads > 0).then(|| text::plural(workloads, "workload"));
    let facts = Some(stage.fact_line()).filter(|line| !line.is_empty());
    let parts: Vec<String> = workloads.into_iter().chain(facts).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
