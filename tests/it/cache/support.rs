//! A stage with a few files in state directories of several machines, and the store that they share, without a run.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::cache::Store;
use optbuild::cache::caches::{Answer, Caches};
use optbuild::cache::config::{Mode, Settings};
use optbuild::cache::one::Cache;
use optbuild::cache::platform::{Alike, Platform};
use optbuild::cache::share::{Expected, Wanted};
use optbuild::cache::sign::SigningKey;
use optbuild::names::RunId;
use optbuild::state::fingerprint::Fingerprint;
use optbuild::state::hash::Hasher;
use optbuild::state::manifest::Manifest;
use optbuild::state::record::{OutputRecord, Record, RecordOutcome};
use optbuild::state::store::State;

/// A directory in memory, where a file need not be brought to disk.
pub fn in_memory() -> (tempfile::TempDir, Utf8PathBuf) {
    let memory = std::path::Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    let dir = dir.unwrap();
    let path = Utf8PathBuf::try_from(dir.path().to_path_buf()).unwrap();
    (dir, path)
}

pub fn settings(place: &Utf8Path, mode: Mode) -> Settings {
    Settings {
        name: "main".into(),
        place: place.to_owned(),
        mode,
        scope: "main".into(),
        read_scopes: vec!["main".into()],
        trusted_keys: Vec::new(),
        allow_unsigned: false,
        platform: Alike::Os,
        compression: 1,
        upload_timeout: Duration::from_secs(60),
        max_bytes_per_stage: 1 << 30,
        salt: None,
    }
}

pub fn platform() -> Platform {
    Platform::from([("triple".into(), "x86_64-unknown-linux-gnu".into())])
}

/// The caches of one machine. All of them have the key.
pub fn caches(settings: Settings, store: Box<dyn Store>, key: Option<Arc<SigningKey>>) -> Caches {
    Caches::new(vec![Cache::of(settings, store, key, Ok(platform()))], false)
}

pub fn key() -> Arc<SigningKey> {
    Arc::new(SigningKey::generate().unwrap())
}

/// What is asked for: a stage with a directory as its output, and a file in it.
pub fn wanted() -> Wanted {
    let text = |text: &str| text.to_owned();
    let configuration = BTreeMap::from([(text("stage"), text("work")), (text("declaration.run"), text("make it so"))]);
    let parts = Fingerprint { configuration, ..Fingerprint::default() };
    let expected =
        |name: &str, path: &str| Expected { name: name.into(), path: path.into(), portable: true, show: false };
    Wanted {
        stage: "work".into(),
        kind: "command".into(),
        fingerprint: parts.id(),
        parts,
        outputs: vec![expected("out", ""), expected("program", "bin/program")],
        place: None,
        native: false,
        secret: false,
        dirs: Vec::new(),
    }
}

/// A state directory in which the stage is done. `seed` changes what it has made.
pub fn made(root: &Utf8Path, seed: &str) -> (State, Record) {
    let state = State::open(root, true).unwrap();
    let wanted = wanted();
    let out = state.layout().out(&wanted.stage, &wanted.fingerprint);
    std::fs::create_dir_all(out.join("bin")).unwrap();
    std::fs::create_dir_all(out.join("empty")).unwrap();
    // Above and below the size from which a file is an object of its own.
    let large: String = (0..60).map(|line| format!("{line} {seed}\n")).collect();
    std::fs::write(out.join("bin/program"), large).unwrap();
    std::fs::write(out.join("one"), seed).unwrap();
    std::fs::write(out.join("same"), seed).unwrap();
    std::fs::write(out.join("nothing"), "").unwrap();
    std::os::unix::fs::symlink("bin/program", out.join("link")).unwrap();
    let hasher = Hasher::without_cache();
    let mut outputs = BTreeMap::new();
    let mut manifests = BTreeMap::new();
    for expected in &wanted.outputs {
        let path = if expected.path.as_str().is_empty() { out.clone() } else { out.join(&expected.path) };
        let (manifest, times) = Manifest::of(&path, &hasher).unwrap();
        let record = OutputRecord {
            path: path.strip_prefix(root).unwrap().to_owned(),
            hash: manifest.hash(),
            bytes: manifest.bytes(),
            files: manifest.files(),
            portable: true,
            show: false,
        };
        outputs.insert(expected.name.clone(), record);
        manifests.insert(expected.name.clone(), (manifest, times));
    }
    let record = Record {
        stage: wanted.stage.clone(),
        pipeline: "p".into(),
        run: RunId::from("2026-01-01-000000"),
        fingerprint: wanted.parts.clone(),
        made_in: root.to_owned(),
        outcome: RecordOutcome::Done,
        outputs,
        inputs: Vec::new(),
        finished: "2026-01-01T00:00:00Z".parse().unwrap(),
        duration: 60.0,
        facts: Vec::new(),
        held: None,
    };
    state.put_record(&record, &manifests).unwrap();
    (state, record)
}

/// Asks for the stage.
pub fn ask(caches: &Caches) -> Arc<Answer> {
    caches.ask(&wanted()).unwrap()
}

/// The names of files below a directory with their contents, links with their targets.
pub fn contents(dir: &Utf8Path) -> BTreeMap<String, String> {
    let entries = walkdir::WalkDir::new(dir).min_depth(1).into_iter().map(Result::unwrap);
    entries
        .map(|entry| {
            let name = entry.path().strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
            let kind = entry.file_type();
            let content = if kind.is_file() {
                std::fs::read_to_string(entry.path()).unwrap()
            } else if kind.is_symlink() {
                format!("-> {}", std::fs::read_link(entry.path()).unwrap().display())
            } else {
                "directory".into()
            };
            (name, content)
        })
        .collect()
}
