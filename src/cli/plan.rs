//! `optbuild plan`: every step of every stage, as text, as a script, or as a graph; how long it takes is in [`super::simulate`].

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use super::args::PlanArgs;
use super::exit::{Machine, usage};
use super::info::watched;
use super::output::{print, tell};
use super::project::{Mode, Project, current_dir};
use super::simulate::print_simulation;
use crate::pipeline::Stage;
use crate::plan::{Action, Command, Gap, Op, Pool, StagePlan, Step, shell};
use crate::report::info::{graph_dot, graph_mermaid};
use crate::run::decide::{CannotBegin, Judge, Survey, Verdict, survey};
use crate::run::environment;
use crate::run::select::{Request, Selection, select};
use crate::text;
use crate::text::shell::quote;

/// `optbuild plan`
pub fn plan(args: &PlanArgs) -> Result<u8> {
    let mut project = Project::open_in(&current_dir()?, &args.pipeline, Mode::Look, args.facts.as_deref())?;
    project.look_into_caches(&args.cache)?;
    project.pipeline.idle().iter().for_each(|idle| tell(&format!("note: {idle}")));
    project.overlooked().iter().for_each(|setting| tell(&format!("note: {setting}")));
    forms(args)?;
    if args.dot || args.mermaid {
        print(&if args.dot { graph_dot(&project.pipeline) } else { graph_mermaid(&project.pipeline) })?;
        return Ok(0);
    }
    if args.simulation.simulate {
        return print_simulation(&project, &args.simulation);
    }
    let selection = select(&project.pipeline, &project.graph, &args.selection)?;
    if args.shell {
        print(&script(&project, &selection)?)?;
        return save_facts(args, &project);
    }
    let text = if args.facts.is_some() {
        plan_text(&project, &selection, None)
    } else {
        let survey = survey(&mut Judge::new(&project, &selection))?;
        if let Err(problem) = survey.check(&selection) {
            let problem = explained(problem.into(), &args.pipeline.pipeline);
            tell(&format!("`optbuild run` would not begin: {problem:#}"));
        }
        plan_text(&project, &selection, Some(&survey))
    };
    print(&text?)?;
    project.save_caches();
    save_facts(args, &project)
}

/// Refuses what selects stages where it has no meaning, instead of overlooking it.
fn forms(args: &PlanArgs) -> Result<()> {
    let Request { from, until, only, skip, force, fresh, accept_stale } = &args.selection;
    let records = [from, only, skip].iter().any(|stages| !stages.is_empty()) || *force || *fresh || *accept_stale;
    let what = match () {
        () if args.dot || args.mermaid => "`--dot` and `--mermaid` draw all stages: nothing that selects some",
        () if args.simulation.simulate => {
            "`--simulate` is of a run of all stages from nothing: nothing that selects some"
        }
        () if args.shell => "a script builds everything from the beginning: of what selects stages, only `--until`",
        () if args.facts.is_some() => {
            "`--facts` says nothing of what was built: of what selects stages, only `--until`"
        }
        () => return Ok(()),
    };
    let until = (args.dot || args.mermaid || args.simulation.simulate) && !until.is_empty();
    if records || until { Err(usage!("{what} makes sense with it")) } else { Ok(()) }
}

/// With what can be done about it. `pipeline` is how the pipeline was named.
pub fn explained(problem: anyhow::Error, pipeline: &str) -> anyhow::Error {
    let installs = |gap: &Gap| gap.remedy.contains("install");
    match problem.downcast_ref::<CannotBegin>() {
        Some(CannotBegin::Gaps(gaps)) if gaps.iter().any(|(_, gap)| installs(gap)) => {
            let word = quote(pipeline);
            Machine(format!("{problem}\n`optbuild doctor {word} --install` installs what a package manager has")).into()
        }
        _ => problem,
    }
}

fn save_facts(args: &PlanArgs, project: &Project) -> Result<u8> {
    if let Some(file) = &args.record_facts {
        std::fs::write(file, project.facts.to_json()).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(0)
}

/// The selected stages, which are all up to some.
fn script(project: &Project, selection: &Selection) -> Result<String> {
    let off = project.off();
    let environment = shell::Environment { base: environment::BASE, secret: environment::SECRET };
    let mut plans = Vec::new();
    for name in project.graph.order() {
        if !off.contains(name) && selection.stages.contains(name.as_str()) {
            plans.push(project.plan(name, &off)?);
        }
    }
    Ok(shell::script(&project.pipeline, &plans, environment))
}

/// The plan as text. Without a survey, what would run is not known and all of it is shown.
fn plan_text(project: &Project, selection: &Selection, survey: Option<&Survey>) -> Result<String> {
    let off = project.off();
    let mut text = String::new();
    for name in project.graph.order() {
        let Some(stage) = project.pipeline.stage(name) else { continue };
        if survey.is_none() && stage.common.when && !selection.stages.contains(name.as_str()) {
            continue;
        }
        let verdict = survey.and_then(|survey| survey.stages.iter().find(|(n, _)| *n == *name)).map(|(_, v)| v);
        let answer =
            verdict.map(Verdict::words).unwrap_or_else(|| if stage.common.when { String::new() } else { "off".into() });
        stage_text(&mut text, stage, &answer)?;
        let plan = match verdict {
            Some(Verdict::Run(work)) => Some(work.plan.clone()),
            Some(Verdict::UpToDate(_, plan) | Verdict::DependsOn(_, plan)) => Some((**plan).clone()),
            None if off.contains(name) => None,
            None | Some(Verdict::NeedsFirst { .. }) => Some(project.plan(name, &off)?),
            Some(_) => None,
        };
        if let Some(Verdict::Run(work)) = verdict {
            work.misses.iter().try_for_each(|miss| writeln!(text, "  {miss}"))?;
        }
        if let Some(plan) = plan {
            steps_text(&mut text, &plan)?;
            // Other kinds know what they read; of those that only read what other stages made, there is nothing to say.
            if stage.kind.name == "command" || !plan.sources.is_empty() {
                watched(&plan).iter().try_for_each(|line| writeln!(text, "  {line}"))?;
            }
        }
        text.push('\n');
    }
    Ok(text)
}

fn stage_text(text: &mut String, stage: &Stage, answer: &str) -> std::fmt::Result {
    let kind = stage.kind.name;
    write!(text, "{} ({kind})", stage.common.name)?;
    if !answer.is_empty() {
        write!(text, ": {answer}")?;
    }
    text.push('\n');
    if let Some(description) = &stage.common.description {
        writeln!(text, "  {description}")?;
    }
    Ok(())
}

fn steps_text(text: &mut String, plan: &StagePlan) -> std::fmt::Result {
    for gap in &plan.gaps {
        writeln!(text, "  missing: {} ({})", gap.what, gap.remedy)?;
    }
    for note in &plan.notes {
        writeln!(text, "  note: {note}")?;
    }
    for step in plan.all_steps() {
        step_text(text, step, 2)?;
    }
    for output in &plan.outputs {
        writeln!(text, "  -> {} = {}", output.name, output.path)?;
    }
    Ok(())
}

fn step_text(text: &mut String, step: &Step, indent: usize) -> std::fmt::Result {
    let pad = " ".repeat(indent);
    match &step.action {
        Action::Command(command) => {
            writeln!(text, "{pad}{}", step.name)?;
            command_text(text, command, indent + 2)
        }
        Action::Op(op) => {
            writeln!(text, "{pad}{}", step.name)?;
            op_text(text, op, indent + 2)
        }
        Action::Pool(pool) => pool_text(text, &step.name, pool, indent),
    }
}

fn op_text(text: &mut String, op: &Op, indent: usize) -> std::fmt::Result {
    let words: Vec<String> = op.command_line().iter().map(|arg| quoted(&arg.to_string())).collect();
    writeln!(text, "{}{}", " ".repeat(indent), words.join(" "))
}

fn pool_text(text: &mut String, name: &str, pool: &Pool, indent: usize) -> std::fmt::Result {
    let pad = " ".repeat(indent);
    let workloads = text::plural(pool.workloads.len(), "workload");
    writeln!(text, "{pad}{name}: {workloads}, {} at once", pool.jobs)?;
    if let Some(companion) = &pool.companion {
        writeln!(text, "{pad}  {}, beside the workloads", companion.name)?;
        op_text(text, &companion.op, indent + 4)?;
    }
    for prepare in &pool.prepare {
        step_text(text, prepare, indent + 2)?;
    }
    for workload in &pool.workloads {
        writeln!(text, "{pad}  {}", workload.name)?;
        command_text(text, &workload.command, indent + 4)?;
    }
    for commit in &pool.commit {
        step_text(text, commit, indent + 2)?;
    }
    Ok(())
}

fn command_text(text: &mut String, command: &Command, indent: usize) -> std::fmt::Result {
    let pad = " ".repeat(indent);
    for (name, value) in &command.env {
        writeln!(text, "{pad}{name}={}", quoted(&value.to_string()))?;
    }
    let words: Vec<String> = command.argv.iter().map(|arg| quoted(&arg.to_string())).collect();
    let lines = words.join(" ").replace('\n', &format!("\n{pad}"));
    write!(text, "{pad}{lines}")?;
    if let Some(stdout) = &command.stdout {
        write!(text, " > {stdout}")?;
    }
    writeln!(text)?;
    writeln!(text, "{pad}(in {})", command.cwd)
}

/// Quoted for a shell, with the names of late values left readable.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=/.,:+@%<>~".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.into();
    }
    quote(word)
}
