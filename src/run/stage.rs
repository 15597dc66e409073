//! Runs one stage from its first step to its record. Nothing is half done: a record is written only after the outputs exist,
//! are complete, and are on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::control::{Control, GRACE};
use super::decide::Work;
use super::disturbed::Changed;
use super::pool;
use super::reported;
use super::resolve::Resolver;
use super::sharing::Uploads;
use super::step::{Events, StepError, StepRunner, failure};
use crate::event::{Event, Fact, Failure, Outcome, OutputInfo};
use crate::fs::{disk, pattern};
use crate::names::{RunId, StageName, StepId};
use crate::pipeline::{OnFailure, Stage};
use crate::plan::{Action, Output, Part, Step, Symbol};
use crate::proc::output;
use crate::proc::start::NoThread;
use crate::state::build_dir::{self, Begin, BuildDir};
use crate::state::fingerprint::{self, Fingerprint};
use crate::state::manifest::{Manifest, Times};
use crate::state::record::{OutputRecord, Record, RecordOutcome};
use crate::state::sources::Sources;
use crate::state::store::State;
use crate::state::tools::ToolIdentities;
use crate::state::{manifest, workspace};
use crate::sync::lock;
use crate::text::plural;

/// What all stages of a run share.
pub struct Shared {
    pub state: Arc<State>,
    pub sources: Arc<Sources>,
    pub tools: Arc<ToolIdentities>,
    pub control: Arc<Control>,
    pub events: Events,
    /// This program, which runs its operations.
    pub optbuild: Utf8PathBuf,
    /// The program that supervises commands.
    pub supervisor: Utf8PathBuf,
    pub base_env: BTreeMap<String, String>,
    pub run: RunId,
    pub pipeline: String,
    /// Seconds that stages took in earlier runs.
    pub took: BTreeMap<StageName, f64>,
    /// Gives finished stages to caches.
    pub uploads: Uploads,
}

/// How a stage ended.
#[derive(Debug)]
pub enum StageEnd {
    Done(Box<Record>),
    Failed(Box<Failure>),
    Interrupted,
}

impl StageEnd {
    pub fn outcome(&self) -> Outcome {
        match self {
            StageEnd::Done(_) => Outcome::Done,
            StageEnd::Failed(_) => Outcome::Failed,
            StageEnd::Interrupted => Outcome::Interrupted,
        }
    }
}

/// Runs a stage in `slots` slots, and tells the listeners how it ended. `earlier`: seconds that it was worked on before.
pub fn execute(shared: &Shared, stage: &Stage, work: Work, slots: usize, fresh: bool, earlier: f64) -> StageEnd {
    let began = Instant::now();
    let name = &stage.common.name;
    let tolerated = stage.common.on_failure == OnFailure::Continue;
    let runner = StepRunner {
        stage: name.into(),
        events: shared.events.clone(),
        control: Arc::clone(&shared.control),
        supervisor: shared.supervisor.clone(),
        state: shared.state.layout().root().to_owned(),
        logs: shared.state.layout().logs(&shared.run, name),
        timeout: stage.common.timeout,
        max_log: stage.common.max_log.map(|size| size.as_u64()),
        retries: stage.common.retries,
        grace: stage.common.grace.unwrap_or(GRACE),
        slots,
        facts: Mutex::default(),
        log_number: AtomicU32::new(1),
        busy: Mutex::new(0.0),
        known: Mutex::default(),
    };
    let execution = Execution { shared, stage, work: &work, runner: &runner, earlier };
    // A panic that nobody catches here would leave the scheduler waiting for this stage for ever.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| execution.run(fresh, began)))
        .unwrap_or_else(|_| Err(Stop::Other(anyhow!("optbuild itself failed, as it says above; please report it"))));
    let disturbed = matches!(&result, Err(Stop::Other(error)) if error.is::<Disturbed>());
    let end = match result {
        Ok(record) => StageEnd::Done(Box::new(record)),
        Err(Stop::Step(StepError::Interrupted)) => StageEnd::Interrupted,
        Err(Stop::Step(StepError::Failed(failure))) => StageEnd::Failed(failure),
        Err(Stop::Other(error)) => {
            StageEnd::Failed(Box::new(failure(&StepId::default(), format!("{error:#}"), manifest::is_to_blame(&error))))
        }
    };
    // What this machine lacks may be there in the next run, and what was disturbed may be left alone.
    if let StageEnd::Failed(failure) = &end
        && tolerated
        && !failure.environment
        && !disturbed
        && let Err(error) = execution.record_failure(began, failure)
    {
        runner.note(format!("{error:#}"));
    }
    runner.tell_known();
    execution.report(&end, began, tolerated);
    end
}

/// The end of a stage that the machine has no thread for. Tells the listeners.
pub fn not_begun(shared: &Shared, stage: &Stage, error: &NoThread) -> StageEnd {
    let failure = failure(&StepId::default(), error.to_string(), true);
    shared.events.send(Event::StageFinished {
        stage: (&stage.common.name).into(),
        outcome: Outcome::Failed,
        duration: 0.0,
        hashing: 0.0,
        outputs: Vec::new(),
        tolerated: stage.common.on_failure == OnFailure::Continue,
        failure: Some(failure.clone()),
    });
    StageEnd::Failed(Box::new(failure))
}

/// One stage under way.
struct Execution<'a> {
    shared: &'a Shared,
    stage: &'a Stage,
    work: &'a Work,
    runner: &'a StepRunner,
    earlier: f64,
}

/// Why a stage did not come to its record.
enum Stop {
    Step(StepError),
    Other(anyhow::Error),
}

impl From<StepError> for Stop {
    fn from(error: StepError) -> Stop {
        Stop::Step(error)
    }
}

impl From<anyhow::Error> for Stop {
    fn from(error: anyhow::Error) -> Stop {
        Stop::Other(error)
    }
}

impl Execution<'_> {
    fn run(&self, fresh: bool, began: Instant) -> Result<Record, Stop> {
        let resolver = self.begin(fresh)?;
        for guard in &self.work.plan.guards {
            self.step(guard, &resolver, 0)?;
        }
        for step in &self.work.plan.steps {
            self.step(step, &resolver, self.runner.retries)?;
        }
        for check in self.work.plan.proofs.iter().chain(&self.work.plan.checks) {
            self.step(check, &resolver, 0)?;
        }
        Ok(self.finish(&resolver, began)?)
    }

    /// Runs a step to its end. A command that fails is tried again so many times.
    fn step(&self, step: &Step, resolver: &Resolver, retries: u32) -> Result<(), StepError> {
        let (runner, id, began) = (self.runner, StepId::step(&step.name), Instant::now());
        if let Some(file) = resolver.symbols.get(&Symbol::Reported).filter(|_| step.names(Symbol::Reported)) {
            let written = reported::write(file.as_str().into(), &lock(&runner.facts));
            written.map_err(|error| runner.broken_machine(&id, error.to_string()))?;
        }
        let mut attempt = 1;
        let result = loop {
            let result = match &step.action {
                Action::Command(command) => runner.command(&id, command, resolver),
                Action::Op(op) => runner.op(&id, op, resolver).map(|facts| runner.keep_facts(facts)),
                // It repeats its workloads by itself.
                Action::Pool(pool) => break pool::run(runner, &id, pool, resolver),
            };
            match result {
                Err(StepError::Failed(failure)) if attempt <= retries && !failure.environment => {
                    attempt += 1;
                    runner.retrying(&id, attempt, retries);
                }
                Err(StepError::Failed(failure)) => break Err(runner.advised(&id, step, *failure, resolver)),
                other => break other,
            }
        };
        *lock(&runner.busy) += began.elapsed().as_secs_f64();
        result
    }

    fn fingerprint(&self) -> &Fingerprint {
        &self.work.fingerprint
    }

    /// Takes the old record away and makes the directories that the steps expect.
    fn begin(&self, fresh: bool) -> Result<Resolver> {
        let state = &self.shared.state;
        let layout = state.layout();
        let name = &self.stage.common.name;
        let id = self.fingerprint().id();
        reported::keep(state, &self.work.plan, name)?;
        state.remove_record(&id)?;
        let workspace = self.stage.common.workspace.as_deref();
        let mut lost = 0;
        if let Some(workspace) = workspace {
            // The stages behind this one in its workspace were built on a state that is about to change.
            for successor in &self.work.successors {
                if let Some(record) = state.current(successor)? {
                    state.remove_record(&record.fingerprint.id())?;
                }
            }
            lost = workspace::mark_dirty(layout, workspace, name, &id, self.work.predecessor.as_deref())?;
        }
        let begin = Begin {
            stage: name,
            fingerprint: self.fingerprint(),
            run: &self.shared.run,
            forced: self.work.forced,
            fresh,
            workspace,
            places: &places(self.work),
        };
        let prepared = build_dir::prepare(layout, begin)?;
        if prepared.build == BuildDir::Wiped {
            self.runner.note("its build directory was emptied: it was configured otherwise, or for other paths".into());
        }
        match lost + prepared.lost {
            0 => {}
            files => self.runner.note(format!(
                "the machine was started again since it was last built; what may not have reached the disk is made anew ({})",
                plural(files, "file")
            )),
        }
        let out = layout.out(name, &id);
        disk::make_empty_dir(&out)?;
        let build = workspace.map_or_else(|| layout.build(name), |workspace| layout.workspace(workspace));
        let (scratch, attempts) = (layout.scratch(name), layout.attempts(name));
        let symbols = BTreeMap::from([
            (Symbol::Out, out.to_string()),
            (Symbol::Build, build.to_string()),
            (Symbol::Scratch, scratch.to_string()),
            (Symbol::Jobs, self.runner.slots.to_string()),
            (Symbol::Attempt, attempts.to_string()),
            (Symbol::Committed, layout.committed(name).to_string()),
            (Symbol::Logs, self.runner.logs.to_string()),
            (Symbol::Reported, scratch.join("reported.json").to_string()),
            (Symbol::ReportedLast, layout.reported(name).to_string()),
            (Symbol::Optbuild, self.shared.optbuild.to_string()),
        ]);
        Ok(Resolver { symbols, outputs: self.work.input_paths.clone(), base_env: self.shared.base_env.clone() })
    }

    /// Writes the record, after the outputs are on disk.
    fn finish(&self, resolver: &Resolver, began: Instant) -> Result<Record> {
        let state = &self.shared.state;
        let name = &self.stage.common.name;
        let id = self.fingerprint().id();
        check_unchanged(self.work, self.shared, resolver, self.runner)?;
        let out = state.layout().out(name, &id);
        disk::sync_tree(&out, state.layout().root())?;
        let mut outputs = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for output in &self.work.plan.outputs {
            let (found, manifest) = self.output(output, resolver)?;
            outputs.insert(output.name.clone(), found);
            manifests.insert(output.name.clone(), manifest);
        }
        let facts = lock(&self.runner.facts).clone();
        let record = self.record(began, RecordOutcome::Done, outputs, facts);
        state.put_record(&record, &manifests)?;
        if let Some(workspace) = &self.stage.common.workspace {
            // The stages behind this one go on from what is in it.
            disk::sync_tree(&state.layout().workspace(workspace), state.layout().root())?;
            workspace::mark_clean(state.layout(), workspace, name, &id)?;
        }
        if let Some(sharing) = &self.work.sharing {
            self.shared.uploads.send(sharing, &record);
        }
        Ok(record)
    }

    fn output(&self, output: &Output, resolver: &Resolver) -> Result<(OutputRecord, (Manifest, Times))> {
        let name = &self.stage.common.name;
        let not_made = || {
            let hint = self.elsewhere(output, resolver).unwrap_or_default();
            format!("stage `{name}` did not make its output `{}`{hint}", output.name)
        };
        let path = pattern::resolve(Utf8Path::new(&resolver.text(&output.path)?)).with_context(not_made)?;
        let (manifest, times) = Manifest::of(&path, self.shared.sources.hasher()).with_context(not_made)?;
        let relative = path.strip_prefix(self.shared.state.layout().root()).unwrap_or(&path);
        let record = OutputRecord {
            path: relative.to_owned(),
            hash: manifest.hash(),
            bytes: manifest.bytes(),
            files: manifest.files(),
            portable: output.portable,
            show: output.show,
        };
        Ok((record, (manifest, times)))
    }

    /// Where a file lies that is missing among the outputs: build tools leave it in the build directory.
    fn elsewhere(&self, output: &Output, resolver: &Resolver) -> Option<String> {
        let place = |symbol| resolver.symbols.get(&symbol).map(Utf8Path::new);
        let (out, build) = (place(Symbol::Out)?, place(Symbol::Build)?);
        let path = Utf8PathBuf::from(resolver.text(&output.path).ok()?);
        let below = path.strip_prefix(out).ok()?;
        let found = [below, Utf8Path::new(below.file_name()?)].into_iter().find(|below| build.join(below).exists())?;
        Some(format!(
            "; it lies in the build directory: name it `${{self.build}}/{found}`, or let the command put it into `${{self.out}}`"
        ))
    }

    fn record(
        &self,
        began: Instant,
        outcome: RecordOutcome,
        outputs: BTreeMap<String, OutputRecord>,
        facts: Vec<Fact>,
    ) -> Record {
        Record {
            stage: self.runner.stage.clone(),
            pipeline: self.shared.pipeline.clone(),
            run: self.shared.run.clone(),
            fingerprint: self.fingerprint().clone(),
            made_in: self.shared.state.layout().root().to_owned(),
            outcome,
            outputs,
            inputs: self.work.inputs.clone(),
            finished: Timestamp::now(),
            duration: self.earlier + began.elapsed().as_secs_f64(),
            facts,
            held: None,
        }
    }

    /// A failure that is tolerated is not tried again until the fingerprint changes.
    fn record_failure(&self, began: Instant, failure: &Failure) -> Result<()> {
        let facts = vec![Fact::warning(failure.reason())];
        let record = self.record(began, RecordOutcome::Failed, BTreeMap::new(), facts);
        self.shared.state.put_record(&record, &BTreeMap::new())?;
        Ok(())
    }

    fn report(&self, end: &StageEnd, began: Instant, tolerated: bool) {
        let root = self.shared.state.layout().root();
        let outputs = match end {
            StageEnd::Done(record) => &record.outputs,
            _ => &BTreeMap::new(),
        };
        let outputs = outputs.iter().map(|(name, output)| OutputInfo {
            name: name.clone(),
            path: root.join(&output.path),
            bytes: output.bytes,
            files: output.files,
            show: output.show,
        });
        let failure = match end {
            StageEnd::Failed(failure) => Some(*failure.clone()),
            _ => None,
        };
        let duration = began.elapsed().as_secs_f64();
        let busy = *lock(&self.runner.busy);
        self.shared.events.send(Event::StageFinished {
            stage: self.runner.stage.clone(),
            outcome: end.outcome(),
            duration,
            hashing: (duration - busy).max(0.0),
            outputs: outputs.collect(),
            tolerated: tolerated && failure.is_some(),
            failure,
        });
    }
}

/// The paths that build tools write into their build directories, which are of no use to them elsewhere.
pub(super) fn places(work: &Work) -> String {
    let mut places: BTreeSet<&Utf8Path> = work.input_paths.values().map(|(path, _)| path.as_path()).collect();
    work.plan.each_arg(&mut |arg| {
        places.extend(arg.parts.iter().filter_map(|part| match part {
            Part::Place { path, .. } => Some(path.as_path()),
            _ => None,
        }));
    });
    places.into_iter().map(Utf8Path::as_str).collect::<Vec<_>>().join("\n")
}

/// Something that the stage was made from changed while it ran: nobody knows what its outputs were made from.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Disturbed(String);

/// Looks at everything once more, when the stage is done.
///
/// # Errors
/// [`Disturbed`], or something cannot be read.
fn check_unchanged(work: &Work, shared: &Shared, resolver: &Resolver, runner: &StepRunner) -> Result<()> {
    sources_unchanged(work, shared, resolver, runner)?;
    tools_unchanged(work, shared)?;
    inputs_unchanged(work, shared)
}

/// A tree that changed while the stage read it. What the build tool has not read does not count.
fn sources_unchanged(work: &Work, shared: &Shared, resolver: &Resolver, runner: &StepRunner) -> Result<()> {
    let now = fingerprint::sources_now(&work.plan, &shared.sources)?;
    let before = &work.fingerprint.sources;
    for source in &work.plan.sources {
        let (Some(before), Some(now)) = (before.get(&source.name), now.get(&source.name)) else { continue };
        if before == now {
            continue;
        }
        let changed = Changed::new(source, shared.sources.changed(before, now));
        if changed.is_printed(&output::files()) {
            continue;
        }
        if changed.may_be_read(&work.plan, resolver) {
            return Err(Disturbed(changed.failure()).into());
        }
        runner.warn("sources", changed.note());
    }
    Ok(())
}

/// A build of hours outlasts an upgrade of the compiler that it uses.
fn tools_unchanged(work: &Work, shared: &Shared) -> Result<()> {
    let now = fingerprint::tools_now(&work.plan, &shared.sources, &shared.tools)?;
    match now.iter().find(|(part, identity)| work.fingerprint.configuration.get(*part) != Some(*identity)) {
        None => Ok(()),
        Some((part, _)) => Err(Disturbed(format!(
            "the tool `{}` changed while the stage ran, so it is not known with which one its outputs were made; run it \
             again",
            part.trim_start_matches("tool.")
        ))
        .into()),
    }
}

/// What is recorded of the outputs of other stages must be what this stage has read. What was added does not count: it was
/// not there when their users were planned.
fn inputs_unchanged(work: &Work, shared: &Shared) -> Result<()> {
    let state = &shared.state;
    for input in &work.inputs {
        let Some((path, hash)) = work.input_paths.get(&input.output_ref()) else { continue };
        let Some(manifest) = state.manifest(hash)? else { continue };
        let times = state.times(&input.fingerprint)?;
        if let Some(change) = manifest.change(times.get(&input.output), path, shared.sources.hasher())? {
            return Err(Disturbed(format!(
                "{change}, which is part of output `{}` of stage `{}`; outputs do not change any more when a stage is done. \
                 Run again: `{}` is made anew; and let this stage work on a copy",
                input.output, input.stage, input.stage
            ))
            .into());
        }
    }
    Ok(())
}
