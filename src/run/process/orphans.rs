//! What a supervisor leaves to the runner when it is killed.
//!
//! The runner is a subreaper too, so the orphans become its children. Unaware of commands and their results.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, getpid, set_child_subreaper, setsid, waitpid};

use crate::proc::tree::{self, Proc};

/// The supervisors that were started and not yet waited for.
///
/// Held while one is started: until it is in the set, it looks like an orphan.
static SUPERVISORS: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Starts a supervisor.
pub(super) fn start_supervisor(command: &mut Command) -> io::Result<Child> {
    static SUBREAPER: Once = Once::new();
    SUBREAPER.call_once(|| {
        // Where it is refused, orphans of a killed supervisor go to init; all else works.
        if let Err(error) = set_child_subreaper(Some(getpid())) {
            tracing::warn!("processes of a killed supervisor cannot be found: {error}");
        }
    });
    // Not only when it runs: until then it would get what the terminal sends to this process's group.
    // SAFETY: between fork and exec only one system call is made, which is async-signal-safe: setsid.
    unsafe {
        command.pre_exec(|| setsid().map(drop).map_err(io::Error::from));
    }
    let mut supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
    let child = command.spawn()?;
    supervisors.insert(child.id() as i32);
    Ok(child)
}

/// Waits for a supervisor that has ended or is about to.
pub(super) fn wait_supervisor(child: &mut Child) {
    // Fails only where somebody else has waited for it; then it has ended, too.
    let _ = child.wait();
    // Only now: a dead child that is not in the set would be taken for an orphan.
    SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner).remove(&(child.id() as i32));
}

/// Kills everything that killed supervisors have left to this process.
pub(super) fn end_orphans() {
    let mut pause = Duration::from_millis(1);
    loop {
        let orphans = {
            let supervisors = SUPERVISORS.lock().unwrap_or_else(PoisonError::into_inner);
            let orphans = orphans(&supervisors);
            tree::signal(&orphans, Signal::KILL);
            orphans
        };
        if orphans.is_empty() {
            return;
        }
        // Those that are not children of this process become so when their parents have ended.
        for orphan in &orphans {
            if let Some(pid) = Pid::from_raw(orphan.pid) {
                let _ = waitpid(Some(pid), WaitOptions::NOHANG);
            }
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Children of this process, and what is below them, that are in another session than this process, and that are no
/// supervisor: programs that optbuild runs without one stay in its session.
fn orphans(supervisors: &BTreeSet<i32>) -> Vec<Proc> {
    let Some(own) = tree::this() else { return Vec::new() };
    let all = tree::all();
    let roots: Vec<Proc> = all
        .iter()
        .filter(|process| process.parent == own.pid && process.session != own.session)
        .filter(|process| !supervisors.contains(&process.pid))
        .cloned()
        .collect();
    let below = tree::descendants(&all, roots.iter().map(|root| root.pid));
    roots.into_iter().chain(below).collect()
}
