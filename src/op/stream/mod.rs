//! `op stream-merge`: merges the profiles of workloads while they run. A pool's companion.
//!
//! Each attempt has a sum of its own, which stands in its directory when it ends and counts from the rename on that commits the
//! attempt. Unaware of how workloads run, and of what becomes of the sums.

mod attempt;
pub mod budget;
mod partial;
pub mod silent;
pub mod store;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::{BufRead, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use anyhow::{Context, Error, Result};
use camino::Utf8PathBuf;

use crate::event::Fact;
use crate::op::merge::choice;
use crate::plan::companion::{Said, Told};
use crate::plan::ops::given::StreamMerge;
use crate::proc::start;
use crate::profile::kind::Counted;
use crate::profile::raw::Reason;
use crate::profile::weights::Weights;
use crate::state::manifest;
use crate::stdio;
use attempt::Attempt;
use budget::{Budget, Room};

/// What the threads of a companion share.
struct Shared {
    args: StreamMerge,
    weights: Weights,
    budget: Budget,
    /// For damaged profiles.
    room: Room,
    runner: Arc<Runner>,
    answers: Mutex<ToolAnswers>,
    /// Held while sums of workloads become one.
    store: Mutex<()>,
}

/// What the tool has said of profiles, so that it is asked once about each binary.
#[derive(Default)]
struct ToolAnswers {
    /// Headers of binaries whose profiles it reads.
    reads: HashSet<Vec<u8>>,
    /// Versions that it does not, with the file that it was asked about and what it said.
    refuses: HashMap<u32, Reason>,
    /// What the counts are of, in the first profile that it read: those of another kind are not added to them.
    counted: Option<(Counted, Utf8PathBuf)>,
}

/// Who started this, at the other end of standard output: is told things, a line at a time.
struct Runner(Mutex<std::io::Stdout>);

impl Runner {
    fn say(&self, said: &Said) {
        let Ok(mut line) = serde_json::to_vec(said) else { return };
        line.push(b'\n');
        let mut out = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A runner that does not listen is gone, which the end of standard input says as well.
        if let Err(error) = out.write_all(&line).and_then(|()| out.flush()) {
            tracing::debug!("the runner is gone: {error}");
        }
    }

    fn failed(&self, id: u64, error: &anyhow::Error) {
        let what = format!("{error:#}");
        stdio::say(&format!("attempt {id} failed: {}", what.lines().next().unwrap_or_default()));
        self.say(&Said::Failed { id, what, machine: manifest::is_to_blame(error) });
    }
}

impl StreamMerge {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        store::sweep(&self.committed)?;
        let runner = Arc::new(Runner(Mutex::new(std::io::stdout())));
        let budget = Budget::new(self.disk_budget, Arc::clone(&runner));
        let room = Room::new(&self.committed, self.disk_budget)?;
        let tool = choice::fitting(&self.tool, self.of_build.as_deref())?;
        let args = StreamMerge { tool, ..self.clone() };
        let (answers, store) = (Mutex::default(), Mutex::default());
        let weights = Weights::parse(self.balance, &self.weight).map_err(Error::msg)?;
        let shared = Arc::new(Shared { args, weights, budget, room, runner, answers, store });
        let mut attempts: BTreeMap<u64, Attempt> = BTreeMap::new();
        let mut ending: Vec<JoinHandle<()>> = Vec::new();
        for line in std::io::stdin().lock().lines() {
            let line = line.context("cannot read what the runner says")?;
            let told = serde_json::from_str(&line).with_context(|| format!("the runner said `{line}`"))?;
            ending.retain(|thread| !thread.is_finished());
            match told {
                Told::Begin { id, workload, slot, dir, command } => {
                    match Attempt::begin(&shared, id, &workload, slot, dir, command) {
                        Ok(attempt) => {
                            attempts.insert(id, attempt);
                            shared.runner.say(&Said::Ready { id });
                        }
                        Err(error) => shared.runner.failed(id, &error),
                    }
                }
                // Merging the rest takes a moment, in which other workloads begin and end.
                Told::End { id, counts } => {
                    let Some(attempt) = attempts.remove(&id) else {
                        shared.runner.say(&Said::Done { id, facts: Vec::new() });
                        continue;
                    };
                    let runner = Arc::clone(&shared.runner);
                    ending.push(start::thread("end", move || match attempt.end(counts) {
                        Ok(facts) => runner.say(&Said::Done { id, facts }),
                        Err(error) => runner.failed(id, &error),
                    })?);
                }
                Told::Committed { .. } => {
                    let shared = Arc::clone(&shared);
                    ending.push(start::thread("absorb", move || shared.absorb())?);
                }
                Told::Finish => {
                    for thread in ending {
                        // What it had to say, it has said.
                        let _ = thread.join();
                    }
                    shared.runner.say(&Said::Facts(vec![shared.budget.peak()]));
                    return Ok(Vec::new());
                }
            }
        }
        // The runner is gone: what is under way does not count.
        Ok(Vec::new())
    }
}

impl Shared {
    /// Makes one sum of those of many workloads, so that they do not pile up.
    fn absorb(&self) {
        let _one = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        let args = &self.args;
        if let Err(error) = store::absorb(&args.committed, args.format, &args.tool, args.disk_budget / 4) {
            // They count as they are, too.
            stdio::say(&format!("sums of workloads stay apart: {error:#}"));
        }
    }
}
