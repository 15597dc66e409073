//! Looks at what the commands of a run use: CPU time and memory of each process tree. Unaware of what the commands are for.
//!
//! One look reads `/proc/PID/stat` of every process of a run, and of those that it does not know yet; `docs/report.md` says
//! what that costs.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::control::{Control, Tree};
use super::step::Events;
use crate::event::{Event, TreeSample};
use crate::proc::{self, Proc, start};

/// Between two looks, in the first minutes.
const INTERVAL: Duration = Duration::from_secs(1);
/// A longer run is looked at so many times less often than once a second: what is drawn of it has a width, too.
const LOOKS: u32 = 600;
/// Between two looks, at most.
const LONGEST: Duration = Duration::from_secs(30);

/// After so many looks, processes of others are looked at again: one of ours may have got the pid of one that ended.
pub const FORGET: usize = 10;

/// A thread that looks until this is dropped.
#[derive(Debug)]
pub struct Sampler {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Sampler {
    /// Begins to look. Without a thread for it, a run is only less well documented.
    pub fn start(control: &Arc<Control>, events: Events) -> Sampler {
        let (stop, stopped) = channel::<()>();
        let control: Weak<Control> = Arc::downgrade(control);
        let look = move || {
            let began = Instant::now();
            let mut looker = Looker::default();
            loop {
                match stopped.recv_timeout(interval(began.elapsed())) {
                    Err(RecvTimeoutError::Timeout) => {}
                    Ok(()) | Err(RecvTimeoutError::Disconnected) => return,
                }
                let Some(control) = control.upgrade() else { return };
                let trees = looker.look(&control.trees(), proc::pids, proc::process);
                if !trees.is_empty() {
                    events.send(Event::Sampled { trees });
                }
            }
        };
        match start::thread("sampler", look) {
            Ok(thread) => Sampler { stop: Some(stop), thread: Some(thread) },
            Err(error) => {
                tracing::debug!("no thread to sample processes: {error}");
                Sampler { stop: None, thread: None }
            }
        }
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The time between two looks at a run of this age.
pub fn interval(age: Duration) -> Duration {
    (age / LOOKS).clamp(INTERVAL, LONGEST)
}

/// Remembers what was seen last.
#[derive(Debug, Default)]
pub struct Looker {
    /// CPU seconds of each tree: a process that ends between two reads is in no account for a moment.
    last: HashMap<(u32, u64), f64>,
    /// Processes that are in no tree: on a machine with thousands, reading them again and again would be all the cost.
    others: HashSet<i32>,
    looks: usize,
}

impl Looker {
    /// Looks at the trees once. `pids` gives the processes of the machine, `read` what one of them uses.
    pub fn look(
        &mut self,
        trees: &[Tree],
        pids: impl FnOnce() -> Vec<i32>,
        read: impl Fn(i32) -> Option<Proc>,
    ) -> Vec<TreeSample> {
        if trees.is_empty() {
            self.last.clear();
            return Vec::new();
        }
        let (tick, page) = (rustix::param::clock_ticks_per_second() as f64, rustix::param::page_size() as u64);
        self.looks += 1;
        if self.looks.is_multiple_of(FORGET) {
            self.others.clear();
        }
        let unknown = pids().into_iter().filter(|pid| !self.others.contains(pid));
        let all: Vec<Proc> = unknown.filter_map(read).collect();
        let (sums, others) = sums(trees, &all);
        self.others.extend(others);
        let mut seen = HashMap::new();
        let samples = trees.iter().zip(sums).filter(|(_, sum)| sum.processes > 0).map(|(tree, sum)| {
            let id = (tree.pid, tree.start_time);
            let cpu = (sum.ticks as f64 / tick).max(self.last.get(&id).copied().unwrap_or(0.0));
            seen.insert(id, cpu);
            let (stage, step) = (tree.stage.clone(), tree.step.clone());
            TreeSample { stage, step, cpu, memory: sum.pages * page, processes: sum.processes }
        });
        let samples = samples.collect();
        self.last = seen;
        samples
    }
}

/// What the processes of a tree use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// CPU time.
    pub ticks: u64,
    /// Memory.
    pub pages: u64,
    /// Without the supervisor.
    pub processes: usize,
}

/// What the processes below each supervisor used, and the processes that are in no tree. A process's time includes that of
/// children that it waited for, so the sum over the living is that of the whole tree.
pub fn sums(trees: &[Tree], all: &[Proc]) -> (Vec<Sum>, Vec<i32>) {
    let parents: HashMap<i32, i32> = all.iter().map(|process| (process.pid, process.parent)).collect();
    let starts: HashMap<i32, u64> = all.iter().map(|process| (process.pid, process.start_time)).collect();
    let mut owners: HashMap<i32, Option<usize>> = HashMap::new();
    for (index, tree) in trees.iter().enumerate() {
        let pid = tree.pid as i32;
        // Another process may have got the pid.
        let same = starts.get(&pid) == Some(&tree.start_time);
        owners.insert(pid, same.then_some(index));
    }
    let mut sums = vec![Sum::default(); trees.len()];
    let mut others = Vec::new();
    for process in all {
        let mut path = Vec::new();
        let mut pid = process.pid;
        let owner = loop {
            if let Some(owner) = owners.get(&pid) {
                break *owner;
            }
            path.push(pid);
            match parents.get(&pid) {
                // A circle can be seen when a pid is given anew while all are read.
                Some(parent) if *parent > 0 && !path.contains(parent) => pid = *parent,
                _ => break None,
            }
        };
        owners.extend(path.into_iter().map(|pid| (pid, owner)));
        if owner.is_none() {
            others.push(process.pid);
        }
        if let Some(index) = owner {
            sums[index].ticks += process.ticks;
            // The supervisor is not the command; its time is what it waited for.
            if process.pid != trees[index].pid as i32 && !process.is_dead() {
                sums[index].pages += process.pages;
                sums[index].processes += 1;
            }
        }
    }
    (sums, others)
}
