//! Keys of `kind = "verify"`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{self, Words};
use super::super::{CommandLine, Text};

/// Runs commands that must succeed on the result.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Verify {
    /// What is run. At least one.
    pub tests: Vec<Test>,
}

/// One command that must succeed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Test {
    /// What it is called. With `for`, the values are added to it: `name[level=3]`.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The command: an array of words, or a string that is split into words without a shell.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    pub shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Where it runs. Default: an empty directory.
    pub cwd: Option<Text>,
    /// How long it may run. Default: the stage's.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Another command, usually the same on another build. Both must succeed and print the same.
    pub same_as: Option<CommandLine>,
    /// Runs the test once for every combination of values: `for = { level = ["0", "3"] }` and `${level}` in the command.
    // Expanded when the file is read; here so that the schema has it.
    #[serde(default, rename = "for")]
    pub matrix: BTreeMap<String, Vec<Text>>,
    /// Templates that it is laid on, as a stage can be.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<crate::pipeline::schema::OneOrMore>")]
    pub like: Vec<String>,
}

impl Verify {
    /// What the tests printed, one file each.
    pub(super) fn output_names(&self) -> Vec<String> {
        vec!["out".into()]
    }
}
