//! `optbuild cache`: pushing, pulling, one file in place of a cache, keys, and the upkeep of a cache.

use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;

use jiff::SignedDuration;
use optbuild::cache::config::Mode;
use optbuild::cache::directory::Directory;
use optbuild::cache::one::Cache;
use optbuild::cache::{Body, Store as _, When, upkeep};

use super::rules::Team;
use super::support::{caches, in_memory, key, made, platform, settings, wanted};
use crate::support::{Test, stage};

fn parts() -> Vec<String> {
    vec![
        "[outputs]\nresult = '${b.out}/x'\n".into(),
        stage("a", "", "echo a > ${self.out}/x"),
        stage("b", "", "(cat ${a.out}/x; echo b) > ${self.out}/x"),
    ]
}

#[test]
fn stages_are_pushed_and_pulled() {
    let team = Team::new();
    let first = Test::new(parts());
    first.run("").runs("a b");
    let first = team.joins(first);
    first.cmd("cache status").out("a  cache").out("not there").out("0 of 2 stages in a cache").runs("");
    first.cmd("cache push a").err("a: 2 B sent to").runs("");
    first.cmd("cache push").err("a: ").err("has it already").err("b: ").runs("");
    assert_eq!(team.records(), 2);
    first.cmd("cache status").out("2 of 2 stages in a cache").out("2 records").runs("");

    let other = team.machine(&parts());
    other.sh("mkdir -p .optbuild && printf 'optbuild state, format 1\\n' > .optbuild/STATE");
    other.cmd("cache pull -p p.toml").err("a: 2 B fetched").err("b: 4 B fetched").runs("");
    other.run("--cache-mode off").runs("");
    assert_eq!(other.read("out/p/result"), "a\nb\n");
    let _ = other.cmd("cache pull nosuch -p p.toml").code(2).err("nosuch");
    let _ = team.stranger(Test::new(parts()), "read").cmd("cache push -p p.toml").code(2).err("no cache is written to");
    let _ = Test::new(parts()).cmd("cache status -p p.toml").code(2).err("there is no cache");
}

#[test]
fn one_file_stands_for_a_cache() {
    let first = Test::new(parts());
    first.run("").runs("a b");
    first.cmd("cache export -o all.tar").err("all.tar: ").runs("");
    let other = Test::new(parts());
    std::fs::copy(first.path("all.tar"), other.path("all.tar")).unwrap();
    other.cmd("cache import all.tar -p p.toml").err("are new in").runs("");
    other.run("").err("cache: had 2 stages").runs("");
    assert_eq!(other.read("out/p/result"), "a\nb\n");
    other.cmd("cache import all.tar").err("0 objects").runs("");
    // A run without caches has none of it either.
    let third = Test::new(parts());
    std::fs::copy(first.path("all.tar"), third.path("all.tar")).unwrap();
    third.cmd("cache import all.tar -p p.toml").runs("");
    third.run("--cache-mode off").runs("a b");
}

#[test]
fn a_file_that_is_none_is_refused_and_writes_nothing() {
    let test = Test::new(parts());
    test.run("").runs("a b");
    test.write("text", "no archive");
    let _ = test.cmd("cache import text").code(1).err("is not a file of `optbuild cache export`");
    let _ = test.cmd("cache import nosuch").code(2);
    // Archives that no export has written: names that lead elsewhere, links.
    test.sh(
        "mkdir -p x/v1 && echo evil > x/v1/a && tar -cf up.tar -C x --transform 's,v1/a,../../evil,' -P v1/a \
         && tar -cf other.tar -C x --transform 's,v1/a,records/a,' v1/a && ln -s /etc x/v1/l && tar -cf link.tar -C x v1/l",
    );
    for file in ["up.tar", "other.tar", "link.tar"] {
        let _ = test.cmd(&format!("cache import {file}")).code(1).err("is not a file of");
    }
    assert!(!test.exists("evil") && !test.exists("../evil"));
    // A part of a file: what is in it is whole, and records come last.
    test.cmd("cache export -o all.tar").runs("");
    test.sh("head -c 3000 all.tar > cut.tar");
    let _ = test.cmd("cache import cut.tar").code(1).err("or it is cut");
    assert!(!test.exists(".optbuild/imported/v1/scopes"));
}

#[test]
fn keys_are_made_once_and_kept_for_the_user() {
    let test = Test::new(parts());
    let _ = test.cmd("cache key show").code(2).err("there is no key");
    let made = test.cmd("cache key new").ok();
    let file = test.aside.join(".config/optbuild/cache.key");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(test.cmd("cache key show").ok().stdout, made.stdout);
    let _ = test.cmd("cache key new").code(1).err("is not replaced");
    let other = test.cmd("cache key new -o other.key").ok();
    assert_ne!(other.stdout, made.stdout);
    // What this user has signed, this user believes.
    let store = test.path("store");
    test.run(&format!("--cache file:{store} --cache-mode read-write")).runs("a b");
    test.sh("rm -rf .optbuild");
    test.run(&format!("--cache file:{store}")).runs("");
    let test = test.env("OPTBUILD_SIGNING_KEY", "rubbish");
    let _ = test.run("--cache ./store --force").code(2).err("the signing key of OPTBUILD_SIGNING_KEY");
}

#[test]
fn verify_finds_what_is_wrong_and_repairs_it() {
    let team = Team::new();
    let test = team.machine(&parts());
    test.run("").runs("a b");
    test.cmd("cache verify --sample 100%").out("0 wrong").runs("");
    let pack = team.objects("v1/packs/")[0].clone();
    std::fs::write(team.store.join(&pack), "rubbish").unwrap();
    let record = team.objects("/records/")[0].clone();
    std::fs::write(team.store.join(&record), "rubbish").unwrap();
    let _ = test.cmd("cache verify --sample 100%").code(1).err(&record).out("wrong");
    test.cmd("cache verify --sample 100% --repair").runs("");
    assert!(!team.store.join(&record).exists());
    let other = team.machine(&parts());
    let _ = other.run("").ok();
    assert_eq!(other.read("out/p/result"), "a\nb\n");
    other.cmd("cache verify --sample 100%").out("0 wrong").runs("");
}

#[test]
fn gc_removes_what_is_old_and_keeps_what_was_used() {
    let (_dir, root) = in_memory();
    let (at, key) = (root.join("store"), key());
    let store = || Box::new(Directory::new(&at).with_limits(200, 20));
    let of = || Cache::of(settings(&at, Mode::ReadWrite), store(), Some(Arc::clone(&key)), Ok(platform()));
    let (state, record) = made(&root.join("a"), "made by a");
    let pushing = caches(settings(&at, Mode::ReadWrite), store(), Some(Arc::clone(&key)));
    pushing.push(&wanted(), &record, &state, &|| false).pop().unwrap().1.unwrap();
    store().put("v1/blobs/aa/left.zst", Body::Bytes(b"of a writer that was killed"), When::Absent).unwrap();
    let names = || store().list("").unwrap().into_iter().map(|meta| meta.name).collect::<Vec<_>>();
    let days = |days: i64| SignedDuration::from_hours(24 * days);
    let age = |part: &str, days: i64| {
        for name in names().iter().filter(|name| name.contains(part)) {
            let when = std::time::SystemTime::now() - std::time::Duration::from_secs(24 * 3600 * days as u64);
            std::fs::File::open(at.join(name)).unwrap().set_modified(when).unwrap();
        }
    };
    let all = names().len();
    // New: nothing goes, not even what belongs to nothing.
    assert_eq!(upkeep::collect(&of(), days(30), None, false).unwrap().records, 0);
    assert_eq!(names().len(), all);
    age("", 40);
    // Used yesterday.
    super::support::ask(&caches(settings(&at, Mode::ReadWrite), store(), Some(Arc::clone(&key))));
    let collected = upkeep::collect(&of(), days(30), None, true).unwrap();
    assert_eq!((collected.records, collected.objects), (0, 1), "what belongs to nothing");
    assert_eq!(names().len(), all + 1, "a dry run, and the mark");
    upkeep::collect(&of(), days(30), None, false).unwrap();
    assert!(!names().contains(&"v1/blobs/aa/left.zst".to_owned()));
    assert!(super::support::ask(&caches(settings(&at, Mode::Read), store(), Some(Arc::clone(&key)))).hit.is_some());
    // Not used for long.
    age("", 40);
    let collected = upkeep::collect(&of(), days(30), None, false).unwrap();
    assert_eq!(collected.records, 1);
    assert_eq!(names(), ["optbuild-cache"]);
}

#[test]
fn gc_removes_the_least_used_until_it_fits() {
    let team = Team::new();
    let test = team.machine(&parts());
    test.run("").runs("a b");
    let _ = team.stranger(Test::new(parts()), "read").cmd("cache gc").code(2).err("no cache is written to");
    test.cmd("cache gc --max-size 1GiB").err("0 records").runs("");
    test.cmd("cache gc --max-size 1B --dry-run").err("2 records").err("would be removed").runs("");
    assert_eq!(team.records(), 2);
    test.cmd("cache gc --max-size 1B").err("2 records").runs("");
    assert_eq!(team.records(), 0);
    // What they named is new, so it stays for a while; and the stages are built and given again.
    test.sh("rm -rf .optbuild");
    test.run("").runs("a b");
    assert_eq!(team.records(), 2);
}
