//! Whole trees of processes, and signals to them.
//!
//! Signals go to process groups where possible, because the kernel delivers to a group atomically with respect to `fork`: no
//! member can leave a child behind that did not get the signal. Unaware of why a tree is signalled.

use std::collections::{BTreeMap, BTreeSet};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use super::this;
pub use super::{Proc, all, is_alive, pids, process, start_time_of};

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
    for child in super::children().into_iter().filter_map(Pid::from_raw) {
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
