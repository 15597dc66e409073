//! `kind = "gather"`: workloads on an instrumented build, and one profile out of what they wrote.
//!
//! Each attempt of a workload has a directory of its own. What its processes wrote is merged there, before the attempt
//! counts; in the end the attempts that count are merged. Unaware of how attempts are run and committed.

mod instrumented;
mod sampling;
mod supplied;

use super::{Context, PlanError};
use crate::pipeline::CommandLine;
use crate::pipeline::kind::Gather;
use crate::pipeline::kind::gather::{Method, Workload as Declared};
use crate::plan::{self, Action, Arg, Command, Merge, MergeOutput, Op, Output, Pool, Step, Symbol, Workload};
pub use instrumented::Instrumented;
pub use sampling::branch_records;
pub(super) use supplied::take;

/// In an attempt: where raw profiles go, the merged one, and where the workload runs.
const RAW: &str = "raw";
const PROFILE: &str = "profile";
const CWD: &str = "cwd";

/// The first part of the merged profile's name.
const NAME: &str = "merged";

pub(super) fn plan(kind: &Gather, cx: &mut Context) -> Result<(), PlanError> {
    if kind.workloads.is_empty() {
        return Err(cx.invalid("workloads", "there is nothing to run: name at least one workload"));
    }
    let build = Instrumented::find(kind, cx)?;
    let format = build.format;
    let tool = build.merge_tool(kind, cx)?;

    if kind.method == Method::Instrumentation {
        cx.step(Step::op("check-instrumented", Op::check_instrumented(format, &build.path)));
    }
    let mut workloads = Vec::new();
    for declared in &kind.workloads {
        let mut command = command(declared, cx)?;
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
        workloads.push(Workload { name: declared.name.clone(), command, may_fail: declared.keep_profiles });
    }

    let (mut prepare, mut commit) = (Vec::new(), Vec::new());
    let raw = Arg::from(Symbol::Attempt).join(RAW);
    if let Some(slots) = build.slots.as_ref().filter(|_| kind.method == Method::Instrumentation) {
        let path_file = slots.path_file();
        prepare.push(Step::op("clear-slot", Op::clear_slot(&path_file)));
        commit.push(Step::op("collect", Op::collect(&path_file, &raw)));
    }
    if kind.method == Method::Sampling {
        commit.push(sampling::convert(&build.path, cx));
    }
    let profile = Arg::from(Symbol::Attempt).join(&format!("{PROFILE}.{}", format.merged_extension()));
    let attempt = Merge {
        format,
        tool: tool.clone(),
        input: raw,
        merged: false,
        with: Vec::new(),
        output: MergeOutput::File(profile),
        threads: "1".into(),
        consume: true,
    };
    commit.push(Step::op("merge", Op::merge(&attempt)));
    let jobs = cx.stage.common.jobs.map_or(usize::MAX, |jobs| jobs.max(1) as usize);
    let slots = build.slots.as_ref().map_or(usize::MAX, |slots| slots.count);
    let jobs = jobs.min(slots).min(workloads.len());
    cx.step(Step { name: "workloads".into(), action: Action::Pool(Pool { workloads, jobs, prepare, commit }) });

    let all = Merge {
        format,
        tool,
        input: Symbol::Committed.into(),
        merged: true,
        with: build.first_level.clone().into_iter().collect(),
        output: MergeOutput::Named { dir: Symbol::Out.into(), name: NAME.into() },
        threads: Symbol::Jobs.into(),
        consume: false,
    };
    let path = all.output.path(format);
    cx.step(Step::op("merge", Op::merge(&all)));
    cx.step(Step::op("check-gathered", Op::check_gathered(format, &path, &all.tool, &build.path)));
    cx.plan.outputs.push(Output { name: "profile".into(), path, portable: true, show: false });
    Ok(())
}

fn command(declared: &Declared, cx: &mut Context) -> Result<Command, PlanError> {
    let line = CommandLine::new(&declared.run, declared.shell, declared.env.clone(), declared.cwd.clone());
    let line = line.map_err(|message| cx.invalid(&format!("workloads.{}", declared.name), message))?;
    let mut command: plan::Command = cx.command_line(&line)?;
    if declared.cwd.is_none() {
        command.cwd = Arg::from(Symbol::Attempt).join(CWD);
    }
    command.timeout = declared.timeout;
    Ok(command)
}
