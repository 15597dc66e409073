//! `kind = "bootstrap"`: `x.py` of a checkout of rust-lang/rust, and what is captured of what it made.
//!
//! The keys, and the order of the steps. What the checkout takes is in [`checkout`], the configuration in [`settings`] and [`config`],
//! the command line in [`command`], profiles in [`profiles`], captures and what is put in place in [`outputs`], what must be there in
//! [`needs`]. Unaware of how profiles come about.

pub mod checkout;
mod command;
mod config;
mod needs;
mod outputs;
mod profiles;
mod settings;

use std::collections::BTreeMap;

use bytesize::ByteSize;
use camino::Utf8PathBuf;
use schemars::JsonSchema;
use serde::Deserialize;

use super::gather::Instrumented;
use super::rustc_perf::checkout_is_missing;
use super::{Context, Declaration, Pgo, PlanError, Profdata, StageKind};
use crate::pipeline::{Answers, Keys, Need, OutputRef, Stage, Text, own_name, value};
use crate::plan::ops::CheckSpace;
use crate::plan::{Arg, Late, Part, Step, Symbol};
use crate::toolchain::{llvm, version};

use checkout::Checkout;
use needs::Compilers;

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
    pub stage: u32,
    /// What is built, packed or tested: paths such as `library/std`, or names. Default: `library/std` to build, all else.
    #[serde(default)]
    pub paths: Vec<Text>,
    /// Paths and names that are left out.
    #[serde(default)]
    pub skip: Vec<Text>,
    /// For `dist`: leaves out what a build to try something out has no use for, such as documentation and clippy.
    #[serde(default)]
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
    pub bolt_settings: bool,
    /// Links libLLVM with relocations, for BOLT.
    #[serde(default)]
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

impl Declaration for Bootstrap {
    const NAME: &'static str = "bootstrap";
    type Parsed = Bootstrap;

    fn parse(self, keys: &mut Keys) -> Option<Bootstrap> {
        for (key, stages) in [("keep-stage", self.keep_stage.as_slice()), ("stage", &[self.stage])] {
            if stages.iter().any(|stage| *stage > 3) {
                keys.wrong(key, "the stages of the compiler are 0 to 3", "");
            }
        }
        Some(self)
    }
}

impl StageKind for Bootstrap {
    /// The outputs of `build`: the `toolchain` (a sysroot with `bin/rustc`), its `cargo`, the two libraries in it, the `llvm-profdata` of
    /// its LLVM. The last two only where the LLVM is the checkout's own. Of `dist`: the `archives`.
    ///
    /// Not `bin/rustc` alone: what it does stands in the libraries.
    fn answers(&self) -> Answers {
        let outputs: &[&str] = match self.command {
            BootstrapCommand::Build if self.external_llvm().is_some() => &["toolchain", "cargo", "driver"],
            BootstrapCommand::Build => &["toolchain", "cargo", "driver", "libllvm", "profdata"],
            BootstrapCommand::Dist => &["archives"],
            BootstrapCommand::Test => &[],
        };
        let mut needs = vec![Need::RustCheckout, Need::RustBuild];
        needs.extend((self.pgo.llvm == Some(Pgo::Generate)).then_some(Need::ClangRuntime));
        Answers { outputs: outputs.iter().map(ToString::to_string).collect(), needs, ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        let xpy = Xpy::new(self, cx)?;
        let config = settings::derive(&xpy, cx)?;
        needs::look(&xpy, &config, cx)?;

        let used = profiles::check(&xpy, cx)?;
        let bytes = needs::space(&xpy).to_string().into();
        cx.step(Step::op("space", CheckSpace { dir: Symbol::Build.into(), bytes, key: None }));
        let file = Arg::from(Symbol::Build).join(&format!("{}.toml", own_name(&cx.stage.common.name)));
        config.write(&file, cx);
        outputs::prepare(&xpy, &config, cx)?;
        let command = command::command(&xpy, &file, cx)?;
        cx.step(Step::command("x.py", command));
        outputs::measure(&xpy, cx);
        outputs::check_lto(&xpy, &config, cx);
        outputs::capture(&xpy, cx);
        profiles::count(&used, &xpy, cx)
    }

    fn lacks(&self, tool: &str) -> bool {
        let all_known = self.args.is_empty() && self.paths.iter().all(|path| path.as_literal().is_some());
        let name = tool.rsplit('/').next().unwrap_or(tool);
        all_known && self.command == BootstrapCommand::Build && !self.builds(name)
    }

    fn below_out(&self, output: &str, cx: &mut Context) -> Option<String> {
        outputs::below_out(self, output, cx)
    }

    fn describe(&self, stage: &Stage, build: &mut Instrumented, cx: &mut Context) -> Result<(), PlanError> {
        if self.pgo.generates().is_none() {
            return Err(cx.not_instrumented(stage, "pgo = \"generate\""));
        }
        // A toolchain has hundreds of files; one of them says it. On Windows LLVM is part of rustc's library.
        let llvm = if cx.facts.host().contains("windows") { "driver" } else { "libllvm" };
        let outputs = [(&self.pgo.llvm, llvm), (&self.pgo.rustc, "driver")];
        if let Some((_, output)) = outputs.iter().find(|(pgo, _)| **pgo == Some(Pgo::Generate)) {
            let output = OutputRef { stage: stage.common.name.clone(), output: (*output).into() };
            build.path = Arg::part(Part::Late(Late::Path(output)));
        }
        Ok(())
    }

    fn merge_tool(&self, stage: &Stage, cx: &mut Context) -> Result<Option<Profdata>, PlanError> {
        Ok(Some(Profdata::Sure(profiles::merge_tool(self, &stage.common.name, cx)?)))
    }
}

/// What the steps are planned from.
struct Xpy<'a> {
    kind: &'a Bootstrap,
    checkout: Checkout,
    /// The checkout as an argument.
    source: Arg,
    /// The triple of the machine that builds, the one that the compiler runs on, and those that it compiles for.
    build: String,
    host: String,
    targets: Vec<String>,
    /// The LLVM that stands outside of the checkout: its `llvm-config`.
    llvm_config: Option<Arg>,
    /// The stage-0 tools, where they are given.
    rustc: Option<Arg>,
    cargo: Option<Arg>,
    compilers: Compilers,
}

impl<'a> Xpy<'a> {
    fn new(kind: &'a Bootstrap, cx: &mut Context) -> Result<Xpy<'a>, PlanError> {
        let (source, path) = source(&kind.checkout, cx)?;
        let checkout = Checkout::look(cx.facts, &path);
        let build = cx.facts.host();
        let host = match &kind.host {
            Some(text) => literal("host", text, cx)?,
            None => build.clone(),
        };
        let mut targets = kind.target.iter().map(|text| literal("target", text, cx)).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() {
            targets.push(host.clone());
        }
        let llvm_config = given(kind.external_llvm(), cx)?;
        let compilers = Compilers::find(kind, &host, llvm_config.is_none(), cx);
        let (rustc, cargo) = (given(kind.rustc.as_ref(), cx)?, given(kind.cargo.as_ref(), cx)?);
        Ok(Xpy { kind, checkout, source, build, host, targets, llvm_config, rustc, cargo, compilers })
    }

    /// The version of the clang that builds.
    fn clang_major(&self, cx: &Context) -> Option<u64> {
        self.compilers.clang.as_ref().and_then(|clang| llvm::clang_major(cx.facts, clang))
    }

    /// The version of the LLVM that rustc will have.
    fn rustc_llvm(&self, cx: &Context) -> Option<u64> {
        let Some(program) = &self.llvm_config else { return self.checkout.llvm_major };
        let path = cx.known_path(program)?;
        Some(version::of(cx.facts, "llvm-config", &path)?.major)
    }

    /// Whether the compiler itself is built, and not kept as an earlier stage left it.
    fn builds_rustc(&self) -> bool {
        !self.kind.keep_stage.contains(&1)
    }

    /// C and C++ of build scripts are compiled with the LTO of rustc's own flags, which the `cc` crate hands on behind all others (1.2.6):
    /// the objects are then bitcode of a clang that rustc's older LLVM cannot read when it packs them. With `-ffat-lto-objects` they are
    /// machine code for those who do not look for bitcode. LLVM gets the flag as well, which is why it is not said where only LLVM is built;
    /// `-fno-fat-lto-objects` behind it would take back all LTO (clang 22).
    fn objects_of_newer_clang(&self, cx: &Context) -> bool {
        self.rustc_llvm(cx).is_some() && self.clang_major(cx) > self.rustc_llvm(cx)
    }

    /// The directory that `x.py` builds in.
    fn build_dir(&self) -> Arg {
        Arg::from(Symbol::Build).join("build")
    }

    /// What it builds for the compiler's host.
    fn host_dir(&self) -> Arg {
        self.build_dir().join(&self.host)
    }

    /// Where it puts the sysroot.
    fn sysroot(&self) -> Arg {
        self.host_dir().join(&format!("stage{}", self.kind.stage))
    }
}

/// The checkout, whose path must be known when the plan is made: it decides what the command line looks like.
fn source(text: &Text, cx: &mut Context) -> Result<(Arg, Utf8PathBuf), PlanError> {
    let source = cx.arg(text)?;
    let Some(path) = cx.known_path(&source) else {
        let message = "the path of a checkout of rust; begin with a variable of type path or `${pipeline.dir}`";
        return Err(cx.invalid("checkout", message));
    };
    checkout_is_missing(&path, cx.stage, cx);
    cx.source_without("checkout", path.clone(), &NO_SOURCES);
    Ok((source, path))
}

/// What lies in a checkout and is not read: what others have built there, and the configuration that `--config` takes the place of.
const NO_SOURCES: [&str; 6] = ["build", "obj", "config.toml", "bootstrap.toml", "**/__pycache__", "**/*.pyc"];

/// A program that a key names, unless what it names is empty.
fn given(text: Option<&Text>, cx: &mut Context) -> Result<Option<Arg>, PlanError> {
    let Some(text) = text else { return Ok(None) };
    if cx.arg(text)?.to_string().is_empty() { Ok(None) } else { cx.program(text).map(Some) }
}

/// A text that must be known when the plan is made.
fn literal(key: &str, text: &Text, cx: &mut Context) -> Result<String, PlanError> {
    let arg = cx.arg(text)?.joined();
    match arg.parts.as_slice() {
        [Part::Literal(text)] => Ok(text.clone()),
        [Part::Place { path, .. }] => Ok(path.to_string()),
        _ => Err(cx.invalid(key, format!("`{text}` must be known when the plan is made"))),
    }
}
