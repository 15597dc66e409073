//! What a killed run may have left running: ended, or waited for, before a new run touches its directories.
//!
//! A supervisor ends its tree when its runner is gone. What it leaves when it is killed as well is found by a variable that
//! every command hands down to what it starts, whatever session or group that is in. The supervisors have it, too.
//!
//! The variable says which directory a process works for by device and inode. No two directories share them at one time, and a copy
//! has others, whatever is written in it. Whoever holds the lock of that directory knows that no other runner works there: all that has its
//! mark was left.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::thread::sleep;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::proc;
use crate::proc::tree::{self, Proc};

/// In the environment of every command: the directory of its run.
pub const RUN_VARIABLE: &str = "OPTBUILD_RUN";

/// In the environment of every command and supervisor: the [`mark`]s of the state directories that they work for, with a blank between.
/// There are several where a command of a run is a run itself.
pub const STATE_VARIABLE: &str = "OPTBUILD_STATE";

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

/// What tells a state directory from all others, its copies included. To be asked under its lock, from when on it is the same for an
/// overlay, too.
///
/// # Errors
/// The directory cannot be looked at.
pub fn mark(state: &Utf8Path) -> io::Result<String> {
    let found = std::fs::metadata(state)?;
    Ok(format!("{:x}:{:x}", found.dev(), found.ino()))
}

/// The value of [`STATE_VARIABLE`] for commands of a run with this mark: behind those of the runs that this process itself is of.
pub fn marks(own: &str) -> String {
    match std::env::var(STATE_VARIABLE) {
        Ok(outer) if !outer.trim().is_empty() => format!("{outer} {own}"),
        _ => own.to_owned(),
    }
}

/// Returns when nothing is left of runs in the state directory with this mark, whose lock this process holds: waits while
/// supervisors end their trees, and ends the rest.
///
/// # Errors
/// Something of it takes no signals from this user, or none at all.
pub fn end_survivors(mark: &str) -> Result<(), StillAlive> {
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    let mut seen_none = 0;
    let mut seen_any = false;
    loop {
        let left = left(mark);
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
fn left(mark: &str) -> Vec<(Proc, bool)> {
    // Of each run the first thing, and there may be a thousand.
    let marked: BTreeSet<i32> = proc::pids().into_iter().filter(|pid| belongs(*pid, mark)).collect();
    if marked.is_empty() {
        return Vec::new();
    }
    let all = proc::all();
    // A shell that was left may have started this process.
    let own = ancestors(&all, getpid().as_raw_nonzero().get());
    let foreign = || all.iter().filter(|process| !process.is_dead() && !own.contains(&process.pid));
    let watching = foreign().map(|process| process.pid).filter(|pid| marked.contains(pid) && is_supervisor(*pid));
    let watching: BTreeSet<i32> = watching.collect();
    let below = tree::descendants(&all, watching.iter().copied());
    let supervised: BTreeSet<i32> = below.iter().map(|process| process.pid).chain(watching).collect();
    foreign()
        .filter(|process| marked.contains(&process.pid) || supervised.contains(&process.pid))
        .map(|process| (process.clone(), supervised.contains(&process.pid)))
        .collect()
}

/// A process and those that it descends from.
fn ancestors(all: &[Proc], pid: i32) -> BTreeSet<i32> {
    let mut found = BTreeSet::new();
    let mut next = Some(pid);
    while let Some(pid) = next.filter(|pid| found.insert(*pid)) {
        next = all.iter().find(|process| process.pid == pid).map(|process| process.parent);
    }
    found
}

/// Its environment names the directory.
fn belongs(pid: i32, mark: &str) -> bool {
    let marks = proc::variable_of(pid, STATE_VARIABLE);
    marks.is_some_and(|marks| marks.split(|byte| *byte == b' ').any(|known| known == mark.as_bytes()))
}

/// It was started as `optbuild supervise`.
fn is_supervisor(pid: i32) -> bool {
    proc::arguments(pid).get(1).is_some_and(|word| word == b"supervise")
}
