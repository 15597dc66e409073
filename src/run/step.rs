//! Runs one command or operation of a stage, and tells the listeners: its log, its time limit, how it failed. Unaware of
//! steps that consist of several, and of records.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::control::{Control, NotStarted, Owner, Watched};
use super::first_error::first_error;
use super::log::{LogWatch, Sizes};
use super::own_errors::OwnErrors;
use super::process::{Exit, ExitKind, Launch};
use super::resolve::{self, ResolveError, Resolver};
use super::tail;
use crate::event::{Event, Fact, Failure, Outcome, Stamped, Usage};
use crate::fs::disk;
use crate::names::{StageName, StepId};
use crate::plan::{Command, Op};
use crate::sync::lock;
use crate::text::{self, file_name::file_name};

/// How many lines of a log are shown with a failure.
const TAIL_LINES: usize = 30;
/// And how many characters of each.
const LONGEST_LINE: usize = 2000;

/// With this code an operation says that a disk or a permission is missing, as optbuild does.
pub(super) const MACHINE: i32 = 3;

/// What the steps of a stage share.
#[derive(Debug)]
pub struct StepRunner {
    pub stage: StageName,
    pub events: Events,
    pub control: Arc<Control>,
    /// The program whose `supervise` subcommand watches a command.
    pub supervisor: Utf8PathBuf,
    /// The state directory: only in it are working directories made.
    pub state: Utf8PathBuf,
    /// Where logs go.
    pub logs: Utf8PathBuf,
    pub timeout: Option<Duration>,
    /// How much a command may write to its log, in bytes.
    pub max_log: Option<u64>,
    pub retries: u32,
    /// How long what commands leave running has to end in good order.
    pub grace: Duration,
    /// Slots that the stage has.
    pub slots: usize,
    /// What operations reported.
    pub facts: Mutex<Vec<Fact>>,
    /// Numbers the logs in the order in which the steps began.
    pub log_number: AtomicU32,
    /// Time in which commands ran, in seconds; what pools do at once counts once.
    pub busy: Mutex<f64>,
    /// What was counted in logs, by its text.
    pub known: Mutex<BTreeMap<&'static str, Known>>,
}

/// Lines that a step asks to count, where they stand, and what to do about them.
#[derive(Debug, Default)]
pub struct Known {
    remedy: &'static str,
    times: u64,
    steps: BTreeSet<String>,
}

/// Between two looks at a log: at first and where much is written, growing up to the longest.
const LOOK_SOON: Duration = Duration::from_millis(50);
const LOOK: Duration = Duration::from_secs(1);
const NEVER: Duration = Duration::MAX;
/// So many steps are named.
const NAMED: usize = 3;

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

/// A command that was started.
#[derive(Debug)]
pub(super) struct Begun {
    pub watched: Watched,
    /// Ready to paste.
    shown: String,
    command: Command,
    pub log: Utf8PathBuf,
    launch: Launch,
    /// Its standard error alone.
    errors: Option<OwnErrors>,
}

/// A command as it was run.
#[derive(Debug, Clone)]
pub(super) struct Ran {
    /// Ready to paste.
    shown: String,
    command: Command,
    log: Utf8PathBuf,
}

impl Ran {
    /// A failure of it, with the end of its log.
    pub(super) fn failed(&self, name: &StepId, what: String, environment: bool) -> StepError {
        failed(name, self, what, environment, None)
    }
}

impl Begun {
    pub(super) fn ran(&self) -> Ran {
        Ran { shown: self.shown.clone(), command: self.command.clone(), log: self.log.clone() }
    }

    /// Its failure, with the end of its log.
    pub(super) fn failed(&self, name: &StepId, what: String, environment: bool) -> StepError {
        failed(name, &self.ran(), what, environment, self.errors.as_ref())
    }
}

/// Stands before lines of standard error where others of the log are left out.
const ALONE: &str = "(standard error alone)";

fn failed(name: &StepId, ran: &Ran, what: String, environment: bool, errors: Option<&OwnErrors>) -> StepError {
    let Ran { shown, command, log } = ran;
    let shown_of = |lines: std::io::Result<Vec<String>>| match lines {
        Ok(lines) => {
            let lines = lines.into_iter().map(|line| Resolver::without_secrets(command, line));
            // A line may be all of a log. Not before secrets are out of it: the cut could be in one.
            lines.map(|line| text::shorten(&line, LONGEST_LINE).into_owned()).collect()
        }
        Err(error) => vec![error.to_string()],
    };
    let mut tail: Vec<String> = shown_of(tail::last_lines(log, TAIL_LINES));
    let own = errors.map(|errors| errors.last_lines(&tail, TAIL_LINES - 1)).unwrap_or_default();
    if !own.is_empty() {
        tail = shown_of(Ok([ALONE.to_owned()].into_iter().chain(own).collect()));
    }
    // Whether the log can be read, the tail says.
    let error = shown_of(first_error(log, TAIL_LINES).or(Ok(Vec::new())));
    let (command, log) = (shown.clone(), Some(log.clone()));
    StepError::from(Failure { step: name.clone(), what, command, log, error, tail, environment })
}

/// The names of the pipes that are a command's input and output.
#[derive(Debug)]
pub(super) struct Pipes {
    pub stdin: Utf8PathBuf,
    pub stdout: Utf8PathBuf,
}

/// What a command may have besides its log.
#[derive(Debug, Default)]
pub(super) struct Around<'a> {
    pub pipes: Option<&'a Pipes>,
    /// Where its processes are listed.
    pub census: Option<Utf8PathBuf>,
}

impl StepRunner {
    /// Runs a command once.
    pub(super) fn command(&self, name: &StepId, command: &Command, resolver: &Resolver) -> Result<(), StepError> {
        self.launch(name, command, command, resolver, |_| false)
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
        let begun = self.begin(name, command, shown, resolver, Around::default())?;
        self.end(name, command, begun, of_machine)
    }

    /// Starts a command.
    pub(super) fn begin(
        &self,
        name: &StepId,
        command: &Command,
        shown: &Command,
        resolver: &Resolver,
        around: Around,
    ) -> Result<Begun, StepError> {
        let number = self.log_number.fetch_add(1, Ordering::SeqCst);
        let log = self.logs.join(format!("{number:02}-{}.log", file_name(&name.to_string())));
        let resolve_error = |error: ResolveError| self.broken(name, error.to_string());
        let mut launch = resolver.launch(command, &log).map_err(resolve_error)?;
        let shown = resolver.pasteable(shown).map_err(resolve_error)?;
        self.prepare(name, command, &launch)?;
        launch.grace = self.grace;
        launch.census = around.census;
        let own = name.workload.is_some() && command.stdout.is_none() && around.pipes.is_none();
        let errors = own.then(|| OwnErrors::beside(&log));
        if let Some(errors) = &errors {
            launch.stderr = errors.file.clone();
        }
        if let Some(pipes) = around.pipes {
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
        let owner = Owner { stage: self.stage.clone(), step: name.clone() };
        let watched = match self.control.start(&self.supervisor, &launch, owner) {
            Ok(watched) => watched,
            Err(NotStarted::Interrupted) => return Err(StepError::Interrupted),
            Err(NotStarted::Failed(error)) => {
                let ran = Ran { shown, command: command.clone(), log };
                return Err(ran.failed(name, error.to_string(), true));
            }
        };
        self.events.send(Event::ProcessStarted {
            stage: self.stage.clone(),
            step: name.clone(),
            pid: watched.process.pid(),
            start_time: watched.process.start_time(),
        });
        Ok(Begun { watched, shown, command: command.clone(), log, launch, errors })
    }

    /// Waits for its end, which is a failure if it does not succeed.
    pub(super) fn end(
        &self,
        name: &StepId,
        command: &Command,
        mut begun: Begun,
        of_machine: impl Fn(&Exit) -> bool,
    ) -> Result<(), StepError> {
        let mut errors = begun.errors.take();
        let timeout = command.timeout.or(self.timeout);
        let sizes = if name.workload.is_some() { Sizes::WORKLOAD } else { Sizes::STEP };
        let mut watch = LogWatch::new(&begun.log, sizes, command.known.iter().map(|known| known.text));
        let mut pause = LOOK_SOON;
        let (exit, timed_out) = begun.watched.wait(timeout, || {
            self.copy(name, errors.as_mut(), false);
            self.look(name, command, &mut watch, &mut pause)
        });
        self.copy(name, errors.as_mut(), true);
        begun.errors = errors;
        let too_much = self.close_log(name, command, watch);
        let outcome = self.ended(name, &exit, exit.success() && !timed_out && too_much.is_none(), exit.usage);
        if !exit.left_behind.is_empty() {
            let killed = match exit.killed.as_slice() {
                [] => String::new(),
                killed => {
                    let (grace, names) = (crate::text::duration(self.grace), killed.join(", "));
                    format!(
                        "; SIGTERM did not end these within {grace}, and they were killed: {names} (`grace` sets the time)"
                    )
                }
            };
            self.note(format!(
                "{name} left processes running, which were ended: {}{killed}",
                exit.left_behind.join(", ")
            ));
        }
        let failed = |what: String, environment: bool| Err(begun.failed(name, what, environment));
        match (outcome, too_much) {
            (Outcome::Done, _) => Ok(()),
            (Outcome::Interrupted, _) => Err(StepError::Interrupted),
            (Outcome::Failed, Some(what)) => failed(what, false),
            (Outcome::Failed, None) if timed_out => {
                let limit = timeout.map(crate::text::duration).unwrap_or_default();
                failed(format!("was ended because it ran longer than its timeout of {limit}"), false)
            }
            (Outcome::Failed, None) => match self.full_disk(&begun.launch) {
                Some(path) => failed(format!("{}; the disk is full ({path})", exit.describe()), true),
                None => failed(exit.describe(), of_machine(&exit)),
            },
        }
    }

    /// Adds to the log what a command has written on its standard error.
    fn copy(&self, name: &StepId, errors: Option<&mut OwnErrors>, last: bool) {
        if let Some(Err(error)) = errors.map(|errors| errors.copy(last)) {
            self.warn(&log_of(name), format!("the log of {name} is without its standard error: {error}"));
        }
    }

    /// Looks at the log of a command that runs. Breaks when it has written more than it may.
    fn look(
        &self,
        name: &StepId,
        command: &Command,
        watch: &mut LogWatch,
        pause: &mut Duration,
    ) -> ControlFlow<(), Duration> {
        let seen = match watch.look() {
            Ok(seen) => seen,
            Err(error) => {
                self.warn(&log_of(name), format!("the log of {name} is not watched any more: {error}"));
                return ControlFlow::Continue(NEVER);
            }
        };
        if let Some((line, written)) = seen.repeats {
            let line = Resolver::without_secrets(command, line);
            let written = text::size(written);
            self.warn(&log_of(name), format!("{name} writes one line over and over, {written} so far: {line}"));
        }
        if self.max_log.is_some_and(|max| seen.total > max) {
            return ControlFlow::Break(());
        }
        *pause = if seen.much { LOOK_SOON } else { (*pause * 2).min(LOOK) };
        ControlFlow::Continue(*pause)
    }

    /// Puts the log of a command in order that has ended, and says so if it wrote more than it may.
    fn close_log(&self, name: &StepId, command: &Command, mut watch: LogWatch) -> Option<String> {
        let repetition = watch.repetition().map(|line| Resolver::without_secrets(command, line.to_owned()));
        let (total, left_out) = match watch.finish() {
            Ok(found) => found,
            Err(error) => {
                self.warn(&log_of(name), format!("the log of {name} is not whole: {error}"));
                (watch.total(), 0)
            }
        };
        let over = repetition.map(|line| format!(", one line over and over: {line}")).unwrap_or_default();
        if left_out > 0 {
            let (total, left_out) = (text::size(total), text::size(left_out));
            let what =
                format!("{name} wrote {total} to its log, of which {left_out} in the middle were left out{over}");
            self.warn(&log_of(name), what);
        }
        for count in watch.counts() {
            let remedy = command.known.iter().find(|known| known.text == count.text).map(|known| known.remedy);
            let mut known = lock(&self.known);
            let known = known.entry(count.text).or_default();
            known.remedy = remedy.unwrap_or_default();
            known.times += count.times;
            known.steps.insert(name.to_string());
        }
        let max = self.max_log.filter(|max| total > *max)?;
        Some(format!("wrote more than {} to its log (`max-log`){over}", text::size(max)))
    }

    /// Says what was counted in the logs, a line for each text.
    pub(super) fn tell_known(&self) {
        for (text, known) in std::mem::take(&mut *lock(&self.known)) {
            let mut names: Vec<String> = known.steps.iter().take(NAMED).cloned().collect();
            let more = known.steps.len() - names.len();
            names.extend((more > 0).then(|| format!("{more} more")));
            let (times, names) = (text::count(known.times), names.join(", "));
            self.warn(text, format!("`{text}`, {times} times in the log of {names}: {}", known.remedy));
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
        let own = self.is_own(&launch.cwd);
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

    /// Whether a directory lies in the state directory, or would if it were made: a link in it may lead elsewhere.
    fn is_own(&self, dir: &Utf8Path) -> bool {
        let there = dir.ancestors().find_map(|dir| dir.canonicalize_utf8().ok());
        let inside =
            there.zip(self.state.canonicalize_utf8().ok()).is_some_and(|(there, root)| there.starts_with(root));
        inside && dir.starts_with(&self.state) && dir.components().all(|part| part != Utf8Component::ParentDir)
    }

    pub(super) fn retrying(&self, step: &StepId, attempt: u32, retries: u32) {
        self.events.send(Event::Retrying {
            stage: self.stage.clone(),
            step: step.clone(),
            attempt,
            of: retries.saturating_add(1),
        });
    }

    /// Says something that the user should know.
    pub(super) fn note(&self, text: String) {
        self.events.send(Event::Note { stage: self.stage.clone(), text });
    }

    /// Says something that the user should see even if everything goes well. What was said `about` the same before is not so any more.
    pub(super) fn warn(&self, about: &str, text: String) {
        self.events.send(Event::Warning { stage: self.stage.clone(), about: about.to_owned(), text });
    }

    /// Adds to what goes into the stage's record.
    pub(super) fn keep_facts(&self, facts: Vec<Fact>) {
        lock(&self.facts).extend(facts);
    }

    /// Runs one of optbuild's operations; what it reports is passed on as events, and returned.
    pub(super) fn op(&self, name: &StepId, op: &Op, resolver: &Resolver) -> Result<Vec<Fact>, StepError> {
        let report = self.logs.join(format!("{}.facts", file_name(&name.to_string())));
        let cwd = resolve::scratch(resolver);
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
            match fact.noted() {
                Some(sentence) => self.note(sentence.into()),
                None => facts.push(self.fact(step, fact)),
            }
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
        failure(step, what, false).into()
    }

    /// A failure of the machine: a disk, a permission.
    pub(super) fn broken_machine(&self, step: &StepId, what: String) -> StepError {
        failure(step, what, true).into()
    }
}

/// What warnings of the log of a step are about.
fn log_of(step: &StepId) -> String {
    format!("the log of {step}")
}

/// A failure without a command.
pub(super) fn failure(step: &StepId, what: String, environment: bool) -> Failure {
    let (command, error, tail) = (String::new(), Vec::new(), Vec::new());
    Failure { step: step.clone(), what, command, log: None, error, tail, environment }
}

/// An operation says what is wrong in its log; that it exited with 1 says nothing to anybody.
pub(super) fn in_its_words(error: StepError) -> StepError {
    let StepError::Failed(mut failure) = error else { return error };
    if let Some(said) = failure.tail.iter().find_map(|line| line.strip_prefix("error: ")) {
        failure.what = said.into();
    }
    StepError::Failed(failure)
}
