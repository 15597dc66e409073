//! Files: outputs whose names hold a hash, and time stamps that tell of changes.

use std::io;

use camino::Utf8Path;
use optbuild::fs::pattern::resolve;
use optbuild::fs::stat::Stat;

/// In nanoseconds.
const SECOND: i64 = 1_000_000_000;

#[test]
fn exactly_one_file_matches() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let pattern = dir.join("merged-*.profdata");
    assert_eq!(resolve(&pattern).unwrap_err().kind(), io::ErrorKind::NotFound);
    std::fs::write(dir.join("merged-12.profdata"), "").unwrap();
    std::fs::write(dir.join("merged-12.fdata"), "").unwrap();
    assert_eq!(resolve(&pattern).unwrap(), dir.join("merged-12.profdata"));
    std::fs::write(dir.join("merged-13.profdata"), "").unwrap();
    assert!(resolve(&pattern).unwrap_err().to_string().contains("more than one"));
    assert_eq!(resolve(&dir.join("plain")).unwrap(), dir.join("plain"));
}

#[test]
fn settled_needs_a_tick_of_the_clock() {
    let at = |mtime| Stat { size: 0, mtime, ctime: mtime, inode: 1 };
    let fine = 100 * SECOND + 1;
    assert!(!at(fine).settled(fine));
    assert!(!at(fine).settled(fine + SECOND / 100));
    assert!(at(fine).settled(fine + SECOND / 5));
    let coarse = 100 * SECOND;
    assert!(!at(coarse).settled(coarse + SECOND), "a file system that counts in seconds needs longer");
    assert!(at(coarse).settled(coarse + 3 * SECOND));
    assert!(!at(fine + 50 * SECOND).settled(fine), "a time stamp in the future proves nothing");
    let replaced = Stat { mtime: 0, ..at(fine) };
    assert!(!replaced.settled(fine), "an old mtime can be set; the ctime cannot");
}
