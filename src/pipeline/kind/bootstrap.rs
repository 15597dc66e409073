//! Keys of `kind = "bootstrap"`.

use std::collections::BTreeMap;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::super::{OrVar, Text, value};
use super::Pgo;

/// Builds, packs or tests a checkout of rust-lang/rust with its `x.py`.
///
/// The build directory is the stage's `workspace`; what the stage has to offer is captured from it when `x.py` is done.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bootstrap {
    /// The checkout. Its files are inputs.
    pub checkout: Text,
    /// What `x.py` is asked for.
    #[serde(default)]
    pub command: BootstrapCommand,
    /// Which stage of the compiler.
    #[serde(default = "two")]
    #[schemars(with = "OrVar<u32>")]
    pub stage: u32,
    /// What is built, packed or tested: paths such as `library/std`, or names. Default: `library/std` to build, all else.
    #[serde(default)]
    pub paths: Vec<Text>,
    /// Paths and names that are left out.
    #[serde(default)]
    pub skip: Vec<Text>,
    /// For `dist`: leaves out what a build to try something out has no use for, such as documentation and clippy.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub try_build: bool,
    /// Stages of the compiler that `x.py` uses as they stand, without looking whether they are up to date.
    #[serde(default)]
    pub keep_stage: Vec<u32>,
    /// Triple that the compiler runs on. Default: `${host}`.
    pub host: Option<Text>,
    /// Triples that the compiler compiles for. Default: `host`.
    #[serde(default)]
    pub target: Vec<Text>,
    /// The user's own configuration, `config.toml` or `bootstrap.toml`. It is read, never written; what contradicts the stage is
    /// refused. Default: none; a file that lies in the checkout does not count.
    pub config_file: Option<Text>,
    /// Configuration on top: `{ "rust.lto" = "thin", "llvm.ldflags" = "-Wl,-q" }`. Names are those of the newest checkouts; they
    /// are translated for older ones. A value that is empty, as that of a variable, is left to `x.py`'s default.
    #[serde(default)]
    pub config: BTreeMap<String, Setting>,
    /// The LLVM of the compiler: `in-tree`, or the path of an `llvm-config`. Default: `in-tree`.
    pub llvm: Option<Text>,
    /// A directory with the clang and lld that build LLVM and link (`bin/clang`, …). Default: the tools `clang` and `lld`.
    pub host_llvm: Option<Text>,
    /// The stage-0 `rustc`. Default: the one that `x.py` downloads.
    pub rustc: Option<Text>,
    /// The stage-0 `cargo`. Default: the one that `x.py` downloads.
    pub cargo: Option<Text>,
    /// The python that runs `x.py`. Default: the tool `python3`.
    pub python: Option<Text>,
    /// Profile-guided optimisation, component by component.
    #[serde(default)]
    pub pgo: BootstrapPgo,
    /// The share of a component's functions that may have no counts in the profile that it is built with; more fail the stage: it is
    /// the profile of something else. Counted for rustc and LLVM. Default: `90%`.
    pub max_unprofiled: Option<Text>,
    /// Links the compiler with relocations, for BOLT.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub bolt_settings: bool,
    /// Links libLLVM with relocations, for BOLT.
    #[serde(default)]
    #[schemars(with = "OrVar<bool>")]
    pub llvm_relocations: bool,
    /// llvm-bolt as part of `x.py`, which only checkouts from 2022 and early 2023 have. With others, use stages of kind `bolt`.
    #[serde(default)]
    pub bolt: BootstrapBolt,
    /// How much the build directory, with what is captured of it, will hold in the end, as `20 GiB`: asked of the disk before any work.
    /// Default: 10 GiB, with LLVM 16 GiB. Not in the fingerprint.
    #[serde(default, deserialize_with = "value::size")]
    #[schemars(with = "Option<String>")]
    pub disk_space: Option<ByteSize>,
    /// Profiles that are packed by `dist`, so that others can repeat the build.
    #[serde(default)]
    pub reproducible_artifacts: Vec<Text>,
    /// Files that take the place of libraries that the stages before have built, before `x.py` runs: `{ llvm =
    /// "${bolt-llvm.file}", rustc = "${bolt-rustc.file}" }`.
    #[serde(default)]
    pub place: Place,
    /// Further arguments for `x.py`, such as `--include-default-paths`.
    #[serde(default)]
    pub args: Vec<Text>,
}

/// What `x.py` is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BootstrapCommand {
    #[default]
    Build,
    Dist,
    Test,
}

/// A value of the configuration.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, a boolean, an integer, or an array of strings")]
pub enum Setting {
    Bool(bool),
    Integer(i64),
    Text(Text),
    List(Vec<Text>),
}

/// Which components are instrumented, or built with a profile.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BootstrapPgo {
    pub rustc: Option<Pgo>,
    pub rustdoc: Option<Pgo>,
    pub cargo: Option<Pgo>,
    pub clippy: Option<Pgo>,
    pub llvm: Option<Pgo>,
}

/// What `x.py` itself instruments, or optimises, with llvm-bolt.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct BootstrapBolt {
    pub llvm: Option<Pgo>,
}

/// Files that take the place of built libraries.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Place {
    /// In the place of `libLLVM.so.*`. Nothing, if it is empty.
    pub llvm: Option<Text>,
    /// In the place of `librustc_driver-*.so`.
    pub rustc: Option<Text>,
}

fn two() -> u32 {
    2
}

impl Bootstrap {
    /// `build`: the `toolchain` (a sysroot with `bin/rustc`), its `cargo`, the two libraries in it, the `llvm-profdata` of its LLVM. The
    /// last two only where the LLVM is the checkout's own. `dist`: the `archives`.
    ///
    /// Not `bin/rustc` alone: what it does stands in the libraries, and who runs it depends on them.
    pub(super) fn output_names(&self) -> Vec<String> {
        let names: &[&str] = match self.command {
            BootstrapCommand::Build if self.external_llvm().is_some() => &["toolchain", "cargo", "driver"],
            BootstrapCommand::Build => &["toolchain", "cargo", "driver", "libllvm", "profdata"],
            BootstrapCommand::Dist => &["archives"],
            BootstrapCommand::Test => &[],
        };
        names.iter().map(|name| (*name).to_string()).collect()
    }

    /// The `llvm-config` of an LLVM that is not the checkout's own.
    pub fn external_llvm(&self) -> Option<&Text> {
        self.llvm.as_ref().filter(|text| !matches!(text.as_literal().as_deref(), Some("in-tree" | "")))
    }

    /// Whether a tool, such as `cargo`, is among what is built.
    pub fn builds(&self, tool: &str) -> bool {
        self.paths.iter().filter_map(Text::as_literal).any(|path| path.rsplit('/').next() == Some(tool))
    }
}

impl BootstrapPgo {
    /// The components that take part, by name.
    pub fn components(&self) -> impl Iterator<Item = (&'static str, &Pgo)> {
        let all = [
            ("rustc", &self.rustc),
            ("rustdoc", &self.rustdoc),
            ("cargo", &self.cargo),
            ("clippy", &self.clippy),
            ("llvm", &self.llvm),
        ];
        all.into_iter().filter_map(|(name, pgo)| Some((name, pgo.as_ref()?)))
    }

    /// The first component that is instrumented.
    pub fn generates(&self) -> Option<&'static str> {
        self.components().find(|(_, pgo)| **pgo == Pgo::Generate).map(|(name, _)| name)
    }
}
