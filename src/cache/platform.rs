//! What a build takes from the machine without naming it: the libraries and headers of a distribution. It is a part of the name under
//! which a stage is shared, and of no fingerprint: on one machine it is the same for all stages.
//!
//! Unaware of stages.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::facts::Facts;

/// Names of what is known of a machine, with values that may leave it.
pub type Platform = BTreeMap<String, String>;

/// How much of a machine has to be the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Alike {
    /// Target triple, version of libc, name and version of the distribution.
    #[default]
    Os,
    /// And the digest of the container's image, which `OPTBUILD_IMAGE` says.
    Image,
    /// And all packages that are installed, with their versions.
    Packages,
    /// Nothing.
    None,
}

/// The variable that says which image of a container this is.
pub const IMAGE: &str = "OPTBUILD_IMAGE";

/// What is known of this machine. None: what was asked for is not to be known here, and why.
pub fn of(alike: Alike, facts: &Facts) -> Result<Platform, String> {
    let mut platform = Platform::new();
    if alike == Alike::None {
        return Ok(platform);
    }
    let mut add = |name: &str, value: String| _ = platform.insert(name.into(), value);
    add("triple", facts.host());
    add("libc", libc(facts));
    add("distribution", distribution(&facts.read("/etc/os-release".into()).unwrap_or_default()));
    match alike {
        Alike::Os | Alike::None => {}
        Alike::Image => match facts.env(IMAGE).filter(|image| !image.is_empty()) {
            Some(image) => add("image", hashed(&image)),
            None => return Err(format!("`platform = \"image\"` needs the image's digest in the variable {IMAGE}")),
        },
        Alike::Packages => match packages(facts) {
            Some(packages) => add("packages", hashed(&packages)),
            None => return Err("`platform = \"packages\"` needs dpkg or rpm, and neither answers here".into()),
        },
    }
    Ok(platform)
}

/// The model of the processor with its abilities, for what is built for the machine that it is built on.
pub fn processor(facts: &Facts) -> String {
    let text = facts.read("/proc/cpuinfo".into()).unwrap_or_default();
    let line = |names: &[&str]| {
        let mut lines = text.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(name, _)| names.contains(&name.trim())).map(|(_, value)| value.trim().to_owned())
    };
    let model = line(&["model name", "CPU part", "uarch", "cpu"]).unwrap_or_else(|| "unknown".into());
    let abilities = line(&["flags", "Features", "isa"]).unwrap_or_default();
    let mut abilities: Vec<&str> = abilities.split_whitespace().collect();
    abilities.sort_unstable();
    format!("{model} {}", &hashed(&abilities.join(" "))[..12])
}

/// Name and version of the C library: `glibc 2.36`.
fn libc(facts: &Facts) -> String {
    if let Some(text) = facts.output(&["getconf", "GNU_LIBC_VERSION"]) {
        return text.trim().to_owned();
    }
    // musl has no getconf that knows itself, and prints its version where it is asked nothing.
    let musl = facts.host().contains("musl");
    let version = facts.read("/lib/apk/db/installed".into()).and_then(|text| {
        let package = text.split("\n\n").find(|package| package.lines().any(|line| line == "P:musl"))?.to_owned();
        package.lines().find_map(|line| line.strip_prefix("V:").map(str::to_owned))
    });
    format!("{} {}", if musl { "musl" } else { "unknown" }, version.unwrap_or_default()).trim().to_owned()
}

/// Name and version out of the text of `/etc/os-release`: `debian 12`.
pub fn distribution(text: &str) -> String {
    let value = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(key, _)| *key == name).map(|(_, value)| value.trim_matches(['"', '\'']).to_owned());
        found.filter(|value| !value.is_empty())
    };
    let id = value("ID").unwrap_or_else(|| "unknown".into());
    // Those that never end, such as Arch, have no version: only their packages tell.
    format!("{id} {}", value("VERSION_ID").or_else(|| value("BUILD_ID")).unwrap_or_else(|| "rolling".into()))
}

fn packages(facts: &Facts) -> Option<String> {
    let dpkg = || facts.output(&["dpkg-query", "-W", "-f", "${Package}:${Architecture} ${Version}\\n"]);
    let text = dpkg().or_else(|| facts.output(&["rpm", "-qa"]))?;
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    Some(lines.join("\n"))
}

fn hashed(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

/// In what two machines differ: a sentence for each.
pub fn differences(there: &Platform, here: &Platform) -> Vec<String> {
    let names: std::collections::BTreeSet<&String> = there.keys().chain(here.keys()).collect();
    let mut differences = Vec::new();
    for name in names {
        let value = |platform: &Platform| platform.get(name).cloned();
        match (value(there), value(here)) {
            (Some(there), Some(here)) if there == here => {}
            (Some(there), Some(here)) if there.len() <= 40 && here.len() <= 40 => {
                differences.push(format!("{name} is {here} here and {there} there"));
            }
            (Some(_), Some(_)) => differences.push(format!("{name} is another one")),
            (None, _) => differences.push(format!("{name} does not count there")),
            (_, None) => differences.push(format!("{name} does not count here")),
        }
    }
    differences
}
