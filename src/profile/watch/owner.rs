//! Which process writes a profile, by the file's name, and whether it still lives.
//!
//! Unaware of who has a file open.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;
use rustix::time::{ClockId, clock_gettime};

/// The largest process id that Linux gives.
const LARGEST: u64 = 1 << 22;
const SECOND: i128 = 1_000_000_000;

/// A moment, in nanoseconds since the machine began.
#[derive(Debug, Clone, Copy)]
pub struct Moment(i128);

impl Moment {
    pub fn this() -> Moment {
        Moment(nanoseconds(ClockId::Boottime))
    }
}

/// Whether a process that a file is named after may have written it and lives. `name` is the path below the watched directory,
/// in which nobody writes whose process began before `since`. False where the name tells of no process.
pub fn lives(name: &Utf8Path, file: &Metadata, since: Moment) -> bool {
    let modified = i128::from(file.mtime()) * SECOND + i128::from(file.mtime_nsec());
    let tick = SECOND / i128::from(rustix::param::clock_ticks_per_second().max(1));
    // Both clocks at one moment.
    let machine = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime);
    numbers(name).filter_map(|pid| began(pid, tick)).any(|began| {
        // A process that began after the file was written only has the id of the one that wrote it, and of one that is older
        // than the attempt it only has the number: small ones stand in names for other reasons, and a namespace has ids of its
        // own. A beginning is known to a tick of the clock, the time of a file to another.
        began + tick > since.0 && machine + began < modified + tick
    })
}

/// The numbers at the end of the file's name, as in `%m_%p.profraw`, and of directories', as in `prof-%p/default.profraw`.
fn numbers(name: &Utf8Path) -> impl Iterator<Item = u32> {
    let dirs = name.ancestors().skip(1).filter_map(Utf8Path::file_name);
    name.file_stem().into_iter().chain(dirs).filter_map(last_number)
}

fn last_number(text: &str) -> Option<u32> {
    let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[text.len() - digits..].parse().ok()?;
    (1..=LARGEST).contains(&number).then_some(number as u32)
}

/// When a living process began, in nanoseconds since the machine did, rounded down to ticks. None: there is no such process, or it
/// only waits for its parent to notice its end.
fn began(pid: u32, tick: i128) -> Option<i128> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name stands in parentheses and may have any character in it. Behind it comes field 3.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let (state, threads, start) = (fields.first()?, number(20)?, number(22)?);
    // Other threads may outlive the first one.
    if matches!(*state, "Z" | "X") && threads <= 1 {
        return None;
    }
    Some(i128::from(start) * tick)
}

fn nanoseconds(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_processes() {
        let of = |name: &str| numbers(Utf8Path::new(name)).collect::<Vec<u32>>();
        assert_eq!(of("10939487438_0_4242.profraw"), [4242]);
        assert_eq!(of("prof.4242.fdata"), [4242]);
        assert_eq!(of("prof-4242/default_7201963243389513_0.profraw"), [4242]);
        assert_eq!(of("prof-4242/default_7201963243389513_3.profraw"), [3, 4242]);
        assert_eq!(of("default.profraw"), [0; 0]);
        assert_eq!(of("prof.fdata"), [0; 0]);
    }

    #[test]
    fn a_process_owns_only_what_was_written_after_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let name = format!("prof.{}.fdata", std::process::id());
        let lives = |since| lives(Utf8Path::new(&name), &fs::metadata(&path).unwrap(), since);
        assert!(lives(Moment(0)));
        // Nobody older than a second from here writes there.
        assert!(!lives(Moment(Moment::this().0 + SECOND)));
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000_000);
        fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(!lives(Moment(0)));
    }

    /// What the kernel says of the beginning of a process, and what a clock said around it.
    #[test]
    fn beginnings_are_known_to_a_tick() {
        let before = Moment::this();
        let mut child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
        let after = Moment::this();
        let tick = SECOND / i128::from(rustix::param::clock_ticks_per_second());
        let began = began(child.id(), tick).unwrap();
        assert!(before.0 < began + tick && began <= after.0, "{before:?} {began} {after:?}");
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
