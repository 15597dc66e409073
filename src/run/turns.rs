//! Which workload of a pool is next: those that must not run at the same time wait for each other. Unaware of what they do.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex};

use crate::plan::{Apart, Workload};
use crate::sync::{lock, wait};

/// Workloads that wait, and those that run.
pub(super) struct Turns<'a> {
    state: Mutex<State<'a>>,
    changed: Condvar,
}

struct State<'a> {
    waiting: VecDeque<&'a Workload>,
    running: Vec<Running<'a>>,
    over: bool,
}

struct Running<'a> {
    workload: &'a Workload,
    /// The names of those that ran at the same time.
    beside: Vec<&'a str>,
}

impl<'a> Turns<'a> {
    pub fn new(waiting: VecDeque<&'a Workload>) -> Turns<'a> {
        Turns { state: Mutex::new(State { waiting, running: Vec::new(), over: false }), changed: Condvar::new() }
    }

    /// The next workload, as soon as it may run. None: there is no other.
    pub fn take(&self) -> Option<&'a Workload> {
        let mut state = lock(&self.state);
        loop {
            if state.over || state.waiting.is_empty() {
                return None;
            }
            let next = state.waiting.iter().position(|workload| state.may_run(workload));
            if let Some(workload) = next.and_then(|next| state.waiting.remove(next)) {
                state.begin(workload);
                return Some(workload);
            }
            state = wait(&self.changed, state);
        }
    }

    /// A workload has ended. Returns the names of those that ran at the same time.
    pub fn end(&self, workload: &Workload) -> Vec<&'a str> {
        let mut state = lock(&self.state);
        let at = state.running.iter().position(|running| running.workload.name == workload.name);
        let beside = at.map(|at| state.running.remove(at).beside).unwrap_or_default();
        drop(state);
        self.changed.notify_all();
        beside
    }

    /// No other workload begins.
    pub fn stop(&self) {
        lock(&self.state).over = true;
        self.changed.notify_all();
    }
}

impl<'a> State<'a> {
    fn may_run(&self, workload: &Workload) -> bool {
        self.running.iter().all(|running| match (&running.workload.apart, &workload.apart) {
            (Apart::All, _) | (_, Apart::All) => false,
            (Apart::Lock(one), Apart::Lock(other)) => one != other,
            (Apart::None, _) | (_, Apart::None) => true,
        })
    }

    fn begin(&mut self, workload: &'a Workload) {
        for running in &mut self.running {
            running.beside.push(&workload.name);
        }
        let beside = self.running.iter().map(|running| running.workload.name.as_str()).collect();
        self.running.push(Running { workload, beside });
    }
}
