//! What stages made, and the workloads that they have, by names such as `demo:shell.sqlsh`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::super::args::{PipelineArgs, Settings};
use super::super::exit::Usage;
use super::super::project::{Mode, Project};
use super::{CommandLine, Env};
use crate::pipeline::OutputRef;
use crate::plan::{Arg, Command, Late, Part, Symbol};
use crate::run::resolve::Resolver;
use crate::run::select::no_stage;
use crate::stage;

/// Where an output stands that was named `PIPELINE:STAGE.OUTPUT`, or something below it. None: that is not what was named.
///
/// # Errors
/// When there is no such pipeline or stage, or it has not been run.
pub(super) fn output(name: &str, settings: &Settings) -> Result<Option<Utf8PathBuf>> {
    let Some((pipeline, rest)) = name.rsplit_once(':') else { return Ok(None) };
    let (output, below) = rest.split_once('/').map_or((rest, None), |(output, below)| (output, Some(below)));
    let Some((stage, output)) = output.split_once('.') else {
        return Err(Usage(format!("`{name}` names no output: write `{pipeline}:STAGE.OUTPUT`")).into());
    };
    let project = open(pipeline, settings)?;
    let path = made(&project, pipeline, &OutputRef { stage: stage.into(), output: output.into() })?.0;
    Ok(Some(below.map_or(path.clone(), |below| path.join(below))))
}

fn open(pipeline: &str, settings: &Settings) -> Result<Project> {
    Project::open(&PipelineArgs { pipeline: pipeline.into(), settings: settings.clone() }, Mode::Look)
}

/// The path and the hash of an output of the stage's last record.
fn made(project: &Project, pipeline: &str, output: &OutputRef) -> Result<(Utf8PathBuf, String)> {
    let stage = &output.stage;
    if project.pipeline.stage(stage).is_none() {
        let known: Vec<String> = project.pipeline.stages.iter().map(|stage| stage.common.name.clone()).collect();
        return Err(Usage(no_stage(stage, &known)).into());
    }
    let record = match &project.state {
        Some(state) => state.current(stage)?,
        None => None,
    };
    let Some(record) = record else {
        let what = format!("stage `{stage}` has not been run here");
        return Err(Usage(format!("{what}: `optbuild run {pipeline} --until {stage}`")).into());
    };
    match record.outputs.get(&output.output) {
        Some(found) => Ok((project.layout.root().join(&found.path), found.hash.clone())),
        None => {
            let names: Vec<&str> = record.outputs.keys().map(String::as_str).collect();
            let names = names.join("`, `");
            Err(Usage(format!("stage `{stage}` has no output `{}`; it has `{names}`", output.output)).into())
        }
    }
}

/// The workloads of a stage, and the environments that a comparison stage gives its sides.
pub(super) struct StageWorkloads {
    pub workloads: Vec<CommandLine>,
    pub base_env: Env,
    pub candidate_env: Env,
}

/// The workloads of `PIPELINE:STAGE`. Those that run in a directory of the stage's own get one below `scratch`.
///
/// # Errors
/// When there is no such stage, it has no workloads, or they need what has not been made.
pub(super) fn workloads(name: &str, settings: &Settings, scratch: &Utf8Path) -> Result<StageWorkloads> {
    let Some((pipeline, stage)) = name.rsplit_once(':') else {
        return Err(Usage(format!("`{name}` names no stage: write `--workloads PIPELINE:STAGE`")).into());
    };
    let project = open(pipeline, settings)?;
    if project.pipeline.stage(stage).is_none() {
        let known: Vec<String> = project.pipeline.stages.iter().map(|stage| stage.common.name.clone()).collect();
        return Err(Usage(no_stage(stage, &known)).into());
    }
    let planned = stage::workloads::workloads(&project.pipeline, &project.facts, stage, &project.off())?;
    let mut resolver = Resolver::default();
    let commands = planned.commands.iter().flat_map(|(_, command)| args_of(command));
    for arg in commands.chain(planned.base_env.values()).chain(planned.candidate_env.values()) {
        for part in &arg.parts {
            if let Part::Late(Late::Path(output) | Late::Hash(output)) = part {
                resolver.outputs.insert(output.clone(), made(&project, pipeline, output)?);
            }
        }
    }
    let text = |arg: &Arg| {
        resolver
            .text(arg)
            .map_err(|error| Usage(format!("a workload of `{name}` cannot be run outside of the stage: {error}")))
    };
    let env = |env: &BTreeMap<String, Arg>| -> Result<Env> {
        env.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
    };
    let mut workloads = Vec::new();
    for (number, (title, command)) in planned.commands.iter().enumerate() {
        let own = matches!(command.cwd.parts.first(), Some(Part::Symbol(Symbol::Build)));
        let cwd = if own { scratch.join(number.to_string()) } else { text(&command.cwd)?.into() };
        if own {
            std::fs::create_dir_all(&cwd).with_context(|| format!("cannot make {cwd}"))?;
        } else if !cwd.is_dir() {
            let what = format!("the directory {cwd}, in which workload `{title}` is to run, does not exist");
            return Err(Usage(what).into());
        }
        let words = command.argv.iter().map(text).collect::<Result<Vec<String>, _>>()?;
        workloads.push(CommandLine { name: title.clone(), words, env: env(&command.env)?, cwd: Some(cwd) });
    }
    Ok(StageWorkloads { workloads, base_env: env(&planned.base_env)?, candidate_env: env(&planned.candidate_env)? })
}

fn args_of(command: &Command) -> impl Iterator<Item = &Arg> {
    command.argv.iter().chain(command.env.values()).chain([&command.cwd])
}
