//! `kind = "cmake"`: configure, build, install.
//!
//! Decides which tools are used and what the commands are; which flags an optimisation needs is in [`flags`]. Unaware of
//! how profiles come about.

mod compiler;
mod flags;
mod trained;

use camino::Utf8Path;

use super::{Context, PlanError};
use crate::pipeline::kind::cmake::Define;
use crate::pipeline::kind::{Cmake, Pgo};
use crate::plan::ops::{Capture, CheckProfileUse};
use crate::plan::{Arg, Command, Output, Step, Symbol};
use crate::toolchain::llvm;

use compiler::Compilers;
use flags::Flags;

/// Cache variables that keys of the stage set, and the keys.
const KEYS: [(&str, &str); 8] = [
    ("CMAKE_C_COMPILER", "compiler"),
    ("CMAKE_CXX_COMPILER", "compiler"),
    ("CMAKE_BUILD_TYPE", "build-type"),
    ("CMAKE_GENERATOR", "generator"),
    ("CMAKE_C_COMPILER_LAUNCHER", "launcher"),
    ("CMAKE_CXX_COMPILER_LAUNCHER", "launcher"),
    ("CMAKE_INTERPROCEDURAL_OPTIMIZATION", "lto"),
    ("CMAKE_LINKER_TYPE", "linker"),
];

pub(super) fn plan(kind: &Cmake, cx: &mut Context) -> Result<(), PlanError> {
    check(kind, cx)?;
    trained::check(kind, cx)?;
    let cmake = cx.tool("cmake");
    let source = source(kind, cx)?;
    let compilers = compiler::find(kind, cx)?;
    let flags = flags::of(kind, &compilers, cx)?;

    let mut configure = vec![cmake.clone(), "-S".into(), source, "-B".into(), Symbol::Build.into()];
    let ninja = generator(kind, cx, &mut configure)?;
    let build_type = match &kind.build_type {
        Some(text) => cx.arg(text)?,
        None => "Release".into(),
    };
    define(&mut configure, "CMAKE_BUILD_TYPE", build_type);
    define(&mut configure, "CMAKE_C_COMPILER", compilers.c.clone());
    define(&mut configure, "CMAKE_CXX_COMPILER", compilers.cxx.clone());
    if let Some(ninja) = ninja {
        define(&mut configure, "CMAKE_MAKE_PROGRAM", ninja);
    }
    if let Some(text) = &kind.launcher {
        let launcher = cx.program(text)?;
        define(&mut configure, "CMAKE_C_COMPILER_LAUNCHER", launcher.clone());
        define(&mut configure, "CMAKE_CXX_COMPILER_LAUNCHER", launcher);
    }
    rpath(kind, &mut configure);
    archivers(kind, &compilers, cx, &mut configure);
    definitions(kind, &flags, cx, &mut configure)?;

    let mut build = vec![cmake.clone(), "--build".into(), Symbol::Build.into(), "-j".into(), Symbol::Jobs.into()];
    if !kind.targets.is_empty() {
        build.push("--target".into());
        for target in &kind.targets {
            build.push(cx.arg(target)?);
        }
    }

    let profdata = flags.profile.as_ref().and_then(|_| compilers.path());
    let profdata = profdata.and_then(|clang| llvm::profdata_for_clang(cx.facts, clang).ok());
    if let Some(profile) = &flags.profile {
        cx.check_profile(profile.clone(), &compilers.shown(), compilers.llvm_major(), profdata.clone())?;
    }
    step(kind, cx, "configure", configure);
    step(kind, cx, "build", build);
    if kind.install {
        // The prefix is given here and not when configuring: it has the stage's fingerprint in it, and a build directory
        // that is kept would be built anew for each.
        let argv = vec![cmake, "--install".into(), Symbol::Build.into(), "--prefix".into(), Symbol::Out.into()];
        step(kind, cx, "install", argv);
    }
    outputs(kind, cx)?;
    let Some(profile) = &flags.profile else { return Ok(()) };
    match cx.profile_reader(profdata) {
        Some(tool) => cx.check_profile_use(CheckProfileUse::of_all(profile, &tool), kind.max_unprofiled.as_ref()),
        None => Ok(()),
    }
}

/// What makes no sense together.
fn check(kind: &Cmake, cx: &Context) -> Result<(), PlanError> {
    for (variable, key) in KEYS {
        if kind.define.contains_key(variable) {
            let message = format!("the stage sets `{variable}` itself; use its key `{key}`");
            return Err(cx.invalid(&format!("define.{variable}"), message));
        }
    }
    match (&kind.pgo, &kind.cs_pgo) {
        (Some(Pgo::Generate), Some(_)) => Err(cx.invalid(
            "cs-pgo",
            "context-sensitive instrumentation comes after the first: gather with `pgo = \"generate\"` alone, then say \
             `pgo = { use = … }` beside `cs-pgo`",
        )),
        (None, Some(Pgo::Generate)) => Err(cx.invalid(
            "cs-pgo",
            "context-sensitive instrumentation needs the profile of the first one: add `pgo = { use = … }`",
        )),
        _ if !kind.install && kind.outputs.is_empty() => Err(cx.invalid(
            "outputs",
            "without `install` the stage has to say which files of the build directory it is for: `outputs = { lib = \
             \"lib/libx.so\" }`",
        )),
        _ => Ok(()),
    }
}

fn source(kind: &Cmake, cx: &mut Context) -> Result<Arg, PlanError> {
    let source = cx.arg(&kind.source)?;
    if let Some(path) = cx.known_path(&source) {
        let lists = path.join("CMakeLists.txt");
        if !cx.facts.exists(&lists) {
            cx.gap(format!("{lists} does not exist"), "get the sources, or set `source` to the directory that has it");
        }
        cx.source("source", path, false);
    } else if source.parts.iter().all(|part| matches!(part, crate::plan::Part::Literal(_))) {
        let message = "a relative path; begin with `${pipeline.dir}`, a variable of type path, or an output of a stage";
        return Err(cx.invalid("source", message));
    }
    Ok(source)
}

/// Adds the generator; returns ninja, if that is it.
fn generator(kind: &Cmake, cx: &mut Context, configure: &mut Vec<Arg>) -> Result<Option<Arg>, PlanError> {
    let Some(text) = &kind.generator else {
        // A pipeline that names it among its tools does not want to be built without.
        let required = cx.pipeline.tools.get("ninja").is_some_and(|tool| !tool.optional);
        let ninja = if required { Some(cx.tool("ninja")) } else { cx.optional_tool("ninja") };
        let Some(ninja) = ninja else {
            cx.note("ninja is not installed: built with CMake's default generator");
            return Ok(None);
        };
        configure.extend(["-G".into(), "Ninja".into()]);
        return Ok(Some(ninja));
    };
    let generator = cx.arg(text)?;
    let is_ninja = generator.symbolic().starts_with("Ninja");
    configure.extend(["-G".into(), generator]);
    Ok(is_ninja.then(|| cx.tool("ninja")))
}

/// Until they are installed, programs find libraries by the path of the build directory. `cmake --install` takes it out, but the
/// space for it and the build id that was made of it stay. Without it, a build in another directory is the same to the byte.
fn rpath(kind: &Cmake, configure: &mut Vec<Arg>) {
    const RELATIVE: &str = "CMAKE_BUILD_RPATH_USE_ORIGIN";
    if kind.install && !kind.define.contains_key(RELATIVE) {
        define(configure, RELATIVE, "ON".into());
    }
}

/// Archives of LLVM bitcode need an index that only LLVM's archiver writes.
fn archivers(kind: &Cmake, compilers: &Compilers, cx: &mut Context, configure: &mut Vec<Arg>) {
    if kind.lto == crate::pipeline::kind::Lto::Off || !compilers.is_clang() {
        return;
    }
    for (variable, name) in [("CMAKE_AR", "llvm-ar"), ("CMAKE_RANLIB", "llvm-ranlib"), ("CMAKE_NM", "llvm-nm")] {
        if !kind.define.contains_key(variable) {
            let tool = compilers.tool(cx, name);
            define(configure, variable, tool);
        }
    }
}

/// The user's cache variables, and the flags behind those that the user gives.
fn definitions(kind: &Cmake, flags: &Flags, cx: &mut Context, configure: &mut Vec<Arg>) -> Result<(), PlanError> {
    let ours = flags.variables();
    for (variable, value) in &kind.define {
        if !ours.iter().any(|(ours, ..)| ours == variable) {
            let value = value_of(value, cx)?;
            define(configure, variable, value);
        }
    }
    let env = cx.command(Vec::new()).env;
    for (variable, environment, flags) in ours {
        // CMake reads the environment only where the variable is not given.
        let given = match kind.define.get(variable) {
            Some(value) => Some(value_of(value, cx)?),
            None => env.get(environment).cloned(),
        };
        let given = given.filter(|flags| !flags.symbolic().is_empty());
        let all: Vec<Arg> = given.into_iter().chain(flags.iter().cloned()).collect();
        define(configure, variable, flags::joined(&all));
    }
    Ok(())
}

fn value_of(value: &Define, cx: &mut Context) -> Result<Arg, PlanError> {
    Ok(match value {
        Define::Bool(true) => "ON".into(),
        Define::Bool(false) => "OFF".into(),
        Define::Integer(number) => number.to_string().into(),
        Define::Text(text) => cx.arg(text)?,
    })
}

fn define(argv: &mut Vec<Arg>, variable: &str, value: Arg) {
    argv.push(Arg::from(format!("-D{variable}=")).with(value));
}

fn step(kind: &Cmake, cx: &mut Context, name: &str, argv: Vec<Arg>) {
    let mut command: Command = cx.command(argv);
    if instrumented(kind) {
        // Programs that the build itself runs would leave profiles of nothing that counts.
        command.env.entry("LLVM_PROFILE_FILE".into()).or_insert("/dev/null".into());
    }
    cx.step(Step::command(name, command));
}

fn instrumented(kind: &Cmake) -> bool {
    [&kind.pgo, &kind.cs_pgo].into_iter().any(|pgo| matches!(pgo, Some(Pgo::Generate)))
}

fn outputs(kind: &Cmake, cx: &mut Context) -> Result<(), PlanError> {
    let portable = !instrumented(kind);
    let out = Output { name: "out".into(), path: Symbol::Out.into(), portable, show: false };
    cx.plan.outputs.push(out);
    for (name, text) in &kind.outputs {
        let below = cx.arg(text)?;
        if let Some(literal) = text.as_literal() {
            let path = Utf8Path::new(literal.as_ref());
            if path.is_absolute() || path.components().any(|part| part.as_str() == "..") {
                return Err(cx.invalid(&format!("outputs.{name}"), "a path below the result, such as `lib/libx.so`"));
            }
        }
        let path = Arg::from(Symbol::Out).join("").with(below.clone());
        if !kind.install {
            let from = Arg::from(Symbol::Build).join("").with(below);
            cx.step(Step::op(format!("capture-{name}"), Capture::new(from, path.clone())));
        }
        cx.plan.outputs.push(Output { name: name.clone(), path, portable, show: false });
    }
    Ok(())
}
