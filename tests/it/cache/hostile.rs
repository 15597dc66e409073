//! Manifests and objects that no honest program writes: each is refused, and nothing is written outside of the fresh directory.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::cache::directory::Directory;
use optbuild::cache::entry::{Entry, FORMAT, Output};
use optbuild::cache::objects::{self, Object, Objects, Place};
use optbuild::cache::unpack::{check, is_of_the_entry, unpack};
use optbuild::cache::{Body, Store, When};
use optbuild::state::manifest::{Content, Entry as Line, Manifest};

use super::support::{contents, in_memory, platform};

const TEXT: &[u8] = b"content";

fn directory(path: &str) -> Line {
    Line { path: path.into(), content: Content::Directory { mode: 0o755 } }
}

fn file(path: &str) -> Line {
    with_mode(path, 0o644)
}

fn with_mode(path: &str, mode: u32) -> Line {
    let hash = *blake3::hash(TEXT).as_bytes();
    Line { path: path.into(), content: Content::File { mode, size: TEXT.len() as u64, hash } }
}

fn link(path: &str, target: &str) -> Line {
    Line { path: path.into(), content: Content::Link { target: target.into() } }
}

fn manifest(lines: impl IntoIterator<Item = Line>) -> Manifest {
    Manifest { entries: lines.into_iter().collect() }
}

/// The artifact itself, and these in it.
fn tree(lines: impl IntoIterator<Item = Line>) -> Manifest {
    manifest([directory("")].into_iter().chain(lines))
}

/// What is refused, and a word of why.
fn hostile() -> Vec<(&'static str, Manifest)> {
    let order = "not in its order";
    let path = "is no path in an artifact";
    let parent = "does not lie in a directory";
    let leads = "out of the artifact";
    vec![
        ("does not begin with the artifact itself", manifest([])),
        ("does not begin with the artifact itself", manifest([file("a")])),
        ("neither a file nor a directory", manifest([link("", "elsewhere")])),
        ("neither a file nor a directory", manifest([file(""), file("a")])),
        // Out by the path.
        (path, tree([file("..")])),
        (path, tree([file("../evil")])),
        (path, tree([directory("a"), file("a/../../evil")])),
        (path, tree([directory("a"), file("a/..")])),
        (path, tree([file("/etc/evil")])),
        (path, tree([file("/")])),
        (path, tree([file(".")])),
        (path, tree([file("./a")])),
        (path, tree([directory("a"), file("a/")])),
        (path, tree([directory("a"), file("a//b")])),
        (path, tree([file("a\0b")])),
        (path, tree([Line { path: "n".repeat(256).into(), ..file("") }])),
        (path, tree([Line { path: "n/".repeat(2100).into(), ..file("") }])),
        // Out by a link that stands in the way.
        (parent, tree([link("a", "b"), file("a/evil")])),
        (parent, tree([link("a", "b"), directory("a/c")])),
        (parent, tree([file("a"), file("a/evil")])),
        (parent, tree([file("a/b/c")])),
        (parent, tree([directory("a"), link("a/b", "."), file("a/b/c")])),
        // One thing twice: the second would be written through the first.
        (order, tree([file("a"), file("a")])),
        (order, tree([link("a", "b"), file("a")])),
        (order, tree([file("b"), file("a")])),
        (order, tree([directory("")])),
        // Links that lead out, alone or with others.
        (leads, tree([link("a", "/etc/passwd")])),
        (leads, tree([link("a", "..")])),
        (leads, tree([link("a", "../evil")])),
        (leads, tree([directory("a"), link("a/b", "../../evil")])),
        (leads, tree([directory("a"), link("a/b", "c/../../../evil")])),
        (leads, tree([link("a", "b/..")])),
        (leads, tree([directory("d"), link("d/up", ".."), link("e", "d/up/..")])),
        (leads, tree([link("a", "")])),
        (leads, tree([link("a", "b\0c")])),
        (leads, tree([link("a", &"x".repeat(5000))])),
        // Rights that nobody asked for.
        ("has the mode", tree([with_mode("a", 0o4755)])),
        ("has the mode", tree([with_mode("a", 0o2755)])),
        ("has the mode", tree([with_mode("a", 0o10_0644)])),
        ("has the mode", manifest([Line { path: "".into(), content: Content::Directory { mode: 0o1777 } }])),
    ]
}

#[test]
fn each_hostile_manifest_is_refused() {
    let all = hostile();
    assert!(all.len() >= 40);
    for (why, manifest) in all {
        let refused = check(&manifest, false).expect_err(&format!("{manifest:?}")).to_string();
        assert!(refused.contains(why), "{refused}: {manifest:?}");
    }
}

#[test]
fn honest_manifests_are_taken() {
    check(&manifest([file("")]), false).unwrap();
    let lines = [
        directory("a"),
        directory("a/b"),
        link("a/b/up", "../../lib/x.so"),
        link("a/here", "b"),
        file("a.txt"),
        directory("lib"),
        file("lib/x.so"),
        link("lib/x.so.1", "x.so"),
        file("lib/..well"),
    ];
    let mut lines = lines.to_vec();
    lines.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
    check(&tree(lines), false).unwrap();
    // What works at one place only may name paths there.
    check(&tree([link("a", "/usr/lib/x.so")]), true).unwrap();
}

/// A store with what an attacker has put there.
struct Attack {
    store: Directory,
    root: Utf8PathBuf,
    _dir: tempfile::TempDir,
}

impl Attack {
    fn new() -> Attack {
        let (dir, root) = in_memory();
        Attack { store: Directory::new(root.join("store")), root, _dir: dir }
    }

    fn put(&self, sort: &str, hash: &str, content: &[u8]) {
        let bytes = zstd::bulk::compress(content, 1).unwrap();
        self.store.put(&objects::name(sort, hash), Body::Bytes(&bytes), When::Always).unwrap();
    }

    fn list(&self, list: &Objects) -> String {
        let bytes = postcard::to_stdvec(list).unwrap();
        let hash = blake3::hash(&bytes).to_hex().to_string();
        self.put("lists", &hash, &bytes);
        hash
    }

    /// One object with the text in it.
    fn text(&self) -> Objects {
        let hash = *blake3::hash(TEXT).as_bytes();
        self.put("packs", &blake3::hash(TEXT).to_hex(), TEXT);
        let size = TEXT.len() as u64;
        Objects {
            objects: vec![Object { blob: false, hash, size }],
            files: vec![Place { hash, object: 0, offset: 0, size }],
        }
    }

    fn entry(&self, outputs: &[(&str, &Manifest)], list: &Objects) -> Entry {
        let output = |(path, manifest): &(&str, &Manifest)| {
            self.put("manifests", &manifest.hash(), &manifest.encode().unwrap());
            let (bytes, files) = (manifest.bytes(), manifest.files());
            (
                format!("o{path}"),
                Output { path: (*path).into(), manifest: manifest.hash(), bytes, files, portable: true, show: false },
            )
        };
        Entry {
            format: FORMAT,
            key: String::new(),
            scope: "main".into(),
            fingerprint: String::new(),
            stage: "work".into(),
            kind: "command".into(),
            optbuild: String::new(),
            platform: platform(),
            elsewhere: false,
            outputs: outputs.iter().map(output).collect(),
            objects: self.list(list),
            stored: 0,
            facts: Vec::new(),
            duration: 1.0,
            finished: "2026-01-01T00:00:00Z".parse().unwrap(),
            parts: BTreeMap::new(),
        }
    }

    /// Unpacks it to a directory beside a file that must not change.
    fn unpack(&self, entry: &Entry, most: u64) -> anyhow::Result<BTreeMap<String, String>> {
        let (fresh, beside) = (self.root.join("around/fresh"), self.root.join("around/evil"));
        std::fs::create_dir_all(&fresh).unwrap();
        std::fs::write(&beside, "as it was").unwrap();
        let unpacked = unpack(&self.store, entry, most, &fresh, &|| false);
        let around = contents(&self.root.join("around"));
        assert_eq!(around["evil"], "as it was");
        assert!(around.keys().all(|name| name == "evil" || name.starts_with("fresh")), "{around:?}");
        let made = contents(Utf8Path::new(&fresh));
        std::fs::remove_dir_all(&fresh).unwrap();
        unpacked.map(|_| made)
    }
}

const MOST: u64 = 1 << 20;

#[test]
fn a_hostile_entry_writes_nothing_anywhere() {
    let attack = Attack::new();
    let list = attack.text();
    for (why, manifest) in hostile() {
        let entry = attack.entry(&[("", &manifest)], &list);
        let error = attack.unpack(&entry, MOST).expect_err(why);
        assert!(is_of_the_entry(&error) && format!("{error:#}").contains(why), "{error:#}");
    }
    // The path of an output itself.
    for path in ["../evil", "/tmp/evil", "a/../../evil", "a//b", "."] {
        let error = attack.unpack(&attack.entry(&[(path, &manifest([file("")]))], &list), MOST).unwrap_err();
        assert!(is_of_the_entry(&error), "{path}: {error:#}");
    }
}

#[test]
fn an_honest_entry_comes_out_as_it_is() {
    let attack = Attack::new();
    let list = attack.text();
    let whole = tree([directory("bin"), file("bin/x"), link("bin/y", "x"), file("copy")]);
    // The output `bin/y` is reached by a link.
    let entry =
        attack.entry(&[("", &whole), ("bin/x", &manifest([file("")])), ("bin/y", &manifest([file("")]))], &list);
    let made = attack.unpack(&entry, MOST).unwrap();
    let text = |name: &str| made[name].as_str();
    assert_eq!((text("bin/x"), text("bin/y"), text("copy")), ("content", "-> x", "content"));
    // Without an output that has all of it, directories on the way are made.
    let made = attack.unpack(&attack.entry(&[("deep/down/x", &manifest([file("")]))], &list), MOST).unwrap();
    assert_eq!(made["deep/down/x"], "content");
}

#[test]
fn objects_that_are_not_what_the_manifest_says() {
    let attack = Attack::new();
    let whole = tree([file("a")]);
    let refused = |entry: &Entry, most: u64| {
        let error = attack.unpack(entry, most).unwrap_err();
        assert!(is_of_the_entry(&error), "{error:#}");
        format!("{error:#}")
    };
    let good = attack.text();
    // Two outputs that say something else of one place.
    let other = Line { path: "a".into(), content: Content::Directory { mode: 0o755 } };
    assert!(
        refused(&attack.entry(&[("", &whole), ("a", &tree([other]))], &good), MOST).contains("is not what it says")
    );
    // A file that is in no object, or has another size there.
    assert!(refused(&attack.entry(&[("", &whole)], &Objects::default()), MOST).contains("in no object"));
    let mut lying = good.clone();
    (lying.files[0].size, lying.objects[0].size) = (3, 3);
    assert!(refused(&attack.entry(&[("", &whole)], &lying), MOST).contains("in no object"));
    // Lists that make no sense.
    for (what, change) in [
        ("a gap", (|list: &mut Objects| list.files[0].offset = 1) as fn(&mut Objects)),
        ("no such object", |list| list.files[0].object = 7),
        ("too large an object", |list| list.objects[0].size = 1 << 40),
        ("twice", |list| list.files.push(list.files[0].clone())),
        ("too large a file", |list| (list.files[0].size, list.objects[0].size) = (u64::MAX, u64::MAX)),
    ] {
        let mut list = good.clone();
        change(&mut list);
        assert!(attack.unpack(&attack.entry(&[("", &whole)], &list), MOST).is_err(), "{what}");
    }
    // More than is allowed, declared and not.
    assert!(refused(&attack.entry(&[("", &whole)], &good), 3).contains("max-bytes-per-stage"));
    // A bomb: what comes out is more than was declared. It is read no further.
    let entry = attack.entry(&[("", &whole)], &good);
    attack.put("packs", &blake3::hash(TEXT).to_hex(), &[TEXT, &vec![0; 100 << 20]].concat());
    assert!(refused(&entry, MOST).contains("is damaged"));
    // Other bytes of the same length.
    attack.put("packs", &blake3::hash(TEXT).to_hex(), b"CONTENT");
    assert!(refused(&entry, MOST).contains("is damaged"));
    // A manifest under the name of another one.
    attack.put("manifests", &whole.hash(), &tree([file("b")]).encode().unwrap());
    assert!(refused(&entry, MOST).contains("is damaged"));
}

/// Somebody puts a link into the fresh directory while it is filled: what is written follows none.
#[test]
fn a_link_that_appears_meanwhile_is_not_followed() {
    let attack = Attack::new();
    let list = attack.text();
    let entry = attack.entry(&[("", &tree([directory("a"), file("a/x")]))], &list);
    let (fresh, outside) = (attack.root.join("fresh"), attack.root.join("outside"));
    std::fs::create_dir_all(&fresh).unwrap();
    std::fs::create_dir_all(&outside).unwrap();
    std::os::unix::fs::symlink(&outside, fresh.join("a")).unwrap();
    assert!(unpack(&attack.store, &entry, MOST, &fresh, &|| false).is_err());
    assert!(contents(&outside).is_empty());
}
