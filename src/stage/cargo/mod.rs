//! `kind = "cargo"`: builds programs, libraries for other languages, examples and benches of a package, or programs of a crate in the
//! registry.
//!
//! Decides on the command; how rustc's flags get past cargo's configuration, and what a manifest belongs to, is in [`config`]. Unaware of
//! how profiles come about.

mod config;
mod environment;
mod newest;
pub mod targets;

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::Deserialize;

use super::bolt::keeps_relocations;
use super::gather::Instrumented;
use super::overlooked::{Overlooked, how_to_pass};
use super::{
    Context, Declaration, Language, Lto, Pgo, PlanError, Profdata, Relocations, StageKind, count_use, kind_as, trained,
};
use crate::pipeline::{Answers, CommandLine, Keys, Need, Profiles, Stage, Text, value};
use crate::plan::ops::{Capture, CaptureBench, CargoAdvice};
use crate::plan::{Advice, Arg, Command, Output, Part, Step, Symbol};
use crate::toolchain::llvm;
use crate::toolchain::rust::{self, Rust};

/// Builds programs of a cargo package.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Cargo {
    /// The `Cargo.toml`, or the directory that it stands in; a relative path is one below the pipeline's directory. The directory (for a
    /// workspace, the workspace's) is an input. Either this or `crate`.
    pub manifest: Option<Text>,
    /// A program from the registry, as `name@version`; a name alone is the newest version that there is, when it is first asked for.
    /// Either this or `manifest`.
    #[serde(rename = "crate")]
    pub krate: Option<Text>,
    /// The package of a workspace.
    pub package: Option<Text>,
    /// The cargo profile. Default: `release`.
    pub profile: Option<Text>,
    /// Features to build with.
    #[serde(default)]
    pub features: Vec<Text>,
    /// Without the package's default features.
    #[serde(default)]
    pub no_default_features: bool,
    /// Names of the programs to build, each an output of that name in `${stage.out}/bin`.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub bins: Vec<String>,
    /// Names of libraries to build for programs in other languages, which the package makes as `cdylib` or `staticlib`. `libx` is the
    /// output of `x`: `${stage.out}/lib/libx.so`, or `libx.a` where there is only that. Where it makes both, both stand there.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub libs: Vec<String>,
    /// Names of examples to build, each an output of that name in `${stage.out}/examples`.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub examples: Vec<String>,
    /// Names of benches to build, each an output of that name in `${stage.out}/benches`: programs that take what their harness takes, as
    /// `--bench`.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub benches: Vec<String>,
    /// The target triple. Always passed, so that build scripts and procedural macros are not instrumented. Default: `${host}`.
    pub target: Option<Text>,
    /// Profile-guided optimisation: `"generate"` or `{ use = "${gather.profile}" }`.
    pub pgo: Option<Pgo>,
    /// The share of the program's functions that may have no counts in the profile that it is built with; more fail the stage: it
    /// is the profile of something else. Default: `90%`.
    pub max_unprofiled: Option<Text>,
    /// Link-time optimisation: `off`, `thin` or `full`. Default: what the package's profile says.
    pub lto: Option<Lto>,
    /// Codegen units. Default: what the package's profile says.
    pub codegen_units: Option<NonZeroU32>,
    /// The linker that the C compiler driver is told to use (`-fuse-ld`). Default: rustc's own choice.
    pub linker: Option<Text>,
    /// Links with `--emit-relocs` and without stripping, so that BOLT can move functions.
    #[serde(default)]
    pub keep_relocations: bool,
    /// Further flags for rustc, behind those of the user's own cargo configuration.
    #[serde(default)]
    pub rustflags: Vec<Text>,
    /// A directory made by `cargo vendor`: dependencies come from there, and cargo stays offline.
    pub vendor: Option<Text>,
    /// Further arguments for cargo.
    #[serde(default)]
    pub args: Vec<Text>,
}

impl Declaration for Cargo {
    const NAME: &'static str = "cargo";
    type Parsed = Cargo;

    fn parse(self, keys: &mut Keys) -> Option<Cargo> {
        match (&self.manifest, &self.krate) {
            // What variables have left empty can be looked at; planning it says what is missing.
            (None, None) if keys.is_written("manifest") || keys.is_written("crate") => {}
            (None, None) => {
                let message = format!("the cargo stage `{}` has neither `manifest` nor `crate`", keys.name);
                let help = "say what is built: a `Cargo.toml`, or a `name@version` of the registry";
                keys.wrong("manifest", message, help);
            }
            (Some(_), Some(_)) => keys.wrong("crate", "`manifest` and `crate` cannot both say what is built", ""),
            (None, Some(krate)) if !newest::is_crate(krate) => {
                let help = "the version is a full one, as in `ripgrep@14.1.1`; without `@`, it is the newest";
                keys.wrong("crate", format!("`{krate}` is not `name@version`"), help);
            }
            (None, Some(_)) if !self.libs.is_empty() || !self.benches.is_empty() => {
                let key = if self.libs.is_empty() { "benches" } else { "libs" };
                let message = "a crate of the registry is built for its programs and examples alone";
                keys.wrong(key, message, "name the `manifest` of its sources");
            }
            _ => {}
        }
        let outputs: Vec<(Target, String)> =
            self.targets().map(|(target, name)| (target, target.output(name))).collect();
        if outputs.is_empty() && keys.is_complete() {
            let message = match keys.is_written("bins") {
                true => "`bins` names no program",
                false => "nothing is built: `bins`, `libs`, `examples` or `benches` say what",
            };
            keys.wrong("bins", message, "");
        }
        for (index, (target, name)) in outputs.iter().enumerate() {
            if name == "out" {
                keys.wrong(target.key(), "`out` is the output with all that is built", "");
            } else if outputs[..index].iter().any(|(_, other)| other == name) {
                keys.wrong(target.key(), format!("`{name}` is named twice"), "");
            }
        }
        Some(self)
    }
}

/// What cargo builds of a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Bin,
    Lib,
    Example,
    Bench,
}

impl Target {
    /// The key that names them.
    fn key(self) -> &'static str {
        match self {
            Target::Bin => "bins",
            Target::Lib => "libs",
            Target::Example => "examples",
            Target::Bench => "benches",
        }
    }

    /// One, in a sentence.
    fn noun(self) -> &'static str {
        match self {
            Target::Bin => "program",
            Target::Lib => "library",
            Target::Example => "example",
            Target::Bench => "bench",
        }
    }

    /// The output of one.
    fn output(self, name: &str) -> String {
        if self == Target::Lib { format!("lib{name}") } else { name.to_owned() }
    }

    /// Where they stand in the stage's `out`.
    fn directory(self) -> &'static str {
        match self {
            Target::Bin => "bin",
            Target::Lib => "lib",
            Target::Example => "examples",
            Target::Bench => "benches",
        }
    }
}

impl Cargo {
    /// All that is built, with its names.
    fn targets(&self) -> impl Iterator<Item = (Target, &str)> {
        let lists = [
            (Target::Bin, &self.bins),
            (Target::Lib, &self.libs),
            (Target::Example, &self.examples),
            (Target::Bench, &self.benches),
        ];
        lists.into_iter().flat_map(|(target, names)| names.iter().map(move |name| (target, name.as_str())))
    }
}

impl StageKind for Cargo {
    fn answers(&self) -> Answers {
        let named = self.targets().map(|(target, name)| target.output(name));
        let outputs = std::iter::once("out".to_string()).chain(named).collect();
        let needs = self.pgo.is_some().then_some(Need::RustProfiles).into_iter().collect();
        Answers { outputs, writes: Some(Profiles::Compiler), needs, ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        if let Some((target, _)) = self.targets().find(|(_, name)| name.is_empty()) {
            let message = format!("a {} without a name: set the variable that it comes from", target.noun());
            return Err(cx.invalid(target.key(), message));
        }
        let build = Build::new(self, cx)?;
        build.check_targets(cx)?;
        let rust = build.rust.as_ref();
        check_trained(self, cx)?;
        let used = self.pgo.as_ref().and_then(Pgo::profile).map(|text| cx.arg(text)).transpose()?;
        let flags = flags(self, used.as_ref(), rust, cx)?;
        let profdata = used.as_ref().and(rust);
        let profdata = profdata.and_then(|rust| llvm::profdata_for_rustc(cx.facts, rust).ok());
        if let Some(used) = &used {
            let shown = rust.map_or("rustc".into(), |rust| format!("rustc {}", rust.version));
            let llvm = rust.and_then(|rust| Some(rust.llvm.as_ref()?.major));
            cx.check_profile(used.clone(), &shown, llvm, profdata.clone())?;
        }

        let mut argv = vec![build.cargo(cx)];
        match &build.package.what {
            What::Manifest(manifest, _) => argv.extend(["build".into(), "--manifest-path".into(), manifest.clone()]),
            What::Registry(krate) => {
                // Tracking files would name this place and time in the output.
                argv.extend(["install".into(), krate.clone(), "--root".into(), Symbol::Out.into()]);
                argv.extend(["--no-track".into(), "--force".into()]);
            }
        }
        for (target, name) in self.targets() {
            match target {
                Target::Bin => argv.extend(["--bin".into(), name.into()]),
                Target::Example => argv.extend(["--example".into(), name.into()]),
                Target::Bench => argv.extend(["--bench".into(), name.into()]),
                Target::Lib => {}
            }
        }
        if !self.libs.is_empty() {
            argv.push("--lib".into());
        }
        if !self.benches.is_empty() {
            // Their files have a hash in the name.
            argv.push("--message-format=json-render-diagnostics".into());
        }
        let mut command = build.command(argv, &flags, cx)?;
        command.stdout = (!self.benches.is_empty()).then(messages);
        command.advice = Some(Advice::From(build.advice(cx).into()));
        cx.step(Step::command(BUILD, command));
        build.outputs(cx);
        count_use(used, profdata, self.max_unprofiled.as_ref(), cx)
    }

    fn below_out(&self, output: &str, cx: &mut Context) -> Option<String> {
        let (target, name) = self.targets().find(|(target, name)| target.output(name) == output)?;
        let file = match target {
            Target::Lib => Build::new(self, cx).ok()?.libraries(name, cx).into_iter().next()?,
            // `cargo install` puts all programs into one directory.
            _ if self.krate.is_some() => return Some(format!("bin/{name}")),
            _ => name.to_owned(),
        };
        Some(format!("{}/{file}", target.directory()))
    }

    fn relocations(&self) -> Option<Relocations<'_>> {
        let by_flag = self.rustflags.iter().chain(&self.args).any(keeps_relocations);
        Some(Relocations { kept: self.keep_relocations || by_flag, target: self.target.as_ref() })
    }

    fn language(&self) -> Option<Language> {
        Some(Language::Rust)
    }

    fn overlooked(&self, stage: &Stage, cx: &mut Context) -> Vec<Overlooked> {
        environment::overlooked(self, stage, cx)
    }

    fn describe(&self, stage: &Stage, _: &mut Instrumented, cx: &mut Context) -> Result<(), PlanError> {
        if self.pgo == Some(Pgo::Generate) { Ok(()) } else { Err(cx.not_instrumented(stage, "pgo = \"generate\"")) }
    }

    fn merge_tool(&self, _: &Stage, cx: &mut Context) -> Result<Option<Profdata>, PlanError> {
        let manifest = self.manifest.as_ref().map(|text| config::manifest(text, cx)).transpose()?;
        let dir = manifest.and_then(|(_, _, dir)| dir);
        let found = rust::find(cx.facts, cx.pipeline, dir.as_deref());
        let found = found.and_then(|rust| llvm::profdata_for_rustc(cx.facts, &rust));
        Ok(Some(Profdata::Sure(cx.tool_or_gap("llvm-profdata", found.map(|tool| tool.path)))))
    }

    fn harness(&self, stage: &Stage, line: &CommandLine, cx: &mut Context) -> Result<Option<Command>, PlanError> {
        harness(self, stage, line, cx).map(Some)
    }
}

/// The step in which cargo builds.
const BUILD: &str = "build";
/// Stands for the name of a variable in an advice.
const NAME: &str = "NAME";

/// What is built, and where cargo runs: it reads its configuration from there upward, and rustup chooses the toolchain.
struct Package {
    what: What,
    cwd: Arg,
    /// The directory, where it is known.
    dir: Option<Utf8PathBuf>,
}

enum What {
    /// The manifest, and whether a lock file is known to stand with it.
    Manifest(Arg, bool),
    /// `name@version`
    Registry(Arg),
}

/// What all of cargo's subcommands that build are told.
struct Build<'a> {
    kind: &'a Cargo,
    package: Package,
    /// None: it is not there.
    rust: Option<Rust>,
    target: Arg,
    profile: Arg,
}

impl<'a> Build<'a> {
    fn new(kind: &'a Cargo, cx: &mut Context) -> Result<Build<'a>, PlanError> {
        let package = package(kind, cx)?;
        let rust = rust::find(cx.facts, cx.pipeline, package.dir.as_deref());
        let rust = rust.map_err(|gap| cx.gap(gap.what, gap.remedy)).ok();
        let target = kind.target.as_ref().map(|text| cx.arg(text)).transpose()?;
        let target = target.unwrap_or_else(|| cx.facts.host().into());
        let profile = kind.profile.as_ref().map(|text| cx.arg(text)).transpose()?.unwrap_or_else(|| "release".into());
        Ok(Build { kind, package, rust, target, profile })
    }

    fn cargo(&self, cx: &mut Context) -> Arg {
        self.rust.as_ref().map_or_else(|| "cargo".into(), |rust| cx.tool_at("cargo", rust.cargo.clone()))
    }

    fn command(&self, mut argv: Vec<Arg>, flags: &[Arg], cx: &mut Context) -> Result<Command, PlanError> {
        argv.extend(["--profile".into(), self.profile.clone(), "--target".into(), self.target.clone()]);
        argv.extend(["--target-dir".into(), Symbol::Build.into(), "--jobs".into(), Symbol::Jobs.into()]);
        if let Some(text) = &self.kind.package {
            argv.extend(["--package".into(), cx.arg(text)?]);
        }
        selection(self.kind, &self.package, cx, &mut argv)?;
        profile_settings(self.kind, &self.profile, &mut argv);
        let mut command = cx.command(argv);
        command.cwd = self.package.cwd.clone();
        // The toolchain that was found, whatever proxies stand in PATH. Where cargo and rustup are at home is in the base environment
        // and no part of the plan: cargo sets those variables for what it runs, to the same places.
        if let Some(rust) = &self.rust {
            let rustc = cx.tool_at("rustc", rust.rustc.clone());
            command.env.entry("RUSTC".into()).or_insert(rustc);
        }
        config::add_flags(flags, &self.package, &self.target, self.rust.as_ref(), cx, &mut command);
        for text in &self.kind.args {
            command.argv.push(cx.arg(text)?);
        }
        Ok(command)
    }

    /// What is said when cargo fails: the command that is printed to repeat it may succeed in the caller's shell.
    fn advice(&self, cx: &Context) -> CargoAdvice {
        let unseen = environment::unseen(self, cx.stage, cx).into_iter().map(Arg::from).collect();
        let pass = how_to_pass(cx.stage, NAME);
        CargoAdvice { logs: Symbol::Logs.into(), step: BUILD.into(), pass, unseen }
    }

    fn outputs(&self, cx: &mut Context) {
        let portable = self.kind.pgo != Some(Pgo::Generate);
        cx.plan.outputs.push(Output { name: "out".into(), path: Symbol::Out.into(), portable, show: false });
        // Two of cargo's profiles share the directories of the others.
        let directory = match self.profile.symbolic().as_str() {
            "dev" | "test" => "debug".into(),
            "bench" => "release".into(),
            _ => self.profile.clone(),
        };
        let built = Arg::from(Symbol::Build).join("").with(self.target.clone()).join("").with(directory.clone());
        let installed = matches!(self.package.what, What::Registry(_));
        let out = Arg::from(Symbol::Out);
        for (target, name) in self.kind.targets() {
            let output = target.output(name);
            if installed {
                let path = out.clone().join("bin/").with(name);
                cx.plan.outputs.push(Output { name: output, path, portable, show: false });
                continue;
            }
            let files = if target == Target::Lib { self.libraries(name, cx) } else { vec![name.to_owned()] };
            let place = out.clone().join(target.directory());
            for (index, file) in files.iter().enumerate() {
                let to = place.clone().join(file);
                let step = if index == 0 { format!("capture-{output}") } else { format!("capture-{file}") };
                match target {
                    Target::Bin | Target::Lib => cx.step(Step::op(step, Capture::new(built.clone().join(file), to))),
                    Target::Example => {
                        cx.step(Step::op(step, Capture::new(built.clone().join("examples").join(file), to)));
                    }
                    Target::Bench => {
                        let (messages, name) = (messages(), name.into());
                        cx.step(Step::op(step, CaptureBench { messages, name, to }));
                    }
                }
            }
            // Of benches there is no list, and so none of all that is read.
            if self.kind.benches.is_empty() {
                let stem = if target == Target::Lib { output.as_str() } else { name };
                let place = if target == Target::Example { built.clone().join("examples") } else { built.clone() };
                cx.plan.lists.push(place.join(stem).with(".d"));
            }
            let file = files.first().map_or(name, String::as_str);
            cx.plan.outputs.push(Output { name: output, path: place.join(file), portable, show: false });
        }
    }

    /// The packages that cargo builds, as far as they are known.
    fn packages(&self, cx: &Context) -> Option<Vec<targets::Package>> {
        let named =
            self.kind.package.as_ref().map(|text| text.as_literal()).map(|name| name.unwrap_or_default().into_owned());
        targets::packages(cx.facts, self.package.dir.as_deref()?, named.as_deref())
    }

    /// The files of a library: those of the types that programs in other languages can use, the shared one first.
    fn libraries(&self, name: &str, cx: &Context) -> Vec<String> {
        let packages = self.packages(cx).unwrap_or_default();
        let library = packages.into_iter().filter_map(|package| package.lib).find(|lib| lib.name == name);
        // What another stage makes is not there yet.
        let types = library.map_or_else(|| vec!["cdylib".to_owned()], |library| library.crate_types);
        let target = self.target.symbolic();
        let shared = match () {
            () if target.contains("windows") => format!("{name}.dll"),
            () if target.contains("apple") => format!("lib{name}.dylib"),
            () => format!("lib{name}.so"),
        };
        let is = |wanted: &str| types.iter().any(|kind| kind == wanted);
        let files = [(is("cdylib"), shared), (is("staticlib"), format!("lib{name}.a"))];
        files.into_iter().filter(|(made, _)| *made).map(|(_, file)| file).collect()
    }

    /// Refuses what the package does not have, before cargo does so after minutes.
    fn check_targets(&self, cx: &mut Context) -> Result<(), PlanError> {
        let Some(packages) = self.packages(cx) else { return Ok(()) };
        for (target, name) in self.kind.targets() {
            let owners: Vec<&targets::Package> = packages.iter().filter(|package| package.has(target, name)).collect();
            let list = |names: Vec<&str>| format!("`{}`", names.join("`, `"));
            match owners.as_slice() {
                [_] => {}
                [] => {
                    let known: BTreeSet<&str> = packages.iter().flat_map(|package| package.names(target)).collect();
                    let known: Vec<&str> = known.into_iter().collect();
                    let names = packages.iter().map(|package| package.name.as_str()).collect();
                    let has = if known.is_empty() { "none".into() } else { list(known) };
                    let (of, does) = if packages.len() == 1 { ("package", "has") } else { ("the packages", "have") };
                    let message = format!("{of} {} {does} no {} `{name}`: there is {has}", list(names), target.noun());
                    return Err(cx.invalid(target.key(), message));
                }
                [first, ..] => {
                    let names = owners.iter().map(|package| package.name.as_str()).collect();
                    let how = cx.how_to_set("package", &first.name);
                    let message =
                        format!("`{name}` is a {} of the packages {}: name one, as {how}", target.noun(), list(names));
                    return Err(cx.invalid("package", message));
                }
            }
            if target == Target::Lib && self.libraries(name, cx).is_empty() {
                let message = format!(
                    "the library `{name}` is one for Rust alone: `crate-type = [\"cdylib\"]` in `[lib]` of its Cargo.toml makes a \
                     shared one for other languages, `staticlib` a static one"
                );
                return Err(cx.invalid("libs", message));
            }
            let statically = target == Target::Lib && self.libraries(name, cx).iter().any(|file| file.ends_with(".a"));
            if statically && self.kind.pgo == Some(Pgo::Generate) {
                cx.note(format!(
                    "a program that `lib{name}.a` is linked into writes profiles only where the linker is told `{RUNTIME}`; rustc and \
                     clang's `-fprofile-generate` do so"
                ));
            }
        }
        Ok(())
    }
}

/// With this flag a linker takes what writes profiles out of an archive, where no object file asks for it.
const RUNTIME: &str = "-Wl,-u,__llvm_profile_runtime";

/// Where cargo says which files it has built.
fn messages() -> Arg {
    Arg::from(Symbol::Scratch).join("cargo-messages.json")
}

/// `cargo bench …` or `cargo test …` as a command that builds as the stage does: the same package, features, profile, target and
/// flags, in the build directory of the stage that runs it. What was declared behind the subcommand comes last.
fn harness(kind: &Cargo, stage: &Stage, line: &CommandLine, cx: &mut Context) -> Result<Command, PlanError> {
    let words = line.words.iter().map(|word| cx.arg(word)).collect::<Result<Vec<Arg>, _>>()?;
    let build = Build::new(kind, cx)?;
    let What::Manifest(manifest, _) = &build.package.what else {
        let message = "a crate of the registry is built without its benches and tests; name a `manifest`";
        return Err(cx.invalid("workloads", message));
    };
    let flags = flags(kind, None, build.rust.as_ref(), cx)?;
    let mut argv = vec![build.cargo(cx)];
    argv.extend(words.get(1).cloned());
    argv.extend(["--manifest-path".into(), manifest.clone()]);
    let mut command = build.command(argv, &flags, cx)?;
    for name in &stage.common.pass_env {
        if let Some(value) = cx.facts.env(name) {
            command.env.entry(name.clone()).or_insert_with(|| value.as_str().into());
        }
    }
    for (name, text) in &stage.common.env {
        let value = cx.arg(text)?;
        command.env.entry(name.clone()).or_insert(value);
    }
    // criterion writes to the sources otherwise, and over a user's own baselines.
    command.env.entry("CRITERION_HOME".into()).or_insert_with(|| Arg::from(Symbol::Attempt).join("criterion"));
    command.argv.extend(words.into_iter().skip(2));
    let name = &stage.common.name;
    cx.note(format!("what cargo runs for `{}` is built as stage `{name}` builds", line.words[1]));
    Ok(command)
}

fn package(kind: &Cargo, cx: &mut Context) -> Result<Package, PlanError> {
    match (&kind.manifest, &kind.krate) {
        (Some(text), None) => config::package(text, cx),
        (None, Some(text)) => {
            let krate = newest::pinned(text, cx)?;
            if kind.package.is_some() {
                return Err(cx.invalid("package", "goes with `manifest`; the crate is the package"));
            }
            Ok(Package { what: What::Registry(krate), cwd: Symbol::Build.into(), dir: None })
        }
        _ => Err(cx.invalid("manifest", "say what is built: a cargo stage has either `manifest` or `crate`")),
    }
}

/// Flags for rustc: the stage's, then those that its other keys ask for.
fn flags(kind: &Cargo, used: Option<&Arg>, rust: Option<&Rust>, cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
    let mut flags = kind.rustflags.iter().map(|flag| cx.arg(flag)).collect::<Result<Vec<Arg>, _>>()?;
    match (&kind.pgo, used) {
        // Gather stages say by LLVM_PROFILE_FILE where profiles go; what is written at any other time is of no use.
        (Some(Pgo::Generate), _) => {
            flags.push(Arg::from("-Cprofile-generate=").with(Symbol::Scratch).join("discarded"));
        }
        (Some(Pgo::Use(_)), Some(profile)) => {
            flags.push(Arg::from("-Cprofile-use=").with(profile.clone()));
            // Of functions that the profile does not know, rustc says nothing by itself. They are counted after the build.
            flags.push("-Cllvm-args=-pgo-warn-missing-function".into());
        }
        _ => {}
    }
    if let Some(text) = &kind.linker {
        flags.extend(linker(text, rust, cx)?);
    }
    if kind.keep_relocations {
        flags.push("-Clink-arg=-Wl,--emit-relocs".into());
        // BOLT needs the symbols too. As a flag for rustc it wins over the profile's `strip`, and does not change the names of
        // functions as `profile.NAME.strip` would (see `check_trained`).
        flags.push("-Cstrip=none".into());
    }
    Ok(flags)
}

/// rustc links by way of the C compiler, which looks for `ld.NAME` in its own directories, in PATH, and where `-B` says.
fn linker(text: &Text, rust: Option<&Rust>, cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
    let name = text.as_literal().unwrap_or_default().into_owned();
    let name = name.strip_prefix("ld.").unwrap_or(&name);
    let directory = match name {
        "lld" => lld_directory(rust, cx),
        "bfd" | "gold" => {
            cx.tool(&format!("ld.{name}"));
            None
        }
        "mold" => {
            let tool = cx.tool("mold");
            cx.known_path(&tool).and_then(|path| Some(path.parent()?.to_owned()))
        }
        _ => {
            let message = format!("`{text}` is none of `lld`, `mold`, `gold`, `bfd`");
            return Err(cx.invalid("linker", message));
        }
    };
    let place =
        |path| Arg::from("-Clink-arg=-B").with(Arg::part(Part::Place { name: format!("directory of {name}"), path }));
    let choice = Arg::from(format!("-Clink-arg=-fuse-ld={name}"));
    Ok(directory.map(place).into_iter().chain([choice]).collect())
}

/// A directory with a program `ld.lld`: that of the tool which the pipeline names, rustc's own, or any that is installed.
fn lld_directory(rust: Option<&Rust>, cx: &mut Context) -> Option<Utf8PathBuf> {
    let declared = ["ld.lld", "lld"].into_iter().find(|name| cx.pipeline.tools.contains_key(*name));
    if let (None, Some(rust)) = (declared, rust) {
        let path = rust.sysroot.join("lib/rustlib").join(&rust.host).join("bin/gcc-ld/ld.lld");
        if cx.facts.exists(&path) {
            // Part of rustc, whose identity stands for it.
            return path.parent().map(Utf8Path::to_owned);
        }
    }
    let tool = cx.tool(declared.unwrap_or("ld.lld"));
    let path = cx.known_path(&tool)?;
    if path.file_name() == Some("ld.lld") {
        return path.parent().map(Utf8Path::to_owned);
    }
    // `/usr/bin/ld.lld-22`: the name without a number is where the link leads to.
    let beside = llvm::real_dir(cx.facts, &path)?;
    cx.facts.program(beside.join("ld.lld").as_str()).map(|_| beside)
}

/// Features, lock file and where dependencies come from.
fn selection(kind: &Cargo, package: &Package, cx: &mut Context, argv: &mut Vec<Arg>) -> Result<(), PlanError> {
    if !kind.features.is_empty() {
        let features = kind.features.iter().map(|text| cx.arg(text)).collect::<Result<Vec<Arg>, _>>()?;
        argv.extend(["--features".into(), Arg::list(",", features)]);
    }
    if kind.no_default_features {
        argv.push("--no-default-features".into());
    }
    match package.what {
        What::Manifest(_, false) => cx.note(
            "whether a Cargo.lock stands with the manifest shows when its stage has run: without one, cargo chooses the \
             versions of dependencies",
        ),
        What::Manifest(_, true) | What::Registry(_) => argv.push("--locked".into()),
    }
    if let Some(text) = &kind.vendor {
        let vendor = cx.arg(text)?;
        if let Some(path) = cx.known_path(&vendor) {
            if !cx.facts.exists(&path) {
                cx.gap(format!("{path} does not exist"), "run `cargo vendor` to make it, or leave out `vendor`");
            }
            cx.source("vendor", path, false);
        }
        argv.push("--offline".into());
        config::push(argv, "source.crates-io.replace-with=\"vendored\"");
        config::push(argv, config::string("source.vendored.directory=", &vendor));
    }
    Ok(())
}

/// Settings of the cargo profile, which an environment or configuration file cannot outdo here.
fn profile_settings(kind: &Cargo, profile: &Arg, argv: &mut Vec<Arg>) {
    let mut set = |setting: &str| config::push(argv, Arg::from("profile.").with(profile.clone()).with(setting));
    match kind.lto {
        None => {}
        Some(Lto::Off) => set(".lto=\"off\""),
        Some(Lto::Thin) => set(".lto=\"thin\""),
        Some(Lto::Full) => set(".lto=\"fat\""),
    }
    if let Some(units) = kind.codegen_units {
        set(&format!(".codegen-units={units}"));
    }
}

/// Refuses a profile of a build with other settings: cargo puts most of them into the names of functions, and a profile of functions
/// with other names is not used, without a word from rustc.
///
/// What counts is what cargo hashes into `-C metadata`: package, features, target, and all of the profile, but not rustflags
/// (`compute_metadata` in cargo's `build_runner/compilation_files.rs`; seen with cargo 1.95 in what `cargo build -v` prints).
fn check_trained(kind: &Cargo, cx: &Context) -> Result<(), PlanError> {
    let Some(stage) = trained("pgo", kind.pgo.as_ref(), Language::Rust, cx)? else { return Ok(()) };
    let Some(trained) = kind_as::<Cargo>(stage) else { return Ok(()) };
    let Some(key) = difference(kind, trained) else { return Ok(()) };
    let message = format!(
        "differs from that of stage `{}`, which the profile is of. cargo puts it into the names of functions, so that rustc \
         would find nothing of the profile, and say nothing; give both stages the same",
        stage.common.name
    );
    Err(cx.invalid(key, message))
}

/// The first key that changes the names of functions.
pub fn difference(a: &Cargo, b: &Cargo) -> Option<&'static str> {
    let sorted = |features: &[Text]| {
        let mut names: Vec<String> = features.iter().map(Text::to_string).collect();
        names.sort();
        names
    };
    let keys = [
        ("crate", a.krate == b.krate),
        ("package", a.package == b.package),
        ("profile", a.profile == b.profile),
        ("lto", a.lto == b.lto),
        ("codegen-units", a.codegen_units == b.codegen_units),
        ("features", sorted(&a.features) == sorted(&b.features)),
        ("no-default-features", a.no_default_features == b.no_default_features),
        ("target", a.target == b.target),
    ];
    keys.into_iter().find(|(_, same)| !same).map(|(key, _)| key)
}
