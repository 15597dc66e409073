//! `plan --shell`: plans as one bash script, in order, with plain tools.
//!
//! For reading, and for running where optbuild is not to be in between: one thing after the other, everything from the start,
//! the first error ends it. Operations that plain tools cannot do call `optbuild op`. Unaware of kinds.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::ops::{Op, ShellLine, ShellWord};
use super::{Action, Arg, Command, Late, Part, Pool, StagePlan, Step, Symbol};
use crate::pipeline::{self, OutputRef, Pipeline, Text, env_name};
use crate::text::script::{self, Piece, Place};
use crate::text::{self, shell::quote};

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
        body.push_str(&stage(pipeline, plan, &words));
    }
    let deliveries = deliveries(pipeline, plans, &words);
    if !deliveries.is_empty() {
        body.push_str("# What the pipeline is for.\n");
        body.push_str(&deliveries);
    }
    let mut script = head(pipeline, environment, &body);
    // In a function, so that bash has read all of it before anything runs: it may come through a pipe.
    script.push_str("main() {\n");
    script.push_str(&body);
    script.push_str("}\n\nmain\n");
    script
}

/// Puts the pipeline's outputs into the directory of the first argument.
fn deliveries(pipeline: &Pipeline, plans: &[StagePlan], words: &Words) -> String {
    let mut lines = String::new();
    for (name, declared) in &pipeline.outputs {
        if let Some(stage) = &declared.unless_slower {
            lines.push_str(&format!("# {name}: a run puts it there only if {stage} does not say that it is slower.\n"));
        }
        match delivered(pipeline, plans, words, &declared.from) {
            Some(word) => lines.push_str(&format!("deliver {word} {}\n", quoted(name))),
            None => lines.push_str(&format!("# {name}: no stage of this script makes {}\n", declared.from)),
        }
    }
    lines
}

/// A text of `[outputs]` as a word. None if it refers to what no plan makes.
fn delivered(pipeline: &Pipeline, plans: &[StagePlan], words: &Words, text: &Text) -> Option<String> {
    let mut arg = Arg::default();
    for piece in &text.pieces {
        let part = match piece {
            pipeline::Piece::Literal(text) => Part::Literal(text.clone()),
            pipeline::Piece::Outputs(candidates) => Part::Late(Late::Path(made(plans, candidates)?)),
            pipeline::Piece::PipelineDir(file) => Part::Literal(pipeline.dirs.get(*file)?.to_string()),
            pipeline::Piece::Var(name) => Part::Literal(pipeline.vars.get(name)?.value.to_string()),
            pipeline::Piece::SelfOut
            | pipeline::Piece::SelfBuild
            | pipeline::Piece::SelfCompiler { .. }
            | pipeline::Piece::Host
            | pipeline::Piece::Jobs
            | pipeline::Piece::Tool(_) => return None,
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

fn stage(pipeline: &Pipeline, plan: &StagePlan, words: &Words) -> String {
    let declared = pipeline.stage(&plan.stage);
    let description = declared.and_then(|stage| stage.common.description.as_deref());
    let description = description.map(|text| format!(": {}", one_line(text))).unwrap_or_default();
    let mut text = format!("# {}{description}\n", plan.stage);
    for note in &plan.notes {
        text.push_str(&format!("# Note: {}\n", one_line(note)));
    }
    for gap in &plan.gaps {
        text.push_str(&format!("# Missing where this was written: {}\n", one_line(&gap.what)));
    }
    let workspace = declared.and_then(|stage| stage.common.workspace.as_deref());
    let workspace = workspace.map(|name| format!(" {}", quoted(name))).unwrap_or_default();
    text.push_str(&format!("stage {}{workspace}\n", quoted(&plan.stage)));
    for step in plan.steps.iter().chain(&plan.checks) {
        text.push_str(&self::step(step, words));
    }
    for output in &plan.outputs {
        let variable = words.variable(&plan.stage, &output.name);
        let _ = match words.pattern(&output.path) {
            (pattern, true) => writeln!(text, "{variable}=$(only {pattern})"),
            (word, false) => writeln!(text, "{variable}={word}"),
        };
        if output.show {
            let _ = writeln!(text, "cat \"${variable}\" >&2");
        }
    }
    text.push('\n');
    text
}

fn step(step: &Step, words: &Words) -> String {
    match &step.action {
        Action::Command(command) => format!("{}\n", self::command(command, words)),
        Action::Op(op) => self::op(op, words),
        Action::Pool(pool) => self::pool(pool, words),
    }
}

fn op(op: &Op, words: &Words) -> String {
    let lines = match &op.shell {
        Some(lines) => lines.iter().map(|line| words.line(line)).collect(),
        None => {
            let line: Vec<String> = op.command_line().iter().map(|arg| words.word(arg)).collect();
            vec![line.join(" ")]
        }
    };
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn command(command: &Command, words: &Words) -> String {
    let mut text = String::new();
    // In a script it stands in a substitution, whose failure ends nothing.
    for part in command.argv.iter().filter(|arg| arg.script).flat_map(|arg| &arg.parts) {
        if matches!(part, Part::Secret { .. }) {
            let _ = writeln!(text, ": {}", words.part(part));
        }
    }
    let _ = write!(text, "inside {}\nrun", words.word(&command.cwd));
    for (name, value) in &command.env {
        let _ = write!(text, " {}={}", quoted(name), words.word(value));
    }
    for arg in &command.argv {
        let _ = write!(text, " {}", words.word(arg));
    }
    if let Some(stdout) = &command.stdout {
        let _ = write!(text, " > {}", words.word(stdout));
    }
    text
}

fn pool(pool: &Pool, words: &Words) -> String {
    let (mut text, mut taken) = (String::new(), BTreeSet::new());
    for workload in &pool.workloads {
        let _ = writeln!(text, "# workload {}", one_line(&workload.name));
        text.push_str("attempt=$WORK/attempt; rm -rf \"$attempt\"; mkdir -p \"$attempt\"\n");
        for step in &pool.prepare {
            text.push_str(&self::step(step, words));
        }
        text.push_str(&self::command(&workload.command, words));
        text.push_str(if workload.may_fail { " || echo 'it may fail; its profiles count' >&2\n" } else { "\n" });
        if workload.command.leave.is_some() {
            text.push_str("sleep 5 # another process writes the profile of one that has ended\n");
        }
        // A script merges after each workload what a companion merges meanwhile.
        let instead = pool.companion.iter().flat_map(|companion| &companion.instead);
        for step in pool.commit.iter().chain(instead) {
            text.push_str(&self::step(step, words));
        }
        // The attempt's working directory may be the current one. A name of several parts is one of a directory here.
        let name = text::unique(&workload.name.replace('/', "_"), "_", &mut taken);
        let _ = writeln!(text, "cd \"$WORK\"; mv \"$attempt\" \"$committed\"/{}", quoted(&name));
    }
    text
}

/// How arguments are written in this script.
struct Words {
    /// The variable with the path of each output.
    variables: BTreeMap<OutputRef, String>,
}

impl Words {
    fn new(plans: &[StagePlan]) -> Words {
        let (mut variables, mut taken) = (BTreeMap::new(), BTreeSet::new());
        for plan in plans {
            for output in &plan.outputs {
                let reference = OutputRef { stage: plan.stage.clone(), output: output.name.clone() };
                // With a prefix: a stage may be called `PATH` or `0`.
                let plain = format!("out_{}_{}", identifier(&plan.stage), identifier(&output.name));
                variables.insert(reference, text::unique(&plain, "_", &mut taken));
            }
        }
        Words { variables }
    }

    /// The variable with the path of an output.
    fn variable(&self, stage: &str, output: &str) -> String {
        let reference = OutputRef { stage: stage.into(), output: output.into() };
        // A stage that the script leaves out: the caller sets the variable, or `set -u` says its name.
        let otherwise = || format!("out_{}_{}", identifier(stage), identifier(output));
        self.variables.get(&reference).cloned().unwrap_or_else(otherwise)
    }

    /// One word.
    fn word(&self, arg: &Arg) -> String {
        let arg = arg.clone().joined();
        let word: String = match arg.script {
            true => self.script(&arg),
            false => arg.parts.iter().map(|part| self.part(part)).collect(),
        };
        if word.is_empty() { "''".into() } else { word }
    }

    /// A script for `sh`, with values as each place in it needs them.
    fn script(&self, arg: &Arg) -> String {
        let pieces = arg.parts.iter().map(|part| match part {
            Part::Literal(text) => Piece::Text(text),
            _ => Piece::Value { text: "", name: "" },
        });
        let mut places = script::places(&pieces.collect::<Vec<_>>()).into_iter();
        let parts = arg.parts.iter().map(|part| match part {
            Part::Literal(text) => quoted(text),
            other => {
                let function = match places.next() {
                    Some(Place::Word) => "in_word",
                    Some(Place::Double | Place::Parameter | Place::Here) => "in_double",
                    Some(Place::Single) => "in_single",
                    Some(Place::Verbatim | Place::Nowhere(_)) | None => return self.part(other),
                };
                format!("\"$({function} {})\"", self.part(other))
            }
        });
        parts.collect()
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
    fn pattern(&self, arg: &Arg) -> (String, bool) {
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
    fn line(&self, line: &ShellLine) -> String {
        let words = line.iter().map(|word| match word {
            ShellWord::Raw(text) => text.clone(),
            ShellWord::Arg(arg) => self.word(arg),
        });
        words.collect()
    }
}

/// What stands for exactly this text within a word; nothing for an empty one.
fn quoted(text: &str) -> String {
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
        // Steps that read logs, or what was reported, are for reports, which a script does not make.
        Symbol::Logs | Symbol::Reported | Symbol::ReportedLast => "scratch",
        Symbol::Optbuild => "OPTBUILD",
    }
}

fn identifier(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// What every script begins with: options, directories, the environment of commands, and functions. Behind `#? CALL` stands a function
/// that only scripts with such a call need.
const PRELUDE: &str = include_str!("prelude.sh");

fn head(pipeline: &Pipeline, environment: Environment, body: &str) -> String {
    let mut text =
        format!("#!/usr/bin/env bash\n# Pipeline {}, as `optbuild plan --shell` wrote it.\n", one_line(&pipeline.name));
    pipeline.description.lines().for_each(|line| text.push_str(&format!("# {line}\n")));
    let secret: Vec<String> = environment.secret.iter().map(|ending| format!("*{}", quoted(ending))).collect();
    let never = if secret.is_empty() { String::new() } else { format!("    {}) ;;\n", secret.join(" | ")) };
    let mut parts = PRELUDE.split("#? ");
    let always = parts.next().unwrap_or_default().replace("    SECRET) ;;\n", &never);
    text.push_str(&always.replace("BASE", &environment.base.join(" | ")));
    for (call, function) in parts.filter_map(|part| part.split_once('\n')) {
        if body.contains(&format!("{call} ")) {
            text.push_str(function);
        }
    }
    text
}

/// As a comment can hold it.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
