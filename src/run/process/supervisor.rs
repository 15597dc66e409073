//! `optbuild supervise`: runs one command and sees to it that its whole process tree ends.
//!
//! A supervisor leads a session of its own, so a terminal's signals do not reach the tree, and is the subreaper of everything
//! below it, so what a daemon leaves behind becomes its child. It ends the tree when the command has exited, when the runner
//! asks, and when the runner is gone, which it sees by the end of its standard input. One thread; unaware of stages and steps.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Signal, WaitOptions, WaitStatus, getpid, set_child_subreaper, setsid, wait};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::census::Census;
use super::protocol::{Exit, ExitKind, Launch, Order, Report, RunningClock, StartError};
use super::spawn;
use crate::event::Usage;
use crate::plan::census::Ending;
use crate::proc::{self, tree};

/// How long processes that outlive the command may take to exit by themselves, where it does not say: many do so at that very moment.
const LEAVE: Duration = Duration::from_millis(100);
/// Between SIGTERM and SIGKILL, where the runner did not say, for it is gone.
const GRACE: Duration = Duration::from_secs(2);
/// Between two rounds of SIGKILL: the first, growing up to the last.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(20);
/// How many children are waited for before anything else is looked at.
const REAP: usize = 256;
/// How long it is tried to kill processes that do not take signals from this user (set-user-ID programs).
const GIVE_UP: Duration = Duration::from_secs(10);

/// Runs the command that standard input describes. The report, also of failures, is on standard output.
pub fn supervise() -> ExitCode {
    let report = match run() {
        Ok(exit) => Report::Exited(exit),
        Err(error) => Report::Refused(error),
    };
    let code = if matches!(report, Report::Exited(_)) { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    say(&report);
    code
}

/// A runner that is gone cannot be told anything.
fn say(report: &Report) {
    if let Ok(mut line) = serde_json::to_string(report) {
        line.push('\n');
        let mut out = io::stdout().lock();
        let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
    }
}

fn run() -> Result<Exit, StartError> {
    let failed =
        |what: &str, error: &dyn std::fmt::Display| StartError::Supervisor { cause: format!("{what}: {error}") };
    // Fails for the leader of a session, which it is already when a runner has started it.
    let _ = setsid();
    set_child_subreaper(Some(getpid())).map_err(|error| failed("cannot become a subreaper", &error))?;
    let wakeup = Wakeup::install().map_err(|error| failed("cannot handle signals", &error))?;
    let mut orders = Orders::new();
    let launch: Launch = orders.launch().map_err(|error| failed("cannot read the command", &error))?;

    let census = launch.census.as_deref().map(Census::begin).transpose();
    let census = census.map_err(|error| failed("cannot list processes", &error))?;
    let clock = RunningClock::start();
    let child = spawn::spawn(&launch)?;
    say(&Report::Started);
    let supervisor = Supervisor {
        command: child.id() as i32,
        status: None,
        phase: Phase::Running,
        leave: launch.leave.unwrap_or(LEAVE),
        clock,
        grace: launch.grace,
        census,
        left_behind: Vec::new(),
        killed: Vec::new(),
        orders,
        wakeup,
    };
    supervisor.watch().map_err(|error| failed("cannot wait for the command", &error))
}

struct Supervisor {
    command: i32,
    /// The command's, when it has exited.
    status: Option<WaitStatus>,
    phase: Phase,
    /// See [`LEAVE`].
    leave: Duration,
    clock: RunningClock,
    /// What processes get that outlive the command.
    grace: Duration,
    census: Option<Census>,
    left_behind: Vec<String>,
    killed: Vec<String>,
    orders: Orders,
    wakeup: Wakeup,
}

/// On the way from a running tree to none. Each phase follows from the one before, or is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    /// The command has exited; what is left of its tree gets a moment.
    Leaving {
        until: Instant,
    },
    /// SIGTERM was sent.
    Ending {
        until: Instant,
    },
    /// SIGKILL is sent until nothing is left.
    Killing {
        since: Instant,
        pause: Duration,
        next: Instant,
    },
}

/// What [`Supervisor::reap`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Children {
    /// No child, hence no descendant.
    None,
    Running,
    /// There may be more that have ended.
    More,
}

impl Supervisor {
    /// Returns when nothing of the tree is left.
    fn watch(mut self) -> io::Result<Exit> {
        loop {
            let children = self.reap()?;
            if children == Children::None {
                break;
            }
            if self.status.is_some() && self.phase == Phase::Running {
                self.phase = Phase::Leaving { until: Instant::now() + self.leave };
            }
            let deadline = match self.phase {
                Phase::Running => None,
                Phase::Leaving { until } | Phase::Ending { until } => Some(until),
                Phase::Killing { next, .. } => Some(next),
            };
            if let Some(census) = &mut self.census {
                census.look();
            }
            let wake = deadline.into_iter().chain(self.census.as_ref().map(Census::next)).min();
            self.sleep(if children == Children::More { Some(Instant::now()) } else { wake })?;
            if self.wakeup.asked_to_end() {
                self.end(GRACE);
            }
            while let Some(order) = self.orders.next() {
                self.obey(order);
            }
            if self.orders.ended_now() {
                self.end(GRACE);
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) && !self.next_phase() {
                break;
            }
        }
        Ok(self.exit())
    }

    /// Takes the status of children that have ended, adopted ones too. Not of all at once, for a tree can make them faster than
    /// they are taken.
    fn reap(&mut self) -> io::Result<Children> {
        for _ in 0..REAP {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) => {
                    let pid = pid.as_raw_nonzero().get();
                    if let Some(census) = &mut self.census {
                        census.ended(pid, ending(status));
                    }
                    if pid == self.command {
                        self.status = Some(status);
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) => return Ok(Children::Running),
                Err(Errno::CHILD) => return Ok(Children::None),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Children::More)
    }

    /// Until a child changes, the runner says something or leaves, or the time has come.
    fn sleep(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let stdin = io::stdin();
        let mut fds = vec![PollFd::new(&self.wakeup.pipe, PollFlags::IN)];
        if !self.orders.ended {
            fds.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let timeout = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        if fds.get(1).is_some_and(|fd| !fd.revents().is_empty()) {
            self.orders.read();
        }
        self.wakeup.clear();
        Ok(())
    }

    fn obey(&mut self, order: Order) {
        match order {
            Order::End { grace } => self.end(Duration::from_millis(grace)),
            Order::Pause if !self.clock.is_paused() && matches!(self.phase, Phase::Running | Phase::Leaving { .. }) => {
                self.clock.pause();
                tree::stop_own_tree();
            }
            Order::Pause => {}
            Order::Resume => self.go_on(),
        }
    }

    fn go_on(&mut self) {
        if self.clock.is_paused() {
            self.clock.resume();
            tree::continue_own_tree();
        }
    }

    /// Begins to end the tree, or hurries if it has begun.
    fn end(&mut self, grace: Duration) {
        // Bounded, as a time that is too far away cannot be represented.
        let latest = Instant::now() + grace.min(Duration::from_secs(24 * 3600));
        match self.phase {
            Phase::Killing { .. } => {}
            _ if grace.is_zero() => self.kill(),
            Phase::Ending { until } => self.phase = Phase::Ending { until: until.min(latest) },
            Phase::Running | Phase::Leaving { .. } => {
                self.phase = Phase::Ending { until: latest };
                // A stopped process gets the signal when it goes on, so that it can end in order. Not only what was paused here
                // may be stopped.
                let tree = tree::own_tree();
                tree::signal(&tree, Signal::TERM);
                tree::signal(&tree, Signal::CONT);
                self.clock.resume();
            }
        }
    }

    fn kill(&mut self) {
        self.clock.resume();
        tree::kill_own_tree();
        let now = Instant::now();
        self.phase = Phase::Killing { since: now, pause: FIRST_PAUSE, next: now + FIRST_PAUSE };
    }

    /// The time of a phase is over. False: what is left cannot be ended by this user.
    fn next_phase(&mut self) -> bool {
        match self.phase {
            Phase::Running => {}
            // Nobody leaves while the tree is paused.
            Phase::Leaving { .. } if self.clock.is_paused() => {
                self.phase = Phase::Leaving { until: Instant::now() + self.leave };
            }
            Phase::Leaving { .. } => {
                self.left_behind = living();
                self.end(self.grace);
            }
            Phase::Ending { .. } => {
                if !self.left_behind.is_empty() {
                    self.killed = living();
                }
                if let Some(census) = &mut self.census {
                    census.too_slow();
                }
                self.kill();
            }
            Phase::Killing { since, pause, .. } => {
                let refused = tree::kill_own_tree();
                if refused && since.elapsed() > GIVE_UP {
                    return false;
                }
                let now = Instant::now();
                let since = if refused { since } else { now };
                let pause = (pause * 2).min(LAST_PAUSE);
                self.phase = Phase::Killing { since, pause, next: now + pause };
            }
        }
        true
    }

    fn exit(&self) -> Exit {
        let status = match self.status.map(ending) {
            Some(Ending::Code(code)) => ExitKind::Code(code),
            Some(Ending::Signal(signal)) => ExitKind::Signal(signal),
            _ => ExitKind::Lost,
        };
        let (left_behind, killed) = (self.left_behind.clone(), self.killed.clone());
        Exit { status, usage: usage(&self.clock), left_behind, killed }
    }
}

fn ending(status: WaitStatus) -> Ending {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => Ending::Code(code),
        (None, Some(signal)) => Ending::Signal(signal),
        (None, None) => Ending::Unknown,
    }
}

/// The names of the processes that live below this one.
fn living() -> Vec<String> {
    tree::own_tree().into_iter().filter(|process| !process.is_dead()).map(|process| process.name).collect()
}

fn usage(clock: &RunningClock) -> Usage {
    let used = proc::used_by_children().unwrap_or_default();
    Usage { wall: clock.elapsed().as_secs_f64(), user: used.user, system: used.system, peak_memory: used.peak_memory }
}

/// Standard input: a launch, then orders, then the end, which says that the runner is gone. Reads it unbuffered, since it is
/// also polled.
struct Orders {
    buffer: VecDeque<u8>,
    ended: bool,
    end_told: bool,
}

impl Orders {
    fn new() -> Orders {
        Orders { buffer: VecDeque::new(), ended: false, end_told: false }
    }

    /// The first line; waits for it.
    fn launch(&mut self) -> io::Result<Launch> {
        loop {
            if let Some(line) = self.line() {
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the runner is gone"));
            }
            self.read();
        }
    }

    /// The next order that has arrived.
    fn next(&mut self) -> Option<Order> {
        while let Some(line) = self.line() {
            // What cannot be understood comes from no runner of this version; the end of the input still ends the tree.
            if let Ok(order) = serde_json::from_slice(&line) {
                return Some(order);
            }
        }
        None
    }

    /// True once, when the runner is gone.
    fn ended_now(&mut self) -> bool {
        self.ended && !std::mem::replace(&mut self.end_told, true)
    }

    /// Takes what there is, or waits for something.
    fn read(&mut self) {
        let mut bytes = [0; 65536];
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) => self.ended = true,
            Ok(n) => self.buffer.extend(&bytes[..n]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.ended = true,
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        Some(self.buffer.drain(..=end).collect())
    }
}

/// The signals that a supervisor gets, as something that can be polled: children that ended, and wishes to end.
struct Wakeup {
    pipe: UnixStream,
    end: Arc<AtomicBool>,
}

impl Wakeup {
    fn install() -> io::Result<Wakeup> {
        let (pipe, handler) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let end = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&end))?;
            signal_hook::low_level::pipe::register(signal, handler.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(SIGCHLD, handler)?;
        Ok(Wakeup { pipe, end })
    }

    /// To be called before what the signals may have told is looked at.
    fn clear(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.pipe.read(&mut bytes), Ok(n) if n == bytes.len()) {}
    }

    /// Whether there was a signal to end, once for each time it is asked.
    fn asked_to_end(&self) -> bool {
        self.end.swap(false, Ordering::SeqCst)
    }
}
