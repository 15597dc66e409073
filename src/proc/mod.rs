//! The processes of this machine: what the system tells of them, what they used, and signals.
//!
//! This file is the interface. What only one system can answer stands in a file of that system; for Linux it is `linux.rs`, which
//! reads `/proc`. Unaware of runs, stages and profiles.

pub mod lifetime;
pub mod linux;
pub mod open_files;
pub mod output;
pub mod probe;
pub mod signals;
pub mod start;
pub mod tree;

pub use linux::{
    arguments, children, children_of, code_of, ignored_signals, namespace_pids, pids, process, program_of,
    used_by_children, variable_of,
};

/// One process at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proc {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    pub session: i32,
    pub state: char,
    pub threads: u64,
    /// When it was started, in clock ticks since the machine was. With the pid, it names a process for good.
    pub start_time: u64,
    /// User and system time in clock ticks, with that of children that it waited for.
    pub ticks: u64,
    /// It was forked, and has not executed a program since: what it runs is its parent's.
    pub forked: bool,
    /// Resident memory in pages.
    pub pages: u64,
    /// The first 15 bytes of the program's name.
    pub name: String,
}

impl Proc {
    /// It has ended, and waits for its parent to notice; or only its first thread has ended, which looks the same.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }

    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// What processes used that this process, or one that it waited for, has waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Used {
    /// Seconds.
    pub user: f64,
    pub system: f64,
    /// Of the largest process, in bytes.
    pub peak_memory: u64,
    pub page_faults: u64,
}

/// The start time of a process, as in field 22 of `/proc/PID/stat`; 0 if there is no such process.
pub fn start_time_of(pid: u32) -> u64 {
    i32::try_from(pid).ok().and_then(process).map_or(0, |process| process.start_time)
}

/// Whether the process with this pid and start time still runs.
pub fn is_alive(pid: u32, start_time: u64) -> bool {
    i32::try_from(pid)
        .ok()
        .and_then(process)
        .is_some_and(|process| process.start_time == start_time && !process.is_dead())
}

/// This process. Group and session are 0 where their leaders are outside of this PID namespace, as `getpgrp` and `getsid`
/// would return them; rustix takes those for impossible.
pub fn this() -> Option<Proc> {
    process(std::process::id() as i32)
}

/// All processes that this user can see.
pub fn all() -> Vec<Proc> {
    pids().into_iter().filter_map(process).collect()
}
