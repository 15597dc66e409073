//! `kind = "cmake"`: configure, build, install.
//!
//! Decides which tools are used and what the commands are; which flags an optimisation needs is in [`flags`]. Unaware of
//! how profiles come about.

mod flags;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::Deserialize;

use super::bolt::keeps_relocations;
use super::command::below_own_directory;
use super::gather::Instrumented;
use super::{
    Context, Declaration, Language, Lto, Pgo, PlanError, Profdata, Relocations, StageKind, count_use, trained,
};
use crate::pipeline::{Answers, Keys, Need, Profiles, Stage, Text};
use crate::plan::ops::Capture;
use crate::plan::{Arg, Command, Gap, Output, Part, Step, Symbol, Unfit};
use crate::toolchain::llvm;

use flags::{Compilers, Flags};

/// Configures, builds and installs a CMake project with clang.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cmake {
    /// The directory of the project's `CMakeLists.txt`. Its files are inputs.
    pub source: Text,
    /// CMake's generator. Default: `Ninja` where ninja is present or one of the pipeline's `[tools]`, else CMake's own default.
    pub generator: Option<Text>,
    /// `CMAKE_BUILD_TYPE`. Default: `Release`.
    pub build_type: Option<Text>,
    /// Cache variables, given as `-DNAME=VALUE`. Compiler and linker flags among them (`CMAKE_C_FLAGS`, …) are put in
    /// front of those that the stage adds.
    #[serde(default)]
    pub define: BTreeMap<String, Define>,
    /// Targets to build. Default: the project's default target.
    #[serde(default)]
    pub targets: Vec<Text>,
    /// Whether `cmake --install` into `${self.out}` follows. Default: yes; `outputs` are then paths in `${self.out}`, else in
    /// the build directory, from where they are captured.
    #[serde(default = "crate::pipeline::value::yes")]
    pub install: bool,
    /// Profile-guided optimisation: `"generate"` or `{ use = "${gather.profile}" }`.
    pub pgo: Option<Pgo>,
    /// Context-sensitive PGO on top of `pgo = { use = … }`: a second instrumentation after inlining, `"generate"` or
    /// `{ use = … }`.
    pub cs_pgo: Option<Pgo>,
    /// The share of the program's functions that may have no counts in the profile that it is built with; more fail the stage: it
    /// is the profile of something else. Default: `90%`.
    pub max_unprofiled: Option<Text>,
    /// Link-time optimisation: `off`, `thin` or `full`.
    #[serde(default)]
    pub lto: Lto,
    /// The linker (`-fuse-ld`). Default: lld where `lto`, `icf` or `keep-relocations` need it, else the compiler's own.
    pub linker: Option<Text>,
    /// Identical code folding by the linker: `none`, `safe` or `all`.
    pub icf: Option<Icf>,
    /// Links with `--emit-relocs`, so that BOLT can move functions, and without packed relative relocations where the llvm-bolt at hand
    /// breaks them.
    #[serde(default)]
    pub keep_relocations: bool,
    /// The C compiler: the name of a tool or a path. The C++ compiler is found beside it. Default: `clang`.
    pub compiler: Option<Text>,
    /// A compiler launcher such as `ccache` or `sccache`.
    pub launcher: Option<Text>,
    /// Named files and directories of the result, relative to `${self.out}` (see `install`). `out`, all of it, is always
    /// there.
    #[serde(default)]
    pub outputs: BTreeMap<String, Text>,
}

/// The value of a CMake cache variable.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a string, a boolean or an integer")]
pub enum Define {
    Bool(bool),
    Integer(i64),
    Text(Text),
}

/// Identical code folding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Icf {
    None,
    /// Only functions whose address is not compared.
    Safe,
    All,
}

impl Declaration for Cmake {
    const NAME: &'static str = "cmake";
    type Parsed = Cmake;

    fn parse(self, keys: &mut Keys) -> Option<Cmake> {
        keys.check_outputs(&self.outputs);
        for (variable, key) in KEYS {
            if self.define.contains_key(variable) {
                let message = format!("the stage sets `{variable}` itself; use its key `{key}`");
                keys.wrong("define", message, "");
            }
        }
        match (&self.pgo, &self.cs_pgo) {
            (Some(Pgo::Generate), Some(_)) => {
                let message = "context-sensitive instrumentation comes after the first";
                let help = "gather with `pgo = \"generate\"` alone, then say `pgo = { use = … }` beside `cs-pgo`";
                keys.wrong("cs-pgo", message, help);
            }
            (None, Some(_)) if keys.is_complete() => {
                let message = "`cs-pgo` builds on a first-level profile, and there is none";
                keys.wrong("cs-pgo", message, "add `pgo = { use = \"${gather.profile}\" }`");
            }
            _ => {}
        }
        if !self.install && self.outputs.is_empty() && keys.is_complete() {
            let message = "without `install` the stage has to say which files of the build directory it is for";
            keys.wrong("install", message, "add `outputs = { lib = \"lib/libx.so\" }`");
        }
        Some(self)
    }
}

impl StageKind for Cmake {
    fn answers(&self) -> Answers {
        let outputs = std::iter::once("out".to_string()).chain(self.outputs.keys().cloned()).collect();
        let needs = instrumented(self).then_some(Need::ClangRuntime).into_iter().collect();
        Answers { outputs, writes: Some(Profiles::Compiler), needs, ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        check_trained(self, cx)?;
        let cmake = cx.tool("cmake");
        let source = source(self, cx)?;
        let compilers = flags::compilers(self, cx)?;
        let flags = flags::of(self, &compilers, cx)?;
        cx.plan.unfit.extend(UNFIT);
        if flags.profile.is_some() {
            cx.plan.unfit.extend(UNFIT_FOR_PROFILES);
        }

        let mut configure = vec![cmake.clone(), "-S".into(), source, "-B".into(), Symbol::Build.into()];
        let ninja = generator(self, cx, &mut configure)?;
        if ninja.is_none() {
            cx.plan.unfit.push(UNFIT_FOR_MAKE);
        }
        let build_type = match &self.build_type {
            Some(text) => cx.arg(text)?,
            None => "Release".into(),
        };
        define(&mut configure, "CMAKE_BUILD_TYPE", build_type);
        define(&mut configure, "CMAKE_C_COMPILER", compilers.c.clone());
        define(&mut configure, "CMAKE_CXX_COMPILER", compilers.cxx.clone());
        if let Some(ninja) = ninja {
            define(&mut configure, "CMAKE_MAKE_PROGRAM", ninja);
        }
        if let Some(text) = &self.launcher {
            let launcher = cx.program(text)?;
            define(&mut configure, "CMAKE_C_COMPILER_LAUNCHER", launcher.clone());
            define(&mut configure, "CMAKE_CXX_COMPILER_LAUNCHER", launcher);
        }
        rpath(self, &mut configure);
        archivers(self, &compilers, cx, &mut configure);
        definitions(self, &flags, cx, &mut configure)?;

        let mut build = vec![cmake.clone(), "--build".into(), Symbol::Build.into(), "-j".into(), Symbol::Jobs.into()];
        if !self.targets.is_empty() {
            build.push("--target".into());
            for target in &self.targets {
                build.push(cx.arg(target)?);
            }
        }

        let profdata = flags.profile.as_ref().and(compilers.path.as_deref());
        let profdata = profdata.and_then(|clang| llvm::profdata_for_clang(cx.facts, clang).ok());
        if let Some(profile) = &flags.profile {
            cx.check_profile(profile.clone(), &compilers.shown(), compilers.llvm_major(), profdata.clone())?;
        }
        step(self, cx, "configure", configure);
        step(self, cx, "build", build);
        if self.install {
            // The prefix is given here and not when configuring: it has the stage's fingerprint in it, and a build directory
            // that is kept would be built anew for each.
            let argv = vec![cmake, "--install".into(), Symbol::Build.into(), "--prefix".into(), Symbol::Out.into()];
            step(self, cx, "install", argv);
        }
        outputs(self, cx)?;
        count_use(flags.profile, profdata, self.max_unprofiled.as_ref(), cx)
    }

    fn below_out(&self, output: &str, cx: &mut Context) -> Option<String> {
        below_own_directory(self.outputs.get(output)?, cx)
    }

    fn relocations(&self) -> Option<Relocations<'_>> {
        let flag = |value: &Define| matches!(value, Define::Text(text) if keeps_relocations(text));
        Some(Relocations { kept: self.keep_relocations || self.define.values().any(flag), target: None })
    }

    fn language(&self) -> Option<Language> {
        Some(Language::C)
    }

    fn describe(&self, stage: &Stage, build: &mut Instrumented, cx: &mut Context) -> Result<(), PlanError> {
        if !instrumented(self) {
            return Err(cx.not_instrumented(stage, "pgo = \"generate\""));
        }
        build.first_level = self.pgo.as_ref().and_then(Pgo::profile).map(|profile| cx.arg(profile)).transpose()?;
        Ok(())
    }

    fn merge_tool(&self, _: &Stage, cx: &mut Context) -> Result<Option<Profdata>, PlanError> {
        let found = self.clang(cx).and_then(|clang| llvm::profdata_for_clang(cx.facts, &clang));
        Ok(Some(Profdata::Sure(cx.tool_or_gap("llvm-profdata", found.map(|tool| tool.path)))))
    }
}

impl Cmake {
    /// Where its C compiler is.
    fn clang(&self, cx: &mut Context) -> Result<Utf8PathBuf, Gap> {
        let Some(text) = &self.compiler else { return cx.find_tool("clang") };
        match text.as_literal() {
            Some(name) if !name.contains('/') => cx.find_tool(&name),
            _ => {
                let path = cx.arg(text).ok().and_then(|arg| cx.known_path(&arg));
                path.ok_or_else(|| Gap {
                    what: format!(
                        "the llvm-profdata that belongs to the compiler `{text}` is not known before it is built"
                    ),
                    remedy: "name it with `profdata` in the gather stage".into(),
                })
            }
        }
    }
}

/// Names of build directories that CMake does not build in, whatever is quoted.
const UNFIT: [Unfit; 4] = [
    Unfit { text: ";", because: "CMake takes it for the end of an item of a list" },
    Unfit { text: "\\", because: "CMake takes it for the beginning of an escape sequence" },
    Unfit { text: "\"", because: "CMake writes it into its files as the end of a string" },
    Unfit { text: "\n", because: "CMake takes it for the end of a line" },
];

/// The same for other generators than Ninja.
const UNFIT_FOR_MAKE: Unfit = Unfit { text: "#", because: "make takes it for the beginning of a comment" };

/// Names that flags with the path of a profile cannot have: CMake puts flags into lines of a shell and of ninja as they are.
const UNFIT_FOR_PROFILES: [Unfit; 2] = [
    Unfit { text: "'", because: "a shell takes it for the end of the path of the profile in the compiler's flags" },
    Unfit { text: "$", because: "ninja and make take it for a variable in the compiler's flags" },
];

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

fn source(kind: &Cmake, cx: &mut Context) -> Result<Arg, PlanError> {
    let source = cx.arg(&kind.source)?;
    if let Some(path) = cx.known_path(&source) {
        let lists = path.join("CMakeLists.txt");
        if !cx.facts.exists(&lists) {
            cx.gap(format!("{lists} does not exist"), "get the sources, or set `source` to the directory that has it");
        }
        cx.source("source", path, false);
    } else if source.parts.iter().all(|part| matches!(part, Part::Literal(_))) {
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
    if kind.lto == Lto::Off || !compilers.is_clang() {
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
        define(configure, variable, Arg::list(" ", given.into_iter().chain(flags.iter().cloned())));
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
    cx.plan.outputs.push(Output { name: "out".into(), path: Symbol::Out.into(), portable, show: false });
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

/// Refuses a profile of a Rust program.
fn check_trained(kind: &Cmake, cx: &Context) -> Result<(), PlanError> {
    for (key, pgo) in [("pgo", &kind.pgo), ("cs-pgo", &kind.cs_pgo)] {
        trained(key, pgo.as_ref(), Language::C, cx)?;
    }
    Ok(())
}

/// The keys that may change the code of functions.
///
/// clang finds a function's counts by its name and the shape of its code, and CMake's settings are not in names, as cargo's are.
/// The shape is taken before the optimisations that flags choose: between `-O1`, `-O2`, `-O3`, `-Os`, `-g`, `-fPIC`, `-march` and
/// thin LTO no function of a program that was tried lost its counts; with `-O0` all did, and macros change what they change. So a
/// difference is nothing to refuse: it is said, and what it costs is counted after the build.
pub fn differences(a: &Cmake, b: &Cmake) -> Vec<&'static str> {
    let build_type = |kind: &Cmake| kind.build_type.as_ref().map_or("Release".into(), Text::to_string);
    let keys = [
        ("source", a.source == b.source),
        ("compiler", a.compiler == b.compiler),
        ("build-type", build_type(a) == build_type(b)),
        ("define", a.define == b.define),
    ];
    keys.into_iter().filter(|(_, same)| !same).map(|(key, _)| key).collect()
}
