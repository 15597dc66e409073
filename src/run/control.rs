//! Ends, pauses and continues everything that a run has started. Knows live processes, not stages.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::Utf8Path;

use super::process::{Exit, Launch, Process, StartError};
use crate::names::{StageName, StepId};
use crate::sync::lock;

/// How long a process tree has to end by itself before it is killed.
pub const GRACE: Duration = Duration::from_secs(10);

/// Shared between the signal handler, the scheduler and the threads of stages.
#[derive(Debug, Default)]
pub struct Control {
    live: Mutex<Live>,
    interrupted: AtomicBool,
    begun: AtomicBool,
}

#[derive(Debug, Default)]
struct Live {
    next: u64,
    paused: bool,
    processes: BTreeMap<u64, (Owner, Process)>,
    /// Those that stand still whether the run is paused or not.
    held: BTreeSet<u64>,
}

/// The step that a process belongs to.
#[derive(Debug, Clone)]
pub struct Owner {
    pub stage: StageName,
    pub step: StepId,
}

/// A command that is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub stage: StageName,
    pub step: StepId,
    /// The supervisor.
    pub pid: u32,
    pub start_time: u64,
}

/// Why a process was not started.
#[derive(Debug)]
pub enum NotStarted {
    Interrupted,
    Failed(StartError),
}

/// A process that [`Control`] knows until this is dropped.
#[derive(Debug)]
pub struct Watched {
    control: Arc<Control>,
    id: u64,
    pub process: Process,
}

impl Control {
    /// Starts a process unless the run was interrupted.
    pub fn start(self: &Arc<Self>, optbuild: &Utf8Path, launch: &Launch, owner: Owner) -> Result<Watched, NotStarted> {
        // The lock is held while it starts: an interrupt sees every process, or none starts after it.
        let mut live = lock(&self.live);
        if self.is_interrupted() {
            return Err(NotStarted::Interrupted);
        }
        let process = Process::start(optbuild, launch).map_err(NotStarted::Failed)?;
        if live.paused {
            process.pause();
        }
        let id = live.next;
        live.next += 1;
        live.processes.insert(id, (owner, process.clone()));
        Ok(Watched { control: Arc::clone(self), id, process })
    }

    /// From here on there may be something to end in order.
    pub fn begin(&self) {
        self.begun.store(true, Ordering::SeqCst);
    }

    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::SeqCst)
    }

    /// Whether the run was asked to end.
    pub fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::SeqCst)
    }

    /// Ends every process, and lets none start any more. Returns at once; the threads that wait for them notice.
    pub fn interrupt(&self, grace: Duration) {
        self.interrupted.store(true, Ordering::SeqCst);
        self.processes().iter().for_each(|process| process.end(grace));
    }

    /// Stops every process tree, also of what starts meanwhile, or lets it go on.
    pub fn pause(&self, pause: bool) {
        let mut live = lock(&self.live);
        live.paused = pause;
        for (_, (_, process)) in live.processes.iter().filter(|(id, _)| !live.held.contains(id)) {
            if pause { process.pause() } else { process.resume() }
        }
    }

    fn processes(&self) -> Vec<Process> {
        let live = lock(&self.live);
        live.processes.values().map(|(_, process)| process.clone()).collect()
    }

    /// The commands that are under way.
    pub fn trees(&self) -> Vec<Tree> {
        let live = lock(&self.live);
        let tree = |(owner, process): &(Owner, Process)| Tree {
            stage: owner.stage.clone(),
            step: owner.step.clone(),
            pid: process.pid(),
            start_time: process.start_time(),
        };
        live.processes.values().map(tree).collect()
    }
}

/// Stops and ends a process that somebody else waits for.
#[derive(Debug, Clone)]
pub struct Hold {
    control: Arc<Control>,
    id: u64,
}

impl Watched {
    /// For somebody who does not wait for it.
    pub fn hold(&self) -> Hold {
        Hold { control: Arc::clone(&self.control), id: self.id }
    }

    /// Waits for its end, or ends it when it has run for longer than `timeout`, and says whether it did. Time in which the run is
    /// paused does not count. Meanwhile `look` is called, which says when it is to be called next; or it breaks, and the process is ended.
    pub fn wait(&self, timeout: Option<Duration>, mut look: impl FnMut() -> ControlFlow<(), Duration>) -> (Exit, bool) {
        let until = timeout.map(|timeout| self.process.running_time().saturating_add(timeout));
        loop {
            let flow = look();
            let left = until.map(|until| until.saturating_sub(self.process.running_time()));
            let pause = match flow {
                ControlFlow::Continue(pause) => left.map_or(pause, |left| left.min(pause)),
                ControlFlow::Break(()) => break,
            };
            match self.process.wait_timeout(pause) {
                Some(exit) => return (exit, false),
                None if left.is_some_and(|left| left <= pause) => break,
                None => {}
            }
        }
        let timed_out = until.is_some_and(|until| self.process.running_time() >= until);
        self.process.end(GRACE);
        (self.process.wait(), timed_out)
    }
}

impl Hold {
    /// Stops the process tree where it is, or lets it go on unless the run is paused.
    pub fn set(&self, hold: bool) {
        let mut live = lock(&self.control.live);
        let changed = if hold { live.held.insert(self.id) } else { live.held.remove(&self.id) };
        let paused = live.paused;
        let Some((_, process)) = live.processes.get(&self.id).filter(|_| changed && !paused) else { return };
        if hold { process.pause() } else { process.resume() }
    }

    /// Begins to end the process tree.
    pub fn end(&self) {
        let live = lock(&self.control.live);
        if let Some((_, process)) = live.processes.get(&self.id) {
            process.end(GRACE);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut live = lock(&self.control.live);
        live.processes.remove(&self.id);
        live.held.remove(&self.id);
    }
}
