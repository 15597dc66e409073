//! The compilers and tools of the machine that build LLVM and link the compiler. Unaware of the configuration that names them.

use camino::{Utf8Path, Utf8PathBuf};

use super::Context;
use crate::pipeline::Stage;
use crate::pipeline::kind::Bootstrap;
use crate::plan::{Arg, Gap};
use crate::toolchain::llvm;

/// As `x.py` wants them; what a platform has no use for is not there.
#[derive(Debug, Default)]
pub(super) struct Compilers {
    pub cc: Option<Arg>,
    pub cxx: Option<Arg>,
    pub linker: Option<Arg>,
    pub ar: Option<Arg>,
    pub ranlib: Option<Arg>,
    pub clang_cl: Option<Arg>,
    /// Where clang is, if it is there.
    pub clang: Option<Utf8PathBuf>,
}

impl Compilers {
    /// For a compiler that runs on `host`, with an LLVM that is built or not.
    pub fn find(kind: &Bootstrap, host: &str, builds_llvm: bool, cx: &mut Context) -> Compilers {
        if host.ends_with("windows-msvc") {
            // LLVM is built by clang-cl; the rest by Microsoft's tools, which x.py finds.
            let dir = directory(kind, cx);
            let clang_cl = dir.map(|dir| cx.tool_at("clang-cl", dir.join("bin/clang-cl.exe")));
            return Compilers { clang_cl: clang_cl.or_else(|| Some(cx.tool("clang-cl"))), ..Compilers::default() };
        }
        let (clang, cxx) = match clang(kind, cx) {
            Ok(found) => found,
            Err(gap) => {
                cx.gap(gap.what, gap.remedy);
                let bare = |name: &str| Some(Arg::from(name));
                return Compilers {
                    cc: bare("clang"),
                    cxx: bare("clang++"),
                    linker: bare("clang"),
                    ..Compilers::default()
                };
            }
        };
        let mut found = Compilers { clang: Some(clang.clone()), ..Compilers::default() };
        let cc = cx.tool_at("clang", clang.clone());
        found.cxx = Some(cx.tool_at("clang++", cxx));
        // Apple's own archiver and linker fit Apple's clang.
        if !host.contains("apple") {
            found.linker = Some(cc.clone());
            let mut beside = |name: &str| {
                let path = llvm::beside(cx.facts, &clang, name)?;
                Some(cx.tool_at(name, path))
            };
            if builds_llvm {
                found.ar = beside("llvm-ar");
                found.ranlib = beside("llvm-ranlib");
            }
        }
        found.cc = Some(cc);
        found
    }
}

/// `host-llvm`, where its path is known.
fn directory(kind: &Bootstrap, cx: &mut Context) -> Option<Utf8PathBuf> {
    let arg = kind.host_llvm.as_ref().and_then(|text| cx.arg(text).ok())?;
    cx.known_path(&arg)
}

/// clang and clang++.
///
/// # Errors
/// A gap: one of them is not there.
pub(super) fn clang(kind: &Bootstrap, cx: &mut Context) -> Result<(Utf8PathBuf, Utf8PathBuf), Gap> {
    let clang = match directory(kind, cx) {
        Some(dir) => {
            let path = dir.join("bin/clang");
            cx.facts.program(path.as_str()).ok_or_else(|| Gap {
                what: format!("{path} does not exist"),
                remedy: format!("name an LLVM that has bin/clang: {}", built_by(cx).how_to_set("host-llvm", "DIR")),
            })?
        }
        None => cx.find_tool("clang")?,
    };
    let cxx = llvm::cplusplus(cx.facts, &clang)?;
    Ok((clang, cxx))
}

/// The directory with the tools of an LLVM.
///
/// # Errors
/// A gap: `llvm-config` does not say.
pub(super) fn bindir(llvm_config: &Utf8Path, cx: &Context) -> Result<Utf8PathBuf, Gap> {
    let printed = cx.facts.output(&[llvm_config.as_str(), "--bindir"]);
    printed.map(|text| text.trim().into()).ok_or_else(|| Gap {
        what: format!("`{llvm_config} --bindir` does not say where the tools of that LLVM are"),
        remedy: format!(
            "name the llvm-config of an LLVM that has its tools: {}",
            built_by(cx).how_to_set("llvm", "LLVM-CONFIG")
        ),
    })
}

/// The stage that runs `x.py`: this one, or the one whose toolchain it trains.
fn built_by<'a>(cx: &Context<'a>) -> &'a Stage {
    cx.trained_on(cx.stage).ok().flatten().unwrap_or(cx.stage)
}
