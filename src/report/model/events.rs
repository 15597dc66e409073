//! What the events of a run say that a summary leaves out: when, and with which tools.

use std::collections::HashMap;

use jiff::Timestamp;

use super::lanes::Lanes;
use super::timeline::Course;
use super::{Outcome, Step, StepKind, Tool};
use crate::event::{self, Event, Stamped};
use crate::names::StepId;
use crate::report::summary::RunSummary;

/// The steps of each stage with their times, and what the run was begun with.
pub(super) struct Events<'a> {
    pub summary: &'a RunSummary,
    pub started: Timestamp,
    pub begin: Option<&'a Event>,
    /// Moment, slots and fingerprint of stages that were begun, or the fingerprint alone.
    pub begun: HashMap<&'a str, (Option<f64>, usize, &'a str)>,
    pub steps: HashMap<&'a str, Vec<Open<'a>>>,
    tools: Vec<Tool>,
}

/// A step with what was seen of it while it ran.
pub(super) struct Open<'a> {
    name: &'a StepId,
    step: Step,
    pooled: bool,
    looks: Vec<(f64, f64, u64)>,
}

impl<'a> Events<'a> {
    pub fn of(events: &'a [Stamped], summary: &'a RunSummary) -> Events<'a> {
        let started = summary.started.or(events.first().map(|stamped| stamped.time)).unwrap_or_default();
        let (begin, begun, steps, tools) = Default::default();
        let mut all = Events { summary, started, begin, begun, steps, tools };
        events.iter().for_each(|stamped| all.add(stamped));
        all
    }

    fn add(&mut self, stamped: &'a Stamped) {
        let at = stamped.time.duration_since(self.started).as_secs_f64().max(0.0);
        match &stamped.event {
            event @ Event::RunStarted { .. } => self.begin = Some(event),
            Event::StageStarted { stage, jobs, fingerprint, .. } => {
                self.begun.insert(stage, (Some(at), *jobs, fingerprint));
            }
            Event::StageUpToDate { stage, fingerprint, .. } => _ = self.begun.insert(stage, (None, 0, fingerprint)),
            Event::StepStarted { stage, step, command, log, .. } => {
                self.open(stage, step, StepKind::Step, at, command, log.as_str());
            }
            Event::PoolStarted { stage, step, .. } => self.open(stage, step, StepKind::Pool, at, "", ""),
            Event::Sampled { trees } => {
                for tree in trees {
                    if let Some(open) = self.last(&tree.stage, &tree.step) {
                        open.looks.push((at, tree.cpu, tree.memory));
                    }
                }
            }
            Event::StepFinished { stage, step, outcome, usage } => {
                let Some(open) = self.last(stage, step) else { return };
                open.step.duration =
                    Some(if open.step.kind == StepKind::Pool { at - open.step.start } else { usage.wall });
                open.step.outcome = outcome.into();
                (open.step.user, open.step.system) = (usage.user, usage.system);
                open.step.peak_memory = usage.peak_memory;
            }
            Event::ToolsUsed { stage, tools } => {
                for tool in tools {
                    self.tool(stage, tool);
                }
            }
            _ => {}
        }
    }

    fn open(&mut self, stage: &'a str, name: &'a StepId, kind: StepKind, start: f64, command: &str, log: &str) {
        let steps = self.steps.entry(stage).or_default();
        let pooled = steps.iter().any(|open| open.step.kind == StepKind::Pool && open.step.duration.is_none());
        let step = Step {
            name: name.to_string(),
            kind,
            start,
            duration: None,
            outcome: Outcome::Unfinished,
            user: 0.0,
            system: 0.0,
            peak_memory: 0,
            command: command.into(),
            log: log.into(),
            lane: 0,
        };
        steps.push(Open { name, step, pooled, looks: Vec::new() });
    }

    /// The step of that name that began last and has not ended.
    fn last(&mut self, stage: &str, step: &StepId) -> Option<&mut Open<'a>> {
        let steps = self.steps.get_mut(stage)?;
        steps.iter_mut().rev().find(|open| open.name == step && open.step.duration.is_none())
    }

    fn tool(&mut self, stage: &str, used: &event::ToolVersion) {
        let same = |tool: &&mut Tool| tool.path == used.path.as_str() && tool.name == used.name;
        match self.tools.iter_mut().find(same) {
            Some(tool) => {
                if !tool.stages.iter().any(|known| known == stage) {
                    tool.stages.push(stage.into());
                }
            }
            None => self.tools.push(Tool {
                name: used.name.clone(),
                path: used.path.to_string(),
                version: used.version.clone(),
                stages: vec![stage.into()],
            }),
        }
    }

    pub fn tools(&self) -> Vec<Tool> {
        let mut tools = self.tools.clone();
        tools.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        tools
    }

    pub fn courses(&self) -> Vec<Course> {
        let wall = self.summary.wall();
        let steps = self.steps.values().flatten().filter(|open| open.step.kind != StepKind::Pool);
        let course = |open: &Open| Course {
            start: open.step.start,
            end: open.step.start + open.step.duration.unwrap_or((wall - open.step.start).max(0.0)),
            looks: open.looks.clone(),
            cpu: open.step.duration.map(|_| open.step.cpu()),
            peak_memory: open.step.peak_memory,
        };
        steps.map(course).collect()
    }
}

/// The steps of a stage, each in a lane, and with what it is for.
pub(super) fn in_lanes(steps: &[Open]) -> Vec<Step> {
    let mut lanes = Lanes::default();
    let place = |open: &Open| {
        let mut step = open.step.clone();
        if step.kind != StepKind::Pool {
            step.lane = lanes.take(step.start, step.duration.map_or(f64::INFINITY, |duration| step.start + duration));
        }
        if open.pooled {
            // A companion is of no workload.
            step.kind = if open.name.step.is_some() { StepKind::AroundWorkload } else { StepKind::Workload };
        }
        step
    };
    steps.iter().map(place).collect()
}
