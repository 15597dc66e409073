//! cargo's files: what a manifest belongs to, which configuration counts in a directory, how a value is given on the command line, and how flags for rustc get past
//! it.
//!
//! cargo takes flags from the first of four places that has some, and ignores the rest:
//!
//! | | |
//! |---|---|
//! | 1 | `CARGO_ENCODED_RUSTFLAGS` |
//! | 2 | `RUSTFLAGS` |
//! | 3 | `target.….rustflags`: those of the triple and of every `cfg(…)` that holds, together |
//! | 4 | `build.rustflags` |
//!
//! Flags that went into another place than the user's would switch the user's off, so they are appended where the user's are.

use std::str::FromStr as _;

use camino::{Utf8Path, Utf8PathBuf};
use cargo_platform::{Cfg, CfgExpr};
use toml::{Table, Value};

use super::{Package, What};
use crate::facts::Facts;
use crate::pipeline::Text;
use crate::plan::{Arg, Command, Part};
use crate::stage::{Context, PlanError};
use crate::toolchain::rust::Rust;

/// A configuration file.
struct File {
    pub path: Utf8PathBuf,
    pub table: Table,
}

/// The files that cargo reads in a directory, the nearest first, with those that they include; without a directory
/// (`cargo install`) only that of CARGO_HOME. What is not TOML is left to cargo to complain of.
fn files(facts: &Facts, dir: Option<&Utf8Path>) -> Vec<File> {
    let home = facts.env("CARGO_HOME").filter(|home| !home.is_empty()).map(Utf8PathBuf::from);
    let home = home.or_else(|| Some(Utf8PathBuf::from(facts.env("HOME")?).join(".cargo")));
    let upward = dir.into_iter().flat_map(Utf8Path::ancestors).map(|dir| dir.join(".cargo"));
    let mut dirs: Vec<Utf8PathBuf> = upward.collect();
    dirs.extend(home.filter(|home| !dirs.contains(home)));
    let mut files = Vec::new();
    for dir in dirs {
        // The old name is the one that counts where both exist.
        let path = [dir.join("config"), dir.join("config.toml")].into_iter().find(|path| facts.exists(path));
        if let Some(path) = path {
            read(facts, path, &mut files);
        }
    }
    files
}

fn read(facts: &Facts, path: Utf8PathBuf, files: &mut Vec<File>) {
    if files.iter().any(|file| file.path == path) {
        return;
    }
    let Some(table) = facts.read(&path).and_then(|text| text.parse::<Table>().ok()) else { return };
    let includes: Vec<String> = match table.get("include") {
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(|entry| entry.as_str().or_else(|| entry.get("path")?.as_str()).map(Into::into))
            .collect(),
        Some(Value::String(path)) => vec![path.clone()],
        _ => Vec::new(),
    };
    let dir = path.parent().map(Utf8Path::to_owned).unwrap_or_default();
    files.push(File { path, table });
    for include in includes {
        read(facts, dir.join(include), files);
    }
}

/// The target that cargo would build for in a directory, and the file that says so. Several are none.
pub(super) fn target(facts: &Facts, dir: Option<&Utf8Path>) -> Option<(Utf8PathBuf, String)> {
    files(facts, dir).into_iter().find_map(|file| {
        let target = match file.table.get("build")?.get("target")? {
            Value::String(target) => target.clone(),
            Value::Array(targets) => match targets.as_slice() {
                [Value::String(target)] => target.clone(),
                _ => return None,
            },
            _ => return None,
        };
        Some((file.path, target))
    })
}

/// Adds `--config SETTING`.
pub(super) fn push(argv: &mut Vec<Arg>, setting: impl Into<Arg>) {
    argv.extend(["--config".into(), setting.into()]);
}

/// `setting` and a value as a string of TOML. Where the value is not known yet, as a literal one, of the form in which a `'` can stand.
pub(super) fn string(setting: impl Into<Arg>, value: &Arg) -> Arg {
    let literal = value.parts.iter().all(|part| matches!(part, Part::Literal(_)));
    if literal {
        return setting.into().with(Value::String(value.symbolic()).to_string());
    }
    setting.into().with("'''").with(value.clone()).with("'''")
}

/// A key of a table, quoted where it must be: a target triple can have a dot.
fn key(name: &Arg) -> Arg {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.parts.as_slice() {
        [Part::Literal(text)] if !text.is_empty() && text.chars().all(bare) => name.clone(),
        _ => Arg::from("'").with(name.clone()).with("'"),
    }
}

/// What separates flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\u{1f}";

/// Adds flags to a cargo command.
pub(super) fn add_flags(
    flags: &[Arg],
    package: &Package,
    target: &Arg,
    rust: Option<&Rust>,
    cx: &mut Context,
    command: &mut Command,
) {
    let files = files(cx.facts, package.dir.as_deref());
    for (index, file) in files.iter().enumerate() {
        cx.source(&format!("cargo configuration {}", index + 1), file.path.clone(), false);
    }
    if flags.is_empty() {
        return;
    }
    if let Some(given) = command.env.get("CARGO_ENCODED_RUSTFLAGS").cloned() {
        let joined = join(given, flags);
        command.env.insert("CARGO_ENCODED_RUSTFLAGS".into(), joined);
        return;
    }
    if let Some(given) = command.env.get("RUSTFLAGS").filter(|given| !given.symbolic().trim().is_empty()) {
        // Encoded, because paths in ours may have spaces.
        let joined = join(encoded(given), flags);
        command.env.remove("RUSTFLAGS");
        command.env.insert("CARGO_ENCODED_RUSTFLAGS".into(), joined);
        return;
    }
    let place = place(&files, target, rust, cx, command);
    let setting = match place {
        Place::Target => Arg::from("target.").with(key(target)).with(".rustflags="),
        Place::Build => "build.rustflags=".into(),
    };
    let setting = match files.iter().find_map(|file| place.given(&file.table, target)) {
        // cargo joins lists, but refuses a list beside a string.
        Some(Value::String(given)) => {
            let all = flags.iter().fold(Arg::from(given.trim()), |all, flag| all.with(" ").with(flag.clone()));
            string(setting, &all)
        }
        _ => {
            let list = flags.iter().enumerate().fold(setting.with("["), |list, (index, flag)| {
                string(list.with(if index > 0 { ", " } else { "" }), flag)
            });
            list.with("]")
        }
    };
    push(&mut command.argv, setting);
}

#[derive(Debug, PartialEq)]
enum Place {
    /// cargo joins them with those of `cfg(…)` and of the files.
    Target,
    Build,
}

impl Place {
    /// What a configuration file has in this place.
    fn given<'a>(&self, table: &'a toml::Table, target: &Arg) -> Option<&'a Value> {
        match self {
            Place::Target => table.get("target")?.get(target.symbolic())?.get("rustflags"),
            Place::Build => table.get("build")?.get("rustflags"),
        }
    }
}

/// Where the user's configuration has the flags that are in force.
fn place(files: &[File], target: &Arg, rust: Option<&Rust>, cx: &Context, command: &Command) -> Place {
    let of_build = |file: &File| Place::Build.given(&file.table, target).is_some();
    let by_env = command.env.contains_key("CARGO_BUILD_RUSTFLAGS");
    if !by_env && !files.iter().any(of_build) {
        return Place::Target;
    }
    let target = target.symbolic();
    let variable = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace(['-', '.'], "_"));
    if command.env.contains_key(&variable) {
        return Place::Target;
    }
    let keys = files.iter().filter_map(|file| file.table.get("target")?.as_table()).flatten();
    let with_flags: Vec<&str> =
        keys.filter(|(_, value)| value.get("rustflags").is_some_and(has_flags)).map(|(key, _)| key.as_str()).collect();
    if with_flags.is_empty() {
        return Place::Build;
    }
    let cfgs = cfgs(&target, rust, cx);
    if with_flags.iter().any(|key| *key == target || CfgExpr::matches_key(key, &cfgs)) {
        Place::Target
    } else {
        Place::Build
    }
}

fn has_flags(value: &Value) -> bool {
    match value {
        Value::Array(flags) => !flags.is_empty(),
        Value::String(flags) => !flags.trim().is_empty(),
        _ => false,
    }
}

/// What `cfg(…)` can ask of a target.
fn cfgs(target: &str, rust: Option<&Rust>, cx: &Context) -> Vec<Cfg> {
    let Some(rust) = rust else { return Vec::new() };
    let text = cx.facts.output(&[rust.rustc.as_str(), "--print", "cfg", "--target", target]).unwrap_or_default();
    text.lines().filter_map(|line| Cfg::from_str(line).ok()).collect()
}

/// `RUSTFLAGS`, which is split at spaces, as `CARGO_ENCODED_RUSTFLAGS`.
fn encoded(given: &Arg) -> Arg {
    let last = given.parts.len().saturating_sub(1);
    let parts = given.parts.iter().enumerate().map(|(index, part)| match part {
        Part::Literal(text) => {
            let text = if index == 0 { text.trim_start() } else { text };
            let text = if index == last { text.trim_end() } else { text };
            let mut encoded = String::new();
            for c in text.chars() {
                match c.is_whitespace() {
                    true if encoded.ends_with(SEPARATOR) => {}
                    true => encoded.push_str(SEPARATOR),
                    false => encoded.push(c),
                }
            }
            Part::Literal(encoded)
        }
        part => part.clone(),
    });
    Arg { parts: parts.collect(), ..Arg::default() }
}

fn join(given: Arg, flags: &[Arg]) -> Arg {
    flags.iter().fold(given, |all, flag| {
        let separator = if all.symbolic().is_empty() { "" } else { SEPARATOR };
        all.with(separator).with(flag.clone())
    })
}

/// The file of a package.
pub(super) const MANIFEST: &str = "Cargo.toml";

/// A manifest and its directory, and that directory where it is known, without links: cargo looks for more in those above it.
pub(super) fn manifest(text: &Text, cx: &mut Context) -> Result<(Arg, Arg, Option<Utf8PathBuf>), PlanError> {
    let given = absolute(cx.arg(text)?, cx);
    let (manifest, cwd) = match parent(&given) {
        Some(cwd) => (given, cwd),
        None if given.to_string().ends_with(".toml") => {
            return Err(cx.invalid("manifest", "the path of a `Cargo.toml`, or of the directory that it stands in"));
        }
        None => (given.clone().joined().join(MANIFEST), given),
    };
    let dir = cx.known_path(&cwd).map(|dir| cx.facts.real_path(&dir).unwrap_or(dir));
    Ok((manifest, cwd, dir))
}

/// The package of a manifest, or of the directory that it stands in.
pub(super) fn package(text: &Text, cx: &mut Context) -> Result<Package, PlanError> {
    let (manifest, cwd, dir) = self::manifest(text, cx)?;
    let Some(dir) = dir else {
        // Made by another stage: whether it has a lock file shows when it is there.
        return Ok(Package { what: What::Manifest(manifest, false), cwd, dir: None });
    };
    let path = dir.join(MANIFEST);
    let root = workspace_root(cx.facts, &dir);
    let lock = root.join("Cargo.lock");
    if !cx.facts.exists(&path) {
        cx.gap(format!("{path} does not exist"), "get the sources, or set `manifest` to the file");
    } else if !cx.facts.exists(&lock) {
        // cargo would write it into the sources while they are built, and choose other versions next month.
        cx.gap(
            format!("{lock} does not exist, which says the versions of dependencies"),
            format!("run `cargo generate-lockfile` in {root}"),
        );
    }
    cx.source("source", root, false);
    Ok(Package { what: What::Manifest(manifest, true), cwd, dir: Some(dir) })
}

/// A relative path is one below the directory of the pipeline, or of a file that it extends.
fn absolute(given: Arg, cx: &Context) -> Arg {
    let literal = given.parts.iter().all(|part| matches!(part, Part::Literal(_)));
    let relative = given.symbolic();
    if !literal || relative.starts_with('/') {
        return given;
    }
    let dirs = &cx.pipeline.dirs;
    let has = |dir: &&Utf8PathBuf| cx.facts.exists(&dir.join(&relative));
    let Some(dir) = dirs.iter().find(has).or(dirs.first()) else { return given };
    Arg::part(Part::Place { name: "pipeline.dir".into(), path: dir.clone() }).join(relative.trim_start_matches("./"))
}

/// The directory of a manifest: the argument without its last component.
fn parent(manifest: &Arg) -> Option<Arg> {
    let mut dir = manifest.clone();
    match dir.parts.last_mut()? {
        Part::Literal(text) => {
            let before = text.strip_suffix(MANIFEST)?.strip_suffix('/')?.to_owned();
            *text = before;
        }
        Part::Place { name, path } if path.file_name() == Some(MANIFEST) => {
            *name = format!("directory of {name}");
            *path = path.parent()?.to_owned();
        }
        _ => return None,
    }
    dir.parts.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
    Some(dir)
}

/// The directory of the workspace that cargo counts a package to: the nearest one upward, the package's own included, whose
/// manifest has a `[workspace]` and does not exclude it.
pub(super) fn workspace_root(facts: &Facts, package: &Utf8Path) -> Utf8PathBuf {
    let table = |dir: &Utf8Path| facts.read(&dir.join(MANIFEST))?.parse::<toml::Table>().ok();
    let named = table(package).and_then(|own| Some(own.get("package")?.get("workspace")?.as_str()?.to_owned()));
    if let Some(named) = named {
        let root = package.join(named);
        return facts.real_path(&root).unwrap_or(root);
    }
    let mut roots = package.ancestors().filter(|dir| {
        let Some(workspace) = table(dir).and_then(|mut own| own.remove("workspace")) else { return false };
        let below = package.strip_prefix(dir).unwrap_or(package);
        let excluded = workspace.get("exclude").and_then(|list| list.as_array()).cloned().unwrap_or_default();
        !excluded.iter().filter_map(toml::Value::as_str).any(|exclude| below.starts_with(exclude))
    });
    roots.next().unwrap_or(package).to_owned()
}
