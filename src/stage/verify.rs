//! `kind = "verify"`: commands that must succeed on the result, and print what others print.
//!
//! What they print is the stage's output, one file per test.

use std::collections::BTreeSet;

use super::{Context, PlanError};
use crate::pipeline::CommandLine;
use crate::pipeline::kind::Verify;
use crate::plan::ops::Same;
use crate::plan::{Arg, Command, Output, Step, Symbol};

pub(super) fn plan(kind: &Verify, cx: &mut Context) -> Result<(), PlanError> {
    if kind.tests.is_empty() {
        return Err(cx.invalid("tests", "there is nothing to run: name at least one test"));
    }
    let mut taken = BTreeSet::new();
    for test in &kind.tests {
        let line = CommandLine::new(&test.run, test.shell, test.env.clone(), test.cwd.clone());
        let line = line.map_err(|message| cx.invalid(&format!("tests.{}", test.name), message))?;
        let name = file_name(&test.name, &mut taken);
        let left = Arg::from(Symbol::Out).join(&format!("{name}.txt"));
        let command = printing(&line, &name, &left, cx)?;
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
    let mut unique = plain.to_string();
    let mut number = 1;
    while !taken.insert(unique.clone()) {
        number += 1;
        unique = format!("{plain}-{number}");
    }
    unique
}
