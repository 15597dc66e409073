//! Tools, and programs that stages name: where they are, and that they belong to what a stage is made from.

use camino::Utf8PathBuf;

use super::Context;
use crate::pipeline::{Piece, Text};
use crate::plan::{Arg, Command, Gap, Part, ToolUse};
use crate::stage::PlanError;
use crate::toolchain::{self, packages};

impl Context<'_> {
    /// A tool of the pipeline, or one that the kind needs, by its usual name (`clang`, `llvm-bolt`). If it is missing, the plan
    /// gets a gap and the argument is the bare name.
    pub fn tool(&mut self, name: &str) -> Arg {
        match self.find_tool(name) {
            Ok(path) => self.tool_at(name, path),
            // What an optional tool is for, the pipeline can do without: its commands look for it themselves.
            Err(_) if self.pipeline.tools.get(name).is_some_and(|tool| tool.optional) => {
                self.note(format!("the optional tool `{name}` is not there"));
                name.into()
            }
            Err(gap) => {
                if !self.plan.gaps.contains(&gap) {
                    self.plan.gaps.push(gap);
                }
                name.into()
            }
        }
    }

    /// A program that a key names: a tool by its name, a path, or one that another stage made.
    pub fn program(&mut self, text: &Text) -> Result<Arg, PlanError> {
        if let Some(name) = text.as_literal().filter(|name| !name.contains('/')) {
            return Ok(self.tool(&name));
        }
        let arg = self.arg(text)?;
        let Some(path) = self.known_path(&arg) else { return Ok(arg) };
        if !self.facts.exists(&path) {
            let another = match text.pieces.as_slice() {
                [Piece::Var(name)] => format!("`--set {name}=PROGRAM`"),
                _ => "name another program".into(),
            };
            self.gap(format!("{path} does not exist"), format!("install it, or {another}"));
            return Ok(arg);
        }
        let name = path.file_name().unwrap_or(path.as_str()).to_owned();
        Ok(self.tool_at(&name, path))
    }

    /// A program that others start by its name, for which the plan has a gap where it is not in PATH. It is no input of the stage.
    pub fn needs_in_path(&mut self, name: &str, what_for: &str) {
        if self.facts.program(name).is_none() {
            let package = packages::package(packages::Manager::of(self.facts), name, 0);
            let remedy = packages::remedy(self.facts, name, package.as_deref());
            self.gap(format!("`{name}` is not in PATH, {what_for}"), remedy);
        }
    }

    /// A program that is not one of the tools is an input by its content: nobody knows whether it may be asked for its version.
    pub(super) fn plain_program(&mut self, command: &Command) {
        let Some(program) = command.argv.first() else { return };
        let path = match program.parts.as_slice() {
            // Found in the PATH of the command, which may have what another stage makes.
            [Part::Literal(name)] if !name.contains('/') => {
                if command.env.contains_key("PATH") {
                    return;
                }
                self.facts.program(name)
            }
            [Part::Tool { .. }] => return,
            _ => self.known_path(program),
        };
        if let Some(path) = path.and_then(|path| self.facts.real_path(&path)) {
            let name = path.file_name().unwrap_or_default().to_owned();
            self.source(&format!("program {name}"), path, false);
        }
    }

    /// A tool that the plan can do without.
    pub fn optional_tool(&mut self, name: &str) -> Option<Arg> {
        let path = self.find_tool(name).ok()?;
        Some(self.tool_at(name, path))
    }

    /// A tool whose path is known.
    pub fn tool_at(&mut self, name: &str, path: Utf8PathBuf) -> Arg {
        let tool = ToolUse { name: name.into(), path: path.clone() };
        if !self.plan.tools.contains(&tool) {
            self.plan.tools.push(tool);
        }
        Arg::part(Part::Tool { name: name.into(), path })
    }

    /// Where a tool is, without taking it into the plan.
    pub fn find_tool(&self, name: &str) -> Result<Utf8PathBuf, Gap> {
        toolchain::locate(self.facts, self.pipeline, name)
    }
}
