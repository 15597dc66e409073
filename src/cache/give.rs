//! Gives a finished stage to a cache: first the files, then what names them, the record last.
//!
//! Unaware of runs, and of other caches.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, Result};

use super::entry::{self, Entry, FORMAT, Output};
use super::key;
use super::objects::{self, Moved, Sender};
use super::one::{Cache, MARKER, MARKER_TEXT, record_name, scope_top};
use super::share::{self, Wanted};
use super::{Body, Put, Store, When, unpack};
use crate::state::record::Record;
use crate::state::store::State;

/// What became of a stage that was made here.
#[derive(Debug)]
pub enum Pushed {
    Written(Moved),
    /// It was there already; with the same outputs, or others.
    Exists {
        same: bool,
    },
}

/// Gives a stage, whose outputs are here, to a cache. `processor`: of this machine.
///
/// # Errors
/// The store refuses, outputs are not any more what they were or are not for others, or it was told to stop.
pub fn push(
    cache: &Cache,
    wanted: &Wanted,
    record: &Record,
    state: &State,
    processor: &dyn Fn() -> String,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Pushed> {
    let layout = state.layout();
    let store = &*cache.store;
    let platform = cache.platform_of(wanted, processor).map_err(|why| anyhow::anyhow!("{why}"))?;
    let out = layout.out(&record.stage, &record.fingerprint.id());
    let mut outputs = BTreeMap::new();
    let mut files = Vec::new();
    let mut manifests = BTreeMap::new();
    for (name, output) in &record.outputs {
        let manifest =
            state.manifest(&output.hash)?.with_context(|| format!("the manifest of output `{name}` is gone"))?;
        unpack::check(&manifest, !output.portable).with_context(|| format!("its output `{name}` is not shared"))?;
        manifests.insert(name, manifest);
        let path = layout.root().join(&output.path);
        let below = path.strip_prefix(&out).with_context(|| format!("output `{name}` lies elsewhere"))?;
        outputs.insert(
            name.clone(),
            Output {
                path: below.to_owned(),
                manifest: output.hash.clone(),
                bytes: output.bytes,
                files: output.files,
                portable: output.portable,
                show: output.show,
            },
        );
    }
    for (name, output) in &record.outputs {
        files.extend(manifests.get(name).map(|manifest| (layout.root().join(&output.path), manifest)));
    }
    let keys = cache.keys(wanted, &platform);
    let scope = &cache.settings.scope;
    // One that is there and is believed makes it needless to read the files.
    if let Some((key, _)) = keys.first()
        && let Some(Ok(there)) = cache.read(key, scope)?
        && there.answers(wanted, &platform).is_ok()
        && is_complete(store, &there)?
    {
        return Ok(Pushed::Exists { same: there.outputs == outputs });
    }
    store.put(MARKER, Body::Bytes(MARKER_TEXT.as_bytes()), When::Absent)?;
    let mut sender =
        Sender { store, level: cache.settings.compression, scratch: layout.root(), stop, moved: Moved::default() };
    let (objects, stored) = sender.send(&files)?;
    let mut entry = Entry {
        format: FORMAT,
        key: String::new(),
        scope: scope.clone(),
        fingerprint: wanted.fingerprint.to_string(),
        stage: wanted.stage.to_string(),
        kind: wanted.kind.clone(),
        optbuild: env!("CARGO_PKG_VERSION").into(),
        platform,
        elsewhere: false,
        outputs,
        objects,
        stored,
        facts: share::facts(&record.facts, &wanted.dirs, layout.root()),
        duration: record.duration,
        finished: record.finished,
        parts: key::tags(&cache.salt, &wanted.parts),
    };
    let mut pushed = Pushed::Written(sender.moved);
    for (key, elsewhere) in keys {
        (entry.key, entry.elsewhere) = (key, elsewhere);
        let name = record_name(scope, &entry.key);
        let bytes = entry::seal(&entry, cache.signer())?;
        if store.put(&name, Body::Bytes(&bytes), When::Absent)? == Put::Exists {
            match cache.read(&entry.key, scope)? {
                // Somebody else has built it meanwhile: what is here is used here, and what is there stays.
                Some(Ok(there)) if there.answers(wanted, &entry.platform).is_ok() && is_complete(store, &there)? => {
                    if !elsewhere {
                        pushed = Pushed::Exists { same: there.outputs == entry.outputs };
                    }
                }
                // Nobody believes it.
                _ => _ = store.put(&name, Body::Bytes(&bytes), When::Always)?,
            }
        }
        let stage = key::stage(&cache.salt, &wanted.stage, &wanted.kind);
        store.put(&format!("{}stages/{stage}/{}", scope_top(scope), entry.key), Body::Bytes(b""), When::Absent)?;
    }
    Ok(pushed)
}

/// Whether all objects of an entry are there.
fn is_complete(store: &dyn Store, entry: &Entry) -> Result<bool> {
    let list = match objects::list(store, &entry.objects) {
        Ok(list) => list,
        Err(error) if unpack::is_of_the_entry(&error) => return Ok(false),
        Err(error) => return Err(error),
    };
    for name in names(entry, &list) {
        if store.head(&name)?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The names of all objects that an entry refers to.
pub fn names(entry: &Entry, list: &objects::Objects) -> BTreeSet<String> {
    let manifests = entry.outputs.values().map(|output| objects::name("manifests", &output.manifest));
    let objects = list.objects.iter().map(objects::Object::name);
    manifests.chain(objects).chain([objects::name("lists", &entry.objects)]).collect()
}
