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
    let rows = look(args)?;
    if !args.install {
        print(&table(&rows))?;
        return Ok(if complete(&rows) { 0 } else { MACHINE });
    }
    if complete(&rows) {
        print(&table(&rows))?;
        return Ok(0);
    }
    install(&Facts::live(), &rows)?;
    let rows = look(args)?;
    print(&table(&rows))?;
    Ok(if complete(&rows) { 0 } else { MACHINE })
}

fn look(args: &DoctorArgs) -> Result<Vec<DoctorRow>> {
    let Some(pipeline) = &args.pipeline else {
        let facts = Facts::live();
        let rows = doctor::doctor(&facts, None, &[]);
        facts.check()?;
        return Ok(rows);
    };
    let args = PipelineArgs { pipeline: pipeline.clone(), settings: args.settings.clone() };
    let project = Project::open(&args, Mode::Look)?;
    let plans = plans(&project)?;
    let rows = doctor::doctor(&project.facts, Some(&project.pipeline as &Pipeline), &plans);
    project.facts.check()?;
    Ok(rows)
}

fn plans(project: &Project) -> Result<Vec<StagePlan>> {
    let off = project.off();
    let on = project.pipeline.stages.iter().filter(|stage| stage.common.when);
    Ok(on.map(|stage| project.plan(&stage.common.name, &off)).collect::<Result<_, _>>()?)
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
