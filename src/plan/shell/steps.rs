//! Stages and their steps as lines of bash.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::prelude::one_line;
use super::words::{Words, quoted, unique};
use crate::pipeline::Pipeline;
use crate::plan::{Action, Command, Op, Pool, StagePlan, Step};

pub(super) fn stage(pipeline: &Pipeline, plan: &StagePlan, words: &Words) -> String {
    let declared = pipeline.stage(&plan.stage);
    let mut text = String::new();
    let description = declared.and_then(|stage| stage.common.description.as_deref()).map(one_line);
    let heading = match description {
        Some(description) => format!("# {}: {description}", plan.stage),
        None => format!("# {}", plan.stage),
    };
    text.push_str(&heading);
    text.push('\n');
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
    let mut text = format!("inside {}\nrun", words.word(&command.cwd));
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
        text.push_str(&command(&workload.command, words));
        text.push_str(if workload.may_fail { " || echo 'it may fail; its profiles count' >&2\n" } else { "\n" });
        // A script merges after each workload what a companion merges meanwhile.
        let instead = pool.companion.iter().flat_map(|companion| &companion.instead);
        for step in pool.commit.iter().chain(instead) {
            text.push_str(&self::step(step, words));
        }
        // The attempt's working directory may be the current one. A name of several parts is one of a directory here.
        let name = unique(workload.name.replace('/', "_"), &mut taken);
        let _ = writeln!(text, "cd \"$WORK\"; mv \"$attempt\" \"$committed\"/{}", quoted(&name));
    }
    text
}
