//! The vocabulary between stage kinds and the runner: what a stage will do, as data.
//!
//! A plan can be printed, written as a shell script, hashed, and run here or elsewhere. It knows neither kinds nor how
//! anything is executed.

pub mod census;
pub mod companion;
pub mod ops;
pub mod shell;
pub mod unfit;

use std::collections::BTreeMap;
use std::time::Duration;

use camino::Utf8PathBuf;

use crate::pipeline::{OutputRef, own_name};
use crate::text::script::{self, Piece};

pub use companion::Companion;
pub use ops::Op;
pub use unfit::Unfit;

/// Why a stage cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It needs an output of a stage that is off or has failed, and names no other.
    #[error("stage `{stage}` needs `{reference}`, and stage `{by}` has no outputs")]
    Blocked { stage: String, reference: String, by: String },
    /// What it declares makes no sense together, or with what is known of the machine.
    #[error("stage `{stage}`, `{key}`: {message}")]
    Invalid { stage: String, key: String, message: String },
}

/// What a stage will do.
#[derive(Debug, Clone, Default)]
pub struct StagePlan {
    pub stage: String,
    /// Checks of what the stage is made from, before its steps. They change nothing of what is made, so fingerprints are without
    /// them, and scripts too.
    pub guards: Vec<Step>,
    /// In order; the first that fails ends the stage.
    pub steps: Vec<Step>,
    /// The same as guards, after the steps.
    pub proofs: Vec<Step>,
    /// `check`: run after the steps, before the record is written.
    pub checks: Vec<Step>,
    /// What exists when the steps have succeeded.
    pub outputs: Vec<Output>,
    /// Trees and files that the steps read, besides outputs of other stages.
    pub sources: Vec<Source>,
    /// Files, in make's form, in which the build tool lists what it has read of the sources. In no fingerprint.
    pub lists: Vec<Arg>,
    /// Programs that the steps run.
    pub tools: Vec<ToolUse>,
    /// Variables of the caller's environment that the steps see, with their values.
    pub passed_env: BTreeMap<String, String>,
    /// What is missing for it to run: an error only in `run`.
    pub gaps: Vec<Gap>,
    /// Names that the state directory must not have: they become gaps where it has them.
    pub unfit: Vec<Unfit>,
    /// Decisions that a reader of the plan should know of.
    pub notes: Vec<String>,
    /// How many slots the stage takes when it does not say; none: all.
    pub default_jobs: Option<usize>,
}

/// One thing that a stage does.
#[derive(Debug, Clone)]
pub struct Step {
    /// Unique in its stage, short, fit for a file name: `configure`, `build`, `merge`.
    pub name: String,
    pub action: Action,
}

/// The forms of a step.
#[derive(Debug, Clone)]
pub enum Action {
    /// A program.
    Command(Command),
    /// Workloads, several at a time, each of which counts only when it succeeded.
    Pool(Pool),
    /// One of optbuild's own operations, run as a child process.
    Op(Op),
}

/// What runs a script, which is the next word.
pub const SHELL: [&str; 3] = ["sh", "-eu", "-c"];

/// A command.
#[derive(Debug, Clone, Default)]
pub struct Command {
    pub argv: Vec<Arg>,
    /// On top of the base environment (see `run::environment`).
    pub env: BTreeMap<String, Arg>,
    /// Made if it does not exist and lies in the state directory.
    pub cwd: Arg,
    /// Where standard output goes; its own log otherwise.
    pub stdout: Option<Arg>,
    /// How long it may run; the stage's otherwise.
    pub timeout: Option<Duration>,
    /// Processes that it leaves behind have something to finish: how long they may take, before they are ended.
    pub leave: Option<Duration>,
    /// What is counted in its log, and told once.
    pub known: Vec<KnownLine>,
    /// What is said when it fails, besides its output. In no fingerprint.
    pub advice: Option<Advice>,
}

/// Something that a program may write to its log by the thousand, and that nobody would see there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownLine {
    /// A part of the line.
    pub text: &'static str,
    /// What it means, and what to do about it.
    pub remedy: &'static str,
}

/// What helps when a command has failed.
#[derive(Debug, Clone)]
pub enum Advice {
    /// A sentence.
    Sentence(String),
    /// What this operation writes to its standard error: a sentence, or nothing. It looks at the log of the command, and where it has
    /// something to say it speaks for the last lines of that.
    From(Op),
}

/// Workloads with a commit rule: each attempt of a workload runs in a directory of its own ([`Symbol::Attempt`]); after the
/// workload succeeded the `commit` steps run there, and then the attempt is the workload's result, in one journaled rename to
/// [`Symbol::Committed`]. Any other attempt is thrown away. A committed workload is not run again when the stage resumes.
#[derive(Debug, Clone)]
pub struct Pool {
    pub workloads: Vec<Workload>,
    /// At once, at most; also bounded by the slots that the stage has.
    pub jobs: usize,
    /// Run in every attempt before the workload, and after it succeeded.
    pub prepare: Vec<Step>,
    pub commit: Vec<Step>,
    /// Runs beside the workloads.
    pub companion: Option<Companion>,
    /// Of the directory of an attempt that failed: what is kept for people to look at.
    pub kept: Option<String>,
}

/// In the environment of the operations after a workload: the workload's command line, for what they have to say of it.
pub const RAN: &str = "OPTBUILD_RAN";

/// The same with the name of the workload.
pub const WORKLOAD: &str = "OPTBUILD_WORKLOAD";

/// One command of a [`Pool`].
#[derive(Debug, Clone)]
pub struct Workload {
    /// Unique in its pool.
    pub name: String,
    pub command: Command,
    /// A failing attempt counts as well.
    pub may_fail: bool,
    /// With which others it does not run at the same time.
    pub apart: Apart,
    /// What a person runs; the command waits until that is done, which this file says.
    pub by_hand: Option<(Command, Arg)>,
}

/// With which others of its pool a workload does not run at the same time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Apart {
    #[default]
    None,
    /// With those that have the same lock.
    Lock(String),
    All,
}

/// A named output of a stage.
#[derive(Debug, Clone)]
pub struct Output {
    pub name: String,
    /// Where it stands: in `${self.out}`. Where its name holds the hash of its content, the last component is a pattern with one
    /// `*` that exactly one file matches when the steps have succeeded; see [`pattern::resolve`].
    pub path: Arg,
    /// May leave the machine, or be moved: no path of this build is compiled in.
    pub portable: bool,
    /// A text file that the summary of a run prints.
    pub show: bool,
}

/// Something outside of the state directory that a stage reads.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// How fingerprints and explanations call it, independent of where it lies: `source`, `inputs[0]`.
    pub name: String,
    /// A file, a directory, or (with `glob`) a pattern. Absolute.
    pub path: Utf8PathBuf,
    pub glob: bool,
    /// Of a directory: patterns, relative to it, of what is not read. `*` does not match `/`.
    pub exclude: Vec<String>,
}

/// A program that a stage runs.
#[derive(Debug, Clone, PartialEq)]
pub struct ToolUse {
    pub name: String,
    pub path: Utf8PathBuf,
}

/// Something that is missing on this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gap {
    /// A sentence: `llvm-bolt is not installed`.
    pub what: String,
    /// What to do about it.
    pub remedy: String,
}

impl Step {
    /// A step that runs a command.
    pub fn command(name: impl Into<String>, command: Command) -> Step {
        Step { name: name.into(), action: Action::Command(command) }
    }

    /// A step that is one of optbuild's operations.
    pub fn op(name: impl Into<String>, op: impl Into<Op>) -> Step {
        Step { name: name.into(), action: Action::Op(op.into()) }
    }
}

impl StagePlan {
    /// Calls `visit` with every argument, working directory and environment value of the plan.
    pub fn each_arg<'a>(&'a self, visit: &mut dyn FnMut(&'a Arg)) {
        for step in self.all_steps() {
            step.each_arg(visit);
        }
        for output in &self.outputs {
            visit(&output.path);
        }
    }

    /// Everything that is run, in order.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> {
        self.guards.iter().chain(&self.steps).chain(&self.proofs).chain(&self.checks)
    }

    /// The outputs of other stages that the plan refers to, sorted, each once.
    pub fn inputs(&self) -> Vec<OutputRef> {
        let mut inputs = std::collections::BTreeSet::new();
        self.each_arg(&mut |arg| {
            inputs.extend(arg.parts.iter().filter_map(|part| match part {
                Part::Late(Late::Path(output) | Late::Hash(output)) => Some(output.clone()),
                _ => None,
            }));
        });
        inputs.into_iter().collect()
    }
}

impl Step {
    /// Whether an argument of it names this place.
    pub fn names(&self, symbol: Symbol) -> bool {
        let mut found = false;
        self.each_arg(&mut |arg| found |= arg.parts.contains(&Part::Symbol(symbol)));
        found
    }

    fn each_arg<'a>(&'a self, visit: &mut dyn FnMut(&'a Arg)) {
        match &self.action {
            Action::Command(command) => command.each_arg(visit),
            Action::Op(op) => op.argv.iter().for_each(visit),
            Action::Pool(pool) => {
                pool.workloads.iter().for_each(|workload| workload.command.each_arg(visit));
                pool.prepare.iter().chain(&pool.commit).for_each(|step| step.each_arg(visit));
                if let Some(companion) = &pool.companion {
                    companion.op.argv.iter().for_each(&mut *visit);
                    companion.instead.iter().for_each(|step| step.each_arg(visit));
                }
            }
        }
    }
}

impl Command {
    fn each_arg<'a>(&'a self, visit: &mut dyn FnMut(&'a Arg)) {
        self.argv.iter().chain(self.env.values()).chain([&self.cwd]).chain(&self.stdout).for_each(visit);
    }
}

/// One argument, directory or environment value of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arg {
    pub parts: Vec<Part>,
    /// It is a script for `sh`: what is no literal is written so that the shell reads exactly that.
    pub script: bool,
}

/// A part of an [`Arg`]; the parts are joined without anything between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Literal(String),
    /// A place whose path is not part of what the argument means.
    Symbol(Symbol),
    /// The path of a tool, by the tool's name; what it is goes into fingerprints as the tool's identity.
    Tool {
        name: String,
        path: Utf8PathBuf,
    },
    /// A path that the user chose (a variable of type path, the pipeline's directory), with the name under which it was chosen.
    Place {
        name: String,
        path: Utf8PathBuf,
    },
    Late(Late),
    /// A limit: it decides whether something is done, or how, but not what is made, and is in no fingerprint.
    Limit(String),
    /// A secret variable: shown as `***`, never written down, hashed in fingerprints.
    Secret {
        name: String,
        value: String,
    },
}

/// What a part of an [`Arg`] becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filling {
    Value(String),
    /// It stands for a value that is not known, or not shown.
    Mark(String),
}

impl Filling {
    fn text(&self) -> &str {
        match self {
            Filling::Value(text) | Filling::Mark(text) => text,
        }
    }
}

/// Places that the runner knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Symbol {
    /// `${self.out}`: what the stage makes. Empty when the stage begins; becomes the record's outputs.
    Out,
    /// `${self.build}`: kept between attempts of the stage; the workspace, where it has one.
    Build,
    /// A scratch directory of the stage, emptied when it begins.
    Scratch,
    /// Number of slots the stage was given.
    Jobs,
    /// In a pool: the directory of this attempt of a workload.
    Attempt,
    /// In a pool: the slot (0, 1, …) that the workload runs in.
    Slot,
    /// The directory with one directory per committed workload of the stage.
    Committed,
    /// The directory of the logs of the stage.
    Logs,
    /// A file with what operations of the stage have reported so far; for a step that comes after them.
    Reported,
    /// The same of the last time when the stage was done, whatever it was made from then; there is none before the first time.
    ReportedLast,
    /// optbuild itself.
    Optbuild,
}

/// A value that is known when the stages before have run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Late {
    /// Where an output of another stage stands.
    Path(OutputRef),
    /// The hash of its content.
    Hash(OutputRef),
}

impl Symbol {
    /// How plans show it.
    pub fn name(self) -> &'static str {
        match self {
            Symbol::Out => "self.out",
            Symbol::Build => "self.build",
            Symbol::Scratch => "self.scratch",
            Symbol::Jobs => "jobs",
            Symbol::Attempt => "attempt",
            Symbol::Slot => "slot",
            Symbol::Committed => "committed",
            Symbol::Logs => "logs",
            Symbol::Reported => "reported",
            Symbol::ReportedLast => "reported-last",
            Symbol::Optbuild => "optbuild",
        }
    }
}

impl Arg {
    /// An argument of one part.
    pub fn part(part: Part) -> Arg {
        Arg { parts: vec![part], script: false }
    }

    /// Appends parts: `Arg::from("-j").with(Symbol::Jobs)`.
    #[must_use]
    pub fn with(mut self, more: impl Into<Arg>) -> Arg {
        self.parts.extend(more.into().parts);
        self
    }

    /// Arguments as one, with something between them.
    pub fn list(between: &str, args: impl IntoIterator<Item = Arg>) -> Arg {
        let all = args.into_iter().reduce(|all, arg| all.with(between).with(arg));
        all.unwrap_or_default()
    }

    /// A path below this one.
    #[must_use]
    pub fn join(self, below: &str) -> Arg {
        self.with("/").with(below)
    }

    /// The same with another argument in place of every occurrence of a text in literals; and whether there was one.
    #[must_use]
    pub fn replaced(self, text: &str, by: &Arg) -> (Arg, bool) {
        let (script, mut parts, mut found) = (self.script, Vec::new(), false);
        for part in self.joined().parts {
            let Part::Literal(literal) = &part else {
                parts.push(part);
                continue;
            };
            for (index, piece) in literal.split(text).enumerate() {
                if index > 0 {
                    parts.extend(by.parts.iter().cloned());
                    found = true;
                }
                if !piece.is_empty() {
                    parts.push(Part::Literal(piece.into()));
                }
            }
        }
        (Arg { parts, script }, found)
    }

    /// The same with literals that follow each other made one.
    #[must_use]
    pub fn joined(self) -> Arg {
        let mut parts: Vec<Part> = Vec::new();
        for part in self.parts {
            match (parts.last_mut(), part) {
                (Some(Part::Literal(before)), Part::Literal(text)) => before.push_str(&text),
                (_, part) => parts.push(part),
            }
        }
        Arg { parts, script: self.script }
    }

    /// The text, with places and late values as the function says.
    pub fn render(&self, mut part: impl FnMut(&Part) -> String) -> String {
        self.parts
            .iter()
            .map(|p| match p {
                Part::Literal(text) => text.clone(),
                other => part(other),
            })
            .collect()
    }

    /// The text as a program gets it, with values as the function says.
    ///
    /// # Errors
    /// That of the function, or a script cannot hold a value.
    pub fn fill<E: From<script::Unfit>>(
        &self,
        mut value: impl FnMut(&Part) -> Result<Filling, E>,
    ) -> Result<String, E> {
        let mut fillings = Vec::new();
        for part in &self.parts {
            fillings.push(match part {
                Part::Literal(text) => Filling::Mark(text.clone()),
                other => value(other)?,
            });
        }
        if !self.script {
            return Ok(fillings.iter().map(Filling::text).collect());
        }
        let names: Vec<String> = self.parts.iter().map(Part::to_string).collect();
        let pieces =
            self.parts.iter().zip(&fillings).zip(&names).map(|((part, filling), name)| match (part, filling) {
                (Part::Literal(text), _) => Piece::Text(text),
                (_, Filling::Value(text)) => Piece::Value { text, name },
                (_, Filling::Mark(text)) => Piece::Mark(text),
            });
        Ok(script::join(&pieces.collect::<Vec<_>>())?)
    }

    /// What fingerprints hash: names instead of places. The value of a secret is replaced by its hash.
    pub fn symbolic(&self) -> String {
        self.render(|part| match part {
            Part::Tool { name, .. } => format!("<tool {name}>"),
            Part::Place { name, .. } => format!("<{name}>"),
            Part::Limit(_) => "<limit>".into(),
            Part::Late(Late::Path(output)) => format!("<{}.{}>", own_name(&output.stage), output.output),
            Part::Late(Late::Hash(output)) => format!("<hash of {}.{}>", own_name(&output.stage), output.output),
            Part::Secret { name, value } => {
                format!("<secret {name} {}>", blake3::hash(value.as_bytes()).to_hex())
            }
            other => other.to_string(),
        })
    }
}

/// For people: real paths where they are known, `<…>` where they are not, `***` for secrets.
impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Part::Literal(text) | Part::Limit(text) => f.write_str(text),
            Part::Symbol(symbol) => write!(f, "<{}>", symbol.name()),
            Part::Tool { path, .. } | Part::Place { path, .. } => write!(f, "{path}"),
            Part::Late(Late::Path(output)) => write!(f, "<{output}>"),
            Part::Late(Late::Hash(output)) => write!(f, "<hash of {output}>"),
            Part::Secret { .. } => f.write_str("***"),
        }
    }
}

impl std::fmt::Display for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let filled = self.fill::<script::Unfit>(|part| {
            Ok(match part {
                Part::Tool { path, .. } | Part::Place { path, .. } => Filling::Value(path.to_string()),
                other => Filling::Mark(other.to_string()),
            })
        });
        match filled {
            Ok(text) => f.write_str(&text),
            // It is refused before it runs.
            Err(_) => self.parts.iter().try_for_each(|part| part.fmt(f)),
        }
    }
}

impl From<&str> for Arg {
    fn from(text: &str) -> Arg {
        Arg::part(Part::Literal(text.into()))
    }
}

impl From<String> for Arg {
    fn from(text: String) -> Arg {
        Arg::part(Part::Literal(text))
    }
}

impl From<Symbol> for Arg {
    fn from(symbol: Symbol) -> Arg {
        Arg::part(Part::Symbol(symbol))
    }
}
