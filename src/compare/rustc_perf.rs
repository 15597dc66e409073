//! rustc-perf's crates as workloads for two toolchains: what is measured is the last rustc of a crate, without its dependencies.
//!
//! Each side builds a copy of a crate once, with its own rustc, because no rustc reads the libraries of another one. A wrapper
//! writes down how cargo calls the last rustc, and that call is repeated. Unaware of how it is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;

use super::request::{Build, Invocation, Workload};
use crate::facts::Facts;
use crate::fs::tree;
use crate::toolchain::rustc_perf::{Crates, NO_WORKSPACE_ABOVE};

/// The crates that are measured by default. People wrote them, they are no stress tests, and each takes seconds. rust-lang/rust does not
/// train its releases with them, and no crate that it trains with depends on them.
pub const DEFAULT_CRATES: [&str; 3] = ["helloworld", "inflate", "html5ever-*"];

/// How a crate is built, as rustc-perf calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Deserialize, schemars::JsonSchema)]
pub enum Profile {
    /// `cargo check`
    #[value(name = "Check")]
    Check,
    /// `cargo build`
    #[value(name = "Debug")]
    Debug,
    /// `cargo build --release`
    #[value(name = "Opt")]
    Opt,
}

impl Profile {
    /// As rustc-perf and the command line call it.
    pub fn name(self) -> &'static str {
        match self {
            Profile::Check => "Check",
            Profile::Debug => "Debug",
            Profile::Opt => "Opt",
        }
    }
}

/// Which crates, built how.
#[derive(Debug, Clone)]
pub struct Selection {
    /// A checkout of rustc-perf; never written to.
    pub rustc_perf: Utf8PathBuf,
    pub crates: Vec<String>,
    pub profiles: Vec<Profile>,
    /// What builds them: a path, or a name that is looked for in PATH.
    pub cargo: Utf8PathBuf,
    /// Settings for cargo, such as where vendored crates are.
    pub cargo_config: Vec<String>,
}

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

/// Builds every crate once with both toolchains, in `scratch`. `env` is what cargo sees of the environment.
///
/// # Errors
/// When there is no such crate, or it cannot be built.
pub fn workloads(
    selection: &Selection,
    base: &Build,
    candidate: &Build,
    env: &BTreeMap<String, String>,
    scratch: &Utf8Path,
    say: &mut dyn FnMut(&str),
) -> Result<Vec<Workload>> {
    let wrapper = scratch.join("rustc-wrapper");
    fs::write(&wrapper, WRAPPER).with_context(|| format!("cannot write {wrapper}"))?;
    let mode = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&wrapper, mode).with_context(|| format!("cannot make {wrapper} executable"))?;
    let facts = Facts::live();
    let known = Crates::of(&facts, &selection.rustc_perf);
    if known.names.is_empty() {
        bail!("there are no crates in {}: it is no checkout of rustc-perf", selection.rustc_perf);
    }
    let mut workloads = Vec::new();
    let mut seen = BTreeSet::new();
    for name in &selection.crates {
        let name = known.find(&facts, name).map_err(anyhow::Error::msg)?;
        if !seen.insert(name) {
            continue;
        }
        let source = known.path(name);
        for profile in &selection.profiles {
            let title = format!("{name} {}", profile.name());
            say(&format!("building the dependencies of {title}"));
            let prepared = |side: &Build, which: &str| -> Result<Invocation> {
                let dir = scratch.join(NO_WORKSPACE_ABOVE).join(format!("{name}-{}-{which}", profile.name()));
                prepare(&source, *profile, side, selection, env, &dir, &wrapper)
                    .with_context(|| format!("crate {title} with {}", side.name))
            };
            let (base, candidate) = (prepared(base, "base")?, prepared(candidate, "candidate")?);
            workloads.push(Workload { name: title.clone(), command: shown(&candidate), base, candidate });
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
    selection: &Selection,
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
    let mut command = Command::new(&selection.cargo);
    match profile {
        Profile::Check => command.arg("check"),
        Profile::Debug => command.arg("build"),
        Profile::Opt => command.args(["build", "--release"]),
    };
    command.arg("--manifest-path").arg(&manifest).arg("--target-dir").arg(&target);
    command.args(selection.cargo_config.iter().flat_map(|setting| ["--config", setting.as_str()]));
    let options = config.cargo_opts.unwrap_or_default();
    let options: Vec<&str> = options.split_whitespace().collect();
    let chosen = options.iter().any(|option| matches!(*option, "--lib" | "--bin"));
    command.args(&options);
    if config.artifact.as_deref() == Some("library") && !chosen {
        command.arg("--lib");
    }
    let rustc = side.program();
    command.env_clear().envs(env).envs(&side.env).env("RUSTC", &rustc).env("RUSTC_WRAPPER", wrapper);
    command.env("OPTBUILD_RECORD", &record).env("CARGO_INCREMENTAL", "0");
    // So that it is not built by the toolchain that rust-toolchain.toml or a proxy in PATH would choose.
    command.current_dir(&copy).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot start {}", selection.cargo))?;
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
