//! Arguments of plans as words of bash.

use std::collections::BTreeSet;

use super::Variables;
use crate::pipeline::{OutputRef, env_name};
use crate::plan::ops::{ShellLine, ShellWord};
use crate::plan::{Arg, Late, Part, StagePlan, Symbol};
use crate::text::shell::quote;

/// How arguments are written in this script.
pub(super) struct Words {
    /// The variable with the path of each output.
    variables: Variables,
}

impl Words {
    pub(super) fn new(plans: &[StagePlan]) -> Words {
        let (mut variables, mut taken) = (Variables::new(), BTreeSet::new());
        for plan in plans {
            for output in &plan.outputs {
                let reference = OutputRef { stage: plan.stage.clone(), output: output.name.clone() };
                // With a prefix: a stage may be called `PATH` or `0`.
                let plain = format!("out_{}_{}", identifier(&plan.stage), identifier(&output.name));
                variables.insert(reference, unique(plain, &mut taken));
            }
        }
        Words { variables }
    }

    /// The variable with the path of an output.
    pub(super) fn variable(&self, stage: &str, output: &str) -> String {
        let reference = OutputRef { stage: stage.into(), output: output.into() };
        // A stage that the script leaves out: the caller sets the variable, or `set -u` says its name.
        let otherwise = || format!("out_{}_{}", identifier(stage), identifier(output));
        self.variables.get(&reference).cloned().unwrap_or_else(otherwise)
    }

    /// One word.
    pub(super) fn word(&self, arg: &Arg) -> String {
        let arg = arg.clone().joined();
        let word: String = arg.parts.iter().map(|part| self.part(part)).collect();
        if word.is_empty() { "''".into() } else { word }
    }

    fn part(&self, part: &Part) -> String {
        match part {
            Part::Literal(text) => quoted(text),
            Part::Limit(value) => quoted(value),
            Part::Tool { path, .. } | Part::Place { path, .. } => quoted(path.as_str()),
            Part::Symbol(symbol) => format!("\"${}\"", symbol_variable(*symbol)),
            Part::Late(Late::Path(output)) => format!("\"${}\"", self.variable(&output.stage, &output.output)),
            Part::Late(Late::Hash(output)) => {
                format!("\"$(content_hash \"${}\")\"", self.variable(&output.stage, &output.output))
            }
            Part::Secret { name, .. } => format!("\"${{{}:?}}\"", env_name(name)),
        }
    }

    /// One word in which the stars of literals are left to the shell; the second value says whether there are any.
    pub(super) fn pattern(&self, arg: &Arg) -> (String, bool) {
        let mut stars = false;
        let parts = arg.parts.iter().map(|part| match part {
            Part::Literal(text) if text.contains('*') => {
                stars = true;
                text.split('*').map(quoted).collect::<Vec<_>>().join("*")
            }
            other => self.part(other),
        });
        let word = parts.collect();
        (word, stars)
    }

    /// A line of an operation's plain equivalent.
    pub(super) fn line(&self, line: &ShellLine) -> String {
        let words = line.iter().map(|word| match word {
            ShellWord::Raw(text) => text.clone(),
            ShellWord::Arg(arg) => self.word(arg),
        });
        words.collect()
    }
}

/// What stands for exactly this text within a word; nothing for an empty one.
pub(super) fn quoted(text: &str) -> String {
    if text.is_empty() { String::new() } else { quote(text) }
}

/// The variables that the script has for places.
fn symbol_variable(symbol: Symbol) -> &'static str {
    match symbol {
        Symbol::Out => "out",
        Symbol::Build => "build",
        Symbol::Scratch => "scratch",
        Symbol::Jobs => "jobs",
        Symbol::Attempt => "attempt",
        Symbol::Slot => "slot",
        Symbol::Committed => "committed",
        // Steps that read logs are for reports, which a script does not make.
        Symbol::Logs => "scratch",
        Symbol::Optbuild => "OPTBUILD",
    }
}

/// The name, or one with a number behind it that is not taken yet.
pub(super) fn unique(plain: String, taken: &mut BTreeSet<String>) -> String {
    let mut unique = plain.clone();
    let mut number = 1;
    while !taken.insert(unique.clone()) {
        number += 1;
        unique = format!("{plain}_{number}");
    }
    unique
}

fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}
