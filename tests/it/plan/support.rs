//! Pipelines for plan tests, without the loader: variables are not replaced, dependencies not worked out.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use optbuild::facts::Facts;
use optbuild::pipeline::{OutputDecl, Pipeline, Stage, Text};
use optbuild::plan::{Action, Command, StagePlan, Step};
use optbuild::stage::{self as stages, PlanError};

/// Reads `[[stage]]` tables and `[outputs]`.
pub fn pipeline(text: &str) -> Pipeline {
    try_pipeline(text).unwrap_or_else(|error| panic!("{error}"))
}

/// What is said of a stage when it is read, or planned.
pub fn refused(text: &str, name: &str) -> String {
    try_pipeline(text).and_then(|pipeline| plan(&pipeline, name).map_err(|error| error.to_string())).unwrap_err()
}

fn try_pipeline(text: &str) -> Result<Pipeline, String> {
    let mut table: toml::Table = text.parse().unwrap();
    let stages = table.remove("stage").unwrap().try_into::<Vec<toml::Table>>().unwrap();
    let outputs: IndexMap<String, Text> =
        table.remove("outputs").map(|outputs| outputs.try_into().unwrap()).unwrap_or_default();
    let outputs = outputs.into_iter().map(|(place, from)| (place, OutputDecl { from, unless_slower: None })).collect();
    Ok(Pipeline {
        name: "test".into(),
        description: "A pipeline\nfor tests".into(),
        file: "/p/test.toml".into(),
        dirs: vec!["/p".into()],
        vars: Default::default(),
        tools: Default::default(),
        outputs,
        stages: stages.into_iter().map(stage).collect::<Result<_, _>>()?,
        ..Pipeline::default()
    })
}

fn stage(table: toml::Table) -> Result<Stage, String> {
    optbuild::pipeline::stage(&table.to_string(), &stages::KINDS).map_err(|error| error.to_string())
}

/// Plans one stage on a machine that nothing is known of: tools are their bare names.
pub fn plan(pipeline: &Pipeline, name: &str) -> Result<StagePlan, PlanError> {
    stages::plan(pipeline, &Facts::default(), name, &BTreeSet::new())
}

pub fn plans(pipeline: &Pipeline) -> Vec<StagePlan> {
    pipeline.stages.iter().map(|stage| plan(pipeline, &stage.common.name).unwrap()).collect()
}

/// A plan as text: a line per step, and one per output.
pub fn shown(plan: &StagePlan) -> String {
    let mut text: String = plan.steps.iter().chain(&plan.checks).map(|step| show_step(step, "")).collect();
    for output in &plan.outputs {
        let fixed = if output.portable { "" } else { " (fixed)" };
        text.push_str(&format!("-> {} = {}{fixed}\n", output.name, output.path));
    }
    text
}

fn show_step(step: &Step, indent: &str) -> String {
    let name = &step.name;
    match &step.action {
        Action::Command(command) => format!("{indent}{name}: {}\n", show_command(command)),
        Action::Op(op) => {
            let words: Vec<String> = op.argv.iter().map(ToString::to_string).collect();
            format!("{indent}{name}: op {}\n", words.join(" "))
        }
        Action::Pool(pool) => {
            let mut text = format!("{indent}{name}: {} at once\n", pool.jobs);
            if let Some(companion) = &pool.companion {
                let words: Vec<String> = companion.op.argv.iter().map(ToString::to_string).collect();
                text.push_str(&format!("{indent}  beside {}: op {}\n", companion.name, words.join(" ")));
            }
            text.extend(pool.prepare.iter().map(|step| show_step(step, "  before ")));
            for workload in &pool.workloads {
                let may_fail = if workload.may_fail { " (may fail)" } else { "" };
                text.push_str(&format!("  {}{may_fail}: {}\n", workload.name, show_command(&workload.command)));
            }
            text.extend(pool.commit.iter().map(|step| show_step(step, "  after ")));
            text
        }
    }
}

fn show_command(command: &Command) -> String {
    let env: Vec<String> = command.env.iter().map(|(name, value)| format!("{name}={value} ")).collect();
    let argv: Vec<String> = command.argv.iter().map(ToString::to_string).collect();
    let stdout = command.stdout.as_ref().map(|path| format!(" > {path}")).unwrap_or_default();
    format!("{}{}{stdout} @ {}", env.concat(), argv.join(" "), command.cwd)
}

/// Every operation of a plan, as a command line.
pub fn operations(plan: &StagePlan) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut add = |step: &Step| {
        if let Action::Op(op) = &step.action {
            found.push(op.argv.iter().map(ToString::to_string).collect());
        }
    };
    for step in plan.steps.iter().chain(&plan.checks) {
        add(step);
        if let Action::Pool(pool) = &step.action {
            let instead = pool.companion.iter().flat_map(|companion| &companion.instead);
            pool.prepare.iter().chain(&pool.commit).chain(instead).for_each(&mut add);
        }
    }
    found
}
