//! Arguments of a plan become strings when a step starts: places and late values get their paths.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

use super::control::GRACE;
use super::process::Launch;
use crate::pipeline::OutputRef;
use crate::plan::{Arg, Command, Filling, Late, Part, Symbol};
use crate::text::script::Unfit;
use crate::text::shell;

/// What stands for the places of a plan in one stage, or in one attempt of a workload.
#[derive(Debug, Clone, Default)]
pub struct Resolver {
    pub symbols: BTreeMap<Symbol, String>,
    /// Outputs of the stages before: path and hash.
    pub outputs: BTreeMap<OutputRef, (Utf8PathBuf, String)>,
    /// What every command's environment begins with.
    pub base_env: BTreeMap<String, String>,
}

/// A value that is not there although the plan promised it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    #[error("`{0}` has no value in this step")]
    Symbol(&'static str),
    #[error("`{0}` has not been made")]
    Output(OutputRef),
    #[error(transparent)]
    Script(#[from] Unfit),
}

impl Resolver {
    /// The same with a place replaced.
    #[must_use]
    pub fn with(mut self, symbol: Symbol, value: impl Into<String>) -> Resolver {
        self.symbols.insert(symbol, value.into());
        self
    }

    /// The argument as a command gets it.
    pub fn text(&self, arg: &Arg) -> Result<String, ResolveError> {
        self.join(arg, |value| Filling::Value(value.to_owned()))
    }

    /// The argument as it may be shown and logged.
    pub fn shown(&self, arg: &Arg) -> Result<String, ResolveError> {
        self.join(arg, |_| Filling::Mark("***".to_owned()))
    }

    fn join(&self, arg: &Arg, secret: impl Fn(&str) -> Filling) -> Result<String, ResolveError> {
        arg.fill(|part| {
            Ok(Filling::Value(match part {
                Part::Literal(text) | Part::Limit(text) => text.clone(),
                Part::Symbol(symbol) => self.symbols.get(symbol).ok_or(ResolveError::Symbol(symbol.name()))?.clone(),
                Part::Tool { path, .. } | Part::Place { path, .. } => path.to_string(),
                Part::Late(Late::Path(output)) => self.output(output)?.0.to_string(),
                Part::Late(Late::Hash(output)) => self.output(output)?.1.clone(),
                Part::Secret { value, .. } => return Ok(secret(value)),
            }))
        })
    }

    fn output(&self, output: &OutputRef) -> Result<&(Utf8PathBuf, String), ResolveError> {
        self.outputs.get(output).ok_or_else(|| ResolveError::Output(output.clone()))
    }

    /// A command ready to start. `log` gets its standard error, and its standard output where the plan names no file for it.
    pub fn launch(&self, command: &Command, log: &Utf8Path) -> Result<Launch, ResolveError> {
        let mut env = self.base_env.clone();
        for (name, value) in &command.env {
            env.insert(name.clone(), self.text(value)?);
        }
        let stdout = match &command.stdout {
            Some(file) => self.text(file)?.into(),
            None => log.to_owned(),
        };
        Ok(Launch {
            argv: command.argv.iter().map(|arg| self.text(arg)).collect::<Result<_, _>>()?,
            env,
            cwd: self.text(&command.cwd)?.into(),
            stdin: None,
            stdout,
            stderr: log.to_owned(),
            grace: GRACE,
            census: None,
            leave: command.leave,
        })
    }

    /// A line that a command printed, as it may be shown and logged.
    pub fn without_secrets(command: &Command, line: String) -> String {
        let args = command.argv.iter().chain(command.env.values());
        let secrets = args.flat_map(|arg| &arg.parts).filter_map(|part| match part {
            Part::Secret { value, .. } if !value.is_empty() => Some(value),
            _ => None,
        });
        secrets.fold(line, |line, secret| line.replace(secret.as_str(), "***"))
    }

    /// The command as a line to paste into a shell. Secrets are hidden.
    pub fn pasteable(&self, command: &Command) -> Result<String, ResolveError> {
        let quoted = |text: String| shell::quote(&text);
        let mut words = Vec::new();
        for (name, value) in &command.env {
            words.push(format!("{name}={}", quoted(self.shown(value)?)));
        }
        for arg in &command.argv {
            words.push(quoted(self.shown(arg)?));
        }
        if let Some(stdout) = &command.stdout {
            words.push(format!("> {}", quoted(self.shown(stdout)?)));
        }
        Ok(format!("cd {} && {}", quoted(self.shown(&command.cwd)?), words.join(" ")))
    }
}

/// Where operations run: they take absolute paths, so any directory of the stage will do.
pub(super) fn scratch(resolver: &Resolver) -> Arg {
    match resolver.symbols.get(&Symbol::Scratch) {
        Some(path) => path.as_str().into(),
        None => "/".into(),
    }
}
