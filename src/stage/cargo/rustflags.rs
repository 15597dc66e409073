//! How flags for rustc get past cargo's configuration.
//!
//! cargo takes flags from one of four places, and ignores the rest: `CARGO_ENCODED_RUSTFLAGS`, `RUSTFLAGS`,
//! `target.….rustflags` (those of the triple and of every `cfg(…)` that holds, together), `build.rustflags`. Flags that
//! went into another place than the user's would switch the user's off, so they are appended where the user's are.

use std::str::FromStr as _;

use cargo_platform::{Cfg, CfgExpr};
use toml::Value;

use super::{Package, config};
use crate::plan::{Arg, Command, Part};
use crate::stage::Context;
use crate::toolchain::rust::Rust;

/// What separates flags in `CARGO_ENCODED_RUSTFLAGS`.
const SEPARATOR: &str = "\u{1f}";

/// Adds flags to a cargo command.
pub(super) fn add(
    flags: &[Arg],
    package: &Package,
    target: &Arg,
    rust: Option<&Rust>,
    cx: &mut Context,
    command: &mut Command,
) {
    let files = config::files(cx.facts, package.dir.as_deref());
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
        Place::Target => Arg::from("target.").with(config::key(target)).with(".rustflags="),
        Place::Build => "build.rustflags=".into(),
    };
    let setting = match files.iter().find_map(|file| place.given(&file.table, target)) {
        // cargo joins lists, but refuses a list beside a string.
        Some(Value::String(given)) => {
            let all = flags.iter().fold(Arg::from(given.trim()), |all, flag| all.with(" ").with(flag.clone()));
            config::string(setting, &all)
        }
        _ => {
            let list = flags.iter().enumerate().fold(setting.with("["), |list, (index, flag)| {
                config::string(list.with(if index > 0 { ", " } else { "" }), flag)
            });
            list.with("]")
        }
    };
    config::push(&mut command.argv, setting);
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
fn place(files: &[config::File], target: &Arg, rust: Option<&Rust>, cx: &Context, command: &Command) -> Place {
    let of_build = |file: &config::File| Place::Build.given(&file.table, target).is_some();
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
    Arg { parts: parts.collect() }
}

fn join(given: Arg, flags: &[Arg]) -> Arg {
    flags.iter().fold(given, |all, flag| {
        let separator = if all.symbolic().is_empty() { "" } else { SEPARATOR };
        all.with(separator).with(flag.clone())
    })
}
