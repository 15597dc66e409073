//! The hash of all that determines a stage's outputs, kept in named parts so that a difference can be explained.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What determines a stage's outputs: names of parts, and the hash or the short text of each.
///
/// Where only `sources` differ, the stage's build directory is kept and the build tool goes on incrementally. Where
/// `configuration` differs it is wiped first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    pub configuration: BTreeMap<String, String>,
    pub sources: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Names the record: the hash of all parts, in hexadecimal.
    pub fn id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        add(&mut hasher, &self.configuration);
        add(&mut hasher, &self.sources);
        hasher.finalize().to_hex().to_string()
    }

    /// The hash of the configuration alone.
    pub fn configuration_id(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        add(&mut hasher, &self.configuration);
        hasher.finalize().to_hex().to_string()
    }
}

/// Lengths before texts, so that no two different maps are the same bytes.
fn add(hasher: &mut blake3::Hasher, parts: &BTreeMap<String, String>) {
    hasher.update(&(parts.len() as u64).to_le_bytes());
    for text in parts.iter().flat_map(|(name, value)| [name, value]) {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
}
