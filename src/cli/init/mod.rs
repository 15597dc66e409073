//! `optbuild init`: a pipeline for the project in a directory, and what is said where `optbuild run` names none.
//!
//! Which build system there is, files tell; what cannot be known is a line with `FILL IN`. The templates stand beside this file.

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::args::InitArgs;
use super::exit::usage;
use super::output::tell;
use super::project::current_dir;
use crate::facts::Facts;
use crate::stage::cargo::targets::{Package, packages};
use crate::text::shell::quote;

/// What a project is built by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Cargo,
    /// A library of a cargo package, for programs in other languages.
    Library,
    Cmake,
    Meson,
    Make,
}

impl Kind {
    /// What builds it.
    fn tool(self) -> &'static str {
        match self {
            Kind::Cargo | Kind::Library => "cargo",
            Kind::Cmake => "CMake",
            Kind::Meson => "meson",
            Kind::Make => "make",
        }
    }
}

/// Files that tell what a project is built by.
const FILES: [(&str, Kind); 7] = [
    ("Cargo.toml", Kind::Cargo),
    ("CMakeLists.txt", Kind::Cmake),
    ("meson.build", Kind::Meson),
    ("configure", Kind::Make),
    ("Makefile", Kind::Make),
    ("makefile", Kind::Make),
    ("GNUmakefile", Kind::Make),
];

/// What marks a line that the user has to complete.
const FILL_IN: &str = "FILL IN";

/// `optbuild init`
pub fn init(args: &InitArgs) -> Result<u8> {
    let dir = current_dir()?;
    let facts = Facts::live();
    let wanted = [
        (args.cargo, Kind::Cargo),
        (args.library, Kind::Library),
        (args.cmake, Kind::Cmake),
        (args.meson, Kind::Meson),
        (args.make, Kind::Make),
    ];
    let wanted = wanted.into_iter().find_map(|(given, kind)| given.then_some(kind));
    let Some(kind) = wanted.or_else(|| found(&facts, &dir)) else {
        let names = FILES.map(|(name, _)| name).join(", ");
        return Err(usage!(
            "there is none of {names} in {dir}, so it is not known what the project is built by: say it, as `--make`, or go to its directory"
        ));
    };
    let file = dir.join(&args.output);
    if file.symlink_metadata().is_ok() {
        return Err(usage!("{file} is there already; `-o FILE` names another one"));
    }
    let text = pipeline(kind, &facts, &dir)?;
    std::fs::write(&file, &text).with_context(|| format!("cannot write {file}"))?;
    let name = quote(args.output.as_str());
    tell(&format!("wrote {}, a pipeline for a project that is built by {}", args.output, kind.tool()));
    let open = text.lines().enumerate().filter(|(_, line)| line.contains(FILL_IN));
    for (number, line) in open {
        let what = line.split_once(FILL_IN).map_or("", |(_, what)| what.trim_start_matches(':').trim());
        tell(&format!("  to fill in, {}:{}: {what}", args.output, number + 1));
    }
    tell(&format!("then: optbuild doctor {name} --install && optbuild run {name}"));
    Ok(0)
}

/// What files tell.
fn found(facts: &Facts, dir: &Utf8Path) -> Option<Kind> {
    let kind = FILES.iter().find(|(name, _)| dir.join(name).is_file()).map(|(_, kind)| *kind)?;
    let is_library =
        kind == Kind::Cargo && programs(&known(facts, dir)).is_empty() && library(&known(facts, dir)).is_some();
    Some(if is_library { Kind::Library } else { kind })
}

fn known(facts: &Facts, dir: &Utf8Path) -> Vec<Package> {
    packages(facts, dir, None).unwrap_or_default()
}

/// Programs, each with its package.
fn programs(packages: &[Package]) -> Vec<(&str, &str)> {
    packages.iter().flat_map(|package| package.bins.iter().map(|bin| (bin.as_str(), package.name.as_str()))).collect()
}

/// A library that is made for programs in other languages.
fn library(packages: &[Package]) -> Option<&str> {
    let mut libraries = packages.iter().filter_map(|package| package.lib.as_ref());
    let shared = libraries.find(|lib| lib.crate_types.iter().any(|kind| kind == "cdylib"))?;
    Some(&shared.name)
}

fn pipeline(kind: Kind, facts: &Facts, dir: &Utf8Path) -> Result<String> {
    let name = dir.file_name().filter(|name| crate::pipeline::text::is_name(name)).unwrap_or("project");
    let packages = known(facts, dir);
    Ok(match kind {
        Kind::Cargo => {
            let programs = programs(&packages);
            let (bin, package) = programs.first().copied().unwrap_or((name, name));
            let several = packages.len() > 1;
            let others: Vec<&str> = programs.iter().skip(1).map(|(bin, _)| *bin).collect();
            let others = if others.is_empty() { String::new() } else { format!(" # or {}", others.join(", ")) };
            let package = if several { format!("\npackage = \"{package}\"") } else { String::new() };
            let has_benches = packages.iter().any(|package| !package.benches.is_empty());
            let bench = match has_benches {
                true => "# Or train with `cargo bench`, for PGO alone:\n# train-with = [\"bench\"]\n# bolt = false\n",
                false => "",
            };
            let text = include_str!("cargo.toml").replace("@PACKAGE@", &format!("{others}{package}"));
            text.replace("@BENCH@\n", bench).replace("@BIN@", bin)
        }
        Kind::Library => {
            let Some(lib) = library(&packages) else {
                return Err(usage!(
                    "no package here makes a library for other languages: `crate-type = [\"cdylib\"]` in `[lib]` of its Cargo.toml makes one"
                ));
            };
            include_str!("library.toml").replace("@LIB@", lib)
        }
        Kind::Cmake => {
            let text = std::fs::read_to_string(dir.join("CMakeLists.txt")).unwrap_or_default();
            let bin = executable(&text, "add_executable(").unwrap_or_else(|| name.to_owned());
            include_str!("cmake.toml").replace("@NAME@", name).replace("@BIN@", &bin)
        }
        Kind::Meson => {
            let text = std::fs::read_to_string(dir.join("meson.build")).unwrap_or_default();
            let bin = executable(&text, "executable(").unwrap_or_else(|| name.to_owned());
            let build = "test -e b/build.ninja || meson setup --buildtype=release b \"${pipeline.dir}\"\n\
                         meson compile -C b -j ${jobs}";
            command("meson", name, &bin, "", build, &format!("b/{bin}"))
        }
        Kind::Make => {
            let has_configure = dir.join("configure").is_file();
            let configure = if has_configure { "test -e config.status || ./configure\n" } else { "" };
            // A Makefile's own `CC` wins over that of the environment.
            let build = format!("{configure}make -j ${{jobs}} CC=\"${{self.cc}}\"");
            let copy = "# The project builds in its own tree, so it is built in a copy.\ncopy = true\n";
            command("make", name, name, copy, &build, name)
        }
    })
}

fn command(tool: &str, name: &str, bin: &str, copy: &str, build: &str, path: &str) -> String {
    let text = include_str!("command.toml").replace("@TOOL@", tool).replace("@NAME@", name);
    text.replace("@COPY@", copy).replace("@BUILD@", build).replace("@PATH@", path).replace("@BIN@", bin)
}

/// The first program that a build file names.
fn executable(text: &str, call: &str) -> Option<String> {
    let behind = text.split_once(call)?.1.trim_start().trim_start_matches(['\'', '"']);
    let end = behind.find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | ',' | ')'))?;
    let name = &behind[..end];
    let plain = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '+' | '.'));
    plain.then(|| name.to_owned())
}

/// What to say where a command needs a pipeline and none is named.
pub fn suggest(verb: &str, dir: &Utf8Path) -> String {
    let facts = Facts::live();
    let files = dir.read_dir_utf8().into_iter().flatten().flatten().map(|entry| entry.file_name().to_owned());
    let is_pipeline = |name: &String| {
        let text = || std::fs::read_to_string(dir.join(name)).unwrap_or_default();
        name.ends_with(".toml")
            && name != "Cargo.toml"
            && text().lines().any(|line| line == "[[stage]]" || line.starts_with("extends = "))
    };
    let mut pipelines: Vec<String> = files.filter(is_pipeline).collect();
    pipelines.sort();
    if let Some(first) = pipelines.first() {
        return format!("this would do here: optbuild {verb} {}", quote(first));
    }
    let packages = known(&facts, dir);
    if let Some((bin, package)) = programs(&packages).first() {
        let of = if packages.len() > 1 { format!(" --set package={}", quote(package)) } else { String::new() };
        let begin = format!("optbuild {verb} cargo --set manifest=.{of} --set bin={}", quote(bin));
        let mut text = format!(
            "this would do here, with commands that use the program as people do:\n  {begin} --set 'train={bin} …'"
        );
        if packages.iter().any(|package| !package.benches.is_empty()) {
            text.push_str(&format!("\nor, trained by its benches:\n  {begin} --set train-with=bench --set bolt=false --set 'measure={bin} …'"));
        }
        return text + "\n`optbuild init` writes a pipeline for it, in which this stands";
    }
    match found(&facts, dir) {
        Some(kind) => format!("`optbuild init` writes one for this project, which is built by {}", kind.tool()),
        None => "`optbuild list` shows those that have a name; in the directory of a project, `optbuild init` writes one for it".into(),
    }
}
