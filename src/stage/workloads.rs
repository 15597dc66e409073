//! The commands that a stage runs a program with, for running them on other builds of it. Unaware of how they are measured.

use std::collections::BTreeMap;

use super::{Context, PlanError};
use crate::compare::request::PLACEHOLDER;
use crate::facts::Facts;
use crate::pipeline::kind::{Compare, Gather};
use crate::pipeline::{CommandLine, Kind, Pipeline, Text};
use crate::plan::{Arg, Command};

/// Commands with `{program}` in them, and what a comparison stage says of its sides.
#[derive(Debug, Default)]
pub struct Workloads {
    /// Names and commands. A working directory of the stage's own is any empty one.
    pub commands: Vec<(String, Command)>,
    pub base_env: BTreeMap<String, Arg>,
    pub candidate_env: BTreeMap<String, Arg>,
}

/// The workloads of a stage of kind `compare` or `gather`.
///
/// # Errors
/// When the stage is of another kind, or its commands do not run the program that it gathers from.
pub fn workloads(
    pipeline: &Pipeline,
    facts: &Facts,
    stage: &str,
    unavailable: &std::collections::BTreeSet<String>,
) -> Result<Workloads, PlanError> {
    let missing =
        |message: &str| PlanError::Invalid { stage: stage.into(), key: "kind".into(), message: message.into() };
    let Some(declared) = pipeline.stage(stage) else { return Err(missing("the pipeline has no stage of this name")) };
    let mut cx = Context::new(pipeline, facts, declared, unavailable);
    cx.common()?;
    match &declared.kind {
        Kind::Compare(kind) => of_compare(kind, &mut cx),
        Kind::Gather(kind) => of_gather(kind, &mut cx),
        _ => Err(missing("only stages of kind `compare` or `gather` have workloads")),
    }
}

fn of_compare(kind: &Compare, cx: &mut Context) -> Result<Workloads, PlanError> {
    let mut all = Workloads { base_env: env(&kind.base_env, cx)?, ..Workloads::default() };
    all.candidate_env = env(&kind.candidate_env, cx)?;
    for declared in &kind.workloads {
        let line = CommandLine::new(&declared.run, declared.shell, declared.env.clone(), declared.cwd.clone());
        let line = line.map_err(|message| cx.invalid(&format!("workloads.{}", declared.name), message))?;
        all.commands.push((declared.name.clone(), cx.command_line(&line)?));
    }
    Ok(all)
}

/// What stands for the instrumented program is [`PLACEHOLDER`], as it may be in the declaration, too.
fn of_gather(kind: &Gather, cx: &mut Context) -> Result<Workloads, PlanError> {
    let trained = cx.producer(&kind.instrumented)?.map(|stage| stage.common.name.clone());
    let mut all = Workloads::default();
    for declared in &kind.workloads {
        let key = format!("workloads.{}", declared.name);
        let Some(run) = &declared.run else {
            return Err(cx.invalid(&key, "its crates are measured by `optbuild compare --rustc-perf`"));
        };
        let line = CommandLine::new(run, declared.shell, declared.env.clone(), declared.cwd.clone());
        let mut line = line.map_err(|message| cx.invalid(&key, message))?;
        let named = |word: &Text| word.to_string().contains(PLACEHOLDER);
        if !line.words.iter().chain(line.env.values()).any(named) {
            let program = line.words.iter_mut().find(|word| trained.is_some() && producer(word, cx) == trained);
            let Some(program) = program.filter(|_| !line.shell) else {
                let message = format!(
                    "it runs neither `{PLACEHOLDER}` nor `{}`, so no other build can take its place",
                    kind.instrumented
                );
                return Err(cx.invalid(&key, message));
            };
            *program = Text::literal(PLACEHOLDER);
        }
        all.commands.push((declared.name.clone(), cx.command_line(&line)?));
    }
    Ok(all)
}

fn producer(word: &Text, cx: &Context) -> Option<String> {
    Some(cx.producer(word).ok()??.common.name.clone())
}

pub(super) fn env(declared: &BTreeMap<String, Text>, cx: &mut Context) -> Result<BTreeMap<String, Arg>, PlanError> {
    declared.iter().map(|(name, text)| Ok((name.clone(), cx.arg(text)?))).collect()
}
