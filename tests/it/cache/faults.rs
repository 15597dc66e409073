//! A cache in which something is wrong: a stage comes out of it as it was made, or it has to run. Nothing else ever happens.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use camino::Utf8Path;
use jiff::Timestamp;
use optbuild::cache::caches::{Caches, NotFetched};
use optbuild::cache::config::Mode;
use optbuild::cache::directory::Directory;
use optbuild::cache::give::Pushed;
use optbuild::cache::sign::SigningKey;
use optbuild::cache::{Body, Can, Meta, Put, Store, StoreError, When};
use optbuild::state::store::State;

use super::support::{ask, caches, contents, in_memory, key, made, settings, wanted};

/// Small enough limits for a stage of a few hundred bytes to have each sort of object.
fn store(root: &Utf8Path) -> Box<Directory> {
    Box::new(Directory::new(root).with_limits(200, 20))
}

/// Numbers that look random and are the same each time.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % below
    }
}

fn push(caches: &Caches, state: &State, record: &optbuild::state::record::Record) -> anyhow::Result<Pushed> {
    caches.push(&wanted(), record, state, &|| false).pop().unwrap().1
}

/// Whether a new machine gets the stage. It gets what was made, or nothing.
fn gets(
    store_at: &Utf8Path,
    key: &Arc<SigningKey>,
    expected: &std::collections::BTreeMap<String, String>,
    what: &str,
) -> bool {
    let (_dir, root) = in_memory();
    let state = State::open(&root.join("s"), true).unwrap();
    let caches = caches(settings(store_at, Mode::Read), store(store_at), Some(Arc::clone(key)));
    let answer = ask(&caches);
    let Some(hit) = &answer.hit else { return false };
    let wanted = wanted();
    let record = hit.record(&wanted, "p", &[], state.layout());
    let out = state.layout().out(&wanted.stage, &wanted.fingerprint);
    match caches.fetch(&state, &record, &|| false) {
        Ok((record, _)) => {
            assert_eq!(contents(&out), *expected, "{what}");
            assert_eq!(state.record(&wanted.fingerprint).unwrap(), Some(record), "{what}");
            true
        }
        Err(NotFetched::Gone(_)) => {
            assert!(!out.exists(), "{what}");
            assert_eq!(state.record(&wanted.fingerprint).unwrap(), None, "{what}");
            false
        }
        Err(other) => panic!("{what}: {other:?}"),
    }
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.as_std_path().join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_thousand_faults_lead_to_no_wrong_hit_and_no_failure() {
    let (_dir, root) = in_memory();
    let (whole, key) = (root.join("whole"), key());
    let (state, record) = made(&root.join("a"), "made by a");
    let first = caches(settings(&whole, Mode::ReadWrite), store(&whole), Some(Arc::clone(&key)));
    assert!(matches!(push(&first, &state, &record), Ok(Pushed::Written(_))));
    let expected = contents(&state.layout().out("work", &record.fingerprint.id()));
    assert!(gets(&whole, &key, &expected, "nothing is wrong"));
    // What another machine has made of the same: objects that are good elsewhere.
    let other = root.join("other");
    let (of_other, its_record) = made(&root.join("b"), "made by b");
    let second = caches(settings(&other, Mode::ReadWrite), store(&other), Some(Arc::clone(&key)));
    assert!(matches!(push(&second, &of_other, &its_record), Ok(Pushed::Written(_))));
    let stale: Vec<Vec<u8>> = Directory::new(&other)
        .list("")
        .unwrap()
        .iter()
        .map(|meta| std::fs::read(other.join(&meta.name)).unwrap())
        .collect();

    let objects = Directory::new(&whole).list("").unwrap();
    // Marker, record, its entry in the list of the stage, two manifests, list, blob, packs.
    assert!(objects.len() >= 8, "{objects:?}");
    let mut numbers = Numbers(0x5eed);
    let (mut hits, mut gone) = (0, 0);
    for round in 0..850 {
        let faulty = root.join("faulty");
        copy(&whole, &faulty);
        let object = &objects[numbers.next(objects.len())].name;
        let path = faulty.join(object);
        let mut bytes = std::fs::read(&path).unwrap();
        let kind = numbers.next(6);
        let what = match kind {
            0 => {
                bytes.truncate(numbers.next(bytes.len().max(1)));
                "cut"
            }
            1 if !bytes.is_empty() => {
                let at = numbers.next(bytes.len());
                bytes[at] ^= 1 << numbers.next(8);
                "flipped"
            }
            2 => {
                bytes.clone_from(&stale[numbers.next(stale.len())]);
                "stale"
            }
            3 => {
                bytes.extend_from_within(..);
                "written twice"
            }
            4 => {
                bytes = (0..numbers.next(400)).map(|_| numbers.next(256) as u8).collect();
                "something else"
            }
            _ => "missing",
        };
        if what == "missing" {
            std::fs::remove_file(&path).unwrap();
        } else {
            std::fs::write(&path, bytes).unwrap();
        }
        match gets(&faulty, &key, &expected, &format!("round {round}: {object} is {what}")) {
            true => hits += 1,
            false => gone += 1,
        }
        std::fs::remove_dir_all(&faulty).unwrap();
    }
    // What nothing depends on may be wrong: the marker that is gone, the list of a stage's records.
    assert!(hits > 50 && gone > 400, "{hits} hits, {gone} times it has to run");

    // A writer that is killed before any of its writes, and another one after it.
    let writes = {
        let counted = Arc::new(AtomicUsize::new(usize::MAX));
        let at = root.join("counted");
        let caches = caches(
            settings(&at, Mode::ReadWrite),
            Box::new(Killed { inner: store(&at), left: Arc::clone(&counted) }),
            Some(Arc::clone(&key)),
        );
        push(&caches, &state, &record).unwrap();
        usize::MAX - counted.load(Ordering::SeqCst)
    };
    for round in 0..150 {
        let at = root.join("killed");
        let left = Arc::new(AtomicUsize::new(round % writes));
        let killed = caches(
            settings(&at, Mode::ReadWrite),
            Box::new(Killed { inner: store(&at), left }),
            Some(Arc::clone(&key)),
        );
        assert!(push(&killed, &state, &record).is_err(), "{round}");
        let before = gets(&at, &key, &expected, "after a kill");
        // The record comes last: only what follows it is of no importance.
        assert_eq!(before, round % writes > writes - 2, "{} of {writes} writes", round % writes);
        let again = caches(settings(&at, Mode::ReadWrite), store(&at), Some(Arc::clone(&key)));
        assert!(push(&again, &state, &record).is_ok());
        assert!(gets(&at, &key, &expected, "sent again"));
        std::fs::remove_dir_all(&at).unwrap();
    }
}

/// A store whose writer is killed after some writes.
struct Killed {
    inner: Box<Directory>,
    left: Arc<AtomicUsize>,
}

impl Store for Killed {
    fn get(&self, name: &str, range: Option<Range<u64>>) -> Result<Option<Box<dyn Read + Send>>, StoreError> {
        self.inner.get(name, range)
    }
    fn head(&self, name: &str) -> Result<Option<u64>, StoreError> {
        self.inner.head(name)
    }
    fn put(&self, name: &str, body: Body<'_>, when: When) -> Result<Put, StoreError> {
        if self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_err() {
            let cause = io::Error::other("killed");
            return Err(StoreError { action: "write", name: name.into(), place: self.place(), cause });
        }
        self.inner.put(name, body, when)
    }
    fn list(&self, directory: &str) -> Result<Vec<Meta>, StoreError> {
        self.inner.list(directory)
    }
    fn delete(&self, names: &[String]) -> Result<(), StoreError> {
        self.inner.delete(names)
    }
    fn sweep(&self, before: Timestamp) -> Result<usize, StoreError> {
        self.inner.sweep(before)
    }
    fn can(&self) -> Can {
        self.inner.can()
    }
    fn place(&self) -> String {
        self.inner.place()
    }
}

/// What was found damaged by one who may write is repaired by the next who builds it.
#[test]
fn a_damaged_object_is_taken_away_and_sent_again() {
    let (_dir, root) = in_memory();
    let (at, key) = (root.join("store"), key());
    let (state, record) = made(&root.join("a"), "made by a");
    let caches_of = || caches(settings(&at, Mode::ReadWrite), store(&at), Some(Arc::clone(&key)));
    push(&caches_of(), &state, &record).unwrap();
    let blob = Directory::new(&at).list("v1/blobs/").unwrap().pop().unwrap().name;
    let mut bytes = std::fs::read(at.join(&blob)).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(at.join(&blob), bytes).unwrap();

    let (other, caches) = (State::open(&root.join("b"), true).unwrap(), caches_of());
    let held = ask(&caches).hit.as_ref().unwrap().record(&wanted(), "p", &[], other.layout());
    assert!(matches!(caches.fetch(&other, &held, &|| false), Err(NotFetched::Gone(why)) if why.contains(&blob)));
    assert!(!at.join(&blob).exists());
    assert!(ask(&caches_of()).hit.is_none(), "its record went with it");
    push(&caches_of(), &state, &record).unwrap();
    let expected = contents(&state.layout().out("work", &record.fingerprint.id()));
    assert!(gets(&at, &key, &expected, "sent again"));
}

/// Two machines that build the same at once: one record, and the second is told whether its bytes are the same.
#[test]
fn who_comes_second_is_told_whether_it_made_the_same() {
    let (_dir, root) = in_memory();
    let (at, key) = (root.join("store"), key());
    let caches = caches(settings(&at, Mode::ReadWrite), store(&at), Some(key));
    for (seed, place) in [("x", "a"), ("x", "b"), ("y", "c")] {
        let (state, record) = made(&root.join(place), seed);
        let pushed = push(&caches, &state, &record).unwrap();
        match place {
            "a" => assert!(matches!(pushed, Pushed::Written(moved) if moved.objects > 4)),
            "b" => assert!(matches!(pushed, Pushed::Exists { same: true })),
            _ => assert!(matches!(pushed, Pushed::Exists { same: false })),
        }
    }
    assert_eq!(Directory::new(&at).list("v1/scopes/main/records/").unwrap().len(), 1);
}
