//! What stages need besides programs: runtime libraries, branch records, memory, disk space, and LLVMs that fit each other.

use bytesize::ByteSize;

use super::{DoctorRow, Status, checkout, good};
use crate::facts::{Facts, Memory};
use crate::pipeline::{Need, Pipeline};
use crate::plan::StagePlan;
use crate::toolchain::packages::{self, BOLT_RUNTIME, Manager, PROFILE_RUNTIME};
use crate::toolchain::{find, llvm, locate, package_of, rust};

/// Less than this is called missing: a gather stage alone can write more.
const LEAST_SPACE_KIB: u64 = 4 << 20;

/// Adds a row for each of these that the pipeline's stages need; with `all`, for each there is.
pub(super) fn add(facts: &Facts, pipeline: &Pipeline, plans: &[StagePlan], all: bool, rows: &mut Vec<DoctorRow>) {
    let needs = Needs::of(pipeline, all);
    profile_runtime_row(facts, pipeline, &needs, rows);
    bolt_runtime_row(facts, pipeline, &needs, rows);
    if let Some(stages) = &needs.sampling {
        rows.push(branch_records_row(facts, stages));
    }
    rust_llvm_row(facts, pipeline, plans, all, rows);
    checkout::add(facts, pipeline, plans, rows);
    rows.extend(memory_row(facts, pipeline));
    rows.extend(disk_row(facts, LEAST_SPACE_KIB.max(checkout::space(plans) / 1024)));
}

/// What the kinds of a pipeline's stages need besides programs: stages by need.
struct Needs {
    instrumenting_clang: Option<Vec<String>>,
    instrumenting_bolt: Option<Vec<String>>,
    sampling: Option<Vec<String>>,
}

impl Needs {
    fn of(pipeline: &Pipeline, all: bool) -> Needs {
        let stages = |need: Need| {
            let on =
                pipeline.stages.iter().filter(|stage| stage.common.when && stage.kind.answers.needs.contains(&need));
            let names: Vec<String> = on.map(|stage| stage.common.name.clone()).collect();
            (all || !names.is_empty()).then_some(names)
        };
        Needs {
            instrumenting_clang: stages(Need::ClangRuntime),
            instrumenting_bolt: stages(Need::BoltRuntime),
            sampling: stages(Need::BranchRecords),
        }
    }
}

fn profile_runtime_row(facts: &Facts, pipeline: &Pipeline, needs: &Needs, rows: &mut Vec<DoctorRow>) {
    let Some(stages) = &needs.instrumenting_clang else { return };
    let clang = locate(facts, pipeline, "clang").ok();
    let major = clang.as_deref().and_then(|clang| llvm::clang_major(facts, clang));
    // Without a clang: that of the clang that will be installed.
    let package = match major {
        Some(major) => packages::package(Manager::of(facts), PROFILE_RUNTIME, major),
        None => package_of(facts, pipeline, PROFILE_RUNTIME),
    };
    let mut row = DoctorRow { needed_for: stages.clone(), package, ..good(PROFILE_RUNTIME) };
    row.version = major.map(|major| major.to_string());
    let gap = match &clang {
        Some(clang) => llvm::profile_runtime(facts, clang).err().map(|gap| gap.remedy),
        None => Some(packages::remedy(facts, PROFILE_RUNTIME, row.package.as_deref())),
    };
    if gap.is_some() {
        (row.status, row.remedy) = (Status::Missing, gap);
    }
    rows.push(row);
}

fn bolt_runtime_row(facts: &Facts, pipeline: &Pipeline, needs: &Needs, rows: &mut Vec<DoctorRow>) {
    let Some(stages) = &needs.instrumenting_bolt else { return };
    // Where llvm-bolt is missing, its package brings the library.
    let Ok(bolt) = find(facts, pipeline, "llvm-bolt") else { return };
    let major = bolt.llvm_major().unwrap_or_else(|| packages::llvm_major(None));
    let package = packages::package(Manager::of(facts), BOLT_RUNTIME, major);
    let row = DoctorRow { needed_for: stages.clone(), package, ..good(BOLT_RUNTIME) };
    rows.push(match llvm::bolt_runtime(facts, &bolt.path) {
        Ok(path) => DoctorRow { path: Some(path), version: Some(major.to_string()), ..row },
        Err(gap) => DoctorRow { status: Status::Missing, remedy: Some(gap.remedy), ..row },
    });
}

/// Sampling needs a processor, a kernel and permissions that together let `perf` read branch records; only trying tells.
fn branch_records_row(facts: &Facts, stages: &[String]) -> DoctorRow {
    let row = DoctorRow { needed_for: stages.to_vec(), ..good("branch records") };
    let Some(perf) = facts.program("perf") else {
        let package = packages::package(Manager::of(facts), "perf", packages::llvm_major(None));
        let remedy = Some(packages::remedy(facts, "perf", package.as_deref()));
        let status = if stages.is_empty() { Status::OptionalMissing } else { Status::Missing };
        return DoctorRow { status, remedy, package, ..row };
    };
    let probe = [perf.as_str(), "record", "-q", "-e", "cycles:u", "-j", "any,u", "-o", "/dev/null", "--", "true"];
    if facts.output(&probe).is_some() {
        return DoctorRow { path: Some(perf), ..row };
    }
    let remedy = "`perf record -j any,u` fails here: the processor has no branch records (virtual machines rarely pass \
                  them on), or kernel.perf_event_paranoid forbids it; use `method = \"instrumentation\"`";
    let status = if stages.is_empty() { Status::OptionalMissing } else { Status::Missing };
    DoctorRow { status, remedy: Some(remedy.into()), path: Some(perf), ..row }
}

/// Profiles and bitcode go from rustc to LLVM's tools, which read those of older LLVMs only.
fn rust_llvm_row(facts: &Facts, pipeline: &Pipeline, plans: &[StagePlan], all: bool, rows: &mut Vec<DoctorRow>) {
    // The stage-0 compiler of a checkout of rust is called so, too, and its LLVM reads nothing.
    let with_stage_0 = |plan: &&StagePlan| {
        let stage = pipeline.stage(&plan.stage);
        stage.is_some_and(|stage| stage.kind.answers.needs.contains(&Need::RustCheckout))
    };
    let with_rustc = |plan: &&StagePlan| plan.tools.iter().any(|tool| tool.name == "rustc") && !with_stage_0(plan);
    let stages: Vec<String> = plans.iter().filter(with_rustc).map(|plan| plan.stage.clone()).collect();
    if stages.is_empty() && !all {
        return;
    }
    let Ok(rust) = rust::find(facts, pipeline, None) else { return };
    let Some(of_rust) = &rust.llvm else { return };
    let mut row = DoctorRow { needed_for: stages, version: Some(of_rust.to_string()), ..good("LLVM of rustc") };
    let older = ["clang", "llvm-bolt"].into_iter().find_map(|name| {
        let found = rows.iter().find(|row| row.tool == name)?;
        let version = semver::Version::parse(found.version.as_deref()?).ok()?;
        (version.major < of_rust.major).then_some((name, version))
    });
    if let Some((name, version)) = older {
        row.status = Status::TooOld;
        row.requirement = Some(format!(">={}", of_rust.major));
        row.package = packages::package(Manager::of(facts), name, of_rust.major);
        let remedy = packages::remedy(facts, name, row.package.as_deref());
        row.remedy =
            Some(format!("{name} {version} is older than rustc's LLVM, whose files it does not read; {remedy}"));
    } else if let Err(gap) = llvm::profdata_for_rustc(facts, &rust) {
        row.status = Status::Missing;
        row.package = packages::package(Manager::of(facts), "llvm-profdata", of_rust.major);
        row.remedy = Some(format!("{}; {}", gap.what, gap.remedy));
    }
    rows.push(row);
}

/// What the largest stage says that it takes. One that has less is ended by the kernel, after hours.
fn memory_row(facts: &Facts, pipeline: &Pipeline) -> Option<DoctorRow> {
    let on = pipeline.stages.iter().filter(|stage| stage.common.when);
    let mut stages: Vec<_> = on.filter_map(|stage| Some((stage.common.memory?, &stage.common.name))).collect();
    let needed = stages.iter().map(|(size, _)| *size).max()?;
    let memory = Memory::of(facts)?;
    let all = memory.available + memory.swap;
    let iec = |bytes: u64| ByteSize::b(bytes).display().iec();
    let swap = if memory.swap > 0 { format!(", {} of swap", iec(memory.swap)) } else { String::new() };
    let missing = all < needed.as_u64();
    stages.retain(|(size, _)| !missing || size.as_u64() > all);
    let mut row = DoctorRow {
        version: Some(format!("{} available{swap}", iec(memory.available))),
        requirement: Some(needed.display().iec().to_string()),
        needed_for: stages.into_iter().map(|(_, name)| name.clone()).collect(),
        ..good("memory")
    };
    if missing {
        row.status = Status::Missing;
        row.remedy = Some("end other programs, add swap space, or switch these stages off".into());
    }
    Some(row)
}

/// The file system of the current directory, where state directories are by default.
fn disk_row(facts: &Facts, needed: u64) -> Option<DoctorRow> {
    let text = facts.output(&["df", "-Pk", "."])?;
    // POSIX: the fourth column is what is available, in units of 1024 bytes.
    let free: u64 = text.lines().nth(1)?.split_whitespace().nth(3)?.parse().ok()?;
    let mut row = good("disk space");
    row.version = Some(format!("{} free", ByteSize::kib(free).display().iec()));
    if free < needed {
        row.status = Status::Missing;
        row.requirement = Some(ByteSize::kib(needed).display().iec().to_string());
        row.remedy = Some("free some, or put the state elsewhere with `--state-dir`".into());
    }
    Some(row)
}
