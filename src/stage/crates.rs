//! Which crates of rustc-perf there are, and which of them a checkout of rust-lang/rust trains on.
//!
//! Both change with the checkout, so both are read from it. Unaware of how they are compiled.

use camino::{Utf8Path, Utf8PathBuf};

use crate::facts::Facts;
use crate::pipeline::kind::rustc_perf::CrateList;

/// Where the lists stand: since 2024, before that, and in the Python of 2022.
const FILES: [&str; 4] = [
    "src/build_helper/src/lib.rs",
    "src/tools/build_helper/src/lib.rs",
    "src/tools/opt-dist/src/training.rs",
    "src/ci/stage-build.py",
];

/// The crates that the collector finds: their directories say how each is built.
pub struct Crates {
    dir: Utf8PathBuf,
    /// Sorted. Empty where nothing is known of them.
    pub names: Vec<String>,
}

/// How the collector builds a crate, as far as it matters here.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Kept for the record; the collector refuses to build it.
    pub disabled: bool,
    /// `primary`, `secondary`, `stable`. The last is left out by the collector unless it is asked for.
    pub category: String,
    pub excluded_profiles: Vec<String>,
}

impl Crates {
    pub fn of(facts: &Facts, dir: Utf8PathBuf) -> Crates {
        let mut names = facts.list(&dir);
        names.retain(|name| facts.exists(&dir.join(name).join("perf-config.json")));
        Crates { dir, names }
    }

    /// How a crate is built.
    pub fn settings(&self, facts: &Facts, name: &str) -> Settings {
        let text = facts.read(&self.dir.join(name).join("perf-config.json")).unwrap_or_default();
        // The collector complains of what is wrong in it.
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// What is said of a crate that is not among them.
    pub fn missing(&self, name: &str) -> String {
        let nearest = self.nearest(name);
        let hint = match nearest.is_empty() {
            true => format!("It has: {}", self.names.join(", ")),
            false => format!("The nearest: {}", nearest.join(", ")),
        };
        format!("this rustc-perf has no crate `{name}`. {hint}")
    }

    /// The names that are most like one that is not there, nearest first.
    fn nearest(&self, wrong: &str) -> Vec<&str> {
        // Versions change with rustc-perf; the name before is what is meant.
        let stem = stem(wrong);
        let distance = |name: &str| {
            let other = self::stem(name);
            let prefix = if name.starts_with(stem) || other == stem { 0 } else { 1 };
            (prefix, strsim::damerau_levenshtein(wrong, name))
        };
        let mut names: Vec<(_, &str)> = self.names.iter().map(|name| (distance(name), name.as_str())).collect();
        names.retain(|((prefix, distance), name)| *prefix == 0 || *distance <= name.len() / 2);
        names.sort();
        names.into_iter().take(3).map(|(_, name)| name).collect()
    }

    /// Other crates that the collector would take as well when it is asked for this one: it goes by the beginning of names. As
    /// few as exclude all of them; the collector complains of one that excludes nothing.
    pub fn beginning_with(&self, name: &str) -> Vec<&str> {
        let mut others: Vec<&str> = Vec::new();
        for other in self.names.iter().filter(|other| other.starts_with(name) && *other != name) {
            if !others.iter().any(|shorter| other.starts_with(shorter)) {
                others.push(other);
            }
        }
        others
    }
}

/// A name without the version behind it.
fn stem(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((stem, version)) if version.starts_with(|c: char| c.is_ascii_digit() || c == '*') => stem,
        _ => name,
    }
}

/// The crates that the checkout trains on; none if it has no such list.
pub fn listed(facts: &Facts, checkout: &Utf8Path, list: CrateList) -> Option<Vec<String>> {
    let name = match list {
        CrateList::Rustc => "RUSTC_PGO_CRATES",
        CrateList::Llvm => "LLVM_PGO_CRATES",
    };
    FILES.iter().find_map(|file| strings(&facts.read(&checkout.join(file))?, name))
}

/// Where the lists are looked for.
pub fn places() -> String {
    FILES.join(", ")
}

/// The strings of a constant array, in Rust or Python: `NAME… = &["a", "b"]`.
fn strings(source: &str, name: &str) -> Option<Vec<String>> {
    source.match_indices(name).find_map(|(at, _)| {
        let behind = &source[at + name.len()..];
        // The type may have brackets too, but the value stands behind the sign. A use of the constant has none before its line ends.
        let sign = behind.find('=').filter(|sign| !behind[..*sign].contains(['\n', '(']))?;
        let value = &behind[sign..];
        let open = value.find('[')?;
        let close = open + value[open..].find(']')?;
        let lines = value[open + 1..close].lines();
        let code: String = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
        let strings: Vec<String> = code.split('"').skip(1).step_by(2).map(Into::into).collect();
        (!strings.is_empty()).then_some(strings)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_rust_and_python() {
        let rust = "use x::LLVM_PGO_CRATES;\nfn f() { g(LLVM_PGO_CRATES) }\n\
                    pub const LLVM_PGO_CRATES: &[&str] = &[\n    \"syn-1.0.89\", // \"old\"\n    \"cargo-0.60.0\",\n];\n\
                    const RUSTC_PGO_CRATES: [&str; 1] = [\"externs\"];";
        assert_eq!(strings(rust, "LLVM_PGO_CRATES").unwrap(), ["syn-1.0.89", "cargo-0.60.0"]);
        assert_eq!(strings(rust, "RUSTC_PGO_CRATES").unwrap(), ["externs"]);
        let python = "LLVM_PGO_CRATES = [\n  \"syn-1.0.89\",\n  \"clap-3.1.6\"\n]\ngather(LLVM_PGO_CRATES)\n";
        assert_eq!(strings(python, "LLVM_PGO_CRATES").unwrap(), ["syn-1.0.89", "clap-3.1.6"]);
        assert_eq!(strings(python, "RUSTC_PGO_CRATES"), None);
    }

    fn crates(names: &[&str]) -> Crates {
        Crates { dir: "/p".into(), names: names.iter().map(|name| name.to_string()).collect() }
    }

    #[test]
    fn crates_whose_names_begin_with_another() {
        let crates = crates(&["a", "a-b", "a-b-c", "ax", "b", "ripgrep-13.0.0", "ripgrep-13.0.0-tiny"]);
        assert_eq!(crates.beginning_with("ripgrep-13.0.0"), ["ripgrep-13.0.0-tiny"]);
        // `a-b` excludes `a-b-c` too.
        assert_eq!(crates.beginning_with("a"), ["a-b", "ax"]);
        assert_eq!(crates.beginning_with("b"), [""; 0]);
    }

    #[test]
    fn a_crate_of_another_version_is_near() {
        let crates = crates(&["bitmaps-3.1.0", "cargo-0.60.0", "diesel-1.4.8", "diesel-2.2.10", "serde-1.0.136"]);
        assert_eq!(crates.nearest("diesel-1.4.9"), ["diesel-1.4.8", "diesel-2.2.10"]);
        assert_eq!(crates.nearest("cargo-0.87.1"), ["cargo-0.60.0"]);
        assert_eq!(crates.nearest("bitmap-3.1.0")[0], "bitmaps-3.1.0");
        assert_eq!(crates.nearest("tokio"), [""; 0]);
    }
}
