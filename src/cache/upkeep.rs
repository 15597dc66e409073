//! What whoever looks after a cache does with it: says what is in it, looks whether that is whole, and takes away what nobody uses.
//!
//! Objects that no record names go only when they are old: somebody may be sending them, with the record still to come. Unaware of
//! stages.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;

use anyhow::{Result, bail};
use jiff::{SignedDuration, Timestamp};

use super::entry::{self, Entry};
use super::give::names;
use super::objects::{self, TOP};
use super::one::Cache;
use super::unpack::is_of_the_entry;
use super::{Meta, Store, read_whole};

/// So old is an object that no writer is still sending.
pub const GRACE: SignedDuration = SignedDuration::from_hours(48);

/// What lies in a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
}

/// What was found wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    pub records: usize,
    /// How many of the objects were read.
    pub read: usize,
    pub bytes: u64,
    /// Names of objects, each with what is wrong with it.
    pub wrong: BTreeMap<String, String>,
}

/// What was taken away.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Collected {
    pub records: usize,
    pub objects: usize,
    pub bytes: u64,
    pub left: u64,
}

/// Which sort of object a name is of.
fn sort(name: &str) -> &str {
    name.strip_prefix(TOP).and_then(|rest| rest.split('/').next()).unwrap_or_default()
}

fn is_object(name: &str) -> bool {
    matches!(sort(name), "blobs" | "packs" | "manifests" | "lists")
}

/// The scope and the key of a record, from its name.
fn record(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("v1/scopes/")?.rsplit_once("/records/")
}

/// # Errors
/// The store cannot be reached.
pub fn contents(store: &dyn Store) -> Result<Contents> {
    let all = store.list("")?;
    let records = all.iter().filter(|meta| record(&meta.name).is_some()).count();
    let objects = all.iter().filter(|meta| is_object(&meta.name)).count();
    Ok(Contents { records, objects, bytes: all.iter().map(|meta| meta.size).sum() })
}

/// Looks at every record, whether all of its objects are there, and whether a share of them, from 0 to 1, is what it says.
///
/// # Errors
/// The store cannot be reached.
pub fn verify(cache: &Cache, sample: f64) -> Result<Verified> {
    let store = &*cache.store;
    let mut verified = Verified::default();
    let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for meta in store.list("v1/scopes/")? {
        let Some((scope, key)) = record(&meta.name) else { continue };
        verified.records += 1;
        let found =
            read_whole(store, &meta.name, entry::LARGEST)?.map(|bytes| entry::open(&bytes, key, scope, &cache.trust));
        let entry = match found {
            None => continue,
            Some(Ok(entry)) => entry,
            Some(Err(distrust)) => {
                verified.wrong.insert(meta.name, distrust.to_string());
                continue;
            }
        };
        match whole(store, &entry) {
            Ok(objects) => objects.into_iter().for_each(|name| known.entry(name).or_default().push(meta.name.clone())),
            Err(error) if is_of_the_entry(&error) => _ = verified.wrong.insert(meta.name, format!("{error:#}")),
            Err(error) => return Err(error),
        }
    }
    // What no record names now may be named by the next one, whose writer only looks whether it is there.
    for meta in store.list(TOP)?.into_iter().filter(|meta| is_object(&meta.name)) {
        known.entry(meta.name).or_default();
    }
    for (name, records) in known {
        // The same ones each time would leave the others unread for ever.
        if !chosen(&name, sample, Timestamp::now().as_second() / 3600) {
            continue;
        }
        verified.read += 1;
        match read_object(store, &name) {
            Ok(bytes) => verified.bytes += bytes,
            Err(error) if is_of_the_entry(&error) => {
                // Whoever asks for one of these is not to find it.
                verified.wrong.extend(records.into_iter().map(|record| (record, format!("{error:#}"))));
                verified.wrong.insert(name, format!("{error:#}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(verified)
}

fn chosen(name: &str, sample: f64, turn: i64) -> bool {
    let hash = blake3::hash(format!("{turn} {name}").as_bytes());
    let number = hash.as_bytes().iter().take(4).fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    f64::from(number) < sample * f64::from(u32::MAX) || sample >= 1.0
}

/// The objects of an entry, all of which are there.
fn whole(store: &dyn Store, entry: &Entry) -> Result<BTreeSet<String>> {
    for output in entry.outputs.values() {
        objects::manifest(store, &output.manifest)?;
    }
    let names = names(entry, &objects::list(store, &entry.objects)?);
    for name in &names {
        if store.head(name)?.is_none() {
            bail!(objects::Gone(name.clone()));
        }
    }
    Ok(names)
}

/// Reads an object, and holds its content against its name. Returns its size.
fn read_object(store: &dyn Store, name: &str) -> Result<u64> {
    let Some(body) = store.get(name, None)? else { bail!(objects::Gone(name.into())) };
    let damaged = || objects::Damaged(name.to_owned());
    if sort(name) == "manifests" {
        let hash = name.rsplit('/').next().and_then(|name| name.strip_suffix(".zst")).ok_or_else(damaged)?;
        return objects::manifest(store, hash).map(|_| 0);
    }
    let mut content = zstd::stream::read::Decoder::new(body).map_err(|_| damaged())?;
    let (mut hasher, mut buffer, mut bytes) = (blake3::Hasher::new(), vec![0; 128 << 10], 0);
    loop {
        match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                bytes += read as u64;
            }
            Err(_) => bail!(damaged()),
        }
    }
    if !name.contains(hasher.finalize().to_hex().as_str()) {
        bail!(damaged());
    }
    Ok(bytes)
}

/// Takes away records that nobody has written or used for a time, then the least used until the rest fits, then what no record names.
///
/// # Errors
/// The store cannot be reached, or refuses.
pub fn collect(cache: &Cache, keep: SignedDuration, max_size: Option<u64>, dry_run: bool) -> Result<Collected> {
    let store = &*cache.store;
    let now = Timestamp::now();
    let all = store.list("")?;
    let sizes: BTreeMap<&str, u64> = all.iter().map(|meta| (meta.name.as_str(), meta.size)).collect();
    let used = last_used(&all);
    // Each with what it names, the least used first.
    let mut records: Vec<(Timestamp, &str, BTreeSet<String>)> = Vec::new();
    let mut gone: BTreeSet<String> = BTreeSet::new();
    for meta in &all {
        let Some((scope, key)) = record(&meta.name) else { continue };
        let last = used.get(&(scope, key)).copied().unwrap_or(meta.written).max(meta.written);
        let read =
            read_whole(store, &meta.name, entry::LARGEST)?.map(|bytes| entry::open(&bytes, key, scope, &cache.trust));
        // Without its list it is of no use to anybody. One that is not believed here may be believed elsewhere: it stays while it is new.
        let named = match read {
            Some(Ok(entry)) => objects::list(store, &entry.objects).map(|list| names(&entry, &list)).ok(),
            _ => None,
        };
        if last < now - keep || named.is_none() && last < now - GRACE {
            gone.insert(meta.name.clone());
        } else {
            records.push((last, &meta.name, named.unwrap_or_default()));
        }
    }
    records.sort();
    let size_of = |records: &[(Timestamp, &str, BTreeSet<String>)]| {
        let named: BTreeSet<&str> =
            records.iter().flat_map(|(_, name, named)| named.iter().map(String::as_str).chain([*name])).collect();
        named.iter().filter_map(|name| sizes.get(name)).sum::<u64>()
    };
    let mut first = 0;
    while first < records.len() && max_size.is_some_and(|max| size_of(&records[first..]) > max) {
        gone.insert(records[first].1.to_owned());
        first += 1;
    }
    let kept: BTreeSet<&str> = records[first..].iter().flat_map(|(_, _, named)| named).map(String::as_str).collect();
    let mut collected = Collected { records: gone.len(), ..Collected::default() };
    let keys: BTreeSet<&str> = gone.iter().filter_map(|name| Some(record(name)?.1)).collect();
    // Records first: what they name is there as long as they are.
    let mut removed: Vec<String> = gone.iter().cloned().collect();
    for meta in &all {
        let marks = |name: &str| {
            let key = name.rsplit('/').next().unwrap_or_default();
            (name.contains("/used/") || name.contains("/stages/")) && keys.contains(key)
        };
        let unnamed = is_object(&meta.name) && !kept.contains(meta.name.as_str()) && meta.written < now - GRACE;
        let old = meta.name.contains("/used/") && meta.written < now - keep;
        if unnamed || marks(&meta.name) || old {
            collected.objects += usize::from(unnamed);
            removed.push(meta.name.clone());
        }
    }
    collected.bytes = removed.iter().filter_map(|name| sizes.get(name.as_str())).sum();
    collected.left = sizes.values().sum::<u64>() - collected.bytes;
    if !dry_run {
        store.delete(&removed)?;
        store.sweep(now - GRACE)?;
    }
    Ok(collected)
}

/// When records were used, by scope and key. Marks say the day.
fn last_used(all: &[Meta]) -> BTreeMap<(&str, &str), Timestamp> {
    let mut used = BTreeMap::new();
    for meta in all {
        let parts = meta.name.strip_prefix("v1/scopes/").and_then(|rest| rest.split_once("/used/"));
        let Some((scope, (_, key))) = parts.and_then(|(scope, rest)| Some((scope, rest.split_once('/')?))) else {
            continue;
        };
        let last = used.entry((scope, key)).or_insert(meta.written);
        *last = meta.written.max(*last);
    }
    used
}
