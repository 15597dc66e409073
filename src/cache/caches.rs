//! All caches that a run uses: asked for a stage, one after the other; fetched from; and given what was made here.
//!
//! | what always holds | by |
//! |---|---|
//! | a record is put there last | [`give::push`] |
//! | outputs are put in place as a whole, after every byte was checked | [`Caches::fetch`] renames a directory |
//! | a cache that cannot be reached costs time once, and fails nothing unless it is required | [`Caches::fail`] |
//! | what was found wrong in a cache is not asked for again in this run | [`Caches::avoid`] |
//!
//! Unaware of what a run does with the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::entry::{Distrust, Entry, Output};
use super::give::{self, Pushed};
use super::objects::{Damaged, Gone, Moved};
use super::one::{Cache, record_name, scope_top};
use super::platform;
use super::share::Wanted;
use super::{Body, StoreError, When, unpack};
use crate::event::Fact;
use crate::facts::Facts;
use crate::fs::disk::{self, At as _};
use crate::names::{FingerprintId, RunId};
use crate::state::layout::Layout;
use crate::state::manifest::{Manifest, Times};
use crate::state::record::{Held, InputRecord, OutputRecord, Record, RecordOutcome};
use crate::state::store::State;
use crate::sync::{Warnings, lock};

/// The run was told not to do without caches, and has to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; without `--cache-required` the run would go on without it")]
pub struct Required(pub String);

/// The caches of a run.
pub struct Caches {
    pub caches: Vec<Cache>,
    processor: OnceLock<String>,
    cpuinfo: Facts,
    required: bool,
    answers: Mutex<BTreeMap<FingerprintId, Arc<Answer>>>,
    avoided: Mutex<BTreeMap<FingerprintId, String>>,
    warnings: Warnings,
}

/// What caches say of a stage.
#[derive(Debug, Default)]
pub struct Answer {
    pub hit: Option<Hit>,
    /// A sentence for each cache that does not have it: why.
    pub misses: Vec<String>,
}

/// A record that is believed.
#[derive(Debug, Clone)]
pub struct Hit {
    pub held: Held,
    pub entry: Entry,
}

/// Why outputs were not fetched.
#[derive(Debug)]
pub enum NotFetched {
    /// The stage has to run. Why, as a sentence.
    Gone(String),
    Required(Required),
    /// This machine: a disk that is full.
    Machine(anyhow::Error),
}

impl Caches {
    pub fn new(caches: Vec<Cache>, required: bool) -> Caches {
        Caches {
            caches,
            processor: OnceLock::new(),
            cpuinfo: Facts::live(),
            required,
            answers: Mutex::default(),
            avoided: Mutex::default(),
            warnings: Warnings::default(),
        }
    }

    fn processor(&self) -> String {
        self.processor.get_or_init(|| platform::processor(&self.cpuinfo)).clone()
    }

    /// What went wrong since this was last asked, as sentences.
    pub fn take_warnings(&self) -> Vec<String> {
        self.warnings.take()
    }

    fn warn(&self, text: String) {
        self.warnings.add(text);
    }

    /// Does without a cache from here on.
    fn fail(&self, cache: &Cache, error: &dyn std::fmt::Display) -> Result<(), Required> {
        let why = format!("cache `{}` is not used any more in this run: {error}", cache.name());
        let new = cache.give_up(&why);
        if self.required {
            return Err(Required(format!("cache `{}`: {error}", cache.name())));
        }
        if new {
            self.warn(why);
        }
        Ok(())
    }

    /// The longest time that something may take to be sent after the last stage.
    pub fn upload_timeout(&self) -> Duration {
        self.writing().map(|cache| cache.settings.upload_timeout).max().unwrap_or_default()
    }

    /// Those that are written to.
    pub fn writing(&self) -> impl Iterator<Item = &Cache> {
        self.caches.iter().filter(|cache| cache.writes())
    }

    fn find(&self, held: &Held) -> Option<&Cache> {
        self.caches.iter().find(|cache| cache.name() == held.cache && cache.store.place() == held.place)
    }

    /// Whether outputs that are held there can be had, as far as is known without looking.
    pub fn knows(&self, held: &Held) -> bool {
        self.find(held).is_some_and(|cache| cache.is_used())
    }

    /// Asks no cache for this any more. Why, as a sentence.
    pub fn avoid(&self, fingerprint: &FingerprintId, why: &str) {
        lock(&self.avoided).insert(fingerprint.clone(), why.into());
        lock(&self.answers).remove(fingerprint);
    }

    /// Asks for a stage. One that was asked for in this run is not asked for again.
    ///
    /// # Errors
    /// A cache cannot be used, and is required.
    pub fn ask(&self, wanted: &Wanted) -> Result<Arc<Answer>, Required> {
        if let Some(why) = lock(&self.avoided).get(&wanted.fingerprint) {
            return Ok(Arc::new(Answer { hit: None, misses: vec![why.clone()] }));
        }
        if let Some(known) = lock(&self.answers).get(&wanted.fingerprint) {
            return Ok(Arc::clone(known));
        }
        let mut answer = Answer::default();
        for cache in &self.caches {
            match self.ask_one(cache, wanted) {
                Ok(Ok(hit)) => {
                    answer.hit = Some(hit);
                    break;
                }
                Ok(Err(why)) => answer.misses.push(format!("cache `{}`: {why}", cache.name())),
                Err(error) => {
                    self.fail(cache, &error)?;
                    answer.misses.push(format!("cache `{}` cannot be used", cache.name()));
                }
            }
        }
        // An entry for another place is second to one for this place in any cache.
        if answer.hit.as_ref().is_some_and(|hit| hit.held.elsewhere) {
            let better = self.caches.iter().filter_map(|cache| self.ask_one(cache, wanted).ok()?.ok());
            answer.hit = better.into_iter().find(|hit| !hit.held.elsewhere).or(answer.hit);
        }
        let answer = Arc::new(answer);
        lock(&self.answers).insert(wanted.fingerprint.clone(), Arc::clone(&answer));
        Ok(answer)
    }

    /// The inner error says why this cache does not have it.
    fn ask_one(&self, cache: &Cache, wanted: &Wanted) -> Result<Result<Hit, String>, StoreError> {
        if let Some(why) = cache.unusable()? {
            return Ok(Err(why));
        }
        if wanted.secret && !cache.salt.is_some() {
            return Ok(Err("not shared: its fingerprint holds a secret, and the cache has no `salt`".into()));
        }
        let platform = match cache.platform_of(wanted, &|| self.processor()) {
            Ok(platform) => platform,
            Err(why) => return Ok(Err(why)),
        };
        let mut refused = None;
        for (key, elsewhere) in cache.keys(wanted, &platform) {
            for scope in &cache.settings.read_scopes {
                let found = match cache.read(&key, scope)? {
                    None => continue,
                    Some(found) => found.and_then(|entry| {
                        entry.answers(wanted, &platform)?;
                        if entry.elsewhere == elsewhere { Ok(entry) } else { Err(Distrust::Other("place")) }
                    }),
                };
                match found {
                    Ok(entry) => {
                        self.mark_used(cache, &key);
                        let held = Held {
                            cache: cache.name().into(),
                            place: cache.store.place(),
                            scope: scope.clone(),
                            key,
                            elsewhere,
                        };
                        return Ok(Ok(Hit { held, entry }));
                    }
                    Err(distrust) => {
                        let record = record_name(scope, &key);
                        self.warn(format!(
                            "cache `{}`: `{record}` of stage `{}` is not used: {distrust}",
                            cache.name(),
                            wanted.stage
                        ));
                        // Another scope may have one that is believed: nobody is to be in the way of it.
                        refused.get_or_insert(distrust);
                    }
                }
            }
        }
        if let Some(distrust) = refused {
            return Ok(Err(format!("its record is not used: {distrust}")));
        }
        let nearest = cache.nearest(wanted, &platform)?;
        Ok(Err(nearest.map_or_else(|| "not there".into(), |nearest| format!("not there; {nearest}"))))
    }

    /// For the one who removes what nobody uses. Nothing depends on it.
    fn mark_used(&self, cache: &Cache, key: &str) {
        if cache.writes() {
            let day = Timestamp::now().strftime("%Y-%m-%d");
            let name = format!("{}used/{day}/{key}", scope_top(&cache.settings.scope));
            if cache.store.head(&name).is_ok_and(|there| there.is_none())
                && let Err(error) = cache.store.put(&name, Body::Bytes(b""), When::Absent)
            {
                tracing::debug!("{error}");
            }
        }
    }

    /// Gets the outputs of a record that are held in a cache, and puts them in place. The record that is returned is kept already.
    ///
    /// # Errors
    /// Why they are not here.
    pub fn fetch(
        &self,
        state: &State,
        record: &Record,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Record, Moved), NotFetched> {
        let Some(held) = &record.held else { return Ok((record.clone(), Moved::default())) };
        if held.elsewhere {
            return Err(NotFetched::Gone("its outputs were made at another place, and work there only".into()));
        }
        let Some(cache) = self.find(held) else {
            return Err(NotFetched::Gone(format!(
                "its outputs are in the cache `{}`, which is not used any more",
                held.cache
            )));
        };
        let error = match self.fetch_from(cache, held, state, record, stop) {
            Ok(fetched) => return Ok(fetched),
            Err(error) => error,
        };
        if unpack::is_of_the_store(&error) {
            self.fail(cache, &format!("{error:#}")).map_err(NotFetched::Required)?;
            return Err(NotFetched::Gone(format!("its outputs cannot be had from the cache `{}`", cache.name())));
        }
        if !unpack::is_of_the_entry(&error) && !error.is::<Distrust>() {
            return Err(NotFetched::Machine(error));
        }
        self.warn(format!(
            "cache `{}`: the outputs of stage `{}` cannot be used: {error:#}",
            cache.name(),
            record.stage
        ));
        // It is paid for once.
        if cache.writes() && held.scope == cache.settings.scope {
            let mut names = vec![record_name(&held.scope, &held.key)];
            names.extend(error.downcast_ref::<Damaged>().map(|damaged| damaged.0.clone()));
            if let Err(error) = cache.store.delete(&names) {
                tracing::debug!("{error}");
            }
        }
        Err(NotFetched::Gone(format!("what the cache `{}` has of it cannot be used: {error:#}", cache.name())))
    }

    fn fetch_from(
        &self,
        cache: &Cache,
        held: &Held,
        state: &State,
        record: &Record,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Result<(Record, Moved)> {
        let layout = state.layout();
        let id = record.fingerprint.id();
        let Some(entry) = cache.read(&held.key, &held.scope)? else {
            return Err(Gone(record_name(&held.scope, &held.key)).into());
        };
        let entry = entry?;
        // It may be another record than the one that was believed before.
        let same = entry.outputs.len() == record.outputs.len()
            && *entry.fingerprint == *id
            && entry.outputs.iter().all(|(name, output)| {
                record
                    .outputs
                    .get(name)
                    .is_some_and(|known| known.hash == output.manifest && known.path == place(layout, record, output))
            });
        if !same {
            return Err(Distrust::Other("set of outputs").into());
        }
        let out = layout.out(&record.stage, &id);
        let parent = out.parent().context("outputs lie in a directory")?;
        disk::make_dir(parent)?;
        let aside = tempfile::Builder::new().prefix(".tmp-cache-").tempdir_in(parent).at("write", parent)?;
        let tree = Utf8Path::from_path(aside.path()).context("the state directory is not UTF-8")?.join("tree");
        disk::make_dir(&tree)?;
        let (manifests, moved) =
            unpack::unpack(&*cache.store, &entry, cache.settings.max_bytes_per_stage, &tree, stop)?;
        disk::sync_tree(&tree, &tree)?;
        disk::discard(&out)?;
        disk::rename_durably(&tree, &out)?;
        disk::sync_dir(layout.root())?;
        let record = Record { held: None, ..record.clone() };
        let outputs: BTreeMap<String, (Manifest, Times)> =
            manifests.into_iter().map(|(name, manifest)| (name, (manifest, Times::default()))).collect();
        state.put_record(&record, &outputs)?;
        Ok((record, moved))
    }

    /// Gives a finished stage to all caches that are written to. Says of each what became of it.
    pub fn push(
        &self,
        wanted: &Wanted,
        record: &Record,
        state: &State,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> Vec<(String, Result<Pushed>)> {
        let mut all = Vec::new();
        for cache in self.writing() {
            if record.held.is_some() || !matches!(cache.unusable(), Ok(None)) || wanted.secret && !cache.salt.is_some()
            {
                continue;
            }
            let pushed = give::push(cache, wanted, record, state, &|| self.processor(), stop);
            if let Err(error) = &pushed
                && unpack::is_of_the_store(error)
                && !stop()
            {
                // Whoever may not write may read all the same.
                let refused = error.downcast_ref::<StoreError>().is_some_and(StoreError::is_refusal);
                if refused {
                    self.warn(format!("{error:#}; nothing is written there"));
                }
            }
            all.push((cache.name().to_owned(), pushed));
        }
        all
    }

    /// Whether one that cannot be used ends the run.
    pub fn is_required(&self) -> bool {
        self.required
    }
}

/// Where an output of an entry is here. It was checked that the path stays below.
fn place(layout: &Layout, record: &Record, output: &Output) -> Utf8PathBuf {
    let out = layout.out(&record.stage, &record.fingerprint.id());
    let path = if output.path.as_str().is_empty() { out } else { out.join(&output.path) };
    path.strip_prefix(layout.root()).map(Utf8Path::to_owned).unwrap_or(path)
}

impl Hit {
    /// The record of this state directory for it, whose outputs are held.
    pub fn record(&self, wanted: &Wanted, pipeline: &str, inputs: &[InputRecord], layout: &Layout) -> Record {
        let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
        let facts = self.entry.facts.iter().map(|fact| Fact {
            name: plain(&fact.name),
            unit: plain(&fact.unit),
            ..fact.clone()
        });
        let mut record = Record {
            stage: wanted.stage.clone(),
            pipeline: pipeline.into(),
            run: RunId::from("cache"),
            fingerprint: wanted.parts.clone(),
            made_in: layout.root().to_owned(),
            outcome: RecordOutcome::Done,
            outputs: BTreeMap::new(),
            inputs: inputs.to_vec(),
            finished: self.entry.finished,
            duration: self.entry.duration,
            facts: facts.collect(),
            held: Some(self.held.clone()),
        };
        let outputs = self.entry.outputs.iter().map(|(name, output)| {
            let found = OutputRecord {
                path: place(layout, &record, output),
                hash: output.manifest.clone(),
                bytes: output.bytes,
                files: output.files,
                portable: output.portable,
                show: output.show,
            };
            (name.clone(), found)
        });
        record.outputs = outputs.collect();
        record
    }
}
