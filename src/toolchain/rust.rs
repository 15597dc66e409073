//! The Rust toolchain that builds in a directory: the programs themselves, not rustup's proxies for them.
//!
//! rustup chooses a toolchain by the directory (`rust-toolchain.toml`, overrides), so a plan that named its proxy would not
//! say which compiler it means.

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;

use super::{file_name, version};
use crate::facts::Facts;
use crate::pipeline::Pipeline;
use crate::plan::Gap;

/// A Rust toolchain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rust {
    pub cargo: Utf8PathBuf,
    pub rustc: Utf8PathBuf,
    pub sysroot: Utf8PathBuf,
    /// As rustc says it: `1.95.0`, `1.97.0-nightly`.
    pub version: String,
    /// The target triple that its own programs run on.
    pub host: String,
    /// The LLVM in it.
    pub llvm: Option<Version>,
    /// It is one of rustup's.
    pub rustup: bool,
}

/// The toolchain that cargo would use in `dir`; in the current directory if there is none, or it does not exist yet.
///
/// # Errors
/// A gap: cargo or rustc is missing, or the toolchain that the directory asks for is not installed.
pub fn find(facts: &Facts, pipeline: &Pipeline, dir: Option<&Utf8Path>) -> Result<Rust, Gap> {
    let cargo = super::locate(facts, pipeline, "cargo")?;
    let rustc = super::locate(facts, pipeline, "rustc")?;
    let dir = dir.filter(|dir| facts.exists(dir));
    let rustup = is_proxy(facts, &rustc);
    let ask = |argv: &[&str]| match dir {
        Some(dir) if rustup => facts.output_in(dir, argv),
        _ => facts.output(argv),
    };
    let broken = || {
        if let Some((name, place)) = rustup.then(|| asked_for(facts, dir)).flatten() {
            return Gap {
                what: format!(
                    "the toolchain `{name}`, which {place} asks for, is not there: `{rustc} --print sysroot` fails"
                ),
                remedy: format!("`rustup toolchain install {name}` installs it"),
            };
        }
        let at = dir.map(|dir| format!(" in {dir}")).unwrap_or_default();
        let remedy = if rustup {
            "see what `rustup show` says there; `rustup toolchain install` installs the toolchain it asks for"
        } else {
            "see what it says, and reinstall Rust: https://rustup.rs"
        };
        Gap { what: format!("`{rustc} --print sysroot` fails{at}"), remedy: remedy.into() }
    };
    let sysroot = Utf8PathBuf::from(ask(&[rustc.as_str(), "--print", "sysroot"]).ok_or_else(broken)?.trim());
    let own = |proxy: &Utf8Path, name: &str| {
        let own = is_proxy(facts, proxy).then(|| facts.program(sysroot.join("bin").join(name).as_str()));
        own.flatten().unwrap_or_else(|| proxy.into())
    };
    let (cargo, rustc) = (own(&cargo, "cargo"), own(&rustc, "rustc"));
    let text = facts.output(&[rustc.as_str(), "-vV"]).ok_or_else(broken)?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    Ok(Rust {
        version: field("release").unwrap_or_default().into(),
        host: field("host").map_or_else(|| facts.host(), Into::into),
        llvm: field("LLVM version").and_then(version::parse),
        cargo,
        rustc,
        sysroot,
        rustup,
    })
}

/// The toolchain that is asked for in a directory, and what asks for it, in rustup's order; the user's default is not looked up.
fn asked_for(facts: &Facts, dir: Option<&Utf8Path>) -> Option<(String, String)> {
    if let Some(name) = facts.env("RUSTUP_TOOLCHAIN").filter(|name| !name.is_empty()) {
        return Some((name, "RUSTUP_TOOLCHAIN".into()));
    }
    dir?.ancestors().flat_map(|dir| ["rust-toolchain", "rust-toolchain.toml"].map(|name| dir.join(name))).find_map(
        |file| {
            let text = facts.read(&file)?;
            let declared = text.parse::<toml::Table>().ok();
            let channel = declared.and_then(|table| Some(table.get("toolchain")?.get("channel")?.as_str()?.to_owned()));
            // The older form is the name alone.
            let name = channel.or_else(|| {
                Some(text.trim().to_owned()).filter(|name| !name.is_empty() && !name.contains(['\n', '[']))
            })?;
            Some((name, file.into_string()))
        },
    )
}

impl Rust {
    /// The command that adds LLVM's tools to it. None: it is not one of rustup's.
    pub fn add_llvm_tools(&self) -> Option<String> {
        let dir = self.sysroot.parent().and_then(Utf8Path::file_name);
        let name = self.sysroot.file_name().filter(|_| dir == Some(TOOLCHAINS));
        let toolchain = name.map(|name| format!(" --toolchain {name}")).unwrap_or_default();
        self.rustup.then(|| format!("rustup component add llvm-tools{toolchain}"))
    }
}

/// Where rustup has toolchains.
const TOOLCHAINS: &str = "toolchains";

/// A tool of LLVM out of the component `llvm-tools` of each of rustup's toolchains that has it.
pub fn llvm_tools(facts: &Facts, name: &str) -> Vec<Utf8PathBuf> {
    let own = facts.env("RUSTUP_HOME").filter(|home| !home.is_empty()).map(Utf8PathBuf::from);
    let home = own.or_else(|| Some(Utf8PathBuf::from(facts.env("HOME")?).join(".rustup")));
    let Some(dir) = home.map(|home| home.join(TOOLCHAINS)) else { return Vec::new() };
    let bin = Utf8Path::new("lib/rustlib").join(facts.host()).join("bin");
    let tool = |toolchain: String| facts.program(dir.join(toolchain).join(&bin).join(name).as_str());
    facts.list(&dir).into_iter().filter_map(tool).collect()
}

/// Whether a program is one of rustup's, which runs another of the same name.
fn is_proxy(facts: &Facts, program: &Utf8Path) -> bool {
    let real = facts.real_path(program);
    real.as_deref().is_some_and(|real| matches!(file_name(real), "rustup" | "rustup-init"))
}
