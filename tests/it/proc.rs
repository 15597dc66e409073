//! The processes of this machine: when they began, what the system tells of them, which files they have open, and who
//! descends from whom.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use camino::Utf8Path;
use optbuild::proc::lifetime::{Moment, began, tick};
use optbuild::proc::linux::{arguments, parse_stat, used_by_children, variable_of};
use optbuild::proc::open_files::{OpenFiles, open_files};
use optbuild::proc::tree::{Proc, descendants};

use crate::support::processes::in_own_process;

/// What the kernel says of the beginning of a process, and what a clock said around it.
#[test]
fn beginnings_are_known_to_a_tick() {
    let before = Moment::now();
    let mut child = std::process::Command::new("sleep").arg("300").spawn().unwrap();
    let after = Moment::now();
    let began = began(child.id()).unwrap();
    assert!(before < began.plus(tick()) && began <= after, "{before:?} {began:?} {after:?}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn time_stamps_are_moments() {
    let (before, stamp, after) = (Moment::now(), SystemTime::now(), Moment::now());
    let (moment, second) = (Moment::at(stamp), 1_000_000_000);
    // The clock may be corrected meanwhile.
    assert!(before < moment.plus(second) && moment < after.plus(second));
    assert!(Moment::at(SystemTime::UNIX_EPOCH) < Moment(0));
}

#[test]
fn open_and_mapped_files_are_written() {
    // A child that another test starts has all files open until its `exec`.
    in_own_process(|| {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("file");
        fs::write(&path, "text").unwrap();
        let is_written = || OpenFiles::default().is_written(&path).unwrap();
        assert!(!is_written());
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(is_written());
        drop(writer);
        let reader = File::open(&path).unwrap();
        assert!(!is_written());
        drop(reader);

        // The way without leases sees other processes only.
        let found = fs::metadata(&path).unwrap();
        let is_open = || open_files().contains(&(found.dev(), found.ino()));
        assert!(!is_open());
        let script = format!("exec 3>>{path}; read line");
        let mut other =
            std::process::Command::new("sh").args(["-c", &script]).stdin(std::process::Stdio::piped()).spawn().unwrap();
        let began = std::time::Instant::now();
        while !is_open() {
            assert!(began.elapsed().as_secs() < 60);
        }
        assert!(is_written());
        drop(other.stdin.take());
        other.wait().unwrap();
        assert!(!is_open() && !is_written());
    });
}

#[test]
fn stat_with_a_difficult_name() {
    // Field numbers as in proc_pid_stat(5): 22 is starttime.
    let line = b"4026 (a) R (b \xff) S 4019 4026 4011 0 -1 4194560 93 0 0 0 1 2 3 4 20 0 1 0 1337 2600960 95";
    let process = parse_stat(line).unwrap();
    assert_eq!((process.pid, process.parent, process.group, process.session), (4026, 4019, 4026, 4011));
    assert_eq!((process.state, process.threads, process.start_time), ('S', 1, 1337));
    assert_eq!((process.ticks, process.pages), (1 + 2 + 3 + 4, 95));
    assert_eq!(process.name, "a) R (b \u{fffd}");
    assert_eq!(parse_stat(b"4026 (a"), None);
}

#[test]
fn descendants_are_found_across_generations() {
    let name = String::new;
    let with = |pid, parent| {
        let (group, session, state, threads, start_time, ticks, pages) = (1, 1, 'S', 1, 0, 0, 0);
        Proc { pid, parent, group, session, state, threads, start_time, ticks, forked: false, pages, name: name() }
    };
    let all = [with(9, 5), with(1, 0), with(5, 3), with(3, 1), with(4, 1), with(6, 4)];
    let pids = |roots: &[i32]| -> Vec<i32> {
        descendants(&all, roots.iter().copied()).iter().map(|process| process.pid).collect()
    };
    assert_eq!(pids(&[3]), [5, 9]);
    assert_eq!(pids(&[1]), [3, 4, 5, 6, 9]);
    assert_eq!(pids(&[9]), [0; 0]);
    // A circle, which a snapshot taken over time can hold, ends.
    assert_eq!(descendants(&[with(7, 8), with(8, 7)], [7]).len(), 1);
}

#[test]
fn the_environment_and_the_words_of_a_process() {
    let mut command = std::process::Command::new("sleep");
    let mut child = command.arg("300").env_clear().env("A", "b c").env("B", "C=d").env("CC", "=").spawn().unwrap();
    let pid = child.id() as i32;
    // Until it has executed its program it shows those of this one.
    let began = std::time::Instant::now();
    while arguments(pid) != [b"sleep", b"300".as_slice()] {
        assert!(began.elapsed().as_secs() < 60);
    }
    let value = |name| variable_of(pid, name).map(|value| String::from_utf8(value).unwrap());
    let values = ["A", "B", "C", "CC", "b c"].map(value);
    assert_eq!(values.each_ref().map(Option::as_deref), [Some("b c"), Some("C=d"), None, Some("="), None]);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_children_used_is_counted_when_they_were_waited_for() {
    let before = used_by_children().unwrap();
    let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
    assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
    let after = used_by_children().unwrap();
    assert!(after.user + after.system > before.user + before.system);
    // A shell takes more than 100 KiB, and the peak is in bytes.
    assert!(after.peak_memory > 100 * 1024 && after.page_faults > before.page_faults, "{after:?}");
}
