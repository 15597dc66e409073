//! `kind = "command"`: any program, and what it made.

use std::collections::BTreeMap;

use camino::Utf8Path;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Declaration, PlanError, Profdata, StageKind};
use crate::pipeline::{Answers, CommandLine, Keys, Piece, Stage, Text, Words, value};
use crate::plan::ops::Capture;
use crate::plan::{Arg, Output, Step, Symbol};
use crate::toolchain::llvm;

/// Runs any program.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CommandKeys {
    /// The command: an array of words, or a string that is split into words without a shell. A first word that is the name
    /// of a tool in `[tools]` is that tool.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    pub shell: bool,
    /// Where it runs. Default: `${self.build}`.
    pub cwd: Option<Text>,
    /// What it makes: a name and a path in `${self.out}`, or a path below `${self.build}`, from where it is captured. `out`, all
    /// of `${self.out}`, is always there.
    #[serde(default)]
    pub outputs: BTreeMap<String, Text>,
    /// Names of outputs that are text files whose content is printed with the summary of a run.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub show: Vec<String>,
}

/// A command, and what it makes.
#[derive(Debug)]
pub struct Command {
    pub line: CommandLine,
    pub outputs: BTreeMap<String, Text>,
    /// Outputs that are printed.
    show: Vec<String>,
}

impl Declaration for CommandKeys {
    const NAME: &'static str = "command";
    type Parsed = Command;

    fn parse(self, keys: &mut Keys) -> Option<Command> {
        keys.check_outputs(&self.outputs);
        let unknown = self.show.iter().filter(|name| !self.outputs.contains_key(*name) && keys.is_complete());
        for name in unknown.collect::<Vec<_>>() {
            let message = format!("there is no output `{name}` to show");
            keys.no_such("show", message, name, self.outputs.keys().map(String::as_str));
        }
        match CommandLine::new(&self.run, self.shell, BTreeMap::new(), self.cwd) {
            Ok(line) => Some(Command { line, outputs: self.outputs, show: self.show }),
            Err(message) => {
                keys.wrong("run", message, "");
                None
            }
        }
    }
}

impl StageKind for Command {
    fn answers(&self) -> Answers {
        let outputs = std::iter::once("out".to_string()).chain(self.outputs.keys().cloned()).collect();
        Answers { outputs, ..Answers::default() }
    }

    fn below_out(&self, output: &str, _: &mut Context) -> Option<String> {
        below_own_directory(self.outputs.get(output)?)
    }

    fn merge_tool(&self, stage: &Stage, cx: &mut Context) -> Result<Option<Profdata>, PlanError> {
        let texts = self.line.words.iter().chain(self.line.env.values()).chain(stage.common.env.values());
        let clang = texts.flat_map(|text| &text.pieces).find_map(|piece| match piece {
            Piece::Tool(name) if is_clang(name) => cx.find_tool(name).ok(),
            Piece::Literal(text) => {
                let words = text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '+' | '.' | '/')));
                // A version or a whole path tells that it is not a directory of that name.
                let is_program = |word: &str| word.starts_with('/') || word.ends_with(|c: char| c.is_ascii_digit());
                let named = words.filter(|word| is_clang(word) && is_program(word));
                named.into_iter().find_map(|word| cx.facts.program(word))
            }
            _ => None,
        });
        let tool = clang.and_then(|clang| llvm::profdata_for_clang(cx.facts, &clang).ok());
        Ok(tool.map(|tool| Profdata::Likely(cx.tool_at("llvm-profdata", tool.path))))
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        let command = cx.command_line(&self.line)?;
        cx.step(Step::command("run", command));
        let mut outputs = vec![Output { name: "out".into(), path: Symbol::Out.into(), portable: true, show: false }];
        for (name, text) in &self.outputs {
            let Some(below) = below_own_directory(text) else {
                return Err(cx.invalid(
                    &format!("outputs.{name}"),
                    format!("`{text}` lies elsewhere; an output lies in `${{self.out}}`, or below `${{self.build}}`, from where it is captured"),
                ));
            };
            self.check_overlap(name, &below, text, cx)?;
            let path = Arg::from(Symbol::Out).join(&below);
            if text.pieces.first() == Some(&Piece::SelfBuild) {
                let from = Arg::from(Symbol::Build).join(&below);
                cx.step(Step::op(format!("capture-{name}"), Capture::new(from, path.clone())));
            }
            outputs.push(Output { name: name.clone(), path, portable: true, show: self.show.contains(name) });
        }
        cx.plan.outputs.extend(outputs);
        Ok(())
    }
}

impl Command {
    /// What is captured from `${self.build}` would replace what the command put into `${self.out}`, without a word.
    fn check_overlap(&self, name: &str, below: &str, text: &Text, cx: &Context) -> Result<(), PlanError> {
        let captured = |text: &Text| text.pieces.first() == Some(&Piece::SelfBuild);
        let other = self.outputs.iter().find(|(_, other)| {
            captured(other) != captured(text)
                && below_own_directory(other).is_some_and(|other| {
                    Utf8Path::new(&other).starts_with(below) || Utf8Path::new(below).starts_with(&other)
                })
        });
        match other {
            None => Ok(()),
            Some((other, _)) => Err(cx.invalid(
                &format!("outputs.{name}"),
                format!("stands where output `{other}` does: one is captured from `${{self.build}}`, the other made in `${{self.out}}`; give them different paths"),
            )),
        }
    }
}

/// Whether a program's name is one of clang's: `clang`, `clang++-22`, `/usr/bin/clang-19`.
fn is_clang(name: &str) -> bool {
    let rest = Utf8Path::new(name).file_name().and_then(|name| name.strip_prefix("clang"));
    let number = rest.map(|rest| rest.strip_prefix("++").unwrap_or(rest));
    number.is_some_and(|number| {
        number.is_empty() || number.strip_prefix('-').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    })
}

/// The path of a declared output in the stage's `out`: it is relative, or begins with one of the stage's own directories.
pub(super) fn below_own_directory(text: &Text) -> Option<String> {
    let below = match text.pieces.as_slice() {
        [Piece::Literal(relative)] if !relative.starts_with('/') => relative,
        [Piece::SelfOut | Piece::SelfBuild, Piece::Literal(below)] => below.strip_prefix('/')?,
        _ => return None,
    };
    let clean = below.trim_start_matches("./").trim_end_matches('/');
    let outside = clean.is_empty() || clean.split('/').any(|component| component == "..");
    (!outside).then(|| clean.to_string())
}
