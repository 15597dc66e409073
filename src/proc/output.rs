//! Where the output of this process goes: files that it writes into, and those of programs that read it from a pipe, such as `tee`.
//!
//! A program that reads it is among the children of this process's ancestors, where a shell starts both sides of a pipe. Unaware of what
//! is written.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};

use super::{children_of, process};

/// So many programs behind each other are looked at, and so many ancestors.
const FARTHEST: usize = 8;

/// The regular files in which standard output and standard error of this process end.
pub fn files() -> BTreeSet<Utf8PathBuf> {
    let own = std::process::id() as i32;
    let (mut found, mut open) = (BTreeSet::new(), BTreeSet::new());
    for fd in [1, 2] {
        let Some(link) = link(own, fd) else { continue };
        if link.as_str().starts_with("pipe:") {
            open.insert(link);
        } else if link.is_absolute() && link.is_file() {
            found.insert(link);
        }
    }
    // What a terminal shows is in no file.
    let mut candidates = if open.is_empty() { Vec::new() } else { relatives(own) };
    for _ in 0..FARTHEST {
        let (readers, others): (Vec<i32>, Vec<i32>) = candidates
            .into_iter()
            .partition(|pid| files_of(*pid).any(|file| !file.written && open.contains(&file.link)));
        candidates = others;
        if readers.is_empty() {
            break;
        }
        for reader in readers {
            for file in files_of(reader).filter(|file| file.written) {
                if file.link.as_str().starts_with("pipe:") {
                    open.insert(file.link);
                } else if file.link.is_absolute() && !file.link.starts_with("/dev") && file.is_log_of(reader) {
                    found.insert(file.link);
                }
            }
        }
    }
    found
}

/// The ancestors of a process in its session, and their children: a shell starts all sides of a pipe in its own.
fn relatives(pid: i32) -> Vec<i32> {
    let Some(own) = process(pid) else { return Vec::new() };
    let (mut found, mut at) = (BTreeSet::new(), own.parent);
    for _ in 0..FARTHEST {
        let Some(parent) = process(at).filter(|parent| parent.session == own.session) else { break };
        found.insert(at);
        found.extend(children_of(at).unwrap_or_default());
        at = parent.parent;
    }
    found.remove(&pid);
    found.into_iter().collect()
}

/// A file that a process has open.
struct Open {
    link: Utf8PathBuf,
    written: bool,
    appended: bool,
}

impl Open {
    /// Whether the process writes a log there, as `tee` does: at the end, or what was there before was thrown away. Other programs that read
    /// have other files open for writing.
    fn is_log_of(&self, pid: i32) -> bool {
        let Ok(meta) = fs::metadata(&self.link) else { return false };
        let written_since = || Some(meta.modified().ok()? >= began(pid)?);
        meta.is_file() && (self.appended || written_since() == Some(true))
    }
}

/// When a process was started.
fn began(pid: i32) -> Option<SystemTime> {
    let seconds = process(pid)?.start_time as f64 / rustix::param::clock_ticks_per_second() as f64;
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let ago = up.tv_sec as f64 + up.tv_nsec as f64 / 1e9 - seconds;
    // Of two clocks, one of which ticks a hundred times a second.
    SystemTime::now().checked_sub(Duration::try_from_secs_f64(ago + 0.05).ok()?)
}

fn files_of(pid: i32) -> impl Iterator<Item = Open> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter_map(move |fd| {
        let flags = flags(pid, fd)?;
        let (written, appended) = (flags & libc::O_ACCMODE != libc::O_RDONLY, flags & libc::O_APPEND != 0);
        Some(Open { link: link(pid, fd)?, written, appended })
    })
}

fn link(pid: i32, fd: i32) -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(fs::read_link(Utf8Path::new(&format!("/proc/{pid}/fd/{fd}"))).ok()?).ok()
}

/// The flags of `open(2)`, which are told in octal.
fn flags(pid: i32, fd: i32) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"))?.trim();
    i32::from_str_radix(flags, 8).ok()
}
