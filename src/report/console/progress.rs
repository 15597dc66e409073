//! What is printed while stages are under way: everything but the ends of stages and of the run.

use std::time::Instant;

use super::{Console, Running};
use crate::event::{Event, Outcome, Stamped};
use crate::text;

impl Console {
    pub(super) fn progress(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        let (terminal, paint) = (self.terminal(), self.paint);
        match &stamped.event {
            Event::RunStarted { pipeline, run, stages, jobs, .. } if !self.quiet() && !terminal => {
                let stages = text::plural(stages.len(), "stage");
                let line = format!("{pipeline}: {stages}, {}, run {run}", text::plural(*jobs, "job"));
                self.began = Some((stamped.clone(), line));
                Ok(())
            }
            Event::StageSkipped { stage, reason, .. } if self.verbose() => {
                let marked = paint.dim(&format!("- {stage} skipped: {reason}"));
                self.timed(stamped, &if terminal { marked } else { format!("{stage}: skipped ({reason})") })
            }
            Event::StageBlocked { stage, by } if !self.quiet() => {
                let marked = paint.warn(&format!("! {stage} blocked: {by} has no output"));
                self.timed(stamped, &if terminal { marked } else { format!("{stage}: blocked, {by} has no output") })
            }
            Event::StageStarted { stage, expected, earlier, .. } => {
                self.stage_started(stamped, stage, *expected, *earlier)
            }
            Event::Note { stage, text } if self.verbose() => self.in_stage(stamped, stage, &format!("note: {text}")),
            Event::Fact { stage, fact } if let Some(sentence) = fact.warned().filter(|_| !self.quiet()) => {
                let workload = fact.step.workload.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
                self.in_stage(stamped, stage, &paint.warn(&format!("warning: {workload}{sentence}")))
            }
            Event::StepStarted { stage, step, command, .. } => {
                let pooled = self.run.stage(stage).is_some_and(|stage| stage.open_pool().is_some());
                if self.verbose() {
                    self.in_stage(stamped, stage, &step.to_string())?;
                    self.in_stage_below(stage, &format!("$ {command}"))
                } else if terminal || self.github() || pooled {
                    Ok(())
                } else {
                    self.in_stage(stamped, stage, &step.to_string())
                }
            }
            Event::PoolStarted { stage, step, workloads, committed } => {
                let already = if *committed > 0 { format!(", {committed} done already") } else { String::new() };
                let workloads = text::plural(*workloads, "workload");
                self.unless_terminal(stamped, stage, &format!("{step}: {workloads}{already}"))
            }
            Event::StepFinished { stage, step, outcome, usage } => {
                let pooled = self.run.stage(stage).is_some_and(|stage| stage.open_pool().is_some());
                let word = match outcome {
                    Outcome::Done if pooled && !self.verbose() => return Ok(()),
                    Outcome::Done => "done",
                    Outcome::Failed => "failed",
                    Outcome::Interrupted => "interrupted",
                };
                // A pool has no time of its own where it is left to its workloads.
                let duration =
                    if usage.wall > 0.0 { format!(" in {}", text::duration(usage.wall)) } else { String::new() };
                self.unless_terminal(stamped, stage, &format!("{step} {word}{duration}"))
            }
            Event::WorkloadCommitted { stage, workload, .. } => {
                let known = self.run.stage(stage).map(|stage| stage.workloads).filter(|known| known.total > 0);
                let progress = known.map(|known| format!(" ({}/{})", known.committed, known.total));
                let progress = progress.unwrap_or_default();
                self.unless_terminal(stamped, stage, &format!("workload {workload} done{progress}"))
            }
            Event::Retrying { stage, step, attempt, of } if !self.quiet() => {
                let line = format!("{step} is tried again, attempt {attempt} of {of}");
                if terminal {
                    self.print(&paint.warn(&format!("! {stage}: {line}")))
                } else {
                    self.in_stage(stamped, stage, &line)
                }
            }
            _ => Ok(()),
        }
    }

    fn stage_started(
        &mut self,
        stamped: &Stamped,
        stage: &str,
        expected: Option<f64>,
        earlier: f64,
    ) -> anyhow::Result<()> {
        self.running.retain(|running| running.name != stage);
        self.running.push(Running {
            name: stage.to_owned(),
            since: Instant::now(),
            expected: expected.map(|seconds| seconds - earlier).filter(|seconds| *seconds > 0.0),
            group: String::new(),
        });
        if self.quiet() {
            return Ok(());
        }
        let goes_on = (earlier >= 1.0).then(|| format!(", goes on after {}", text::duration(earlier)));
        let last = expected.map(|seconds| format!(", took {} the last time", text::duration(seconds)));
        let said = self.verbose() || goes_on.is_some();
        let last = goes_on.into_iter().chain(last).collect::<String>();
        if !self.terminal() {
            self.timed(stamped, &format!("{stage}: started{last}"))?;
        } else if said {
            self.print(&self.paint.busy(&format!("> {stage} started{last}")))?;
        }
        if !self.verbose() {
            return Ok(());
        }
        let reasons = self.run.stage(stage).map(|stage| stage.reasons.clone()).unwrap_or_default();
        reasons.iter().try_for_each(|reason| self.below(&format!("because {reason}")))
    }

    /// A line of a stage, which a terminal shows only when it is verbose: there the moving line says it.
    fn unless_terminal(&mut self, stamped: &Stamped, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.terminal() && !self.verbose() { Ok(()) } else { self.in_stage(stamped, stage, line) }
    }

    /// A line of a stage; in GitHub Actions it is kept for the stage's group.
    fn in_stage(&mut self, stamped: &Stamped, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.quiet() || self.kept_for_group(stage, line) {
            return Ok(());
        }
        let indent = if self.terminal() { "  " } else { "" };
        self.timed(stamped, &format!("{indent}{stage}: {line}"))
    }

    fn in_stage_below(&mut self, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.kept_for_group(stage, &format!("  {line}")) { Ok(()) } else { self.below(line) }
    }

    fn kept_for_group(&mut self, stage: &str, line: &str) -> bool {
        if self.github()
            && let Some(running) = self.running.iter_mut().find(|running| running.name == stage)
        {
            running.group.push_str(&format!("{line}\n"));
        }
        self.github()
    }
}
