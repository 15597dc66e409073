//! The order of a run, from the lock to the caches. What a command line, a test or another program needs to run a pipeline.
//!
//! | | what | why then |
//! |---|---|---|
//! | 1 | the lock | nobody else changes the state directory |
//! | 2 | processes of a killed run are ended | they write into the same directories |
//! | 3 | all stages are judged, and the places of the outputs are looked at | what would go wrong after hours is said now |
//! | 4 | the journal says what the run is | whatever happens next, `resume` finds it |
//! | 5 | the stages run | |
//! | 6 | the outputs are put in place, also after a failure | what was made is there |
//! | 7 | the journal says how the run ended | it is over for whoever reads it |
//! | 8 | the caches are written | |
//!
//! Events are all that leaves a run while it is under way. Unaware of command lines and terminals, and of who listens.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use jiff::Timestamp;

use super::control::Control;
use super::decide::{Judge, survey};
use super::environment;
use super::process::{self, RUN_VARIABLE, STATE_VARIABLE};
use super::project::Project;
use super::publish::{self, Ended, Published, publish};
use super::sampler::Sampler;
use super::scheduler::{self, Budget, FailurePolicy, RunEnd};
use super::select::{Request, Selection, select};
use super::sharing::Uploads;
use super::stage::Shared;
use super::step::Events;
use crate::event::{Event, Outcome, Stamped};
use crate::fs::disk::At as _;
use crate::names::{RunId, StageName};
use crate::proc;
use crate::proc::output;
use crate::proc::start::{self, NoThread};
use crate::state::journal::Journal;
use crate::state::store::{Lock, LockInfo, State};

/// How often a listener hears that nothing has happened.
const TICK: Duration = Duration::from_millis(120);

/// What is asked of a run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Words that begin the same run again: a `resume` reads them in the journal. They hold no secrets.
    pub words: Vec<String>,
    /// The directory that paths among the words are relative to.
    pub cwd: Utf8PathBuf,
    pub request: Request,
    /// Of a run that goes on with another one: what is still to be begun afresh.
    pub still_forced: Option<BTreeSet<StageName>>,
    pub budget: Budget,
    pub policy: FailurePolicy,
    /// Where outputs are put. None: where they are put by default.
    pub out: Option<Utf8PathBuf>,
    /// They are put there whatever comparisons say of them.
    pub put_anyway: bool,
    /// The program that runs operations.
    pub optbuild: Utf8PathBuf,
    /// The same program by a path that stays good when its file is replaced: it supervises commands.
    pub supervisor: Utf8PathBuf,
}

/// Hears what happens in a run, in a thread of its own.
pub trait Listener: Send {
    /// Before anything runs. Returns how many seconds stages took in earlier runs, for those behind that are made anew.
    fn begin(&mut self, _started: &Stamped) -> BTreeMap<StageName, f64> {
        BTreeMap::new()
    }

    /// Every event, beginning with the one of [`Listener::begin`]. It is in the journal already.
    fn event(&mut self, event: &Stamped);

    /// Nothing has happened for a moment.
    fn tick(&mut self) {}

    /// After the last event.
    ///
    /// # Errors
    /// Something was not told to somebody who has to know.
    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Finished {
    pub run: RunId,
    pub end: RunEnd,
    /// What was put where. An error does not undo the run.
    pub published: Result<Published>,
    /// Whether the journal was written, and the listener had its say.
    pub told: Result<()>,
}

/// The right to change what was built of a pipeline.
pub struct Session<'a> {
    project: &'a Project,
    state: Arc<State>,
    began: Instant,
    lock: Locked,
}

/// The lock of a state directory in which no process of a former run is left.
#[derive(Debug)]
pub struct Locked {
    /// Of the directory, for the environment of commands.
    mark: String,
    _lock: Lock,
}

/// Takes the lock of a state directory, and ends what a killed run has left running.
///
/// # Errors
/// Another process has the lock, or a process that was left cannot be ended.
pub fn lock(state: &State, command: String) -> Result<Locked> {
    let root = state.layout().root();
    let lock = state.lock(&LockInfo { pid: std::process::id(), command, since: Timestamp::now() })?;
    let mark = process::mark(root).at("look at", root)?;
    // Always: that the last run came to its end says nothing of the runs before it, nor of what was copied here since.
    process::end_survivors(&mark)?;
    Ok(Locked { mark, _lock: lock })
}

impl Locked {
    /// By which commands are found to be of this state directory: the value of [`STATE_VARIABLE`].
    pub fn marks(&self) -> String {
        process::marks(&self.mark)
    }
}

impl<'a> Session<'a> {
    /// Takes the lock. `words`: as in [`Options`].
    ///
    /// # Errors
    /// As [`lock`]; or the project has no state directory.
    pub fn begin(project: &'a Project, words: &[String]) -> Result<Session<'a>> {
        let began = Instant::now();
        let root = project.layout.root();
        let state = project.state.clone().with_context(|| format!("the state directory {root} was not made"))?;
        let lock = lock(&state, format!("optbuild {}", words.join(" ")))?;
        remember_printed(project, &state)?;
        Ok(Session { project, state, began, lock })
    }

    /// Runs what is to be run, and returns when all is over.
    ///
    /// # Errors
    /// The run cannot begin, or something of optbuild itself cannot be read or written. A stage that fails is none.
    pub fn run(&self, options: &Options, control: &Arc<Control>, listener: &mut dyn Listener) -> Result<Finished> {
        let project = self.project;
        let selection = selection(project, options)?;
        let mut judge = Judge::new(project, &selection);
        survey(&mut judge)?.check(&selection)?;
        let out = options.out.clone().unwrap_or_else(|| project.own_out_dir());
        publish::check(project, &self.state, &out)?;

        let time = Timestamp::now();
        let (run, mut journal) = Journal::create(&project.layout, time)?;
        let started = Stamped { time, event: started(project, options, &selection, &run) };
        journal.append(&started)?;
        journal.sync()?;
        let took = listener.begin(&started);
        let (sender, receiver) = channel();
        let events = Events(sender);
        let mut base_env = environment::current();
        base_env.insert(RUN_VARIABLE.into(), project.layout.run(&run).into_string());
        base_env.insert(STATE_VARIABLE.into(), self.lock.marks());
        let shared = Shared {
            state: Arc::clone(&self.state),
            sources: Arc::clone(&project.sources),
            tools: Arc::clone(&project.tools),
            control: Arc::clone(control),
            events: events.clone(),
            optbuild: options.optbuild.clone(),
            supervisor: options.supervisor.clone(),
            base_env,
            run: run.clone(),
            pipeline: project.pipeline.name.clone(),
            took,
            uploads: Uploads::new(Arc::clone(&self.state), Arc::clone(control), events.clone()),
        };
        let (end, published, told) = std::thread::scope(|scope| {
            let listening = start::scoped(scope, "listener", move || listen(&started, &receiver, journal, listener))?;
            control.begin();
            let sampler = Sampler::start(control, events.clone());
            // What was looked at is looked at again when its turn comes: stages that run may have changed it.
            let mut end = scheduler::run(&mut judge, &shared, options.budget, options.policy);
            drop(sampler);
            let mut published = match &end {
                Ok(end) => {
                    let ended = Ended { end, selection: &selection, anyway: options.put_anyway };
                    publish(project, &ended, &self.state, &out)
                }
                Err(_) => Ok(Published::default()),
            };
            if let (Ok(end), Ok(published)) = (&mut end, &mut published) {
                // A run that goes on later has not said its last word.
                if end.outcome == Outcome::Interrupted {
                    published.withheld.clear();
                } else if !published.withheld.is_empty() {
                    end.outcome = Outcome::Failed;
                }
                let withheld = published.withheld.iter().cloned();
                withheld.for_each(|withheld| events.send(Event::OutputWithheld { withheld }));
            }
            // What is put in place first is there while the rest is being sent.
            let sent = shared.uploads.finish();
            let end = end.and_then(|end| sent.map(|()| end).map_err(anyhow::Error::from));
            let outcome = match &end {
                Ok(end) if published.is_ok() => end.outcome,
                _ => Outcome::Failed,
            };
            events.send(Event::RunFinished { outcome, duration: self.began.elapsed().as_secs_f64() });
            drop((events, shared));
            let told = listening.join().map_err(|_| anyhow::anyhow!("the listener of the run's events died")).flatten();
            Ok::<_, NoThread>((end, published, told))
        })?;
        project.save_caches();
        let caches = project.caches.opened();
        let of_caches = caches.iter().flat_map(|caches| caches.take_warnings());
        for warning in self.state.take_warnings().into_iter().chain(of_caches) {
            tracing::warn!("{warning}");
        }
        Ok(Finished { run, end: end?, published, told })
    }
}

/// Notes in which files the output of this run ends: they are never a part of sources. The next run may go elsewhere.
fn remember_printed(project: &Project, state: &State) -> Result<()> {
    let now = output::files();
    project.sources.leave_out(now.iter().cloned());
    let before = state.printed()?;
    if now.is_subset(&before) {
        return Ok(());
    }
    // What is gone is forgotten.
    let all = before.into_iter().filter(|file| file.exists()).chain(now).collect();
    Ok(state.put_printed(&all)?)
}

/// What is asked for; without what was begun afresh already.
fn selection(project: &Project, options: &Options) -> Result<Selection> {
    let mut selection = select(&project.pipeline, &project.graph, &options.request)?;
    if let Some(still_forced) = &options.still_forced {
        selection.forced.retain(|stage| still_forced.contains(stage));
        selection.fresh = selection.fresh && !selection.forced.is_empty();
    }
    Ok(selection)
}

fn started(project: &Project, options: &Options, selection: &Selection, run: &RunId) -> Event {
    let pipeline = &project.pipeline;
    let shown = pipeline.vars.iter().filter(|(_, variable)| !variable.secret);
    let stages = pipeline.stages.iter().filter(|stage| stage.common.when);
    Event::RunStarted {
        run: run.clone(),
        pipeline: pipeline.name.clone(),
        file: pipeline.file.clone(),
        cwd: options.cwd.clone(),
        pipeline_hash: pipeline.hash.clone(),
        args: options.words.clone(),
        vars: shown.map(|(name, variable)| (name.clone(), serde_json::json!(variable.value))).collect(),
        forced: selection.forced.iter().cloned().collect(),
        stages: stages.map(|stage| (&stage.common.name).into()).collect(),
        jobs: options.budget.slots,
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        pid_start: proc::start_time_of(std::process::id()),
    }
}

/// Passes events on until the last sender is gone. The first failure to write the journal is returned; a run does not end for it.
fn listen(
    started: &Stamped,
    events: &Receiver<Stamped>,
    mut journal: Journal,
    listener: &mut dyn Listener,
) -> Result<()> {
    listener.event(started);
    let mut written = Ok(());
    loop {
        match events.recv_timeout(TICK) {
            Ok(stamped) => {
                written = written.and(write(&mut journal, &stamped));
                listener.event(&stamped);
            }
            Err(RecvTimeoutError::Timeout) => listener.tick(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let told = listener.finish();
    written.and(told)
}

/// A line survives the death of this process once it is written; the end of a run must survive that of the machine, too.
fn write(journal: &mut Journal, stamped: &Stamped) -> Result<()> {
    journal.append(stamped)?;
    if matches!(stamped.event, Event::RunFinished { .. }) {
        journal.sync()?;
    }
    Ok(())
}
