//! Takes profiles away as soon as they are final, out of directories that processes are writing to.
//!
//! Process ids return: the next process of an id would merge into the file that it finds (LLVM) or cut it off (BOLT). So:
//!
//! | a file | is |
//! |---|---|
//! | named after a process that lives and began before the file was last written | left, and looked at again |
//! | that is empty, while processes run | left: a program makes its file when it begins, and writes it when it ends |
//! | of any other name, or of a process that is gone | renamed into a directory of its own at once |
//! | renamed, but still open in a process | held until it is closed, or for 10 seconds after the end of all processes |
//! | renamed and closed | final |
//!
//! Unaware of what is in a profile and of what becomes of it.

mod changes;

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use walkdir::WalkDir;

use crate::proc::lifetime::{self, Moment};
use crate::proc::open_files::OpenFiles;
use changes::Changes;

/// How soon a file of a living process is looked at again at first.
const FIRST_LOOK: Duration = Duration::from_micros(500);
/// The longest time until a file of a living process is looked at again.
pub const LAST_LOOK: Duration = Duration::from_millis(100);
/// Between two walks through everything, for changes that the kernel did not tell.
const WALK: Duration = Duration::from_secs(1);
/// The same where the kernel tells of no changes.
const POLL: Duration = Duration::from_millis(20);
/// A walk may take this part of the time.
const WALK_SHARE: u32 = 20;
/// How long a file may still be written when all processes should have ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// A directory in which profiles appear.
#[derive(Debug, Clone)]
pub struct Tree {
    pub root: Utf8PathBuf,
    /// Where files are taken to: a directory for nothing else, beside `root` on the same file system.
    pub aside: Utf8PathBuf,
    pub wanted: FileNames,
}

/// Which files are profiles.
#[derive(Debug, Clone)]
pub enum FileNames {
    /// All with this extension.
    Extension(&'static str),
    /// `STEM`, and what begins with `STEM.` and ends with this extension.
    Stem(String, &'static str),
}

/// A file that was taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenFile {
    /// Where it is.
    pub path: Utf8PathBuf,
    /// What it was called, below its root; bytes that are not UTF-8 are replaced.
    pub name: Utf8PathBuf,
    pub bytes: u64,
    /// A process that should have ended writes it: it is not to be counted.
    pub written: bool,
}

/// What a watch is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// Take everything, then end.
    Finish,
    /// End at once.
    Drop,
}

/// The switch.
#[derive(Debug)]
pub struct Stop {
    mode: AtomicU8,
    woken: OwnedFd,
}

impl Stop {
    /// In [`Mode::Run`].
    ///
    /// # Errors
    /// There is no file descriptor left.
    pub fn new() -> io::Result<Stop> {
        Ok(Stop { mode: AtomicU8::new(0), woken: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    pub fn mode(&self) -> Mode {
        match self.mode.load(Ordering::SeqCst) {
            0 => Mode::Run,
            1 => Mode::Finish,
            _ => Mode::Drop,
        }
    }

    /// Take everything, then end; unless it was told to end at once.
    pub fn finish(&self) {
        self.tell(1);
    }

    /// End at once.
    pub fn abandon(&self) {
        self.tell(2);
    }

    fn tell(&self, mode: u8) {
        self.mode.fetch_max(mode, Ordering::SeqCst);
        // Fails only when so much was written to it that it is readable already.
        let _ = rustix::io::write(&self.woken, &1u64.to_ne_bytes());
    }
}

/// Watches trees.
pub struct Watch {
    trees: Vec<Tree>,
    changes: Changes,
    /// Files that may not be final, and when they are looked at again.
    pending: BTreeMap<PathBuf, NextLook>,
    /// Files that were taken but are still open.
    held: Vec<(TakenFile, NextLook)>,
    next: u64,
    next_walk: Instant,
    /// All processes that write in the trees began later.
    since: Moment,
}

#[derive(Debug, Clone, Copy)]
struct NextLook {
    tree: usize,
    at: Instant,
    pause: Duration,
    bytes: u64,
}

impl NextLook {
    fn first(tree: usize) -> NextLook {
        NextLook { tree, at: Instant::now(), pause: FIRST_LOOK, bytes: 0 }
    }

    fn later(&mut self) {
        self.at = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(LAST_LOOK);
    }
}

/// What a watch has to say.
pub enum Event {
    /// A file was taken. So many bytes are in other files, which cannot be taken yet.
    Taken(TakenFile, u64),
    /// So many bytes are in files that cannot be taken yet.
    Waiting(u64),
}

impl Watch {
    /// Begins to watch. The directories are made if they do not exist, and those for taken files are emptied. Processes that write
    /// there are to begin later.
    ///
    /// # Errors
    /// A directory cannot be made or read.
    pub fn new(trees: Vec<Tree>) -> io::Result<Watch> {
        for tree in &trees {
            fs::create_dir_all(&tree.root)?;
            if tree.aside.exists() {
                fs::remove_dir_all(&tree.aside)?;
            }
            fs::create_dir_all(&tree.aside)?;
        }
        let mut changes = Changes::new();
        for (number, tree) in trees.iter().enumerate() {
            changes.watch(tree.root.as_std_path(), number);
        }
        let (next_walk, since) = (Instant::now(), Moment::now());
        Ok(Watch { trees, changes, pending: BTreeMap::new(), held: Vec::new(), next: 0, next_walk, since })
    }

    /// Takes files until it is told to stop; with [`Mode::Finish`] everything that is there then.
    ///
    /// # Errors
    /// A directory cannot be read, or a file cannot be renamed.
    pub fn run(mut self, stop: &Stop, mut tell: impl FnMut(Event)) -> io::Result<()> {
        loop {
            let mode = stop.mode();
            match mode {
                Mode::Drop => return Ok(()),
                Mode::Finish => return self.finish(stop, &mut tell),
                Mode::Run => {}
            }
            self.notice()?;
            self.take_due(false, &mut tell)?;
            self.settle(false, &mut tell)?;
            tell(Event::Waiting(self.waiting()));
            self.sleep(stop)?;
        }
    }

    /// The processes have ended: whatever is there is final.
    fn finish(&mut self, stop: &Stop, tell: &mut impl FnMut(Event)) -> io::Result<()> {
        let end = Instant::now() + PATIENCE;
        self.walk()?;
        self.take_due(true, tell)?;
        loop {
            self.settle(Instant::now() > end, tell)?;
            tell(Event::Waiting(self.waiting()));
            if self.held.is_empty() || stop.mode() == Mode::Drop {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn waiting(&self) -> u64 {
        let held: u64 = self.held.iter().map(|(taken, _)| taken.bytes).sum();
        self.pending.values().map(|look| look.bytes).sum::<u64>() + held
    }

    /// Learns of files.
    fn notice(&mut self) -> io::Result<()> {
        let news = self.changes.read()?;
        for (tree, path) in news.files {
            self.found(tree, path);
        }
        for (tree, dir) in news.dirs {
            self.changes.watch(&dir, tree);
            // What was made in it before it was watched.
            self.walk_below(tree, &dir)?;
        }
        if news.lost || Instant::now() >= self.next_walk {
            self.walk()?;
        }
        Ok(())
    }

    fn walk(&mut self) -> io::Result<()> {
        let began = Instant::now();
        for number in 0..self.trees.len() {
            let root = self.trees[number].root.clone().into_std_path_buf();
            self.walk_below(number, &root)?;
        }
        let pause = if self.changes.complete() { WALK } else { POLL };
        self.next_walk = Instant::now() + pause.max(began.elapsed() * WALK_SHARE);
        Ok(())
    }

    fn walk_below(&mut self, tree: usize, dir: &Path) -> io::Result<()> {
        for entry in WalkDir::new(dir) {
            let entry = match entry.map_err(io::Error::from) {
                Ok(entry) => entry,
                // A workload may remove what it has made.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            if entry.file_type().is_dir() {
                self.changes.watch(entry.path(), tree);
            } else if entry.file_type().is_file() {
                self.found(tree, entry.into_path());
            }
        }
        Ok(())
    }

    fn found(&mut self, tree: usize, path: PathBuf) {
        if self.trees[tree].wanted.is(&shown(&path)) {
            self.pending.entry(path).or_insert_with(|| NextLook::first(tree));
        }
    }

    /// Takes what is final. With `all`, everything.
    fn take_due(&mut self, all: bool, tell: &mut impl FnMut(Event)) -> io::Result<()> {
        let now = Instant::now();
        let due: Vec<PathBuf> =
            self.pending.iter().filter(|(_, look)| all || look.at <= now).map(|(path, _)| path.clone()).collect();
        for path in due {
            let Some(mut look) = self.pending.remove(&path) else { continue };
            let found = match fs::symlink_metadata(&path) {
                Ok(found) if found.is_file() => found,
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let tree = &self.trees[look.tree];
            let name = shown(path.strip_prefix(&tree.root).unwrap_or(&path));
            // Under a name without an id, a program makes its file when it begins, and writes it when it ends.
            if !all && (found.len() == 0 || may_be_written(&name, &found, self.since)?) {
                look.bytes = found.len();
                look.later();
                self.pending.insert(path, look);
                continue;
            }
            let place = tree.aside.join(format!("{:08}-{}", self.next, plain(&name)));
            match fs::rename(&path, &place) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            }
            self.next += 1;
            let taken = TakenFile { path: place, name, bytes: found.len(), written: false };
            self.held.push((taken, NextLook::first(look.tree)));
        }
        self.settle(false, tell)
    }

    /// Lets go what no process writes any more. With `give_up`, all.
    fn settle(&mut self, give_up: bool, tell: &mut impl FnMut(Event)) -> io::Result<()> {
        let now = Instant::now();
        if !self.held.iter().any(|(_, look)| give_up || look.at <= now) {
            return Ok(());
        }
        let mut open_files = OpenFiles::default();
        let mut waiting = self.waiting();
        for (mut taken, mut look) in std::mem::take(&mut self.held) {
            if !give_up && look.at > now {
                self.held.push((taken, look));
                continue;
            }
            taken.written = open_files.is_written(&taken.path)?;
            if taken.written && !give_up {
                look.later();
                self.held.push((taken, look));
                continue;
            }
            waiting -= taken.bytes;
            taken.bytes = fs::symlink_metadata(&taken.path)?.len();
            tell(Event::Taken(taken, waiting));
        }
        Ok(())
    }

    /// Until something changes, or is to be looked at.
    fn sleep(&self, stop: &Stop) -> io::Result<()> {
        let looks = self.pending.values().chain(self.held.iter().map(|(_, look)| look)).map(|look| look.at);
        let next = looks.chain([self.next_walk]).min().unwrap_or(self.next_walk);
        let timeout = next.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(timeout).map_err(io::Error::other)?;
        let mut fds = vec![PollFd::new(&stop.woken, PollFlags::IN)];
        fds.extend(self.changes.fd().map(|fd| PollFd::new(fd, PollFlags::IN)));
        match poll(&mut fds, Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// A path for people, and to compare with names that are known: processes may write names that are not UTF-8.
fn shown(path: &Path) -> Utf8PathBuf {
    path.to_string_lossy().into_owned().into()
}

/// The name that a file gets: of one line, for tools get lists of files, and with room for what others put around it.
fn plain(name: &Utf8Path) -> String {
    let mut plain = name.file_name().unwrap_or("profile").replace(char::is_control, "_");
    while plain.len() > 200 {
        plain.remove(0);
    }
    plain
}

/// The largest process id that Linux gives.
const LARGEST_PID: u64 = 1 << 22;

/// Whether a process that a file is named after may have written it and lives. `name` is the path below the watched directory,
/// in which only processes write that began after `since`. False where the name tells of no process.
pub fn may_be_written(name: &Utf8Path, file: &Metadata, since: Moment) -> io::Result<bool> {
    let (modified, tick) = (Moment::at(file.modified()?), lifetime::tick());
    // A process that began after the file was written only has the id of the one that wrote it, and one that is older
    // than the attempt only has the number: small ones stand in names for other reasons, and a namespace has ids of its
    // own. A beginning is known to a tick of the clock, the time of a file to another.
    let wrote = |began: Moment| began.plus(tick) > since && began < modified.plus(tick);
    Ok(numbers(name).filter_map(lifetime::began).any(wrote))
}

/// The numbers at the end of the file's name, as in `%m_%p.profraw`, and of directories', as in `prof-%p/default.profraw`.
pub fn numbers(name: &Utf8Path) -> impl Iterator<Item = u32> {
    let dirs = name.ancestors().skip(1).filter_map(Utf8Path::file_name);
    name.file_stem().into_iter().chain(dirs).filter_map(last_number)
}

fn last_number(text: &str) -> Option<u32> {
    let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[text.len() - digits..].parse().ok()?;
    (1..=LARGEST_PID).contains(&number).then_some(number as u32)
}

impl FileNames {
    fn is(&self, path: &Utf8Path) -> bool {
        match self {
            FileNames::Extension(extension) => path.extension() == Some(extension),
            FileNames::Stem(stem, extension) => {
                let rest = path.file_name().and_then(|name| name.strip_prefix(stem.as_str()));
                rest.is_some_and(|rest| {
                    rest.is_empty() || (rest.starts_with('.') && path.extension() == Some(extension))
                })
            }
        }
    }
}
