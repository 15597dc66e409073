//! Starts one command of a stage, waits for it, and tells the listeners: its log, its time limit, how it failed. Unaware of steps
//! that consist of several.

use camino::{Utf8Path, Utf8PathBuf};

use super::companion::{Companion, Pipes};
use super::control::{Ended, NotStarted, Of, Watched};
use super::process::{Exit, Launch};
use super::resolve::{ResolveError, Resolver};
use super::step::{StepError, StepRunner};
use super::tail;
use crate::event::{Event, Failure, Outcome, Usage};
use crate::fs::disk;
use crate::names::StepId;
use crate::plan::Command;
use crate::text::file_name::file_name;

/// How many lines of a log are shown with a failure.
const TAIL_LINES: usize = 30;
/// This program, which stays the same one when its file is replaced while a run is under way.
const SUPERVISOR: &str = "/proc/self/exe";

/// A command that was started.
#[derive(Debug)]
pub(super) struct Begun {
    pub watched: Watched,
    /// Ready to paste.
    shown: String,
    command: Command,
    log: Utf8PathBuf,
    launch: Launch,
}

impl Begun {
    /// Its failure, with the end of its log.
    pub(super) fn failed(&self, name: &StepId, what: String, environment: bool) -> StepError {
        failed(name, &self.shown, &self.command, &self.log, what, environment)
    }
}

fn failed(name: &StepId, shown: &str, command: &Command, log: &Utf8Path, what: String, environment: bool) -> StepError {
    let shown_of = |lines: std::io::Result<Vec<String>>| match lines {
        Ok(lines) => lines.into_iter().map(|line| Resolver::without_secrets(command, line)).collect(),
        Err(error) => vec![error.to_string()],
    };
    let tail: Vec<String> = shown_of(tail::last_lines(log, TAIL_LINES));
    // Whether the log can be read, the tail says.
    let error = shown_of(tail::first_error(log, TAIL_LINES).or(Ok(Vec::new())));
    let (command, log) = (shown.to_owned(), Some(log.to_owned()));
    StepError::from(Failure { step: name.clone(), what, command, log, error, tail, environment })
}

impl StepRunner {
    /// Runs a command once.
    pub(super) fn command(&self, name: &StepId, command: &Command, resolver: &Resolver) -> Result<(), StepError> {
        self.launch(name, command, command, resolver, |_| false)
    }

    /// Runs a command once, of which a pool's companion knows as attempt `id`.
    pub(super) fn accompanied(
        &self,
        name: &StepId,
        command: &Command,
        resolver: &Resolver,
        companion: &Companion,
        id: u64,
    ) -> Result<(), StepError> {
        let begun = self.begin(name, command, command, resolver, None)?;
        companion.runs(id, &begun.watched);
        let ended = self.end(name, command, begun, |_| false);
        companion.has_run(id);
        ended
    }

    /// Runs `command` once, shown as another one. `of_machine` tells whether an exit is the machine's fault.
    pub(super) fn launch(
        &self,
        name: &StepId,
        command: &Command,
        shown: &Command,
        resolver: &Resolver,
        of_machine: impl Fn(&Exit) -> bool,
    ) -> Result<(), StepError> {
        let begun = self.begin(name, command, shown, resolver, None)?;
        self.end(name, command, begun, of_machine)
    }

    /// Starts a command, whose input and output may be pipes.
    pub(super) fn begin(
        &self,
        name: &StepId,
        command: &Command,
        shown: &Command,
        resolver: &Resolver,
        pipes: Option<&Pipes>,
    ) -> Result<Begun, StepError> {
        let number = self.log_number.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let log = self.logs.join(format!("{number:02}-{}.log", file_name(&name.to_string())));
        let resolve_error = |error: ResolveError| self.broken(name, error.to_string());
        let mut launch = resolver.launch(command, &log).map_err(resolve_error)?;
        let shown = resolver.pasteable(shown).map_err(resolve_error)?;
        self.prepare(name, command, &launch)?;
        if let Some(pipes) = pipes {
            launch.stdin = Some(pipes.stdin.clone());
            launch.stdout = pipes.stdout.clone();
        }
        self.events.send(Event::StepStarted {
            stage: self.stage.clone(),
            step: name.clone(),
            command: shown.clone(),
            cwd: launch.cwd.clone(),
            log: log.clone(),
        });
        let of = Of { stage: self.stage.clone(), step: name.clone() };
        let watched = match self.control.start(Utf8Path::new(SUPERVISOR), &launch, of) {
            Ok(watched) => watched,
            Err(NotStarted::Interrupted) => return Err(StepError::Interrupted),
            Err(NotStarted::Failed(error)) => return Err(failed(name, &shown, command, &log, error.to_string(), true)),
        };
        self.events.send(Event::ProcessStarted {
            stage: self.stage.clone(),
            step: name.clone(),
            pid: watched.process.pid(),
            start_time: watched.process.start_time(),
        });
        Ok(Begun { watched, shown, command: command.clone(), log, launch })
    }

    /// Waits for its end, which is a failure if it does not succeed.
    fn end(
        &self,
        name: &StepId,
        command: &Command,
        begun: Begun,
        of_machine: impl Fn(&Exit) -> bool,
    ) -> Result<(), StepError> {
        let timeout = command.timeout.or(self.timeout);
        let (exit, timed_out) = match begun.watched.wait(timeout) {
            Ended::By(exit) => (exit, false),
            Ended::TimedOut(exit) => (exit, true),
        };
        let outcome = self.ended(name, &exit, exit.success() && !timed_out, exit.usage);
        if !exit.left_behind.is_empty() {
            let text = format!("{name} left processes running, which were ended: {}", exit.left_behind.join(", "));
            self.events.send(Event::Note { stage: self.stage.clone(), text });
        }
        let failed = |what: String, environment: bool| Err(begun.failed(name, what, environment));
        match outcome {
            Outcome::Done => Ok(()),
            Outcome::Interrupted => Err(StepError::Interrupted),
            Outcome::Failed if timed_out => {
                let limit = timeout.map(crate::text::duration).unwrap_or_default();
                failed(format!("was ended because it ran longer than its timeout of {limit}"), false)
            }
            Outcome::Failed => match self.full_disk(&begun.launch) {
                Some(path) => failed(format!("{}; the disk is full ({path})", exit.describe()), true),
                None => failed(exit.describe(), of_machine(&exit)),
            },
        }
    }

    /// Tells the listeners how a command ended.
    pub(super) fn ended(&self, name: &StepId, exit: &Exit, success: bool, usage: Usage) -> Outcome {
        let interrupted = self.control.is_interrupted() && !exit.success();
        let outcome = match (success, interrupted) {
            (true, _) => Outcome::Done,
            (false, true) => Outcome::Interrupted,
            (false, false) => Outcome::Failed,
        };
        self.events.send(Event::StepFinished { stage: self.stage.clone(), step: name.clone(), outcome, usage });
        outcome
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
    fn prepare(&self, name: &StepId, command: &Command, launch: &Launch) -> Result<(), StepError> {
        let io = |path: &Utf8Path, error: std::io::Error| self.broken_machine(name, format!("{path}: {error}"));
        let own = launch.cwd.starts_with(&self.state);
        if !own && !launch.cwd.is_dir() {
            let what = format!("the working directory {} does not exist, or is no directory", launch.cwd);
            return Err(self.broken_machine(name, what));
        }
        let cwd = own.then_some(launch.cwd.as_path());
        for dir in [cwd, launch.stdout.parent(), launch.stderr.parent()].into_iter().flatten() {
            std::fs::create_dir_all(dir).map_err(|error| io(dir, error))?;
        }
        if command.stdout.is_some() && launch.stdout.exists() {
            std::fs::remove_file(&launch.stdout).map_err(|error| io(&launch.stdout, error))?;
        }
        Ok(())
    }
}
