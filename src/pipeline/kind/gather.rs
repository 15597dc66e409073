//! Keys of `kind = "gather"`.

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::value::{self, Words};
use super::super::{OrVar, Text};
use super::rustc_perf::Training;

/// Runs workloads on an instrumented build and merges the profiles that they write into one, the output `profile`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Gather {
    /// The instrumented build that the workloads run: an output of a stage with `pgo = "generate"`, or of a `bolt` stage with
    /// `action = "instrument"`. With `method = "sampling"`: the program or library that is sampled.
    pub instrumented: Text,
    /// How profiles come about. `instrumentation`: the build writes them. `sampling`: `perf record -j any,u` and `perf2bolt`.
    #[serde(default)]
    pub method: Method,
    /// The `llvm-profdata` to merge with: the name of a tool or a path. Default: the one that belongs to the compiler of the
    /// instrumented build.
    pub profdata: Option<Text>,
    /// How much disk raw profiles may take before they are merged, as `500 MB` or `8 GiB`. So much must be free when the stage
    /// begins; while it is reached, workloads are stopped until enough is merged. Not in the fingerprint. Default: 2 GiB.
    #[serde(default, deserialize_with = "value::size")]
    #[schemars(with = "Option<String>")]
    pub disk_budget: Option<ByteSize>,
    /// The share of damaged raw profiles (cut off, filled with zeros, of another format) above which the stage fails. Up to it they
    /// are set aside, with their reasons. Not in the fingerprint. Default: `1%`.
    #[serde(default, deserialize_with = "value::percent")]
    #[schemars(with = "Option<String>")]
    pub max_damaged: Option<f64>,
    /// What the profile is for, as bundles of profiles call it: `llvm-pgo`, `LLVM-bolt`. Not in the fingerprint. Default: the
    /// stage's name.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub role: Option<String>,
    /// What is run. At least one.
    pub workloads: Vec<Workload>,
}

/// One training command, or the crates of rustc-perf. It has either `run` or `rustc-perf`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Workload {
    /// What it is called. With `for`, the values are added to it: `name[level=3]`.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The command: an array of words, or a string that is split into words without a shell. `{program}` stands for the
    /// instrumented program, where `instrumented` is one. `cargo bench …` and `cargo test …` are run as the cargo stage that
    /// `instrumented` comes from builds: what they build and run is instrumented, too.
    pub run: Option<Words>,
    /// Crates that rustc-perf's collector compiles, each a workload.
    pub rustc_perf: Option<Training>,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    pub shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Where it runs. Default: an empty directory of this attempt.
    pub cwd: Option<Text>,
    /// How long one attempt may run. Default: the stage's.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// The workload may fail, and the profiles of a failed attempt count.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub keep_profiles: bool,
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

/// How profiles come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    #[default]
    Instrumentation,
    /// Needs a processor with branch records (LBR) that `perf` can read.
    Sampling,
}

impl Gather {
    pub(super) fn output_names(&self) -> Vec<String> {
        vec!["profile".into()]
    }
}
