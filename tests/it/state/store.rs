//! The state directory, its lock and its records, on a real file system.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::fs::disk;
use optbuild::state::fingerprint::Fingerprint;
use optbuild::state::hash::Hasher;
use optbuild::state::layout;
use optbuild::state::manifest::Manifest;
use optbuild::state::record::{OutputRecord, Record, RecordOutcome};
use optbuild::state::store::{LockInfo, State, StateError};

fn temporary() -> (tempfile::TempDir, Utf8PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(directory.path().canonicalize().unwrap()).unwrap();
    (directory, path)
}

fn state(path: &Utf8Path) -> State {
    State::open(&path.join(".optbuild"), true).unwrap()
}

fn fingerprint(define: &str) -> Fingerprint {
    let configuration = BTreeMap::from([("declaration.define".to_string(), define.to_string())]);
    Fingerprint { configuration, ..Fingerprint::default() }
}

fn record(stage: &str, fingerprint: Fingerprint) -> Record {
    Record {
        made_in: "/state".into(),
        stage: stage.into(),
        pipeline: "demo".into(),
        run: "20260101-000000-0000".into(),
        fingerprint,
        outcome: RecordOutcome::Done,
        outputs: BTreeMap::new(),
        inputs: Vec::new(),
        finished: "2026-01-01T00:00:00Z".parse().unwrap(),
        duration: 1.5,
        facts: Vec::new(),
        held: None,
    }
}

fn holder() -> LockInfo {
    LockInfo { pid: 4711, command: "optbuild run demo".into(), since: "2026-01-02T03:04:05Z".parse().unwrap() }
}

#[test]
fn a_state_directory_is_ignored_by_git_and_recognised() {
    let (_directory, path) = temporary();
    let root = path.join(".optbuild");
    assert!(matches!(State::open(&root, false), Err(StateError::Missing(_))));
    assert!(!root.exists(), "looking makes nothing");
    State::open(&root, true).unwrap();
    State::open(&root, false).unwrap();
    assert!(layout::is_state_dir(root.as_std_path()) && !layout::is_state_dir(path.as_std_path()));
    let git = |args: &[&str]| Command::new("git").args(args).current_dir(&path).output().unwrap();
    assert!(git(&["init", "-q"]).status.success());
    assert_eq!(String::from_utf8(git(&["status", "--porcelain"]).stdout).unwrap(), "");
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    let (_directory, path) = temporary();
    fs::write(path.join("letter.txt"), "dear").unwrap();
    let error = State::open(&path, true).unwrap_err();
    assert!(matches!(error, StateError::Foreign(_)));
    assert!(error.to_string().contains("--state-dir"), "{error}");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    assert!(matches!(State::open(&path.join("letter.txt"), true), Err(StateError::Foreign(_))));
}

#[test]
fn a_kill_while_it_is_made_leaves_something_to_go_on_with() {
    let (_directory, path) = temporary();
    fs::write(path.join(".gitignore"), "*\n").unwrap();
    fs::write(path.join(".tmp-x1y2z3"), "optbuild sta").unwrap();
    let state = State::open(&path, true).unwrap();
    let _lock = state.lock(&holder()).unwrap();
    assert!(!path.join(".tmp-x1y2z3").exists());
}

#[test]
fn a_newer_or_strange_marker_is_refused() {
    let (_directory, path) = temporary();
    let marker = state(&path).layout().marker();
    assert_eq!(fs::read_to_string(&marker).unwrap(), "optbuild state, format 1\n");
    fs::write(&marker, "optbuild state, format 2\n").unwrap();
    let error = State::open(&path.join(".optbuild"), true).unwrap_err();
    assert!(matches!(error, StateError::Newer { format: 2, .. }));
    assert!(error.to_string().contains("update optbuild"), "{error}");
    fs::write(&marker, "\u{0}\u{1}").unwrap();
    assert!(matches!(State::open(&path.join(".optbuild"), true), Err(StateError::Foreign(_))));
}

#[test]
fn two_locks_in_one_process_exclude_each_other() {
    let (_directory, path) = temporary();
    let lock = state(&path).lock(&holder()).unwrap();
    let error = state(&path).lock(&holder()).unwrap_err();
    let StateError::Locked { holder: Some(found), .. } = &error else { panic!("{error}") };
    assert_eq!(found, &holder());
    let text = error.to_string();
    for part in ["`optbuild run demo`", "4711", "2026-01-02 03:04:05"] {
        assert!(text.contains(part), "{text}");
    }
    drop(lock);
    state(&path).lock(&holder()).unwrap();
}

#[test]
fn a_lock_that_another_process_holds_ends_with_it() {
    let (_directory, path) = temporary();
    let state = state(&path);
    let lock = state.layout().lock();
    fs::write(&lock, "not json").unwrap();
    // util-linux's flock takes the same lock by other means.
    let mut other = Command::new("flock")
        .args([lock.as_str(), "sh", "-c", "echo locked; read end"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    assert!(matches!(state.lock(&holder()), Err(StateError::Locked { holder: None, .. })));
    other.stdin.take().unwrap().write_all(b"\n").unwrap();
    other.wait().unwrap();
    state.lock(&holder()).unwrap();
}

#[test]
fn what_a_kill_left_is_removed_with_the_lock() {
    let (_directory, path) = temporary();
    let state = state(&path);
    let layout = state.layout();
    let leftovers = [
        layout.records().join(".tmp-abc"),
        layout.stage("lib").join(".gone-abc"),
        layout.outputs().join("lib/.gone-abc"),
        layout.workspaces().join(".gone-abc"),
    ];
    for leftover in &leftovers {
        fs::create_dir_all(leftover.join("deep")).unwrap();
    }
    fs::create_dir_all(layout.build("lib")).unwrap();
    let _lock = state.lock(&holder()).unwrap();
    assert!(leftovers.iter().all(|leftover| !leftover.exists()));
    assert!(layout.build("lib").exists());
}

#[test]
fn two_variable_settings_keep_both_records() {
    let (_directory, path) = temporary();
    let state = state(&path);
    let (small, large) = (fingerprint("SIZE=1"), fingerprint("SIZE=2"));
    state.put_record(&record("lib", small.clone()), &BTreeMap::new()).unwrap();
    state.put_record(&record("lib", large.clone()), &BTreeMap::new()).unwrap();
    assert_eq!(state.current("lib").unwrap().unwrap().fingerprint, large);
    assert_eq!(state.record(&small.id()).unwrap().unwrap().fingerprint, small);
    state.point_to("lib", &small.id()).unwrap();
    assert_eq!(state.current("lib").unwrap().unwrap().fingerprint, small);

    state.remove_record(&small.id()).unwrap();
    assert!(state.record(&small.id()).unwrap().is_none());
    assert!(state.current("lib").unwrap().is_none());
    assert!(state.record(&large.id()).unwrap().is_some());
    state.remove_record(&small.id()).unwrap();
    assert_eq!(state.take_warnings(), [""; 0]);
}

#[test]
fn a_damaged_record_counts_as_none_and_is_reported() {
    let (_directory, path) = temporary();
    let state = state(&path);
    let fingerprint = fingerprint("SIZE=1");
    state.put_record(&record("lib", fingerprint.clone()), &BTreeMap::new()).unwrap();
    let file = state.layout().record(&fingerprint.id());
    let text = fs::read(&file).unwrap();
    let forged = String::from_utf8(text.clone()).unwrap().replace("SIZE=1", "SIZE=3");
    for damaged in [&text[..text.len() / 2], b"", b"\xff\0", b"[]", forged.as_bytes()] {
        fs::write(&file, damaged).unwrap();
        assert!(state.record(&fingerprint.id()).unwrap().is_none());
        assert!(state.current("lib").unwrap().is_none());
        let warnings = state.take_warnings();
        assert!(warnings.iter().any(|warning| warning.contains(file.as_str())), "{warnings:?}");
    }
    fs::write(state.layout().name("lib"), "../../etc/passwd").unwrap();
    assert!(state.current("lib").unwrap().is_none());
    assert_eq!(state.take_warnings().len(), 1);
    // A record file of another version of the same format.
    let more = String::from_utf8(text).unwrap().replacen('{', "{\"colour\": \"red\",", 1);
    fs::write(&file, more).unwrap();
    assert!(state.record(&fingerprint.id()).unwrap().is_none());
}

#[test]
fn a_record_brings_its_manifests_and_times() {
    let (_directory, path) = temporary();
    let state = state(&path);
    let out = path.join("out");
    fs::create_dir(&out).unwrap();
    fs::write(out.join("lib.so"), "code").unwrap();
    let hasher = Hasher::without_cache();
    let (manifest, times) = Manifest::of(&out, &hasher).unwrap();
    let mut record = record("lib", fingerprint("x"));
    let output = OutputRecord {
        path: "out".into(),
        hash: manifest.hash(),
        bytes: manifest.bytes(),
        files: manifest.files(),
        portable: true,
        show: false,
    };
    assert_eq!((output.bytes, output.files), (4, 1));
    record.outputs.insert("out".into(), output);
    let outputs = BTreeMap::from([("out".to_string(), (manifest.clone(), times.clone()))]);
    state.put_record(&record, &outputs).unwrap();

    let id = record.fingerprint.id();
    assert_eq!(state.record(&id).unwrap().unwrap().outputs, record.outputs);
    assert_eq!(state.manifest(&manifest.hash()).unwrap().unwrap(), manifest);
    assert_eq!(state.times(&id).unwrap()["out"], times);

    // The times are a help, the manifest is what counts.
    fs::write(state.layout().record_times(&id), "damaged").unwrap();
    assert!(state.times(&id).unwrap().is_empty());
    let file = state.layout().manifest(&manifest.hash());
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    assert!(state.manifest(&manifest.hash()).unwrap().is_none());
    assert_eq!(state.take_warnings().len(), 1);
    // Recording again repairs it.
    state.put_record(&record, &outputs).unwrap();
    assert_eq!(state.manifest(&manifest.hash()).unwrap().unwrap(), manifest);
}

#[test]
fn a_tree_without_write_permission_is_removed_all_the_same() {
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    let (_directory, path) = temporary();
    let tree = path.join("tree");
    fs::create_dir_all(tree.join("a/b")).unwrap();
    fs::write(tree.join("a/b/file"), "").unwrap();
    std::os::unix::fs::symlink("/", tree.join("a/link")).unwrap();
    for directory in ["a/b", "a", ""] {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o500);
        fs::set_permissions(tree.join(directory), mode).unwrap();
    }
    // Root may do anything; this thread gives that up.
    std::thread::spawn(move || {
        if let Ok(mut sets) = capabilities(None) {
            sets.effective -= CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH | CapabilitySet::FOWNER;
            set_capabilities(None, sets).unwrap();
        }
        assert!(fs::remove_dir_all(&tree).is_err(), "the permissions are in the way");
        disk::remove_tree(&tree).unwrap();
        assert!(!tree.exists());
        disk::remove_tree(&tree).unwrap();
    })
    .join()
    .unwrap();
    assert!(Utf8Path::new("/usr").exists(), "links are not followed");
}

#[test]
fn files_are_replaced_as_a_whole() {
    let (_directory, path) = temporary();
    let file = path.join("file");
    disk::write_durably(&file, b"one").unwrap();
    let old = fs::File::open(&file).unwrap();
    disk::write_durably(&file, b"two").unwrap();
    assert_eq!(std::io::read_to_string(old).unwrap(), "one", "the old file was not written to");
    assert_eq!(fs::read_to_string(&file).unwrap(), "two");
    assert_eq!(fs::read_dir(&path).unwrap().count(), 1);
    let error = disk::write_durably(&path.join("none/file"), b"").unwrap_err();
    assert!(error.to_string().starts_with("cannot write `"), "{error}");
    disk::remove_durably(&file).unwrap();
    disk::remove_durably(&file).unwrap();
    disk::discard(&file).unwrap();
}

#[test]
fn syncing_works_for_few_and_many_files() {
    let (_directory, path) = temporary();
    for number in 0..100 {
        disk::sync_tree(&path, &path).unwrap();
        fs::write(path.join(number.to_string()), "x").unwrap();
    }
    disk::sync_tree(&path.join("7"), &path).unwrap();
    std::os::unix::fs::symlink("nowhere", path.join("link")).unwrap();
    disk::sync_tree(&path.join("link"), &path).unwrap();
    assert!(disk::sync_tree(&path.join("none"), &path).is_err());
}
