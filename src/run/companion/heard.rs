//! What a companion says, and who waits for it. Unaware of how it was started.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::event::Event;
use crate::event::Fact;
use crate::names::StageName;
use crate::plan::companion::Said;
use crate::run::control::Hold;
use crate::run::step::Events;

/// What the companion has said.
#[derive(Debug, Default)]
pub struct Heard {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
pub struct State {
    pub next: u64,
    pub answers: BTreeMap<u64, Answer>,
    /// Workloads that run.
    pub running: BTreeMap<u64, Hold>,
    pub held: bool,
    /// Numbers of the whole pool.
    pub facts: Vec<Fact>,
    /// It has closed its output: it has ended.
    pub gone: bool,
}

#[derive(Debug)]
pub enum Answer {
    Ready,
    Done(Vec<Fact>),
    Failed { what: String, machine: bool },
}

impl Heard {
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears what the companion says, up to its end.
pub struct Listener {
    pub heard: Arc<Heard>,
    pub events: Events,
    pub stage: StageName,
}

impl Listener {
    /// Returns when it has closed its output.
    pub fn listen(&self, from: File) {
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
