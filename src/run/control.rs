//! Ends, pauses and continues everything that a run has started. Knows live processes, not stages.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8Path;

use super::process::{Exit, Launch, Process, StartError};
use super::sampler::Tree;
use crate::names::{StageName, StepId};

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
    processes: BTreeMap<u64, (Of, Process)>,
    /// Those that stand still whether the run is paused or not.
    held: BTreeSet<u64>,
}

/// What a process belongs to.
#[derive(Debug, Clone)]
pub struct Of {
    pub stage: StageName,
    pub step: StepId,
}

/// Why a process was not started.
#[derive(Debug)]
pub enum NotStarted {
    Interrupted,
    Failed(StartError),
}

/// How a watched process ended.
#[derive(Debug)]
pub enum Ended {
    By(Exit),
    /// It was ended because it ran longer than it may.
    TimedOut(Exit),
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
    pub fn start(self: &Arc<Self>, optbuild: &Utf8Path, launch: &Launch, of: Of) -> Result<Watched, NotStarted> {
        // The lock is held while it starts: an interrupt sees every process, or none starts after it.
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_interrupted() {
            return Err(NotStarted::Interrupted);
        }
        let process = Process::start(optbuild, launch).map_err(NotStarted::Failed)?;
        if live.paused {
            process.pause();
        }
        let id = live.next;
        live.next += 1;
        live.processes.insert(id, (of, process.clone()));
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
        let mut live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.paused = pause;
        for (_, (_, process)) in live.processes.iter().filter(|(id, _)| !live.held.contains(id)) {
            if pause { process.pause() } else { process.resume() }
        }
    }

    fn processes(&self) -> Vec<Process> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.processes.values().map(|(_, process)| process.clone()).collect()
    }

    /// The commands that are under way.
    pub fn trees(&self) -> Vec<Tree> {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let tree = |(of, process): &(Of, Process)| Tree {
            stage: of.stage.clone(),
            step: of.step.clone(),
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

    /// Waits for its end, or ends it when it has run for longer than `timeout`. Time in which the run is paused does not count.
    pub fn wait(&self, timeout: Option<Duration>) -> Ended {
        let Some(timeout) = timeout else {
            return Ended::By(self.process.wait());
        };
        if let Some(exit) = self.process.wait_timeout(timeout) {
            return Ended::By(exit);
        }
        self.process.end(GRACE);
        Ended::TimedOut(self.process.wait())
    }
}

impl Hold {
    /// Stops the process tree where it is, or lets it go on unless the run is paused.
    pub fn set(&self, hold: bool) {
        let mut live = self.control.live.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = if hold { live.held.insert(self.id) } else { live.held.remove(&self.id) };
        let paused = live.paused;
        let Some((_, process)) = live.processes.get(&self.id).filter(|_| changed && !paused) else { return };
        if hold { process.pause() } else { process.resume() }
    }

    /// Begins to end the process tree.
    pub fn end(&self) {
        let live = self.control.live.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, process)) = live.processes.get(&self.id) {
            process.end(GRACE);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let mut live = self.control.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.processes.remove(&self.id);
        live.held.remove(&self.id);
    }
}
