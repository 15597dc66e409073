//! What the caller has set, and what would change what a stage makes or runs, but does not reach it: variables of the environment, and the
//! target of cargo's configuration.
//!
//! | stage | what |
//! |---|---|
//! | any with a script | variables in upper case that the script names: `$CORPUS` |
//! | of a kind | what its tools read; the kind says it ([`StageKind::overlooked`]) |
//!
//! It is told when a run begins. Nothing follows from it: what a stage makes is declared. Unaware of who is told.

use std::fmt;

use super::{Context, kind_of};
use crate::facts::Facts;
use crate::pipeline::{Pipeline, Stage};

/// A setting of the caller that does not reach stages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlooked {
    pub what: Setting,
    /// How it reaches them.
    pub remedy: String,
    pub stages: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A variable of the environment.
    Variable(String),
    /// A target triple that is set at `place`; the stage builds for another one.
    Target { place: String, target: String, built: String },
}

impl Overlooked {
    /// A variable that a stage does not see.
    pub fn variable(stage: &Stage, name: &str) -> Overlooked {
        let remedy = format!("{} passes it on", how_to_pass(stage, name));
        Overlooked { what: Setting::Variable(name.into()), remedy, stages: vec![stage.common.name.clone()] }
    }
}

/// How a variable of the environment is passed on to a stage.
pub fn how_to_pass(stage: &Stage, name: &str) -> String {
    match stage.origin.variables.get("pass-env") {
        Some(variable) => format!("`--set {variable}={name}`"),
        None => format!("`pass-env = [\"{name}\"]`"),
    }
}

impl fmt::Display for Overlooked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = self.stages.len() == 1;
        let stages = format!("{} `{}`", if one { "stage" } else { "the stages" }, self.stages.join("`, `"));
        let remedy = &self.remedy;
        match &self.what {
            Setting::Variable(name) => {
                let does = if one { "does" } else { "do" };
                write!(f, "`{name}` is set here, and {stages} {does} not see it: {remedy}")
            }
            Setting::Target { place, target, built } => {
                let builds = if one { "builds" } else { "build" };
                write!(f, "{place} is `{target}`, and {stages} {builds} for `{built}`: {remedy}")
            }
        }
    }
}

/// Variables that a shell sets by itself, and those that optbuild sets.
const OWN: [&str; 9] =
    ["PWD", "OLDPWD", "IFS", "OPTIND", "OPTARG", "PPID", "SHLVL", "LLVM_PROFILE_FILE", "OPTBUILD_RUN"];

/// What does not reach the stages that are on. `is_base` knows the variables that every command sees.
pub fn overlooked(pipeline: &Pipeline, facts: &Facts, is_base: &dyn Fn(&str) -> bool) -> Vec<Overlooked> {
    let mut all: Vec<Overlooked> = Vec::new();
    let off =
        pipeline.stages.iter().filter(|stage| !stage.common.when).map(|stage| stage.common.name.clone()).collect();
    for stage in pipeline.stages.iter().filter(|stage| stage.common.when && stage.supplied.is_none()) {
        let mut cx = Context::new(pipeline, facts, stage, &off);
        let mut found = kind_of(stage).map(|kind| kind.overlooked(stage, &mut cx)).unwrap_or_default();
        found.extend(named_in_scripts(stage, facts, is_base));
        for one in found {
            match all.iter_mut().find(|known| known.what == one.what && known.remedy == one.remedy) {
                Some(known) if known.stages.iter().any(|name| one.stages.contains(name)) => {}
                Some(known) => known.stages.extend(one.stages),
                None => all.push(one),
            }
        }
    }
    all
}

/// Whether a stage sets a variable, or passes it on.
pub(super) fn sees(stage: &Stage, name: &str) -> bool {
    stage.common.env.contains_key(name) || stage.common.pass_env.iter().any(|passed| passed == name)
}

/// Variables that are set, and that scripts of a stage name without seeing them.
fn named_in_scripts(stage: &Stage, facts: &Facts, is_base: &dyn Fn(&str) -> bool) -> Vec<Overlooked> {
    let keys = ["run", "workloads", "tests", "check"];
    let mut names: Vec<&str> = Vec::new();
    for text in keys.iter().filter_map(|key| stage.declaration.get(*key)) {
        let whole = stage.declaration.get("shell").is_some_and(|shell| shell == "true");
        if !whole && !text.contains("\"shell\":true") {
            continue;
        }
        // One that the script or an `env` sets is its own.
        let is_set = |name: &str| text.contains(&format!("{name}=")) || text.contains(&format!("\"{name}\":"));
        names.extend(variables(text).filter(|name| !is_set(name)));
    }
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !OWN.contains(name) && !is_base(name) && !sees(stage, name) && is_given(facts, name));
    names.into_iter().map(|name| Overlooked::variable(stage, name)).collect()
}

/// Whether the caller's environment has it.
pub(super) fn is_given(facts: &Facts, name: &str) -> bool {
    facts.env(name).is_some_and(|value| !value.is_empty())
}

/// The variables in upper case that a script refers to.
fn variables(script: &str) -> impl Iterator<Item = &str> {
    script.split('$').skip(1).filter_map(|behind| {
        let behind = behind.strip_prefix('{').unwrap_or(behind);
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = &behind[..behind.find(|c| !is_part(c)).unwrap_or(behind.len())];
        let upper =
            name.starts_with(|c: char| c.is_ascii_uppercase()) && !name.contains(|c: char| c.is_ascii_lowercase());
        (upper && name.len() > 1).then_some(name)
    })
}
