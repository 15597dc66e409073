//! `plan --shell`: plans as one bash script, in order, with plain tools.
//!
//! For reading, and for running where optbuild is not to be in between: one thing after the other, everything from the start,
//! the first error ends it. Operations that plain tools cannot do call `optbuild op`. Unaware of kinds.

mod prelude;
mod steps;
mod words;

use std::collections::BTreeMap;

use self::words::Words;
use super::{Late, Part, StagePlan};
use crate::pipeline::{OutputRef, Piece, Pipeline, Text, VarValue};

/// The variables of the caller's environment that commands see, as `run::environment` names them.
#[derive(Debug, Clone, Copy)]
pub struct Environment<'a> {
    /// Names; a `*` at the end stands for any ending.
    pub base: &'a [&'a str],
    /// Endings that a `*` does not stand for.
    pub secret: &'a [&'a str],
}

/// The script. Its first argument is the directory for the pipeline's outputs.
pub fn script(pipeline: &Pipeline, plans: &[StagePlan], environment: Environment) -> String {
    let words = Words::new(plans);
    let mut body = String::new();
    for plan in plans {
        body.push_str(&steps::stage(pipeline, plan, &words));
    }
    let deliveries = deliveries(pipeline, plans, &words);
    if !deliveries.is_empty() {
        body.push_str("# What the pipeline is for.\n");
        body.push_str(&deliveries);
    }
    let mut script = prelude::head(pipeline, environment, &body);
    // In a function, so that bash has read all of it before anything runs: it may come through a pipe.
    script.push_str("main() {\n");
    script.push_str(&body);
    script.push_str("}\n\nmain\n");
    script
}

/// Puts the pipeline's outputs into the directory of the first argument.
fn deliveries(pipeline: &Pipeline, plans: &[StagePlan], words: &Words) -> String {
    let mut lines = String::new();
    for (name, text) in &pipeline.outputs {
        match delivered(pipeline, plans, words, text) {
            Some(word) => lines.push_str(&format!("deliver {word} {}\n", words::quoted(name))),
            None => lines.push_str(&format!("# {name}: no stage of this script makes {text}\n")),
        }
    }
    lines
}

/// A text of `[outputs]` as a word. None if it refers to what no plan makes.
fn delivered(pipeline: &Pipeline, plans: &[StagePlan], words: &Words, text: &Text) -> Option<String> {
    let mut arg = super::Arg::default();
    for piece in &text.pieces {
        let part = match piece {
            Piece::Literal(text) => Part::Literal(text.clone()),
            Piece::Outputs(candidates) => Part::Late(Late::Path(made(plans, candidates)?)),
            Piece::PipelineDir(file) => Part::Literal(pipeline.dirs.get(*file)?.to_string()),
            Piece::Var(name) => match &pipeline.vars.get(name)?.value {
                VarValue::String(value) => Part::Literal(value.clone()),
                VarValue::Path(path) => Part::Literal(path.to_string()),
                VarValue::Bool(value) => Part::Literal(value.to_string()),
                VarValue::Int(value) => Part::Literal(value.to_string()),
                VarValue::List(values) => Part::Literal(values.join(",")),
            },
            Piece::SelfOut | Piece::SelfBuild | Piece::Host | Piece::Jobs | Piece::Tool(_) => return None,
        };
        arg.parts.push(part);
    }
    Some(words.word(&arg))
}

fn made(plans: &[StagePlan], candidates: &[OutputRef]) -> Option<OutputRef> {
    let makes = |candidate: &&OutputRef| {
        let plan = plans.iter().find(|plan| plan.stage == candidate.stage);
        plan.is_some_and(|plan| plan.outputs.iter().any(|output| output.name == candidate.output))
    };
    candidates.iter().find(makes).cloned()
}

/// Names of shell variables, each for one output.
type Variables = BTreeMap<OutputRef, String>;
