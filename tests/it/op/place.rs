//! Libraries of BOLT's that are put in place where `x.py dist` takes them from, and taken back: kills, and directories that `x.py` deletes.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::time::{Duration, SystemTime};

use crate::support::dir::{Dir, fact, op};
use camino::Utf8Path;

fn read(path: impl AsRef<Utf8Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap()
}

fn inode(path: impl AsRef<Utf8Path>) -> u64 {
    fs::metadata(path.as_ref()).unwrap().ino()
}

/// A build directory as x.py leaves it: the library stands in cargo's directory, and under another name in the sysroot.
fn build(linked: bool) -> Dir {
    let dir = Dir::new();
    let origin = dir.write("host/stage1-rustc/t/release/deps/librustc_driver-a1.so", "built");
    dir.write("host/stage1-rustc/t/release/deps/librustc_driver-a1.d", "built");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(&origin).unwrap().set_modified(old).unwrap();
    assemble(&dir, linked);
    dir.write("bolted", "bolted");
    dir
}

/// What x.py does when it puts the sysroot together.
fn assemble(dir: &Dir, linked: bool) {
    let lib = dir.join("host/stage2/lib");
    let _ = fs::remove_dir_all(&lib);
    fs::create_dir_all(&lib).unwrap();
    let (origin, name) =
        (dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so"), lib.join("librustc_driver-a1.so"));
    if linked { fs::hard_link(origin, name).unwrap() } else { fs::copy(origin, name).map(|_| ()).unwrap() }
}

fn place(dir: &Dir, file: &str) -> anyhow::Result<Option<f64>> {
    let [file, target, below, outside, stage1] =
        [file, "host/stage2/lib/librustc_driver-*.so", "host", "host/stage2", "host/stage1"].map(|name| dir.join(name));
    let args = ["put-in-place", "--file", file.as_str(), "--target", target.as_str(), "--links-below", below.as_str()];
    let more = [
        "--keep-original",
        "--origin-outside",
        outside.as_str(),
        "--origin-outside",
        stage1.as_str(),
        "--built-by",
        "llvm-pgo",
    ];
    Ok(fact(&op(&[&args[..], &more[..]].concat())?, "replaced-names"))
}

#[test]
fn a_library_is_put_in_place_at_its_origin() {
    for linked in [true, false] {
        let dir = build(linked);
        let origin = dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so");
        let seen = dir.join("host/stage2/lib/librustc_driver-a1.so");
        let (modified, before) = (fs::metadata(&origin).unwrap().modified().unwrap(), inode(&origin));
        for _ in 0..2 {
            assert_eq!(place(&dir, "bolted").unwrap(), Some(2.0), "linked: {linked}");
            assert_eq!((read(&origin), read(&seen)), ("bolted".into(), "bolted".into()));
            assert_eq!(inode(&origin), inode(&seen));
            assert_eq!(fs::metadata(&origin).unwrap().modified().unwrap(), modified, "cargo would build it again");
            // x.py deletes stage 2 and links anew.
            assemble(&dir, linked);
            assert_eq!(read(&seen), "bolted");
        }
        let kept = dir.join("host/optbuild-originals/librustc_driver-a1.so.orig");
        assert_eq!((read(&kept), inode(&kept)), ("built".into(), before));

        let below = dir.join("host");
        let restored = op(&["restore", "--below", below.as_str()]).unwrap();
        assert_eq!(fact(&restored, "restored-names"), Some(if linked { 2.0 } else { 1.0 }));
        assert_eq!((read(&origin), inode(&origin)), ("built".into(), before));
        assert_eq!(fs::metadata(&origin).unwrap().modified().unwrap(), modified);
        assert!(!kept.exists());
        assert_eq!(fact(&op(&["restore", "--below", below.as_str()]).unwrap(), "restored-names"), None);
        assemble(&dir, linked);
        assert_eq!(read(&seen), "built");
    }
}

#[test]
fn a_library_that_was_built_again_is_the_original() {
    let dir = build(true);
    place(&dir, "bolted").unwrap();
    // cargo links into a new file.
    let origin = dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so");
    fs::remove_file(&origin).unwrap();
    fs::write(&origin, "built again").unwrap();
    assemble(&dir, true);
    dir.write("bolted2", "bolted again");
    place(&dir, "bolted2").unwrap();
    assert_eq!(read(dir.join("host/stage2/lib/librustc_driver-a1.so")), "bolted again");
    op(&["restore", "--below", dir.join("host").as_str()]).unwrap();
    assert_eq!(read(&origin), "built again");
}

#[test]
fn a_library_without_an_origin_is_refused() {
    let dir = build(true);
    fs::remove_file(dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so")).unwrap();
    let refused = place(&dir, "bolted").unwrap_err().to_string();
    assert!(refused.contains("would be the original again"), "{refused}");
    dir.write("host/stage2/lib/librustc_driver-b2.so", "of another version");
    assert!(place(&dir, "bolted").unwrap_err().to_string().contains("more than one"));
}

/// `x.py dist` puts the sysroot of stage 1 together anew as well, and with it goes every file that it does not know.
#[test]
fn an_original_outlives_what_the_build_tool_deletes() {
    let dir = build(true);
    let origin = dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so");
    let sysroot = dir.join("host/stage1/lib/rustlib/t/lib");
    let assemble_stage1 = || {
        let _ = fs::remove_dir_all(&sysroot);
        fs::create_dir_all(&sysroot).unwrap();
        fs::hard_link(&origin, sysroot.join("librustc_driver-a1.so")).unwrap();
    };
    assemble_stage1();
    assert_eq!(place(&dir, "bolted").unwrap(), Some(3.0));
    assemble_stage1();
    assemble(&dir, true);
    let below = dir.join("host");
    let restored = op(&["restore", "--below", below.as_str()]).unwrap();
    assert_eq!(fact(&restored, "restored-names"), Some(3.0));
    let names =
        [origin.clone(), sysroot.join("librustc_driver-a1.so"), dir.join("host/stage2/lib/librustc_driver-a1.so")];
    assert_eq!(names.map(|name| read(&name)), ["built"; 3]);

    // Even if the place itself is deleted, and the sysroots are what is left; and if nothing is.
    for left in [true, false] {
        place(&dir, "bolted").unwrap();
        fs::remove_file(&origin).unwrap();
        if !left {
            fs::remove_dir_all(&sysroot).unwrap();
            fs::remove_dir_all(dir.join("host/stage2")).unwrap();
        }
        op(&["restore", "--below", below.as_str()]).unwrap();
        assert_eq!(read(&origin), "built");
        assemble_stage1();
        assemble(&dir, true);
    }

    // What was built again is not overwritten.
    place(&dir, "bolted").unwrap();
    fs::remove_file(&origin).unwrap();
    fs::write(&origin, "built again").unwrap();
    op(&["restore", "--below", below.as_str()]).unwrap();
    assert_eq!(read(&origin), "built again");
}

/// A state directory can be a link to a larger disk.
#[test]
fn the_original_is_kept_below_a_link_as_well() {
    let dir = build(true);
    fs::rename(dir.join("host"), dir.join("disk")).unwrap();
    symlink(dir.join("disk"), dir.join("host")).unwrap();
    for _ in 0..2 {
        place(&dir, "bolted").unwrap();
        assert_eq!(read(dir.join("disk/optbuild-originals/librustc_driver-a1.so.orig")), "built");
        assert_eq!(read(dir.join("disk/stage2/lib/librustc_driver-a1.so")), "bolted");
    }
    op(&["restore", "--below", dir.join("host").as_str()]).unwrap();
    assert_eq!(read(dir.join("disk/stage1-rustc/t/release/deps/librustc_driver-a1.so")), "built");
}

/// A kill between the names leaves some of them with the original.
#[test]
fn restoring_goes_on_after_a_kill() {
    let dir = build(true);
    place(&dir, "bolted").unwrap();
    let [origin, seen] = ["stage1-rustc/t/release/deps", "stage2/lib"]
        .map(|name| dir.join("host").join(name).join("librustc_driver-a1.so"));
    fs::remove_file(&seen).unwrap();
    fs::hard_link(dir.join("host/optbuild-originals/librustc_driver-a1.so.orig"), &seen).unwrap();
    op(&["restore", "--below", dir.join("host").as_str()]).unwrap();
    assert_eq!((read(&origin), read(&seen)), ("built".into(), "built".into()));
    assert_eq!(inode(&origin), inode(&seen));
}

/// x.py deletes stage 2 before it puts it together, and can be killed at any point of that.
#[test]
fn a_library_is_put_in_place_without_the_sysroot_if_it_was_before() {
    for linked in [true, false] {
        let dir = build(linked);
        let origin = dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so");
        let (stage2, below) = (dir.join("host/stage2"), dir.join("host"));
        place(&dir, "bolted").unwrap();
        let none = || fs::remove_dir_all(&stage2).unwrap();
        let empty = || {
            none();
            fs::create_dir_all(stage2.join("lib")).unwrap();
        };
        let half = || {
            empty();
            dir.write("host/stage2/lib/librustc_driver-a1.so", "bol");
        };
        let whole = || assemble(&dir, linked);
        // What is left by a kill, and by one behind it.
        for killed in [&none as &dyn Fn(), &empty, &half, &whole] {
            killed();
            op(&["restore", "--below", below.as_str()]).unwrap();
            assert_eq!(read(&origin), "built");
            for _ in 0..2 {
                place(&dir, "bolted").unwrap();
                let kept = dir.join("host/optbuild-originals/librustc_driver-a1.so.orig");
                assert_eq!((read(&origin), read(kept)), ("bolted".into(), "built".into()));
            }
            assemble(&dir, linked);
            assert_eq!(read(stage2.join("lib/librustc_driver-a1.so")), "bolted");
        }
        // A kill while it is being put in place.
        none();
        fs::write(dir.join("host/optbuild-originals/librustc_driver-a1.so.placed"), "").unwrap();
        op(&["restore", "--below", below.as_str()]).unwrap();
        place(&dir, "bolted").unwrap();
        op(&["restore", "--below", below.as_str()]).unwrap();
        assert_eq!(read(&origin), "built");
    }
}

#[test]
fn a_library_that_was_never_found_or_is_gone_is_refused_with_the_stage_that_builds_it() {
    let dir = build(true);
    fs::remove_dir_all(dir.join("host/stage2")).unwrap();
    let refused = |says: &str| {
        let message = format!("{:#}", place(&dir, "bolted").unwrap_err());
        assert!(message.contains(says) && message.contains("--from llvm-pgo"), "{message}");
    };
    refused("no note of what it was made from");
    assemble(&dir, true);
    place(&dir, "bolted").unwrap();
    // Of another build: what was noted is no origin of it.
    fs::remove_dir_all(dir.join("host/stage2")).unwrap();
    dir.write("host/stage2/lib/librustc_driver-b2.so", "of another version");
    refused("has no other name outside of");
    fs::remove_dir_all(dir.join("host/stage2")).unwrap();
    fs::remove_file(dir.join("host/stage1-rustc/t/release/deps/librustc_driver-a1.so")).unwrap();
    refused("deps/librustc_driver-a1.so, which it was made from");
}
