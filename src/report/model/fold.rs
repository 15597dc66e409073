//! From events to the model of a run, one event at a time: live for whoever watches, from a journal for reports and lists.
//!
//! The one place that knows what an event means for a stage. Unaware of earlier runs, and of files.

use std::ops::Deref;

use jiff::Timestamp;

use super::timeline::{Course, timeline};
use super::{Failure, Made, Outcome, Output, Report, Stage, Step, StepKind, Timeline, Tool, Warning};
use crate::event::{self, Event, Fact, StageState, Stamped, ToolVersion};
use crate::names::StepId;
use crate::text;

/// A run, as far as its events tell.
#[derive(Debug, Clone, Default)]
pub struct RunModel {
    pub(super) report: Report,
    /// When it began: by its first event, or by that of its own beginning.
    began: Option<Timestamp>,
    /// Of each stage its steps, in the same order.
    seen: Vec<Vec<Seen>>,
}

/// What is known of a step besides what a report says.
#[derive(Debug, Clone)]
struct Seen {
    id: StepId,
    /// When it was looked at: moment, CPU seconds up to it, memory.
    looks: Vec<(f64, f64, u64)>,
}

impl Deref for RunModel {
    type Target = Report;
    fn deref(&self) -> &Report {
        &self.report
    }
}

impl RunModel {
    /// The model of a journal.
    pub fn of<'a>(events: impl IntoIterator<Item = &'a Stamped>) -> RunModel {
        let mut model = RunModel::default();
        events.into_iter().for_each(|event| model.add(event));
        model
    }

    /// The same of a run whose process is known to be alive, or not.
    pub fn running(mut self, running: bool) -> RunModel {
        self.report.run.running = running;
        self
    }

    pub fn began(&self) -> Option<Timestamp> {
        self.began
    }

    /// Takes in the next event.
    pub fn add(&mut self, stamped: &Stamped) {
        let event = &stamped.event;
        if matches!(event, Event::RunStarted { .. }) {
            self.began = None;
        }
        let at = stamped.time.duration_since(*self.began.get_or_insert(stamped.time)).as_secs_f64().max(0.0);
        if let Some((stage, state)) = event.stage_state() {
            self.stage(stage).state = state;
        }
        match event {
            Event::RunStarted { run, pipeline, file, version, args, cwd, vars, stages, jobs, .. } => {
                let about = &mut self.report.run;
                about.id = run.to_string();
                about.pipeline.clone_from(pipeline);
                about.file = file.to_string();
                about.optbuild.clone_from(version);
                about.command = text::shell::join(["optbuild"].into_iter().chain(args.iter().map(String::as_str)));
                about.cwd = cwd.to_string();
                about.variables.clone_from(vars);
                about.jobs = *jobs;
                stages.iter().for_each(|stage| _ = self.stage(stage));
            }
            Event::CacheAsked { stage, cache, misses, bytes } => self.asked(stage, cache.as_deref(), misses, *bytes),
            Event::CacheMoved { stage, cache, sent, objects, bytes, content, duration } => {
                let about = &mut self.report.cache;
                *(if *sent { &mut about.sent } else { &mut about.fetched }) += bytes;
                let what = if *sent { "sent to" } else { "fetched from" };
                let (content, bytes, objects) =
                    (text::size(*content), text::size(*bytes), text::plural(*objects, "object"));
                let took = text::duration(*duration);
                let note = format!("{content} {what} the cache `{cache}` as {bytes} in {objects}, in {took}");
                self.stage(stage).notes.push(note);
            }
            Event::OutputWithheld { withheld } => self.report.withheld.push(withheld.clone()),
            Event::RunFinished { outcome, duration } => {
                self.report.run.outcome = (*outcome).into();
                self.report.run.wall = *duration;
            }
            Event::StageUpToDate { stage, fingerprint, saved } => {
                let stage = self.stage(stage);
                stage.made = Some(Made { run: String::new(), duration: *saved });
                stage.fingerprint = fingerprint.to_string();
            }
            Event::StageSkipped { stage, reason, .. } => self.stage(stage).why = Some(reason.clone()),
            Event::StageBlocked { stage, by } => self.stage(stage).why = Some(by.to_string()),
            Event::StageStarted { stage, fingerprint, reasons, earlier, jobs, .. } => {
                let stage = self.stage(stage);
                (stage.start, stage.made, stage.why) = (Some(at), None, None);
                (stage.earlier, stage.jobs) = (*earlier, *jobs);
                stage.fingerprint = fingerprint.to_string();
                stage.reasons.clone_from(reasons);
            }
            Event::ToolsUsed { stage, tools } => tools.iter().for_each(|tool| self.tool(stage, tool)),
            Event::Sampled { trees } => {
                for tree in trees {
                    if let Some((_, seen)) = self.open_step(&tree.stage, &tree.step) {
                        seen.looks.push((at, tree.cpu, tree.memory));
                    }
                }
            }
            Event::Note { stage, text } => self.stage(stage).notes.push(text.clone()),
            Event::Warning { stage, about, text } => {
                let warnings = &mut self.stage(stage).warnings;
                warnings.retain(|known| known.about != *about);
                warnings.push(Warning { about: about.clone(), text: text.clone() });
            }
            Event::ProcessStarted { .. } => {}
            Event::StepStarted { stage, step, command, log, .. } => {
                self.open(stage, step, StepKind::Step, at, command, log.as_str());
            }
            Event::PoolStarted { stage, step, workloads, committed } => {
                self.open(stage, step, StepKind::Pool, at, "", "");
                let stage = self.stage(stage);
                stage.workloads.total += workloads;
                stage.workloads.committed += committed;
            }
            Event::Fact { stage, fact } => add_fact(&mut self.stage(stage).reported, fact),
            Event::StepFinished { stage, step, outcome, usage } => {
                let mut is_pool = false;
                if let Some((open, _)) = self.open_step(stage, step) {
                    is_pool = open.kind == StepKind::Pool;
                    open.duration = Some(if is_pool { at - open.start } else { usage.wall });
                    open.outcome = (*outcome).into();
                    (open.user, open.system, open.peak_memory) = (usage.user, usage.system, usage.peak_memory);
                }
                // What a pool used is counted with its workloads.
                if !is_pool {
                    let stage = self.stage(stage);
                    stage.user += usage.user;
                    stage.system += usage.system;
                    stage.peak_memory = stage.peak_memory.max(usage.peak_memory);
                }
            }
            Event::WorkloadCommitted { stage, .. } => self.stage(stage).workloads.committed += 1,
            Event::Retrying { stage, .. } => self.stage(stage).retries += 1,
            Event::StageFinished { stage, duration, hashing, outputs, failure, .. } => {
                let stage = self.stage(stage);
                (stage.duration, stage.hashing) = (*duration, *hashing);
                stage.outputs = outputs.iter().map(output).collect();
                stage.failure = failure.as_ref().map(of_failure);
            }
        }
        self.sum_up(at);
    }

    /// What caches said of a stage. One that is judged again was said of before.
    fn asked(&mut self, stage: &str, cache: Option<&str>, misses: &[String], bytes: u64) {
        let about = &mut self.report.cache;
        about.hits.retain(|known| known != stage);
        about.misses.retain(|known| known != stage);
        match cache {
            Some(_) => {
                about.hits.push(stage.to_owned());
                about.held += bytes;
            }
            None => about.misses.push(stage.to_owned()),
        }
        let notes = &mut self.stage(stage).notes;
        notes.extend(cache.map(|cache| format!("it is in the cache `{cache}`")));
        notes.extend(misses.iter().cloned());
    }

    /// Everything that is a sum, or grows as long as something is under way.
    fn sum_up(&mut self, at: f64) {
        let Report { run, stages, cache, .. } = &mut self.report;
        if run.outcome == Outcome::Unfinished {
            run.wall = at;
        }
        for stage in stages.iter_mut().filter(|stage| stage.state == StageState::Running) {
            stage.duration = stage.start.map_or(0.0, |start| (at - start).max(0.0));
        }
        run.cpu =
            stages.iter().map(|stage| stage.user).sum::<f64>() + stages.iter().map(|stage| stage.system).sum::<f64>();
        run.peak_memory = stages.iter().map(|stage| stage.peak_memory).max().unwrap_or(0);
        run.hashing = stages.iter().map(|stage| stage.hashing).sum();
        let cached =
            stages.iter().filter(|stage| stage.state == StageState::UpToDate && cache.hits.contains(&stage.name));
        cache.saved = cached.filter_map(|stage| stage.made.as_ref()).fold(0.0, |sum, made| sum + made.duration);
        let saved = stages.iter().filter(|stage| stage.state == StageState::UpToDate);
        // A sum of nothing would be `-0.0`.
        run.saved = saved.filter_map(|stage| stage.made.as_ref()).fold(0.0, |sum, made| sum + made.duration);
    }

    /// The stage of that name, which is added if the run did not announce it.
    fn stage(&mut self, name: &str) -> &mut Stage {
        let index = self.place(name);
        &mut self.report.stages[index]
    }

    fn place(&mut self, name: &str) -> usize {
        let known = self.report.stages.iter().position(|stage| stage.name == name);
        known.unwrap_or_else(|| {
            self.report.stages.push(Stage { name: name.to_owned(), ..Stage::default() });
            self.seen.push(Vec::new());
            self.seen.len() - 1
        })
    }

    fn open(&mut self, stage: &str, id: &StepId, kind: StepKind, start: f64, command: &str, log: &str) {
        let index = self.place(stage);
        let stage = &mut self.report.stages[index];
        let kind = match (kind, stage.open_pool()) {
            // A companion is of no workload.
            (StepKind::Step, Some(_)) if id.step.is_some() => StepKind::AroundWorkload,
            (StepKind::Step, Some(_)) => StepKind::Workload,
            (kind, _) => kind,
        };
        stage.steps.push(Step {
            name: id.to_string(),
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
        });
        self.seen[index].push(Seen { id: id.clone(), looks: Vec::new() });
    }

    /// The step of that name that began last and has not ended.
    fn open_step(&mut self, stage: &str, id: &StepId) -> Option<(&mut Step, &mut Seen)> {
        let index = self.place(stage);
        let steps = self.report.stages[index].steps.iter_mut().zip(&mut self.seen[index]);
        steps.rev().find(|(step, seen)| seen.id == *id && step.duration.is_none())
    }

    fn tool(&mut self, stage: &str, used: &ToolVersion) {
        let tools = &mut self.report.tools;
        let same = |tool: &Tool| tool.path == used.path.as_str() && tool.name == used.name;
        let index = tools.iter().position(same).unwrap_or_else(|| {
            let (name, path, version) = (used.name.clone(), used.path.to_string(), used.version.clone());
            tools.push(Tool { name, path, version, stages: Vec::new() });
            tools.len() - 1
        });
        let stages = &mut tools[index].stages;
        if !stages.iter().any(|known| known == stage) {
            stages.push(stage.into());
        }
    }

    /// What all commands used as time went by.
    pub(super) fn timeline(&self) -> Timeline {
        let steps = self.stages.iter().zip(&self.seen).flat_map(|(stage, seen)| stage.steps.iter().zip(seen));
        let course = |(step, seen): (&Step, &Seen)| Course {
            start: step.start,
            end: step.start + step.length(self.run.wall),
            looks: seen.looks.clone(),
            cpu: step.duration.map(|_| step.cpu()),
            peak_memory: step.peak_memory,
        };
        let courses: Vec<Course> = steps.filter(|(step, _)| step.kind != StepKind::Pool).map(course).collect();
        timeline(self.run.wall, &courses)
    }
}

/// A step that is tried again reports again: the later number counts.
fn add_fact(facts: &mut Vec<Fact>, fact: &Fact) {
    match facts.iter_mut().find(|known| known.step == fact.step && known.name == fact.name) {
        Some(known) => known.clone_from(fact),
        None => facts.push(fact.clone()),
    }
}

fn output(output: &event::OutputInfo) -> Output {
    let event::OutputInfo { name, path, bytes, files, show } = output.clone();
    Output { name, path: path.into_string(), bytes, files, earlier: Vec::new(), show }
}

fn of_failure(failure: &event::Failure) -> Failure {
    let plain = |lines: &[String]| lines.iter().map(|line| text::plain_line(line)).collect();
    Failure {
        step: failure.step.to_string(),
        what: failure.what.clone(),
        command: failure.command.clone(),
        log: failure.log.as_ref().map(ToString::to_string).unwrap_or_default(),
        error: plain(&failure.error),
        tail: plain(&failure.tail),
        environment: failure.environment,
    }
}
