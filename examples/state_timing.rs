//! How long it takes to see that nothing changed in a large source tree, and to bring results to disk.
//!
//! `cargo run --release --example state_timing -- DIRECTORY [FILES]` makes a tree of FILES files (100,000) in DIRECTORY.

use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};
use optbuild::plan::Source;
use optbuild::state::disk;
use optbuild::state::hash::Hasher;
use optbuild::state::listing;
use optbuild::state::manifest::Manifest;
use optbuild::state::sources::{Sources, hash_source};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let directory = Utf8PathBuf::from(args.next().context("give a directory to make the tree in")?);
    let files = args.next().map_or(Ok(100_000), |files| files.parse())?;
    let tree = directory.join("tree");
    if !tree.exists() {
        make(&tree, files)?;
        std::thread::sleep(Duration::from_secs(1));
    }
    let cache = directory.join("hashes");
    let source = Source { name: "source".into(), path: tree.clone(), glob: false };

    time("first, every file read", || check(&cache, &source))?;
    for _ in 0..3 {
        time("again, nothing changed", || check(&cache, &source))?;
    }
    let hasher = time("  of that: the cache", || Ok(Hasher::open(&cache)?))?;
    let names = time("  of that: the listing", || Ok(listing::tree(tree.as_std_path(), &[])?))?;
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
