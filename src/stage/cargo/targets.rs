//! What a package has to build: its programs, library, examples and benches, as cargo finds them.
//!
//! Read from the manifests, because asking cargo would start a process in every run. cargo's rules
//! (<https://doc.rust-lang.org/cargo/reference/cargo-targets.html>):
//!
//! | target | declared | found |
//! |---|---|---|
//! | program | `[[bin]]` | `src/main.rs`, with the package's name; `src/bin/NAME.rs`, `src/bin/NAME/main.rs` |
//! | library | `[lib]` | `src/lib.rs`, with the package's name, `_` for `-` |
//! | example | `[[example]]` | `examples/NAME.rs`, `examples/NAME/main.rs` |
//! | bench | `[[bench]]` | `benches/NAME.rs`, `benches/NAME/main.rs` |
//!
//! Where a manifest cannot be read, or is not there yet, nothing is known, and cargo itself says what is wrong.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use toml::{Table, Value};

use super::Target;
use super::config::{MANIFEST, workspace_root};
use crate::facts::Facts;
use crate::fs::pattern;

/// A package and its targets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    pub bins: BTreeSet<String>,
    pub lib: Option<Library>,
    pub examples: BTreeSet<String>,
    pub benches: BTreeSet<String>,
}

impl Package {
    /// The names of all targets of a kind.
    pub(super) fn names(&self, target: Target) -> Vec<&str> {
        match target {
            Target::Bin => self.bins.iter().map(String::as_str).collect(),
            Target::Lib => self.lib.iter().map(|lib| lib.name.as_str()).collect(),
            Target::Example => self.examples.iter().map(String::as_str).collect(),
            Target::Bench => self.benches.iter().map(String::as_str).collect(),
        }
    }

    pub(super) fn has(&self, target: Target, name: &str) -> bool {
        self.names(target).contains(&name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    pub name: String,
    /// `cdylib`, `staticlib`, `lib`, …
    pub crate_types: Vec<String>,
}

/// The packages that cargo builds with the manifest in this directory: the one that is named, or those that it takes by default.
/// None: that is not known.
pub fn packages(facts: &Facts, dir: &Utf8Path, named: Option<&str>) -> Option<Vec<Package>> {
    let root = workspace_root(facts, dir);
    let own = manifest(facts, dir)?;
    let dirs = match named {
        None if own.contains_key("package") && !(root == dir && has_default_members(&own)) => vec![dir.to_owned()],
        None => defaults(facts, &root)?,
        Some(_) => members(facts, &root)?,
    };
    let packages: Option<Vec<Package>> = dirs.iter().map(|dir| package(facts, dir)).collect();
    let mut packages = packages?;
    packages.retain(|package| named.is_none_or(|name| name == package.name));
    // One that is named may be a dependency.
    (!packages.is_empty()).then_some(packages)
}

fn manifest(facts: &Facts, dir: &Utf8Path) -> Option<Table> {
    facts.read(&dir.join(MANIFEST))?.parse().ok()
}

fn has_default_members(manifest: &Table) -> bool {
    manifest.get("workspace").is_some_and(|workspace| workspace.get("default-members").is_some())
}

/// What cargo takes in a workspace where no package is named.
fn defaults(facts: &Facts, root: &Utf8Path) -> Option<Vec<Utf8PathBuf>> {
    let manifest = manifest(facts, root)?;
    match manifest.get("workspace")?.get("default-members") {
        Some(patterns) => Some(matching(facts, root, patterns)),
        None => members(facts, root),
    }
}

/// The directories of a workspace's packages, as far as it lists them.
fn members(facts: &Facts, root: &Utf8Path) -> Option<Vec<Utf8PathBuf>> {
    let manifest = manifest(facts, root)?;
    let workspace = manifest.get("workspace");
    let patterns = workspace.and_then(|workspace| workspace.get("members"));
    let mut dirs = patterns.map(|patterns| matching(facts, root, patterns)).unwrap_or_default();
    if manifest.contains_key("package") {
        dirs.push(root.to_owned());
    }
    let excluded = workspace.map(|workspace| strings(workspace.get("exclude"))).unwrap_or_default();
    dirs.retain(|dir| !excluded.iter().any(|exclude| dir.starts_with(root.join(exclude))));
    dirs.sort();
    dirs.dedup();
    Some(dirs)
}

fn strings(value: Option<&Value>) -> Vec<&str> {
    value.and_then(Value::as_array).map(|list| list.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

/// The directories below one that patterns match and that have a manifest.
fn matching(facts: &Facts, root: &Utf8Path, patterns: &Value) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    for pattern in strings(Some(patterns)) {
        let mut dirs = vec![root.to_owned()];
        for part in Utf8Path::new(pattern).iter().filter(|part| *part != ".") {
            dirs = dirs.iter().flat_map(|dir| below(facts, dir, part)).collect();
        }
        found.extend(dirs.into_iter().filter(|dir| facts.exists(&dir.join(MANIFEST))));
    }
    found
}

/// What one part of a pattern matches in a directory.
fn below(facts: &Facts, dir: &Utf8Path, part: &str) -> Vec<Utf8PathBuf> {
    if !part.contains('*') {
        return vec![dir.join(part)];
    }
    let names = facts.list(dir).into_iter();
    names.filter(|name| pattern::matches(part, name)).map(|name| dir.join(name)).collect()
}

fn package(facts: &Facts, dir: &Utf8Path) -> Option<Package> {
    let manifest = manifest(facts, dir)?;
    let package = manifest.get("package")?;
    let name = package.get("name")?.as_str()?.to_owned();
    let has = |path: &str| facts.exists(&dir.join(path));
    let mut bins = targets(facts, dir, &manifest, "bin", "src/bin");
    let automatic = package.get("autobins").and_then(Value::as_bool).unwrap_or(true);
    // In the edition of 2015, a declared program switches the others off, unless `autobins` says otherwise.
    let old = package.get("edition").is_none() && manifest.contains_key("bin") && package.get("autobins").is_none();
    // What stands at this path may be declared under another name.
    let is_declared =
        declared(&manifest, "bin").any(|bin| bin.get("path").and_then(Value::as_str) == Some("src/main.rs"));
    if automatic && !old && !is_declared && has("src/main.rs") {
        bins.insert(name.clone());
    }
    let lib = manifest.get("lib").cloned().or_else(|| has("src/lib.rs").then(|| Value::Table(Table::new())));
    let lib = lib.map(|lib| Library {
        name: lib.get("name").and_then(Value::as_str).map_or_else(|| name.replace('-', "_"), Into::into),
        crate_types: match strings(lib.get("crate-type").or_else(|| lib.get("crate_type"))).as_slice() {
            [] => vec!["lib".into()],
            types => types.iter().map(ToString::to_string).collect(),
        },
    });
    let examples = targets(facts, dir, &manifest, "example", "examples");
    let benches = targets(facts, dir, &manifest, "bench", "benches");
    // A package has something to build, so not all of it is seen here.
    (lib.is_some() || !bins.is_empty()).then_some(Package { name, bins, lib, examples, benches })
}

/// The entries of `[[bin]]` and the like.
fn declared<'m>(manifest: &'m Table, key: &str) -> impl Iterator<Item = &'m Value> {
    manifest.get(key).and_then(Value::as_array).into_iter().flatten()
}

/// The names that are declared, and those of the files in a directory.
fn targets(facts: &Facts, dir: &Utf8Path, manifest: &Table, key: &str, place: &str) -> BTreeSet<String> {
    let name = |entry: &Value| Some(entry.get("name")?.as_str()?.to_owned());
    let mut names: BTreeSet<String> = declared(manifest, key).filter_map(name).collect();
    let plural = match key {
        "bench" => "autobenches".to_owned(),
        key => format!("auto{key}s"),
    };
    let package = manifest.get("package");
    if package.and_then(|package| package.get(&plural)?.as_bool()) == Some(false) {
        return names;
    }
    for file in facts.list(&dir.join(place)) {
        match file.strip_suffix(".rs") {
            Some(stem) => names.insert(stem.to_owned()),
            None if facts.exists(&dir.join(place).join(&file).join("main.rs")) => names.insert(file),
            None => false,
        };
    }
    names
}
