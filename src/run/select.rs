//! Which stages a run may run, and which it begins afresh whatever their records say.
//!
//! Names and the graph only; what was built before is `decide.rs`'s business.

use std::collections::BTreeSet;

use crate::names::StageName;
use crate::pipeline::{Graph, Pipeline};

/// What the command line asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Which stages")]
pub struct Request {
    /// Run this stage and all that depends on it, whatever their records say
    #[arg(long, value_name = "STAGE")]
    pub from: Vec<String>,
    /// Run this stage and what it needs, and stop there
    #[arg(long, value_name = "STAGE")]
    pub until: Vec<String>,
    /// Run this stage alone, whatever its record says
    #[arg(long, value_name = "STAGE", conflicts_with_all = ["from", "until"])]
    pub only: Vec<String>,
    /// Do not run this stage: use its recorded outputs, or what the pipeline names instead of them
    #[arg(long, value_name = "STAGE")]
    pub skip: Vec<String>,
    /// Run every selected stage whatever its record says
    #[arg(long)]
    pub force: bool,
    /// Like --force, in empty build directories
    #[arg(long)]
    pub fresh: bool,
    /// Use outputs of stages outside of the selection although they are out of date
    #[arg(long)]
    pub accept_stale: bool,
}

/// The answer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// May run. A stage outside of it never does.
    pub stages: BTreeSet<StageName>,
    /// Of those, the ones that run whatever their records say.
    pub forced: BTreeSet<StageName>,
    /// Wipe the build directories of those that run.
    pub fresh: bool,
    pub skipped: BTreeSet<StageName>,
    pub accept_stale: bool,
}

/// A request that makes no sense for this pipeline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    #[error("`{flag} {name}`: {}", no_stage(.name, .known))]
    Unknown { flag: &'static str, name: String, known: Vec<String> },
    #[error("`{flag} {name}`: this stage is switched off by its `when`; set the variable that it depends on")]
    Off { flag: &'static str, name: String },
    #[error(
        "`{flag} {name}`: what this stage is for comes out of the bundle of `--profiles`, so nothing needs it; leave one of the \
         two away"
    )]
    Spared { flag: &'static str, name: String },
    #[error("nothing lies between `--from {from}` and `--until {until}`: `{until}` does not depend on `{from}`")]
    Empty { from: String, until: String },
    #[error("`--skip {name}` contradicts `{flag} {name}`")]
    Skipped { flag: &'static str, name: String },
}

/// That there is no stage of a name, with the one that was meant, or all there are.
pub fn no_stage(name: &str, known: &[String]) -> String {
    match crate::pipeline::nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => format!("the pipeline has no stage `{name}`; did you mean `{nearest}`?"),
        None => format!("the pipeline has no stage `{name}`; its stages are {}", known.join(", ")),
    }
}

/// Works out the selection of a request.
pub fn select(pipeline: &Pipeline, graph: &Graph, request: &Request) -> Result<Selection, SelectError> {
    for (flag, names) in
        [("--from", &request.from), ("--until", &request.until), ("--only", &request.only), ("--skip", &request.skip)]
    {
        for name in names {
            check_name(pipeline, flag, name)?;
            if flag != "--skip" && request.skip.contains(name) {
                return Err(SelectError::Skipped { flag, name: name.clone() });
            }
        }
    }
    let on = pipeline.stages.iter().filter(|stage| stage.common.when);
    let named = |names: &[String]| names.iter().map(StageName::from).collect::<BTreeSet<_>>();
    let mut stages: BTreeSet<StageName> = on.map(|stage| (&stage.common.name).into()).collect();
    let mut forced = BTreeSet::new();
    if !request.only.is_empty() {
        stages = named(&request.only);
        forced = stages.clone();
    }
    if !request.from.is_empty() {
        let mut after = named(&request.from);
        after.extend(request.from.iter().flat_map(|name| graph.dependents(name)).map(StageName::from));
        stages.retain(|name| after.contains(name));
        forced.extend(stages.iter().cloned());
    }
    if !request.until.is_empty() {
        let mut before = named(&request.until);
        before.extend(request.until.iter().flat_map(|name| graph.dependencies(name)).map(StageName::from));
        stages.retain(|name| before.contains(name));
    }
    if let (true, [from, ..], [until, ..]) = (stages.is_empty(), request.from.as_slice(), request.until.as_slice()) {
        return Err(SelectError::Empty { from: from.clone(), until: until.clone() });
    }
    let skipped = named(&request.skip);
    stages.retain(|name| !skipped.contains(name));
    forced.retain(|name| stages.contains(name));
    if request.force || request.fresh {
        forced = stages.clone();
    }
    Ok(Selection { stages, forced, fresh: request.fresh, skipped, accept_stale: request.accept_stale })
}

fn check_name(pipeline: &Pipeline, flag: &'static str, name: &str) -> Result<(), SelectError> {
    match pipeline.stage(name) {
        Some(stage) if stage.spared && flag != "--skip" => Err(SelectError::Spared { flag, name: name.into() }),
        Some(stage) if !stage.common.when && flag != "--skip" => Err(SelectError::Off { flag, name: name.into() }),
        Some(_) => Ok(()),
        None => {
            let known = pipeline.stages.iter().map(|stage| stage.common.name.clone()).collect();
            Err(SelectError::Unknown { flag, name: name.into(), known })
        }
    }
}
