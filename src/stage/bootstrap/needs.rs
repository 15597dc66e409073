//! What must be there before the first minute is spent: compilers, sources, tools, libraries, room on the disk.

use camino::{Utf8Path, Utf8PathBuf};

use super::config::Config;
use super::{Bootstrap, BootstrapCommand, Context, Pgo, PlanError, Xpy};
use crate::pipeline::Stage;
use crate::plan::{Arg, Gap};
use crate::toolchain::{llvm, packages, version};

const GIB: u64 = 1 << 30;

/// Adds a gap for each thing that is missing.
pub(super) fn look(xpy: &Xpy, config: &Config, cx: &mut Context) -> Result<(), PlanError> {
    config.check_names(&xpy.checkout, cx)?;
    check_compilers(xpy, cx)?;
    llvm_outside(xpy, cx);
    stage0(xpy, cx);
    linkers(xpy, config, cx);
    sources(xpy, config, cx);
    if xpy.llvm_config.is_none() {
        build_tools(xpy, config, cx);
    }
    libraries(xpy, config, cx);
    archives(xpy, config, cx);
    Ok(())
}

/// clang for LLVM, with what instrumented programs are linked with.
fn check_compilers(xpy: &Xpy, cx: &mut Context) -> Result<(), PlanError> {
    let Some(clang) = xpy.compilers.clang.clone() else { return Ok(()) };
    if xpy.kind.pgo.llvm.is_some() && llvm::compiler(cx.facts, &clang) == llvm::Compiler::Gcc {
        return Err(cx.invalid(
            "pgo.llvm",
            format!(
                "{clang} is gcc; LLVM is built with a profile by clang only: {}",
                cx.how_to_set("host-llvm", "DIR")
            ),
        ));
    }
    if xpy.llvm_config.is_some() && xpy.kind.pgo.llvm.is_some() {
        return Err(cx.invalid("pgo.llvm", "LLVM stands outside of the checkout (`llvm`) and is not built"));
    }
    if xpy.kind.pgo.llvm == Some(Pgo::Generate)
        && let Err(gap) = llvm::profile_runtime(cx.facts, &clang)
    {
        cx.gap(gap.what, gap.remedy);
    }
    Ok(())
}

/// An LLVM that x.py refuses, which it does only when it builds.
fn llvm_outside(xpy: &Xpy, cx: &mut Context) {
    let Some(path) = xpy.llvm_config.as_ref().and_then(|program| cx.known_path(program)) else { return };
    if !cx.facts.exists(&path) {
        return;
    }
    let checkout = &xpy.checkout;
    let oldest = checkout.oldest_llvm.map(|oldest| (oldest.major, checkout.path.join(oldest.file)));
    let named = cx.how_to_set("llvm", "LLVM-CONFIG");
    match (xpy.rustc_llvm(cx), oldest, checkout.llvm_major) {
        (None, Some((least, file)), _) => cx.gap(
            format!("`{path} --version` does not say of which LLVM it is, and x.py takes LLVM {least} and newer ({file})"),
            format!("name the llvm-config of an LLVM: {named}"),
        ),
        (Some(major), Some((least, file)), _) if major < least => cx.gap(
            format!("{path} is of LLVM {major}, and x.py takes LLVM {least} and newer ({file})"),
            format!("name the llvm-config of a newer LLVM: {named}"),
        ),
        (Some(major), _, Some(own)) if major > own => cx.note(format!(
            "{path} is of LLVM {major}, newer than the checkout's own LLVM {own}: rustc may not compile with it, which shows when it is built"
        )),
        _ => {}
    }
}

/// A compiler is built by the version before it, or by itself.
fn stage0(xpy: &Xpy, cx: &mut Context) {
    let Some(path) = xpy.rustc.as_ref().and_then(|rustc| cx.known_path(rustc)) else { return };
    let (Some(found), Some(wanted)) = (version::of(cx.facts, "rustc", &path), &xpy.checkout.version) else { return };
    if found.major != wanted.major || (found.minor != wanted.minor && found.minor + 1 != wanted.minor) {
        let before = wanted.minor.saturating_sub(1);
        cx.gap(
            format!("{path} is rustc {found}, which cannot build rustc {wanted}"),
            format!(
                "name a rustc {}.{before} or {}.{} ({}), or none",
                wanted.major,
                wanted.major,
                wanted.minor,
                cx.how_to_set("rustc", "PROGRAM")
            ),
        );
    }
}

/// Where a checkout says what it copies of a stage-0 sysroot, and what it says.
const COPIES: [(&str, &str); 1] =
    [("src/bootstrap/src/core/build_steps/compile.rs", ".join(\"lib\"), &sysroot.join(\"lib\")")];

/// The sysroot of the stage-0 compiler, by where its standard library is, and the name of that directory: distributions have `lib64`.
/// None where x.py downloads it, and where it is none of a usual form.
fn stage0_sysroot(xpy: &Xpy, cx: &Context) -> Option<(Utf8PathBuf, &'static str)> {
    let rustc = cx.known_path(xpy.rustc.as_ref()?)?;
    // rustc looks from where its program really is.
    let places = [cx.facts.real_path(&rustc), Some(rustc)];
    places.into_iter().flatten().find_map(|rustc| {
        let sysroot = rustc.parent()?.parent()?;
        let name = ["lib", "lib64"]
            .into_iter()
            .find(|lib| cx.facts.exists(&sysroot.join(lib).join("rustlib").join(&xpy.build).join("lib")))?;
        Some((sysroot.to_owned(), name))
    })
}

/// A stage-0 compiler with its libraries in `lib64`: x.py uses the sysroot's `lib` alone, and then finds no standard library.
fn stage0_libraries(xpy: &Xpy, cx: &mut Context) {
    let Some((sysroot, "lib64")) = stage0_sysroot(xpy, cx) else { return };
    let path = &xpy.checkout.path;
    let copies =
        COPIES.iter().find(|(file, words)| cx.facts.read(&path.join(file)).is_some_and(|text| text.contains(words)));
    match copies {
        Some((file, _)) => cx.gap(
            format!(
                "the stage-0 compiler has its standard library in {sysroot}/lib64, and x.py of this checkout takes {sysroot}/lib \
                 ({file}): the first program that it builds finds no `std`"
            ),
            format!(
                "name a rustc that has it in `lib`, as those of rustup have, or none ({})",
                cx.how_to_set("rustc", "PROGRAM")
            ),
        ),
        None => cx.note(format!(
            "the stage-0 compiler has its standard library in {sysroot}/lib64; x.py of several versions looks in `lib` alone"
        )),
    }
}

/// Linkers: lld, with which the compiler is linked, and `rust-lld`, which is built from the sources of the checkout's own LLVM.
fn linkers(xpy: &Xpy, config: &Config, cx: &mut Context) {
    stage0_libraries(xpy, cx);
    let is = |name: &str, values: &[&str]| {
        config.get(&xpy.checkout, name).is_some_and(|value| values.contains(&value.trim_matches(['"', '\''])))
    };
    let by = format!("target.{}.default-linker-linux-override", xpy.host);
    let packs = [("rust.lld", "true"), (by.as_str(), "self-contained-lld-cc")];
    if xpy.llvm_config.is_some()
        && let Some((name, value)) = packs.into_iter().find(|(name, value)| is(name, &[*value]))
    {
        rust_lld(xpy, &format!("{name} = {value}"), cx);
    }
    let over = "rust.bootstrap-override-lld";
    if is(over, &["self-contained"])
        && let Some((sysroot, lib)) = stage0_sysroot(xpy, cx)
    {
        let rust_lld = sysroot.join(lib).join("rustlib").join(&xpy.build).join("bin/rust-lld");
        if !cx.facts.exists(&rust_lld) {
            cx.gap(
                format!("there is no {rust_lld}, with which `{over} = \"self-contained\"` links"),
                format!("set `{over} = true`, which takes the lld that is installed, or install the stage-0 compiler's rust-lld"),
            );
        }
    }
    if is(over, &["true", "external"]) && xpy.host.contains("linux") {
        lld(xpy, cx);
    }
}

/// An LLVM that stands outside, of which x.py is to pack a `rust-lld`. It took the `lld` beside `llvm-config` for that until rust 1.87.
/// From then on it builds none, which versions before 1.91 say when they pack, after all else is built.
fn rust_lld(xpy: &Xpy, setting: &str, cx: &mut Context) {
    let without = format!("take `{setting}` out, or build with the checkout's own LLVM (`llvm = \"in-tree\"`)");
    if xpy.checkout.version.as_ref().is_none_or(|version| (version.major, version.minor) >= (1, 88)) {
        let what =
            format!("`{setting}` asks for rust-lld, which x.py does not build where LLVM stands outside (`llvm`)");
        return cx.gap(what, without);
    }
    let Some(path) = xpy.llvm_config.as_ref().and_then(|program| cx.known_path(program)) else { return };
    if let Ok(dir) = bindir(&path, cx)
        && !cx.facts.exists(&dir.join("lld"))
    {
        cx.gap(
            format!("there is no {dir}/lld, which x.py packs as rust-lld for `{setting}`"),
            format!("install it; or {without}"),
        );
    }
}

/// The lld that clang finds: beside itself, else in PATH.
fn lld(xpy: &Xpy, cx: &mut Context) {
    match xpy.compilers.clang.as_ref().and_then(|clang| llvm::beside(cx.facts, clang, "ld.lld")) {
        Some(path) => cx.tool_at("ld.lld", path),
        None => cx.tool("ld.lld"),
    };
}

/// Submodules, which x.py fetches in a clone only, and crates.
fn sources(xpy: &Xpy, config: &Config, cx: &mut Context) {
    let checkout = &xpy.checkout;
    if !checkout.is_known() {
        return;
    }
    let fetches = config.get(checkout, "build.submodules").as_deref() == Some("true");
    let mut wanted = vec!["library/stdarch", "library/backtrace"];
    if xpy.llvm_config.is_none() {
        wanted.push("src/llvm-project/llvm");
    }
    if xpy.kind.pgo.components().any(|(name, pgo)| *pgo == Pgo::Generate && name != "llvm") {
        // The runtime of instrumented Rust programs is made of it.
        wanted.push("src/llvm-project/compiler-rt");
    }
    if xpy.kind.builds("cargo") {
        wanted.push("src/tools/cargo");
    }
    for below in wanted {
        // A submodule that was not fetched is an empty directory; what has become part of the sources, or is gone, is not looked for.
        let dir = checkout.path.join(below);
        let missing = cx.facts.list(&dir).is_empty() && (below.starts_with("src/") || cx.facts.exists(&dir));
        if missing && fetches {
            cx.note(format!("x.py fetches the submodule {below} with git"));
        } else if missing {
            cx.gap(format!("{dir} has no files"), "fetch the submodule, or get sources that have it");
        }
    }
    if config.get(checkout, "build.vendor").as_deref() == Some("true") {
        if !cx.facts.exists(&checkout.path.join("vendor")) {
            cx.gap(
                format!("{} has no directory `vendor`", checkout.path),
                "run `x.py vendor`, or take `build.vendor` out",
            );
        }
    } else {
        cx.note("crates come from the registry, so there must be a network, or they are in CARGO_HOME already");
    }
    if xpy.rustc.is_none() && config.get(checkout, "build.bootstrap-cache-path").is_none() {
        cx.note("x.py downloads the stage-0 compiler");
    }
}

/// What LLVM's build runs.
fn build_tools(xpy: &Xpy, config: &Config, cx: &mut Context) {
    cx.tool("cmake");
    if config.get(&xpy.checkout, "llvm.ninja").as_deref() != Some("false") {
        cx.tool("ninja");
    }
    let on = |name: &str| config.get(&xpy.checkout, name).is_some_and(|value| value == "true");
    if on("llvm.thin-lto") && xpy.host.contains("linux") {
        lld(xpy, cx);
    }
    if on("llvm.static-libstdcpp")
        && let Some(clang) = &xpy.compilers.clang
        && cx.facts.output(&[clang.as_str(), "-print-file-name=libstdc++.a"]).is_some_and(|path| !path.contains('/'))
    {
        let clang = clang.clone();
        cx.gap(
            format!("{clang} finds no libstdc++.a for `llvm.static-libstdcpp`"),
            "install it, or take the setting out",
        );
    }
}

/// Libraries of the system, asked of pkg-config.
fn libraries(xpy: &Xpy, config: &Config, cx: &mut Context) {
    if !xpy.host.contains("linux") || xpy.host != xpy.build {
        return;
    }
    let on = |name: &str| config.get(&xpy.checkout, name).is_some_and(|value| value == "true");
    let mut wanted = Vec::new();
    let all = xpy.kind.paths.is_empty() && xpy.kind.command == BootstrapCommand::Dist;
    if (xpy.kind.builds("cargo") || all) && !on("build.cargo-native-static") {
        wanted.push(("openssl", "/usr/include/openssl/ssl.h", "cargo"));
    }
    if xpy.llvm_config.is_none() {
        wanted.push(("zlib", "/usr/include/zlib.h", "LLVM"));
        if on("llvm.libzstd") {
            wanted.push(("libzstd", "/usr/include/zstd.h", "`llvm.libzstd`"));
        }
    }
    if wanted.is_empty() {
        return;
    }
    let pkg_config = cx.optional_tool("pkg-config");
    let pkg_config = pkg_config.and_then(|arg| cx.known_path(&arg));
    for (library, header, user) in wanted {
        let known = match &pkg_config {
            Some(program) => cx.facts.output(&[program.as_str(), "--modversion", library]).is_some(),
            // cargo's build asks pkg-config; without it, it builds an OpenSSL of its own, which takes perl and long.
            None => library != "openssl" && cx.facts.exists(Utf8Path::new(header)),
        };
        if !known {
            let missing = if pkg_config.is_none() && library == "openssl" { "pkg-config" } else { library };
            let package = packages::package(packages::Manager::of(cx.facts), missing, 0);
            let remedy = packages::remedy(cx.facts, missing, package.as_deref());
            cx.gap(format!("`{missing}` is not installed, which the build of {user} needs"), remedy);
        }
    }
}

/// What takes archives apart in the stages behind this one: GNU tar starts xz.
fn archives(xpy: &Xpy, config: &Config, cx: &mut Context) {
    let own = &cx.stage.common.name;
    let reads = |stage: &Stage| stage.common.when && stage.dependencies.iter().flatten().any(|name| name == own);
    let are_read = cx.pipeline.stages.iter().any(reads);
    let without_xz =
        config.get(&xpy.checkout, "dist.compression-formats").is_some_and(|formats| !formats.contains("xz"));
    if xpy.kind.command == BootstrapCommand::Dist && xpy.build.contains("linux") && are_read && !without_xz {
        cx.needs_in_path("xz", "with which tar unpacks the archives");
    }
}

/// How many bytes the build directory will hold when all stages of a pipeline have worked in it, with what they capture. Measured with
/// rustc 1.85 and an LLVM with one target, rounded up. Not the sum over the stages there are: one more would make all others out of date.
pub(super) fn space(xpy: &Xpy) -> u64 {
    let usual = if xpy.llvm_config.is_some() { 10 * GIB } else { 16 * GIB };
    xpy.kind.disk_space.map_or(usual, |size| size.as_u64())
}

/// The compilers and tools of the machine that build LLVM and link the compiler, as `x.py` wants them; what a platform has no use for is not there.
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
