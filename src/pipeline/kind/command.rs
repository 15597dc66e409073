//! Keys of `kind = "command"`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{self, Words};
use super::super::{OrVar, Text};

/// Runs any program.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Command {
    /// The command: an array of words, or a string that is split into words without a shell. A first word that is the name
    /// of a tool in `[tools]` is that tool.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub shell: bool,
    /// Where it runs. Default: `${self.build}`.
    pub cwd: Option<Text>,
    /// What it makes: a name and a path in `${self.out}`, or a path below `${self.build}`, from where it is captured. `out`, all
    /// of `${self.out}`, is always there.
    #[serde(default)]
    pub outputs: BTreeMap<String, Text>,
    /// Names of outputs that are text files whose content is printed with the summary of a run.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub show: Vec<String>,
}

impl Command {
    pub(super) fn output_names(&self) -> Vec<String> {
        std::iter::once("out".to_string()).chain(self.outputs.keys().cloned()).collect()
    }
}
