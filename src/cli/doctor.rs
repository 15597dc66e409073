//! `optbuild doctor`: is everything here that a pipeline needs, and if not, how does it get here?

use anyhow::{Context as _, Result};

use super::args::{DoctorArgs, PipelineArgs};
use super::exit::{MACHINE, Machine};
use super::output::{print, tell};
use super::project::{Mode, Project};
use crate::facts::Facts;
use crate::pipeline::Pipeline;
use crate::plan::StagePlan;
use crate::report::info::doctor_table;
use crate::toolchain::doctor::{self, DoctorRow, Status};

/// `optbuild doctor`
pub fn doctor(args: &DoctorArgs) -> Result<u8> {
    let mut looked = look(args)?;
    if args.install && !complete(&looked.rows) {
        install(&Facts::live(), &looked.rows)?;
        looked = look(args)?;
    }
    print(&table(&looked.rows))?;
    if let Some(note) = &looked.note {
        tell(note);
    }
    looked.problem.map_or(Ok(if complete(&looked.rows) { 0 } else { MACHINE }), Err)
}

/// What was found.
struct Looked {
    rows: Vec<DoctorRow>,
    /// What is not looked at, as it is not known yet what is to be built.
    note: Option<String>,
    /// The plan of a stage cannot be made, with what is known of it.
    problem: Option<anyhow::Error>,
}

fn look(args: &DoctorArgs) -> Result<Looked> {
    let Some(pipeline) = &args.pipeline else {
        let facts = Facts::live();
        let rows = doctor::doctor(&facts, None, &[]);
        facts.check()?;
        return Ok(Looked { rows, note: None, problem: None });
    };
    let args = PipelineArgs { pipeline: pipeline.clone(), settings: args.settings.clone(), experiment: None };
    // What has to be given may be given later: the tools are the same.
    let (project, incomplete) = match Project::open(&args, Mode::Look) {
        Ok(project) => (project, None),
        Err(error) => match Project::open(&args, Mode::Describe) {
            Ok(project) => (project, Some(error)),
            Err(_) => return Err(error),
        },
    };
    let (plans, problem) = plans(&project);
    let rows = doctor::doctor(&project.facts, Some(&project.pipeline as &Pipeline), &plans);
    project.facts.check()?;
    let Some(error) = incomplete else { return Ok(Looked { rows, note: None, problem }) };
    let missing =
        project.pipeline.vars.iter().filter(|(_, variable)| variable.given.is_none() && variable.default.is_none());
    let names: Vec<&str> = missing.map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return Ok(Looked { rows, note: None, problem: Some(error) });
    }
    let note = format!(
        "note: these are the tools of the pipeline. What its stages need besides shows when `{}` is set as well ({})",
        names.join("`, `"),
        problem.unwrap_or(error)
    );
    Ok(Looked { rows, note: Some(note), problem: None })
}

/// The plans that can be made, and the first problem.
fn plans(project: &Project) -> (Vec<StagePlan>, Option<anyhow::Error>) {
    let off = project.off();
    let on = project.pipeline.stages.iter().filter(|stage| stage.common.when);
    let (mut plans, mut problem) = (Vec::new(), None);
    for planned in on.map(|stage| project.plan(&stage.common.name, &off)) {
        match planned {
            Ok(plan) => plans.push(plan),
            Err(error) => problem = problem.or(Some(error.into())),
        }
    }
    (plans, problem)
}

fn complete(rows: &[DoctorRow]) -> bool {
    rows.iter().all(|row| matches!(row.status, Status::Ok | Status::OptionalMissing))
}

fn install(facts: &Facts, rows: &[DoctorRow]) -> Result<()> {
    let Some(commands) = doctor::install_command(facts, rows) else {
        return Err(Machine(format!(
            "{}\nthere is no package manager here that optbuild knows, or it has no package for what is missing; \
             install it by hand",
            table(rows)
        ))
        .into());
    };
    for command in commands {
        tell(&format!("+ {}", command.join(" ")));
        let (program, args) = command.split_first().context("an empty command")?;
        let status = std::process::Command::new(program).args(args).stdout(std::io::stderr()).status();
        let status = status.map_err(|error| Machine(format!("`{program}` cannot be started: {error}")))?;
        if !status.success() {
            return Err(Machine(format!("`{}` failed ({status})", command.join(" "))).into());
        }
    }
    Ok(())
}

fn table(rows: &[DoctorRow]) -> String {
    doctor_table(rows, super::output::look())
}
