//! What each kind of stage can be told: the keys besides the common ones.
//!
//! Data only. What a stage of a kind does is in `crate::stage`, in the file of the same name.

pub mod bolt;
pub mod bootstrap;
pub mod cargo;
pub mod cmake;
pub mod command;
pub mod compare;
pub mod gather;
pub mod rustc_perf;
pub mod verify;

use schemars::JsonSchema;
use serde::Deserialize;

pub use bolt::Bolt;
pub use bootstrap::{Bootstrap, BootstrapCommand, Setting};
pub use cargo::Cargo;
pub use cmake::Cmake;
pub use command::Command;
pub use compare::Compare;
pub use gather::Gather;
pub use rustc_perf::RustcPerf;
pub use verify::Verify;

use super::{OutputRef, Text};

/// The kinds of stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KindName {
    /// Configures, builds and installs a CMake project.
    Cmake,
    /// Builds a cargo package.
    Cargo,
    /// Builds, packs or tests a checkout of rust-lang/rust with its x.py.
    Bootstrap,
    /// Builds rustc-perf's collector, which compiles the crates that rustc is trained on.
    RustcPerf,
    /// Runs workloads on an instrumented build and merges the profiles that they write.
    Gather,
    /// Instruments or optimises a linked program or shared library with llvm-bolt.
    Bolt,
    /// Runs any program.
    Command,
    /// Runs commands that must succeed on the result.
    Verify,
    /// Measures two builds against each other.
    Compare,
}

impl KindName {
    /// All kinds, builds first.
    pub const ALL: [KindName; 9] = [
        KindName::Cmake,
        KindName::Cargo,
        KindName::Bootstrap,
        KindName::RustcPerf,
        KindName::Gather,
        KindName::Bolt,
        KindName::Command,
        KindName::Verify,
        KindName::Compare,
    ];

    /// How a pipeline file names it.
    pub fn name(self) -> &'static str {
        match self {
            KindName::Cmake => "cmake",
            KindName::Cargo => "cargo",
            KindName::Bootstrap => "bootstrap",
            KindName::RustcPerf => "rustc-perf",
            KindName::Gather => "gather",
            KindName::Bolt => "bolt",
            KindName::Command => "command",
            KindName::Verify => "verify",
            KindName::Compare => "compare",
        }
    }
}

/// A stage's kind with the keys of that kind.
#[derive(Debug, Clone)]
pub enum Kind {
    Cmake(Cmake),
    Cargo(Cargo),
    Bootstrap(Box<Bootstrap>),
    RustcPerf(RustcPerf),
    Gather(Gather),
    Bolt(Bolt),
    Command(Command),
    Verify(Verify),
    Compare(Compare),
}

impl Kind {
    /// Whether it measures times, so that nothing else may run beside it.
    pub fn measures(&self) -> bool {
        matches!(self, Kind::Compare(_))
    }

    /// Names of the outputs that `${stage.NAME}` can refer to.
    pub fn outputs(&self) -> Vec<String> {
        match self {
            Kind::Cmake(kind) => kind.output_names(),
            Kind::Cargo(kind) => kind.output_names(),
            Kind::Bootstrap(kind) => kind.output_names(),
            Kind::RustcPerf(kind) => kind.output_names(),
            Kind::Gather(kind) => kind.output_names(),
            Kind::Bolt(kind) => kind.output_names(),
            Kind::Command(kind) => kind.output_names(),
            Kind::Verify(kind) => kind.output_names(),
            Kind::Compare(kind) => kind.output_names(),
        }
    }
}

/// How a build takes part in profile-guided optimisation.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pgo {
    /// Instrumented: each process of the built program writes a raw profile.
    Generate,
    /// Optimised with this indexed profile, usually `${gather.profile}`.
    Use(Text),
}

impl Pgo {
    /// The profile, if one is used.
    pub fn profile(&self) -> Option<&Text> {
        match self {
            Pgo::Generate => None,
            Pgo::Use(profile) => Some(profile),
        }
    }
}

/// Link-time optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lto {
    #[default]
    Off,
    /// Parallel, on summaries of the modules.
    Thin,
    /// Everything as one module.
    #[serde(alias = "fat")]
    Full,
}

/// The output of the stage that a text is, or begins with: `${lib.out}/lib/x.so` belongs to `lib`.
pub fn leading_output(text: &Text) -> Option<&[OutputRef]> {
    match text.pieces.first() {
        Some(super::Piece::Outputs(candidates)) => Some(candidates),
        _ => None,
    }
}
