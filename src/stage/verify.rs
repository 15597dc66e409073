//! `kind = "verify"`: commands that must succeed on the result, and print what others print.
//!
//! What they print is the stage's output, one file per test.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Declaration, PlanError, StageKind};
use crate::pipeline::{Answers, CommandLine, Keys, Text, Words, value};
use crate::plan::ops::Same;
use crate::plan::{Arg, Command, Output, Step, Symbol};

/// Runs commands that must succeed on the result.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct VerifyKeys {
    /// What is run. At least one.
    pub tests: Vec<Test>,
}

/// One command that must succeed.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Test {
    /// What it is called. With `for`, the values are added to it: `name[level=3]`.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The command: an array of words, or a string that is split into words without a shell.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    pub shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Where it runs. Default: an empty directory.
    pub cwd: Option<Text>,
    /// How long it may run. Default: the stage's.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// Another command, usually the same on another build. Both must succeed and print the same.
    pub same_as: Option<CommandLine>,
    /// Runs the test once for every combination of values: `for = { level = ["0", "3"] }` and `${level}` in the command.
    // Expanded when the file is read; here so that the schema has it.
    #[serde(default, rename = "for")]
    pub matrix: BTreeMap<String, Vec<Text>>,
    /// Templates that it is laid on, as a stage can be.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<crate::pipeline::OneOrMore>")]
    pub like: Vec<String>,
}

/// Commands that must succeed.
#[derive(Debug)]
pub struct Verify {
    tests: Vec<(Test, CommandLine)>,
}

impl Declaration for VerifyKeys {
    const NAME: &'static str = "verify";
    type Parsed = Verify;

    fn parse(self, keys: &mut Keys) -> Option<Verify> {
        keys.check_names("tests", "test", self.tests.iter().map(|test| test.name.as_str()))?;
        let mut tests = Vec::new();
        for (index, test) in self.tests.into_iter().enumerate() {
            let line = (test.run.clone(), test.shell, test.env.clone(), test.cwd.clone());
            tests.extend(keys.command_of("tests", index, line).map(|line| (test, line)));
        }
        Some(Verify { tests })
    }
}

impl StageKind for Verify {
    fn answers(&self) -> Answers {
        Answers { outputs: vec!["out".into()], ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        if self.tests.is_empty() {
            return Err(cx.invalid("tests", "there is nothing to run: name at least one test"));
        }
        let mut taken = BTreeSet::new();
        for (test, line) in &self.tests {
            let name = file_name(&test.name, &mut taken);
            let left = Arg::from(Symbol::Out).join(&format!("{name}.txt"));
            let command = printing(line, &name, &left, cx)?;
            cx.step(Step::command(name.clone(), Command { timeout: test.timeout, ..command }));
            if let Some(line) = &test.same_as {
                let base = file_name(&format!("{name}.base"), &mut taken);
                let right = Arg::from(Symbol::Out).join(&format!("{base}.txt"));
                let command = printing(line, &base, &right, cx)?;
                cx.step(Step::command(base, Command { timeout: test.timeout, ..command }));
                cx.step(Step::op(format!("{name}.same"), Same { left, right, label: test.name.as_str().into() }));
            }
        }
        cx.plan.outputs.push(Output { name: "out".into(), path: Symbol::Out.into(), portable: true, show: false });
        Ok(())
    }
}

fn printing(line: &CommandLine, name: &str, stdout: &Arg, cx: &mut Context) -> Result<Command, PlanError> {
    let command = cx.command_line(line)?;
    let cwd = if line.cwd.is_none() { Arg::from(Symbol::Scratch).join(name) } else { command.cwd.clone() };
    Ok(Command { cwd, stdout: Some(stdout.clone()), ..command })
}

/// A test's name as a file can have it, different for each test.
fn file_name(name: &str, taken: &mut BTreeSet<String>) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || "._-+=,@[]".contains(c) { c } else { '-' };
    let plain: String = name.chars().map(fit).collect();
    let plain = plain.trim_start_matches('.');
    let plain = if plain.is_empty() { "test" } else { plain };
    crate::text::unique(plain, "-", taken)
}
