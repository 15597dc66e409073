//! The compilers of a cmake stage, and the tools that belong to them.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Context, PlanError};
use crate::pipeline::kind::{Cmake, Lto};
use crate::plan::{Arg, Part};
use crate::toolchain::llvm::{self, Compiler};

/// The C and the C++ compiler.
pub(super) struct Compilers {
    pub c: Arg,
    pub cxx: Arg,
    kind: Compiler,
    /// None if it is missing, or made by another stage.
    path: Option<Utf8PathBuf>,
}

impl Compilers {
    /// Where the C compiler is; none if it is missing, or made by another stage.
    pub fn path(&self) -> Option<&Utf8Path> {
        self.path.as_deref()
    }

    pub fn is_clang(&self) -> bool {
        matches!(self.kind, Compiler::Clang(_))
    }

    pub fn llvm_major(&self) -> Option<u64> {
        match self.kind {
            Compiler::Clang(major) => major,
            Compiler::Gcc | Compiler::Unknown => None,
        }
    }

    /// For messages.
    pub fn shown(&self) -> String {
        match (self.kind, &self.path) {
            (Compiler::Clang(Some(major)), _) => format!("clang {major}"),
            (_, Some(path)) => path.file_name().unwrap_or("clang").into(),
            (_, None) => "clang".into(),
        }
    }

    /// A tool of the pipeline, else the one of the same LLVM, else any.
    pub fn tool(&self, cx: &mut Context, name: &str) -> Arg {
        match self.path_beside(cx, name) {
            Some(path) => cx.tool_at(name, path),
            None => cx.tool(name),
        }
    }

    /// Where the compiler finds a tool by itself, unless the pipeline names another one.
    pub fn path_beside(&self, cx: &Context, name: &str) -> Option<Utf8PathBuf> {
        let compiler = self.path.as_deref().filter(|_| !cx.pipeline.tools.contains_key(name))?;
        llvm::beside(cx.facts, compiler, name)
    }
}

/// Finds the compilers, and whatever else the stage's optimisations need of them.
pub(super) fn find(kind: &Cmake, cx: &mut Context) -> Result<Compilers, PlanError> {
    let c = match &kind.compiler {
        Some(text) => cx.program(text)?,
        None => cx.tool("clang"),
    };
    let path = cx.known_path(&c);
    let of = match &path {
        Some(path) => llvm::compiler(cx.facts, path),
        // Missing, or made by another stage; the name has to do.
        None if c.symbolic().contains("gcc") => Compiler::Gcc,
        None => Compiler::Clang(None),
    };
    let compilers = Compilers { cxx: cplusplus(&c, path.as_deref(), cx), c, kind: of, path };
    check(kind, &compilers, cx)?;
    Ok(compilers)
}

/// The C++ compiler that the pipeline names, or the one beside the C compiler.
fn cplusplus(c: &Arg, path: Option<&Utf8Path>, cx: &mut Context) -> Arg {
    if c.symbolic() == "<tool clang>" && cx.pipeline.tools.contains_key("clang++") {
        return cx.tool("clang++");
    }
    let Some(path) = path else {
        // Made by another stage, or missing: then it is a gap already.
        let mut cxx = c.clone();
        if let Some(Part::Literal(text)) = cxx.parts.last_mut() {
            *text = match text.rsplit_once("gcc") {
                Some((before, after)) => format!("{before}g++{after}"),
                None => text.rsplit_once("clang").map_or("clang++".into(), |(b, a)| format!("{b}clang++{a}")),
            };
        }
        return cxx;
    };
    match llvm::cplusplus(cx.facts, path) {
        Ok(found) => {
            let name = if found.as_str().contains("clang++") { "clang++" } else { "c++" };
            cx.tool_at(name, found)
        }
        Err(gap) => {
            cx.gap(gap.what, gap.remedy);
            "c++".into()
        }
    }
}

fn check(kind: &Cmake, compilers: &Compilers, cx: &mut Context) -> Result<(), PlanError> {
    let pgo = [("pgo", &kind.pgo), ("cs-pgo", &kind.cs_pgo)].into_iter().find(|(_, pgo)| pgo.is_some());
    if !compilers.is_clang() {
        let key = pgo.map(|(key, _)| key).or((kind.lto == Lto::Thin).then_some("lto"));
        if let Some(key) = key {
            let message = "works with clang only: gcc's profiles and thin LTO are others; set `compiler = \"clang\"`";
            return Err(cx.invalid(key, message));
        }
    }
    if super::instrumented(kind)
        && let Some(path) = &compilers.path
        && let Err(gap) = llvm::profile_runtime(cx.facts, path)
    {
        cx.gap(gap.what, gap.remedy);
    }
    Ok(())
}
