//! What a kind's plan is made with: the stage, the pipeline around it, the facts, and the plan that it fills.
//!
//! Keys that every kind has, tools, checks of profiles. Unaware of kinds.

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};

use super::PlanError;
use crate::facts::Facts;
use crate::pipeline::{CommandLine, OutputRef, Piece, Pipeline, Stage, Supplied, Text, VarValue, leading_output};
use crate::plan::ops::{CC, COMPILERS, CXX, CheckProfile, CheckProfileUse};
use crate::plan::{Advice, Arg, Command, Gap, Late, Part, SHELL, Source, StagePlan, Step, Symbol, ToolUse};
use crate::text::share::Share;
use crate::toolchain::{self, Tool, packages};

/// Of the functions of a program that are in a profile that was gathered elsewhere, how many may have had other code there. A
/// stable release of a compiler changes a few in a hundred.
const MAX_MISMATCHED: &str = "20%";
/// And how many may not be in it at all: other code has other names as well.
const MAX_UNPROFILED: &str = "50%";

/// Characters that can end a path in a line for a shell, or in a list.
pub(super) const ENDS_PATH: [char; 13] = [' ', '\t', '\n', ':', ',', ';', '"', '\'', ')', '&', '|', '<', '>'];

fn is_glob(path: &str) -> bool {
    path.contains(['*', '?'])
}

/// The state of planning one stage.
pub struct Context<'a> {
    pub pipeline: &'a Pipeline,
    pub facts: &'a Facts,
    pub stage: &'a Stage,
    /// What the kind adds to.
    pub plan: StagePlan,
    unavailable: &'a BTreeSet<String>,
    /// The stage's `env`, with what it passes on.
    env: BTreeMap<String, Arg>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        pipeline: &'a Pipeline,
        facts: &'a Facts,
        stage: &'a Stage,
        unavailable: &'a BTreeSet<String>,
    ) -> Context<'a> {
        let plan = StagePlan { stage: stage.common.name.clone(), ..StagePlan::default() };
        Context { pipeline, facts, stage, plan, unavailable, env: BTreeMap::new() }
    }

    /// Plans the keys that every kind has.
    pub(super) fn common(&mut self) -> Result<(), PlanError> {
        let common = &self.stage.common;
        for name in &common.pass_env {
            if let Some(value) = self.facts.env(name) {
                self.plan.passed_env.insert(name.clone(), value);
            }
        }
        for (name, text) in &common.env {
            let value = self.arg(text)?;
            self.env.insert(name.clone(), value);
        }
        for (index, text) in common.inputs.iter().enumerate() {
            let key = format!("inputs[{index}]");
            let arg = self.arg(text)?;
            // An output of another stage is an input by its content already.
            if let Some(path) = self.known_path(&arg) {
                let glob = path.as_str().contains(['*', '?', '[', '{']);
                // Not an error: a stage before may make it.
                if !glob && !self.facts.exists(&path) {
                    self.plan.notes.push(format!("{path}, which `{key}` names, does not exist"));
                }
                self.source(&key, path, glob);
            } else if !arg.parts.iter().any(|part| matches!(part, Part::Late(_))) {
                let message = if arg.parts.iter().any(|part| matches!(part, Part::Symbol(_))) {
                    "an input lies outside of the stage's own directories"
                } else {
                    "a relative path; begin with `${pipeline.dir}` or a variable of type path"
                };
                return Err(self.invalid(&key, message));
            }
        }
        Ok(())
    }

    /// Plans the `check` commands, with what is said when one fails.
    pub(super) fn checks(&mut self, advice: Option<String>) -> Result<(), PlanError> {
        let advice = advice.map(Advice::Sentence);
        for (index, line) in self.stage.common.check.iter().enumerate() {
            let command = Command { advice: advice.clone(), ..self.command_line(line)? };
            self.plan.checks.push(Step::command(format!("check-{}", index + 1), command));
        }
        Ok(())
    }

    /// Adds a step.
    pub fn step(&mut self, step: Step) {
        self.plan.steps.push(step);
    }

    /// An error of this stage at one of its keys.
    pub fn invalid(&self, key: &str, message: impl Into<String>) -> PlanError {
        PlanError::Invalid { stage: self.stage.common.name.clone(), key: key.into(), message: message.into() }
    }

    /// How somebody says another value for a key of the stage: [`Stage::how_to_set`].
    pub fn how_to_set(&self, key: &str, value: &str) -> String {
        self.stage.how_to_set(key, value)
    }

    /// That a stage has no workloads, and what to do: which variables they come from, or `otherwise`.
    pub fn nothing_to_run(&self, otherwise: &str) -> String {
        let origin = &self.stage.origin;
        let mut names: Vec<String> = Vec::new();
        for name in &origin.emptied {
            names.push(name.clone());
            // One whose default is another variable is set by that one, too.
            let default = self.pipeline.vars.get(name).and_then(|variable| variable.default.as_deref());
            names.extend(default.and_then(|text| Text::parse(text).ok()).iter().flat_map(Text::variables));
        }
        if names.is_empty() {
            return format!("there is nothing to run: {otherwise}");
        }
        let quoted = |words: &[String]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
        let off = match origin.off_with.as_slice() {
            [] => String::new(),
            off => format!(", or do without the stage: {}", quoted(off)),
        };
        format!("there is nothing to run: set {}{off}", quoted(&names))
    }

    /// A decision that a reader of the plan should know of.
    pub fn note(&mut self, text: impl Into<String>) {
        self.plan.notes.push(text.into());
    }

    /// Something is missing for the stage to run.
    pub fn gap(&mut self, what: impl Into<String>, remedy: impl Into<String>) {
        let gap = Gap { what: what.into(), remedy: remedy.into() };
        if !self.plan.gaps.contains(&gap) {
            self.plan.gaps.push(gap);
        }
    }

    /// A tree or file that the stage reads. `name` says in fingerprints what it is, wherever it lies.
    pub fn source(&mut self, name: &str, path: Utf8PathBuf, glob: bool) {
        if !self.plan.sources.iter().any(|source| source.path == path && source.glob == glob) {
            self.plan.sources.push(Source { name: name.into(), path, glob, exclude: Vec::new() });
        }
    }

    /// A tree that the stage reads, apart from what some patterns match.
    pub fn source_without(&mut self, name: &str, path: Utf8PathBuf, exclude: &[&str]) {
        self.source(name, path.clone(), false);
        if let Some(source) = self.plan.sources.iter_mut().find(|source| source.path == path && !source.glob) {
            source.exclude = exclude.iter().map(|pattern| (*pattern).to_string()).collect();
        }
    }

    /// The path of an argument that refers to nothing later, and is absolute.
    pub fn known_path(&self, arg: &Arg) -> Option<Utf8PathBuf> {
        let mut path = String::new();
        for part in &arg.parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Place { path: place, .. } | Part::Tool { path: place, .. } => path.push_str(place.as_str()),
                Part::Symbol(_) | Part::Late(_) | Part::Limit(_) | Part::Secret { .. } => return None,
            }
        }
        Utf8Path::new(&path).is_absolute().then(|| path.into())
    }

    /// The first of the alternatives whose stage is available.
    pub fn chosen(&self, candidates: &[OutputRef]) -> Result<OutputRef, PlanError> {
        let usable = candidates.iter().find(|c| !self.unavailable.contains(&c.stage));
        usable.cloned().ok_or_else(|| {
            let references: Vec<String> = candidates.iter().map(OutputRef::to_string).collect();
            PlanError::Blocked {
                stage: self.stage.common.name.clone(),
                reference: format!("${{{}}}", references.join(" | ")),
                by: candidates.last().map(|c| c.stage.clone()).unwrap_or_default(),
            }
        })
    }

    /// The stage whose output the text begins with, fallbacks chosen: which build is this?
    pub fn producer(&self, text: &Text) -> Result<Option<&'a Stage>, PlanError> {
        match leading_output(text) {
            Some(candidates) => Ok(self.pipeline.stage(&self.chosen(candidates)?.stage)),
            None => Ok(None),
        }
    }

    /// The build that a gather stage runs; where its profile is supplied, the one that is declared, which is off. None for other
    /// stages, and where it is none of a stage.
    pub fn trained_on(&self, gathering: &'a Stage) -> Result<Option<&'a Stage>, PlanError> {
        let Some(gathers) = &gathering.kind.answers.gathers else { return Ok(None) };
        if gathering.supplied.is_none() {
            return self.producer(&gathers.instrumented);
        }
        let builds = leading_output(&gathers.instrumented);
        Ok(builds.and_then(|builds| self.pipeline.stage(&builds.first()?.stage)))
    }

    /// A text as an argument. Files named through `${pipeline.dir}` become sources of the stage.
    pub fn arg(&mut self, text: &Text) -> Result<Arg, PlanError> {
        let mut arg = Arg::default();
        for (index, piece) in text.pieces.iter().enumerate() {
            let part = match piece {
                Piece::Literal(text) => Part::Literal(text.clone()),
                Piece::Var(name) => self.variable(name)?,
                Piece::Outputs(candidates) => Part::Late(Late::Path(self.chosen(candidates)?)),
                Piece::SelfOut => Part::Symbol(Symbol::Out),
                Piece::SelfBuild => Part::Symbol(Symbol::Build),
                Piece::SelfCompiler { plus } => {
                    arg = arg.with(self.own_compiler(*plus)?);
                    continue;
                }
                Piece::Jobs => Part::Symbol(Symbol::Jobs),
                Piece::Host => Part::Literal(self.facts.host()),
                Piece::Tool(name) => {
                    arg = arg.with(self.tool(name));
                    continue;
                }
                Piece::PipelineDir(file) => {
                    let path = self.pipeline.dirs.get(*file).cloned().unwrap_or_default();
                    self.pipeline_file(&path, text.pieces.get(index + 1), text.pieces.len() <= index + 2);
                    Part::Place { name: "pipeline.dir".into(), path }
                }
            };
            arg.parts.push(part);
        }
        Ok(arg)
    }

    /// The program that compiles C, or C++, with the flags of the stage.
    pub fn own_compiler(&self, plus: bool) -> Result<Arg, PlanError> {
        let name = if plus { CXX } else { CC };
        match self.stage.kind.answers.compilers {
            true => Ok(Arg::from(Symbol::Scratch).join(COMPILERS).join(name)),
            false => Err(self.invalid("kind", "only stages of kind `command` have `${self.cc}` and `${self.cxx}`")),
        }
    }

    /// What stands behind `${pipeline.dir}` up to the end of the path is a file that the stage reads, or a pattern. In a line for
    /// a shell the path may end at any character that separates words there, or go on behind it: whatever exists counts.
    fn pipeline_file(&mut self, dir: &Utf8Path, behind: Option<&Piece>, last: bool) {
        let text = match behind {
            Some(Piece::Literal(text)) if text.starts_with('/') => text.as_str(),
            _ => "",
        };
        let ends = text.char_indices().filter(|(_, c)| ENDS_PATH.contains(c)).map(|(at, _)| at).chain([text.len()]);
        let mut paths: Vec<&str> = ends.map(|at| &text[..at]).collect();
        let shortest = paths[0];
        if shortest.len() == text.len() && !last {
            // What follows is not known here: the whole directory.
            paths = vec![&text[..text.rfind('/').unwrap_or(0)]];
        } else {
            paths.retain(|path| *path == shortest || self.facts.exists(&dir.join(path.trim_matches('/'))));
            if paths.len() > 1 && !self.facts.exists(&dir.join(shortest.trim_matches('/'))) && !is_glob(shortest) {
                paths.remove(0);
            }
        }
        for below in paths {
            let path = if below.is_empty() { dir.to_owned() } else { dir.join(below.trim_matches('/')) };
            let name = format!("pipeline.dir{}", below.trim_end_matches('/'));
            self.source(&name, path, is_glob(below));
        }
    }

    fn variable(&self, name: &str) -> Result<Part, PlanError> {
        let Some(variable) = self.pipeline.vars.get(name) else {
            return Err(self.invalid(name, "no such variable"));
        };
        let value = match &variable.value {
            VarValue::Path(path) if !variable.secret => {
                return Ok(Part::Place { name: format!("variable {name}"), path: path.clone() });
            }
            value => value.to_string(),
        };
        Ok(if variable.secret { Part::Secret { name: name.into(), value } } else { Part::Literal(value) })
    }

    /// A command as declared: its first word may be the name of a tool in `[tools]`; the stage's environment is added.
    pub fn command_line(&mut self, line: &CommandLine) -> Result<Command, PlanError> {
        let mut argv = Vec::new();
        if line.shell {
            argv.extend(SHELL.map(Arg::from));
        }
        for word in &line.words {
            argv.push(Arg { script: line.shell, ..self.arg(word)? });
        }
        if !line.shell {
            let program = line.words.first().and_then(Text::as_literal);
            if let Some(name) = program.filter(|name| self.pipeline.tools.contains_key(name.as_ref())) {
                argv[0] = self.tool(&name);
            }
        }
        let mut command = self.command(argv);
        for (name, text) in &line.env {
            let value = self.arg(text)?;
            command.env.insert(name.clone(), value);
        }
        self.plain_program(&command);
        if let Some(cwd) = &line.cwd {
            command.cwd = self.arg(cwd)?;
            self.check_cwd(&command.cwd)?;
            // Only directories of optbuild's own are made: what is mistyped would be trained in, with none of its files.
            let missing = self.known_path(&command.cwd).filter(|path| !self.facts.exists(path));
            if let Some(path) = missing {
                self.gap(
                    format!("the directory {path}, in which commands are to run, does not exist"),
                    "make it, or name another one (`cwd`, or the variable that it comes from)",
                );
            }
        }
        Ok(command)
    }

    /// optbuild makes the working directory where it lies in one of its own, and nowhere else.
    fn check_cwd(&self, cwd: &Arg) -> Result<(), PlanError> {
        let own = matches!(cwd.parts.first(), Some(Part::Symbol(_) | Part::Late(_)));
        let leaves = |part: &Part| matches!(part, Part::Literal(text) if text.split('/').any(|name| name == ".."));
        if own && cwd.parts.iter().any(leaves) {
            let message =
                format!("`{cwd}` leads out of the directory that it begins with: name the directory that is meant");
            return Err(self.invalid("cwd", message));
        }
        Ok(())
    }

    /// A command in `${self.build}` with the stage's environment.
    pub fn command(&self, argv: Vec<Arg>) -> Command {
        let passed = self.plan.passed_env.iter().map(|(name, value)| (name.clone(), Arg::from(value.as_str())));
        let mut env: BTreeMap<String, Arg> = passed.collect();
        env.extend(self.env.clone());
        Command { argv, env, cwd: Symbol::Build.into(), ..Command::default() }
    }
}

/// The steps with which a build checks its profile, before and after it is used.
impl<'a> Context<'a> {
    /// Adds the step that refuses a profile which is empty, or which the compiler, of this LLVM, cannot read. It stands first:
    /// compilers themselves at most warn, and build without the profile.
    ///
    /// With the llvm-profdata that belongs to the compiler it is also checked that anything was counted.
    ///
    /// # Errors
    /// The profile comes out of a bundle, and the compiler is known not to read it.
    pub fn check_profile(
        &mut self,
        profile: Arg,
        compiler: &str,
        llvm_major: Option<u64>,
        tool: Option<Tool>,
    ) -> Result<(), PlanError> {
        let newest = llvm_major.and_then(toolchain::formats::indexed_version);
        if let Some(Supplied { version: Some(version), role, bundle, .. }) = self.supplied(&profile)
            && let Some(newest) = newest.filter(|newest| u64::from(*version) > *newest)
        {
            return Err(self.invalid(
                "pgo",
                format!(
                    "the profile with role `{role}` in {bundle} has the indexed version {version}, and {compiler} reads \
                     versions up to {newest}: use a newer compiler, or a bundle made with its LLVM"
                ),
            ));
        }
        if newest.is_none() {
            self.note(format!("which profiles {compiler} reads is not known, so their version is not checked"));
        }
        let tool = tool.map(|tool| self.tool_at("llvm-profdata", tool.path));
        let max_version = newest.map(|newest| newest.to_string().into());
        let check = CheckProfile { profile, compiler: compiler.into(), max_version, tool };
        self.step(Step::op("check-profile", check));
        Ok(())
    }

    /// What stands in for the gather stage whose output an argument is.
    pub fn supplied(&self, profile: &Arg) -> Option<&'a Supplied> {
        let stage = profile.parts.iter().find_map(|part| match part {
            Part::Late(Late::Path(output)) => self.pipeline.stage(&output.stage),
            _ => None,
        });
        stage?.supplied.as_ref()
    }

    /// Adds the step that counts what the compiler did not find in a profile, and refuses a build that found hardly anything. It
    /// stands last: it looks at what was built. `limit` is the stage's `max-unprofiled`.
    pub fn check_profile_use(&mut self, check: CheckProfileUse, limit: Option<&Text>) -> Result<(), PlanError> {
        let mut limit = limit.map(ToString::to_string);
        if let Some(Err(message)) = limit.as_deref().map(str::parse::<Share>) {
            return Err(self.invalid("max-unprofiled", message));
        }
        let name = |what: &str| match &check.component {
            Some(component) => format!("{what}-{component}"),
            None => what.to_string(),
        };
        match self.supplied(&check.profile) {
            Some(supplied) if supplied.allow_stale => limit = Some("100%".into()),
            Some(_) => {
                let (max_unprofiled, max_mismatched) = (Some(MAX_UNPROFILED.into()), Some(MAX_MISMATCHED.into()));
                let origin = CheckProfileUse { max_unprofiled, max_mismatched, ..check.clone() };
                self.plan.proofs.push(Step::op(name("check-origin"), origin));
            }
            None => {}
        }
        let step = name("check-profile-use");
        self.step(Step::op(step, CheckProfileUse { max_unprofiled: limit.map(Arg::from), ..check }));
        Ok(())
    }

    /// The `llvm-profdata` that reads what a build got, for [`Context::check_profile_use`].
    pub fn profile_reader(&mut self, tool: Option<Tool>) -> Option<Arg> {
        if tool.is_none() {
            self.note("without an llvm-profdata of the compiler's LLVM, functions without a profile are not counted");
        }
        tool.map(|tool| self.tool_at("llvm-profdata", tool.path))
    }
}

/// Tools, and programs that stages name: where they are, and that they belong to what a stage is made from.
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
            missing => self.tool_or_gap(name, missing),
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

    /// A tool that was looked for. If it is missing, the plan gets the gap and the argument is the bare name.
    pub fn tool_or_gap(&mut self, name: &str, found: Result<Utf8PathBuf, Gap>) -> Arg {
        match found {
            Ok(path) => self.tool_at(name, path),
            Err(gap) => {
                self.gap(gap.what, gap.remedy);
                name.into()
            }
        }
    }

    /// Where a tool is, without taking it into the plan.
    pub fn find_tool(&self, name: &str) -> Result<Utf8PathBuf, Gap> {
        toolchain::locate(self.facts, self.pipeline, name)
    }
}
