//! What of a source tree does not count: what a source's own patterns say, and what programs have made in it; with git and without.

use crate::support::dir::Dir;
use camino::Utf8Path;
use optbuild::plan::Source;
use optbuild::state::hash::Hasher;
use optbuild::state::sources::hash_source;

/// A small checkout of rust.
fn checkout() -> Dir {
    let dir = Dir::new();
    for file in ["x.py", "src/bootstrap/bootstrap.py", "src/tools/cargo/tests/target/in.rs", "library/build/lib.rs"] {
        dir.write(file, file);
    }
    dir
}

fn hash(dir: &Dir) -> (String, u64) {
    let root = dir.path().canonicalize_utf8().unwrap();
    let exclude = ["build", "config.toml", "**/__pycache__", "**/*.pyc"].map(String::from);
    let source = Source { name: "checkout".into(), path: root, glob: false, exclude: exclude.into() };
    let hash = hash_source(&Hasher::without_cache(), &source, &[]).unwrap();
    (hash.hash, hash.files)
}

/// What x.py, python and cargo leave behind.
fn work(dir: &Dir) {
    for file in [
        "build/x86_64/stage1/bin/rustc",
        "config.toml",
        "src/bootstrap/__pycache__/bootstrap.cpython-311.pyc",
        "src/etc/old.pyc",
        "src/tools/rustc-perf/target/debug/collector",
    ] {
        dir.write(file, "made");
    }
    // As cargo marks its directories.
    dir.write("src/tools/rustc-perf/target/CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55\n");
}

#[test]
fn what_was_made_in_a_tarball_does_not_count() {
    let dir = checkout();
    let before = hash(&dir);
    assert_eq!(before.1, 4);
    work(&dir);
    assert_eq!(hash(&dir), before);
    // Only at the top, and only of these names.
    dir.write("library/build/new.rs", "");
    assert_ne!(hash(&dir), before);
}

#[test]
fn what_was_made_in_a_clone_does_not_count() {
    let dir = checkout();
    dir.sh("git init -q && git add . && git -c user.name=n -c user.email=e@example.org commit -qm c");
    let before = hash(&dir);
    work(&dir);
    // Of cargo's directories in a clone, `.gitignore` tells.
    std::fs::remove_dir_all(dir.join("src/tools/rustc-perf")).unwrap();
    assert_eq!(hash(&dir), before);
    assert!(Utf8Path::new(&dir.join("build")).exists());
    dir.write("src/bootstrap/bootstrap.py", "changed");
    assert_ne!(hash(&dir), before);
}
