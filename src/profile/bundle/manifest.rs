//! What a bundle says of its profiles.
//!
//! Plain data and the rules that it has to keep to. Unknown keys are passed over, so that a later optbuild can say more.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{BundleError, Limits};
use crate::profile::Format;
use crate::profile::gathered::Figures;

/// The name of the manifest in the archive.
pub const MANIFEST: &str = "manifest.json";

/// The format of the bundles that this program writes and reads.
pub const FORMAT: u64 = 1;

/// The first member of a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    pub format: u64,
    /// The version of the optbuild that wrote it.
    pub optbuild: String,
    /// The name of the pipeline.
    pub pipeline: String,
    /// Sorted by role.
    pub profiles: Vec<Entry>,
}

/// A profile in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    /// What it is for: `llvm-pgo`, `LLVM-bolt`.
    pub role: String,
    /// The gather stage that made it.
    pub stage: String,
    /// Its name in the archive.
    pub file: String,
    pub kind: Format,
    /// The indexed version of a `.profdata`: compilers read those up to their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Counts of a second instrumentation, after inlining, are in it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub context_sensitive: bool,
    pub bytes: u64,
    /// The hash of its content, BLAKE3, in hexadecimal.
    pub blake3: String,
    /// How much is in it, for whoever gathers the next one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
    /// What the instrumented build was built from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<Source>,
    /// The tools that made the instrumented build and the profile, with their versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tools: BTreeMap<String, String>,
    /// The instrumented files that were run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instrumented: Vec<Binary>,
    /// For BOLT: the file that was instrumented, the only one that the profile fits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<Binary>,
    /// The same profile in BOLT's other format, YAML, which has hashes of the code: llvm-bolt can match it with other code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matchable: Option<Member>,
}

/// A file in a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Member {
    /// Its name in the archive.
    pub file: String,
    pub bytes: u64,
    /// The hash of its content, BLAKE3, in hexadecimal.
    pub blake3: String,
}

/// A source tree or file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Source {
    /// The stage that read it, and how that stage's fingerprint calls it.
    pub stage: String,
    pub name: String,
    /// Of its files, as in fingerprints.
    pub hash: String,
    /// What `git describe` says of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
}

/// A linked file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Binary {
    /// Its name.
    pub file: String,
    /// The linker's build id, in hexadecimal; not every linker writes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build_id: Option<String>,
    /// The hash of its code: that of another build of the same code is the same.
    pub code: String,
}

/// Whether a word can be a role: it stands in file names and on command lines.
pub fn is_role(word: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_+.".contains(&byte);
    word.len() <= 100 && word.bytes().all(plain) && word.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
}

impl Entry {
    /// Its files, the profile first.
    pub fn members(&self) -> impl Iterator<Item = Member> {
        let profile = Member { file: self.file.clone(), bytes: self.bytes, blake3: self.blake3.clone() };
        std::iter::once(profile).chain(self.matchable.clone())
    }
}

impl Manifest {
    /// Reads a manifest, and checks that it makes sense by itself.
    pub(super) fn parse(bytes: &[u8], limits: &Limits) -> Result<Manifest, BundleError> {
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let bad = |error: serde_json::Error| BundleError::Manifest(error.to_string());
        let version: Version = serde_json::from_slice(bytes).map_err(bad)?;
        if version.format != FORMAT {
            return Err(BundleError::Newer(version.format));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(bad)?;
        manifest.check(limits)?;
        Ok(manifest)
    }

    fn check(&self, limits: &Limits) -> Result<(), BundleError> {
        let (mut roles, mut files) = (BTreeSet::new(), BTreeSet::new());
        for entry in &self.profiles {
            let role = &entry.role;
            if !is_role(role) {
                return Err(BundleError::Manifest(format!("`{role}` cannot be a role")));
            }
            if !roles.insert(role) {
                return Err(BundleError::Manifest(format!("the role `{role}` is in it twice")));
            }
            for Member { file, bytes, blake3 } in entry.members() {
                if !files.insert(file.clone()) || file == MANIFEST {
                    return Err(BundleError::Manifest(format!("the file `{file}` is in it twice")));
                }
                if blake3.len() != 64 || !blake3.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(BundleError::Manifest(format!("`{blake3}` is no hash")));
                }
                if bytes > limits.profile {
                    return Err(BundleError::TooLarge { what: format!("`{file}`"), bytes, limit: limits.profile });
                }
            }
        }
        Ok(())
    }
}
