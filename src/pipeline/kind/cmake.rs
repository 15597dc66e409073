//! Keys of `kind = "cmake"`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{OrVar, Text};
use super::{Lto, Pgo};

/// Configures, builds and installs a CMake project with clang.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cmake {
    /// The directory of the project's `CMakeLists.txt`. Its files are inputs.
    pub source: Text,
    /// CMake's generator. Default: `Ninja` where ninja is present or one of the pipeline's `[tools]`, else CMake's own default.
    pub generator: Option<Text>,
    /// `CMAKE_BUILD_TYPE`. Default: `Release`.
    pub build_type: Option<Text>,
    /// Cache variables, given as `-DNAME=VALUE`. Compiler and linker flags among them (`CMAKE_C_FLAGS`, …) are put in
    /// front of those that the stage adds.
    #[serde(default)]
    pub define: BTreeMap<String, Define>,
    /// Targets to build. Default: the project's default target.
    #[serde(default)]
    pub targets: Vec<Text>,
    /// Whether `cmake --install` into `${self.out}` follows. Default: yes; `outputs` are then paths in `${self.out}`, else in
    /// the build directory, from where they are captured.
    #[serde(default = "yes")]
    #[schemars(with = "OrVar<bool>")]
    pub install: bool,
    /// Profile-guided optimisation: `"generate"` or `{ use = "${gather.profile}" }`.
    pub pgo: Option<Pgo>,
    /// Context-sensitive PGO on top of `pgo = { use = … }`: a second instrumentation after inlining, `"generate"` or
    /// `{ use = … }`.
    pub cs_pgo: Option<Pgo>,
    /// The share of the program's functions that may have no counts in the profile that it is built with; more fail the stage: it
    /// is the profile of something else. Default: `90%`.
    pub max_unprofiled: Option<Text>,
    /// Link-time optimisation: `off`, `thin` or `full`.
    #[serde(default)]
    pub lto: Lto,
    /// The linker (`-fuse-ld`). Default: lld where `lto`, `icf` or `keep-relocations` need it, else the compiler's own.
    pub linker: Option<Text>,
    /// Identical code folding by the linker: `none`, `safe` or `all`.
    pub icf: Option<Icf>,
    /// Links with `--emit-relocs`, so that BOLT can move functions.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub keep_relocations: bool,
    /// The C compiler: the name of a tool or a path. The C++ compiler is found beside it. Default: `clang`.
    pub compiler: Option<Text>,
    /// A compiler launcher such as `ccache` or `sccache`.
    pub launcher: Option<Text>,
    /// Named files and directories of the result, relative to `${self.out}` (see `install`). `out`, all of it, is always
    /// there.
    #[serde(default)]
    pub outputs: BTreeMap<String, Text>,
}

/// The value of a CMake cache variable.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, a boolean or an integer")]
pub enum Define {
    Bool(bool),
    Integer(i64),
    Text(Text),
}

/// Identical code folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Icf {
    None,
    /// Only functions whose address is not compared.
    Safe,
    All,
}

impl Cmake {
    pub(super) fn output_names(&self) -> Vec<String> {
        std::iter::once("out".to_string()).chain(self.outputs.keys().cloned()).collect()
    }
}

fn yes() -> bool {
    true
}
