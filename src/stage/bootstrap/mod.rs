//! `kind = "bootstrap"`: `x.py` of a checkout of rust-lang/rust, and what is captured of what it made.
//!
//! The order of the steps; the configuration that `x.py` gets is in [`config`], what the checkout takes in [`checkout`], the
//! command line in [`command`], the captures in [`outputs`]. Unaware of how profiles come about.

mod checkout;
mod command;
mod config;
mod outputs;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Context, PlanError};
use crate::pipeline::kind::{Bootstrap, Pgo};
use crate::pipeline::{OutputRef, Text};
use crate::plan::{Arg, Gap, Late, Part, Step, Symbol};
use crate::toolchain::llvm;

use checkout::Checkout;
pub(super) use outputs::below_out;

/// What the steps are planned from.
struct Xpy<'a> {
    kind: &'a Bootstrap,
    checkout: Checkout,
    /// The checkout as an argument.
    source: Arg,
    /// The triple of the machine that builds, and the one that the compiler runs on.
    build: String,
    host: String,
    /// The derived configuration file.
    config: Arg,
    /// The LLVM that stands outside of the checkout: its `llvm-config`.
    llvm_config: Option<Arg>,
}

pub(super) fn plan(kind: &Bootstrap, cx: &mut Context) -> Result<(), PlanError> {
    let (source, path) = source(&kind.checkout, cx)?;
    let checkout = Checkout::look(cx.facts, &path);
    let build = cx.facts.host();
    let host = match &kind.host {
        Some(text) => literal("host", text, cx)?,
        None => build.clone(),
    };
    let llvm_config = kind.external_llvm().map(|text| cx.program(text)).transpose()?;
    let config = Arg::from(Symbol::Build).join(&format!("{}.toml", cx.stage.common.name));
    let xpy = Xpy { kind, checkout, source, build, host, config, llvm_config };
    let derived = config::derive(&xpy, cx)?;
    derived.write(&xpy, cx);
    let command = command::command(&xpy, cx)?;
    cx.step(Step::command("x.py", command));
    outputs::capture(&xpy, cx);
    Ok(())
}

impl Xpy<'_> {
    /// The directory that `x.py` builds in.
    fn build_dir(&self) -> Arg {
        Arg::from(Symbol::Build).join("build")
    }

    /// What it builds for the compiler's host.
    fn host_dir(&self) -> Arg {
        self.build_dir().join(&self.host)
    }
}

/// Who merges the profiles that an instrumented build of the stage `name` writes: the LLVM that will read them. rustc's are read by its
/// own LLVM, LLVM's by the clang that builds it.
pub(super) fn merge_tool(kind: &Bootstrap, name: &str, cx: &mut Context) -> Result<Arg, PlanError> {
    let found = if kind.pgo.llvm == Some(Pgo::Generate) {
        compilers(kind, cx).and_then(|(clang, _)| llvm::profdata_for_clang(cx.facts, &clang).map(|tool| tool.path))
    } else if let Some(text) = kind.external_llvm() {
        let llvm_config = cx.program(text)?;
        let path = cx.known_path(&llvm_config).unwrap_or_default();
        bindir(&path, cx).map(|dir| dir.join("llvm-profdata"))
    } else {
        return Ok(Arg::part(Part::Late(Late::Path(OutputRef { stage: name.into(), output: "profdata".into() }))));
    };
    Ok(match found {
        Ok(path) => cx.tool_at("llvm-profdata", path),
        Err(gap) => {
            cx.gap(gap.what, gap.remedy);
            "llvm-profdata".into()
        }
    })
}

/// The directory with the tools of an LLVM.
fn bindir(llvm_config: &Utf8Path, cx: &Context) -> Result<Utf8PathBuf, Gap> {
    let printed = cx.facts.output(&[llvm_config.as_str(), "--bindir"]);
    printed.map(|text| text.trim().into()).ok_or_else(|| Gap {
        what: format!("`{llvm_config} --bindir` does not say where the tools of that LLVM are"),
        remedy: "set `llvm` to the llvm-config of an LLVM with its tools".into(),
    })
}

/// The C and C++ compilers that build LLVM.
fn compilers(kind: &Bootstrap, cx: &mut Context) -> Result<(Utf8PathBuf, Utf8PathBuf), Gap> {
    let dir = kind.host_llvm.as_ref().and_then(|text| cx.arg(text).ok()).and_then(|arg| cx.known_path(&arg));
    let clang = match dir {
        Some(dir) => {
            let path = dir.join("bin/clang");
            cx.facts.program(path.as_str()).ok_or_else(|| Gap {
                what: format!("{path} does not exist"),
                remedy: "set `host-llvm` to the directory of an LLVM that has bin/clang".into(),
            })?
        }
        None => cx.find_tool("clang")?,
    };
    let cxx = llvm::cplusplus(cx.facts, &clang)?;
    Ok((clang, cxx))
}

/// The checkout, whose path must be known when the plan is made: it decides what the command line looks like.
fn source(text: &Text, cx: &mut Context) -> Result<(Arg, Utf8PathBuf), PlanError> {
    let source = cx.arg(text)?;
    let Some(path) = cx.known_path(&source) else {
        let message = "the path of a checkout; begin with a variable of type path or `${pipeline.dir}`";
        return Err(cx.invalid("checkout", message));
    };
    if !cx.facts.exists(&path.join("x.py")) {
        cx.gap(format!("{path} is no checkout of rust: it has no x.py"), "get one, or set `checkout` to where it is");
    }
    cx.source("checkout", path.clone(), false);
    Ok((source, path))
}

/// A text that must be known when the plan is made.
fn literal(key: &str, text: &Text, cx: &mut Context) -> Result<String, PlanError> {
    let mut known = true;
    let value = cx.arg(text)?.render(|part| match part {
        crate::plan::Part::Place { path, .. } => path.to_string(),
        _ => {
            known = false;
            String::new()
        }
    });
    if known { Ok(value) } else { Err(cx.invalid(key, "must be known when the plan is made")) }
}
