//! Files: outputs whose names hold a hash, time stamps that tell of changes, and files that take the place of others.

use std::fs;
use std::io;

use camino::Utf8Path;
use optbuild::fs::path::real;
use optbuild::fs::pattern::resolve;
use optbuild::fs::replace::{NEW, beside, exchange, put, replace, sweep};
use optbuild::fs::stat::Stat;
use optbuild::fs::tree;

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

fn cannot(_: &Utf8Path, _: &Utf8Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// As an overlay does with a directory of a lower layer.
fn crosses(_: &Utf8Path, _: &Utf8Path) -> io::Result<()> {
    Err(io::ErrorKind::CrossesDevices.into())
}

/// What a file, or the one file in a directory, says.
fn text(path: &Utf8Path) -> Option<String> {
    fs::read_to_string(path).or_else(|_| fs::read_to_string(path.join("file"))).ok()
}

fn make(path: &Utf8Path, is_dir: bool, text: &str) {
    tree::remove(path).unwrap();
    if is_dir {
        fs::create_dir(path).unwrap();
    }
    fs::write(if is_dir { path.join("file") } else { path.to_owned() }, text).unwrap();
}

/// For every kind of the new and the old one: the steps, and a kill behind each of them.
fn kills(exchange: fn(&Utf8Path, &Utf8Path) -> io::Result<()>, gone_until_swept: bool) {
    let dir = tempfile::tempdir().unwrap();
    let to = Utf8Path::from_path(dir.path()).unwrap().join("place");
    for (new_is_dir, old_is_dir) in [(true, true), (true, false), (false, true), (false, false)] {
        for last in 0..6 {
            let new = beside(&to, NEW);
            make(&new, new_is_dir, "new");
            make(&to, old_is_dir, "old");
            let mut step = 0;
            let ended = put(&new, &to, exchange, &mut || {
                step += 1;
                if step > last { anyhow::bail!("killed") } else { Ok(()) }
            });
            let (killed, before) = (ended.is_err(), text(&to));
            assert!(before.is_some() || gone_until_swept, "killed behind step {last}");
            sweep(&to).unwrap();
            let after = text(&to);
            assert!(killed || after.as_deref() == Some("new"));
            assert!(matches!(after.as_deref(), Some("old" | "new")), "killed behind step {last}: {after:?}");
            let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(names, ["place"], "something was left");
        }
    }
}

#[test]
fn a_kill_leaves_the_old_one_or_the_new_one() {
    kills(exchange, false);
}

#[test]
fn where_names_cannot_be_exchanged_sweeping_brings_the_old_one_back() {
    kills(cannot, true);
}

#[test]
fn where_the_old_one_has_no_name_to_change_sweeping_brings_it_back() {
    kills(crosses, true);
}

#[test]
fn a_copy_takes_the_place_of_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let (from, to) = (dir.join("from"), dir.join("to"));
    make(&from, true, "new");
    for old in [None, Some(true), Some(false)] {
        if let Some(is_dir) = old {
            make(&to, is_dir, "old");
        }
        replace(&from, &to).unwrap();
        assert_eq!((text(&from).as_deref(), text(&to).as_deref()), (Some("new"), Some("new")));
    }
    assert!(replace(&dir.join("nothing"), &to).is_err());
    assert_eq!(text(&to).as_deref(), Some("new"), "what cannot be replaced stays");
    assert_eq!(dir.read_dir_utf8().unwrap().count(), 2);
}

#[test]
fn paths_without_links() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
    fs::create_dir_all(dir.join("real/below")).unwrap();
    std::os::unix::fs::symlink("real", dir.join("link")).unwrap();
    std::os::unix::fs::symlink("real/not/yet", dir.join("dangling")).unwrap();
    std::os::unix::fs::symlink("circle", dir.join("circle")).unwrap();
    for (path, without) in [
        ("real/below", "real/below"),
        ("link/below", "real/below"),
        ("link/below/../below", "real/below"),
        ("link/new/one", "real/new/one"),
        ("dangling", "real/not/yet"),
        ("dangling/x", "real/not/yet/x"),
        ("circle", "circle"),
    ] {
        assert_eq!(real(&dir.join(path)), dir.join(without), "{path}");
    }
}
