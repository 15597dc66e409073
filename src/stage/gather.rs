//! `kind = "gather"`: workloads on an instrumented build, and one profile out of what they wrote.
//!
//! Each attempt of a workload has a directory of its own. What its processes write is merged while they run, by the pool's
//! companion; in the end the attempts that count are merged. Unaware of how attempts are run and committed.

mod crate_lists;
mod instrumented;
mod rustc_perf;
mod sampling;
mod supplied;

use super::{Context, PlanError};
use crate::compare::request::PLACEHOLDER;
use crate::pipeline::kind::Gather;
use crate::pipeline::kind::gather::{Method, Workload as Declared};
use crate::pipeline::{CommandLine, Piece, Text, Words};
use crate::plan::ops::{CheckGathered, CheckInstrumented, CheckSpace, ClearSlot, Collect, Merge, StreamMerge};
use crate::plan::{self, Action, Arg, Command, Companion, Output, Pool, Step, Symbol, Workload};
use crate::profile::Format;
pub use instrumented::{Instrumented, Slots};
pub use sampling::branch_records;
pub(super) use supplied::take;

/// In an attempt: where raw profiles go, the merged one, and where the workload runs.
const RAW: &str = "raw";
const PROFILE: &str = "profile";
const CWD: &str = "cwd";

/// The first part of the merged profile's name.
const NAME: &str = "merged";

/// What merges profiles while workloads run.
const STREAM: &str = "stream-merge";

/// How much profiles that are not merged yet may take, in bytes, unless the stage says.
const DISK_BUDGET: u64 = 2 << 30;
/// The share of damaged profiles that is tolerated, in percent.
const MAX_DAMAGED: f64 = 1.0;

pub(super) fn plan(kind: &Gather, cx: &mut Context) -> Result<(), PlanError> {
    if kind.workloads.is_empty() {
        return Err(cx.invalid("workloads", cx.nothing_to_run("name at least one workload")));
    }
    let build = Instrumented::find(kind, cx)?;
    let format = build.format;
    let tool = build.merge_tool(kind, cx)?;

    let budget = kind.disk_budget.map_or(DISK_BUDGET, |size| size.as_u64());
    if kind.method == Method::Instrumentation {
        let (dir, bytes, key) = (Symbol::Attempt.into(), budget.to_string().into(), Some("disk-budget".into()));
        cx.step(Step::op("check-space", CheckSpace { dir, bytes, key }));
        cx.step(Step::op("check-instrumented", CheckInstrumented { format, path: build.path.clone() }));
    }
    let (mut prepare, mut commit) = (Vec::new(), Vec::new());
    let (mut commands, mut collector) = (Vec::new(), None);
    for declared in &kind.workloads {
        match (&declared.run, &declared.rustc_perf) {
            (Some(run), _) => {
                commands.push((declared, declared.name.clone(), command(declared, run, kind, &build, cx)?))
            }
            (None, Some(training)) => {
                let expanded = rustc_perf::expand(declared, training, kind, cx)?;
                commands.extend(expanded.commands.into_iter().map(|(name, command)| (declared, name, command)));
                if prepare.is_empty() {
                    collector = Some(expanded.collector);
                    prepare.push(expanded.prepare);
                    commit.push(expanded.finish);
                } else if collector != Some(expanded.collector) {
                    let key = format!("workloads.{}", declared.name);
                    return Err(cx.invalid(&key, "all workloads of a stage have one `collector`"));
                }
            }
            (None, None) => {
                return Err(
                    cx.invalid(&format!("workloads.{}", declared.name), "it has neither `run` nor `rustc-perf`")
                );
            }
        }
    }
    let mut workloads = Vec::new();
    for (declared, name, mut command) in commands {
        match (&build.slots, kind.method) {
            (_, Method::Sampling) => sampling::record(&mut command, cx),
            (Some(slots), _) => slots.rewrite(&mut command),
            (None, _) => {
                let file = Arg::from(Symbol::Attempt).join(RAW).join("%m_%p.profraw");
                if command.env.insert("LLVM_PROFILE_FILE".into(), file).is_some() {
                    cx.note(
                        "LLVM_PROFILE_FILE of the declaration is replaced: each attempt has a directory of its own",
                    );
                }
            }
        }
        workloads.push(Workload { name, command, may_fail: declared.keep_profiles });
    }

    let mut merge = Vec::new();
    let raw = Arg::from(Symbol::Attempt).join(RAW);
    let slots = build.slots.as_ref().filter(|_| kind.method == Method::Instrumentation);
    if let Some(slots) = slots {
        let path_file = slots.path_file();
        prepare.push(Step::op("clear-slot", ClearSlot { path_file: path_file.clone() }));
        merge.push(Step::op("collect", Collect { path_file, to: raw.clone() }));
    }
    if kind.method == Method::Sampling {
        commit.push(sampling::convert(&build.path, cx));
    }
    let max_damaged = Arg::from(format!("{}%", kind.max_damaged.unwrap_or(MAX_DAMAGED)));
    let profile = Arg::from(Symbol::Attempt).join(&format!("{PROFILE}.{}", format.merged_extension()));
    let attempt = Merge {
        format,
        tool: tool.clone(),
        input: vec![raw],
        merged: false,
        with: Vec::new(),
        output: Some(profile),
        output_dir: None,
        name: None,
        threads: "1".into(),
        consume: true,
        max_damaged: max_damaged.clone(),
    };
    merge.push(Step::op("merge", attempt));
    let companion = match kind.method {
        Method::Instrumentation => {
            let slots = slots.map(Slots::all);
            let (tool, committed) = (tool.clone(), Symbol::Committed.into());
            let disk_budget = budget.to_string().into();
            let op = StreamMerge { format, tool, committed, slots, disk_budget, threads: Symbol::Jobs.into() };
            Some(Companion { name: STREAM.into(), op: op.into(), instead: merge })
        }
        // There is one profile, when perf2bolt has made it.
        Method::Sampling => {
            commit.append(&mut merge);
            None
        }
    };
    let jobs = cx.stage.common.jobs.map_or(usize::MAX, |jobs| jobs.max(1) as usize);
    let slots = build.slots.as_ref().map_or(usize::MAX, |slots| slots.count);
    let jobs = jobs.min(slots).min(workloads.len());
    let pool = Pool { workloads, jobs, prepare, commit, companion };
    cx.step(Step { name: "workloads".into(), action: Action::Pool(pool) });

    let all = Merge {
        format,
        tool: tool.clone(),
        input: vec![Symbol::Committed.into()],
        merged: true,
        with: build.first_level.clone().into_iter().collect(),
        output: None,
        output_dir: Some(Symbol::Out.into()),
        name: Some(NAME.into()),
        threads: Symbol::Jobs.into(),
        consume: false,
        max_damaged,
    };
    let path = all.path("*");
    cx.step(Step::op("merge", all));
    // BOLT's profiles are text.
    let tool = (format == Format::Profdata).then_some(tool);
    let (profile, instrumented) = (path.clone(), Some(build.path.clone()));
    cx.step(Step::op("check-gathered", CheckGathered { format, profile, tool, instrumented, min_of_the_build: None }));
    cx.plan.outputs.push(Output { name: "profile".into(), path, portable: true, show: false });
    Ok(())
}

fn command(
    declared: &Declared,
    run: &Words,
    kind: &Gather,
    build: &Instrumented,
    cx: &mut Context,
) -> Result<Command, PlanError> {
    let key = format!("workloads.{}", declared.name);
    let line = CommandLine::new(run, declared.shell, declared.env.clone(), declared.cwd.clone());
    let line = line.map_err(|message| cx.invalid(&key, message))?;
    if let Some(mut command) = build.harness(&line, &key, cx)? {
        command.timeout = declared.timeout;
        return Ok(command);
    }
    let mut command: plan::Command = cx.command_line(&line)?;
    let program = cx.arg(&kind.instrumented)?;
    for arg in command.argv.iter_mut().chain(command.env.values_mut()) {
        let (replaced, found) = std::mem::take(arg).replaced(PLACEHOLDER, &program);
        if found && names_a_directory(&kind.instrumented) {
            let message = format!("`{PLACEHOLDER}` is one program, and `{}` a directory", kind.instrumented);
            return Err(cx.invalid(&key, message));
        }
        *arg = replaced;
    }
    if declared.cwd.is_none() {
        command.cwd = Arg::from(Symbol::Attempt).join(CWD);
    }
    command.timeout = declared.timeout;
    Ok(command)
}

/// `${stage.out}` and nothing behind it.
fn names_a_directory(text: &Text) -> bool {
    match text.pieces.as_slice() {
        [Piece::Outputs(candidates)] => candidates.iter().any(|candidate| candidate.output == "out"),
        _ => false,
    }
}
