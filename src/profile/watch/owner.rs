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

/// Whether the process that a file is named after may have written it and lives. `name` is the path below the watched
/// directory. False where the name tells of no process.
pub fn lives(name: &Utf8Path, file: &Metadata) -> bool {
    let modified = i128::from(file.mtime()) * SECOND + i128::from(file.mtime_nsec());
    process_id(name).and_then(began).is_some_and(|(began, tick)| {
        // A process that began after the file was written only has the id of the one that wrote it. Its beginning is known to
        // a tick of the clock, the time of the file to another.
        began < modified + tick
    })
}

/// The number at the end of the file's name, as in `%m_%p.profraw`, or else of a directory's, as in `prof-%p/default.profraw`.
fn process_id(name: &Utf8Path) -> Option<u32> {
    let stem = name.file_stem()?;
    let dirs = name.ancestors().skip(1).filter_map(Utf8Path::file_name);
    std::iter::once(stem).chain(dirs).find_map(last_number)
}

fn last_number(text: &str) -> Option<u32> {
    let digits = text.len() - text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[text.len() - digits..].parse().ok()?;
    (1..=LARGEST).contains(&number).then_some(number as u32)
}

/// When a living process began, and how exact that is, in nanoseconds of the clock that files have. None: there is no such
/// process, or it only waits for its parent to notice its end.
fn began(pid: u32) -> Option<(i128, i128)> {
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
    let nanoseconds = |clock| {
        let time = clock_gettime(clock);
        i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec)
    };
    let machine = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime);
    let tick = SECOND / i128::from(rustix::param::clock_ticks_per_second().max(1));
    Some((machine + i128::from(start) * tick, tick))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_processes() {
        let of = |name: &str| process_id(Utf8Path::new(name));
        assert_eq!(of("10939487438_0_4242.profraw"), Some(4242));
        assert_eq!(of("prof.4242.fdata"), Some(4242));
        assert_eq!(of("prof-4242/default_7201963243389513_0.profraw"), Some(4242));
        assert_eq!(of("default.profraw"), None);
        assert_eq!(of("prof.fdata"), None);
    }

    #[test]
    fn a_process_owns_only_what_was_written_after_it_began() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        fs::write(&path, "").unwrap();
        let name = format!("prof.{}.fdata", std::process::id());
        assert!(lives(Utf8Path::new(&name), &fs::metadata(&path).unwrap()));
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(100_000_000);
        fs::File::options().append(true).open(&path).unwrap().set_modified(old).unwrap();
        assert!(!lives(Utf8Path::new(&name), &fs::metadata(&path).unwrap()));
    }
}
