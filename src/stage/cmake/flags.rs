//! The compilers of a cmake stage, which flags an optimisation needs, and in which of CMake's variables they have to stand.
//!
//! What is left out on purpose:
//! - `-fprofile-update=atomic`: counters of threads that collide lose counts, which changes proportions little, while atomic
//!   ones make an instrumented program several times slower. A project can `define` it.
//! - A path in `-fprofile-generate`: gather stages say by `LLVM_PROFILE_FILE` where profiles go.
//! - `-Wno-…` with `-fprofile-use`: clang warns of functions whose code is not the profile's. That is what tells of a profile
//!   that does nothing, and functions that the training did not reach are not warned of.
//! - `-Wl,--thinlto-jobs`: does not change what is linked, but a number of jobs in the flags would link everything again
//!   whenever the number changes.
//!
//! What is there besides the obvious: a profile names a function that is local to its file by the path of the file and its own
//! name. Such a function would have no profile when the sources lie elsewhere than they did when the program was trained:
//! in a project that was moved, in another checkout, in the output of a stage that ran again. So only the file's name is
//! taken. Two files of one name with functions of one name are told apart by the shape of their code.

use camino::{Utf8Path, Utf8PathBuf};

use super::{Cmake, Icf, instrumented};
use crate::plan::{Arg, Part};
use crate::stage::{Context, Lto, Pgo, PlanError, bolt};
use crate::toolchain::llvm::{self, Compiler, LOCAL_NAMES, WARN_UNPROFILED};

/// What [`LOCAL_NAMES`] is for clang, for lld, which names functions where context-sensitive profiles and link-time optimisation meet.
const NAMES_IN_LLD: &str = "-Wl,-mllvm,-static-func-full-module-prefix=false";
/// Flags of a stage.
pub(super) struct Flags {
    /// Of C and C++.
    compile: Vec<Arg>,
    /// Of executables, shared libraries and modules.
    link: Vec<Arg>,
    /// Behind everything else that the linker gets, so that it counts whatever the project says.
    last: Vec<Arg>,
    /// The profile that they refer to.
    pub profile: Option<Arg>,
}

impl Flags {
    /// CMake's variables for them, and the variables of the environment that CMake would take in their place.
    pub fn variables(&self) -> Vec<(&'static str, &'static str, &[Arg])> {
        let compile = [("CMAKE_C_FLAGS", "CFLAGS"), ("CMAKE_CXX_FLAGS", "CXXFLAGS")];
        let link = ["CMAKE_EXE_LINKER_FLAGS", "CMAKE_SHARED_LINKER_FLAGS", "CMAKE_MODULE_LINKER_FLAGS"];
        let compile = compile.map(|(variable, env)| (variable, env, self.compile.as_slice()));
        let link = link.map(|variable| (variable, "LDFLAGS", self.link.as_slice()));
        // CMake puts these behind the libraries of every link, and knows no variable of the environment for them.
        let last = ["CMAKE_C_STANDARD_LIBRARIES", "CMAKE_CXX_STANDARD_LIBRARIES"];
        let last = last.map(|variable| (variable, "", self.last.as_slice()));
        compile.into_iter().chain(link).chain(last).filter(|(.., flags)| !flags.is_empty()).collect()
    }
}

/// The flags that the stage's keys ask for.
pub(super) fn of(kind: &Cmake, compilers: &Compilers, cx: &mut Context) -> Result<Flags, PlanError> {
    let mut compile = Vec::new();
    // The profile of a context-sensitive build has the first one's functions in it, and a clang takes one profile.
    let used = [&kind.cs_pgo, &kind.pgo].into_iter().find_map(|pgo| pgo.as_ref()?.profile());
    let profile = used.map(|text| cx.arg(text)).transpose()?;
    if let Some(profile) = &profile {
        compile.push(quoted("-fprofile-use=", profile.clone()));
    }
    if kind.pgo == Some(Pgo::Generate) {
        compile.push("-fprofile-generate".into());
    }
    if kind.cs_pgo == Some(Pgo::Generate) {
        compile.push("-fcs-profile-generate".into());
    }
    let profiles = !compile.is_empty();
    match kind.lto {
        Lto::Off => {}
        Lto::Thin => compile.push("-flto=thin".into()),
        Lto::Full if compilers.is_clang() => compile.push("-flto=full".into()),
        Lto::Full => compile.push("-flto".into()),
    }
    // The driver needs them again when it links: for the profile runtime, and for what is compiled only then.
    let mut link = compile.clone();
    if profiles {
        compile.push(LOCAL_NAMES.into());
    }
    if profile.is_some() {
        compile.push(WARN_UNPROFILED.into());
    }
    let linker = linker(kind, compilers, cx)?;
    let by_lld = kind.linker.as_ref().is_none_or(|text| matches!(text.as_literal().as_deref(), Some("lld" | "ld.lld")));
    if kind.cs_pgo.is_some() && kind.lto != Lto::Off && by_lld {
        link.push(NAMES_IN_LLD.into());
    }
    link.extend(linker);
    match kind.icf {
        None => {}
        Some(Icf::None) => link.push("-Wl,--icf=none".into()),
        Some(icf) => {
            // Only functions in sections of their own can be folded.
            compile.push("-ffunction-sections".into());
            link.push(if icf == Icf::All { "-Wl,--icf=all" } else { "-Wl,--icf=safe" }.into());
        }
    }
    let mut last = Vec::new();
    if kind.keep_relocations {
        link.push("-Wl,--emit-relocs".into());
        last.extend(bolt::unpacked(cx).filter(|_| by_lld || is_bfd(kind)).map(Arg::from));
    }
    Ok(Flags { compile, link, last, profile })
}

fn is_bfd(kind: &Cmake) -> bool {
    kind.linker.as_ref().is_some_and(|text| matches!(text.as_literal().as_deref(), Some("bfd" | "ld" | "ld.bfd")))
}

/// The flag that chooses the linker.
fn linker(kind: &Cmake, compilers: &Compilers, cx: &mut Context) -> Result<Option<Arg>, PlanError> {
    let folds = kind.icf.is_some_and(|icf| icf != Icf::None);
    let Some(text) = &kind.linker else {
        let needs_lld = kind.lto != Lto::Off && compilers.is_clang() || folds || kind.keep_relocations;
        return Ok(needs_lld.then(|| lld(compilers, cx)));
    };
    let name = text.as_literal().unwrap_or_default().into_owned();
    if matches!(name.as_str(), "bfd" | "ld" | "ld.bfd") {
        let key = if folds { Some("icf") } else { (kind.lto != Lto::Off && compilers.is_clang()).then_some("lto") };
        if let Some(key) = key {
            return Err(cx.invalid("linker", format!("GNU ld cannot do what `{key}` asks for; set `linker = \"lld\"`")));
        }
    }
    Ok(Some(match name.as_str() {
        "lld" | "ld.lld" => lld(compilers, cx),
        "bfd" | "gold" | "mold" => {
            let tool = if name == "mold" { name.clone() } else { format!("ld.{name}") };
            cx.tool(&tool);
            format!("-fuse-ld={name}").into()
        }
        _ if !compilers.is_clang() => {
            let message = format!("gcc knows `lld`, `mold`, `gold` and `bfd`, not `{text}`");
            return Err(cx.invalid("linker", message));
        }
        _ => quoted("--ld-path=", cx.program(text)?),
    }))
}

fn lld(compilers: &Compilers, cx: &mut Context) -> Arg {
    let declared = ["ld.lld", "lld"].into_iter().find(|name| cx.pipeline.tools.contains_key(*name));
    if declared.is_none()
        && let Some(path) = compilers.path_beside(cx, "ld.lld")
    {
        cx.tool_at("ld.lld", path);
        return "-fuse-ld=lld".into();
    }
    let tool = cx.tool(declared.unwrap_or("ld.lld"));
    match compilers.is_clang() && cx.known_path(&tool).is_some() {
        true => quoted("--ld-path=", tool),
        false => "-fuse-ld=lld".into(),
    }
}

/// A flag with a path. CMake puts flags into command lines of a shell as they are.
fn quoted(flag: &str, path: Arg) -> Arg {
    Arg::from(format!("{flag}'")).with(path).with("'")
}

/// The C and the C++ compiler.
pub(super) struct Compilers {
    pub c: Arg,
    pub cxx: Arg,
    kind: Compiler,
    /// Where the C compiler is; none if it is missing, or made by another stage.
    pub path: Option<Utf8PathBuf>,
}

impl Compilers {
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
pub(super) fn compilers(kind: &Cmake, cx: &mut Context) -> Result<Compilers, PlanError> {
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
        if let (Compiler::Unknown, Some(path), true) = (compilers.kind, &compilers.path, key.is_some()) {
            cx.gap(
                format!(
                    "which compiler {path} is cannot be known: `{path} --version` fails, or names neither clang nor gcc"
                ),
                "see what it says, and repair it; or name another one: `compiler`, `[tools]`",
            );
        } else if let Some(key) = key {
            let message = "works with clang only: gcc's profiles and thin LTO are others; set `compiler = \"clang\"`";
            return Err(cx.invalid(key, message));
        }
    }
    if instrumented(kind)
        && let Some(path) = &compilers.path
        && let Err(gap) = llvm::profile_runtime(cx.facts, path)
    {
        cx.gap(gap.what, gap.remedy);
    }
    Ok(())
}
