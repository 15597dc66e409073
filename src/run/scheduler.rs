//! Runs the stages of a selection in the order of their dependencies, several at once where slots and memory allow.
//!
//! One thread decides; each stage runs in a thread of its own and reports through a channel. Threads instead of async: a run
//! has a handful of stages that last for minutes, and everything waits for child processes.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use anyhow::Result;

use super::announce::announce;
use super::control::GRACE;
use super::decide::Judge;
use super::earlier;
use super::share::{Budget, Share};
use super::stage::{Shared, StageEnd, execute};
use super::survey::settle;
use super::verdict::{Settled, Verdict, Work};
use crate::event::{Event, Outcome};
use crate::pipeline::{Graph, OnFailure, Stage};
use crate::state::record::Record;

/// What happens to the other stages when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FailurePolicy {
    /// No new stage starts, running ones finish.
    #[default]
    Finish,
    /// Running ones are ended.
    FailFast,
    /// What does not depend on it starts, too.
    KeepGoing,
}

/// How a run ended.
#[derive(Debug)]
pub struct RunEnd {
    pub outcome: Outcome,
    pub settled: BTreeMap<String, Settled>,
    /// The first failure was of the machine: a tool, a disk, a permission.
    pub environment: bool,
    /// Stages failed, and the pipeline tolerates it.
    pub tolerated: bool,
}

/// The state of a run.
struct Scheduler<'a, 'j> {
    judge: &'a mut Judge<'j>,
    graph: &'a Graph,
    shared: &'a Shared,
    budget: Budget,
    policy: FailurePolicy,
    settled: BTreeMap<String, Settled>,
    /// Judged, and waiting for slots; with how many stages had ended by then.
    ready: BTreeMap<String, (u64, Box<Work>)>,
    /// How many stages have ended.
    ends: u64,
    running: BTreeMap<String, Share>,
    failed: bool,
    environment: bool,
    tolerated: bool,
    done: Sender<(String, StageEnd)>,
}

/// Runs what is to be run.
///
/// # Errors
/// When deciding fails: a source cannot be read, a record cannot be written. Stages that fail are no error here.
pub fn run(judge: &mut Judge, graph: &Graph, shared: &Shared, budget: Budget, policy: FailurePolicy) -> Result<RunEnd> {
    let (done, finished) = channel();
    let mut scheduler = Scheduler {
        judge,
        graph,
        shared,
        budget,
        policy,
        settled: BTreeMap::new(),
        ready: BTreeMap::new(),
        ends: 0,
        running: BTreeMap::new(),
        failed: false,
        environment: false,
        tolerated: false,
        done,
    };
    let result = std::thread::scope(|scope| scheduler.run(scope, &finished));
    let outcome = match (shared.control.is_interrupted() && !scheduler.failed, scheduler.failed) {
        (true, _) => Outcome::Interrupted,
        (false, true) => Outcome::Failed,
        (false, false) => Outcome::Done,
    };
    result?;
    if outcome == Outcome::Done {
        scheduler.nothing_is_left()?;
    }
    Ok(RunEnd {
        outcome,
        settled: scheduler.settled,
        environment: scheduler.environment,
        tolerated: scheduler.tolerated,
    })
}

impl<'a> Scheduler<'a, '_> {
    fn run<'s>(&mut self, scope: &'s Scope<'s, 'a>, finished: &Receiver<(String, StageEnd)>) -> Result<()> {
        let mut error = None;
        loop {
            let stopping = self.shared.control.is_interrupted()
                || error.is_some()
                || (self.failed && self.policy != FailurePolicy::KeepGoing);
            if !stopping {
                match self.advance(scope) {
                    Ok(true) => continue,
                    Ok(false) => {}
                    Err(problem) => error = Some(problem),
                }
            }
            if self.running.is_empty() {
                break;
            }
            // The timeout is for an interrupt that comes while nothing else happens.
            if let Ok((name, end)) = finished.recv_timeout(Duration::from_secs(3600)) {
                self.ended(&name, end);
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Judges and starts what can be. True if that changed what is known of a stage.
    fn advance<'s>(&mut self, scope: &'s Scope<'s, 'a>) -> Result<bool> {
        for name in self.graph.order() {
            let name: &str = name;
            if self.settled.contains_key(name) || self.running.contains_key(name) {
                continue;
            }
            let Some(stage) = self.judge.pipeline.stage(name) else { continue };
            // One that it was ready with may have to run again meanwhile, for the sake of a workspace.
            if !self.dependencies_settled(stage) {
                self.ready.remove(name);
                continue;
            }
            if !self.ready.contains_key(name) && !self.decide(stage)? {
                return Ok(true);
            }
            if self.fits_now(stage) {
                // It may have waited for hours: sources, tools and its workspace are what they are now.
                if self.ready.get(name).is_some_and(|(ends, _)| *ends != self.ends) {
                    self.ready.remove(name);
                    if !self.decide(stage)? {
                        return Ok(true);
                    }
                }
                self.start(scope, stage);
            }
        }
        Ok(false)
    }

    /// Every selected stage has come to an end of some kind: what has not run must not pass for done.
    fn nothing_is_left(&self) -> Result<()> {
        let open = |name: &&str| matches!(self.settled.get(*name), None | Some(Settled::Open));
        let selected = self.graph.order().iter().map(String::as_str);
        let left: Vec<&str> =
            selected.filter(|name| self.judge.selection.stages.contains(*name)).filter(open).collect();
        anyhow::ensure!(
            left.is_empty(),
            "nothing runs any more, and {} not run: {}. That is an error in optbuild: please report it with the journal of this run. \
             What was built is kept, and `optbuild resume` goes on",
            if left.len() == 1 { "a stage has" } else { "stages have" },
            left.join(", ")
        );
        Ok(())
    }

    /// Of each group of alternatives the first that is not known to be unavailable must have outputs.
    fn dependencies_settled(&self, stage: &Stage) -> bool {
        stage.dependencies.iter().all(|alternatives| {
            for name in alternatives {
                match self.settled.get(name) {
                    None | Some(Settled::Open) => return false,
                    Some(Settled::Done(_) | Settled::OutOfReach(_)) => return true,
                    Some(Settled::Unavailable { .. }) => {}
                }
            }
            true
        })
    }

    /// Judges a stage. True if it is ready to run, false if it is settled or has to wait for another.
    fn decide(&mut self, stage: &Stage) -> Result<bool> {
        let name = stage.common.name.clone();
        let verdict = self.judge.judge(stage, &self.settled)?;
        let selected = self.judge.selection.stages.contains(&name);
        match &verdict {
            Verdict::UpToDate(record, _) if selected => self.up_to_date(record)?,
            Verdict::UpToDate(..) => self.skip(&name, "not selected; its outputs are up to date"),
            Verdict::Stale(_) => self.skip(&name, "its recorded outputs are used as they are"),
            Verdict::OutOfReach(_) => self.skip(&name, "not selected"),
            Verdict::Unavailable { blocked_by: Some(by), .. } => {
                self.send(Event::StageBlocked { stage: (&name).into(), by: by.into() });
            }
            Verdict::Unavailable { why, .. } => self.skip(&name, why),
            Verdict::FailedBefore(_) => {
                self.tolerated = true;
                self.skip(&name, "it failed before, which is tolerated; `--from` tries it again");
            }
            Verdict::NeedsFirst { stage: first, reason, begin } => {
                anyhow::ensure!(
                    self.judge.selection.stages.contains(first) && !self.judge.rerun.contains_key(first),
                    "{reason}; begin with `--from {begin}`"
                );
                self.judge.rerun.insert(first.clone(), reason.clone());
                self.settled.remove(first);
                return Ok(false);
            }
            Verdict::Run(_) | Verdict::DependsOn(..) => {}
        }
        if let Verdict::Run(work) = verdict {
            self.ready.insert(name, (self.ends, work));
            return Ok(true);
        }
        self.settled.insert(name, settle(&verdict));
        Ok(false)
    }

    /// The record may be one of other variables, which were set back: it is the stage's current one again.
    fn up_to_date(&self, record: &Record) -> Result<()> {
        let fingerprint = record.fingerprint.id();
        self.shared.state.point_to(&record.stage, &fingerprint)?;
        self.send(Event::StageUpToDate {
            stage: record.stage.clone().into(),
            fingerprint: fingerprint.into(),
            saved: record.duration,
        });
        Ok(())
    }

    fn fits_now(&self, stage: &Stage) -> bool {
        let name = &stage.common.name;
        self.ready
            .get(name)
            .is_some_and(|(_, work)| Share::of(stage, work, self.budget).fits(name, &self.running, self.budget))
    }

    fn start<'s>(&mut self, scope: &'s Scope<'s, 'a>, stage: &'a Stage)
    where
        'a: 's,
    {
        let name = &stage.common.name;
        let Some((_, work)) = self.ready.remove(name) else { return };
        let candidate = Share::of(stage, &work, self.budget);
        // What a resumed run has wiped once it goes on with.
        let fresh = self.judge.selection.fresh && work.forced;
        let earlier = earlier::seconds(self.shared, stage, &work);
        announce(self.shared, stage, &work, candidate.slots, earlier);
        let (shared, done) = (self.shared, self.done.clone());
        let slots = candidate.slots;
        self.running.insert(name.clone(), candidate);
        scope.spawn(move || {
            let end = execute(shared, stage, *work, slots, fresh, earlier);
            if done.send((stage.common.name.clone(), end)).is_err() {
                tracing::debug!("stage {} ended after the scheduler", stage.common.name);
            }
        });
    }

    fn ended(&mut self, name: &str, end: StageEnd) {
        self.running.remove(name);
        self.ends += 1;
        // What was known of source trees may not be true any more.
        self.shared.sources.forget();
        let tolerated =
            self.judge.pipeline.stage(name).is_some_and(|stage| stage.common.on_failure == OnFailure::Continue);
        let settled = match end {
            StageEnd::Done(record) => Settled::Done(std::sync::Arc::new(*record)),
            StageEnd::Interrupted => Settled::OutOfReach(format!("stage `{name}` was interrupted")),
            StageEnd::Failed(_) if tolerated => {
                self.tolerated = true;
                Settled::Unavailable { why: format!("stage `{name}` failed"), failed: true }
            }
            StageEnd::Failed(failure) => {
                if !self.failed {
                    self.environment = failure.environment;
                }
                self.failed = true;
                if self.policy == FailurePolicy::FailFast {
                    self.shared.control.interrupt(GRACE);
                }
                Settled::OutOfReach(format!("stage `{name}` failed"))
            }
        };
        self.settled.insert(name.into(), settled);
    }

    fn skip(&self, stage: &str, reason: &str) {
        self.send(Event::StageSkipped { stage: stage.into(), reason: reason.into() });
    }

    fn send(&self, event: Event) {
        self.shared.events.send(event);
    }
}
