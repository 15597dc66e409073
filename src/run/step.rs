//! Runs the steps of one stage: commands and operations with their logs, timeouts and repetitions. Unaware of records.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::control::Control;
use super::pool;
use super::process::ExitKind;
use super::resolve::Resolver;
use crate::event::Fact;
use crate::event::{Event, Failure, Stamped};
use crate::names::{StageName, StepId};
use crate::plan::{Action, Command, Op, Step};

use crate::text::file_name::file_name;

/// With this code an operation says that a disk or a permission is missing, as optbuild does.
pub(super) const MACHINE: i32 = 3;

/// What the steps of a stage share.
#[derive(Debug)]
pub struct StepRunner {
    pub stage: StageName,
    pub events: Events,
    pub control: Arc<Control>,
    /// The state directory: only in it are working directories made.
    pub state: Utf8PathBuf,
    /// Where logs go.
    pub logs: Utf8PathBuf,
    pub timeout: Option<Duration>,
    pub retries: u32,
    /// Slots that the stage has.
    pub slots: usize,
    /// What operations reported.
    pub facts: Mutex<Vec<Fact>>,
    /// Numbers the logs in the order in which the steps began.
    pub log_number: std::sync::atomic::AtomicU32,
    /// Time in which commands ran, in seconds; what pools do at once counts once.
    pub busy: Mutex<f64>,
}

/// Where events go. A listener that is gone does not stop a build.
#[derive(Debug, Clone)]
pub struct Events(pub Sender<Stamped>);

impl Events {
    pub fn send(&self, event: Event) {
        if self.0.send(Stamped { time: Timestamp::now(), event }).is_err() {
            tracing::debug!("an event came after the last listener was gone");
        }
    }
}

/// Why a step did not succeed.
#[derive(Debug)]
pub enum StepError {
    Interrupted,
    Failed(Box<Failure>),
}

impl From<Failure> for StepError {
    fn from(failure: Failure) -> StepError {
        StepError::Failed(Box::new(failure))
    }
}

/// Whether a failing command is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    Yes,
    Never,
}

impl StepRunner {
    /// Runs a step to its end, with the stage's repetitions.
    pub fn run(&self, step: &Step, resolver: &Resolver, retry: Retry) -> Result<(), StepError> {
        let began = std::time::Instant::now();
        let id = StepId::step(&step.name);
        let result = match &step.action {
            Action::Command(command) => self.repeat(&id, retry, || self.command(&id, command, resolver)),
            Action::Op(op) => {
                self.repeat(&id, retry, || self.op(&id, op, resolver).map(|facts| self.keep_facts(facts)))
            }
            Action::Pool(pool) => pool::run(self, &id, pool, resolver),
        };
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) += began.elapsed().as_secs_f64();
        result
    }

    fn repeat(&self, step: &StepId, retry: Retry, once: impl Fn() -> Result<(), StepError>) -> Result<(), StepError> {
        let retries = if retry == Retry::Yes { self.retries } else { 0 };
        let mut attempt = 1;
        loop {
            match once() {
                Err(StepError::Failed(failure)) if attempt <= retries && !failure.environment => {
                    attempt += 1;
                    self.retrying(step, attempt, retries);
                }
                other => return other,
            }
        }
    }

    pub(super) fn retrying(&self, step: &StepId, attempt: u32, retries: u32) {
        self.events.send(Event::Retrying {
            stage: self.stage.clone(),
            step: step.clone(),
            attempt,
            of: retries.saturating_add(1),
        });
    }

    /// Adds to what goes into the stage's record.
    pub(super) fn keep_facts(&self, facts: Vec<Fact>) {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).extend(facts);
    }

    /// Runs one of optbuild's operations; what it reports is passed on as events, and returned.
    pub(super) fn op(&self, name: &StepId, op: &Op, resolver: &Resolver) -> Result<Vec<Fact>, StepError> {
        let report = self.logs.join(format!("{}.facts", file_name(&name.to_string())));
        let cwd = super::resolve::scratch(resolver);
        // Who repeats it by hand reads the report at once.
        let shown = Command { argv: op.command_line(), cwd, ..Command::default() };
        let command = Command { stdout: Some(report.as_str().into()), ..shown.clone() };
        self.launch(name, &command, &shown, resolver, |exit| exit.status == ExitKind::Code(MACHINE))
            .map_err(in_its_words)?;
        self.read_report(name, &report)
    }

    fn read_report(&self, step: &StepId, report: &Utf8Path) -> Result<Vec<Fact>, StepError> {
        let mut facts = Vec::new();
        let text = std::fs::read_to_string(report).map_err(|error| {
            self.broken(step, format!("cannot read what the operation reported: {report}: {error}"))
        })?;
        for line in text.lines() {
            let fact: Fact = serde_json::from_str(line).map_err(|error| {
                self.broken(step, format!("the operation reported `{line}`, which is no fact: {error}"))
            })?;
            facts.push(self.fact(step, fact));
        }
        Ok(facts)
    }

    /// Passes on a number that a step reported.
    pub(super) fn fact(&self, step: &StepId, fact: Fact) -> Fact {
        self.recorded(fact.of(step))
    }

    /// Passes on a number that was recorded with its step.
    pub(super) fn recorded(&self, fact: Fact) -> Fact {
        self.events.send(Event::Fact { stage: self.stage.clone(), fact: fact.clone() });
        fact
    }

    /// A failure without a command.
    pub(super) fn broken(&self, step: &StepId, what: String) -> StepError {
        failure(step, what, false)
    }

    /// A failure of the machine: a disk, a permission.
    pub(super) fn broken_machine(&self, step: &StepId, what: String) -> StepError {
        failure(step, what, true)
    }
}

fn failure(step: &StepId, what: String, environment: bool) -> StepError {
    let (command, error, tail) = (String::new(), Vec::new(), Vec::new());
    StepError::from(Failure { step: step.clone(), what, command, log: None, error, tail, environment })
}

/// An operation says what is wrong in its log; that it exited with 1 says nothing to anybody.
pub(super) fn in_its_words(error: StepError) -> StepError {
    let StepError::Failed(mut failure) = error else { return error };
    if let Some(said) = failure.tail.iter().find_map(|line| line.strip_prefix("error: ")) {
        failure.what = said.into();
    }
    StepError::Failed(failure)
}
