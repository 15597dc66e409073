//! The processes of this machine as `/proc` shows them, and signals to whole trees of them.
//!
//! Signals go to process groups where possible, because the kernel delivers to a group atomically with respect to `fork`: no
//! member can leave a child behind that did not get the signal. Unaware of why a tree is signalled.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// One process.
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

    fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// The process with this pid, if there is one.
pub fn process(pid: i32) -> Option<Proc> {
    // A process may end at any moment; not being able to read it means that it has.
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
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

/// The pids of all processes that this user can see.
pub fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Of `all`, the processes below `roots`, living or dead, parents before their children; without the roots.
pub fn descendants(all: &[Proc], roots: impl IntoIterator<Item = i32>) -> Vec<Proc> {
    let mut children: BTreeMap<i32, Vec<&Proc>> = BTreeMap::new();
    for process in all {
        children.entry(process.parent).or_default().push(process);
    }
    let mut queue: Vec<i32> = roots.into_iter().collect();
    let mut seen: BTreeSet<i32> = queue.iter().copied().collect();
    let mut found = Vec::new();
    let mut next = 0;
    while next < queue.len() {
        for child in children.get(&queue[next]).into_iter().flatten() {
            // A pid that was given anew while `/proc` was read could close a circle.
            if seen.insert(child.pid) {
                queue.push(child.pid);
                found.push((*child).clone());
            }
        }
        next += 1;
    }
    found
}

/// The processes below this one, parents before their children. Those that seem dead are among them, since a signal does no
/// harm to the dead, and reaches the others.
pub fn own_tree() -> Vec<Proc> {
    descendants(&all(), [std::process::id() as i32])
}

/// Kills what is below this process now, and returns whether no living process took the signal.
pub fn kill_own_tree() -> bool {
    // Reading all of `/proc` takes long enough for a process to start its successor and exit. The successor is a child of the
    // subreaper at once, and its own children are found fast (where the kernel lists them).
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    for child in children.split_ascii_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        let _ = kill_process(child, Signal::KILL);
    }
    let mut tree = own_tree();
    signal(&tree, Signal::KILL);
    tree.retain(|process| !process.is_dead());
    !tree.is_empty() && signal(&tree, Signal::KILL) == 0
}

/// Sends a signal to all of `tree`, by groups. Every group in it except this process's own must consist of nothing else; for
/// children of a supervisor that holds because it leads a session of its own. Returns how many groups and processes took it.
pub fn signal(tree: &[Proc], signal: Signal) -> usize {
    let own_group = this().map_or(0, |own| own.group);
    let mut groups = BTreeSet::new();
    let mut taken = 0;
    for process in tree {
        let sent = if process.group > 1 && process.group != own_group {
            if !groups.insert(process.group) {
                continue;
            }
            Pid::from_raw(process.group).map(|group| kill_process_group(group, signal))
        } else {
            Pid::from_raw(process.pid).map(|pid| kill_process(pid, signal))
        };
        taken += usize::from(matches!(sent, Some(Ok(()))));
    }
    taken
}

/// Stops everything below this process: repeated until no running process is found, as one may be starting another.
pub fn stop_own_tree() {
    for _ in 0..50 {
        let mut tree = own_tree();
        tree.retain(|process| !process.is_stopped() && !process.is_dead());
        if tree.is_empty() || signal(&tree, Signal::STOP) == 0 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// Lets everything below this process go on.
pub fn continue_own_tree() {
    signal(&own_tree(), Signal::CONT);
}

/// The process that the content of `/proc/PID/stat` describes. The name stands in parentheses and may itself have any character in
/// it, so the last `)` ends it.
pub fn parse_stat(stat: &[u8]) -> Option<Proc> {
    let text = String::from_utf8_lossy(stat);
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    // From field 3, the state, on.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Proc {
        pid: pid.parse().ok()?,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        state: field(3)?.chars().next()?,
        threads: field(20)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        ticks: (14..=17).filter_map(|number| field(number)?.parse::<u64>().ok()).sum(),
        pages: field(24).and_then(|pages| pages.parse().ok()).unwrap_or(0),
        name: name.to_owned(),
    })
}
