//! Keys of `kind = "compare"`.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{self, Words};
use super::super::{OrVar, Text};
use crate::compare::request::Counter;
use crate::compare::rustc_perf::Profile;

/// Measures two builds against each other: instructions, times, memory, size. Nothing else runs meanwhile. Its output `table`
/// is printed with the summary of a run; `json` and `markdown` are the same for programs and for pull requests. Both sides must
/// print the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Compare {
    /// What is compared with: a program, or a toolchain (a directory with `bin/rustc`).
    pub base: Text,
    /// What is compared.
    pub candidate: Text,
    /// Environment of the base alone: where a program finds its own library.
    #[serde(default)]
    pub base_env: BTreeMap<String, Text>,
    /// Environment of the candidate alone.
    #[serde(default)]
    pub candidate_env: BTreeMap<String, Text>,
    /// What is run on both. At least one, unless there is `rustc-perf`.
    #[serde(default)]
    pub workloads: Vec<MeasuredWorkload>,
    /// A checkout of rustc-perf, with whose crates two toolchains are measured.
    pub rustc_perf: Option<Text>,
    /// Which of its crates, by their whole names; `NAME-*` is the one of the highest version. Default: three small ones.
    #[serde(default)]
    pub crates: Vec<Text>,
    /// The cargo that builds the crates, on both sides. Default: the one in PATH.
    pub cargo: Option<Text>,
    /// Settings for cargo where the crates are built (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
    /// How its crates are built. Default: `["Check", "Opt"]`.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Further files whose sizes are compared, by a name.
    #[serde(default)]
    pub sizes: BTreeMap<String, SizePair>,
    /// What measuring may take in all, as `30s` or `10m`. Default: `10m`.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub budget: Option<Duration>,
    /// How instructions are counted. Default: `auto`.
    #[serde(default)]
    pub counter: Counter,
    /// At most so many runs of a workload on each side. Default: 100.
    #[schemars(with = "Option<OrVar<u32>>")]
    pub rounds: Option<u32>,
    /// Fails when a workload is significantly worse by more than this, as `1%` of the instructions (or of the wall time where
    /// they are not counted), or of another metric: `wall-time=5%`; or when too little was measured to know it. Default: never.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub fail_above: Vec<String>,
    /// Does not check that both sides print the same.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub ignore_output: bool,
    /// A workload may exit with another status than 0, if it does so on both sides.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub allow_failure: bool,
}

/// One command that is run on both sides in turns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MeasuredWorkload {
    /// What it is called. With `for`, the values are added to it: `name[level=3]`.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The command: an array of words, or a string that is split into words without a shell. `{program}` stands for the program
    /// of a side; of a toolchain, for its rustc.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`, and the shell is measured too.
    #[serde(default)]
    pub shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Where it runs. Default: an empty directory.
    pub cwd: Option<Text>,
    /// Runs the workload once for every combination of values: `for = { level = ["0", "3"] }` and `${level}` in the command.
    // Expanded when the file is read; here so that the schema has it.
    #[serde(default, rename = "for")]
    pub matrix: BTreeMap<String, Vec<Text>>,
    /// Templates that it is laid on, as a stage can be.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<crate::pipeline::schema::OneOrMore>")]
    pub like: Vec<String>,
}

/// The same file of both sides.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SizePair {
    /// The base's file.
    pub base: Text,
    /// The candidate's.
    pub candidate: Text,
}

impl Compare {
    pub(super) fn output_names(&self) -> Vec<String> {
        ["out", "table", "json", "markdown"].map(String::from).to_vec()
    }
}
