//! Who lives in the tree of a command, as far as looking at it tells: the list of [`crate::plan::census`].
//!
//! Without privileges, Linux tells of the beginnings and ends of nobody but children. So the tree is looked at every few milliseconds, and
//! takes no more than a fiftieth of the time for it. What is said of a process is right; one that lives for less than that may be missing.
//!
//! A process that was forked and has not executed a program is on its way to do so, mostly. It is said to run its parent's program when it
//! has been doing that for a while. Unaware of what programs are for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use crate::plan::census::{Ending, Files, Line, ProcessId};
use crate::proc::{self, Proc, tree};

/// Between two looks: while there is something new, and when nothing has changed for a while.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LAST_PAUSE: Duration = Duration::from_millis(20);
/// A look may take this part of the time.
const SHARE: u32 = 50;
/// A forked process that has not executed a program by now does its parent's work.
const SETTLED: Duration = Duration::from_millis(50);

/// The list while it grows.
pub(super) struct Census {
    to: File,
    lists: BTreeMap<Files, usize>,
    known: BTreeMap<i32, Known>,
    /// Those that did not end in time.
    slow: BTreeSet<i32>,
    next: Instant,
    pause: Duration,
}

/// A process that was seen.
struct Known {
    start_time: u64,
    program: Utf8PathBuf,
    forked: bool,
    /// Since when it has been the same, and how often it was seen since.
    since: Instant,
    sights: u64,
    /// What the list says of it.
    told: Option<(usize, bool)>,
}

impl Census {
    /// Begins a list.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(file: &Utf8Path) -> std::io::Result<Census> {
        let to = File::create(file)?;
        Ok(Census {
            to,
            lists: BTreeMap::new(),
            known: BTreeMap::new(),
            slow: BTreeSet::new(),
            next: Instant::now(),
            pause: FIRST_PAUSE,
        })
    }

    /// When it is time for the next look.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Looks at the tree below this process, if it is time.
    pub fn look(&mut self) {
        let began = Instant::now();
        if began < self.next {
            return;
        }
        let mut changed = false;
        let mut gone: BTreeSet<i32> = self.known.keys().copied().collect();
        for process in living() {
            gone.remove(&process.pid);
            changed |= self.see(&process, began);
        }
        for pid in gone {
            changed = true;
            self.end(pid, Ending::Unknown);
        }
        self.pause = if changed { FIRST_PAUSE } else { (self.pause * 2).min(LAST_PAUSE) };
        let now = Instant::now();
        self.next = now + self.pause.max((now - began) * SHARE);
    }

    /// True: it is new, or another program than before.
    fn see(&mut self, process: &Proc, now: Instant) -> bool {
        let pid = process.pid;
        let Some(program) = proc::program_of(pid) else { return false };
        let same = |known: &Known| {
            known.start_time == process.start_time && known.program == program && known.forked == process.forked
        };
        let told = match self.known.get(&pid) {
            Some(known) if known.start_time == process.start_time => known.told,
            Some(_) => {
                self.end(pid, Ending::Unknown);
                None
            }
            None => None,
        };
        let fresh = !self.known.get(&pid).is_some_and(same);
        if fresh {
            let (start_time, forked) = (process.start_time, process.forked);
            self.known.insert(pid, Known { start_time, program, forked, since: now, sights: 0, told });
        }
        let Some(known) = self.known.get_mut(&pid) else { return fresh };
        if known.forked && now - known.since < SETTLED {
            return fresh;
        }
        known.sights += 1;
        // Libraries are mapped when a program begins, and may be later; looking at all of them takes long.
        if known.sights.is_power_of_two() {
            let files = Files { program: known.program.clone(), mapped: proc::code_of(pid) };
            let (forked, told) = (known.forked, known.told);
            self.tell(process, files, forked, told);
        }
        fresh
    }

    fn tell(&mut self, process: &Proc, files: Files, forked: bool, told: Option<(usize, bool)>) {
        let list = match self.lists.get(&files) {
            Some(list) => *list,
            None => {
                let list = self.lists.len();
                self.lists.insert(files.clone(), list);
                self.write(&Line::Files { list, files });
                list
            }
        };
        if told == Some((list, forked)) {
            return;
        }
        let mut pids = proc::namespace_pids(process.pid);
        if pids.is_empty() {
            pids.push(process.pid as u32);
        }
        self.write(&Line::Process { id: ProcessId(process.pid as u32, process.start_time), pids, list, forked });
        if let Some(known) = self.known.get_mut(&process.pid) {
            known.told = Some((list, forked));
        }
    }

    /// All that live now did not end in time, and are about to be killed.
    pub fn too_slow(&mut self) {
        self.slow.extend(living().iter().map(|process| process.pid));
    }

    /// A child has ended.
    pub fn ended(&mut self, pid: i32, how: Ending) {
        let slow = self.slow.remove(&pid) && matches!(how, Ending::Signal(_));
        self.end(pid, if slow { Ending::TooSlow } else { how });
    }

    fn end(&mut self, pid: i32, how: Ending) {
        let Some(known) = self.known.remove(&pid) else { return };
        if known.told.is_some() {
            self.write(&Line::Ended { id: ProcessId(pid as u32, known.start_time), how });
        }
    }

    /// A list that cannot be written is as good as none.
    fn write(&mut self, line: &Line) {
        if let Ok(mut bytes) = serde_json::to_vec(line) {
            bytes.push(b'\n');
            let _ = self.to.write_all(&bytes);
        }
    }
}

/// The living processes below this one.
fn living() -> Vec<Proc> {
    let own = std::process::id() as i32;
    let mut found = Vec::new();
    let mut open = match proc::children_of(own) {
        Some(children) => children,
        None => {
            let mut tree = tree::own_tree();
            tree.retain(|process| !process.is_dead());
            return tree;
        }
    };
    let mut seen = BTreeSet::new();
    while let Some(pid) = open.pop() {
        let Some(process) = proc::process(pid).filter(|process| seen.insert(process.pid) && !process.is_dead()) else {
            continue;
        };
        open.extend(proc::children_of(pid).unwrap_or_default());
        found.push(process);
    }
    found
}
