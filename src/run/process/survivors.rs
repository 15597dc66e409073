//! What a killed run may have left running: ended, or waited for, before a new run touches its directories.
//!
//! A supervisor ends its tree when its runner is gone. What it leaves when it is killed as well is found by a variable that
//! every command hands down to what it starts, whatever session or group that is in.

use std::collections::{BTreeMap, BTreeSet};
use std::thread::sleep;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::proc;
use crate::proc::tree::{self, Proc};

/// In the environment of every command: the directory of its run, below the one that [`end_survivors`] is told.
pub const RUN_VARIABLE: &str = "OPTBUILD_RUN";

/// A supervisor whose runner is gone ends its tree within a few seconds; so much later it is helped.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long it is tried to kill what is left.
const LAST_TRY: Duration = Duration::from_secs(10);

/// Processes of a former run that could not be ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("processes of an interrupted run are still running and cannot be ended: {}; end them, then run again", .0.join(", "))]
pub struct StillAlive(
    /// `NAME (pid PID)`
    pub Vec<String>,
);

/// Returns when nothing is left of runs whose directories are below `runs`, none of which has a runner any more: waits while
/// supervisors end their trees, and ends the rest.
///
/// `supervisors` are those known by pid and start time. Others are found through what they supervise.
///
/// # Errors
/// Something of it takes no signals from this user, or none at all.
pub fn end_survivors(runs: &Utf8Path, supervisors: &[(u32, u64)]) -> Result<(), StillAlive> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut seen_none = 0;
    let mut seen_any = false;
    loop {
        let left = left(runs, supervisors);
        if left.is_empty() {
            seen_none += 1;
            // A process that is about to execute another program shows no environment for a moment.
            if seen_none == 2 || !seen_any {
                return Ok(());
            }
        } else {
            seen_any = true;
            seen_none = 0;
        }
        if began.elapsed() > PATIENCE + LAST_TRY {
            return Err(StillAlive(left.iter().map(|(p, _)| format!("{} (pid {})", p.name, p.pid)).collect()));
        }
        let late = began.elapsed() > PATIENCE;
        let helped = left.iter().filter(|(_, supervised)| late || !supervised);
        for pid in helped.filter_map(|(process, _)| Pid::from_raw(process.pid)) {
            // What has ended meanwhile is not found in the next round, what does not take signals is in the error.
            let _ = kill_process(pid, Signal::KILL);
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Living processes of runs, and of each whether a supervisor is there that ends it.
fn left(runs: &Utf8Path, supervisors: &[(u32, u64)]) -> Vec<(Proc, bool)> {
    let all = proc::all();
    let parents: BTreeMap<i32, i32> = all.iter().map(|process| (process.pid, process.parent)).collect();
    let ancestors = |pid: i32| {
        let mut seen = BTreeSet::new();
        std::iter::successors(Some(pid), |pid| parents.get(pid).copied()).take_while(move |pid| seen.insert(*pid))
    };
    let own: BTreeSet<i32> = ancestors(getpid().as_raw_nonzero().get()).collect();
    let foreign = || all.iter().filter(|process| !process.is_dead() && !own.contains(&process.pid));
    let marked: Vec<&Proc> = foreign().filter(|process| belongs(process.pid, runs)).collect();
    let known = |process: &&Proc| {
        supervisors.iter().any(|(pid, start)| *pid as i32 == process.pid && *start == process.start_time)
    };
    let mut watching: BTreeSet<i32> = foreign().filter(known).map(|process| process.pid).collect();
    for process in &marked {
        watching.extend(ancestors(process.pid).skip(1).filter(|pid| !own.contains(pid) && is_supervisor(*pid)));
    }
    let below = tree::descendants(&all, watching.iter().copied());
    let supervised: BTreeSet<i32> = below.iter().map(|process| process.pid).chain(watching).collect();
    let marked: BTreeSet<i32> = marked.iter().map(|process| process.pid).collect();
    foreign()
        .filter(|process| marked.contains(&process.pid) || supervised.contains(&process.pid))
        .map(|process| (process.clone(), supervised.contains(&process.pid)))
        .collect()
}

/// Its environment names a run of this directory.
fn belongs(pid: i32, runs: &Utf8Path) -> bool {
    let start = format!("{RUN_VARIABLE}={runs}/");
    proc::environment(pid).iter().any(|entry| entry.starts_with(start.as_bytes()))
}

/// It was started as `optbuild supervise`.
fn is_supervisor(pid: i32) -> bool {
    proc::arguments(pid).get(1).is_some_and(|word| word == b"supervise")
}
