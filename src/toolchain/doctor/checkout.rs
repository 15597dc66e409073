//! What bootstrap stages need besides programs, as rows: the checkout, its crates, libraries of the system, room on the disk.
//!
//! What is missing is a gap of their plans already; here is what is there.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;

use super::{DoctorRow, good};
use crate::facts::Facts;
use crate::pipeline::{Need, Pipeline};
use crate::plan::{Action, StagePlan};

/// Libraries that LLVM and cargo are linked with, by their names for pkg-config.
const LIBRARIES: [&str; 2] = ["openssl", "zlib"];

/// A row for each checkout and library that bootstrap stages use.
pub(super) fn add(facts: &Facts, pipeline: &Pipeline, plans: &[StagePlan], rows: &mut Vec<DoctorRow>) {
    let bootstrap = |plan: &&StagePlan| {
        let stage = pipeline.stage(&plan.stage);
        stage.is_some_and(|stage| stage.kind.answers.needs.contains(&Need::RustBuild))
    };
    let mut checkouts: BTreeMap<&Utf8PathBuf, Vec<String>> = BTreeMap::new();
    for plan in plans.iter().filter(bootstrap) {
        let source = plan.sources.iter().find(|source| source.name == "checkout");
        source.into_iter().for_each(|source| checkouts.entry(&source.path).or_default().push(plan.stage.clone()));
    }
    for (path, stages) in &checkouts {
        let Some(version) = facts.read(&path.join("src/version")) else { continue };
        let how = if facts.exists(&path.join(".git")) { "clone" } else { "no git" };
        let row = good("rust checkout");
        rows.push(DoctorRow {
            path: Some((*path).clone()),
            version: Some(format!("{}, {how}", version.trim())),
            needed_for: stages.clone(),
            ..row
        });
        let vendored = facts.exists(&path.join("vendor")) && facts.exists(&path.join(".cargo/config.toml"));
        let crates = if vendored { "vendored" } else { "from the registry" };
        rows.push(DoctorRow {
            version: Some(crates.into()),
            needed_for: stages.clone(),
            ..good("crates of the checkout")
        });
    }
    let stages: Vec<String> = checkouts.into_values().flatten().collect();
    let Some(pkg_config) = facts.program("pkg-config").filter(|_| !stages.is_empty()) else { return };
    for library in LIBRARIES {
        let version = facts.output(&[pkg_config.as_str(), "--modversion", library]);
        if let Some(version) = version.filter(|_| !rows.iter().any(|row| row.tool == library)) {
            rows.push(DoctorRow { version: Some(version.trim().into()), needed_for: stages.clone(), ..good(library) });
        }
    }
}

/// The most that a stage's plan says will be written, in bytes.
pub(super) fn space(plans: &[StagePlan]) -> u64 {
    let ops = plans.iter().flat_map(|plan| &plan.steps).filter_map(|step| match &step.action {
        Action::Op(op) => Some(&op.argv),
        Action::Command(_) | Action::Pool(_) => None,
    });
    let checks = ops.filter(|argv| argv.first().is_some_and(|name| name.symbolic() == "check-space"));
    checks.filter_map(|argv| argv.last()?.to_string().parse().ok()).max().unwrap_or(0)
}
