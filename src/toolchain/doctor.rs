//! What a pipeline needs of this machine, and what of it is there: a row for each tool, library and ability, and the commands that
//! install what is missing.
//!
//! Tools are rows of their own. What stages need besides them is added: runtime libraries, branch records, checkouts, memory, disk
//! space, and LLVMs that fit each other. Runs no installer; unaware of how rows are shown.

use std::collections::{BTreeMap, BTreeSet};

use bytesize::ByteSize;
use camino::{Utf8Path, Utf8PathBuf};

use super::packages::{self, BOLT_RUNTIME, Manager, PROFILE_RUNTIME};
use super::{Tool, candidates, find, llvm, locate, package_of, rust, version};
use crate::facts::{Facts, Memory};
use crate::pipeline::{Need, Pipeline, Stage};
use crate::plan::{Action, Gap, StagePlan};

/// A tool, library or ability of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Status {
    #[default]
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

/// Less than this is called missing: a gather stage alone can write more.
const LEAST_SPACE_KIB: u64 = 4 << 20;

/// Libraries that LLVM and cargo are linked with, by their names for pkg-config.
const LIBRARIES: [&str; 2] = ["openssl", "zlib"];

/// Looks at everything that a pipeline's tools and the plans of its stages name; without a pipeline, at everything that
/// stages can need.
pub fn doctor(facts: &Facts, pipeline: Option<&Pipeline>, plans: &[StagePlan]) -> Vec<DoctorRow> {
    let nothing = Pipeline::default();
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
    let clang = all.then(|| locate(facts, pipeline, "clang").ok()).flatten();
    for (&(name, what_for), optional) in usual.filter(|_| all) {
        // Stages take the one that belongs to their clang.
        let beside = clang.as_deref().filter(|_| name == "llvm-profdata");
        let beside = beside.and_then(|clang| llvm::beside(facts, clang, name));
        let mut row = tool_row(facts, pipeline, name, beside.as_deref(), &BTreeSet::from([what_for]));
        if optional && row.status == Status::Missing {
            row.status = Status::OptionalMissing;
        }
        rows.push(row);
    }

    add_gaps(facts, pipeline, plans, &mut rows);
    add_besides(facts, pipeline, plans, all, &mut rows);
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
        None => find(facts, pipeline, name),
    };
    match found {
        Ok(tool) => {
            row.version = tool.version.map(|version| version.to_string());
            row.path = Some(tool.path);
        }
        Err(gap) => {
            row.path = candidates(facts, pipeline, name).next();
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
    DoctorRow { tool: tool.into(), ..DoctorRow::default() }
}

/// Adds a row for each thing besides tools that the pipeline's stages need; with `all`, for each there is.
fn add_besides(facts: &Facts, pipeline: &Pipeline, plans: &[StagePlan], all: bool, rows: &mut Vec<DoctorRow>) {
    let needs = Needs::of(pipeline, all);
    profile_runtime_row(facts, pipeline, &needs, rows);
    bolt_runtime_row(facts, pipeline, &needs, rows);
    if let Some(stages) = &needs.sampling {
        rows.push(branch_records_row(facts, stages));
    }
    rust_llvm_row(facts, pipeline, plans, all, rows);
    add_checkouts(facts, pipeline, plans, rows);
    rows.extend(memory_row(facts, pipeline));
    rows.extend(disk_row(facts, LEAST_SPACE_KIB.max(space(plans) / 1024)));
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
    let mut stages: Vec<String> = plans.iter().filter(with_rustc).map(|plan| plan.stage.clone()).collect();
    // Those that cannot be planned yet need it, too.
    let not_planned = |stage: &&Stage| stage.common.when && !plans.iter().any(|plan| plan.stage == stage.common.name);
    let using = |stage: &&Stage| stage.kind.answers.needs.contains(&Need::RustProfiles);
    let more = pipeline.stages.iter().filter(not_planned).filter(using).map(|stage| stage.common.name.clone());
    stages.extend(more);
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
    }
    if let Err(gap) = llvm::profdata_for_rustc(facts, &rust) {
        row.status = Status::Missing;
        // No package is needed where the toolchain itself has one.
        let package = || packages::package(Manager::of(facts), "llvm-profdata", of_rust.major);
        row.package = row.package.or_else(|| package().filter(|_| rust.add_llvm_tools().is_none()));
        let older = row.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
        row.remedy = Some(format!("{}; {}{older}", gap.what, gap.remedy));
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

/// A row for each checkout and library that bootstrap stages use. What is missing is a gap of their plans; here is what is there.
fn add_checkouts(facts: &Facts, pipeline: &Pipeline, plans: &[StagePlan], rows: &mut Vec<DoctorRow>) {
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
        let locked: Vec<String> = stages.iter().filter(|stage| is_locked(plans, stage)).cloned().collect();
        rows.extend(lock_files_row(facts, plans, path, locked));
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

/// Whether x.py is told to call cargo with `--locked` in a stage: a line of the configuration that the stage writes.
fn is_locked(plans: &[StagePlan], stage: &str) -> bool {
    let steps = plans.iter().filter(|plan| plan.stage == stage).flat_map(|plan| &plan.steps);
    let mut lines = steps.filter(|step| step.name == "config").flat_map(|step| match &step.action {
        Action::Command(command) => command.argv.as_slice(),
        Action::Op(_) | Action::Pool(_) => &[],
    });
    lines.any(|line| line.symbolic() == "locked-deps = true")
}

/// The lock files in a checkout that x.py has cargo read, by their directories: of the compiler, the standard library, x.py and cargo.
const LOCK_FILES: [&str; 4] = ["", "library", "src/bootstrap", "src/tools/cargo"];

/// What cargo says where a lock file would have to change; the flag stands before it.
const LOCKED: &str = "was passed to prevent this";
/// What the script below says where cargo has nothing to say.
const FITS: &str = "the lock file fits";

/// Whether cargo finds the lock files of a checkout as it needs them; none where there are no such files, or no stage that minds. What
/// cargo says of anything else, such as of a submodule that is not there or of a network, is no answer.
fn lock_files_row(facts: &Facts, plans: &[StagePlan], checkout: &Utf8Path, stages: Vec<String>) -> Option<DoctorRow> {
    let mut dirs = LOCK_FILES.map(|dir| checkout.join(dir)).to_vec();
    dirs.retain(|dir| facts.exists(&dir.join("Cargo.lock")));
    if stages.is_empty() || dirs.is_empty() {
        return None;
    }
    let tool = |name: &str| {
        let planned = plans.iter().filter(|plan| stages.contains(&plan.stage)).flat_map(|plan| &plan.tools);
        planned.into_iter().find(|tool| tool.name == name).map(|tool| tool.path.clone()).or_else(|| facts.program(name))
    };
    let (cargo, rustc) = (tool("cargo"), tool("rustc").map(|rustc| format!("RUSTC={rustc}")));
    let says = |manifest: &Utf8Path, flags: &str| {
        let Some(cargo) = &cargo else { return String::new() };
        let script = format!(
            "timeout 25 \"$0\" metadata --locked {flags} --format-version 1 --manifest-path \"$1\" 2>&1 >/dev/null && echo '{FITS}' || true"
        );
        // `env` is in front because what a program like `sh` prints is remembered for longer than a lock file stays as it is.
        let mut argv = vec!["env", "RUSTC_BOOTSTRAP=1"];
        argv.extend(rustc.as_deref());
        argv.extend(["sh", "-c", &script, cargo.as_str(), manifest.as_str()]);
        facts.output(&argv).unwrap_or_default()
    };
    let (mut stale, mut unknown) = (Vec::new(), Vec::new());
    for manifest in dirs.iter().map(|dir| dir.join("Cargo.toml")) {
        let mut said = says(&manifest, "--offline");
        if said.contains("--offline") && !said.contains(LOCKED) {
            // It lacks a crate, or the list of them.
            said = says(&manifest, "");
        }
        if said.contains(LOCKED) {
            stale.push(manifest);
        } else if !said.contains(FITS) {
            unknown.push(manifest);
        }
    }
    let row = DoctorRow { needed_for: stages, ..good("lock files of the checkout") };
    let Some(first) = stale.first() else {
        let fits = if unknown.is_empty() { "as cargo needs them" } else { "not known" };
        let path = unknown.first().map(|manifest| manifest.with_extension("lock"));
        return Some(DoctorRow { version: Some(fits.into()), path, ..row });
    };
    let files: Vec<String> = stale.iter().map(|manifest| manifest.with_extension("lock").to_string()).collect();
    let (does, files) = (if stale.len() == 1 { "does" } else { "do" }, files.join(", "));
    let remedy = format!(
        "{files} {does} not fit the manifests of the checkout, and x.py calls cargo with `--locked`: `cargo metadata --format-version 1 \
         --manifest-path {first} >/dev/null` brings it up to date"
    );
    let path = Some(first.with_extension("lock"));
    Some(DoctorRow { status: Status::Missing, remedy: Some(remedy), path, ..row })
}

/// The most that a stage's plan says will be written, in bytes.
fn space(plans: &[StagePlan]) -> u64 {
    let ops = plans.iter().flat_map(|plan| &plan.steps).filter_map(|step| match &step.action {
        Action::Op(op) => Some(&op.argv),
        Action::Command(_) | Action::Pool(_) => None,
    });
    let checks = ops.filter(|argv| argv.first().is_some_and(|name| name.symbolic() == "check-space"));
    checks.filter_map(|argv| argv.last()?.to_string().parse().ok()).max().unwrap_or(0)
}

/// Commands that install the packages of all tools that are missing or too old, to be run in order; none if no package is
/// known for any of them. Optional tools are not installed.
pub fn install_command(facts: &Facts, rows: &[DoctorRow]) -> Option<Vec<Vec<String>>> {
    let lacking = rows.iter().filter(|row| matches!(row.status, Status::Missing | Status::TooOld));
    let mut packages: Vec<String> = lacking.filter_map(|row| row.package.clone()).collect();
    packages.sort();
    packages.dedup();
    if packages.is_empty() {
        return None;
    }
    let manager = Manager::of(facts);
    let mut commands = Vec::new();
    if manager == Manager::Apt {
        commands.push(vec!["apt-get".into(), "update".into()]);
    }
    commands.push(manager.install().iter().map(ToString::to_string).chain(packages).collect());
    // Homebrew refuses to run as root.
    if manager != Manager::Brew && !is_root(facts) && facts.program("sudo").is_some() {
        commands.iter_mut().for_each(|command: &mut Vec<String>| command.insert(0, "sudo".into()));
    }
    Some(commands)
}

fn is_root(facts: &Facts) -> bool {
    facts.output(&["id", "-u"]).is_some_and(|id| id.trim() == "0")
}
