//! `list`, `show`, `explain`, `status` and `artifacts`: what is declared, and what was built.

use std::collections::BTreeSet;

use anyhow::Result;

use super::args::{ArtifactsArgs, LastRunArgs, PipelineArgs, StageArgs, StatusArgs};
use super::exit::Usage;
use super::plan::{answer, print};
use super::session::{Mode, Session, current_dir};
use super::{history, look};
use crate::pipeline::{Kind, Pipeline, Stage, shipped};
use crate::report::info::{
    ArtifactRow, Difference, Explanation, ListRow, PipelineInfo, StageInfo, StageState, StatusRow, ToolInfo, VarInfo,
    artifacts_table, explain_text, list_table, pipeline_table, status_table,
};
use crate::run::decide::{Judge, Verdict};
use crate::run::select::{Request, Selection, select};
use crate::run::survey::{Survey, survey};
use crate::state::fingerprint::{Change, Fingerprint};
use crate::state::record::Record;

/// The name of a kind, as in pipeline files.
pub fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Cmake(_) => "cmake",
        Kind::Cargo(_) => "cargo",
        Kind::Gather(_) => "gather",
        Kind::Bolt(_) => "bolt",
        Kind::Command(_) => "command",
        Kind::Verify(_) => "verify",
    }
}

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
pub fn show(args: &PipelineArgs) -> Result<u8> {
    let session = Session::open(args, Mode::Look)?;
    print(&pipeline_table(&pipeline_info(&session.pipeline), look()))?;
    Ok(0)
}

fn pipeline_info(pipeline: &Pipeline) -> PipelineInfo {
    let vars = pipeline.vars.iter().map(|(name, variable)| VarInfo {
        name: name.clone(),
        kind: variable.kind.to_string(),
        default: variable.default.clone(),
        description: variable.description.clone(),
        choices: variable.choices.clone(),
        secret: variable.secret,
    });
    let tools = pipeline.tools.iter().map(|(name, tool)| ToolInfo {
        name: name.clone(),
        requirement: tool.version.clone().unwrap_or_default(),
        optional: tool.optional,
        used_by: Vec::new(),
    });
    let stages = pipeline.stages.iter().map(|stage| StageInfo {
        name: stage.common.name.clone(),
        kind: kind_name(&stage.kind).into(),
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
    }
}

/// Looks at every stage as a run without flags would.
fn look_at<T>(session: &Session, then: impl FnOnce(&Survey, &Judge) -> Result<T>) -> Result<T> {
    let selection: Selection = select(&session.pipeline, &session.graph, &Request::default())?;
    let planner = |stage: &str, unavailable: &BTreeSet<String>| session.plan(stage, unavailable);
    let mut judge = session.judge(&selection, &planner);
    let survey = survey(&mut judge, &session.graph)?;
    session.save_caches();
    then(&survey, &judge)
}

fn record_of(session: &Session, stage: &str) -> Result<Option<Record>> {
    match &session.state {
        Some(state) => Ok(state.current(stage)?),
        None => Ok(None),
    }
}

/// The stage of that name, or an error with the nearest one.
fn named<'a>(pipeline: &'a Pipeline, name: &str) -> Result<&'a Stage> {
    pipeline.stage(name).ok_or_else(|| {
        let names = pipeline.stages.iter().map(|stage| stage.common.name.as_str());
        let hint = crate::pipeline::nearest(name, names).map(|name| format!("; did you mean `{name}`?"));
        let hint = hint.unwrap_or_default();
        Usage(format!("the pipeline `{}` has no stage `{name}`{hint}", pipeline.name)).into()
    })
}

/// `optbuild explain`
pub fn explain(args: &StageArgs) -> Result<u8> {
    let session = Session::last(&args.last)?;
    named(&session.pipeline, &args.stage)?;
    let explanation = look_at(&session, |survey, _| {
        let Some((name, verdict)) = survey.stages.iter().find(|(name, _)| *name == args.stage) else {
            return Err(Usage(format!("stage `{}` is not part of the graph", args.stage)).into());
        };
        let mut explanation = Explanation { stage: name.clone(), state: answer(verdict), ..Explanation::default() };
        match verdict {
            Verdict::Run(work) => {
                explanation.notes = work.reasons.clone();
                if let Some(record) = record_of(&session, name)? {
                    add_differences(&mut explanation, &record.fingerprint, &work.fingerprint);
                }
            }
            Verdict::UpToDate(record, _) => {
                explanation.notes.push(format!("fingerprint {}", record.fingerprint.id()));
                explanation.notes.push(format!("made by run {}", record.run));
            }
            _ => {}
        }
        Ok(explanation)
    })?;
    print(&explain_text(&explanation, look()))?;
    Ok(0)
}

fn add_differences(explanation: &mut Explanation, old: &Fingerprint, new: &Fingerprint) {
    for difference in Fingerprint::diff(old, new) {
        let (old, new) = match difference.kind {
            Change::Changed { old, new } => (Some(old), Some(new)),
            Change::Added { new } => (None, Some(new)),
            Change::Removed { old } => (Some(old), None),
        };
        let row = Difference { part: difference.part, old, new };
        if difference.is_source { explanation.sources.push(row) } else { explanation.configuration.push(row) }
    }
}

/// `optbuild status`
pub fn status(args: &StatusArgs) -> Result<u8> {
    let last = LastRunArgs { pipeline: args.pipeline.clone(), settings: args.settings.clone() };
    let session = Session::last(&last)?;
    let unfinished = history::unfinished(&session.layout)?;
    let rows = look_at(&session, |survey, _| {
        let rows = survey.stages.iter().map(|(name, verdict)| {
            let mut row = status_row(&session, name, verdict)?;
            if unfinished.stages.contains(name) && !matches!(row.state, StageState::UpToDate) {
                row.state = if unfinished.running { StageState::Running } else { StageState::Interrupted };
            }
            Ok(row)
        });
        rows.collect::<Result<Vec<_>>>()
    })?;
    if args.json {
        let rows: Vec<serde_json::Value> = rows.iter().map(status_json).collect();
        print(&format!("{:#}\n", serde_json::json!({ "pipeline": session.pipeline.name, "stages": rows })))?;
    } else {
        print(&status_table(&rows, &jiff::tz::TimeZone::system(), look()))?;
    }
    Ok(0)
}

fn status_row(session: &Session, name: &str, verdict: &Verdict) -> Result<StatusRow> {
    let record = record_of(session, name)?;
    let state = match verdict {
        Verdict::UpToDate(..) | Verdict::Stale(_) => StageState::UpToDate,
        Verdict::Run(work) => StageState::WillRun(work.reasons.join("; ")),
        Verdict::DependsOn(stage, _) => StageState::DependsOn(stage.clone()),
        Verdict::NeedsFirst { reason, .. } => StageState::WillRun(reason.clone()),
        Verdict::Unavailable { why, blocked_by: Some(_), .. } => StageState::Blocked(why.clone()),
        Verdict::Unavailable { .. } => StageState::Off,
        Verdict::FailedBefore(_) => StageState::Failed,
        Verdict::OutOfReach(why) => StageState::Blocked(why.clone()),
    };
    Ok(StatusRow {
        stage: name.into(),
        state,
        duration: record.as_ref().map(|record| record.duration),
        finished: record.as_ref().map(|record| record.finished),
        bytes: record.as_ref().map(|record| record.outputs.values().map(|output| output.bytes).sum()),
    })
}

fn status_json(row: &StatusRow) -> serde_json::Value {
    let (state, because) = match &row.state {
        StageState::UpToDate => ("up-to-date", None),
        StageState::WillRun(reason) => ("will-run", Some(reason)),
        StageState::DependsOn(stage) => ("depends-on", Some(stage)),
        StageState::Off => ("off", None),
        StageState::Failed => ("failed", None),
        StageState::Interrupted => ("interrupted", None),
        StageState::Running => ("running", None),
        StageState::Blocked(why) => ("blocked", Some(why)),
    };
    serde_json::json!({
        "stage": row.stage,
        "state": state,
        "because": because,
        "duration": row.duration,
        "finished": row.finished,
        "bytes": row.bytes,
    })
}

fn artifact_json(row: &ArtifactRow) -> serde_json::Value {
    serde_json::json!({
        "stage": row.stage,
        "output": row.output,
        "path": row.path,
        "bytes": row.bytes,
        "files": row.files,
        "portable": row.portable,
        "hash": row.hash,
    })
}

/// `optbuild artifacts`
pub fn artifacts(args: &ArtifactsArgs) -> Result<u8> {
    let session = Session::last(&args.last)?;
    if let Some(stage) = &args.stage {
        named(&session.pipeline, stage)?;
    }
    let mut rows = Vec::new();
    for stage in &session.pipeline.stages {
        let name = &stage.common.name;
        if args.stage.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let Some(record) = record_of(&session, name)? else { continue };
        for (output, found) in &record.outputs {
            rows.push(ArtifactRow {
                stage: name.clone(),
                output: output.clone(),
                bytes: found.bytes,
                files: found.files,
                portable: found.portable,
                hash: found.hash.clone(),
                path: session.layout.root().join(&found.path),
            });
        }
    }
    if args.json {
        let rows: Vec<serde_json::Value> = rows.iter().map(artifact_json).collect();
        print(&format!("{:#}\n", serde_json::json!(rows)))?;
    } else {
        print(&artifacts_table(&rows, look()))?;
    }
    Ok(0)
}
