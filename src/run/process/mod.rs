//! Commands, as the runner sees them: each runs under a supervisor that watches, pauses and ends its whole process tree.
//!
//! Unaware of stages and steps, and of what a command is for.

mod census;
mod protocol;
pub(crate) mod spawn;
pub mod supervisor;
mod survivors;

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once};
use std::thread::sleep;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, getpid, kill_process, set_child_subreaper, setsid, waitpid};

pub use self::protocol::{Exit, ExitKind, Launch, StartError};
use self::protocol::{Order, Report, RunningClock};
pub use self::survivors::{RUN_VARIABLE, STATE_VARIABLE, StillAlive, end_survivors, mark, marks};
use crate::event::Usage;
use crate::proc::{self, Proc, start, tree};
use crate::sync::{lock, wait, wait_for};

/// A command that was started. Clones are handles of the same command; when the last one is dropped, the command's tree is
/// ended as if the runner had died.
#[derive(Debug, Clone)]
pub struct Process {
    pid: u32,
    start_time: u64,
    control: Arc<Mutex<ChildStdin>>,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Debug)]
struct Progress {
    exit: Option<Exit>,
    clock: RunningClock,
    /// When a supervisor that was asked to end and stands still is killed.
    end_by: Option<Instant>,
}

/// How often it is looked whether a supervisor stands still.
const LOOK: Duration = Duration::from_secs(1);
/// The same as long as it has not said that its command runs, and how often it is then let go on before it is killed.
const FIRST_LOOK: Duration = Duration::from_millis(100);
const FIRST_LOOKS: usize = 100;
/// What a supervisor gets to end, besides the grace of its tree.
const LATE: Duration = Duration::from_secs(5);

impl Process {
    /// Starts a command, and returns when its program runs. `optbuild` is the program whose `supervise` subcommand is the
    /// supervisor; `/proc/self/exe` stays the same one when the file is replaced.
    pub fn start(optbuild: &Utf8Path, launch: &Launch) -> Result<Process, StartError> {
        let failed = |cause: String| StartError::Supervisor { cause };
        let mut command = Command::new(optbuild);
        command.arg("supervise").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        // It is found like what it supervises.
        command.envs([RUN_VARIABLE, STATE_VARIABLE].iter().filter_map(|name| launch.env.get_key_value(*name)));
        let mut child = start_supervisor(&mut command)
            .map_err(|error| failed(format!("`{optbuild}` cannot be started: {error}")))?;
        let (Some(control), Some(reports)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(failed("it has no pipes".into()));
        };
        let clock = RunningClock::start();
        let pid = child.id();
        // Not yet waited for, hence there.
        let start_time = proc::process(pid as i32).map_or(0, |process| process.start_time);
        match begin(launch, control, reports, pid) {
            Ok((control, reports)) => {
                let progress = Mutex::new(Progress { exit: None, clock, end_by: None });
                let state = Arc::new(State { progress, changed: Condvar::new() });
                let told = Arc::clone(&state);
                let watch = move || {
                    let exit = watch(child, reports, || told.is_overdue());
                    told.finish(exit);
                };
                // Without the thread, nobody would hear of the end; dropping `control` ends what was started.
                start::thread("supervisor", watch).map_err(|error| failed(error.to_string()))?;
                Ok(Process { pid, start_time, control: Arc::new(Mutex::new(control)), state })
            }
            Err(error) => {
                wait_supervisor(&mut child);
                end_orphans();
                Err(error)
            }
        }
    }

    /// The supervisor's.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The supervisor's, in clock ticks since the machine was started: with the pid, it names the process for good.
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// How long the command has been running, without the time in which it was paused.
    pub fn running_time(&self) -> Duration {
        self.state.lock().clock.elapsed()
    }

    /// Waits until the command has exited and nothing of its tree is left.
    pub fn wait(&self) -> Exit {
        let mut progress = self.state.lock();
        loop {
            if let Some(exit) = &progress.exit {
                return exit.clone();
            }
            progress = wait(&self.state.changed, progress);
        }
    }

    /// Like [`Process::wait`], but none when the command has gone on running for so long; a pause does not count.
    pub fn wait_timeout(&self, timeout: Duration) -> Option<Exit> {
        let mut progress = self.state.lock();
        let end = progress.clock.elapsed().saturating_add(timeout);
        loop {
            if let Some(exit) = &progress.exit {
                return Some(exit.clone());
            }
            let left = end.saturating_sub(progress.clock.elapsed());
            if left.is_zero() {
                return None;
            }
            let changed = &self.state.changed;
            progress = match progress.clock.is_paused() {
                true => wait(changed, progress),
                false => wait_for(changed, progress, left),
            };
        }
    }

    /// Begins to end the whole tree, paused or not: SIGTERM, and after `grace` SIGKILL until nothing is left. Returns at once;
    /// [`Process::wait`] tells when it is done. May be repeated with a shorter grace; without grace there is no SIGTERM.
    pub fn end(&self, grace: Duration) {
        self.tell(Order::End { grace: u64::try_from(grace.as_millis()).unwrap_or(u64::MAX) });
        self.state.lock().end_within(grace);
        if proc::is_alive(self.pid, self.start_time) {
            let_go_on(self.pid, false);
        }
        self.set_paused(false);
    }

    /// Stops every process of the tree where it is. Returns at once.
    pub fn pause(&self) {
        self.tell(Order::Pause);
        self.set_paused(true);
    }

    /// Lets the tree go on.
    pub fn resume(&self) {
        self.tell(Order::Resume);
        self.set_paused(false);
    }

    fn set_paused(&self, paused: bool) {
        let mut progress = self.state.lock();
        if paused {
            progress.clock.pause();
        } else {
            progress.clock.resume();
        }
        drop(progress);
        self.state.changed.notify_all();
    }

    fn tell(&self, order: Order) {
        let mut control = lock(&self.control);
        // A supervisor that cannot be told anything has ended, and its tree with it.
        let _ = write_line(&mut control, &order);
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        lock(&self.progress)
    }

    /// Whether the supervisor was asked to end and should have.
    fn is_overdue(&self) -> bool {
        self.lock().end_by.is_some_and(|end_by| Instant::now() > end_by)
    }

    /// `exit` is none if the supervisor did not say.
    fn finish(&self, exit: Option<Exit>) {
        let mut progress = self.lock();
        let lost = || {
            let usage = Usage { wall: progress.clock.elapsed().as_secs_f64(), ..Usage::default() };
            Exit { status: ExitKind::Lost, usage, left_behind: Vec::new(), killed: Vec::new() }
        };
        progress.exit = Some(exit.unwrap_or_else(lost));
        drop(progress);
        self.changed.notify_all();
    }
}

impl Progress {
    fn end_within(&mut self, grace: Duration) {
        // Bounded, as a time that is too far away cannot be represented.
        let end_by = Instant::now() + grace.min(Duration::from_secs(24 * 3600)) + LATE;
        self.end_by = Some(self.end_by.map_or(end_by, |before| before.min(end_by)));
    }
}

/// Lets a supervisor go on that stands still, or kills it. Whoever has stopped it, often its own command, keeps it from ending its tree
/// and from noticing that it has ended. A pause of the run stops what is below it, and never itself.
fn let_go_on(pid: u32, kill: bool) {
    let process = proc::process(pid as i32).filter(proc::Proc::is_stopped);
    if let Some(pid) = process.and_then(|process| Pid::from_raw(process.pid)) {
        // What has ended meanwhile needs no signal.
        let _ = kill_process(pid, if kill { Signal::KILL } else { Signal::CONT });
    }
}

/// Hands the command over and hears whether it was started.
fn begin(
    launch: &Launch,
    mut control: ChildStdin,
    reports: ChildStdout,
    pid: u32,
) -> Result<(ChildStdin, BufReader<ChildStdout>), StartError> {
    let mut reports = BufReader::new(reports);
    let written = write_line(&mut control, launch);
    let mut looks = 0;
    let report = hear(&mut reports, FIRST_LOOK, || {
        looks += 1;
        let_go_on(pid, looks > FIRST_LOOKS);
    });
    match (report, written) {
        (Some(Report::Started), Ok(())) => Ok((control, reports)),
        (Some(Report::Refused(error)), _) => Err(error),
        (_, Err(error)) => Err(StartError::Supervisor { cause: format!("it does not listen: {error}") }),
        (_, Ok(())) => Err(StartError::Supervisor { cause: "it ended before it started the command".into() }),
    }
}

/// Waits for the supervisor's end, and sees to it that nothing of its tree is left even if it was killed.
fn watch(mut child: Child, mut reports: BufReader<ChildStdout>, is_overdue: impl Fn() -> bool) -> Option<Exit> {
    let pid = child.id();
    let exit = match hear(&mut reports, LOOK, || let_go_on(pid, is_overdue())) {
        Some(Report::Exited(exit)) => Some(exit),
        _ => None,
    };
    // Nothing is left for it to do, and one that has closed its pipe without a word cannot be relied on to end.
    let _ = child.kill();
    wait_supervisor(&mut child);
    if exit.is_none() {
        end_orphans();
    }
    exit
}

fn write_line(to: &mut ChildStdin, value: &impl serde::Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    to.write_all(&line)
}

/// Waits for the next report. `look` is called each time that there has been none for so long.
fn hear(reports: &mut BufReader<ChildStdout>, every: Duration, mut look: impl FnMut()) -> Option<Report> {
    let every = Timespec::try_from(every).ok();
    while reports.buffer().is_empty() {
        match poll(&mut [PollFd::new(reports.get_ref(), PollFlags::IN)], every.as_ref()) {
            Ok(0) => look(),
            Err(Errno::INTR) => {}
            // An error shows again in reading.
            Ok(_) | Err(_) => break,
        }
    }
    next_report(reports)
}

/// None when the supervisor has gone without another word.
fn next_report(reports: &mut BufReader<ChildStdout>) -> Option<Report> {
    let mut line = String::new();
    reports.read_line(&mut line).ok()?;
    serde_json::from_str(&line).ok()
}

/// The supervisors that were started and not yet waited for.
///
/// Held while one is started: until it is in the set, it looks like an orphan.
static SUPERVISORS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Starts a supervisor.
fn start_supervisor(command: &mut Command) -> io::Result<Child> {
    static SUBREAPER: Once = Once::new();
    SUBREAPER.call_once(|| {
        // Where it is refused, orphans of a killed supervisor go to init; all else works.
        if let Err(error) = set_child_subreaper(Some(getpid())) {
            tracing::warn!("processes of a killed supervisor cannot be found: {error}");
        }
    });
    // Not only when it runs: until then it would get what the terminal sends to this process's group.
    // SAFETY: between fork and exec only one system call is made, which is async-signal-safe: setsid.
    unsafe {
        command.pre_exec(|| setsid().map(drop).map_err(io::Error::from));
    }
    let mut supervisors = lock(&SUPERVISORS);
    let child = command.spawn()?;
    supervisors.insert(child.id() as i32);
    Ok(child)
}

/// Waits for a supervisor that has ended or is about to.
fn wait_supervisor(child: &mut Child) {
    // Fails only where somebody else has waited for it; then it has ended, too.
    let _ = child.wait();
    // Only now: a dead child that is not in the set would be taken for an orphan.
    lock(&SUPERVISORS).remove(&(child.id() as i32));
}

/// Kills everything that killed supervisors have left to this process. It is a subreaper too, so orphans become its children.
fn end_orphans() {
    let mut pause = Duration::from_millis(1);
    loop {
        let orphans = {
            let supervisors = lock(&SUPERVISORS);
            let orphans = orphans(&supervisors);
            tree::signal(&orphans, Signal::KILL);
            orphans
        };
        if orphans.is_empty() {
            return;
        }
        // Those that are not children of this process become so when their parents have ended.
        for orphan in &orphans {
            if let Some(pid) = Pid::from_raw(orphan.pid) {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Children of this process, and what is below them, that are in another session than this process, and that are no
/// supervisor: programs that optbuild runs without one stay in its session.
fn orphans(supervisors: &BTreeSet<i32>) -> Vec<Proc> {
    let Some(own) = proc::this() else { return Vec::new() };
    let all = proc::all();
    let roots: Vec<Proc> = all
        .iter()
        .filter(|process| process.parent == own.pid && process.session != own.session)
        .filter(|process| !supervisors.contains(&process.pid))
        .cloned()
        .collect();
    let below = tree::descendants(&all, roots.iter().map(|root| root.pid));
    roots.into_iter().chain(below).collect()
}
