//! What a checkout of rust takes: options and names of settings change between versions, and the checkout's own sources say which
//! ones it knows.

use camino::Utf8Path;

use crate::facts::Facts;

/// What was found in the sources of a checkout.
#[derive(Debug, Clone, Default)]
pub(super) struct Checkout {
    /// `stable`, `beta` or `nightly`: what `src/ci/channel` says.
    pub channel: Option<String>,
    /// There is a clone of git.
    pub git: bool,
}

impl Checkout {
    pub fn look(facts: &Facts, path: &Utf8Path) -> Checkout {
        let channel = facts.read(&path.join("src/ci/channel")).map(|text| text.trim().to_string());
        Checkout { channel, git: facts.exists(&path.join(".git")) }
    }
}
