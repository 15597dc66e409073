//! `list`, `show`, `explain`, `status` and `artifacts`: what is declared, and what was built.

use std::collections::BTreeMap;

use anyhow::Result;

use super::args::{ArtifactsArgs, LastRunArgs, ShowArgs, StageArgs, StatusArgs};
use super::exit::usage;
use super::output::{look, print};
use super::project::{Mode, Project, current_dir};
use crate::event::StageState;
use crate::pipeline::shipped;
use crate::plan::{Source, StagePlan};
use crate::report::info::{
    ArtifactRow, Explanation, Outlook, StatusRow, artifacts_table, explain_text, list_table, pipeline_table,
    status_table,
};
use crate::report::model::{self, facts, past};
use crate::run::decide::{BEGUN, Judge, Survey, Verdict, survey};
use crate::run::select::{Request, select};
use crate::state::fingerprint::Fingerprint;
use crate::state::journal;
use crate::state::record::Record;

/// `optbuild list`
pub fn list() -> Result<u8> {
    print(&list_table(&shipped::list(&current_dir()?), look()))?;
    Ok(0)
}

/// `optbuild show`
pub fn show(args: &ShowArgs) -> Result<u8> {
    let project = Project::open(&args.pipeline, Mode::Describe)?;
    if let Some(stage) = &args.stage {
        let watched = project.plan(stage, &project.off()).map(|plan| watched(&plan)).unwrap_or_default();
        let watched: String = watched.iter().map(|line| format!("# {line}\n")).collect();
        print(&format!("{}{watched}", project.named(stage)?.text))?;
        return Ok(0);
    }
    let mut profiles = Vec::new();
    for stage in &project.pipeline.stages {
        let name = &stage.common.name;
        let sentences = project.record_of(name)?.map(|record| profiles_of(&record)).unwrap_or_default();
        profiles.extend(sentences.into_iter().map(|sentence| (name.clone(), sentence)));
    }
    print(&pipeline_table(&project.pipeline, &profiles, look()))?;
    Ok(0)
}

/// What a stage watches outside of the state directory, in lines. A change of it makes the stage run again.
pub fn watched(plan: &StagePlan) -> Vec<String> {
    const PROGRAM: &str = "program ";
    let (programs, trees): (Vec<&Source>, Vec<&Source>) =
        plan.sources.iter().partition(|source| source.name.starts_with(PROGRAM));
    let mut lines: Vec<String> = trees.iter().map(|source| format!("watches {}", source.path)).collect();
    if lines.is_empty() {
        lines.push("watches no files of yours: `inputs` names what it reads".into());
    }
    if !programs.is_empty() {
        let names = programs.iter().map(|source| &source.name[PROGRAM.len()..]);
        lines.push(format!("watches the programs {}", names.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// Looks at every stage as a run without flags would.
fn look_at(project: &Project) -> Result<Survey> {
    let selection = select(&project.pipeline, &project.graph, &Request::default())?;
    let survey = survey(&mut Judge::new(project, &selection))?;
    project.save_caches();
    Ok(survey)
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

/// `optbuild explain`
pub fn explain(args: &StageArgs) -> Result<u8> {
    let mut project = Project::last(&args.last)?;
    project.look_into_caches(&args.cache)?;
    project.named(&args.stage)?;
    let survey = look_at(&project)?;
    let Some((name, verdict)) = survey.stages.iter().find(|(name, _)| *name == args.stage) else {
        return Err(usage!("stage `{}` is not part of the graph", args.stage));
    };
    let (mut differences, mut notes) = (Vec::new(), Vec::new());
    match verdict {
        Verdict::Run(work) => {
            notes.extend(last_ends(&project)?.get(name.as_str()).and_then(how_it_ended));
            notes.extend(watched(&work.plan));
            notes.extend(work.misses.iter().cloned());
            if let Some(record) = project.record_of(name)? {
                differences = Fingerprint::explained(&record.fingerprint, &work.fingerprint);
            }
        }
        Verdict::UpToDate(record, plan) => {
            notes.extend(watched(plan));
            notes.push(format!("fingerprint {}", record.fingerprint.id()));
            match &record.held {
                None => notes.push(format!("made by run {}", record.run)),
                Some(held) => notes.push(format!(
                    "made by another machine, {} UTC; held in {}",
                    record.finished.strftime("%Y-%m-%d %H:%M"),
                    held.place
                )),
            }
            notes.extend(profiles_of(record).iter().map(|sentence| format!("profile: {sentence}")));
        }
        Verdict::DependsOn(stage, _) => notes.push(format!("whether it runs is known when {stage} has run")),
        Verdict::Unavailable { why, .. } => notes.push(why.clone()),
        Verdict::FailedBefore(record) => {
            notes.push(format!("it failed in run {}; `optbuild logs {name}` shows how", record.run));
            notes.push(format!("it is tried again when its fingerprint has changed, or with `--from {name}`"));
        }
        Verdict::Stale(_) | Verdict::NeedsFirst { .. } | Verdict::OutOfReach(_) | Verdict::LeftOut(_) => {}
    }
    if let Some(stage) = project.pipeline.stage(&args.stage).filter(|stage| !stage.variants.is_empty()) {
        notes.push(format!("for {}", stage.variants.join(", ")));
    }
    let explanation = Explanation { stage: name.to_string(), state: verdict.words(), differences, notes };
    print(&explain_text(&explanation, look()))?;
    Ok(0)
}

/// `optbuild status`
pub fn status(args: &StatusArgs) -> Result<u8> {
    let last = LastRunArgs { pipeline: args.pipeline.clone(), settings: args.settings.clone() };
    let project = Project::last(&last)?;
    let (survey, ends) = (look_at(&project)?, last_ends(&project)?);
    let rows = survey.stages.iter().map(|(name, verdict)| status_row(&project, name, verdict, ends.get(name.as_str())));
    let rows = rows.collect::<Result<Vec<_>>>()?;
    let answer = serde_json::json!({ "pipeline": project.pipeline.name, "stages": rows });
    super::show(args.json, &answer, || status_table(&rows, &jiff::tz::TimeZone::system(), look()))
}

fn status_row(project: &Project, name: &str, verdict: &Verdict, end: Option<&model::Stage>) -> Result<StatusRow> {
    let record = project.record_of(name)?;
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
        Verdict::OutOfReach(why) | Verdict::LeftOut(why) => (Outlook::Blocked, Some(why.clone())),
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
        project.named(stage)?;
    }
    let mut rows = Vec::new();
    for stage in &project.pipeline.stages {
        let name = &stage.common.name;
        if args.stage.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let Some(record) = project.record_of(name)? else { continue };
        for (output, found) in &record.outputs {
            rows.push(ArtifactRow {
                stage: name.clone(),
                output: output.clone(),
                bytes: found.bytes,
                files: found.files,
                portable: found.portable,
                held: record.held.is_some(),
                hash: found.hash.clone(),
                path: project.layout.root().join(&found.path),
            });
        }
    }
    super::show(args.json, &rows, || artifacts_table(&rows, look()))
}
