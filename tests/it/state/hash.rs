//! Hashes of files, source trees and globs, with real git.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::plan::Source;
use optbuild::state::hash::Hasher;
use optbuild::state::sources::{SourceHash, hash_source};
use optbuild::state::store::State;

struct Tree {
    _directory: tempfile::TempDir,
    root: Utf8PathBuf,
}

impl Tree {
    fn new() -> Tree {
        let directory = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(directory.path().canonicalize().unwrap()).unwrap();
        Tree { _directory: directory, root }
    }

    fn with(files: &[(&str, &str)]) -> Tree {
        let tree = Tree::new();
        for (name, text) in files {
            tree.write(name, text);
        }
        tree
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn git(&self, directory: &str, args: &[&str]) {
        let identity = ["-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "protocol.file.allow=always"];
        let mut git = Command::new("git");
        let run = git.args(identity).args(args).current_dir(self.root.join(directory)).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    }

    fn source(&self, below: &str) -> SourceHash {
        self.source_without(below, &[])
    }

    fn source_without(&self, below: &str, exclude: &[Utf8PathBuf]) -> SourceHash {
        let source = Source { name: "source".into(), path: self.root.join(below), glob: false, exclude: Vec::new() };
        hash_source(&Hasher::without_cache(), &source, exclude).unwrap()
    }

    fn hash(&self) -> String {
        self.source("").hash
    }

    fn glob(&self, pattern: &str) -> SourceHash {
        let source =
            Source { name: "inputs[0]".into(), path: self.root.join(pattern), glob: true, exclude: Vec::new() };
        hash_source(&Hasher::without_cache(), &source, &[]).unwrap()
    }
}

fn set_times(path: &Utf8Path, ago: Duration) {
    let time = SystemTime::now() - ago;
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn the_hash_is_blake3() {
    // BLAKE3's test vectors (`test_vectors.json`) for no input, and for one byte, 0.
    let tree = Tree::with(&[("empty", ""), ("zero", "\0")]);
    let hasher = Hasher::without_cache();
    let hex = |name: &str| hasher.file(tree.root.join(name)).unwrap().to_hex().to_string();
    assert_eq!(hex("empty"), "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
    assert_eq!(hex("zero"), "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213");
    assert!(hasher.file(tree.root.join("none")).is_err());
    assert!(hasher.file(&tree.root).is_err());
    let all = hasher.files(&[tree.root.join("zero"), tree.root.join("none"), tree.root.join("empty")]);
    assert_eq!(all[2].as_ref().unwrap().to_hex()[..4], *"af13");
    assert!(all[1].is_err());
}

/// Puts other bytes into a file in a way that only its ctime tells: same size, inode and mtime.
fn change_secretly(path: &Utf8Path, text: &str) {
    let mtime = fs::metadata(path).unwrap().modified().unwrap();
    fs::write(path, text).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(mtime).unwrap();
}

#[test]
fn the_cache_notices_a_change_that_hides_its_mtime() {
    let tree = Tree::with(&[("file", "one")]);
    let (file, cache) = (tree.root.join("file"), tree.root.join("cache"));
    set_times(&file, Duration::from_secs(60));
    std::thread::sleep(Duration::from_millis(300));
    let hasher = Hasher::open(&cache).unwrap();
    let one = hasher.file(&file).unwrap();
    hasher.save().unwrap();
    let size = fs::metadata(&cache).unwrap().len();
    assert!(size > 60, "a settled file is remembered");

    change_secretly(&file, "two");
    assert_ne!(Hasher::open(&cache).unwrap().file(&file).unwrap(), one);
    assert_ne!(hasher.file(&file).unwrap(), one, "within one process too");
    // Another file in its place.
    fs::write(tree.root.join("other"), "six").unwrap();
    fs::rename(tree.root.join("other"), &file).unwrap();
    assert_ne!(Hasher::open(&cache).unwrap().file(&file).unwrap(), one);
}

#[test]
fn the_cache_is_believed_for_a_settled_file_only() {
    let tree = Tree::with(&[("file", "one")]);
    let (file, cache) = (tree.root.join("file"), tree.root.join("cache"));
    // As if it was written at this very moment, however long this takes.
    let now = fs::File::options().write(true).open(&file).unwrap();
    now.set_modified(SystemTime::now() + Duration::from_secs(24 * 3600)).unwrap();
    let hasher = Hasher::open(&cache).unwrap();
    hasher.file(&file).unwrap();
    hasher.save().unwrap();
    assert!(!cache.exists(), "the file is as young as its time stamp can tell: a change could go unseen");
    set_times(&file, Duration::from_secs(60));
    std::thread::sleep(Duration::from_millis(300));
    hasher.file(&file).unwrap();
    hasher.save().unwrap();

    let mut bytes = fs::read(&cache).unwrap();
    let at = bytes.len() - 10;
    bytes[at] ^= 1;
    fs::write(&cache, &bytes).unwrap();
    let true_hash = blake3::hash(b"one");
    assert_eq!(Hasher::open(&cache).unwrap().file(&file).unwrap(), true_hash, "a damaged cache is no cache");
    for cut in [0, 5, 20, 30, bytes.len() - 1] {
        fs::write(&cache, &bytes[..cut]).unwrap();
        assert_eq!(Hasher::open(&cache).unwrap().file(&file).unwrap(), true_hash);
    }
}

#[test]
fn a_tree_is_its_names_contents_links_and_executable_bits() {
    let tree = Tree::with(&[("src/a.c", "a"), ("src/b.c", "b"), ("run.sh", "exit")]);
    symlink("src/a.c", tree.root.join("link")).unwrap();
    let hash = tree.hash();
    assert_eq!(tree.source("").files, 4);

    // Elsewhere, made in another order, at another time.
    let other = Tree::new();
    symlink("src/a.c", other.root.join("link")).unwrap();
    other.write("run.sh", "exit");
    other.write("src/b.c", "b");
    other.write("src/a.c", "a");
    set_times(&other.root.join("src/a.c"), Duration::from_secs(1000));
    fs::create_dir(other.root.join("empty")).unwrap();
    assert_eq!(other.hash(), hash);
    let newest = fs::File::options().write(true).open(other.root.join("src/b.c")).unwrap();
    newest.set_modified(SystemTime::now() + Duration::from_secs(5)).unwrap();
    // Renaming the whole tree.
    let nested = Tree::new();
    fs::rename(&other.root, nested.root.join("renamed")).unwrap();
    assert_eq!(nested.source("renamed").hash, hash);
    fs::create_dir(&other.root).unwrap();
    symlink(nested.root.join("renamed"), nested.root.join("by-link")).unwrap();
    assert_eq!(nested.source("by-link").hash, hash, "a link to the tree is the tree");

    let differs = |change: &dyn Fn(), back: &dyn Fn()| {
        change();
        assert_ne!(tree.hash(), hash);
        back();
        assert_eq!(tree.hash(), hash);
    };
    let mode = |mode| fs::set_permissions(tree.root.join("run.sh"), fs::Permissions::from_mode(mode)).unwrap();
    differs(&|| mode(0o755), &|| mode(0o644));
    differs(&|| tree.write("src/a.c", "A"), &|| tree.write("src/a.c", "a"));
    let rename = |from: &str, to: &str| fs::rename(tree.root.join(from), tree.root.join(to)).unwrap();
    differs(&|| rename("src", "lib"), &|| rename("lib", "src"));
    differs(&|| tree.write("new", ""), &|| fs::remove_file(tree.root.join("new")).unwrap());
    let link = |target: &str| {
        fs::remove_file(tree.root.join("link")).unwrap();
        symlink(target, tree.root.join("link")).unwrap();
    };
    differs(&|| link("src/b.c"), &|| link("src/a.c"));
    // A permission that does not matter.
    mode(0o600);
    assert_eq!(tree.hash(), hash);
}

#[test]
fn git_says_what_belongs_to_a_tree() {
    let tree =
        Tree::with(&[(".gitignore", "*.o\nbuild/\n"), ("a.c", "a"), ("tracked.o", "o"), ("sub/.gitignore", "*.log\n")]);
    tree.git("", &["init", "-q"]);
    tree.git("", &["add", "-f", "."]);
    let hash = tree.hash();
    assert_eq!(tree.source("").files, 4);
    tree.write("b.o", "ignored");
    tree.write("build/x", "ignored");
    tree.write("sub/y.log", "ignored");
    tree.write(".git/info/exclude", "local\n");
    tree.write("local", "ignored");
    assert_eq!(tree.hash(), hash);
    tree.git("", &["commit", "-q", "-m", "m"]);
    assert_eq!(tree.hash(), hash, "what git does with its own files does not matter");

    tree.write("tracked.o", "changed although ignored");
    assert_ne!(tree.hash(), hash);
    tree.write("tracked.o", "o");
    tree.write("untracked.c", "counts");
    assert_eq!(tree.source("").files, 5);
    assert_ne!(tree.hash(), hash);
    fs::remove_file(tree.root.join("untracked.c")).unwrap();
    fs::remove_file(tree.root.join("a.c")).unwrap();
    assert_eq!(tree.source("").files, 3, "deleted, though git still tracks it");
    assert_ne!(tree.hash(), hash);
    tree.write("a.c", "a");

    // A part of the work tree; the same files without git, where nothing is ignored.
    assert_eq!(tree.source("sub").files, 1);
    let plain =
        Tree::with(&[(".gitignore", "*.o\nbuild/\n"), ("a.c", "a"), ("tracked.o", "o"), ("sub/.gitignore", "*.log\n")]);
    assert_eq!(plain.hash(), hash);
    plain.write("b.o", "counts");
    assert_ne!(plain.hash(), hash);
}

#[test]
fn a_directory_that_git_ignores_counts_as_a_whole() {
    let tree = Tree::with(&[(".gitignore", "vendor/\n"), ("vendor/a.c", "a"), ("vendor/b.o", "b")]);
    tree.git("", &["init", "-q"]);
    assert_eq!(tree.source("vendor").files, 2);
    assert_eq!(tree.source("").files, 1);
}

#[test]
fn submodules_and_repositories_within_are_part_of_a_tree() {
    let module = Tree::with(&[("m.c", "m"), (".gitignore", "*.o\n")]);
    module.git("", &["init", "-q"]);
    module.git("", &["add", "."]);
    module.git("", &["commit", "-q", "-m", "m"]);

    let tree = Tree::with(&[("a.c", "a")]);
    tree.git("", &["init", "-q"]);
    tree.git("", &["submodule", "--quiet", "add", module.root.as_str(), "module"]);
    // a.c, .gitmodules, and two files of the submodule.
    assert_eq!(tree.source("").files, 4);
    let hash = tree.hash();
    tree.write("module/m.o", "ignored there");
    assert_eq!(tree.hash(), hash);
    tree.write("module/m.c", "changed");
    assert_ne!(tree.hash(), hash);

    tree.write("other/x.c", "x");
    tree.git("other", &["init", "-q"]);
    assert_eq!(tree.source("").files, 5);
    // Not checked out.
    fs::remove_dir_all(tree.root.join("module")).unwrap();
    fs::create_dir(tree.root.join("module")).unwrap();
    assert_eq!(tree.source("").files, 3);
}

#[test]
fn a_git_file_that_points_nowhere_is_no_repository() {
    let tree = Tree::with(&[("a.c", "a"), (".git", "gitdir: ../.git/modules/gone\n")]);
    let plain = Tree::with(&[("a.c", "a")]);
    assert_eq!(tree.hash(), plain.hash());
}

#[test]
fn names_may_be_any_bytes() {
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::with(&[("a", "a"), ("100644 line\nfeed\ttab", "b")]);
    fs::write(tree.root.as_std_path().join(std::ffi::OsStr::from_bytes(b"\xff\xfe")), "c").unwrap();
    let hash = tree.hash();
    assert_eq!(tree.source("").files, 3);
    tree.git("", &["init", "-q"]);
    assert_eq!(tree.hash(), hash, "git lists the same");
    tree.git("", &["add", "."]);
    assert_eq!(tree.hash(), hash);
}

#[test]
fn state_directories_and_excluded_ones_do_not_count() {
    let tree = Tree::with(&[("a.c", "a"), ("build/x", "x")]);
    let exclude = [tree.root.join("build")];
    let hash = tree.source_without("", &exclude).hash;
    State::open(&tree.root.join("sub/.optbuild"), true).unwrap();
    tree.write("sub/.optbuild/pipelines/p/data", "d");
    assert_eq!(tree.source_without("", &exclude).hash, hash);
    tree.git("", &["init", "-q"]);
    assert_eq!(tree.source_without("", &exclude).hash, hash);
    fs::remove_file(tree.root.join("sub/.optbuild/.gitignore")).unwrap();
    assert_eq!(tree.source_without("", &exclude).hash, hash);
    // What lies in one was asked for by name.
    let exclude = [tree.root.join("sub/.optbuild")];
    assert_eq!(tree.source_without("sub/.optbuild/pipelines/p", &exclude).files, 1);
    // A directory of that name alone is nothing special.
    let plain = Tree::with(&[(".optbuild/file", "x")]);
    assert_eq!(plain.source("").files, 1);
}

#[test]
fn what_is_missing_has_a_hash_of_its_own() {
    let tree = Tree::with(&[("empty-file", ""), ("data/one.sql", "1")]);
    fs::create_dir(tree.root.join("empty")).unwrap();
    let hashes = [
        tree.source("absent").hash,
        tree.source("empty-file/absent").hash,
        tree.source("empty").hash,
        tree.source("empty-file").hash,
        tree.glob("*.none").hash,
    ];
    assert_eq!(hashes[0], hashes[1]);
    let different: std::collections::BTreeSet<&String> = hashes.iter().collect();
    assert_eq!(different.len(), 4);
    assert_eq!(tree.glob("*.none").hash, tree.glob("none/**/*.x").hash);
    symlink("nowhere", tree.root.join("dangling")).unwrap();
    assert_eq!(tree.source("dangling").hash, hashes[0]);
}

#[test]
fn globs_match_files_below_their_fixed_part() {
    let files = [
        ("[old]/data/a.sql", "a"),
        ("[old]/data/b.sql", "b"),
        ("[old]/data/deep/c.sql", "c"),
        ("[old]/data/d.txt", "d"),
    ];
    let tree = Tree::with(&files);
    assert_eq!(tree.glob("[old]/data/*.sql").files, 2);
    assert_eq!(tree.glob("[old]/data/**/*.sql").files, 3);
    assert_eq!(tree.glob("[old]/data/*").files, 3, "directories are no files");
    assert_eq!(tree.glob("[old]/data/**").files, 4);
    assert_eq!(tree.glob("[old]/*/[ab].{sql,txt}").files, 2);
    assert_eq!(tree.glob("[old]/data/d.txt").files, 1);
    let hash = tree.glob("[old]/data/*.sql").hash;
    assert_eq!(Tree::with(&files).glob("[old]/data/*.sql").hash, hash);
    tree.write("[old]/data/d.txt", "changed");
    assert_eq!(tree.glob("[old]/data/*.sql").hash, hash);
    tree.write("[old]/data/b.sql", "changed");
    assert_ne!(tree.glob("[old]/data/*.sql").hash, hash);

    let source = Source { name: "inputs[0]".into(), path: tree.root.join("a[b/*"), glob: true, exclude: Vec::new() };
    let error = hash_source(&Hasher::without_cache(), &source, &[]).unwrap_err().to_string();
    assert!(error.contains("inputs[0]") && error.contains("not a pattern"), "{error}");
}

#[test]
fn files_that_come_and_go_are_an_error_or_a_hash_but_never_a_panic() {
    let tree = Tree::with(&[("a", "a")]);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                number += 1;
                let name = format!("d{}/f{number}", number % 7);
                tree.write(&name, "x");
                fs::remove_dir_all(tree.root.join(&name).parent().unwrap()).unwrap();
            }
        });
        for _ in 0..50 {
            let source = Source { name: "source".into(), path: tree.root.clone(), glob: false, exclude: Vec::new() };
            if let Err(error) = hash_source(&Hasher::without_cache(), &source, &[]) {
                assert!(error.to_string().contains("vanished or changed"), "{error}");
            }
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}
