//! What a killed run may have left running: ended, or waited for, before a new run touches its directories.

use std::thread::sleep;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, kill_process};

use crate::run::supervisor::linux::{self, Proc};

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

/// The start time of a process, as in field 22 of `/proc/PID/stat`; 0 if there is no such process.
pub fn start_time_of(pid: u32) -> u64 {
    i32::try_from(pid).ok().and_then(linux::process).map_or(0, |process| process.start_time)
}

/// Whether the supervisor with this pid and start time still runs.
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(linux::process)
        .is_some_and(|process| process.start_time == start_time && !process.is_dead())
}

/// Returns when nothing is left of the tree of a supervisor whose runner is gone: waits while the supervisor ends it, and ends
/// it otherwise.
///
/// If the supervisor was killed as well, its processes are those of its session that work or write below `directory` (the
/// state directory); the session alone is not proof enough, since its number may have been given anew.
pub fn end_survivor(pid: u32, start_time: u64, directory: &Utf8Path) -> Result<(), StillAlive> {
    let Ok(pid) = i32::try_from(pid) else { return Ok(()) };
    let began = Instant::now();
    let mut pause = Duration::from_millis(5);
    loop {
        let alive = is_alive(pid as u32, start_time);
        let late = began.elapsed() > PATIENCE;
        if !alive || late {
            let left = left(pid, start_time, alive, directory);
            if left.is_empty() {
                return Ok(());
            }
            if began.elapsed() > PATIENCE + LAST_TRY {
                return Err(StillAlive(left.iter().map(|p| format!("{} (pid {})", p.name, p.pid)).collect()));
            }
            left.iter().filter_map(|process| Pid::from_raw(process.pid)).for_each(|process| {
                // What has ended meanwhile is not found in the next round, what does not take signals is in the error.
                let _ = kill_process(process, Signal::KILL);
            });
        }
        sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(100));
    }
}

/// Living processes of the supervisor's tree.
fn left(supervisor: i32, start_time: u64, alive: bool, directory: &Utf8Path) -> Vec<Proc> {
    let all = linux::all();
    // While a process has the number of a session, it is the one that leads it.
    let taken = !alive && all.iter().any(|p| p.pid == supervisor && p.start_time != start_time);
    let of_session = |p: &&Proc| p.session == supervisor && p.start_time >= start_time && uses(p.pid, directory);
    let mut found: Vec<Proc> = if alive {
        all.iter().filter(|p| p.pid == supervisor).cloned().collect()
    } else if taken {
        Vec::new()
    } else {
        all.iter().filter(of_session).cloned().collect()
    };
    let below = linux::descendants(&all, found.iter().map(|p| p.pid).collect::<Vec<_>>());
    found.extend(below);
    found.sort_by_key(|p| p.pid);
    found.dedup_by_key(|p| p.pid);
    found.retain(|p| !p.is_dead());
    found
}

/// Works in the directory, writes its output there, or is a program of it.
fn uses(pid: i32, directory: &Utf8Path) -> bool {
    ["cwd", "fd/1", "fd/2", "exe"]
        .iter()
        .any(|link| std::fs::read_link(format!("/proc/{pid}/{link}")).is_ok_and(|target| target.starts_with(directory)))
}
