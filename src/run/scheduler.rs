//! Runs the stages of a selection in the order of their dependencies, several at once where slots and memory allow.
//!
//! One thread decides; each stage runs in a thread of its own and reports through a channel. Threads instead of async: a run
//! has a handful of stages that last for minutes, and everything waits for child processes.
//!
//! What always holds:
//!
//! | invariant | by |
//! |---|---|
//! | a stage is judged only when all that it depends on is settled | `dependencies_settled` |
//! | a stage starts by a judgement that is no older than the last end of another stage | `ready` counts the ends |
//! | a stage is in one of `ready`, `running` and `settled` at most | `decide`, `start`, `ended` |
//! | what runs fits into the slots and the memory, is alone if it must be, and shares no workspace | [`Share::fits`] |
//! | no stage starts after an interrupt, after an error of optbuild, or after a failure without `--keep-going` | `run` |
//! | a stage that is settled is begun for the sake of a workspace only, and once | `rerun` of the judge |
//! | a stage starts when all that it reads is here: what a cache holds is fetched first | `fetch_inputs` |
//! | outputs that cannot be fetched are as if there were none: the stage is judged again, and those behind it | `unsettle` |
//! | a run is done only if each selected stage is settled | `nothing_is_left` |
//!
//! How a stage comes from one [`StageState`] to the next; an event says each of these:
//!
//! | from | to | when |
//! |---|---|---|
//! | `NotStarted` | `UpToDate` | its record is good, and it is selected |
//! | `NotStarted` | `Skipped` | it is off, or not selected, or its outputs are used as they are, or it failed before and that is tolerated |
//! | `NotStarted` | `Blocked` | what it depends on has no outputs |
//! | `NotStarted` | `Running` | its record is not good, and it fits |
//! | `UpToDate`, `Skipped`, `Done` | `Running` | a stage behind it needs the workspace as this one leaves it |
//! | `Running` | `Done`, `Failed`, `Tolerated`, `Interrupted` | its thread says so |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::Duration;

use anyhow::Result;

use super::control::GRACE;
use super::costs;
use super::decide::{Judge, Settled, Verdict, Work, available, failure_words, settle};
use super::earlier;
use super::project::Project;
use super::sharing::{self, Fetched};
use super::stage::{Shared, StageEnd, execute, not_begun};
use crate::cache::caches::NotFetched;
use crate::event::{Event, Outcome, StageState, ToolVersion};
use crate::names::{FingerprintId, StageName};
use crate::pipeline::{OnFailure, OutputRef, Stage};
use crate::plan::StagePlan;
use crate::proc::start;
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
    /// Where each stage stands that was judged.
    pub stages: BTreeMap<StageName, StageState>,
    pub settled: BTreeMap<StageName, Settled>,
    /// The first failure was of the machine: a tool, a disk, a permission.
    pub environment: bool,
    /// Stages failed, and the pipeline tolerates it.
    pub tolerated: bool,
}

/// The state of a run.
struct Scheduler<'a, 'j> {
    project: &'a Project,
    judge: &'a mut Judge<'j>,
    shared: &'a Shared,
    budget: Budget,
    policy: FailurePolicy,
    stages: BTreeMap<StageName, StageState>,
    settled: BTreeMap<StageName, Settled>,
    /// Judged, and waiting for slots; with how many stages had ended by then.
    ready: BTreeMap<StageName, (u64, Box<Work>)>,
    /// How many stages have ended.
    ends: u64,
    running: BTreeMap<StageName, Share>,
    failed: bool,
    environment: bool,
    tolerated: bool,
    /// Stages whose outputs are on their way from a cache.
    fetching: BTreeSet<StageName>,
    /// Stages under way that have to be judged again when they end.
    doubtful: BTreeSet<StageName>,
    done: Sender<Message>,
}

/// What a thread has to say when it ends.
enum Message {
    Ended(StageName, StageEnd),
    Fetched(StageName, Box<Fetched>),
}

/// Runs what is to be run.
///
/// # Errors
/// When deciding fails: a source cannot be read, a record cannot be written. Stages that fail are no error here.
pub fn run(judge: &mut Judge, shared: &Shared, budget: Budget, policy: FailurePolicy) -> Result<RunEnd> {
    let (done, finished) = channel();
    let mut scheduler = Scheduler {
        project: judge.project,
        judge,
        shared,
        budget,
        policy,
        stages: BTreeMap::new(),
        settled: BTreeMap::new(),
        ready: BTreeMap::new(),
        ends: 0,
        running: BTreeMap::new(),
        failed: false,
        environment: false,
        tolerated: false,
        fetching: BTreeSet::new(),
        doubtful: BTreeSet::new(),
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
        stages: scheduler.stages,
        settled: scheduler.settled,
        environment: scheduler.environment,
        tolerated: scheduler.tolerated,
    })
}

impl<'a> Scheduler<'a, '_> {
    fn run<'s>(&mut self, scope: &'s Scope<'s, 'a>, finished: &Receiver<Message>) -> Result<()> {
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
            if self.running.is_empty() && self.fetching.is_empty() && (stopping || !self.fetch_outputs(scope)) {
                break;
            }
            // The timeout is for an interrupt that comes while nothing else happens.
            match finished.recv_timeout(Duration::from_secs(3600)) {
                Ok(Message::Ended(name, end)) => self.ended(name, end),
                Ok(Message::Fetched(name, fetched)) => {
                    if let Err(problem) = self.fetched(&name, *fetched) {
                        error = error.or(Some(problem));
                    }
                }
                Err(_) => {}
            }
        }
        match error {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// Judges and starts what can be. True if that changed what is known of a stage.
    fn advance<'s>(&mut self, scope: &'s Scope<'s, 'a>) -> Result<bool> {
        for name in self.project.graph.order() {
            let name: &str = name;
            if self.settled.contains_key(name) || self.running.contains_key(name) || self.fetching.contains(name) {
                continue;
            }
            let Some(stage) = self.project.pipeline.stage(name) else { continue };
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
                if !self.fetch_inputs(scope, stage) {
                    continue;
                }
                self.start(scope, stage);
            }
        }
        Ok(false)
    }

    /// Every selected stage has come to an end of some kind: what has not run must not pass for done.
    fn nothing_is_left(&self) -> Result<()> {
        let open = |name: &&str| matches!(self.settled.get(*name), None | Some(Settled::Open));
        let selected = self.project.graph.order().iter().map(String::as_str);
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
                match self.settled.get(name.as_str()) {
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
        let name = StageName::from(&stage.common.name);
        let verdict = self.judge.judge(stage, &self.settled)?;
        let selected = self.judge.selection.stages.contains(&name);
        match &verdict {
            Verdict::UpToDate(record, _) if selected => self.up_to_date(&name, record)?,
            Verdict::UpToDate(record, _) => self.skip(&name, "not selected; its outputs are up to date", Some(record)),
            Verdict::Stale(record) => self.skip(&name, "its recorded outputs are used as they are", Some(record)),
            Verdict::OutOfReach(_) => self.skip(&name, "not selected", None),
            Verdict::Unavailable { blocked_by: Some(by), .. } => {
                self.send(Event::StageBlocked { stage: name.clone(), by: by.clone() });
            }
            Verdict::Unavailable { why, .. } => self.skip(&name, why, None),
            Verdict::LeftOut(why) => self.skip(&name, &format!("left out: {why}"), None),
            Verdict::FailedBefore(_) => {
                self.tolerated = true;
                self.skip(&name, "it failed before, which is tolerated; `--from` tries it again", None);
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
    fn up_to_date(&mut self, name: &StageName, record: &Record) -> Result<()> {
        let fingerprint = record.fingerprint.id();
        if let Some(held) = &record.held
            && self.shared.state.record(&fingerprint)?.is_none_or(|known| known != *record)
        {
            let record = Record { run: self.shared.run.clone(), ..record.clone() };
            self.shared.state.put_record(&record, &BTreeMap::new())?;
            let bytes = record.outputs.values().map(|output| output.bytes).sum();
            let (stage, cache) = (name.clone(), Some(held.cache.clone()));
            self.send(Event::CacheAsked { stage, cache, misses: Vec::new(), bytes });
        }
        self.shared.state.point_to(name, &fingerprint)?;
        self.send(Event::StageUpToDate { stage: name.clone(), fingerprint, saved: record.duration });
        Ok(())
    }

    fn fits_now(&self, stage: &Stage) -> bool {
        let name = &stage.common.name;
        self.ready.get(name.as_str()).is_some_and(|(_, work)| {
            Share::of(stage, &work.plan, Some(work.fingerprint.id()), self.budget).fits(
                name,
                &self.running,
                self.budget,
            )
        })
    }

    fn start<'s>(&mut self, scope: &'s Scope<'s, 'a>, stage: &'a Stage)
    where
        'a: 's,
    {
        let Some((name, (_, work))) = self.ready.remove_entry(stage.common.name.as_str()) else { return };
        let share = Share::of(stage, &work.plan, Some(work.fingerprint.id()), self.budget);
        let slots = share.slots;
        // What a resumed run has wiped once it goes on with.
        let fresh = self.judge.selection.fresh && work.forced;
        let earlier = earlier::seconds(self.shared, stage, &work);
        if stage.kind.answers.measures
            && let Err(error) = costs::write(&self.project.pipeline, stage, &self.settled, self.shared.state.layout())
        {
            self.send(Event::Note { stage: name.clone(), text: error.to_string() });
        }
        self.announce(&name, &work, slots, earlier);
        self.running.insert(name.clone(), share);
        let (shared, done) = (self.shared, self.done.clone());
        let tell = move |end: StageEnd| {
            if done.send(Message::Ended(name, end)).is_err() {
                tracing::debug!("stage {} ended after the scheduler", stage.common.name);
            }
        };
        let refused = tell.clone();
        let run = move || tell(execute(shared, stage, *work, slots, fresh, earlier));
        if let Err(error) = start::scoped(scope, &stage.common.name, run) {
            refused(not_begun(shared, stage, &error));
        }
    }

    /// Says that a stage starts, why, with which tools, and what its plan has to note. `earlier`: see [`Event::StageStarted`].
    fn announce(&mut self, name: &StageName, work: &Work, jobs: usize, earlier: f64) {
        let shared = self.shared;
        let expected = match shared.state.current(name) {
            // A stage of another pipeline may have the same name.
            Ok(record) => record.filter(|record| record.pipeline == shared.pipeline).map(|record| record.duration),
            Err(error) => {
                self.send(Event::Note { stage: name.clone(), text: error.to_string() });
                None
            }
        };
        self.send(Event::StageStarted {
            stage: name.clone(),
            fingerprint: work.fingerprint.id(),
            reasons: work.reasons.clone(),
            // A stage that rebuilds a workspace takes away the records of those behind it.
            expected: expected.or_else(|| shared.took.get(name).copied()),
            earlier,
            jobs,
        });
        let tools = work.plan.tools.iter().map(|tool| ToolVersion {
            name: tool.name.clone(),
            path: tool.path.clone(),
            version: shared.tools.version(tool),
        });
        let tools: Vec<ToolVersion> = tools.collect();
        if !tools.is_empty() {
            self.send(Event::ToolsUsed { stage: name.clone(), tools });
        }
        for note in &work.plan.notes {
            self.send(Event::Note { stage: name.clone(), text: note.clone() });
        }
        if !work.misses.is_empty() {
            self.send(Event::CacheAsked { stage: name.clone(), cache: None, misses: work.misses.clone(), bytes: 0 });
        }
    }

    /// Has what a stage reads fetched from caches. Whether all of it is here.
    fn fetch_inputs<'s>(&mut self, scope: &'s Scope<'s, 'a>, stage: &Stage) -> bool
    where
        'a: 's,
    {
        let Some((_, work)) = self.ready.get(stage.common.name.as_str()) else { return false };
        let inputs: BTreeSet<StageName> = work.inputs.iter().map(|input| input.stage.clone()).collect();
        let held: Vec<Arc<Record>> = inputs.iter().filter_map(|input| self.held(input)).collect();
        held.iter().for_each(|record| self.fetch(scope, record));
        held.is_empty() && inputs.iter().all(|input| !self.fetching.contains(input))
    }

    /// The same with the outputs of the pipeline, when nothing is left to run. Whether something is on its way.
    fn fetch_outputs<'s>(&mut self, scope: &'s Scope<'s, 'a>) -> bool
    where
        'a: 's,
    {
        let mut held = Vec::new();
        for declared in self.project.pipeline.outputs.values() {
            let made = declared.from.outputs().next().and_then(|candidates| available(candidates, &self.settled));
            let Some((output, _)) = made else { continue };
            let stage = StageName::from(&output.stage);
            if self.judge.selection.stages.contains(&stage) {
                held.extend(self.held(&stage));
            }
        }
        held.iter().for_each(|record| self.fetch(scope, record));
        !self.fetching.is_empty()
    }

    /// The record of a stage whose outputs are in a cache.
    fn held(&self, stage: &StageName) -> Option<Arc<Record>> {
        match self.settled.get(stage) {
            Some(Settled::Done(record)) if record.held.is_some() => Some(Arc::clone(record)),
            _ => None,
        }
    }

    fn fetch<'s>(&mut self, scope: &'s Scope<'s, 'a>, record: &Arc<Record>)
    where
        'a: 's,
    {
        let name = record.stage.clone();
        if !self.fetching.insert(name.clone()) {
            return;
        }
        let (shared, done, project, record) = (self.shared, self.done.clone(), self.project, Arc::clone(record));
        let tell = {
            let (name, done) = (name.clone(), done.clone());
            move |fetched| {
                if done.send(Message::Fetched(name.clone(), Box::new(fetched))).is_err() {
                    tracing::debug!("the outputs of stage {name} came after the scheduler had ended");
                }
            }
        };
        let refused = tell.clone();
        let run = move || {
            let caches = project.caches.opened();
            tell(sharing::fetch(caches.as_deref(), &shared.state, &record, &shared.control));
        };
        if let Err(error) = start::scoped(scope, &format!("fetch {name}"), run) {
            refused(Fetched { record: Err(NotFetched::Machine(error.into())), duration: 0.0 });
        }
    }

    fn fetched(&mut self, name: &StageName, fetched: Fetched) -> Result<()> {
        self.fetching.remove(name);
        // What was judged by what is on disk is judged again.
        self.ends += 1;
        match fetched.record {
            Ok((record, moved)) => {
                if let Some(held) = self.held(name).and_then(|record| record.held.clone()) {
                    self.send(Event::CacheMoved {
                        stage: name.clone(),
                        cache: held.cache,
                        sent: false,
                        objects: moved.objects,
                        bytes: moved.bytes,
                        content: moved.content,
                        duration: fetched.duration,
                    });
                }
                // Unless what it was made from is doubtful by now.
                if let Some(settled) = self.settled.get_mut(name) {
                    *settled = Settled::Done(Arc::new(record));
                }
                Ok(())
            }
            Err(_) if self.shared.control.is_interrupted() => Ok(()),
            Err(NotFetched::Required(required)) => Err(required.into()),
            Err(NotFetched::Machine(error)) => {
                Err(error.context(format!("stage `{name}`: its outputs cannot be put in place")))
            }
            Err(NotFetched::Gone(why)) => {
                if let Some(record) = self.held(name) {
                    let fingerprint = record.fingerprint.id();
                    if let Some(caches) = self.project.caches.opened() {
                        caches.avoid(&fingerprint, &why);
                    }
                    self.shared.state.remove_record(&fingerprint)?;
                }
                self.send(Event::Note { stage: name.clone(), text: format!("it runs: {why}") });
                self.unsettle(name);
                Ok(())
            }
        }
    }

    /// Takes back what is known of a stage, and of those that were judged by it.
    fn unsettle(&mut self, name: &StageName) {
        let mut open = BTreeSet::from([name.clone()]);
        // In the order of the graph, so what depends on one that was found comes behind it.
        for stage in self.project.graph.order() {
            let Some(stage) = self.project.pipeline.stage(stage) else { continue };
            if stage.dependencies.iter().flatten().any(|dependency| open.contains(dependency.as_str())) {
                open.insert((&stage.common.name).into());
            }
        }
        for name in &open {
            if self.running.contains_key(name) {
                self.doubtful.insert(name.clone());
            }
            self.settled.remove(name);
            self.ready.remove(name);
        }
    }

    fn ended(&mut self, name: StageName, end: StageEnd) {
        self.running.remove(&name);
        self.ends += 1;
        // What was known of source trees may not be true any more.
        self.shared.sources.forget();
        let tolerated =
            self.project.pipeline.stage(&name).is_some_and(|stage| stage.common.on_failure == OnFailure::Continue);
        self.enter(&name, StageState::ended(end.outcome(), tolerated));
        let settled = match end {
            // Its record is kept, and found if what it was made from comes out the same.
            StageEnd::Done(_) if self.doubtful.remove(&name) => return,
            StageEnd::Done(record) => Settled::Done(Arc::new(*record)),
            StageEnd::Interrupted => Settled::OutOfReach(format!("stage `{name}` was interrupted")),
            StageEnd::Failed(failure) if tolerated => {
                self.tolerated = true;
                Settled::Unavailable { why: failure_words(&name, failure.reason()), failed: true }
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
        self.settled.insert(name, settled);
    }

    /// Says that a stage does not run; with the record whose outputs are used by the others, if there is one.
    fn skip(&mut self, stage: &StageName, reason: &str, used: Option<&Record>) {
        let fingerprint: Option<FingerprintId> = used.map(|record| record.fingerprint.id());
        self.send(Event::StageSkipped { stage: stage.clone(), reason: reason.into(), fingerprint });
    }

    fn send(&mut self, event: Event) {
        if let Some((stage, state)) = event.stage_state() {
            self.enter(stage, state);
        }
        self.shared.events.send(event);
    }

    fn enter(&mut self, stage: &StageName, state: StageState) {
        let before = self.stages.insert(stage.clone(), state).unwrap_or_default();
        // It is judged again when it has to run again.
        if before != state && !before.next().contains(&state) {
            tracing::debug!("stage {stage} was {} and is {}", before.words(true), state.words(true));
        }
    }
}

/// What a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    pub slots: usize,
    /// In bytes.
    pub memory: u64,
}

/// What a stage takes of the machine while it runs.
pub struct Share {
    pub slots: usize,
    memory: u64,
    exclusive: bool,
    pub workspace: Option<String>,
    inputs: Vec<OutputRef>,
    /// None where nothing is judged: then it is another one than that of every other stage.
    fingerprint: Option<FingerprintId>,
}

impl Share {
    /// Of a stage with that plan.
    pub fn of(stage: &Stage, plan: &StagePlan, fingerprint: Option<FingerprintId>, budget: Budget) -> Share {
        let wanted = stage.common.jobs.map(|jobs| jobs.of(budget.slots)).or(plan.default_jobs);
        Share {
            slots: wanted.unwrap_or(budget.slots).clamp(1, budget.slots),
            memory: stage.common.memory.map_or(0, |size| size.as_u64()).min(budget.memory),
            exclusive: stage.common.exclusive || stage.kind.answers.measures,
            workspace: stage.common.workspace.clone(),
            inputs: plan.inputs(),
            fingerprint,
        }
    }

    /// Whether the stage of that name, which takes this, can start beside those that run.
    pub fn fits(&self, name: &str, running: &BTreeMap<StageName, Share>, budget: Budget) -> bool {
        let others = || running.values();
        if running.is_empty() {
            return true;
        }
        let slots: usize = others().map(|other| other.slots).sum();
        let memory: u64 = others().map(|other| other.memory).sum();
        slots + self.slots <= budget.slots
            && memory + self.memory <= budget.memory
            && !self.exclusive
            // Variants whose inputs came out the same: when the one is done, the other is up to date.
            && !others().any(|other| other.fingerprint.is_some() && other.fingerprint == self.fingerprint)
            && !others().any(|other| other.exclusive)
            && !others().any(|other| other.workspace.is_some() && other.workspace == self.workspace)
            // A stage that runs again empties its output directory, from which another one may still read.
            && !others().any(|other| other.inputs.iter().any(|input| input.stage == name))
    }
}
