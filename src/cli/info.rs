//! `list`, `show`, `explain`, `status` and `artifacts`: what is declared, and what was built.

use std::collections::BTreeMap;

use anyhow::Result;

use super::args::{ArtifactsArgs, LastRunArgs, ShowArgs, StageArgs, StatusArgs};
use super::exit::Usage;
use super::output::look;
use super::output::print;
use super::project::{Mode, Project, current_dir};
use crate::event::StageState;
use crate::pipeline::{Pipeline, Stage, VarType, shipped};
use crate::report::info::{
    ArtifactRow, Explanation, ListRow, Outlook, PipelineInfo, StageInfo, StatusRow, ToolInfo, VarInfo, artifacts_table,
    explain_text, list_table, pipeline_table, status_table,
};
use crate::report::model::{self, facts, past};
use crate::run::decide::{BEGUN, Judge, Survey, Verdict, survey};
use crate::run::select::{Request, Selection, no_stage, select};
use crate::state::fingerprint::Fingerprint;
use crate::state::journal;
use crate::state::record::Record;

/// `optbuild list`
pub fn list() -> Result<u8> {
    let rows: Vec<ListRow> = shipped::list(&current_dir()?)
        .into_iter()
        .map(|listed| ListRow {
            name: listed.name,
            origin: listed.origin,
            stages: listed.stages,
            description: listed.description,
        })
        .collect();
    print(&list_table(&rows, look()))?;
    Ok(0)
}

/// `optbuild show`
pub fn show(args: &ShowArgs) -> Result<u8> {
    let project = Project::open(&args.pipeline, Mode::Describe)?;
    if let Some(stage) = &args.stage {
        print(&named(&project.pipeline, stage)?.text)?;
        return Ok(0);
    }
    let mut info = pipeline_info(&project.pipeline);
    for stage in &project.pipeline.stages {
        let record = record_of(&project, &stage.common.name)?;
        let sentences = record.as_ref().map(profiles_of).unwrap_or_default();
        info.profiles.extend(sentences.into_iter().map(|sentence| (stage.common.name.clone(), sentence)));
    }
    print(&pipeline_table(&info, look()))?;
    Ok(0)
}

fn pipeline_info(pipeline: &Pipeline) -> PipelineInfo {
    let vars = pipeline.vars.iter().map(|(name, variable)| VarInfo {
        name: name.clone(),
        kind: variable.kind.to_string(),
        // With spaces, so that a long list can be wrapped.
        default: match variable.kind {
            VarType::List => variable.default.as_ref().map(|list| list.replace(',', ", ")),
            _ => variable.default.clone(),
        },
        description: variable.description.clone(),
        choices: variable.choices.clone(),
        secret: variable.secret,
    });
    let tools = pipeline.tools.iter().map(|(name, tool)| ToolInfo {
        name: name.clone(),
        requirement: tool.version.clone().unwrap_or_default(),
        optional: tool.optional,
    });
    let stages = pipeline.stages.iter().map(|stage| StageInfo {
        name: stage.common.name.clone(),
        kind: stage.kind.name.into(),
        depends_on: stage.dependencies.iter().map(|alternatives| alternatives.join(" | ")).collect(),
        description: stage.common.description.clone().unwrap_or_default(),
        off: !stage.common.when,
    });
    PipelineInfo {
        name: pipeline.name.clone(),
        description: pipeline.description.clone(),
        origin: pipeline.file.to_string(),
        vars: vars.collect(),
        tools: tools.collect(),
        stages: stages.collect(),
        outputs: pipeline.outputs.iter().map(|(place, text)| (place.clone(), text.to_string())).collect(),
        profiles: Vec::new(),
    }
}

/// Looks at every stage as a run without flags would.
fn look_at<T>(project: &Project, then: impl FnOnce(&Survey, &Judge) -> Result<T>) -> Result<T> {
    let selection: Selection = select(&project.pipeline, &project.graph, &Request::default())?;
    let mut judge = Judge::new(project, &selection);
    let survey = survey(&mut judge)?;
    project.save_caches();
    then(&survey, &judge)
}

fn record_of(project: &Project, stage: &str) -> Result<Option<Record>> {
    match &project.state {
        Some(state) => Ok(state.current(stage)?),
        None => Ok(None),
    }
}

/// What operations reported of profiles when the stage was done.
fn profiles_of(record: &Record) -> Vec<String> {
    facts::sentences(&record.facts)
}

/// The stages as the last run left them, or has them in hand. A kill may have left some in the middle.
fn last_ends(project: &Project) -> Result<BTreeMap<String, model::Stage>> {
    let Some(run) = journal::last_run(&project.layout)? else { return Ok(BTreeMap::new()) };
    let (last, _) = past::read(&project.layout, &run)?;
    if last.run.pipeline != project.pipeline.name {
        return Ok(BTreeMap::new());
    }
    let ends = last.stages.iter().cloned().map(|mut stage| {
        if stage.state == StageState::Running && !last.run.running {
            stage.state = StageState::Interrupted;
        }
        (stage.name.clone(), stage)
    });
    Ok(ends.collect())
}

/// That its last attempt came to nothing.
fn how_it_ended(stage: &model::Stage) -> Option<String> {
    let failure = match stage.state {
        StageState::Failed | StageState::Tolerated => stage.failure.as_ref()?,
        StageState::Running => return Some("it is running".into()),
        StageState::Interrupted => return Some("the last run was interrupted in it".into()),
        _ => return None,
    };
    let step = if failure.step.is_empty() { String::new() } else { format!(" in {}", failure.step) };
    Some(format!("it failed in the last run{step}: {}", failure.what))
}

/// The stage of that name, or an error with the nearest one.
fn named<'a>(pipeline: &'a Pipeline, name: &str) -> Result<&'a Stage> {
    pipeline.stage(name).ok_or_else(|| {
        let known: Vec<String> = pipeline.stages.iter().map(|stage| stage.common.name.clone()).collect();
        Usage(no_stage(name, &known)).into()
    })
}

/// `optbuild explain`
pub fn explain(args: &StageArgs) -> Result<u8> {
    let project = Project::last(&args.last)?;
    named(&project.pipeline, &args.stage)?;
    let explanation = look_at(&project, |survey, _| {
        let Some((name, verdict)) = survey.stages.iter().find(|(name, _)| *name == args.stage) else {
            return Err(Usage(format!("stage `{}` is not part of the graph", args.stage)).into());
        };
        let mut explanation = Explanation { stage: name.to_string(), state: verdict.words(), ..Explanation::default() };
        match verdict {
            Verdict::Run(work) => {
                if let Some(ended) = last_ends(&project)?.get(name.as_str()).and_then(how_it_ended) {
                    explanation.notes.push(ended);
                }
                if let Some(record) = record_of(&project, name)? {
                    explanation.differences = Fingerprint::diff(&record.fingerprint, &work.fingerprint);
                }
            }
            Verdict::UpToDate(record, _) => {
                explanation.notes.push(format!("fingerprint {}", record.fingerprint.id()));
                explanation.notes.push(format!("made by run {}", record.run));
                explanation.notes.extend(profiles_of(record).iter().map(|sentence| format!("profile: {sentence}")));
            }
            Verdict::DependsOn(stage, _) => {
                explanation.notes.push(format!("whether it runs is known when {stage} has run"));
            }
            Verdict::Unavailable { why, .. } => explanation.notes.push(why.clone()),
            Verdict::FailedBefore(record) => {
                explanation.notes.push(format!("it failed in run {}; `optbuild logs {name}` shows how", record.run));
                let again = "it is tried again when its fingerprint has changed";
                explanation.notes.push(format!("{again}, or with `--from {name}`"));
            }
            Verdict::Stale(_) | Verdict::NeedsFirst { .. } | Verdict::OutOfReach(_) => {}
        }
        Ok(explanation)
    })?;
    print(&explain_text(&explanation, look()))?;
    Ok(0)
}

/// `optbuild status`
pub fn status(args: &StatusArgs) -> Result<u8> {
    let last = LastRunArgs { pipeline: args.pipeline.clone(), settings: args.settings.clone() };
    let project = Project::last(&last)?;
    let rows = look_at(&project, |survey, _| {
        let ends = last_ends(&project)?;
        let rows =
            survey.stages.iter().map(|(name, verdict)| status_row(&project, name, verdict, ends.get(name.as_str())));
        rows.collect::<Result<Vec<_>>>()
    })?;
    if args.json {
        print(&format!("{:#}\n", serde_json::json!({ "pipeline": project.pipeline.name, "stages": rows })))?;
    } else {
        print(&status_table(&rows, &jiff::tz::TimeZone::system(), look()))?;
    }
    Ok(0)
}

fn status_row(project: &Project, name: &str, verdict: &Verdict, end: Option<&model::Stage>) -> Result<StatusRow> {
    let record = record_of(project, name)?;
    let (state, because) = match verdict {
        Verdict::UpToDate(..) | Verdict::Stale(_) => (Outlook::UpToDate, None),
        Verdict::Run(work) => match end.map(|end| end.state) {
            Some(StageState::Running) => (Outlook::Running, None),
            // Another reason is the newer one.
            Some(StageState::Interrupted) if work.reasons == [BEGUN] => (Outlook::Interrupted, None),
            Some(state) if state.failed() && work.reasons == [BEGUN] => (Outlook::WillRun, Some("it failed".into())),
            _ => (Outlook::WillRun, Some(work.reasons.join("; "))),
        },
        Verdict::DependsOn(stage, _) => (Outlook::DependsOn, Some(stage.to_string())),
        Verdict::NeedsFirst { reason, .. } => (Outlook::WillRun, Some(reason.clone())),
        Verdict::Unavailable { why, blocked_by: Some(_), .. } => (Outlook::Blocked, Some(why.clone())),
        Verdict::Unavailable { .. } => (Outlook::Off, None),
        Verdict::FailedBefore(_) => (Outlook::Failed, None),
        Verdict::OutOfReach(why) => (Outlook::Blocked, Some(why.clone())),
    };
    Ok(StatusRow {
        stage: name.into(),
        state,
        because,
        duration: record.as_ref().map(|record| record.duration),
        finished: record.as_ref().map(|record| record.finished),
        bytes: record.as_ref().map(|record| record.outputs.values().map(|output| output.bytes).sum()),
        profiles: record.as_ref().map(profiles_of).unwrap_or_default(),
        facts: record.map(|record| record.facts).unwrap_or_default(),
    })
}

/// `optbuild artifacts`
pub fn artifacts(args: &ArtifactsArgs) -> Result<u8> {
    let project = Project::last(&args.last)?;
    if let Some(stage) = &args.stage {
        named(&project.pipeline, stage)?;
    }
    let mut rows = Vec::new();
    for stage in &project.pipeline.stages {
        let name = &stage.common.name;
        if args.stage.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let Some(record) = record_of(&project, name)? else { continue };
        for (output, found) in &record.outputs {
            rows.push(ArtifactRow {
                stage: name.clone(),
                output: output.clone(),
                bytes: found.bytes,
                files: found.files,
                portable: found.portable,
                hash: found.hash.clone(),
                path: project.layout.root().join(&found.path),
            });
        }
    }
    if args.json {
        print(&format!("{:#}\n", serde_json::json!(rows)))?;
    } else {
        print(&artifacts_table(&rows, look()))?;
    }
    Ok(0)
}
