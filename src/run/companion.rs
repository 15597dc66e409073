//! A pool's companion: started, told of attempts, listened to, ended. Unaware of what it does.
//!
//! It gets its pipes by names in the scratch directory, because its supervisor opens them; the names are gone before it is told
//! anything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use camino::Utf8Path;
use rustix::fs::{CWD, Mode, OFlags};

use super::control::{GRACE, Hold};
use super::process::{Exit, ExitKind};
use super::resolve::{self, Resolver};
use super::step::{Around, Begun, Events, MACHINE, Pipes, Ran, StepError, StepRunner, in_its_words};
use crate::event::{Event, Fact, Outcome, Usage};
use crate::names::{StageName, StepId};
use crate::plan::census;
use crate::plan::companion::{Said, Told};
use crate::plan::{self, Command};
use crate::proc::start;
use crate::sync::{lock, wait};

/// A companion that was started.
#[derive(Debug)]
pub(super) struct Companion {
    name: StepId,
    begun: Begun,
    /// None when it has been told all.
    to: Mutex<Option<File>>,
    heard: Arc<Heard>,
}

impl Companion {
    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(
        runner: &StepRunner,
        companion: &plan::Companion,
        resolver: &Resolver,
        scratch: &Utf8Path,
    ) -> Result<Companion, StepError> {
        let name = &StepId::step(&companion.name);
        let io = |error: io::Error| runner.broken_machine(name, format!("no pipes to the companion: {error}"));
        let command =
            Command { argv: companion.op.command_line(), cwd: resolve::scratch(resolver), ..Command::default() };
        let pipes = Pipes { stdin: scratch.join(format!("{name}.told")), stdout: scratch.join(format!("{name}.said")) };
        for pipe in [&pipes.stdin, &pipes.stdout] {
            if pipe.exists() {
                std::fs::remove_file(pipe).map_err(io)?;
            }
            rustix::fs::mkfifoat(CWD, pipe.as_std_path(), Mode::from_raw_mode(0o600))
                .map_err(|error| io(error.into()))?;
        }
        // Opened at both ends, neither side waits for the other to open it.
        let both = File::options().read(true).write(true).open(&pipes.stdin).map_err(io)?;
        let from: File = rustix::fs::open(
            pipes.stdout.as_std_path(),
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|error| io(error.into()))?
        .into();
        let begun = runner.begin(name, &command, &command, resolver, Around { pipes: Some(&pipes), census: None })?;
        // From here on only the companion reads, so that its end is noticed when something is written.
        let to = File::options().write(true).open(&pipes.stdin).map_err(io)?;
        drop(both);
        rustix::fs::fcntl_setfl(&from, OFlags::empty()).map_err(|error| io(error.into()))?;
        for pipe in [&pipes.stdin, &pipes.stdout] {
            std::fs::remove_file(pipe).map_err(io)?;
        }
        let heard = Arc::new(Heard::default());
        let listener =
            Listener { heard: Arc::clone(&heard), events: runner.events.clone(), stage: runner.stage.clone() };
        start::thread(&name.to_string(), move || listener.listen(from)).map_err(|error| io(error.into()))?;
        Ok(Companion { name: name.clone(), begun, to: Mutex::new(Some(to)), heard })
    }

    /// Its step.
    pub fn step(&self) -> &StepId {
        &self.name
    }

    /// What it does for one workload.
    pub fn around(&self, workload: &str) -> StepId {
        StepId { workload: Some(workload.into()), ..self.name.clone() }
    }

    /// It has ended, whatever the reason.
    pub fn is_gone(&self) -> bool {
        self.heard.lock().gone
    }

    /// Tells it of an attempt that is about to begin in this directory, and waits until it is ready.
    pub fn attempt(
        &self,
        runner: &StepRunner,
        workload: &str,
        slot: usize,
        dir: &Utf8Path,
        command: String,
    ) -> Result<u64, StepError> {
        let id = {
            let mut state = self.heard.lock();
            state.next += 1;
            state.next
        };
        self.tell(&Told::Begin { id, workload: workload.into(), slot, dir: dir.to_owned(), command });
        self.answer(runner, workload, id, None).map(|_| id)
    }

    /// Tells it that nothing of the attempt runs any more, and waits for what it made of it.
    pub fn ended(
        &self,
        runner: &StepRunner,
        workload: &str,
        (id, ran): (u64, Option<&Ran>),
        counts: bool,
    ) -> Result<Vec<Fact>, StepError> {
        self.tell(&Told::End { id, counts });
        self.answer(runner, workload, id, ran)
    }

    /// Tells it that the directory of an attempt has been committed under this name.
    pub fn committed(&self, name: String) {
        self.tell(&Told::Committed { name });
    }

    /// Runs the command of attempt `id`, which the companion can stop and end meanwhile. Its processes are listed in the directory of the
    /// attempt.
    pub fn beside(
        &self,
        runner: &StepRunner,
        name: &StepId,
        command: &Command,
        resolver: &Resolver,
        (id, dir): (u64, &Utf8Path),
    ) -> (Option<Ran>, Result<(), StepError>) {
        let around = Around { pipes: None, census: Some(dir.join(census::FILE)) };
        let begun = match runner.begin(name, command, command, resolver, around) {
            Ok(begun) => begun,
            Err(error) => return (None, Err(error)),
        };
        self.runs(id, begun.watched.hold());
        let ran = begun.ran();
        let ended = runner.end(name, command, begun, |_| false);
        self.heard.lock().running.remove(&id);
        (Some(ran), ended)
    }

    fn runs(&self, id: u64, hold: Hold) {
        let mut state = self.heard.lock();
        if state.held {
            hold.set(true);
        }
        if state.gone || matches!(state.answers.get(&id), Some(Answer::Failed { .. })) {
            hold.end();
        }
        state.running.insert(id, hold);
    }

    /// The failure of an attempt that the companion has declared failed, or did not outlive.
    pub fn failure(&self, runner: &StepRunner, workload: &str, (id, ran): (u64, Option<&Ran>)) -> Option<StepError> {
        let state = self.heard.lock();
        match state.answers.get(&id) {
            Some(Answer::Failed { .. }) => {}
            _ if state.gone => {}
            _ => return None,
        }
        drop(state);
        self.answer(runner, workload, id, ran).err()
    }

    /// Asks it to finish, and waits for its end. Returns what it has to say of the whole pool.
    pub fn finish(&self, runner: &StepRunner) -> Result<Vec<Fact>, StepError> {
        self.tell(&Told::Finish);
        let exit = self.begun.watched.process.wait();
        let mut state = self.heard.lock();
        while !state.gone {
            state = self.heard.wait(state);
        }
        match self.report_end(runner, &exit) {
            Outcome::Done => Ok(std::mem::take(&mut state.facts)),
            Outcome::Interrupted => Err(StepError::Interrupted),
            Outcome::Failed => Err(self.its_failure(&exit)),
        }
    }

    /// Ends it, with nothing to finish.
    pub fn stop(&self, runner: &StepRunner) {
        let process = &self.begun.watched.process;
        // The end of its input tells it.
        drop(lock(&self.to).take());
        let exit = process.wait_timeout(GRACE).unwrap_or_else(|| {
            process.end(GRACE);
            process.wait()
        });
        self.report_end(runner, &exit);
    }

    fn report_end(&self, runner: &StepRunner, exit: &Exit) -> Outcome {
        // It ran beside the workloads, so its time is no time of the stage.
        let usage = Usage { wall: 0.0, ..exit.usage };
        runner.ended(&self.name, exit, exit.success(), usage)
    }

    fn tell(&self, told: &Told) {
        let mut to = lock(&self.to);
        let Some(to) = to.as_mut() else { return };
        let written = serde_json::to_vec(told).map_err(io::Error::from).and_then(|mut line| {
            line.push(b'\n');
            to.write_all(&line)
        });
        // One that has gone is noticed by the end of its output.
        if let Err(error) = written {
            tracing::debug!("{} does not listen: {error}", self.name);
        }
    }

    /// What it says of an attempt. A failure is one of the workload, whose command is to be repeated, where that has run: `ran`.
    fn answer(&self, runner: &StepRunner, workload: &str, id: u64, ran: Option<&Ran>) -> Result<Vec<Fact>, StepError> {
        let mut state = self.heard.lock();
        loop {
            match state.answers.remove(&id) {
                Some(Answer::Ready) => return Ok(Vec::new()),
                Some(Answer::Done(facts)) => return Ok(facts),
                Some(Answer::Failed { what, machine }) => {
                    let step = self.around(workload);
                    return Err(match ran.filter(|_| !machine) {
                        Some(ran) => ran.failed(&step, what, machine),
                        None => self.begun.failed(&step, what, machine),
                    });
                }
                None if state.gone => break,
                None => state = self.heard.wait(state),
            }
        }
        drop(state);
        let exit = self.begun.watched.process.wait();
        if runner.control.is_interrupted() {
            return Err(StepError::Interrupted);
        }
        Err(self.its_failure(&exit))
    }

    /// It has ended before it was asked to.
    fn its_failure(&self, exit: &Exit) -> StepError {
        let what =
            format!("which runs beside the workloads, {}; what they wrote meanwhile does not count", exit.describe());
        in_its_words(self.begun.failed(&self.name, what, exit.status == ExitKind::Code(MACHINE)))
    }
}

/// What the companion has said.
#[derive(Debug, Default)]
struct Heard {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    answers: BTreeMap<u64, Answer>,
    /// Workloads that run.
    running: BTreeMap<u64, Hold>,
    held: bool,
    /// Numbers of the whole pool.
    facts: Vec<Fact>,
    /// It has closed its output: it has ended.
    gone: bool,
}

#[derive(Debug)]
enum Answer {
    Ready,
    Done(Vec<Fact>),
    Failed { what: String, machine: bool },
}

impl Heard {
    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        wait(&self.changed, state)
    }
}

/// Hears what the companion says, up to its end.
struct Listener {
    heard: Arc<Heard>,
    events: Events,
    stage: StageName,
}

impl Listener {
    /// Returns when it has closed its output.
    fn listen(&self, from: File) {
        for line in BufReader::new(from).lines() {
            let Ok(line) = line else { break };
            match serde_json::from_str(&line) {
                Ok(said) => self.hear(said),
                Err(error) => self.note(format!("the companion said `{line}`, which means nothing: {error}")),
            }
        }
        let mut state = self.heard.lock();
        state.gone = true;
        // What they write from now on would pile up.
        for workload in state.running.values() {
            workload.end();
        }
        drop(state);
        self.heard.changed.notify_all();
    }

    fn hear(&self, said: Said) {
        let mut state = self.heard.lock();
        match said {
            Said::Ready { id } => drop(state.answers.insert(id, Answer::Ready)),
            Said::Done { id, facts } => drop(state.answers.insert(id, Answer::Done(facts))),
            Said::Failed { id, what, machine } => {
                state.answers.insert(id, Answer::Failed { what, machine });
                if let Some(workload) = state.running.get(&id) {
                    workload.end();
                }
            }
            Said::Hold(hold) => {
                state.held = hold;
                state.running.values().for_each(|workload| workload.set(hold));
            }
            Said::Note(text) => self.note(text),
            Said::Facts(facts) => state.facts.extend(facts),
        }
        drop(state);
        self.heard.changed.notify_all();
    }

    fn note(&self, text: String) {
        self.events.send(Event::Note { stage: self.stage.clone(), text });
    }
}
