//! A checkout of rustc-perf: where its crates are, and how each is built. The collector trains with them, and toolchains are
//! compared with them.
//!
//! Names change with rustc-perf, so they are read from it. Unaware of how the crates are compiled.

use camino::{Utf8Path, Utf8PathBuf};

use crate::facts::Facts;

/// Where the crates stand in rustc-perf, the newest place first.
const PLACES: [&str; 2] = ["collector/compile-benchmarks", "collector/benchmarks"];

/// A directory to build copies of crates below. cargo looks in all directories above for a workspace that a package belongs to,
/// except in and above those of this name; the state directory may lie in a checkout, which is a workspace.
pub const NO_WORKSPACE_ABOVE: &str = "target/package";

/// Where the crates are, below rustc-perf.
pub fn benchmarks(facts: &Facts, rustc_perf: Option<&Utf8Path>) -> &'static str {
    let there = |dir: &&&str| rustc_perf.is_some_and(|checkout| facts.exists(&checkout.join(dir)));
    PLACES.iter().find(there).unwrap_or(&PLACES[0])
}

/// The crates that the collector finds: their directories say how each is built.
#[derive(Debug, Default)]
pub struct Crates {
    /// Where they are.
    pub dir: Utf8PathBuf,
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
    /// Those of a checkout of rustc-perf.
    pub fn of(facts: &Facts, rustc_perf: &Utf8Path) -> Crates {
        let dir = rustc_perf.join(benchmarks(facts, Some(rustc_perf)));
        let mut names = facts.list(&dir);
        names.retain(|name| facts.exists(&dir.join(name).join("perf-config.json")));
        Crates { dir, names }
    }

    /// The directory of a crate that is among them.
    pub fn path(&self, name: &str) -> Utf8PathBuf {
        self.dir.join(name)
    }

    /// The crate that is meant: the one of that name, or, of `NAME-*`, that of the highest version. Versions change with rustc-perf.
    ///
    /// # Errors
    /// What is to be said when there is none, or it is not built any more.
    pub fn find(&self, facts: &Facts, name: &str) -> Result<&str, String> {
        let disabled = |name: &str| self.settings(facts, name).disabled;
        if let Some(stem) = name.strip_suffix("-*") {
            // `ripgrep-13.0.0-tiny` is another crate.
            let version = |known: &&str| -> Option<Vec<u64>> {
                let numbers = known.strip_prefix(stem)?.strip_prefix('-')?.split('.');
                numbers.map(|number| number.parse().ok()).collect()
            };
            let versions = self.names.iter().map(String::as_str).filter(|known| version(known).is_some());
            return versions.filter(|known| !disabled(known)).max_by_key(version).ok_or_else(|| self.missing(name));
        }
        match self.names.iter().find(|known| *known == name) {
            Some(_) if disabled(name) => {
                Err(format!("rustc-perf has the crate `{name}`, but does not build it any more"))
            }
            Some(found) => Ok(found),
            None => Err(self.missing(name)),
        }
    }

    /// How a crate is built.
    pub fn settings(&self, facts: &Facts, name: &str) -> Settings {
        let text = facts.read(&self.path(name).join("perf-config.json")).unwrap_or_default();
        // The collector complains of what is wrong in it.
        serde_json::from_str(&text).unwrap_or_default()
    }

    fn missing(&self, name: &str) -> String {
        let nearest = self.nearest(name);
        let hint = match nearest.is_empty() {
            true => format!("It has: {}", self.names.join(", ")),
            false => format!("The nearest: {}", nearest.join(", ")),
        };
        format!("this rustc-perf has no crate `{name}`. {hint}")
    }

    /// The names that are most like one that is not there, nearest first.
    pub fn nearest(&self, wrong: &str) -> Vec<&str> {
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
