//! Which caches there are: `optbuild.toml` beside the pipeline, the user's `config.toml`, the environment, the command line. What stands
//! later wins.
//!
//! A file beside a pipeline comes with its repository: it names places, scopes and keys that are believed, never a secret. Opens
//! nothing. Unaware of what is kept in a cache.

use std::time::Duration;

use bytesize::ByteSize;
use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::platform::Alike;
use super::sign::{SigningKey, TrustedKey};

/// Beside a pipeline.
pub const FILE: &str = "optbuild.toml";

/// Names or URLs of caches, with commas between them.
pub const CACHE: &str = "OPTBUILD_CACHE";
pub const MODE: &str = "OPTBUILD_CACHE_MODE";
/// A secret key, or the path of a file that has it.
pub const SIGNING_KEY: &str = "OPTBUILD_SIGNING_KEY";
pub const SALT: &str = "OPTBUILD_CACHE_SALT";

/// A file, a variable or a flag says something that cannot be meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadConfig(pub String);

/// What is done with a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    Off,
    #[default]
    Read,
    ReadWrite,
}

/// What the command line says of caches.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Shared caches")]
pub struct CacheArgs {
    /// Use this cache: its name in `optbuild.toml`, or a directory, as `file:/srv/cache`; may be given more than once
    #[arg(long, value_name = "NAME|URL")]
    pub cache: Vec<String>,
    /// What is done with caches [default: as `optbuild.toml` says, else read]
    #[arg(long, value_enum, value_name = "MODE")]
    pub cache_mode: Option<Mode>,
    /// Fail, with exit code 3, if a cache cannot be used
    #[arg(long)]
    pub cache_required: bool,
    /// Believe what nobody has signed: of caches that only people can write whom you trust
    #[arg(long)]
    pub cache_unsigned: bool,
}

/// A cache, as it is to be used.
#[derive(Clone)]
pub struct Settings {
    pub name: String,
    /// A directory.
    pub place: Utf8PathBuf,
    pub mode: Mode,
    /// What is written.
    pub scope: String,
    /// What is read, in this order.
    pub read_scopes: Vec<String>,
    pub trusted_keys: Vec<TrustedKey>,
    pub allow_unsigned: bool,
    pub platform: Alike,
    pub compression: i32,
    pub upload_timeout: Duration,
    pub max_bytes_per_stage: u64,
    pub salt: Option<String>,
}

/// `[cache.NAME]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Table {
    url: Option<String>,
    mode: Option<Mode>,
    scope: Option<String>,
    read_scopes: Option<Vec<String>>,
    trusted_keys: Option<Vec<String>>,
    allow_unsigned: Option<bool>,
    platform: Option<Alike>,
    compression: Option<i32>,
    upload_timeout: Option<String>,
    max_bytes_per_stage: Option<ByteSize>,
    salt: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    cache: IndexMap<String, Table>,
}

/// Where this process finds what is said of caches.
pub struct Sources<'a> {
    pub args: &'a CacheArgs,
    pub cwd: &'a Utf8Path,
    /// The directory of the pipeline.
    pub pipeline: Option<&'a Utf8Path>,
    /// Of the user's settings: `~/.config/optbuild`.
    pub user: Option<&'a Utf8Path>,
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// The directory of the user's settings.
pub fn user_directory(env: &dyn Fn(&str) -> Option<String>) -> Option<Utf8PathBuf> {
    let dir = |name: &str| env(name).map(Utf8PathBuf::from).filter(|dir| dir.is_absolute());
    Some(dir("XDG_CONFIG_HOME").or_else(|| Some(dir("HOME")?.join(".config")))?.join("optbuild"))
}

/// The key that this user signs with, if there is one.
///
/// # Errors
/// It cannot be read, or is none.
pub fn signing_key(sources: &Sources<'_>) -> Result<Option<SigningKey>, BadConfig> {
    let file = sources.user.map(|user| user.join(KEY_FILE)).filter(|file| file.exists());
    let (text, from) = match ((sources.env)(SIGNING_KEY).filter(|text| !text.is_empty()), file) {
        (Some(text), _) if text.starts_with(['/', '.', '~']) && !text.contains('\n') => {
            (read(&sources.cwd.join(&text))?, text)
        }
        (Some(text), _) => (text, SIGNING_KEY.into()),
        (None, Some(file)) => (read(&file)?, file.to_string()),
        (None, None) => return Ok(None),
    };
    SigningKey::parse(&text).map(Some).map_err(|error| BadConfig(format!("the signing key of {from}: {error:#}")))
}

/// In the directory of the user's settings.
pub const KEY_FILE: &str = "cache.key";

/// All caches that are to be used, in their order.
///
/// # Errors
/// What is said of them cannot be meant.
pub fn caches(sources: &Sources<'_>) -> Result<Vec<Settings>, BadConfig> {
    let args = sources.args;
    let mode = match (args.cache_mode, (sources.env)(MODE).filter(|mode| !mode.is_empty())) {
        (Some(mode), _) => Some(mode),
        (None, Some(text)) => Some(
            clap::ValueEnum::from_str(&text, false)
                .map_err(|_| BadConfig(format!("{MODE} is `{text}`; it can be off, read or read-write")))?,
        ),
        (None, None) => None,
    };
    if mode == Some(Mode::Off) {
        return Ok(Vec::new());
    }
    let mut tables: IndexMap<String, (Table, Utf8PathBuf)> = IndexMap::new();
    for (file, of_user) in
        [(sources.pipeline.map(|dir| dir.join(FILE)), false), (sources.user.map(|dir| dir.join("config.toml")), true)]
    {
        let Some(file) = file.filter(|file| file.exists()) else { continue };
        let read: File = toml::from_str(&read(&file)?).map_err(|error| BadConfig(format!("{file}: {error}")))?;
        for (name, table) in read.cache {
            if !of_user && table.salt.is_some() {
                return Err(BadConfig(format!(
                    "{file}: `salt` of cache `{name}` is a secret, and this file comes with the sources; set {SALT}, or \
                     write it to config.toml in your own settings"
                )));
            }
            let dir = file.parent().unwrap_or(sources.cwd).to_owned();
            let (known, place) = tables.entry(name).or_insert_with(|| (Table::default(), dir.clone()));
            if table.url.is_some() {
                *place = dir;
            }
            known.lay(table);
        }
    }
    let named: Vec<String> = match (args.cache.is_empty(), (sources.env)(CACHE)) {
        (false, _) => args.cache.clone(),
        (true, Some(text)) if !text.is_empty() => text.split(',').map(|name| name.trim().to_owned()).collect(),
        _ => tables.keys().cloned().collect(),
    };
    let known = tables.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let mut all = Vec::new();
    for name in named {
        let (table, dir) = match tables.get(&name) {
            Some((table, dir)) => (table.clone(), dir.clone()),
            None if name.contains(['/', ':']) || name == "." => {
                (Table { url: Some(name.clone()), ..Table::default() }, sources.cwd.to_owned())
            }
            None => {
                let known = if known.is_empty() { "none is configured".into() } else { format!("there is {known}") };
                return Err(BadConfig(format!(
                    "there is no cache `{name}` ({known}); a directory is written `file:{name}` or `./{name}`"
                )));
            }
        };
        let settings = table.settings(&name, &dir, sources, mode)?;
        all.extend(Some(settings).filter(|settings| settings.mode != Mode::Off));
    }
    Ok(all)
}

impl Table {
    /// What another file says wins.
    fn lay(&mut self, other: Table) {
        macro_rules! lay { ($($key:ident)*) => { $( if other.$key.is_some() { self.$key = other.$key; } )* } }
        lay!(url mode scope read_scopes trusted_keys allow_unsigned platform compression upload_timeout max_bytes_per_stage salt);
    }

    fn settings(
        self,
        name: &str,
        dir: &Utf8Path,
        sources: &Sources<'_>,
        mode: Option<Mode>,
    ) -> Result<Settings, BadConfig> {
        let bad = |what: String| BadConfig(format!("cache `{name}`: {what}"));
        let url = self.url.ok_or_else(|| bad("it has no `url`".into()))?;
        let scope = self.scope.unwrap_or_else(|| "main".into());
        let read_scopes = self.read_scopes.unwrap_or_else(|| vec![scope.clone()]);
        if let Some(wrong) = read_scopes.iter().chain([&scope]).find(|scope| !super::is_name(scope)) {
            return Err(bad(format!(
                "`{wrong}` cannot be a scope: letters, digits, `.`, `_`, `-`, and `/` between them"
            )));
        }
        let keys = self.trusted_keys.unwrap_or_default();
        let keys = keys.iter().map(|key| TrustedKey::parse(key)).collect::<Result<Vec<_>, _>>();
        let timeout = self.upload_timeout.as_deref().unwrap_or("10m");
        Ok(Settings {
            name: name.into(),
            place: directory(&url, dir).map_err(bad)?,
            mode: mode.or(self.mode).unwrap_or_default(),
            scope,
            read_scopes,
            trusted_keys: keys.map_err(|error| bad(format!("`trusted-keys`: {error:#}")))?,
            allow_unsigned: self.allow_unsigned.unwrap_or(false) || sources.args.cache_unsigned,
            platform: self.platform.unwrap_or_default(),
            compression: self.compression.unwrap_or(3).clamp(1, 19),
            upload_timeout: humantime::parse_duration(timeout)
                .map_err(|error| bad(format!("`upload-timeout = \"{timeout}\"`: {error}; it is written as \"10m\"")))?,
            max_bytes_per_stage: self.max_bytes_per_stage.map_or(20 << 30, |size| size.as_u64()),
            salt: (sources.env)(SALT).filter(|salt| !salt.is_empty()).or(self.salt),
        })
    }
}

/// The directory that a URL means.
fn directory(url: &str, relative_to: &Utf8Path) -> Result<Utf8PathBuf, String> {
    let path = match url.split_once(':') {
        Some(("file", path)) => path.strip_prefix("//").unwrap_or(path),
        Some((scheme, _)) if !scheme.contains('/') => {
            return Err(format!(
                "`{url}` is reached by a network, which this optbuild has no client for; a directory works: `file:/srv/cache`"
            ));
        }
        _ => url,
    };
    if path.is_empty() {
        return Err(format!("`{url}` names no directory; it is written as `file:/srv/cache`"));
    }
    Ok(relative_to.join(path))
}

fn read(file: &Utf8Path) -> Result<String, BadConfig> {
    std::fs::read_to_string(file).map_err(|error| BadConfig(format!("cannot read {file}: {error}")))
}
