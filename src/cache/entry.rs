//! A record as it lies in a cache: what it says, who has signed it, and when it is believed.
//!
//! It is a text of its own and not the record of a state directory, which has parts of a fingerprint in clear, and paths. Nothing of it
//! is taken for what was asked: name, scope, stage and outputs must be those that were asked for. Unaware of stores.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::platform::Platform;
use super::share::{Expected, Wanted};
use super::sign::{SigningKey, TrustedKey};
use crate::event::Fact;
use crate::fs::pattern;

/// Of this text. A cache that is written by a newer program has records of another number.
pub const FORMAT: u32 = 1;

/// More than so many bytes is no record.
pub const LARGEST: u64 = 4 << 20;

/// What is said of a finished stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub format: u32,
    pub key: String,
    pub scope: String,
    /// The id alone.
    pub fingerprint: String,
    pub stage: String,
    pub kind: String,
    /// The version that wrote it.
    pub optbuild: String,
    /// Where it was made.
    pub platform: Platform,
    /// It lies under the key of other places, where only hashes of its outputs are of use.
    pub elsewhere: bool,
    pub outputs: BTreeMap<String, Output>,
    /// Names the list of the objects in which the files are.
    pub objects: String,
    /// Bytes of those objects, compressed.
    pub stored: u64,
    pub facts: Vec<Fact>,
    /// Seconds.
    pub duration: f64,
    pub finished: Timestamp,
    /// Tags of the parts of the fingerprint.
    pub parts: BTreeMap<String, String>,
}

/// An output of a finished stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// Below the directory of all outputs.
    pub path: Utf8PathBuf,
    /// Names its manifest, and says what it is.
    pub manifest: String,
    pub bytes: u64,
    pub files: u64,
    pub portable: bool,
    pub show: bool,
}

/// What lies under a key: the text that is signed, and the signature.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Envelope {
    record: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
}

/// Whom a cache is believed.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    pub keys: Vec<TrustedKey>,
    /// Records that nobody has signed count as well.
    pub unsigned: bool,
}

/// Why a record is not used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    #[error("it is damaged: {0}")]
    Damaged(String),
    #[error("nobody has signed it; `allow-unsigned = true`, or `--cache-unsigned`, believes such records")]
    Unsigned,
    #[error("no key of `trusted-keys` has signed it")]
    Untrusted,
    #[error("it was written by a newer optbuild (format {0})")]
    Newer(u64),
    #[error("it says another {0} than that which was asked for")]
    Other(&'static str),
}

/// What is signed besides the text: a signature of one place is of no use at another.
fn comment(key: &str, scope: &str) -> String {
    format!("optbuild record {key} scope={scope}")
}

/// The bytes that lie in a cache.
///
/// # Errors
/// The system gives no random numbers.
pub fn seal(entry: &Entry, signer: Option<&SigningKey>) -> Result<Vec<u8>> {
    let record = serde_json::to_string(entry).context("a record cannot be written")?;
    let sign = |signer: &SigningKey| signer.sign(record.as_bytes(), &comment(&entry.key, &entry.scope));
    let signature = signer.map(sign).transpose()?;
    serde_json::to_vec(&Envelope { record, signature }).context("a record cannot be written")
}

/// What the bytes under a key say, if they are believed.
///
/// # Errors
/// They are not.
pub fn open(bytes: &[u8], key: &str, scope: &str, trust: &Trust) -> Result<Entry, Distrust> {
    let damaged = |error: serde_json::Error| Distrust::Damaged(error.to_string());
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(damaged)?;
    // Before anything of it is used.
    let comment = comment(key, scope);
    let signed = |signature: &String| {
        trust
            .keys
            .iter()
            .any(|trusted| trusted.verify(envelope.record.as_bytes(), signature).is_ok_and(|c| c == comment))
    };
    match &envelope.signature {
        Some(signature) if signed(signature) => {}
        _ if trust.unsigned => {}
        Some(_) => return Err(Distrust::Untrusted),
        None => return Err(Distrust::Unsigned),
    }
    let value: serde_json::Value = serde_json::from_str(&envelope.record).map_err(damaged)?;
    match value.get("format").and_then(serde_json::Value::as_u64) {
        Some(format) if format > u64::from(FORMAT) => return Err(Distrust::Newer(format)),
        _ => {}
    }
    let entry: Entry = serde_json::from_value(value).map_err(damaged)?;
    let same = [
        ("format", entry.format == FORMAT),
        ("key", entry.key == key),
        ("scope", entry.scope == scope),
        ("time", entry.duration.is_finite() && entry.duration >= 0.0),
        // They become parts of paths.
        ("sort of hash", is_hash(&entry.objects) && entry.outputs.values().all(|output| is_hash(&output.manifest))),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(Distrust::Other(what)),
        None => Ok(entry),
    }
}

impl Entry {
    /// Whether it is what was asked for.
    ///
    /// # Errors
    /// In what it differs.
    pub fn answers(&self, wanted: &Wanted, platform: &Platform) -> Result<(), Distrust> {
        let outputs = self.outputs.len() == wanted.outputs.len()
            && wanted
                .outputs
                .iter()
                .all(|expected| self.outputs.get(&expected.name).is_some_and(|output| output.is(expected)));
        let same = [
            ("fingerprint", *self.fingerprint == *wanted.fingerprint),
            ("stage", *self.stage == *wanted.stage),
            ("kind", self.kind == wanted.kind),
            ("platform", self.platform == *platform),
            ("set of outputs", outputs),
        ];
        match same.iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(Distrust::Other(what)),
            None => Ok(()),
        }
    }
}

impl Output {
    /// A path is never taken from a record, but for the part of a name that is a hash of its content.
    fn is(&self, expected: &Expected) -> bool {
        let path = if pattern::is_pattern(&expected.path) {
            let name = self.path.file_name().zip(expected.path.file_name());
            self.path.parent() == expected.path.parent()
                && name.is_some_and(|(name, pattern)| pattern::matches(pattern, name) && !name.contains(['*', '\0']))
        } else {
            self.path == expected.path
        };
        path && self.portable == expected.portable && self.show == expected.show
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
