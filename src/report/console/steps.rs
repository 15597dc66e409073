//! What is printed while stages are under way.

use std::time::Instant;

use super::super::summary::Workloads;
use super::{Console, OpenPool, Running};
use crate::event::{Event, Outcome, Stamped};
use crate::names::StepId;
use crate::text;

impl Console {
    /// Everything but the ends of stages and of the run.
    pub(super) fn progress(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        match &stamped.event {
            Event::RunStarted { pipeline, run, stages, jobs, .. } if !self.quiet() && !self.terminal() => {
                let stages = text::plural(stages.len(), "stage");
                let line = format!("{pipeline}: {stages}, {}, run {run}", text::plural(*jobs, "job"));
                self.began = Some((stamped.clone(), line));
                Ok(())
            }
            Event::StageSkipped { stage, reason, .. } if self.verbose() => {
                let line = if self.terminal() {
                    self.paint.dim(&format!("- {stage} skipped: {reason}"))
                } else {
                    format!("{stage}: skipped ({reason})")
                };
                self.timed(stamped, &line)
            }
            Event::StageBlocked { stage, by } if !self.quiet() => {
                let line = if self.terminal() {
                    self.paint.warn(&format!("! {stage} blocked: {by} has no output"))
                } else {
                    format!("{stage}: blocked, {by} has no output")
                };
                self.timed(stamped, &line)
            }
            Event::StageStarted { stage, reasons, expected, earlier, .. } => {
                self.stage_started(stamped, stage, reasons, *expected, *earlier)
            }
            Event::Note { stage, text } if self.verbose() => self.in_stage(stamped, stage, &format!("note: {text}")),
            Event::StepStarted { stage, step, command, log, .. } => {
                let pooled = self.running(stage).is_some_and(|running| running.pool.is_some());
                if let Some(running) = self.running(stage) {
                    running.steps.push((step.clone(), log.clone()));
                }
                if self.verbose() {
                    self.in_stage(stamped, stage, &step.to_string())?;
                    self.in_stage_below(stage, &format!("$ {command}"))
                } else if self.terminal() || self.github() || pooled {
                    Ok(())
                } else {
                    self.in_stage(stamped, stage, &step.to_string())
                }
            }
            Event::PoolStarted { stage, step, workloads, committed } => {
                if let Some(running) = self.running(stage) {
                    let workloads = Workloads { total: *workloads, committed: *committed };
                    running.pool = Some(OpenPool { step: step.clone(), workloads });
                }
                let already = if *committed > 0 { format!(", {committed} done already") } else { String::new() };
                self.unless_terminal(
                    stamped,
                    stage,
                    &format!("{step}: {}{already}", text::plural(*workloads, "workload")),
                )
            }
            Event::StepFinished { stage, step, outcome, usage } => {
                self.step_finished(stamped, stage, step, *outcome, usage.wall)
            }
            Event::WorkloadCommitted { stage, workload, .. } => {
                let mut progress = String::new();
                if let Some(pool) = self.running(stage).and_then(|running| running.pool.as_mut()) {
                    pool.workloads.committed += 1;
                    progress = format!(" ({}/{})", pool.workloads.committed, pool.workloads.total);
                }
                self.unless_terminal(stamped, stage, &format!("workload {workload} done{progress}"))
            }
            Event::Retrying { stage, step, attempt, of } if !self.quiet() => {
                let line = format!("{step} is tried again, attempt {attempt} of {of}");
                if self.terminal() {
                    let line = self.paint.warn(&format!("! {stage}: {line}"));
                    self.print(&line)
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
        reasons: &[String],
        expected: Option<f64>,
        earlier: f64,
    ) -> anyhow::Result<()> {
        self.running.retain(|running| running.name != stage);
        self.running.push(Running {
            name: stage.to_owned(),
            since: Instant::now(),
            expected: expected.map(|seconds| seconds - earlier).filter(|seconds| *seconds > 0.0),
            steps: Vec::new(),
            pool: None,
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
            let line = self.paint.busy(&format!("> {stage} started{last}"));
            self.print(&line)?;
        }
        if self.verbose() {
            reasons.iter().try_for_each(|reason| self.below(&format!("because {reason}")))
        } else {
            Ok(())
        }
    }

    fn step_finished(
        &mut self,
        stamped: &Stamped,
        stage: &str,
        step: &StepId,
        outcome: Outcome,
        wall: f64,
    ) -> anyhow::Result<()> {
        let mut pooled = false;
        if let Some(running) = self.running(stage) {
            running.steps.retain(|(name, _)| name != step);
            pooled = running.pool.as_ref().is_some_and(|pool| pool.step != *step);
            if running.pool.as_ref().is_some_and(|pool| pool.step == *step) {
                running.pool = None;
            }
        }
        let word = match outcome {
            Outcome::Done if pooled && !self.verbose() => return Ok(()),
            Outcome::Done => "done",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        };
        // A pool has no time of its own where it is left to its workloads.
        let duration = if wall > 0.0 { format!(" in {}", text::duration(wall)) } else { String::new() };
        self.unless_terminal(stamped, stage, &format!("{step} {word}{duration}"))
    }

    /// A line of a stage, which a terminal shows only when it is verbose: there the moving line says it.
    fn unless_terminal(&mut self, stamped: &Stamped, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.quiet() || (self.terminal() && !self.verbose()) {
            return Ok(());
        }
        self.in_stage(stamped, stage, line)
    }

    /// A line of a stage; in GitHub Actions it is kept for the stage's group.
    fn in_stage(&mut self, stamped: &Stamped, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.quiet() {
            return Ok(());
        }
        if self.github() {
            if let Some(running) = self.running(stage) {
                running.group.push_str(&format!("{line}\n"));
            }
            return Ok(());
        }
        let line = if self.terminal() { format!("  {stage}: {line}") } else { format!("{stage}: {line}") };
        self.timed(stamped, &line)
    }

    fn in_stage_below(&mut self, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.github() {
            if let Some(running) = self.running(stage) {
                running.group.push_str(&format!("  {line}\n"));
            }
            return Ok(());
        }
        self.below(line)
    }
}
