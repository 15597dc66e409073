//! Keys of `kind = "bolt"`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{OrVar, Text};

/// Rewrites a linked executable or shared library with llvm-bolt.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bolt {
    /// `instrument` makes a file that writes BOLT profiles; `optimize` makes the optimised one.
    pub action: Action,
    /// The executable or shared library, linked with relocations and not stripped. Never written to.
    pub input: Text,
    /// A directory that holds `input`. A copy of it, in which only that file is replaced, is the output `out`: a toolchain
    /// whose program finds the rewritten library. Without it `out` holds the file alone.
    pub within: Option<Text>,
    /// For `optimize`: the merged profile, usually `${gather.profile}`.
    pub profile: Option<Text>,
    /// llvm-bolt's options, in place of the default set for the action.
    pub options: Option<Vec<Text>>,
    /// Options on top of the default set.
    #[serde(default)]
    pub extra_options: Vec<Text>,
    /// For `optimize`: leaves as many symbols and as much debug information in the result as this file, or directory of the same
    /// layout as `within`, has: usually what a plain build makes, whose `strip` had to wait until BOLT was done.
    pub strip_like: Option<Text>,
    /// For `instrument`: how many instrumented copies are made, each with a profile path of its own, because the path is
    /// compiled in. A gather stage runs that many workloads at once, at most. Default: 1.
    #[schemars(with = "Option<OrVar<u32>>")]
    pub slots: Option<u32>,
}

/// What llvm-bolt is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    Instrument,
    Optimize,
}

impl Bolt {
    pub(super) fn output_names(&self) -> Vec<String> {
        let mut names = vec!["out".into(), "file".into()];
        // All instrumented copies; gather stages refer to it.
        names.extend((self.action == Action::Instrument).then(|| "slots".into()));
        names
    }
}
