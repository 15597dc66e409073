//! Under which name a record lies in a cache, and what is said of it there: never a part of a fingerprint in clear.
//!
//! | in the key | because |
//! |---|---|
//! | the id of the fingerprint | it is what was done |
//! | the platform | what a stage takes from the machine is in no fingerprint |
//! | the place, of what works only there | an instrumented library has a path compiled in |
//! | the site's salt, if it has one | who knows all other parts of a fingerprint could guess a weak secret in it |
//!
//! Unaware of stores and of stages.

use std::collections::{BTreeMap, BTreeSet};

use super::platform::Platform;
use crate::state::fingerprint::Fingerprint;

/// Raised when an older program would misunderstand what lies under a key.
const RECORD: &str = "optbuild record 1";

/// What keys and tags are derived with.
#[derive(Clone, Default)]
pub struct Salt(Option<[u8; 32]>);

impl Salt {
    pub fn new(text: Option<&str>) -> Salt {
        Salt(text.map(|text| blake3::derive_key("optbuild cache salt 1", text.as_bytes())))
    }

    /// Whether there is one: keys are then of no use to who does not know it.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }

    fn hash(&self, words: &[&str]) -> blake3::Hash {
        let mut hasher = self.0.as_ref().map_or_else(blake3::Hasher::new, blake3::Hasher::new_keyed);
        for word in words {
            hasher.update(&(word.len() as u64).to_le_bytes()).update(word.as_bytes());
        }
        hasher.finalize()
    }
}

/// Where what was made is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Good<'a> {
    Everywhere,
    /// Where these paths are the same.
    At(&'a str),
    /// At another place than here. Only the hashes of what was made are of use.
    Elsewhere,
}

/// The name of a record.
pub fn key(salt: &Salt, fingerprint: &str, platform: &Platform, good: Good<'_>) -> String {
    let mut words = vec![RECORD, fingerprint];
    words.extend(platform.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    match good {
        Good::Everywhere => {}
        Good::At(place) => words.extend(["place", place]),
        Good::Elsewhere => words.push("elsewhere"),
    }
    salt.hash(&words).to_hex().to_string()
}

/// The name under which all records of a stage are listed, whatever their fingerprints.
pub fn stage(salt: &Salt, stage: &str, kind: &str) -> String {
    salt.hash(&["optbuild stage 1", stage, kind]).to_hex()[..32].to_owned()
}

/// Tags of the parts of a fingerprint, by tags of their names. A tag of a value has 16 bits: enough to see that two differ, and far too
/// few to try whether a guess is right.
pub fn tags(salt: &Salt, fingerprint: &Fingerprint) -> BTreeMap<String, String> {
    parts(fingerprint).map(|(name, value)| (tag_of_name(salt, name), tag_of_value(salt, name, value))).collect()
}

/// The names of the parts in which a fingerprint differs from one whose tags are known.
pub fn differing(salt: &Salt, here: &Fingerprint, there: &BTreeMap<String, String>) -> Vec<String> {
    let mut known = BTreeSet::new();
    let mut differing = Vec::new();
    for (name, value) in parts(here) {
        let tag = tag_of_name(salt, name);
        match there.get(&tag) {
            Some(other) if *other == tag_of_value(salt, name, value) => {}
            Some(_) => differing.push(name.clone()),
            None => differing.push(format!("{name} (not there)")),
        }
        known.insert(tag);
    }
    match there.keys().filter(|tag| !known.contains(*tag)).count() {
        0 => {}
        1 => differing.push("a part that this build does not have".into()),
        more => differing.push(format!("{more} parts that this build does not have")),
    }
    differing
}

fn parts(fingerprint: &Fingerprint) -> impl Iterator<Item = (&String, &String)> {
    fingerprint.configuration.iter().chain(&fingerprint.sources)
}

fn tag_of_name(salt: &Salt, name: &str) -> String {
    salt.hash(&["optbuild part 1", name]).to_hex()[..8].to_owned()
}

fn tag_of_value(salt: &Salt, name: &str, value: &str) -> String {
    salt.hash(&["optbuild value 1", name, value]).to_hex()[..4].to_owned()
}
