//! Runs one stage from its first step to its record. Nothing is half done: a record is written only after the outputs exist,
//! are complete, and are on disk.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::control::Control;
use super::resolve::Resolver;
use super::step::{Events, Retry, StepError, StepRunner};
use super::unchanged;
use super::verdict::Work;
use crate::event::{Event, Failure, OutputInfo};
use crate::fs::{disk, pattern};
use crate::names::StepId;
use crate::pipeline::{OnFailure, Stage};
use crate::plan::{Output, Part, Symbol};
use crate::state::build_dir::{self, Begin, BuildDir};
use crate::state::fingerprint::Fingerprint;
use crate::state::manifest::{Manifest, Times};
use crate::state::record::{OutputRecord, Record, RecordOutcome};
use crate::state::sources::Sources;
use crate::state::store::State;
use crate::state::tools::ToolIdentities;
use crate::state::{manifest, workspace};

/// What all stages of a run share.
pub struct Shared {
    pub state: Arc<State>,
    pub sources: Arc<Sources>,
    pub tools: Arc<ToolIdentities>,
    pub control: Arc<Control>,
    pub events: Events,
    /// This program, which runs its operations.
    pub optbuild: Utf8PathBuf,
    pub base_env: BTreeMap<String, String>,
    pub run: String,
    pub pipeline: String,
    /// Seconds that stages took in earlier runs.
    pub took: BTreeMap<String, f64>,
}

/// How a stage ended.
#[derive(Debug)]
pub enum StageEnd {
    Done(Box<Record>),
    Failed(Box<Failure>),
    Interrupted,
}

/// Runs a stage in `slots` slots, and tells the listeners how it ended. `earlier`: seconds that it was worked on before.
pub fn execute(shared: &Shared, stage: &Stage, work: Work, slots: usize, fresh: bool, earlier: f64) -> StageEnd {
    let began = Instant::now();
    let name = stage.common.name.clone();
    let tolerated = stage.common.on_failure == OnFailure::Continue;
    let runner = StepRunner {
        stage: (&name).into(),
        events: shared.events.clone(),
        control: Arc::clone(&shared.control),
        state: shared.state.layout().root().to_owned(),
        logs: shared.state.layout().logs(&shared.run, &name),
        timeout: stage.common.timeout,
        retries: stage.common.retries,
        slots,
        facts: Mutex::default(),
        log_number: AtomicU32::new(1),
        busy: Mutex::new(0.0),
    };
    let execution = Execution { shared, stage, work: &work, runner: &runner, earlier };
    // A panic that nobody catches here would leave the scheduler waiting for this stage for ever.
    let result = std::panic::catch_unwind(AssertUnwindSafe(|| execution.run(fresh, began)))
        .unwrap_or_else(|_| Err(Stop::Other(anyhow!("optbuild itself failed, as it says above; please report it"))));
    let disturbed = matches!(&result, Err(Stop::Other(error)) if error.is::<unchanged::Disturbed>());
    let end = match result {
        Ok(record) => StageEnd::Done(Box::new(record)),
        Err(Stop::Step(StepError::Interrupted)) => StageEnd::Interrupted,
        Err(Stop::Step(StepError::Failed(failure))) => StageEnd::Failed(failure),
        Err(Stop::Other(error)) => StageEnd::Failed(Box::new(Failure {
            step: StepId::default(),
            what: format!("{error:#}"),
            command: String::new(),
            log: None,
            error: Vec::new(),
            tail: Vec::new(),
            environment: manifest::is_to_blame(&error),
        })),
    };
    let end = match end {
        // What this machine lacks may be there in the next run, and what was disturbed may be left alone.
        StageEnd::Failed(failure) if tolerated && !failure.environment && !disturbed => {
            match execution.record_failure(began) {
                Ok(()) => StageEnd::Failed(failure),
                Err(error) => {
                    shared.events.send(Event::Note { stage: name.into(), text: format!("{error:#}") });
                    StageEnd::Failed(failure)
                }
            }
        }
        other => other,
    };
    execution.report(&end, began, tolerated);
    end
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
            self.runner.run(guard, &resolver, Retry::Never)?;
        }
        for step in &self.work.plan.steps {
            self.runner.run(step, &resolver, Retry::Yes)?;
        }
        for check in self.work.plan.proofs.iter().chain(&self.work.plan.checks) {
            self.runner.run(check, &resolver, Retry::Never)?;
        }
        Ok(self.finish(&resolver, began)?)
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
        state.remove_record(&id)?;
        let workspace = self.stage.common.workspace.as_deref();
        if let Some(workspace) = workspace {
            // The stages behind this one in its workspace were built on a state that is about to change.
            for successor in &self.work.successors {
                if let Some(record) = state.current(successor)? {
                    state.remove_record(&record.fingerprint.id())?;
                }
            }
            workspace::mark_dirty(layout, workspace, name, &id, self.work.predecessor.as_deref())?;
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
            self.note("its build directory was emptied: it was configured otherwise, or for other paths");
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
            (Symbol::Optbuild, self.shared.optbuild.to_string()),
        ]);
        Ok(Resolver { symbols, outputs: self.work.input_paths.clone(), base_env: self.shared.base_env.clone() })
    }

    fn note(&self, text: impl Into<String>) {
        self.shared.events.send(Event::Note { stage: self.stage.common.name.clone().into(), text: text.into() });
    }

    /// Writes the record, after the outputs are on disk.
    fn finish(&self, resolver: &Resolver, began: Instant) -> Result<Record> {
        let state = &self.shared.state;
        let name = &self.stage.common.name;
        let id = self.fingerprint().id();
        unchanged::check(self.work, self.shared)?;
        let out = state.layout().out(name, &id);
        disk::sync_tree(&out, state.layout().root())?;
        let mut outputs = BTreeMap::new();
        let mut manifests = BTreeMap::new();
        for output in &self.work.plan.outputs {
            let (found, manifest) = self.output(output, resolver)?;
            outputs.insert(output.name.clone(), found);
            manifests.insert(output.name.clone(), manifest);
        }
        let record = Record {
            stage: name.into(),
            pipeline: self.shared.pipeline.clone(),
            run: self.shared.run.clone(),
            fingerprint: self.fingerprint().clone(),
            made_in: state.layout().root().to_owned(),
            outcome: RecordOutcome::Done,
            outputs,
            inputs: self.work.inputs.clone(),
            finished: Timestamp::now(),
            duration: self.earlier + began.elapsed().as_secs_f64(),
            facts: self.runner.facts.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        state.put_record(&record, &manifests)?;
        if let Some(workspace) = &self.stage.common.workspace {
            workspace::mark_clean(state.layout(), workspace, name, &id)?;
        }
        Ok(record)
    }

    fn output(&self, output: &Output, resolver: &Resolver) -> Result<(OutputRecord, (Manifest, Times))> {
        let name = &self.stage.common.name;
        let not_made = || format!("stage `{name}` did not make its output `{}`", output.name);
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

    /// A failure that is tolerated is not tried again until the fingerprint changes.
    fn record_failure(&self, began: Instant) -> Result<()> {
        let record = Record {
            stage: self.stage.common.name.clone().into(),
            pipeline: self.shared.pipeline.clone(),
            run: self.shared.run.clone(),
            fingerprint: self.fingerprint().clone(),
            made_in: self.shared.state.layout().root().to_owned(),
            outcome: RecordOutcome::Failed,
            outputs: BTreeMap::new(),
            inputs: self.work.inputs.clone(),
            finished: Timestamp::now(),
            duration: self.earlier + began.elapsed().as_secs_f64(),
            facts: Vec::new(),
        };
        self.shared.state.put_record(&record, &BTreeMap::new())?;
        Ok(())
    }

    fn report(&self, end: &StageEnd, began: Instant, tolerated: bool) {
        use crate::event::Outcome;
        let root = self.shared.state.layout().root();
        let (outcome, outputs, failure) = match end {
            StageEnd::Done(record) => {
                let outputs = record.outputs.iter().map(|(name, output)| OutputInfo {
                    name: name.clone(),
                    path: root.join(&output.path),
                    bytes: output.bytes,
                    files: output.files,
                    show: output.show,
                });
                (Outcome::Done, outputs.collect(), None)
            }
            StageEnd::Failed(failure) => (Outcome::Failed, Vec::new(), Some(*failure.clone())),
            StageEnd::Interrupted => (Outcome::Interrupted, Vec::new(), None),
        };
        let duration = began.elapsed().as_secs_f64();
        let busy = *self.runner.busy.lock().unwrap_or_else(PoisonError::into_inner);
        self.shared.events.send(Event::StageFinished {
            stage: self.stage.common.name.clone().into(),
            outcome,
            duration,
            hashing: (duration - busy).max(0.0),
            outputs,
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
