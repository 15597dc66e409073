//! What a companion keeps on disk: the sums of workloads, and damaged profiles within a limit.

use std::fs;

use camino::Utf8Path;
use optbuild::op::stream::budget::Room;
use optbuild::op::stream::store::{Counts, Parts, SUM, absorb, rest_name, sweep};
use optbuild::profile::Format;

use crate::support::dir::Dir;

/// A workload whose sum is of so many files.
fn commit(committed: &Utf8Path, name: &str, files: u64) {
    let dir = committed.join(name).join(SUM);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(rest_name(Format::Fdata)), format!("1 main 0 1 {name} 0 0 {files}\n")).unwrap();
    Counts { files, merged: files, ..Counts::default() }.write(&dir, &[]).unwrap();
}

fn files(committed: &Utf8Path) -> u64 {
    Parts::find(committed).unwrap().counts.files
}

fn names(dir: &Utf8Path) -> Vec<String> {
    let mut names: Vec<String> =
        dir.read_dir_utf8().unwrap().map(|entry| entry.unwrap().file_name().to_owned()).collect();
    names.sort();
    names
}

/// Whatever of the old sums is left when optbuild is killed: each workload counts once.
#[test]
fn what_a_kill_leaves_counts_once() {
    let temporary = Dir::new();
    let committed = temporary.path();
    let absorb = || absorb(committed, Format::Fdata, "/usr/lib/llvm-22/bin/merge-fdata".into(), 0).unwrap();
    for (name, files) in [("a", 1), ("b", 10), ("c", 100)] {
        commit(committed, name, files);
    }
    assert_eq!(files(committed), 111);
    absorb();
    assert_eq!(names(committed), [".sum-1", "a", "b", "c"]);
    assert_eq!(files(committed), 111);
    // The workloads themselves stay committed, without their sums.
    assert_eq!(names(&committed.join("a")), [""; 0]);

    // Killed before the sums of all workloads were removed, and while the next sum was written.
    commit(committed, "b", 10);
    fs::create_dir_all(committed.join(".tmp-x/sum")).unwrap();
    assert_eq!(files(committed), 111);
    sweep(committed).unwrap();
    assert_eq!(names(committed), [".sum-1", "a", "b", "c"]);
    assert_eq!(names(&committed.join("b")), [""; 0]);
    assert_eq!(files(committed), 111);

    // One is as good as it is; two become a new sum with the old one.
    commit(committed, "d", 1000);
    absorb();
    assert_eq!(names(committed), [".sum-1", "a", "b", "c", "d"]);
    commit(committed, "e", 10_000);
    let old = committed.join("old");
    assert!(
        std::process::Command::new("cp")
            .args(["-a", committed.join(".sum-1").as_str(), old.as_str()])
            .status()
            .unwrap()
            .success()
    );
    absorb();
    // Killed before the old sum was removed.
    fs::rename(&old, committed.join(".sum-1")).unwrap();
    assert_eq!(files(committed), 11_111);
    sweep(committed).unwrap();
    assert_eq!(names(committed), [".sum-2", "a", "b", "c", "d", "e"]);
    assert_eq!(files(committed), 11_111);
    let text = fs::read_to_string(committed.join(".sum-2").join(rest_name(Format::Fdata))).unwrap();
    let expected = [("a", 1), ("b", 10), ("c", 100), ("d", 1000), ("e", 10_000)];
    let lines = expected.map(|(name, files)| format!("1 main 0 1 {name} 0 0 {files}\n"));
    assert_eq!(text, lines.concat());
}

#[test]
fn one_limit_for_all_runs() {
    let temporary = Dir::new();
    let committed = temporary.path();
    for (name, bytes) in [("a/quarantine/x", 100), ("a/quarantine/x.reason", 7), ("b/quarantine/y", 50), ("b/z", 9)] {
        temporary.write(name, vec![0; bytes]);
    }
    // A quarter of 1,000, of which 150 are taken.
    let room = Room::new(committed, 1000).unwrap();
    assert!(!room.take(101) && room.take(60) && !room.take(41) && room.take(40) && !room.take(1));
    room.give_back(60);
    assert!(room.take(60) && !room.take(1));
    let room = Room::new(&committed.join("none"), 1 << 40).unwrap();
    assert!(room.take(64 << 20) && !room.take(1));
}
