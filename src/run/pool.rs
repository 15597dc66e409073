//! Runs the workloads of a pool. Only a whole attempt counts: it is committed by one rename, after everything in it is on
//! disk; any other attempt leaves nothing behind.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

use super::event::{Event, Outcome, Usage};
use super::resolve::Resolver;
use super::step::{StepError, StepRunner, file_name};
use crate::op;
use crate::plan::{Pool, Symbol, Workload};
use crate::state::disk::{self, DiskError};
use crate::state::record::FactRecord;

/// How much of a workload's command is shown by an operation that has to complain of it.
const LONGEST_COMMAND: usize = 2000;

/// Runs every workload that is not committed yet, `jobs` at a time. After a failure no further one starts; those that run
/// finish, and count.
pub fn run(runner: &StepRunner, step: &str, pool: &Pool, resolver: &Resolver) -> Result<(), StepError> {
    let committed = place(runner, step, resolver, Symbol::Committed)?;
    let (already, waiting): (Vec<&Workload>, VecDeque<&Workload>) = split(pool, &committed);
    for workload in &already {
        let file = committed.join(file_name(&workload.name)).join(FACTS);
        let facts =
            read_facts(&file).map_err(|error| runner.broken_machine(&workload.name, format!("{file}: {error}")))?;
        runner.keep_facts(facts);
    }
    runner.events.send(Event::PoolStarted {
        stage: runner.stage.clone(),
        step: step.into(),
        workloads: pool.workloads.len(),
        committed: already.len(),
    });
    let threads = pool.jobs.min(runner.slots).min(waiting.len()).max(1);
    let waiting = Mutex::new(waiting);
    let first_error: Mutex<Option<StepError>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for slot in 0..threads {
            let (waiting, first_error) = (&waiting, &first_error);
            scope.spawn(move || {
                loop {
                    if first_error.lock().unwrap_or_else(PoisonError::into_inner).is_some() {
                        return;
                    }
                    let Some(workload) = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front() else {
                        return;
                    };
                    let slotted = resolver.clone().with(Symbol::Slot, slot.to_string());
                    if let Err(error) = run_workload(runner, step, pool, workload, &slotted) {
                        first_error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    }
                }
            });
        }
    });
    let result = first_error.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), Err);
    runner.events.send(Event::StepFinished {
        stage: runner.stage.clone(),
        step: step.into(),
        outcome: match &result {
            Ok(()) => Outcome::Done,
            Err(StepError::Interrupted) => Outcome::Interrupted,
            Err(StepError::Failed(_)) => Outcome::Failed,
        },
        // What it used is that of its workloads, each of which had an event of its own.
        usage: Usage::default(),
    });
    result
}

/// In the directory of a committed workload: what its operations reported, for the record of a stage that is resumed.
const FACTS: &str = "facts.json";

fn split<'a>(pool: &'a Pool, committed: &Utf8Path) -> (Vec<&'a Workload>, VecDeque<&'a Workload>) {
    let mut already = Vec::new();
    let mut waiting = VecDeque::new();
    for workload in &pool.workloads {
        if committed.join(file_name(&workload.name)).exists() {
            already.push(workload);
        } else {
            waiting.push_back(workload);
        }
    }
    (already, waiting)
}

fn read_facts(file: &Utf8Path) -> std::io::Result<Vec<FactRecord>> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

fn run_workload(
    runner: &StepRunner,
    step: &str,
    pool: &Pool,
    workload: &Workload,
    resolver: &Resolver,
) -> Result<(), StepError> {
    let mut attempt = 1;
    loop {
        match run_attempt(runner, step, pool, workload, resolver, attempt) {
            Err(StepError::Failed(failure)) => {
                discard(runner, &workload.name, &attempt_dir(runner, &workload.name, attempt, resolver)?);
                if attempt > runner.retries || failure.environment {
                    return Err(StepError::Failed(failure));
                }
                attempt += 1;
                runner.retrying(&workload.name, attempt, runner.retries);
            }
            other => return other,
        }
    }
}

/// Removes what an attempt has written that does not count: gigabytes of profiles, often. They do not count in any case.
fn discard(runner: &StepRunner, workload: &str, dir: &Utf8Path) {
    if let Err(error) = disk::discard(dir) {
        let text = format!("what workload `{workload}` has left was not removed: {error}");
        runner.events.send(Event::Note { stage: runner.stage.clone(), text });
    }
}

fn attempt_dir(
    runner: &StepRunner,
    workload: &str,
    attempt: u32,
    resolver: &Resolver,
) -> Result<Utf8PathBuf, StepError> {
    Ok(place(runner, workload, resolver, Symbol::Attempt)?.join(format!("{}.{attempt}", file_name(workload))))
}

fn run_attempt(
    runner: &StepRunner,
    step: &str,
    pool: &Pool,
    workload: &Workload,
    resolver: &Resolver,
    attempt: u32,
) -> Result<(), StepError> {
    let attempts = place(runner, step, resolver, Symbol::Attempt)?;
    let dir = attempt_dir(runner, &workload.name, attempt, resolver)?;
    let io = |error: DiskError| runner.broken_machine(&workload.name, error.to_string());
    disk::make_empty_dir(&dir).map_err(io)?;
    let resolver = resolver.clone().with(Symbol::Attempt, dir.as_str());
    let mut facts = Vec::new();
    for prepare in &pool.prepare {
        facts.extend(runner.run_in_pool(&workload.name, prepare, &resolver)?);
    }
    match runner.command(&workload.name, &workload.command, &resolver) {
        Err(StepError::Failed(failure)) if workload.may_fail && !failure.environment => {
            runner.events.send(Event::Note {
                stage: runner.stage.clone(),
                text: format!("workload `{}` {}; its profiles count (keep-profiles)", workload.name, failure.what),
            });
        }
        other => other?,
    }
    let mut after = resolver.clone();
    if let Ok(ran) = resolver.pasteable(&workload.command) {
        after.base_env.insert(op::RAN.into(), ran.chars().take(LONGEST_COMMAND).collect());
    }
    for commit in &pool.commit {
        facts.extend(runner.run_in_pool(&workload.name, commit, &after)?);
    }
    let text = serde_json::to_vec(&facts).map_err(|error| runner.broken(&workload.name, error.to_string()))?;
    disk::write_whole(&dir.join(FACTS), &text).map_err(io)?;
    disk::sync_tree(&dir, &attempts).map_err(io)?;
    let committed = place(runner, step, &resolver, Symbol::Committed)?;
    disk::rename_durably(&dir, &committed.join(file_name(&workload.name))).map_err(io)?;
    runner.keep_facts(facts);
    runner.events.send(Event::WorkloadCommitted {
        stage: runner.stage.clone(),
        workload: workload.name.clone(),
        attempt,
    });
    Ok(())
}

fn place(runner: &StepRunner, step: &str, resolver: &Resolver, symbol: Symbol) -> Result<Utf8PathBuf, StepError> {
    match resolver.symbols.get(&symbol) {
        Some(path) => Ok(path.into()),
        None => Err(runner.broken(step, format!("`{}` has no value in this step", symbol.name()))),
    }
}

impl StepRunner {
    /// A step around a workload; its log is named after both. Not repeated by itself: the workload is, from its start.
    fn run_in_pool(
        &self,
        workload: &str,
        step: &crate::plan::Step,
        resolver: &Resolver,
    ) -> Result<Vec<FactRecord>, StepError> {
        let name = format!("{workload}-{}", step.name);
        match &step.action {
            crate::plan::Action::Command(command) => self.command(&name, command, resolver).map(|()| Vec::new()),
            crate::plan::Action::Op(op) => self.op(&name, op, resolver),
            crate::plan::Action::Pool(_) => Err(self.broken(&name, "a pool inside of a pool".into())),
        }
    }
}
