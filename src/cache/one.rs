//! One cache: its settings, its store, whom it is believed, and how records are found in it.
//!
//! Unaware of other caches, and of the files of outputs.

use std::sync::{Arc, Mutex, OnceLock};

use super::config::{Mode, Settings};
use super::directory::Directory;
use super::entry::{self, Distrust, Entry, Trust};
use super::key::{self, Good, Salt};
use super::platform::{self, Platform};
use super::share::Wanted;
use super::sign::SigningKey;
use super::{Store, StoreError, read_whole};
use crate::facts::Facts;
use crate::sync::lock;

/// At the top of a cache: what it is.
pub const MARKER: &str = "optbuild-cache";
pub const MARKER_TEXT: &str = "{\"format\":1,\"hash\":\"blake3\"}\n";

/// How many records are looked at to find the nearest one.
const NEAREST: usize = 8;

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
    /// Its marker was looked at, and this program knows its format.
    opened: OnceLock<()>,
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

    /// Does without it from here on. Whether that is news.
    pub fn give_up(&self, why: &str) -> bool {
        lock(&self.dead).replace(why.to_owned()).is_none()
    }

    /// Whether nothing is known against it.
    pub fn is_used(&self) -> bool {
        lock(&self.dead).is_none()
    }

    /// Who signs what is written.
    pub fn signer(&self) -> Option<&SigningKey> {
        self.signer.as_deref()
    }

    /// Why it is not used any more; none while it is. Looks at the marker first.
    ///
    /// # Errors
    /// The store cannot be reached, or what is there is not for this program.
    pub fn unusable(&self) -> Result<Option<String>, StoreError> {
        if let Some(why) = lock(&self.dead).clone() {
            return Ok(Some(why));
        }
        if self.opened.get().is_some() {
            return Ok(None);
        }
        let marker = read_whole(&*self.store, MARKER, 4096)?;
        let format = marker.map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).ok());
        let what = match format.map(|marker| marker?.get("format")?.as_u64()) {
            // Nothing was ever written there.
            None | Some(Some(1)) => {
                self.opened.get_or_init(|| ());
                return Ok(None);
            }
            Some(Some(format)) => format!("it was written by a newer optbuild (format {format})"),
            Some(None) => "it is damaged".into(),
        };
        let cause = std::io::Error::other(what);
        Err(StoreError { action: "use", name: MARKER.into(), place: self.store.place(), cause })
    }

    /// The platform, with the processor where a stage is built for it.
    pub fn platform_of(&self, wanted: &Wanted, processor: &dyn Fn() -> String) -> Result<Platform, String> {
        let mut platform = self.platform.clone()?;
        if wanted.native && self.settings.platform != platform::Alike::None {
            platform.insert("processor".into(), processor());
        }
        Ok(platform)
    }

    /// The keys under which a stage may lie, and whether what lies there is good at other places only.
    pub fn keys(&self, wanted: &Wanted, platform: &Platform) -> Vec<(String, bool)> {
        let key = |good| key::key(&self.salt, &wanted.fingerprint, platform, good);
        match &wanted.place {
            None => vec![(key(Good::Everywhere), false)],
            Some(place) => vec![(key(Good::At(place)), false), (key(Good::Elsewhere), true)],
        }
    }

    /// The record that is believed, else what is wrong with the one that is there.
    pub fn read(&self, key: &str, scope: &str) -> Result<Option<Result<Entry, Distrust>>, StoreError> {
        let bytes = read_whole(&*self.store, &record_name(scope, key), entry::LARGEST)?;
        Ok(bytes.map(|bytes| entry::open(&bytes, key, scope, &self.trust)))
    }

    /// Of all records of the stage the one that differs least, as a sentence.
    ///
    /// # Errors
    /// The store cannot be reached.
    pub fn nearest(&self, wanted: &Wanted, platform: &Platform) -> Result<Option<String>, StoreError> {
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
                    best =
                        Some((differing.len(), format!("the nearest one, of {made} UTC, differs in: {listed}{more}")));
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
