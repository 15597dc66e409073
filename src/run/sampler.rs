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
use crate::proc::{self, Proc};

/// Between two looks, in the first minutes.
const INTERVAL: Duration = Duration::from_secs(1);
/// A longer run is looked at so many times less often than once a second: what is drawn of it has a width, too.
const LOOKS: u32 = 600;
/// Between two looks, at most.
const LONGEST: Duration = Duration::from_secs(30);

/// After so many looks, processes of others are looked at again: one of ours may have got the pid of one that ended.
const FORGET: usize = 10;

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
        match std::thread::Builder::new().name("sampler".into()).spawn(look) {
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

fn interval(age: Duration) -> Duration {
    (age / LOOKS).clamp(INTERVAL, LONGEST)
}

/// Remembers what was seen last.
#[derive(Debug, Default)]
struct Looker {
    /// CPU seconds of each tree: a process that ends between two reads is in no account for a moment.
    last: HashMap<(u32, u64), f64>,
    /// Processes that are in no tree: on a machine with thousands, reading them again and again would be all the cost.
    others: HashSet<i32>,
    looks: usize,
}

impl Looker {
    fn look(
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

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum {
    ticks: u64,
    pages: u64,
    processes: usize,
}

/// What the processes below each supervisor used, and the processes that are in no tree. A process's time includes that of
/// children that it waited for, so the sum over the living is that of the whole tree.
fn sums(trees: &[Tree], all: &[Proc]) -> (Vec<Sum>, Vec<i32>) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::StepId;

    fn process(pid: i32, parent: i32, ticks: u64, pages: u64) -> Proc {
        let (group, session, state, threads, start_time, name) = (1, 1, 'S', 1, 7, String::new());
        Proc { pid, parent, group, session, state, threads, start_time, ticks, pages, name }
    }

    fn tree(pid: u32, start_time: u64) -> Tree {
        Tree { stage: "s".into(), step: StepId::step(&pid.to_string()), pid, start_time }
    }

    #[test]
    fn processes_count_for_the_tree_that_they_are_in() {
        let all = [
            // Of children that have ended.
            process(10, 1, 50, 9),
            process(11, 10, 3, 100),
            process(13, 12, 4, 10),
            process(12, 11, 2, 1),
            process(20, 1, 0, 9),
            process(21, 20, 7, 5),
            process(30, 1, 1000, 1000),
        ];
        let (sums, others) = sums(&[tree(10, 7), tree(20, 7), tree(40, 7)], &all);
        assert_eq!(others, [30]);
        assert_eq!(sums[0], Sum { ticks: 59, pages: 111, processes: 3 });
        assert_eq!(sums[1], Sum { ticks: 7, pages: 5, processes: 1 });
        assert_eq!(sums[2], Sum::default());
    }

    #[test]
    fn another_process_with_the_pid_is_not_meant() {
        let (sums, _) = sums(&[tree(10, 8)], &[process(10, 1, 5, 5), process(11, 10, 5, 5)]);
        assert_eq!(sums, [Sum::default()]);
    }

    #[test]
    fn circles_end() {
        let (sums, _) = sums(&[tree(10, 7)], &[process(5, 6, 1, 1), process(6, 5, 1, 1)]);
        assert_eq!(sums, [Sum::default()]);
    }

    #[test]
    fn time_does_not_go_back() {
        let mut looker = Looker::default();
        let mut cpu = |ticks| {
            let read = |pid| Some(if pid == 10 { process(10, 1, ticks, 0) } else { process(11, 10, 0, 1) });
            looker.look(&[tree(10, 7)], || vec![10, 11], read)[0].cpu
        };
        let first = cpu(200);
        assert!(first > 0.0);
        assert_eq!(cpu(100), first);
        assert_eq!(cpu(400), first * 2.0);
    }

    #[test]
    fn processes_of_others_are_read_now_and_then() {
        let reads = std::cell::RefCell::new(Vec::new());
        let mut looker = Looker::default();
        for _ in 0..FORGET {
            let read = |pid| {
                reads.borrow_mut().push(pid);
                Some(process(pid, if pid == 11 { 10 } else { 1 }, 1, 1))
            };
            looker.look(&[tree(10, 7)], || vec![1, 10, 11, 30], read);
        }
        let times = |pid| reads.borrow().iter().filter(|read| **read == pid).count();
        assert_eq!([1, 10, 11, 30].map(times), [2, FORGET, FORGET, 2]);
    }

    #[test]
    fn long_runs_are_looked_at_less_often() {
        let seconds = |age| interval(Duration::from_secs(age)).as_secs();
        assert_eq!([0, 600, 1200, 6000, 100_000].map(seconds), [1, 1, 2, 10, 30]);
    }
}
