//! Operations on files: shadows, captures, putting in place, comparing.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

use crate::support::dir::{Dir, error, fact, op};
use camino::Utf8Path;
use optbuild::op::files::without;
use optbuild::plan::ops::given::CopyWorkspace;

/// A small toolchain: a library under two names of one inode and a link, a program, and a header.
fn toolchain() -> Dir {
    let dir = Dir::new();
    let library = dir.write("tree/lib/libLLVM.so.22", "original");
    fs::create_dir_all(dir.join("tree/rustlib")).unwrap();
    fs::hard_link(&library, dir.join("tree/rustlib/libLLVM.so.22")).unwrap();
    symlink("libLLVM.so.22", dir.join("tree/lib/libLLVM.so")).unwrap();
    let program = dir.write("tree/bin/prog", "program");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o555)).unwrap();
    dir.write("tree/include/a.h", "header");
    dir.write("new", "instrumented");
    dir
}

fn shadow(dir: &Dir, replace: &str) -> anyhow::Result<()> {
    let [from, to, with] = ["tree", "shadow", "new"].map(|name| dir.join(name));
    let args = ["shadow", "--from", from.as_str(), "--to", to.as_str(), "--replace", replace, "--with", with.as_str()];
    op(&args).map(|_| ())
}

fn read(path: impl AsRef<Utf8Path>) -> String {
    fs::read_to_string(path.as_ref()).unwrap()
}

fn inode(path: impl AsRef<Utf8Path>) -> u64 {
    fs::symlink_metadata(path.as_ref()).unwrap().ino()
}

#[test]
fn a_shadow_replaces_the_file_behind_a_link_under_all_its_names() {
    let dir = toolchain();
    shadow(&dir, "lib/libLLVM.so").unwrap();
    for name in ["lib/libLLVM.so", "lib/libLLVM.so.22", "rustlib/libLLVM.so.22"] {
        assert_eq!(read(dir.join("shadow").join(name)), "instrumented", "{name}");
        assert_eq!(read(dir.join("tree").join(name)), "original", "{name}");
    }
    assert!(dir.join("shadow/lib/libLLVM.so").is_symlink());
    // Headers are links, programs are not: `strip` writes through links.
    assert_eq!(inode(dir.join("shadow/include/a.h")), inode(dir.join("tree/include/a.h")));
    assert_ne!(inode(dir.join("shadow/bin/prog")), inode(dir.join("tree/bin/prog")));
    assert_eq!(dir.join("shadow/bin/prog").metadata().unwrap().permissions().mode() & 0o777, 0o555);
    // Again, over what is there.
    shadow(&dir, "lib/libLLVM.so.22").unwrap();
}

#[test]
fn a_shadow_refuses_what_would_not_be_one() {
    let dir = toolchain();
    dir.write("elsewhere", "x");
    symlink("../elsewhere", dir.join("tree/outside")).unwrap();
    symlink("circle", dir.join("tree/circle")).unwrap();
    let refused = |replace: &str| format!("{:#}", shadow(&dir, replace).unwrap_err());
    assert!(refused("outside").contains("outside of"));
    assert!(refused("circle").contains("circle"));
    assert!(refused("missing").contains("to replace"));
    assert!(refused("../new").contains("does not lie in"));
    assert!(refused("lib").contains("not a file"));
    let (tree, inner, with) = (dir.join("tree"), dir.join("tree/lib/copy"), dir.join("new"));
    let args =
        ["shadow", "--from", tree.as_str(), "--to", inner.as_str(), "--replace", "bin/prog", "--with", with.as_str()];
    assert!(error(&args).contains("no end"));
}

#[test]
fn a_capture_is_what_was_there() {
    let dir = toolchain();
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let header = dir.join("tree/include/a.h");
    fs::File::open(&header).unwrap().set_modified(old).unwrap();
    let capture =
        |from: &str, to: &str| op(&["capture", "--from", dir.join(from).as_str(), "--to", dir.join(to).as_str()]);

    dir.write("out/stale", "x");
    capture("tree", "out").unwrap();
    assert!(!dir.join("out/stale").exists());
    assert_eq!(dir.join("out/include/a.h").metadata().unwrap().modified().unwrap(), old);
    assert_eq!(dir.join("out/bin/prog").metadata().unwrap().permissions().mode() & 0o777, 0o555);
    assert_eq!(fs::read_link(dir.join("out/lib/libLLVM.so")).unwrap().to_str(), Some("libLLVM.so.22"));
    assert_ne!(inode(dir.join("out/include/a.h")), inode(&header), "what happens to the build does not happen to it");

    capture("tree/lib/libLLVM.so", "one/libLLVM.so").unwrap();
    assert!(!dir.join("one/libLLVM.so").is_symlink());
    assert_eq!(read(dir.join("one/libLLVM.so")), "original");

    let message = format!("{:#}", capture("tree/lib/libLLVM.so.23", "x").unwrap_err());
    assert!(message.contains("there is no") && message.contains("libLLVM.so.22"), "{message}");
    assert!(capture("tree", "tree/copy").is_err());
}

#[test]
fn put_in_place_takes_all_names_and_keeps_the_original() {
    let dir = toolchain();
    let target = dir.join("tree/lib/libLLVM.so.22");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::open(&target).unwrap().set_modified(old).unwrap();
    let put = |file: &str| {
        let (file, below) = (dir.join(file), dir.join("tree"));
        let args =
            ["put-in-place", "--file", file.as_str(), "--target", target.as_str(), "--links-below", below.as_str()];
        op(&[&args[..], &["--keep-original"]].concat()).unwrap()
    };
    let other = dir.join("tree/rustlib/libLLVM.so.22");
    let original = dir.join("tree/optbuild-originals/libLLVM.so.22.orig");
    for _ in 0..2 {
        assert_eq!(fact(&put("new"), "replaced-names"), Some(2.0));
        assert_eq!(
            (read(&target), read(&other), read(&original)),
            ("instrumented".into(), "instrumented".into(), "original".into())
        );
        assert_eq!(inode(&target), inode(&other));
        assert_eq!(target.metadata().unwrap().modified().unwrap(), old);
    }
    // Another result over the first: the original stays the original.
    dir.write("newer", "optimised");
    put("newer");
    assert_eq!(
        (read(&target), read(&other), read(&original)),
        ("optimised".into(), "optimised".into(), "original".into())
    );
    // Rebuilt: a new original.
    fs::remove_file(&target).unwrap();
    fs::write(&target, "rebuilt").unwrap();
    put("newer");
    assert_eq!((read(&target), read(&original)), ("optimised".into(), "rebuilt".into()));
}

#[test]
fn put_in_place_goes_on_after_a_kill() {
    let dir = toolchain();
    let target = dir.join("tree/lib/libLLVM.so.22");
    let other = dir.join("tree/rustlib/libLLVM.so.22");
    // As it is when the target was replaced and another name was not.
    fs::create_dir(dir.join("tree/optbuild-originals")).unwrap();
    fs::hard_link(&target, dir.join("tree/optbuild-originals/libLLVM.so.22.orig")).unwrap();
    let wanted = blake3::hash(b"instrumented").to_hex();
    let note = serde_json::json!({ "target": target, "hash": wanted.as_str() });
    dir.write("tree/optbuild-originals/libLLVM.so.22.placed", note.to_string());
    fs::remove_file(&target).unwrap();
    fs::copy(dir.join("new"), &target).unwrap();
    dir.write("tree/lib/.put-libLLVM.so.22-abc123/new", "instrumented");
    let (file, below) = (dir.join("new"), dir.join("tree"));
    let args = ["put-in-place", "--file", file.as_str(), "--target", target.as_str(), "--links-below", below.as_str()];
    op(&[&args[..], &["--keep-original"]].concat()).unwrap();
    assert!(!dir.join("tree/lib/.put-libLLVM.so.22-abc123").exists());
    assert_eq!((read(&target), read(&other)), ("instrumented".into(), "instrumented".into()));
    assert_eq!(read(dir.join("tree/optbuild-originals/libLLVM.so.22.orig")), "original");
}

#[test]
fn the_first_different_line_is_shown() {
    let dir = Dir::new();
    let same = |left: &str, right: &str| {
        let (left, right) = (dir.write("left.txt", left), dir.write("right.txt", right));
        op(&["same", "--left", left.as_str(), "--right", right.as_str(), "--label", "query"]).map_err(|e| e.to_string())
    };
    assert!(same("a\nb\n", "a\nb\n").is_ok());
    let message = same("a\nb\nc\n", "a\nB\nc\n").unwrap_err();
    assert!(
        message.contains("line 2") && message.contains("left.txt: b") && message.contains("right.txt: B"),
        "{message}"
    );
    let message = same("a\n", "a\nb\n").unwrap_err();
    assert!(message.contains("line 2") && message.contains("right.txt: b"), "{message}");
    let message = same("a", "a\n").unwrap_err();
    assert!(message.contains("line 2") && message.contains("no such line"), "{message}");
}

const MANIFEST: &str = r#"
[workspace]
members = ["collector", "site", "database"]
resolver = "2"

[profile.release.package.site]
codegen-units = 1

[profile.release.package.collector]
debug = 1
"#;

#[test]
fn a_member_goes_with_its_settings_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = Utf8Path::from_path(dir.path()).unwrap();
    let (from, to) = (dir.join("from"), dir.join("to"));
    for file in ["collector/src/main.rs", "site/src/lib.rs", "target/debug/x", ".git/HEAD", "collector/big/data"] {
        fs::create_dir_all(from.join(file).parent().unwrap()).unwrap();
        fs::write(from.join(file), file).unwrap();
    }
    fs::write(from.join("Cargo.toml"), MANIFEST).unwrap();
    // What an earlier attempt left.
    fs::create_dir_all(to.join("old")).unwrap();
    let copy = CopyWorkspace {
        from: from.clone(),
        to: to.clone(),
        without: vec!["site".into()],
        skip: vec!["collector/big".into()],
    };
    copy.run().unwrap();
    assert_eq!(fs::read_to_string(to.join("collector/src/main.rs")).unwrap(), "collector/src/main.rs");
    for gone in ["site", "target", ".git", "collector/big", "old"] {
        assert!(!to.join(gone).exists(), "{gone}");
    }
    let made: toml::Table = fs::read_to_string(to.join("Cargo.toml")).unwrap().parse().unwrap();
    let expected: toml::Table = "workspace = { members = [\"collector\", \"database\"], resolver = \"2\" }\n\
                                 profile = { release = { package = { collector = { debug = 1 } } } }"
        .parse()
        .unwrap();
    assert_eq!(made, expected);
    assert_eq!(fs::read_to_string(from.join("Cargo.toml")).unwrap(), MANIFEST);
    let time = |path: &Utf8Path| fs::metadata(path.join("collector/src/main.rs")).unwrap().modified().unwrap();
    assert_eq!(time(&from), time(&to));
}

#[test]
fn a_manifest_without_the_member_stays_as_it_is() {
    assert_eq!(without("# why\n[workspace]\nmembers = [\"a\"]\n", &["site".into()]).unwrap(), None);
    assert!(without("workspace = [", &["site".into()]).is_err());
}
