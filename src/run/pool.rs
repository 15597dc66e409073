//! Runs the workloads of a pool. Only a whole attempt counts: it is committed by one rename, after everything in it is on
//! disk; any other attempt leaves nothing behind.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};

use super::by_hand;
use super::companion::Companion;
use super::resolve::Resolver;
use super::step::{StepError, StepRunner, in_its_words};
use super::turns::Turns;
use crate::event::{Event, Fact, Outcome, Usage};
use crate::fs::disk::{self, DiskError};
use crate::names::StepId;
use crate::plan::{Action, Pool, RAN, Step, Symbol, WORKLOAD, Workload};
use crate::proc::start;
use crate::sync::{into_inner, lock};
use crate::text::{self, file_name::file_name};

/// How much of a workload's command is shown by an operation that has to complain of it.
const LONGEST_COMMAND: usize = 2000;

/// Runs every workload that is not committed yet, `jobs` at a time. After a failure no further one starts; those that run
/// finish, and count.
pub fn run(runner: &StepRunner, step: &StepId, pool: &Pool, resolver: &Resolver) -> Result<(), StepError> {
    let committed = place(runner, step, resolver, Symbol::Committed)?;
    let (already, waiting): (Vec<&Workload>, VecDeque<&Workload>) = split(pool, &committed);
    for workload in &already {
        let file = committed.join(file_name(&workload.name)).join(FACTS);
        let facts = read_facts(&file)
            .map_err(|error| runner.broken_machine(&StepId::workload(&workload.name), format!("{file}: {error}")))?;
        // Of an earlier run, and still part of what the stage makes.
        runner.keep_facts(facts.into_iter().map(|fact| runner.recorded(fact)).collect());
    }
    runner.events.send(Event::PoolStarted {
        stage: runner.stage.clone(),
        step: step.clone(),
        workloads: pool.workloads.len(),
        committed: already.len(),
    });
    let threads = pool.jobs.min(runner.slots).min(waiting.len()).max(1);
    let companions = Companions { runner, pool, resolver, current: Mutex::new(None) };
    let turns = Turns::new(waiting);
    let first_error: Mutex<Option<StepError>> = Mutex::new(None);
    let work = |slot: usize| {
        while let Some(workload) = turns.take() {
            let slotted = resolver.clone().with(Symbol::Slot, slot.to_string());
            let ended = run_workload(runner, step, pool, workload, slot, &slotted, &companions);
            if ended.is_err() {
                turns.stop();
            }
            let beside = turns.end(workload);
            if let Err(error) = ended {
                if matches!(error, StepError::Failed(_)) && !beside.is_empty() {
                    let what = format!(
                        "`{}` failed while others ran: {}. Where workloads want the same port or file, `alone = true` or the same \
                         `lock` keeps them apart",
                        workload.name,
                        text::few(&beside)
                    );
                    // Notes are not shown to everybody.
                    runner.warn(&format!("others beside {}", workload.name), what);
                }
                lock(&first_error).get_or_insert(error);
            }
        }
    };
    std::thread::scope(|scope| {
        let work = &work;
        for slot in 1..threads {
            // Fewer workloads at once take longer, and are all run.
            if let Err(error) = start::scoped(scope, "workloads", move || work(slot)) {
                runner.note(format!("{slot} of {threads} workloads run at once: {error}"));
                break;
            }
        }
        work(0);
    });
    let result = into_inner(first_error).map_or(Ok(()), Err);
    let result = companions.end(result);
    runner.events.send(Event::StepFinished {
        stage: runner.stage.clone(),
        step: step.clone(),
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

fn read_facts(file: &Utf8Path) -> std::io::Result<Vec<Fact>> {
    Ok(serde_json::from_slice(&std::fs::read(file)?)?)
}

/// The companion of a pool; another one after it has died with the attempts that were under way.
struct Companions<'a> {
    runner: &'a StepRunner,
    pool: &'a Pool,
    resolver: &'a Resolver,
    current: Mutex<Option<Arc<Companion>>>,
}

impl Companions<'_> {
    /// The one that runs, if the pool has one.
    fn current(&self) -> Result<Option<Arc<Companion>>, StepError> {
        let Some(planned) = &self.pool.companion else { return Ok(None) };
        let mut current = lock(&self.current);
        if let Some(companion) = current.as_ref().filter(|companion| !companion.is_gone()) {
            return Ok(Some(Arc::clone(companion)));
        }
        if let Some(dead) = current.take() {
            dead.stop(self.runner);
        }
        let scratch = place(self.runner, &StepId::step(&planned.name), self.resolver, Symbol::Scratch)?;
        let companion = Arc::new(Companion::start(self.runner, planned, self.resolver, &scratch)?);
        *current = Some(Arc::clone(&companion));
        Ok(Some(companion))
    }

    /// Lets it finish when all went well, and ends it otherwise.
    fn end(self, result: Result<(), StepError>) -> Result<(), StepError> {
        let current = into_inner(self.current);
        let Some(companion) = current else { return result };
        if result.is_err() {
            companion.stop(self.runner);
            return result;
        }
        let facts = companion.finish(self.runner)?;
        self.runner.keep_facts(facts.into_iter().map(|fact| self.runner.fact(companion.step(), fact)).collect());
        Ok(())
    }
}

fn run_workload(
    runner: &StepRunner,
    step: &StepId,
    pool: &Pool,
    workload: &Workload,
    slot: usize,
    resolver: &Resolver,
    companions: &Companions,
) -> Result<(), StepError> {
    let mut attempt = 1;
    loop {
        let companion = companions.current()?;
        let run = Attempt { runner, step, pool, workload, slot, number: attempt, companion: companion.as_deref() };
        match run.run(resolver) {
            Err(StepError::Failed(failure)) => {
                let dir = attempt_dir(runner, &workload.name, attempt, resolver)?;
                let last = attempt > runner.retries || failure.environment;
                // Where a disk is full, nothing is kept.
                let kept = pool.kept.as_deref().filter(|_| last && !failure.environment);
                discard(runner, &workload.name, &dir, kept);
                if last {
                    return Err(StepError::Failed(failure));
                }
                attempt += 1;
                runner.retrying(&StepId::workload(&workload.name), attempt, runner.retries);
            }
            other => return other,
        }
    }
}

/// Removes what an attempt has written that does not count: gigabytes of profiles, often. They do not count in any case. What is kept
/// for people stays until the stage begins again.
fn discard(runner: &StepRunner, workload: &str, dir: &Utf8Path, kept: Option<&str>) {
    let not_removed =
        |error: DiskError| runner.note(format!("what workload `{workload}` has left was not removed: {error}"));
    let place = kept.map(|kept| dir.join(kept));
    let place = place.filter(|place| place.read_dir_utf8().is_ok_and(|mut entries| entries.next().is_some()));
    let (Some(kept), Some(place)) = (kept, place) else {
        return disk::discard(dir).unwrap_or_else(not_removed);
    };
    for name in disk::names_in(dir).unwrap_or_default().iter().filter(|name| *name != kept) {
        disk::discard(&dir.join(name)).unwrap_or_else(not_removed);
    }
    let what = format!("what workload `{workload}` left in its directory is kept until the stage runs again: {place}");
    runner.warn(&format!("the directory of {workload}"), what);
}

fn attempt_dir(
    runner: &StepRunner,
    workload: &str,
    attempt: u32,
    resolver: &Resolver,
) -> Result<Utf8PathBuf, StepError> {
    Ok(place(runner, &StepId::workload(workload), resolver, Symbol::Attempt)?
        .join(format!("{}.{attempt}", file_name(workload))))
}

/// One try of a workload.
struct Attempt<'a> {
    runner: &'a StepRunner,
    step: &'a StepId,
    pool: &'a Pool,
    workload: &'a Workload,
    slot: usize,
    number: u32,
    companion: Option<&'a Companion>,
}

impl Attempt<'_> {
    fn run(&self, resolver: &Resolver) -> Result<(), StepError> {
        let Attempt { runner, step, pool, workload, .. } = *self;
        let attempts = place(runner, step, resolver, Symbol::Attempt)?;
        let dir = attempt_dir(runner, &workload.name, self.number, resolver)?;
        let io = |error: DiskError| runner.broken_machine(&StepId::workload(&workload.name), error.to_string());
        disk::make_empty_dir(&dir).map_err(io)?;
        let resolver = resolver.clone().with(Symbol::Attempt, dir.as_str());
        let mut facts = Vec::new();
        for prepare in &pool.prepare {
            facts.extend(runner.run_in_pool(&workload.name, prepare, &resolver)?);
        }
        let name = StepId::workload(&workload.name);
        let by_hand = workload.by_hand.as_ref().map(|shown| by_hand::begin(runner, &name, shown, &resolver));
        let _listening = by_hand.transpose()?;
        let ran = resolver.pasteable(&workload.command).unwrap_or_default();
        let ran: String = ran.chars().take(LONGEST_COMMAND).collect();
        facts.extend(self.work(&resolver, &dir, &ran)?);
        let mut after = resolver.clone();
        after.base_env.insert(WORKLOAD.into(), workload.name.clone());
        if !ran.is_empty() {
            after.base_env.insert(RAN.into(), ran);
        }
        for commit in &pool.commit {
            facts.extend(runner.run_in_pool(&workload.name, commit, &after)?);
        }
        let text = serde_json::to_vec(&facts)
            .map_err(|error| runner.broken(&StepId::workload(&workload.name), error.to_string()))?;
        disk::write_whole(&dir.join(FACTS), &text).map_err(io)?;
        disk::sync_tree(&dir, &attempts).map_err(io)?;
        let committed = place(runner, step, &resolver, Symbol::Committed)?;
        let name = file_name(&workload.name);
        disk::rename_durably(&dir, &committed.join(&name)).map_err(io)?;
        if let Some(companion) = self.companion {
            companion.committed(name);
        }
        runner.keep_facts(facts);
        runner.events.send(Event::WorkloadCommitted {
            stage: runner.stage.clone(),
            workload: workload.name.as_str().into(),
            attempt: self.number,
        });
        Ok(())
    }

    /// Runs the command, with the companion beside it.
    fn work(&self, resolver: &Resolver, dir: &Utf8Path, ran: &str) -> Result<Vec<Fact>, StepError> {
        let Attempt { runner, workload, companion, .. } = *self;
        let name = workload.name.as_str();
        let Some(companion) = companion else {
            self.tolerated(runner.command(&StepId::workload(name), &workload.command, resolver))?;
            return Ok(Vec::new());
        };
        let id = companion.attempt(runner, name, self.slot, dir, ran.into())?;
        let (ran, ended) = companion.beside(runner, &StepId::workload(name), &workload.command, resolver, (id, dir));
        let ran = (id, ran.as_ref());
        // It was ended because of the companion, or its profiles would not count anyhow.
        if let Some(failure) = companion.failure(runner, name, ran) {
            // It has to let go of the directory before that is removed.
            let _ = companion.ended(runner, name, ran, false);
            return Err(failure);
        }
        match self.tolerated(ended) {
            Ok(()) => {
                let facts = companion.ended(runner, name, ran, true)?;
                let step = companion.around(name);
                Ok(facts.into_iter().map(|fact| runner.fact(&step, fact)).collect())
            }
            Err(error) => {
                // The workload's failure is the one to tell.
                let _ = companion.ended(runner, name, ran, false);
                Err(error)
            }
        }
    }

    /// The profiles of a workload that may fail count when it does.
    fn tolerated(&self, ended: Result<(), StepError>) -> Result<(), StepError> {
        // One of optbuild's operations says itself what is wrong.
        let own = self.workload.command.argv.first() == Some(&Symbol::Optbuild.into());
        let ended = if own { ended.map_err(in_its_words) } else { ended };
        match ended {
            Err(StepError::Failed(failure)) if self.workload.may_fail && !failure.environment => {
                let (name, what) = (&self.workload.name, &failure.what);
                self.runner.note(format!("workload `{name}` {what}; its profiles count (keep-profiles)"));
                Ok(())
            }
            other => other,
        }
    }
}

fn place(runner: &StepRunner, step: &StepId, resolver: &Resolver, symbol: Symbol) -> Result<Utf8PathBuf, StepError> {
    match resolver.symbols.get(&symbol) {
        Some(path) => Ok(path.into()),
        None => Err(runner.broken(step, format!("`{}` has no value in this step", symbol.name()))),
    }
}

impl StepRunner {
    /// A step around a workload; its log is named after both. Not repeated by itself: the workload is, from its start.
    fn run_in_pool(&self, workload: &str, step: &Step, resolver: &Resolver) -> Result<Vec<Fact>, StepError> {
        let name = StepId::around(workload, &step.name);
        match &step.action {
            Action::Command(command) => self.command(&name, command, resolver).map(|()| Vec::new()),
            Action::Op(op) => self.op(&name, op, resolver),
            Action::Pool(_) => Err(self.broken(&name, "a pool inside of a pool".into())),
        }
    }
}
