//! Keys of `kind = "rustc-perf"`, and of the workloads that use it.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::Text;

/// Builds the collector of rustc-perf, which compiles the crates that rustc and LLVM are trained on.
///
/// rustc-perf is copied; where it lies nothing is written. The output `out` is what workloads name with
/// `rustc-perf = { collector = "${stage.out}", … }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RustcPerf {
    /// A checkout of rust-lang/rust: which crates are for training stands in it, and libcore is a workload too.
    pub checkout: Text,
    /// rustc-perf. Its files are inputs. Default: `src/tools/rustc-perf` of the checkout.
    pub source: Option<Text>,
    /// The `rustc` and the `cargo` that build the collector, usually of stage 0. Default: the tools of these names.
    pub rustc: Option<Text>,
    pub cargo: Option<Text>,
    /// Settings for cargo (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
}

/// Crates that rustc-perf's collector compiles with the instrumented build. Each is a workload of its own: `name-crate`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Training {
    /// The output `out` of a stage of kind `rustc-perf`.
    pub collector: Text,
    /// The list of crates that the checkout has for this purpose: `rustc` or `llvm`. Names change with rustc-perf, and the list
    /// with them.
    pub list: Option<CrateList>,
    /// Crates in place of the list, by their whole names; `NAME-*` is the one of the highest version.
    #[serde(default)]
    pub crates: Vec<Text>,
    /// What the crates are built as: `Check`, `Debug`, `Opt`, `Doc`. Default: the first three. `Doc` runs rustdoc.
    #[serde(default)]
    pub profiles: Vec<Text>,
    /// `Full`, `IncrFull`, `IncrUnchanged`, `IncrPatched`, or `All`. Default: `All`.
    #[serde(default)]
    pub scenarios: Vec<Text>,
    /// The compiler. Default: `bin/rustc` of the instrumented build, which is a toolchain then.
    pub rustc: Option<Text>,
    /// The cargo that calls it. Default: the tool `cargo`.
    pub cargo: Option<Text>,
    /// Settings for cargo (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
    /// Levels of optimisation at which libcore is compiled as well, each as a workload: `["0", "3"]`.
    #[serde(default)]
    pub libcore: Vec<Text>,
}

/// A list of crates in the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CrateList {
    /// Crates and stress tests that keep the frontend busy.
    Rustc,
    /// Crates with much code to generate.
    Llvm,
}

impl RustcPerf {
    pub(super) fn output_names(&self) -> Vec<String> {
        vec!["out".into()]
    }
}
