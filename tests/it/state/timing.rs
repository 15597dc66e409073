//! How long it takes to see that nothing changed in a large source tree, and to bring results to disk.
//!
//! `cargo test --release --test it state::timing -- --ignored --nocapture` prints the figures; nothing is asserted about time.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use optbuild::fs::disk;
use optbuild::plan::Source;
use optbuild::state::hash::Hasher;
use optbuild::state::listing;
use optbuild::state::manifest::Manifest;
use optbuild::state::sources::{Sources, hash_source};

const FILES: usize = 100_000;

#[test]
#[ignore = "takes long, and is for people to read"]
fn figures() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let directory = Utf8PathBuf::try_from(directory.path().to_owned())?;
    let tree = directory.join("tree");
    make(&tree, FILES)?;
    std::thread::sleep(Duration::from_secs(1));
    let cache = directory.join("hashes");
    let source = Source { name: "source".into(), path: tree.clone(), glob: false, exclude: Vec::new() };

    time("first, every file read", || check(&cache, &source))?;
    for _ in 0..3 {
        assert_eq!(time("again, nothing changed", || check(&cache, &source))?, FILES as u64);
    }
    let hasher = time("  of that: the cache", || Ok(Hasher::open(&cache)?))?;
    let names = time("  of that: the listing", || Ok(listing::tree(tree.as_std_path(), &[], &|_| false)?))?;
    time("  of that: stat and cache, without the listing", || {
        let paths: Vec<_> = names.iter().map(|name| tree.as_std_path().join(name)).collect();
        hasher.files(&paths).into_iter().collect::<Result<Vec<_>, _>>()?;
        Ok(())
    })?;
    let sources = Sources::new(Arc::new(hasher), Vec::new());
    sources.hash(&source)?;
    time("a second stage with the same source", || Ok(sources.hash(&source)?))?;
    let (manifest, times) = time("manifest, as of an artifact", || Ok(Manifest::of(&tree, sources.hasher())?))?;
    time("artifact intact", || Ok(manifest.difference(Some(&times), &tree, sources.hasher())?))?;

    for args in [&["init", "-q"][..], &["add", "."]] {
        duct::cmd("git", args).dir(&tree).run()?;
    }
    for _ in 0..3 {
        time("nothing changed, listed by git", || check(&cache, &source))?;
    }

    for count in [1, 16, 64, 65, 1000] {
        let out = directory.join("out");
        disk::make_empty_dir(&out)?;
        for number in 0..count {
            fs::write(out.join(number.to_string()), vec![1; 4000])?;
        }
        time(&format!("syncing {count} files"), || Ok(disk::sync_tree(&out, &directory)?))?;
    }
    for _ in 0..3 {
        time("a file written durably", || Ok(disk::write_durably(&directory.join("file"), b"text")?))?;
    }
    Ok(())
}

fn check(cache: &Utf8Path, source: &Source) -> Result<u64> {
    let hasher = Hasher::open(cache)?;
    let hash = hash_source(&hasher, source, &[])?;
    hasher.save()?;
    Ok(hash.files)
}

fn make(tree: &Utf8Path, files: usize) -> Result<()> {
    for number in 0..files {
        let directory = tree.join(format!("component-{}/module-{}", number / 1000, number / 20 % 50));
        if number % 20 == 0 {
            fs::create_dir_all(&directory)?;
        }
        fs::write(directory.join(format!("source-file-{number}.cpp")), format!("{number}").repeat(200))?;
    }
    Ok(())
}

fn time<T>(what: &str, action: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = action()?;
    println!("{:>8.1} ms  {what}", start.elapsed().as_secs_f64() * 1000.0);
    Ok(result)
}
