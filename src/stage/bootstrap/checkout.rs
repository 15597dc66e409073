//! What a checkout of rust takes: options and names of settings change between versions, and the checkout's own sources say which
//! ones it knows.
//!
//! Text is looked for, not parsed: `flags.rs` declares an option as a field (`pub rust_profile_use:`) or, before April 2023, as a
//! string (`"rust-profile-use"`), and each key of the configuration stands as a string beside its field. Unaware of stages.

pub mod declared;

use camino::{Utf8Path, Utf8PathBuf};
use semver::Version;

use crate::facts::Facts;
use crate::pipeline::nearest;
use crate::toolchain::version;

pub(super) const FLAGS: [&str; 2] = ["src/bootstrap/src/core/config/flags.rs", "src/bootstrap/flags.rs"];
/// Since May 2025 each table of the configuration has a file of its own.
const TABLES: &str = "src/bootstrap/src/core/config/toml";
const CONFIGS: [&str; 2] = ["src/bootstrap/src/core/config/config.rs", "src/bootstrap/config.rs"];
/// Components of the table `pgo`.
const PGO: &str = "src/bootstrap/src/core/config/toml/pgo.rs";
const TRACKER: &str = "src/bootstrap/src/utils/change_tracker.rs";

/// What was found in the sources of a checkout.
#[derive(Debug, Clone, Default)]
pub(super) struct Checkout {
    pub path: Utf8PathBuf,
    /// The version of its compiler.
    pub version: Option<Version>,
    /// `stable`, `beta` or `nightly`: what `src/ci/channel` says.
    pub channel: Option<String>,
    /// There is a clone of git.
    pub git: bool,
    /// Of the LLVM in it, if that is there.
    pub llvm_major: Option<u64>,
    /// Of an LLVM that stands outside, if that is known.
    pub oldest_llvm: Option<Oldest>,
    /// The last entry of the change tracker: a configuration that names it has seen all changes.
    pub last_change: Option<String>,
    flags: Option<String>,
    config: String,
    /// Text of the file that declares the table `pgo`.
    pgo: Option<String>,
}

/// How a component of the toolchain takes part in profile-guided optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// `--set pgo.COMPONENT.use=PATH`, since July 2026.
    Setting,
    /// `--rust-profile-use PATH`, `--llvm-profile-use PATH`.
    Option(&'static str),
}

/// Whether `x.py` takes a name in a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Takes {
    Yes,
    /// Not this one; perhaps another one is meant, or is what it is called in this checkout.
    No {
        name: String,
        nearest: Option<String>,
    },
    /// The checkout's sources do not say.
    Unknown,
}

impl Checkout {
    pub fn look(facts: &Facts, path: &Utf8Path) -> Checkout {
        let read = |below: &str| facts.read(&path.join(below));
        let mut config: String = CONFIGS.iter().filter_map(|below| read(below)).collect();
        for name in facts.list(&path.join(TABLES)).iter().filter(|name| name.ends_with(".rs")) {
            config.push_str(&read(&format!("{TABLES}/{name}")).unwrap_or_default());
        }
        let tracker = read(TRACKER);
        Checkout {
            path: path.to_owned(),
            version: read("src/version").and_then(|text| version::parse(&text)),
            channel: read("src/ci/channel").map(|text| text.trim().to_string()),
            git: facts.exists(&path.join(".git")),
            llvm_major: llvm_major(facts, path),
            oldest_llvm: oldest_llvm(facts, path),
            last_change: tracker.as_deref().and_then(last_change),
            flags: FLAGS.iter().find_map(|below| read(below)),
            config,
            pgo: read(PGO),
        }
    }

    /// Whether its sources could be read at all.
    pub fn is_known(&self) -> bool {
        self.flags.is_some()
    }

    /// Whether `x.py` has the option `--NAME`.
    pub fn has_option(&self, name: &str) -> bool {
        let field = format!("pub {}:", name.replace('-', "_"));
        let string = format!("\"{name}\"");
        self.flags.as_deref().is_some_and(|text| text.contains(&field) || text.contains(&string))
    }

    /// Whether the configuration has a setting, by its full name. True if nothing is known, or for tables whose keys are anybody's
    /// choice.
    pub fn has_setting(&self, name: &str) -> bool {
        let mut parts = name.split('.');
        let (table, key) = (parts.next().unwrap_or_default(), parts.next_back().unwrap_or_default());
        let Some(declared) = declared::of_table(table).filter(|_| !name.starts_with("llvm.build-config.")) else {
            return true;
        };
        let Some(mut fields) = declared::fields(&self.config, declared) else { return self.config.is_empty() };
        let (string, field) = (format!("\"{key}\""), format!("{}:", key.replace('-', "_")));
        fields.any(|line| line.contains(&string) || line.strip_prefix("pub ").unwrap_or(line).starts_with(&field))
    }

    /// Whether `x.py` takes a name in a configuration: a table, with those around it, and a key in it.
    pub fn takes(&self, tables: &[String], key: &str) -> Takes {
        let first = tables.first().map_or(key, String::as_str);
        let Some(declared) = declared::of_table(first).filter(|_| !tables.is_empty()) else {
            return match declared::top(&self.config) {
                Some(names) if names.iter().all(|name| name != first) => {
                    Takes::No { name: first.into(), nearest: nearest(first, names.iter().map(String::as_str)) }
                }
                Some(_) => Takes::Yes,
                None => Takes::Unknown,
            };
        };
        // Below `target` the next is a triple.
        let within = if first == "target" { 2 } else { 1 };
        let Some(around) = tables.get(..within) else { return Takes::Unknown };
        // What stands in a table below is its owner's business: `llvm.build-config`, `build.tool.NAME`.
        let key = tables.get(within).map_or(key, String::as_str);
        let Some(keys) = declared::keys(&self.config, declared) else { return Takes::Unknown };
        if keys.contains(&key) {
            return Takes::Yes;
        }
        let full = |key: &str| format!("{}.{key}", around.join("."));
        let name = full(key);
        let renamed = self.setting(&name, "").ok().map(|(other, _)| other).filter(|other| *other != name);
        Takes::No { nearest: renamed.or_else(|| nearest(key, keys).map(|near| full(&near))), name }
    }

    /// How the component is instrumented or built with a profile; the setting where there are both.
    ///
    /// # Errors
    /// What was looked for, where there is neither.
    pub fn pgo(&self, component: &str) -> Result<Spelling, String> {
        if !self.is_known() {
            return Ok(Spelling::Setting);
        }
        let table = self.pgo.as_deref().and_then(|text| text.split_once("struct Pgo {")).map(|(_, rest)| rest);
        if table.is_some_and(|table| table.contains(&format!("\"{component}\""))) {
            return Ok(Spelling::Setting);
        }
        let option = match component {
            "rustc" => Some("rust-profile"),
            "llvm" => Some("llvm-profile"),
            _ => None,
        };
        let has =
            |option: &str| self.has_option(&format!("{option}-generate")) && self.has_option(&format!("{option}-use"));
        match option {
            Some(option) if has(option) => Ok(Spelling::Option(option)),
            Some(option) => Err(format!(
                "this checkout's x.py has neither `pgo.{component}` ({PGO}) nor `--{option}-generate` and `--{option}-use` ({})",
                FLAGS.join(" or ")
            )),
            None => Err(format!(
                "this checkout's x.py cannot: it has no `pgo.{component}` ({PGO}), and there never was an option for it"
            )),
        }
    }

    /// The name that the checkout has for a setting, whose name may be that of any version, and its value there if that is another.
    ///
    /// # Errors
    /// What was looked for, where it has none.
    pub fn setting(&self, name: &str, value: &str) -> Result<(String, Option<String>), String> {
        if self.has_setting(name) {
            return Ok((name.into(), None));
        }
        let renamed = RENAMED.iter().flat_map(|(new, old)| [(new, old), (old, new)]).filter_map(|(from, to)| {
            let within = from.strip_prefix("target.*.").and_then(|key| name.strip_suffix(key)?.strip_suffix('.'));
            match within {
                Some(table) if table.starts_with("target.") => Some(to.replacen("target.*", table, 1)),
                _ => (*from == name).then(|| (*to).to_string()),
            }
        });
        let mut looked_for = Vec::new();
        for other in renamed {
            if self.has_setting(&other) {
                let value = allocator(&other, value);
                return Ok((other, value));
            }
            looked_for.push(format!(", nor `{other}`"));
        }
        Err(format!(
            "this checkout's x.py has no setting `{name}`{}: looked in {TABLES} and {}",
            looked_for.concat(),
            CONFIGS.join(", ")
        ))
    }
}

/// Settings that have another name in older checkouts.
const RENAMED: [(&str, &str); 5] = [
    ("rust.bootstrap-override-lld", "rust.use-lld"),
    ("rust.override-allocator", "rust.jemalloc"),
    ("target.*.override-allocator", "target.*.jemalloc"),
    ("build.ccache", "llvm.ccache"),
    ("build.description", "rust.description"),
];

/// The value of `jemalloc` for one of `override-allocator`, and the other way round.
fn allocator(name: &str, value: &str) -> Option<String> {
    if name.ends_with(".jemalloc") {
        return Some((value == "\"jemalloc\"").to_string());
    }
    (name.ends_with(".override-allocator") && value == "true").then(|| "\"jemalloc\"".into())
}

/// The number of the last change, which a configuration names to say that it knows all of them.
fn last_change(tracker: &str) -> Option<String> {
    let numbers = tracker.lines().filter_map(|line| line.trim().strip_prefix("change_id:"));
    let last = numbers.rev().find_map(|text| text.trim().trim_end_matches(',').parse::<u64>().ok())?;
    Some(last.to_string())
}

const LLVM: &str = "src/llvm-project";
/// Where x.py asks `llvm-config`: since July 2023, since February 2023, and before.
const CHECKS: [&str; 3] =
    ["src/bootstrap/src/core/build_steps/llvm.rs", "src/bootstrap/llvm.rs", "src/bootstrap/native.rs"];

/// The oldest LLVM that x.py takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Oldest {
    pub major: u64,
    /// Which of the checkout's files says so.
    pub file: &'static str,
}

/// Which LLVM is in a checkout. CMake's file has a line `set(LLVM_VERSION_MAJOR 19)`; it moved with LLVM 19.
pub(super) fn llvm_major(facts: &Facts, path: &Utf8Path) -> Option<u64> {
    let files = ["cmake/Modules/LLVMVersion.cmake", "llvm/CMakeLists.txt"];
    files.iter().find_map(|file| {
        let text = facts.read(&path.join(LLVM).join(file))?;
        let line = text.lines().find_map(|line| line.trim().strip_prefix("set(LLVM_VERSION_MAJOR "))?;
        line.trim_end_matches(')').trim().parse().ok()
    })
}

/// Which LLVM x.py takes at least. What it says of another one has been the same for as long as there is BOLT:
/// `bad LLVM version: …, need >=18`, once with `.0` behind it.
fn oldest_llvm(facts: &Facts, path: &Utf8Path) -> Option<Oldest> {
    CHECKS.iter().find_map(|file| {
        let text = facts.read(&path.join(file))?;
        let (_, message) = text.split_once("bad LLVM version")?;
        let (_, needed) = message.lines().next()?.split_once("need >=")?;
        let digits: String = needed.chars().take_while(char::is_ascii_digit).collect();
        Some(Oldest { major: digits.parse().ok()?, file })
    })
}
