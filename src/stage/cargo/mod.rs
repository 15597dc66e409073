//! `kind = "cargo"`: builds programs of a package, or of a crate in the registry.
//!
//! Decides on the command; how rustc's flags get past cargo's configuration is in [`rustflags`], what a manifest belongs to
//! in [`manifest`]. Unaware of how profiles come about.

mod config;
mod manifest;
mod rustflags;
mod trained;

use camino::{Utf8Path, Utf8PathBuf};

use super::{Context, PlanError};
use crate::pipeline::kind::{Cargo, Lto, Pgo};
use crate::pipeline::{CommandLine, Stage, Text};
use crate::plan::ops::{Capture, CheckProfileUse};
use crate::plan::{Arg, Command, Output, Part, Step, Symbol};
use crate::toolchain::rust::{self, Rust};

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

pub(super) fn plan(kind: &Cargo, cx: &mut Context) -> Result<(), PlanError> {
    if kind.bins.is_empty() {
        return Err(cx.invalid("bins", "name the programs to build: `bins = [\"name\"]`"));
    }
    if kind.bins.iter().any(|bin| bin.pieces.is_empty()) {
        return Err(cx.invalid("bins", "a program without a name: set the variable that it comes from"));
    }
    let package = package(kind, cx)?;
    let rust = match rust::find(cx.facts, cx.pipeline, package.dir.as_deref()) {
        Ok(rust) => Some(rust),
        Err(gap) => {
            cx.gap(gap.what, gap.remedy);
            None
        }
    };
    let target = match &kind.target {
        Some(text) => cx.arg(text)?,
        None => cx.facts.host().into(),
    };
    let profile = match &kind.profile {
        Some(text) => cx.arg(text)?,
        None => "release".into(),
    };
    let bins = kind.bins.iter().map(|bin| cx.arg(bin)).collect::<Result<Vec<Arg>, _>>()?;

    trained::check(kind, cx)?;
    let used = kind.pgo.as_ref().and_then(Pgo::profile).map(|text| cx.arg(text)).transpose()?;
    let flags = flags(kind, used.as_ref(), rust.as_ref(), cx)?;
    let profdata = used.as_ref().and(rust.as_ref());
    let profdata = profdata.and_then(|rust| crate::toolchain::llvm::profdata_for_rustc(cx.facts, rust).ok());
    if let Some(used) = &used {
        let shown = rust.as_ref().map_or("rustc".into(), |rust| format!("rustc {}", rust.version));
        let llvm = rust.as_ref().and_then(|rust| Some(rust.llvm.as_ref()?.major));
        cx.check_profile(used.clone(), &shown, llvm, profdata.clone())?;
    }

    let cargo = match &rust {
        Some(rust) => cx.tool_at("cargo", rust.cargo.clone()),
        None => "cargo".into(),
    };
    let mut argv = vec![cargo];
    match &package.what {
        What::Manifest(manifest, _) => argv.extend(["build".into(), "--manifest-path".into(), manifest.clone()]),
        What::Registry(krate) => {
            // Tracking files would name this place and time in the output.
            argv.extend(["install".into(), krate.clone(), "--root".into(), Symbol::Out.into()]);
            argv.extend(["--no-track".into(), "--force".into()]);
        }
    }
    for bin in &bins {
        argv.extend(["--bin".into(), bin.clone()]);
    }
    let build =
        Build { kind, package: &package, rust: rust.as_ref(), target: &target, profile: &profile, flags: &flags };
    let command = build.command(argv, cx)?;
    cx.step(Step::command("build", command));
    outputs(kind, cx, &package, &profile, &target, &bins);
    let Some(profile) = &used else { return Ok(()) };
    match cx.profile_reader(profdata) {
        Some(tool) => cx.check_profile_use(CheckProfileUse::of_all(profile, &tool), kind.max_unprofiled.as_ref()),
        None => Ok(()),
    }
}

/// What all of cargo's subcommands that build are told.
struct Build<'a> {
    kind: &'a Cargo,
    package: &'a Package,
    rust: Option<&'a Rust>,
    target: &'a Arg,
    profile: &'a Arg,
    flags: &'a [Arg],
}

impl Build<'_> {
    fn command(&self, mut argv: Vec<Arg>, cx: &mut Context) -> Result<Command, PlanError> {
        argv.extend(["--profile".into(), self.profile.clone(), "--target".into(), self.target.clone()]);
        argv.extend(["--target-dir".into(), Symbol::Build.into(), "--jobs".into(), Symbol::Jobs.into()]);
        if let Some(text) = &self.kind.package {
            argv.extend(["--package".into(), cx.arg(text)?]);
        }
        selection(self.kind, self.package, cx, &mut argv)?;
        profile_settings(self.kind, self.profile, &mut argv);
        let mut command = cx.command(argv);
        command.cwd = self.package.cwd.clone();
        environment(self.rust, cx, &mut command);
        rustflags::add(self.flags, self.package, self.target, self.rust, cx, &mut command);
        for text in &self.kind.args {
            command.argv.push(cx.arg(text)?);
        }
        Ok(command)
    }
}

/// `cargo bench …` or `cargo test …` as a command that builds as the stage does: the same package, features, profile, target and
/// flags, in the build directory of the stage that runs it. What was declared behind the subcommand comes last.
pub(super) fn harness(kind: &Cargo, stage: &Stage, line: &CommandLine, cx: &mut Context) -> Result<Command, PlanError> {
    let words = line.words.iter().map(|word| cx.arg(word)).collect::<Result<Vec<Arg>, _>>()?;
    let package = package(kind, cx)?;
    let What::Manifest(manifest, _) = &package.what else {
        let message = "a crate of the registry is built without its benches and tests; name a `manifest`";
        return Err(cx.invalid("workloads", message));
    };
    let rust = rust::find(cx.facts, cx.pipeline, package.dir.as_deref());
    let rust = rust.map_err(|gap| cx.gap(gap.what, gap.remedy)).ok();
    let target = kind.target.as_ref().map(|text| cx.arg(text)).transpose()?.unwrap_or_else(|| cx.facts.host().into());
    let profile = kind.profile.as_ref().map(|text| cx.arg(text)).transpose()?.unwrap_or_else(|| "release".into());
    let flags = flags(kind, None, rust.as_ref(), cx)?;
    let cargo = rust.as_ref().map_or_else(|| "cargo".into(), |rust| cx.tool_at("cargo", rust.cargo.clone()));
    let mut argv = vec![cargo];
    argv.extend(words.get(1).cloned());
    argv.extend(["--manifest-path".into(), manifest.clone()]);
    let build =
        Build { kind, package: &package, rust: rust.as_ref(), target: &target, profile: &profile, flags: &flags };
    let mut command = build.command(argv, cx)?;
    for (name, text) in &stage.common.env {
        let value = cx.arg(text)?;
        command.env.entry(name.clone()).or_insert(value);
    }
    command.argv.extend(words.into_iter().skip(2));
    let name = &stage.common.name;
    cx.note(format!("what cargo runs for `{}` is built as stage `{name}` builds", line.words[1]));
    Ok(command)
}

fn package(kind: &Cargo, cx: &mut Context) -> Result<Package, PlanError> {
    match (&kind.manifest, &kind.krate) {
        (Some(text), None) => manifest::package(text, cx),
        (None, Some(text)) => {
            let krate = cx.arg(text)?;
            if !krate.symbolic().contains('@') {
                let message = "say which version: `name@1.2.3`; without one, the result would be another every month";
                return Err(cx.invalid("crate", message));
            }
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
        // functions as `profile.NAME.strip` would (see `trained.rs`).
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
    let beside = crate::toolchain::llvm::real_dir(cx.facts, &path)?;
    cx.facts.program(beside.join("ld.lld").as_str()).map(|_| beside)
}

/// Features, lock file and where dependencies come from.
fn selection(kind: &Cargo, package: &Package, cx: &mut Context, argv: &mut Vec<Arg>) -> Result<(), PlanError> {
    if !kind.features.is_empty() {
        let mut features = Arg::default();
        for (index, text) in kind.features.iter().enumerate() {
            features = features.with(if index > 0 { "," } else { "" }).with(cx.arg(text)?);
        }
        argv.extend(["--features".into(), features]);
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

/// The toolchain that was found, whatever proxies stand in PATH. Where cargo and rustup are at home is in the base environment
/// and no part of the plan: cargo sets those variables for what it runs, to the same places.
fn environment(rust: Option<&Rust>, cx: &mut Context, command: &mut Command) {
    if let Some(rust) = rust {
        let rustc = cx.tool_at("rustc", rust.rustc.clone());
        command.env.entry("RUSTC".into()).or_insert(rustc);
    }
}

fn outputs(kind: &Cargo, cx: &mut Context, package: &Package, profile: &Arg, target: &Arg, bins: &[Arg]) {
    let portable = kind.pgo != Some(Pgo::Generate);
    let out = Output { name: "out".into(), path: Symbol::Out.into(), portable, show: false };
    cx.plan.outputs.push(out);
    // Two of cargo's profiles share the directories of the others.
    let directory = match profile.symbolic().as_str() {
        "dev" | "test" => "debug".into(),
        "bench" => "release".into(),
        _ => profile.clone(),
    };
    for (bin, text) in bins.iter().zip(&kind.bins) {
        let path = Arg::from(Symbol::Out).join("bin/").with(bin.clone());
        let name = text.as_literal().unwrap_or_default().into_owned();
        if matches!(package.what, What::Manifest(..)) {
            let from = Arg::from(Symbol::Build).join("").with(target.clone()).join("").with(directory.clone());
            let from = from.join("").with(bin.clone());
            cx.step(Step::op(format!("capture-{name}"), Capture::new(from, path.clone())));
        }
        cx.plan.outputs.push(Output { name, path, portable, show: false });
    }
}
