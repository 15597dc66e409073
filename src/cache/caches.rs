//! All caches that a run uses: asked for a stage, one after the other; fetched from; and given what was made here.
//!
//! | what always holds | by |
//! |---|---|
//! | a record is put there last | [`Caches::push`] |
//! | outputs are put in place as a whole, after every byte was checked | [`Caches::fetch`] renames a directory |
//! | a cache that cannot be reached costs time once, and fails nothing unless it is required | [`Cache::fail`] |
//! | what was found wrong in a cache is not asked for again in this run | [`Caches::avoid`] |
//!
//! Unaware of what a run does with the answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;

use super::config::{self, BadConfig, CacheArgs, Mode, Settings};
use super::directory::Directory;
use super::entry::{self, Distrust, Entry, FORMAT, Output, Trust};
use super::key::{self, Good, Salt};
use super::objects::{Damaged, Moved, Sender};
use super::platform::{self, Platform};
use super::share::{self, Wanted};
use super::sign::SigningKey;
use super::{Body, Put, Store, StoreError, When, read_whole, unpack};
use crate::event::Fact;
use crate::facts::Facts;
use crate::fs::disk::{self, At as _, DiskError};
use crate::names::{FingerprintId, RunId};
use crate::state::layout::Layout;
use crate::state::manifest::{Manifest, Times};
use crate::state::record::{Held, InputRecord, OutputRecord, Record, RecordOutcome};
use crate::state::store::State;
use crate::sync::lock;

/// At the top of a cache: what it is.
pub const MARKER: &str = "optbuild-cache";
const MARKER_TEXT: &str = "{\"format\":1,\"hash\":\"blake3\"}\n";

/// The name of the cache that `optbuild cache import` fills.
pub const IMPORTED: &str = "imported";
/// The scope of what is carried in a file.
pub const CARRIED: &str = "carried";

/// How many records are looked at to find the nearest one.
const NEAREST: usize = 8;

/// The run was told not to do without caches, and has to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; without `--cache-required` the run would go on without it")]
pub struct Required(pub String);

/// One cache.
pub struct Cache {
    pub settings: Settings,
    pub store: Box<dyn Store>,
    pub trust: Trust,
    pub salt: Salt,
    signer: Option<Arc<SigningKey>>,
    /// Of this machine, or why that is not to be known.
    pub platform: Result<Platform, String>,
    /// Why it is not used any more.
    dead: Mutex<Option<String>>,
    /// Whether its marker was looked at, and whether this program knows its format.
    opened: OnceLock<Option<String>>,
}

/// The caches of a run.
pub struct Caches {
    pub caches: Vec<Cache>,
    processor: OnceLock<String>,
    cpuinfo: Facts,
    required: bool,
    answers: Mutex<BTreeMap<FingerprintId, Arc<Answer>>>,
    avoided: Mutex<BTreeMap<FingerprintId, String>>,
    warnings: Mutex<Vec<String>>,
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

/// What became of a stage that was made here.
#[derive(Debug)]
pub enum Pushed {
    Written(Moved),
    /// It was there already; with the same outputs, or others.
    Exists { same: bool },
}

/// Caches that are opened when they are asked for the first time: a run that has nothing to do asks for none.
#[derive(Default)]
pub struct Lazy {
    request: Option<Request>,
    opened: OnceLock<Result<Option<Arc<Caches>>, BadConfig>>,
}

/// Where to look for what is said of caches.
#[derive(Debug, Clone, Default)]
pub struct Request {
    pub args: CacheArgs,
    pub cwd: Utf8PathBuf,
    /// The pipeline's directory.
    pub pipeline: Option<Utf8PathBuf>,
    pub state: Utf8PathBuf,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Request {
    /// Calls `with` with the places in which something is said of caches.
    pub fn sources<T>(&self, with: impl FnOnce(&config::Sources<'_>) -> T) -> T {
        let user = config::user_directory(&env);
        with(&config::Sources {
            args: &self.args,
            cwd: &self.cwd,
            pipeline: self.pipeline.as_deref(),
            user: user.as_deref(),
            env: &env,
        })
    }

    /// Opens the caches, and what was imported. None: there is none.
    fn open(&self, facts: &Facts) -> Result<Option<Caches>, BadConfig> {
        let (mut all, signer) = self.sources(|sources| Ok((config::caches(sources)?, config::signing_key(sources)?)))?;
        if self.args.cache_required && all.is_empty() {
            return Err(BadConfig("`--cache-required` without a cache: `--cache NAME|URL` names one".into()));
        }
        let imported = Layout::new(&self.state).imported();
        if self.args.cache_mode != Some(Mode::Off) && imported.exists() {
            all.insert(0, carried(imported));
        }
        if all.is_empty() {
            return Ok(None);
        }
        let signer = signer.map(Arc::new);
        let caches = all.into_iter().map(|settings| Cache::new(settings, signer.clone(), facts)).collect();
        Ok(Some(Caches::new(caches, self.args.cache_required)))
    }
}

/// A directory that came out of a file: whoever imported it trusts it.
pub fn carried(place: Utf8PathBuf) -> Settings {
    Settings {
        name: IMPORTED.into(),
        place,
        mode: Mode::Read,
        scope: CARRIED.into(),
        read_scopes: vec![CARRIED.into()],
        trusted_keys: Vec::new(),
        allow_unsigned: true,
        platform: platform::Alike::Os,
        compression: 3,
        upload_timeout: Duration::from_secs(600),
        max_bytes_per_stage: u64::MAX,
        salt: None,
    }
}

impl Lazy {
    /// No cache is ever asked.
    pub fn none() -> Lazy {
        Lazy::default()
    }

    pub fn new(request: Request) -> Lazy {
        Lazy { request: Some(request), opened: OnceLock::new() }
    }

    /// The caches, if they were asked for.
    pub fn opened(&self) -> Option<Arc<Caches>> {
        self.opened.get()?.as_ref().ok()?.clone()
    }

    /// Whether there may be caches.
    pub fn is_asked(&self) -> bool {
        self.request.is_some()
    }

    /// # Errors
    /// What is said of caches cannot be meant.
    pub fn get(&self, facts: &Facts) -> Result<Option<Arc<Caches>>, BadConfig> {
        let Some(request) = &self.request else { return Ok(None) };
        self.opened.get_or_init(|| Ok(request.open(facts)?.map(Arc::new))).clone()
    }
}

impl Cache {
    /// `signer`: whose records are believed as well, and who signs what is written.
    pub fn new(settings: Settings, signer: Option<Arc<SigningKey>>, facts: &Facts) -> Cache {
        let store = Box::new(Directory::new(&settings.place));
        let platform = platform::of(settings.platform, facts);
        Cache::of(settings, store, signer, platform)
    }

    /// The same with another store.
    pub fn of(
        settings: Settings,
        store: Box<dyn Store>,
        signer: Option<Arc<SigningKey>>,
        platform: Result<Platform, String>,
    ) -> Cache {
        let mut keys = settings.trusted_keys.clone();
        keys.extend(signer.iter().map(|signer| signer.public().clone()));
        Cache {
            trust: Trust { keys, unsigned: settings.allow_unsigned },
            salt: Salt::new(settings.salt.as_deref()),
            settings,
            store,
            signer,
            platform,
            dead: Mutex::default(),
            opened: OnceLock::new(),
        }
    }

    pub fn name(&self) -> &str {
        &self.settings.name
    }

    pub fn writes(&self) -> bool {
        self.settings.mode == Mode::ReadWrite
    }

    /// Whether what is written is signed.
    pub fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// Why it cannot be used. Looks at the marker once.
    fn unusable(&self) -> Result<Option<String>, StoreError> {
        if let Some(why) = lock(&self.dead).clone() {
            return Ok(Some(why));
        }
        if let Some(known) = self.opened.get() {
            return Ok(known.clone());
        }
        let marker = read_whole(&*self.store, MARKER, 4096)?;
        let format = marker.map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
        let why = match format.map(|marker| marker?.get("format")?.as_u64()) {
            // Nothing was ever written there.
            None | Some(Some(1)) => None,
            Some(Some(format)) => Some(format!("it was written by a newer optbuild (format {format})")),
            Some(None) => Some(format!("its file `{MARKER}` is damaged")),
        };
        Ok(self.opened.get_or_init(|| why).clone())
    }

    /// The platform, with the processor where a stage is built for it.
    fn platform_of(&self, wanted: &Wanted, processor: &dyn Fn() -> String) -> Result<Platform, String> {
        let mut platform = self.platform.clone()?;
        if wanted.native && self.settings.platform != platform::Alike::None {
            platform.insert("processor".into(), processor());
        }
        Ok(platform)
    }

    /// The keys under which a stage may lie, and whether what lies there is good at other places only.
    fn keys(&self, wanted: &Wanted, platform: &Platform) -> Vec<(String, bool)> {
        let key = |good| key::key(&self.salt, &wanted.fingerprint, platform, good);
        match &wanted.place {
            None => vec![(key(Good::Everywhere), false)],
            Some(place) => vec![(key(Good::At(place)), false), (key(Good::Elsewhere), true)],
        }
    }

    /// The record that is believed, else what is wrong with the one that is there.
    fn read(&self, key: &str, scope: &str) -> Result<Option<Result<Entry, Distrust>>, StoreError> {
        let bytes = read_whole(&*self.store, &record_name(scope, key), entry::LARGEST)?;
        Ok(bytes.map(|bytes| entry::open(&bytes, key, scope, &self.trust)))
    }

    /// Of all records of the stage the one that differs least, as a sentence.
    ///
    /// # Errors
    /// The store cannot be reached.
    fn nearest(&self, wanted: &Wanted, platform: &Platform) -> Result<Option<String>, StoreError> {
        if !self.store.can().list {
            return Ok(None);
        }
        let stage = key::stage(&self.salt, &wanted.stage, &wanted.kind);
        let mut best: Option<(usize, String)> = None;
        for scope in &self.settings.read_scopes {
            let mut known = self.store.list(&format!("{}stages/{stage}/", scope_top(scope)))?;
            known.sort_by_key(|meta| std::cmp::Reverse(meta.written));
            for meta in known.iter().take(NEAREST) {
                let Some(key) = meta.name.rsplit('/').next() else { continue };
                let Some(Ok(entry)) = self.read(key, scope)? else { continue };
                let mut differing = platform::differences(&entry.platform, platform);
                if *entry.fingerprint != *wanted.fingerprint {
                    differing.extend(key::differing(&self.salt, &wanted.parts, &entry.parts));
                }
                if differing.is_empty() {
                    continue;
                }
                if best.as_ref().is_none_or(|(fewest, _)| differing.len() < *fewest) {
                    let made = entry.finished.strftime("%Y-%m-%d %H:%M");
                    let more = differing.len().saturating_sub(4);
                    let listed = differing[..differing.len() - more].join(", ");
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    best = Some((differing.len(), format!("the nearest one, of {made} UTC, differs in: {listed}{more}")));
                }
            }
        }
        Ok(best.map(|(_, sentence)| sentence))
    }
}

/// What begins the names of all objects of a scope.
pub fn scope_top(scope: &str) -> String {
    format!("v1/scopes/{scope}/")
}

/// The name of a record.
pub fn record_name(scope: &str, key: &str) -> String {
    format!("{}records/{key}", scope_top(scope))
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
            warnings: Mutex::default(),
        }
    }

    fn processor(&self) -> String {
        self.processor.get_or_init(|| platform::processor(&self.cpuinfo)).clone()
    }

    /// What went wrong since this was last asked, as sentences.
    pub fn take_warnings(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.warnings))
    }

    fn warn(&self, text: String) {
        let mut warnings = lock(&self.warnings);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Does without a cache from here on.
    fn fail(&self, cache: &Cache, error: &dyn std::fmt::Display) -> Result<(), Required> {
        let why = format!("cache `{}` is not used any more in this run: {error}", cache.name());
        let new = lock(&cache.dead).replace(why.clone()).is_none();
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
        self.find(held).is_some_and(|cache| lock(&cache.dead).is_none())
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
            if cache.opened.get().is_some_and(Option::is_some) {
                let cause = std::io::Error::other(why);
                return Err(StoreError { action: "use", name: MARKER.into(), place: cache.store.place(), cause });
            }
            return Ok(Err(why));
        }
        if wanted.secret && !cache.salt.is_some() {
            return Ok(Err("not shared: its fingerprint holds a secret, and the cache has no `salt`".into()));
        }
        let platform = match cache.platform_of(wanted, &|| self.processor()) {
            Ok(platform) => platform,
            Err(why) => return Ok(Err(why)),
        };
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
                        self.warn(format!("cache `{}`: `{record}` of stage `{}` is not used: {distrust}", cache.name(), wanted.stage));
                        return Ok(Err(format!("its record is not used: {distrust}")));
                    }
                }
            }
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
    pub fn fetch(&self, state: &State, record: &Record, stop: &(dyn Fn() -> bool + Sync)) -> Result<(Record, Moved), NotFetched> {
        let Some(held) = &record.held else { return Ok((record.clone(), Moved::default())) };
        if held.elsewhere {
            return Err(NotFetched::Gone("its outputs were made at another place, and work there only".into()));
        }
        let Some(cache) = self.find(held) else {
            return Err(NotFetched::Gone(format!("its outputs are in the cache `{}`, which is not used any more", held.cache)));
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
        self.warn(format!("cache `{}`: the outputs of stage `{}` cannot be used: {error:#}", cache.name(), record.stage));
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
            return Err(super::objects::Gone(record_name(&held.scope, &held.key)).into());
        };
        let entry = entry?;
        // It may be another record than the one that was believed before.
        let same = entry.outputs.len() == record.outputs.len()
            && *entry.fingerprint == *id
            && entry.outputs.iter().all(|(name, output)| record.outputs.get(name).is_some_and(|known| {
                known.hash == output.manifest && known.path == place(layout, record, output)
            }));
        if !same {
            return Err(Distrust::Other("set of outputs").into());
        }
        let out = layout.out(&record.stage, &id);
        let parent = out.parent().context("outputs lie in a directory")?;
        disk::make_dir(parent)?;
        let aside = tempfile::Builder::new().prefix(".tmp-cache-").tempdir_in(parent).at("write", parent)?;
        let tree = Utf8Path::from_path(aside.path()).context("the state directory is not UTF-8")?.join("tree");
        disk::make_dir(&tree)?;
        let (manifests, moved) = unpack::unpack(&*cache.store, &entry, cache.settings.max_bytes_per_stage, &tree, stop)?;
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
            if record.held.is_some() || cache.unusable().ok().flatten().is_some() || wanted.secret && !cache.salt.is_some() {
                continue;
            }
            let pushed = push(cache, wanted, record, state, &|| self.processor(), stop);
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
        let facts = self.entry.facts.iter().map(|fact| Fact { name: plain(&fact.name), unit: plain(&fact.unit), ..fact.clone() });
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

fn push(
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
        let manifest = state.manifest(&output.hash)?.with_context(|| format!("the manifest of output `{name}` is gone"))?;
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
    let mut sender = Sender { store, level: cache.settings.compression, scratch: layout.root(), stop, moved: Moved::default() };
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
        let bytes = entry::seal(&entry, cache.signer.as_deref())?;
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
    let list = match super::objects::list(store, &entry.objects) {
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
pub fn names(entry: &Entry, list: &super::objects::Objects) -> BTreeSet<String> {
    let manifests = entry.outputs.values().map(|output| super::objects::name("manifests", &output.manifest));
    let objects = list.objects.iter().map(super::objects::Object::name);
    manifests.chain(objects).chain([super::objects::name("lists", &entry.objects)]).collect()
}

/// That a disk error is one of the machine, for those who fetch.
impl From<DiskError> for NotFetched {
    fn from(error: DiskError) -> NotFetched {
        NotFetched::Machine(error.into())
    }
}
