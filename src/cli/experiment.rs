//! `optbuild experiment`: a run of all variants of a pipeline, what it will cost, what sharing saved, and how to build one variant alone.
//!
//! An experiment is a pipeline like any other once it is loaded; here is what a person wants to know of it besides.

use anyhow::Result;

use super::args::ExperimentArgs;
use super::exit::usage;
use super::output::{print, tell};
use super::project::{Mode, Project};
use super::run;
use crate::names::FingerprintId;
use crate::pipeline::{MEASURE, Stage, Variant, nearest};
use crate::run::decide::{Judge, Survey, Verdict, survey};
use crate::run::select::select;
use crate::text::shell::quote;
use crate::text::{duration, plural};

/// `optbuild experiment`
pub fn experiment(args: &ExperimentArgs) -> Result<u8> {
    if args.settings.profiles.is_some() {
        return Err(usage!("variants differ in their profiles: `--profiles` makes no sense in an experiment"));
    }
    let as_run = args.run();
    if let Some(name) = &args.show {
        let project = Project::open(&as_run.pipeline, Mode::Describe)?;
        return show(&project, name, args);
    }
    if args.dry_run {
        let project = Project::open(&as_run.pipeline, Mode::Look)?;
        return plan(&project, &as_run.selection);
    }
    run::anew(&as_run)
}

/// How to build a variant alone.
fn show(project: &Project, name: &str, args: &ExperimentArgs) -> Result<u8> {
    let variants = &project.pipeline.variants;
    let Some(variant) = variants.iter().find(|variant| variant.name == *name) else {
        let near = nearest(name, variants.iter().map(|variant| variant.name.as_str()));
        let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        let names: Vec<String> = variants.iter().map(|variant| format!("`{}`", variant.name)).collect();
        return Err(usage!("there is no variant `{name}`{near}; there is {}", names.join(", ")));
    };
    let set: String = variant.set.iter().map(|set| format!(" --set {}", quote(set))).collect();
    if variant.changes.trim().is_empty() {
        let mut pipeline = args.experiment.clone();
        if let Some(named) = &project.pipeline.tried {
            pipeline.clone_from(named);
        }
        print(&format!("optbuild run {}{set}\n", quote(&pipeline)))?;
        return Ok(0);
    }
    let file = project.pipeline.tried.clone().unwrap_or_else(|| project.pipeline.file.to_string());
    let head = if variant.description.is_empty() { String::new() } else { format!("# {}\n", variant.description) };
    let run = format!("# optbuild run FILE{set}\n");
    print(&format!("{head}{run}extends = {:?}\n\n{}", file, variant.changes))?;
    Ok(0)
}

/// What would be done, stage by stage, and what it costs.
fn plan(project: &Project, request: &crate::run::select::Request) -> Result<u8> {
    let selection = select(&project.pipeline, &project.graph, request)?;
    let survey = survey(&mut Judge::new(project, &selection))?;
    if let Err(problem) = survey.check(&selection) {
        tell(&format!("`optbuild experiment` would not begin: {problem:#}"));
    }
    let mut text = String::new();
    for variant in &project.pipeline.variants {
        text.push_str(&variant_text(variant, &survey));
    }
    text.push('\n');
    for (name, verdict) in &survey.stages {
        let Some(stage) = project.pipeline.stage(name) else { continue };
        text.push_str(&format!("{name}: {}\n", verdict.words()));
        text.push_str(&format!("  {}\n", serves(stage, project.pipeline.variants.len())));
    }
    text.push('\n');
    text.push_str(&forecast(project, &survey)?);
    print(&text)?;
    project.save_caches();
    Ok(0)
}

fn variant_text(variant: &Variant, survey: &Survey) -> String {
    let description = if variant.description.is_empty() { String::new() } else { format!(": {}", variant.description) };
    let lacks = survey.stages.iter().find_map(|(name, verdict)| match verdict {
        Verdict::LeftOut(why) if variant.stages.iter().any(|stage| *name == **stage) => Some(why),
        _ => None,
    });
    let lacks = lacks.map(|why| format!("\n  left out: {why}")).unwrap_or_default();
    format!("variant {}{description}{lacks}\n", variant.name)
}

/// Which variants a stage is for.
fn serves(stage: &Stage, all: usize) -> String {
    match stage.variants.as_slice() {
        [] => "measures all variants".into(),
        variants if variants.len() == all => "for all variants".into(),
        variants => format!("for {}", variants.join(", ")),
    }
}

/// What the experiment will take, from what its stages took before, whichever run that was.
fn forecast(project: &Project, survey: &Survey) -> Result<String> {
    let mut built: Vec<&str> = Vec::new();
    let mut unknown: Vec<&str> = Vec::new();
    let mut seconds = 0.0;
    let mut fingerprints: Vec<FingerprintId> = Vec::new();
    for (name, verdict) in &survey.stages {
        match verdict {
            Verdict::Run(work) if fingerprints.contains(&work.fingerprint.id()) => continue,
            Verdict::Run(work) => fingerprints.push(work.fingerprint.id()),
            Verdict::DependsOn(..) | Verdict::NeedsFirst { .. } => {}
            _ => continue,
        }
        built.push(name);
        match took(project, name)? {
            Some(time) => seconds += time,
            None if name.as_str() != MEASURE => unknown.push(name),
            None => {}
        }
    }
    if built.is_empty() {
        return Ok("everything is up to date\n".into());
    }
    let stages = plural(built.len(), "stage");
    let again = survey.stages.iter().filter(|(_, verdict)| matches!(verdict, Verdict::NeedsFirst { .. })).count();
    let again = match again {
        0 => String::new(),
        count => format!(
            "; {} start from a workspace that another variant changes, and have it made again",
            plural(count, "stage")
        ),
    };
    Ok(match (unknown.len(), seconds > 0.0) {
        (0, true) => format!("{stages} to build, about {} one after the other{again}\n", duration(seconds)),
        (_, true) => format!(
            "{stages} to build: about {} one after the other, and {} of which nothing is known yet{again}\n",
            duration(seconds),
            plural(unknown.len(), "stage")
        ),
        _ => format!("{stages} to build; how long that takes is not known yet{again}\n"),
    })
}

/// Seconds that a stage took the last time, or the one that it is a variant of.
fn took(project: &Project, stage: &str) -> Result<Option<f64>> {
    for name in [stage, crate::pipeline::own_name(stage)] {
        if let Some(record) = project.record_of(name)? {
            return Ok(Some(record.duration));
        }
    }
    Ok(None)
}
