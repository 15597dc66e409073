//! rustc-perf's crates as workloads for toolchains: what is measured is the last rustc of a crate, without its dependencies.
//!
//! Each side builds a copy of a crate once, with its own rustc, because no rustc reads the libraries of another one. A wrapper
//! writes down how cargo calls the last rustc, and that call is repeated. Unaware of how it is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use serde::Deserialize;

use super::options::{Options, Profile, name as name_of};
use super::request::{Build, Invocation, Workload};
use super::result::Form;
use crate::facts::Facts;
use crate::fs::tree;
use crate::toolchain::rustc_perf::{Crates, NO_WORKSPACE_ABOVE};

/// What rustc-perf says of a crate.
#[derive(Debug, Default, Deserialize)]
struct Config {
    artifact: Option<String>,
    cargo_opts: Option<String>,
    cargo_toml: Option<String>,
}

/// Writes down how it is called for the package that cargo was asked to build.
const WRAPPER: &str = r#"#!/bin/sh
case "${CARGO_PRIMARY_PACKAGE-} $*" in
  *'--crate-name build_script_'* | ' '*) ;;
  *) env -0 > "$OPTBUILD_RECORD/env"; printf '%s\0' "$@" > "$OPTBUILD_RECORD/argv"; pwd > "$OPTBUILD_RECORD/cwd" ;;
esac
exec "$@"
"#;

/// Of the environment that cargo gave: a jobserver that is gone, and what belongs to the wrapper.
const LEFT_OUT: [&str; 5] = ["CARGO_MAKEFLAGS", "MAKEFLAGS", "MFLAGS", "RUSTC_WRAPPER", "OPTBUILD_RECORD"];

/// Builds every crate once with all toolchains, in `scratch`. `env` is what cargo sees of the environment. Where not all sides have to work,
/// one that cannot build a crate is marked as missing.
///
/// # Errors
/// When there is no such crate, or it cannot be built.
pub fn workloads(
    options: &Options,
    checkout: &Utf8Path,
    form: Form,
    sides: &mut [Build],
    env: &BTreeMap<String, String>,
    scratch: &Utf8Path,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Workload>> {
    let wrapper = scratch.join("rustc-wrapper");
    fs::write(&wrapper, WRAPPER).with_context(|| format!("cannot write {wrapper}"))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&wrapper, mode).with_context(|| format!("cannot make {wrapper} executable"))?;
    let facts = Facts::live();
    let known = Crates::of(&facts, checkout);
    if known.names.is_empty() {
        bail!("there are no crates in {checkout}: it is no checkout of rustc-perf");
    }
    let mut workloads = Vec::new();
    let mut seen = BTreeSet::new();
    for name in options.crates() {
        let name = known.find(&facts, &name).map_err(anyhow::Error::msg)?;
        if !seen.insert(name) {
            continue;
        }
        let source = known.path(name);
        for profile in options.perf_profiles() {
            let title = format!("{name} {}", name_of(&profile));
            say(&format!("building the dependencies of {title}"));
            let mut invocations = Vec::new();
            for (number, side) in sides.iter_mut().enumerate() {
                if side.missing.is_some() {
                    invocations.push(Invocation::default());
                    continue;
                }
                let dir = scratch.join(NO_WORKSPACE_ABOVE).join(format!("{name}-{}-{number}", name_of(&profile)));
                let prepared = prepare(&source, profile, side, options, env, &dir, &wrapper)
                    .with_context(|| format!("crate {title} with {}", side.name));
                match prepared {
                    Ok(invocation) => invocations.push(invocation),
                    Err(error) if form == Form::Sides && number > 0 => {
                        say(&format!("{} is left out: {error:#}", side.name));
                        side.missing = Some(format!("{error:#}"));
                        invocations.push(Invocation::default());
                    }
                    Err(error) => return Err(error),
                }
            }
            let mut there = sides.iter().zip(&invocations).filter(|(side, _)| side.missing.is_none());
            let command = there.next_back().map(|(_, invocation)| shown(invocation)).unwrap_or_default();
            workloads.push(Workload { name: title.clone(), command, sides: invocations, background: None });
        }
    }
    Ok(workloads)
}

fn shown(invocation: &Invocation) -> String {
    let named = invocation.argv.iter().skip_while(|word| *word != "--crate-name").nth(1);
    format!("{} --crate-name {} …", super::request::PLACEHOLDER, named.map_or("?", String::as_str))
}

fn prepare(
    source: &Utf8Path,
    profile: Profile,
    side: &Build,
    options: &Options,
    env: &BTreeMap<String, String>,
    dir: &Utf8Path,
    wrapper: &Utf8Path,
) -> Result<Invocation> {
    let text = fs::read_to_string(source.join("perf-config.json")).context("cannot read perf-config.json")?;
    let config: Config = serde_json::from_str(&text).context("perf-config.json is not as expected")?;
    let (copy, record, target) = (dir.join("crate"), dir.join("record"), dir.join("target"));
    fs::create_dir_all(&record).with_context(|| format!("cannot make {record}"))?;
    tree::copy(source, &copy)?;

    let manifest = copy.join(config.cargo_toml.as_deref().unwrap_or("Cargo.toml"));
    let cargo = options.cargo.as_deref().unwrap_or("cargo".into());
    let mut command = Command::new(cargo);
    match profile {
        Profile::Check => command.arg("check"),
        Profile::Debug => command.arg("build"),
        Profile::Opt => command.args(["build", "--release"]),
    };
    command.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&target);
    command.args(options.cargo_config.iter().flat_map(|setting| ["--config", setting.as_str()]));
    let given = config.cargo_opts.unwrap_or_default();
    let given: Vec<&str> = given.split_whitespace().collect();
    let chosen = given.iter().any(|option| matches!(*option, "--lib" | "--bin"));
    command.args(&given);
    if config.artifact.as_deref() == Some("library") && !chosen {
        command.arg("--lib");
    }
    let rustc = side.program();
    command.env_clear().envs(env).envs(&side.env).env("RUSTC", &rustc).env("RUSTC_WRAPPER", wrapper);
    command.env("OPTBUILD_RECORD", &record).env("CARGO_INCREMENTAL", "0");
    // So that it is not built by the toolchain that rust-toolchain.toml or a proxy in PATH would choose.
    command.current_dir(&copy).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {cargo}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = said.lines().collect();
        bail!("cargo {}:\n  {}", output.status, lines[lines.len().saturating_sub(20)..].join("\n  "));
    }
    recorded(&record, side)
}

/// The last call of rustc, to be repeated.
fn recorded(record: &Utf8Path, side: &Build) -> Result<Invocation> {
    let read = |name: &str| {
        let path = record.join(name);
        fs::read_to_string(&path).with_context(|| format!("{path}: cargo called no rustc for the crate itself"))
    };
    let split = |text: &str| -> Vec<String> { text.split_terminator('\0').map(Into::into).collect() };
    let pairs = split(&read("env")?);
    let mut env: BTreeMap<String, String> =
        pairs.iter().filter_map(|pair| pair.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect();
    env.retain(|name, _| !LEFT_OUT.contains(&name.as_str()));
    // cargo, or the proxy that chose it, may name the libraries of another toolchain there, of the same name.
    if !side.env.contains_key("LD_LIBRARY_PATH") {
        env.insert("LD_LIBRARY_PATH".into(), side.path.join("lib").into());
    }
    Ok(Invocation { argv: split(&read("argv")?), env, cwd: read("cwd")?.trim_end().into() })
}
