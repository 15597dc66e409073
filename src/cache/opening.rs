//! Opens the caches that are configured and named, when they are asked for the first time; and what was imported.
//!
//! Unaware of what is asked.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use camino::Utf8PathBuf;

use super::caches::Caches;
use super::config::{self, BadConfig, CacheArgs, Mode, Settings};
use super::one::Cache;
use super::platform;
use crate::facts::Facts;
use crate::state::layout::Layout;

/// The name of the cache that `optbuild cache import` fills.
pub const IMPORTED: &str = "imported";
/// The scope of what is carried in a file.
pub const CARRIED: &str = "carried";

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
        let (mut all, signer) =
            self.sources(|sources| Ok((config::caches(sources)?, config::signing_key(sources)?)))?;
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
