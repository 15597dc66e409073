//! Runs steps of a plan in a directory of their own, to see whether they succeed. Whatever they make stays there.
//!
//! As in a stage each command has its supervisor, its log, and the stage's time limit. Unlike there nothing is repeated, no record is
//! written, and no event leaves. Unaware of what is tried.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::control::{Control, GRACE};
use super::environment;
use super::pool;
use super::process::{RUN_VARIABLE, STATE_VARIABLE};
use super::resolve::Resolver;
use super::step::{Events, StepError, StepRunner};
use crate::event::Failure;
use crate::fs::disk::{self, DiskError};
use crate::names::{StageName, StepId};
use crate::pipeline::OutputRef;
use crate::plan::{Action, Step, Symbol};

/// What all tries of a stage share.
pub struct Trials {
    pub stage: StageName,
    pub control: Arc<Control>,
    /// This program, which runs its operations, and the one that supervises commands.
    pub optbuild: Utf8PathBuf,
    pub supervisor: Utf8PathBuf,
    /// The value of [`STATE_VARIABLE`] for commands.
    pub marks: String,
    /// The state directory, in which the tries are.
    pub state: Utf8PathBuf,
    /// Outputs of other stages: path and hash.
    pub inputs: BTreeMap<OutputRef, (Utf8PathBuf, String)>,
    pub timeout: Option<Duration>,
    pub slots: usize,
}

/// How a try ended.
#[derive(Debug)]
pub enum End {
    Passed,
    Failed(Box<Failure>),
}

/// Why nothing is known of a try.
#[derive(Debug, thiserror::Error)]
pub enum NotTried {
    #[error("interrupted")]
    Interrupted,
    /// A tool, a disk or a permission is missing.
    #[error("{}: {}", .0.step, .0.what)]
    Machine(Box<Failure>),
    #[error(transparent)]
    Disk(#[from] DiskError),
}

/// Directories of a try.
#[derive(Debug, Clone, Copy)]
pub struct Places<'a> {
    pub dir: &'a Utf8Path,
}

impl Places<'_> {
    /// Stays when the rest is removed.
    pub fn logs(&self) -> Utf8PathBuf {
        self.dir.join("logs")
    }

    fn made(&self) -> [(Symbol, Utf8PathBuf); 3] {
        let place = |symbol, name: &str| (symbol, self.dir.join(name));
        [place(Symbol::Out, "out"), place(Symbol::Build, "build"), place(Symbol::Scratch, "scratch")]
    }

    /// Removes what was made.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn clear(&self) -> Result<(), DiskError> {
        self.made().iter().try_for_each(|(_, path)| disk::remove_tree(path))
    }
}

impl Trials {
    /// Runs the steps in order. The first that fails ends the try.
    ///
    /// # Errors
    /// It could not be tried.
    pub fn run(&self, steps: &[Step], places: Places) -> Result<End, NotTried> {
        let mut symbols = BTreeMap::from([
            (Symbol::Jobs, self.slots.to_string()),
            (Symbol::Logs, places.logs().into_string()),
            (Symbol::Optbuild, self.optbuild.to_string()),
            (Symbol::Attempt, places.dir.join("attempts").into_string()),
            (Symbol::Committed, places.dir.join("committed").into_string()),
        ]);
        for (symbol, path) in places.made() {
            disk::make_dir(&path)?;
            symbols.insert(symbol, path.into_string());
        }
        let mut base_env = environment::current();
        base_env.insert(RUN_VARIABLE.into(), places.dir.to_string());
        base_env.insert(STATE_VARIABLE.into(), self.marks.clone());
        let resolver = Resolver { symbols, outputs: self.inputs.clone(), base_env };
        // What is sent finds nobody.
        let (sender, _) = channel();
        let runner = StepRunner {
            stage: self.stage.clone(),
            events: Events(sender),
            control: Arc::clone(&self.control),
            supervisor: self.supervisor.clone(),
            state: self.state.clone(),
            logs: places.logs(),
            timeout: self.timeout,
            max_log: None,
            grace: GRACE,
            retries: 0,
            slots: self.slots,
            facts: Mutex::default(),
            log_number: AtomicU32::new(1),
            busy: Mutex::new(0.0),
            known: Mutex::default(),
        };
        for step in steps {
            match one(&runner, step, &resolver) {
                Ok(()) => {}
                Err(StepError::Interrupted) => return Err(NotTried::Interrupted),
                Err(StepError::Failed(failure)) if failure.environment => return Err(NotTried::Machine(failure)),
                Err(StepError::Failed(failure)) => return Ok(End::Failed(failure)),
            }
        }
        Ok(End::Passed)
    }
}

fn one(runner: &StepRunner, step: &Step, resolver: &Resolver) -> Result<(), StepError> {
    let id = StepId::step(&step.name);
    match &step.action {
        Action::Command(command) => runner.command(&id, command, resolver),
        Action::Op(op) => runner.op(&id, op, resolver).map(drop),
        Action::Pool(pool) => pool::run(runner, &id, pool, resolver),
    }
}
