//! Keys of `kind = "cargo"`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{OrVar, Text};
use super::{Lto, Pgo};

/// Builds programs of a cargo package.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cargo {
    /// The `Cargo.toml`. Its directory (for a workspace, the workspace's) is an input. Either this or `crate`.
    pub manifest: Option<Text>,
    /// A program from the registry, as `name@version`. Either this or `manifest`.
    #[serde(rename = "crate")]
    pub krate: Option<Text>,
    /// The package of a workspace.
    pub package: Option<Text>,
    /// The cargo profile. Default: `release`.
    pub profile: Option<Text>,
    /// Features to build with.
    #[serde(default)]
    pub features: Vec<Text>,
    /// Without the package's default features.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub no_default_features: bool,
    /// Names of the programs to build, each an output of that name in `${stage.out}/bin`.
    pub bins: Vec<Text>,
    /// The target triple. Always passed, so that build scripts and procedural macros are not instrumented. Default: `${host}`.
    pub target: Option<Text>,
    /// Profile-guided optimisation: `"generate"` or `{ use = "${gather.profile}" }`.
    pub pgo: Option<Pgo>,
    /// The share of the program's functions that may have no counts in the profile that it is built with; more fail the stage: it
    /// is the profile of something else. Default: `90%`.
    pub max_unprofiled: Option<Text>,
    /// Link-time optimisation: `off`, `thin` or `full`. Default: what the package's profile says.
    pub lto: Option<Lto>,
    /// Codegen units. Default: what the package's profile says.
    #[schemars(with = "Option<OrVar<u32>>")]
    pub codegen_units: Option<u32>,
    /// The linker that the C compiler driver is told to use (`-fuse-ld`). Default: rustc's own choice.
    pub linker: Option<Text>,
    /// Links with `--emit-relocs` and without stripping, so that BOLT can move functions.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub keep_relocations: bool,
    /// Further flags for rustc, behind those of the user's own cargo configuration.
    #[serde(default)]
    pub rustflags: Vec<Text>,
    /// A directory made by `cargo vendor`: dependencies come from there, and cargo stays offline.
    pub vendor: Option<Text>,
    /// Further arguments for cargo.
    #[serde(default)]
    pub args: Vec<Text>,
}

impl Cargo {
    pub(super) fn output_names(&self) -> Vec<String> {
        let bins = self.bins.iter().filter_map(Text::as_literal).map(Into::into);
        std::iter::once("out".to_string()).chain(bins).collect()
    }
}
