//! Runs the steps of one stage: commands and operations with their logs, timeouts and repetitions. Unaware of records.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::control::{Control, Ended, NotStarted, Of};
use super::event::{Event, Failure, Outcome, Stamped};
use super::process::{Exit, ExitKind, Launch};
use super::resolve::{ResolveError, Resolver};
use super::{pool, tail};
use crate::plan::{Action, Command, Op, Step};
use crate::state::disk;
use crate::state::record::FactRecord;

/// How many lines of a log are shown with a failure.
const TAIL_LINES: usize = 30;
/// File systems take 255 bytes; a number and an extension are added.
const LONGEST_NAME: usize = 150;

/// With this code an operation says that a disk or a permission is missing, as optbuild does.
const MACHINE: i32 = 3;
/// This program, which stays the same one when its file is replaced while a run is under way.
const SUPERVISOR: &str = "/proc/self/exe";

/// What the steps of a stage share.
#[derive(Debug)]
pub struct StepRunner {
    pub stage: String,
    pub events: Events,
    pub control: Arc<Control>,
    /// Where logs go.
    pub logs: Utf8PathBuf,
    pub timeout: Option<Duration>,
    pub retries: u32,
    /// Slots that the stage has.
    pub slots: usize,
    /// What operations reported.
    pub facts: Mutex<Vec<FactRecord>>,
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
        let result = match &step.action {
            Action::Command(command) => self.repeat(&step.name, retry, || self.command(&step.name, command, resolver)),
            Action::Op(op) => {
                self.repeat(&step.name, retry, || self.op(&step.name, op, resolver).map(|facts| self.keep_facts(facts)))
            }
            Action::Pool(pool) => pool::run(self, &step.name, pool, resolver),
        };
        *self.busy.lock().unwrap_or_else(PoisonError::into_inner) += began.elapsed().as_secs_f64();
        result
    }

    fn repeat(&self, step: &str, retry: Retry, once: impl Fn() -> Result<(), StepError>) -> Result<(), StepError> {
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

    pub(super) fn retrying(&self, step: &str, attempt: u32, retries: u32) {
        self.events.send(Event::Retrying {
            stage: self.stage.clone(),
            step: step.into(),
            attempt,
            of: retries.saturating_add(1),
        });
    }

    /// Adds to what goes into the stage's record.
    pub(super) fn keep_facts(&self, facts: Vec<FactRecord>) {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).extend(facts);
    }

    /// Runs one of optbuild's operations; what it reports is passed on as events, and returned.
    pub(super) fn op(&self, name: &str, op: &Op, resolver: &Resolver) -> Result<Vec<FactRecord>, StepError> {
        let report = self.logs.join(format!("{}.facts", file_name(name)));
        let cwd = super::resolve::scratch(resolver);
        // Who repeats it by hand reads the report at once.
        let shown = Command { argv: op.command_line(), cwd, ..Command::default() };
        let command = Command { stdout: Some(report.as_str().into()), ..shown.clone() };
        self.launch(name, &command, &shown, resolver, |exit| exit.status == ExitKind::Code(MACHINE))
            .map_err(in_its_words)?;
        self.read_report(name, &report)
    }

    fn read_report(&self, step: &str, report: &Utf8Path) -> Result<Vec<FactRecord>, StepError> {
        let mut facts = Vec::new();
        let text = std::fs::read_to_string(report).map_err(|error| {
            self.broken(step, format!("cannot read what the operation reported: {report}: {error}"))
        })?;
        for line in text.lines() {
            let fact: Report = serde_json::from_str(line).map_err(|error| {
                self.broken(step, format!("the operation reported `{line}`, which is no fact: {error}"))
            })?;
            self.events.send(Event::Fact {
                stage: self.stage.clone(),
                step: step.into(),
                name: fact.name.clone(),
                value: fact.value,
                unit: fact.unit.clone(),
            });
            facts.push(FactRecord { step: step.into(), name: fact.name, value: fact.value, unit: fact.unit });
        }
        Ok(facts)
    }

    /// Runs a command once.
    pub(super) fn command(&self, name: &str, command: &Command, resolver: &Resolver) -> Result<(), StepError> {
        self.launch(name, command, command, resolver, |_| false)
    }

    /// Runs `command` once, shown as another one. `of_machine` tells whether an exit is the machine's fault.
    fn launch(
        &self,
        name: &str,
        command: &Command,
        shown: &Command,
        resolver: &Resolver,
        of_machine: impl Fn(&Exit) -> bool,
    ) -> Result<(), StepError> {
        let number = self.log_number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let log = self.logs.join(format!("{number:02}-{}.log", file_name(name)));
        let resolve_error = |error: ResolveError| self.broken(name, error.to_string());
        let launch = resolver.launch(command, &log).map_err(resolve_error)?;
        let shown = resolver.pasteable(shown).map_err(resolve_error)?;
        self.prepare(name, command, &launch)?;
        self.events.send(Event::StepStarted {
            stage: self.stage.clone(),
            step: name.into(),
            command: shown.clone(),
            cwd: launch.cwd.clone(),
            log: log.clone(),
        });
        let failed = |what: String, environment: bool| Failure {
            step: name.into(),
            what,
            command: shown.clone(),
            log: Some(log.clone()),
            tail: match tail::last_lines(&log, TAIL_LINES) {
                Ok(lines) => lines.into_iter().map(|line| Resolver::without_secrets(command, line)).collect(),
                Err(error) => vec![error.to_string()],
            },
            environment,
        };
        let of = Of { stage: self.stage.clone(), step: name.into() };
        let watched = match self.control.start(Utf8Path::new(SUPERVISOR), &launch, of) {
            Ok(watched) => watched,
            Err(NotStarted::Interrupted) => return Err(StepError::Interrupted),
            Err(NotStarted::Failed(error)) => return Err(failed(error.to_string(), true).into()),
        };
        self.events.send(Event::ProcessStarted {
            stage: self.stage.clone(),
            step: name.into(),
            pid: watched.process.pid(),
            start_time: watched.process.start_time(),
        });
        let timeout = command.timeout.or(self.timeout);
        let (exit, timed_out) = match watched.wait(timeout) {
            Ended::By(exit) => (exit, false),
            Ended::TimedOut(exit) => (exit, true),
        };
        let interrupted = self.control.is_interrupted() && !exit.success();
        let outcome = match (exit.success() && !timed_out, interrupted) {
            (true, _) => Outcome::Done,
            (false, true) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
        };
        self.events.send(Event::StepFinished {
            stage: self.stage.clone(),
            step: name.into(),
            outcome,
            usage: exit.usage,
        });
        if !exit.left_behind.is_empty() {
            let text = format!("{name} left processes running, which were ended: {}", exit.left_behind.join(", "));
            self.events.send(Event::Note { stage: self.stage.clone(), text });
        }
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Interrupted => Err(StepError::Interrupted),
            Outcome::Failed if timed_out => {
                let limit = timeout.map(crate::report::text::duration).unwrap_or_default();
                Err(failed(format!("was ended because it ran longer than its timeout of {limit}"), false).into())
            }
            Outcome::Failed => match self.full_disk(&launch) {
                Some(path) => Err(failed(format!("{}; the disk is full ({path})", exit.describe()), true).into()),
                None => Err(failed(exit.describe(), of_machine(&exit)).into()),
            },
        }
    }

    /// Where a command writes to, if there is no space: then that is why it failed, whatever it said.
    fn full_disk(&self, launch: &Launch) -> Option<Utf8PathBuf> {
        let temporary = launch.env.get("TMPDIR").map_or("/tmp", String::as_str);
        [self.logs.as_path(), launch.cwd.as_path(), Utf8Path::new(temporary)]
            .into_iter()
            .find(|path| disk::is_full(path))
            .map(Utf8Path::to_owned)
    }

    /// Makes the directories that a command needs, and takes away what an earlier attempt left in its output file.
    fn prepare(&self, name: &str, command: &Command, launch: &Launch) -> Result<(), StepError> {
        let io = |path: &Utf8Path, error: std::io::Error| self.broken_machine(name, format!("{path}: {error}"));
        for dir in [Some(launch.cwd.as_path()), launch.stdout.parent(), launch.stderr.parent()].into_iter().flatten() {
            std::fs::create_dir_all(dir).map_err(|error| io(dir, error))?;
        }
        if command.stdout.is_some() && launch.stdout.exists() {
            std::fs::remove_file(&launch.stdout).map_err(|error| io(&launch.stdout, error))?;
        }
        Ok(())
    }

    /// A failure without a command.
    pub(super) fn broken(&self, step: &str, what: String) -> StepError {
        failure(step, what, false)
    }

    /// A failure of the machine: a disk, a permission.
    pub(super) fn broken_machine(&self, step: &str, what: String) -> StepError {
        failure(step, what, true)
    }
}

fn failure(step: &str, what: String, environment: bool) -> StepError {
    let (command, tail) = (String::new(), Vec::new());
    StepError::from(Failure { step: step.into(), what, command, log: None, tail, environment })
}

/// An operation says what is wrong in its log; that it exited with 1 says nothing to anybody.
fn in_its_words(error: StepError) -> StepError {
    let StepError::Failed(mut failure) = error else { return error };
    if let Some(said) = failure.tail.iter().find_map(|line| line.strip_prefix("error: ")) {
        failure.what = said.into();
    }
    StepError::Failed(failure)
}

/// A line on the standard output of an operation.
#[derive(serde::Deserialize)]
struct Report {
    name: String,
    value: f64,
    unit: String,
}

/// A name of a step or workload as a file name, different for each name.
pub fn file_name(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "-_.=,[]+".contains(c) { c } else { '_' };
    let plain: String = name.chars().map(fit).take(LONGEST_NAME).collect();
    if plain == name && !plain.starts_with('.') && !plain.is_empty() {
        return plain;
    }
    let plain = plain.trim_start_matches('.');
    format!("{plain}-{}", &blake3::hash(name.as_bytes()).to_hex()[..8])
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn different_names_have_different_files() {
        assert_eq!(file_name("link[level=3,lto=thin]"), "link[level=3,lto=thin]");
        assert_ne!(file_name("a b"), file_name("a_b"));
        assert_ne!(file_name("a/b"), file_name("a b"));
        for name in ["", ".", "..", "../x", "/"] {
            let file = file_name(name);
            assert!(!file.contains('/') && !file.starts_with('.') && file.len() > 1, "{file}");
        }
        assert!(file_name(&"x".repeat(1000)).len() < 200);
    }
}
