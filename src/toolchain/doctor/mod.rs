//! What a pipeline needs of this machine, and what of it is there: a row for each tool, library and ability. How rows are
//! shown, and how what is missing is installed, is not its business.

mod checkout;
mod checks;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;

use super::packages::{BOLT_RUNTIME, PROFILE_RUNTIME};
use super::{Tool, package_of, search, version};
use crate::facts::Facts;
use crate::pipeline::Pipeline;
use crate::plan::{Gap, StagePlan};

/// A tool, library or ability of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoctorRow {
    pub tool: String,
    pub path: Option<Utf8PathBuf>,
    pub version: Option<String>,
    pub requirement: Option<String>,
    /// Stages.
    pub needed_for: Vec<String>,
    pub status: Status,
    pub remedy: Option<String>,
    /// Of this machine's package manager.
    pub package: Option<String>,
}

/// Whether it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Ok,
    Missing,
    /// It is there in a version that will not do. Mostly an older one.
    TooOld,
    OptionalMissing,
}

/// What is asked about where there is no pipeline: all that the kinds of stages can need, and for what.
const USUAL: [(&str, &str); 10] = [
    ("cargo", "cargo stages"),
    ("rustc", "cargo stages"),
    ("clang", "cmake stages"),
    ("clang++", "cmake stages"),
    ("ld.lld", "lto, icf, keep-relocations"),
    ("llvm-profdata", "gather stages"),
    ("llvm-bolt", "bolt stages"),
    ("merge-fdata", "gather stages on bolt ones"),
    ("cmake", "cmake stages"),
    ("ninja", "cmake stages"),
];
/// The same for what are no tools.
const BESIDES: [(&str, &str); 4] = [
    (PROFILE_RUNTIME, "pgo of cmake stages"),
    (BOLT_RUNTIME, "bolt stages"),
    ("branch records", "method = \"sampling\""),
    ("LLVM of rustc", "pgo of cargo stages"),
];
/// What some pipelines make use of.
const USEFUL: [(&str, &str); 4] = [
    ("valgrind", "counting instructions"),
    ("perf", "method = \"sampling\""),
    ("ccache", "launcher = \"ccache\""),
    ("sccache", "launcher = \"sccache\""),
];

/// Looks at everything that a pipeline's tools and the plans of its stages name; without a pipeline, at everything that
/// stages can need.
pub fn doctor(facts: &Facts, pipeline: Option<&Pipeline>, plans: &[StagePlan]) -> Vec<DoctorRow> {
    let nothing = nothing();
    let all = pipeline.is_none();
    let pipeline = pipeline.unwrap_or(&nothing);
    let mut rows = Vec::new();

    let mut users: BTreeMap<&str, BTreeSet<&str>> = pipeline.tools.keys().map(|t| (t.as_str(), [].into())).collect();
    for plan in plans {
        for tool in &plan.tools {
            users.entry(&tool.name).or_default().insert(&plan.stage);
        }
    }
    for (name, stages) in &users {
        // A path instead of a name: the plan found it already.
        if !name.contains('/') {
            let planned = plans.iter().flat_map(|plan| &plan.tools).find(|tool| tool.name == *name);
            rows.push(tool_row(facts, pipeline, name, planned.map(|tool| tool.path.as_path()), stages));
        }
    }
    let usual = USUAL.iter().map(|name| (name, false)).chain(USEFUL.iter().map(|name| (name, true)));
    let clang = all.then(|| super::locate(facts, pipeline, "clang").ok()).flatten();
    for (&(name, what_for), optional) in usual.filter(|_| all) {
        // Stages take the one that belongs to their clang.
        let beside = clang.as_deref().filter(|_| name == "llvm-profdata");
        let beside = beside.and_then(|clang| super::llvm::beside(facts, clang, name));
        let mut row = tool_row(facts, pipeline, name, beside.as_deref(), &BTreeSet::from([what_for]));
        if optional && row.status == Status::Missing {
            row.status = Status::OptionalMissing;
        }
        rows.push(row);
    }

    add_gaps(facts, pipeline, plans, &mut rows);
    checks::add(facts, pipeline, plans, all, &mut rows);
    if all {
        for (name, what_for) in BESIDES {
            let row = rows.iter_mut().find(|row| row.tool == name && row.needed_for.is_empty());
            row.into_iter().for_each(|row| row.needed_for.push(what_for.into()));
        }
    }
    rows
}

fn tool_row(
    facts: &Facts,
    pipeline: &Pipeline,
    name: &str,
    planned: Option<&Utf8Path>,
    stages: &BTreeSet<&str>,
) -> DoctorRow {
    let declared = pipeline.tools.get(name);
    let mut row = DoctorRow {
        tool: name.into(),
        requirement: declared.and_then(|tool| tool.version.clone()),
        needed_for: stages.iter().map(ToString::to_string).collect(),
        package: package_of(facts, pipeline, name),
        ..good(name)
    };
    let found = match planned {
        // What a plan names is what runs, whatever a search would find.
        Some(path) => Ok(Tool { path: path.into(), version: version::of(facts, name, path) }),
        None => super::find(facts, pipeline, name),
    };
    match found {
        Ok(tool) => {
            row.version = tool.version.map(|version| version.to_string());
            row.path = Some(tool.path);
        }
        Err(gap) => {
            row.path = search::candidates(facts, pipeline, name).next();
            row.version = row.path.as_deref().and_then(|path| version::of(facts, name, path)).map(|v| v.to_string());
            row.status = match (declared.is_some_and(|tool| tool.optional), &row.path) {
                (true, _) => Status::OptionalMissing,
                (false, Some(_)) => Status::TooOld,
                (false, None) => Status::Missing,
            };
            row.remedy = Some(gap.remedy);
        }
    }
    row
}

/// What the plans lack and no row says yet: each gap of a stage is shown once, with all stages that have it.
fn add_gaps(facts: &Facts, pipeline: &Pipeline, plans: &[StagePlan], rows: &mut Vec<DoctorRow>) {
    let mut gaps: BTreeMap<&Gap, Vec<String>> = BTreeMap::new();
    for plan in plans {
        plan.gaps.iter().for_each(|gap| gaps.entry(gap).or_default().push(plan.stage.clone()));
    }
    for (gap, stages) in gaps {
        // Gaps of tools begin with the tool's name: `clang` is not installed.
        let tool = gap.what.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(tool, _)| tool);
        if let Some(row) = rows.iter_mut().find(|row| Some(row.tool.as_str()) == tool && row.status != Status::Ok) {
            row.needed_for.extend(stages);
            row.needed_for.sort();
            row.needed_for.dedup();
            continue;
        }
        let is_library = gap.what.contains("libclang_rt.profile") || gap.what.contains("libbolt_rt_instr");
        if is_library {
            continue;
        }
        let package = tool.and_then(|tool| package_of(facts, pipeline, tool));
        rows.push(DoctorRow {
            needed_for: stages,
            status: Status::Missing,
            remedy: Some(gap.remedy.clone()),
            package,
            ..good(tool.unwrap_or(&gap.what))
        });
    }
}

fn good(tool: &str) -> DoctorRow {
    DoctorRow {
        tool: tool.into(),
        path: None,
        version: None,
        requirement: None,
        needed_for: Vec::new(),
        status: Status::Ok,
        remedy: None,
        package: None,
    }
}

fn nothing() -> Pipeline {
    Pipeline {
        name: String::new(),
        description: String::new(),
        file: Utf8PathBuf::new(),
        dirs: Vec::new(),
        vars: IndexMap::new(),
        tools: IndexMap::new(),
        outputs: IndexMap::new(),
        stages: Vec::new(),
        unused_templates: Vec::new(),
        used: Default::default(),
        hash: String::new(),
    }
}
