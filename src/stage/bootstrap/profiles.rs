//! Who reads the profiles of a toolchain, and so who merges them: rustc's own LLVM those of what rustc compiles, the machine's clang those of
//! LLVM. A profile that its reader cannot read is at most a warning to it.

use super::needs::{bindir, clang};
use super::outputs::below_out;
use super::{Bootstrap, BootstrapCommand, Context, Pgo, PlanError, Xpy, given};
use crate::pipeline::OutputRef;
use crate::plan::ops::{CheckProfile, CheckProfileUse};
use crate::plan::{Arg, Late, Part, Step, Symbol};
use crate::toolchain::{formats, llvm};

/// A profile that a component is built with.
pub(super) struct Used {
    component: &'static str,
    profile: Arg,
    /// An llvm-profdata that can read it.
    reader: Option<Arg>,
}

/// Adds a step per profile that is used, which refuses one that is empty or cannot be read.
pub(super) fn check(xpy: &Xpy, cx: &mut Context) -> Result<Vec<Used>, PlanError> {
    let (clang_major, rustc_llvm) = (xpy.clang_major(cx), xpy.rustc_llvm(cx));
    // The machine's llvm-profdata reads what its own and older LLVMs write.
    let profdata = xpy.compilers.clang.as_ref().and_then(|clang| llvm::profdata_for_clang(cx.facts, clang).ok());
    let mut all = Vec::new();
    for (component, pgo) in xpy.kind.pgo.components() {
        let Pgo::Use(profile) = pgo else { continue };
        let profile = cx.arg(profile)?;
        let (reader, major) = match component {
            "llvm" => ("clang", clang_major),
            _ => ("rustc", rustc_llvm),
        };
        let shown = match (major, &xpy.checkout.version) {
            (Some(major), _) if reader == "clang" => format!("clang {major}"),
            (Some(major), Some(version)) => format!("rustc {version}, of LLVM {major},"),
            _ => reader.to_string(),
        };
        let newest = major.and_then(formats::indexed_version);
        if newest.is_none() {
            cx.note(format!(
                "which profiles {shown} reads is not known, so the version of `pgo.{component}` is not checked"
            ));
        }
        let tool = profdata.clone().filter(|tool| tool.llvm_major() >= major);
        let reader = tool.map(|tool| cx.tool_at("llvm-profdata", tool.path));
        let step = format!("check-profile-{component}");
        let max_version = newest.map(|newest| newest.to_string().into());
        let (compiler, tool) = (shown.into(), reader.clone());
        cx.step(Step::op(step, CheckProfile { profile: profile.clone(), compiler, max_version, tool }));
        all.push(Used { component, profile, reader });
    }
    Ok(all)
}

/// Whether `x.py` is to have the compilers say which functions a profile lacks. rustc is told to only where `x.py` is verbose; all
/// stages with the profile say it, as one more flag would have cargo build everything again.
pub(super) fn says_what_is_missing(kind: &Bootstrap) -> bool {
    matches!(kind.pgo.rustc, Some(Pgo::Use(_)))
}

/// Adds a step per profile that counts what was built without it.
pub(super) fn count(used: &[Used], xpy: &Xpy, cx: &mut Context) -> Result<(), PlanError> {
    let packs = match xpy.kind.command {
        BootstrapCommand::Build => false,
        // Unless earlier stages are kept, what is packed is built for that.
        BootstrapCommand::Dist if xpy.kind.keep_stage.is_empty() => true,
        // What is no part of the compiler.
        BootstrapCommand::Dist | BootstrapCommand::Test => return Ok(()),
    };
    for Used { component, profile, reader } in used {
        let output = match *component {
            "rustc" => "driver",
            "llvm" => "libllvm",
            _ => continue,
        };
        let Some(tool) = reader.clone() else {
            cx.note(format!(
                "without an llvm-profdata that reads `pgo.{component}`, functions without a profile are not counted"
            ));
            continue;
        };
        let Some(library) = below_out(xpy.kind, output, cx) else { continue };
        let built = match library.strip_prefix("toolchain/") {
            Some(library) if packs => xpy.sysroot().join(library),
            _ => Arg::from(Symbol::Out).join(&library),
        };
        // LLVM is cleared away where it has to be built with other options.
        let keep = match *component {
            "llvm" => xpy.host_dir().join("llvm"),
            _ => Symbol::Build.into(),
        };
        let (keep, built, component) = (Some(keep), vec![built], Some((*component).into()));
        let check =
            CheckProfileUse { step: "x.py".into(), keep, built, component, ..CheckProfileUse::of_all(profile, &tool) };
        cx.check_profile_use(check, xpy.kind.max_unprofiled.as_ref())?;
    }
    Ok(())
}

/// Who merges the profiles that an instrumented build of the stage `name` writes.
pub(super) fn merge_tool(kind: &Bootstrap, name: &str, cx: &mut Context) -> Result<Arg, PlanError> {
    let found = if kind.pgo.llvm == Some(Pgo::Generate) {
        clang(kind, cx).and_then(|(clang, _)| llvm::profdata_for_clang(cx.facts, &clang)).map(|tool| tool.path)
    } else if let Some(llvm_config) = given(kind.external_llvm(), cx)? {
        let path = cx.known_path(&llvm_config).unwrap_or_default();
        bindir(&path, cx).map(|dir| dir.join("llvm-profdata"))
    } else {
        return Ok(Arg::part(Part::Late(Late::Path(OutputRef { stage: name.into(), output: "profdata".into() }))));
    };
    Ok(cx.tool_or_gap("llvm-profdata", found))
}
