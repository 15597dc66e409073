//! What is said of a command that failed, besides what it printed itself: the plan has a sentence, or an operation that finds one.
//!
//! Unaware of what the commands are for.

use camino::Utf8Path;

use super::resolve::{self, Resolver};
use super::step::{Around, StepError, StepRunner};
use crate::event::Failure;
use crate::names::StepId;
use crate::plan::{Action, Advice, Command, Op, Step};

/// What is read of an operation's log.
const LONGEST: usize = 16 * 1024;

impl StepRunner {
    /// The failure of a step with what the plan advises.
    pub(super) fn advised(&self, id: &StepId, step: &Step, mut failure: Failure, resolver: &Resolver) -> StepError {
        let advice = match &step.action {
            Action::Command(command) => command.advice.as_ref(),
            Action::Op(_) | Action::Pool(_) => None,
        };
        // What the machine lacks is said already.
        let said = match advice.filter(|_| !failure.environment) {
            None => String::new(),
            Some(Advice::Sentence(sentence)) => sentence.clone(),
            Some(Advice::From(op)) => {
                let said = self.said(id, op, resolver);
                if !said.is_empty() && !failure.error.is_empty() {
                    failure.tail.clear();
                }
                said
            }
        };
        if !said.is_empty() {
            failure.what = format!("{}; {said}", failure.what);
        }
        failure.into()
    }

    /// What an operation says. Nothing if it fails: the command's failure is the one that counts.
    fn said(&self, id: &StepId, op: &Op, resolver: &Resolver) -> String {
        let name = StepId::step(&format!("{id}-advice"));
        let command = Command { argv: op.command_line(), cwd: resolve::scratch(resolver), ..Command::default() };
        let Ok(begun) = self.begin(&name, &command, &command, resolver, Around::default()) else {
            return String::new();
        };
        let log = begun.log.clone();
        match self.end(&name, &command, begun, |_| false) {
            Ok(()) => one_line(&log),
            Err(_) => String::new(),
        }
    }
}

/// What a log says, in one line.
fn one_line(log: &Utf8Path) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST)]);
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
