//! `kind = "bootstrap"`: `x.py` of a checkout of rust-lang/rust, and what is captured of what it made.
//!
//! The order of the steps. What the checkout takes is in [`checkout`], the configuration in [`settings`] and [`config`], the command line
//! in [`command`], profiles in [`profiles`], captures and what is put in place in [`outputs`], what must be there in [`needs`]. Unaware of
//! how profiles come about.

mod checkout;
mod command;
mod compilers;
mod config;
mod needs;
mod outputs;
mod profiles;
mod settings;

use camino::Utf8PathBuf;

use super::{Context, PlanError, rust_checkout};
use crate::pipeline::Text;
use crate::pipeline::kind::Bootstrap;
use crate::plan::ops::CheckSpace;
use crate::plan::{Arg, Part, Step, Symbol};
use crate::toolchain::{llvm, version};

use checkout::Checkout;
use compilers::Compilers;
pub(super) use outputs::below_out;
pub(super) use profiles::merge_tool;

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

pub(super) fn plan(kind: &Bootstrap, cx: &mut Context) -> Result<(), PlanError> {
    let xpy = Xpy::new(kind, cx)?;
    let config = settings::derive(&xpy, cx)?;
    needs::look(&xpy, &config, cx)?;

    let used = profiles::check(&xpy, cx)?;
    let bytes = needs::space(&xpy).to_string().into();
    cx.step(Step::op("space", CheckSpace { dir: Symbol::Build.into(), bytes, key: None }));
    let file = Arg::from(Symbol::Build).join(&format!("{}.toml", cx.stage.common.name));
    config.write(&file, cx);
    outputs::prepare(&xpy, &config, cx)?;
    let command = command::command(&xpy, &file, cx)?;
    cx.step(Step::command("x.py", command));
    outputs::measure(&xpy, cx);
    outputs::check_lto(&xpy, &config, cx);
    outputs::capture(&xpy, cx);
    profiles::count(&used, &xpy, cx)
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
    rust_checkout::is_missing(&path, cx.stage, cx);
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
