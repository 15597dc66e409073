//! `kind = "command"`: any program, and what it made.

use camino::Utf8Path;

use super::{Context, PlanError};
use crate::pipeline::kind::Command;
use crate::pipeline::{CommandLine, Piece, Text};
use crate::plan::ops::Capture;
use crate::plan::{Arg, Output, Step, Symbol};

pub(super) fn plan(kind: &Command, cx: &mut Context) -> Result<(), PlanError> {
    let line = CommandLine::new(&kind.run, kind.shell, Default::default(), kind.cwd.clone());
    let line = line.map_err(|message| cx.invalid("run", message))?;
    let command = cx.command_line(&line)?;
    cx.step(Step::command("run", command));

    for name in &kind.show {
        if !kind.outputs.contains_key(name) {
            return Err(cx.invalid("show", format!("there is no output `{name}`; name one of `outputs`")));
        }
    }
    let mut outputs = vec![Output { name: "out".into(), path: Symbol::Out.into(), portable: true, show: false }];
    for (name, text) in &kind.outputs {
        let Some(below) = below_own_directory(text) else {
            return Err(cx.invalid(
                &format!("outputs.{name}"),
                format!("`{text}` lies elsewhere; an output lies in `${{self.out}}`, or below `${{self.build}}`, from where it is captured"),
            ));
        };
        overlapping(kind, name, &below, text, cx)?;
        let path = Arg::from(Symbol::Out).join(&below);
        if text.pieces.first() == Some(&Piece::SelfBuild) {
            let from = Arg::from(Symbol::Build).join(&below);
            cx.step(Step::op(format!("capture-{name}"), Capture::new(from, path.clone())));
        }
        outputs.push(Output { name: name.clone(), path, portable: true, show: kind.show.contains(name) });
    }
    cx.plan.outputs.extend(outputs);
    Ok(())
}

/// What is captured from `${self.build}` would replace what the command put into `${self.out}`, without a word.
fn overlapping(kind: &Command, name: &str, below: &str, text: &Text, cx: &Context) -> Result<(), PlanError> {
    let captured = |text: &Text| text.pieces.first() == Some(&Piece::SelfBuild);
    let other = kind.outputs.iter().find(|(_, other)| {
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
