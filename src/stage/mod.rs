//! What stages do: a file or folder per kind.
//!
//! A kind is three things in one place: its keys, whose doc comments are the reference; what they are parsed into; and its plan. A
//! new kind is one such file and a line in the table below, from which names, decoding and schema come.
//!
//! Planning looks at the world through [`Facts`] only and changes nothing. What is missing on this machine becomes a gap in
//! the plan; what cannot be planned at all is a [`PlanError`].

mod alike;
mod background;
pub mod bolt;
pub mod bootstrap;
pub mod cargo;
pub mod cmake;
pub mod command;
pub mod compare;
mod context;
mod flattered;
pub mod gather;
pub mod overlooked;
pub mod rustc_perf;
pub mod verify;
mod wrapped;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::facts::Facts;
use crate::pipeline::{Answers, CommandLine, Keys, Kind, KindEntry, Kinds, Pipeline, Stage, Text};
use crate::plan::ops::{CheckProfileUse, PlannedValues, Served};
use crate::plan::{Arg, Command, StagePlan};
use crate::toolchain::Tool;

pub use crate::plan::PlanError;
pub use alike::unlike;
pub use context::Context;
pub use flattered::flattered;
use gather::Instrumented;
use overlooked::Overlooked;

/// The kinds, in the order of the reference: builds first.
pub static KINDS: Kinds = Kinds::new(TABLE);

/// The lines of [`KINDS`].
pub const TABLE: &[KindEntry] = &[
    kind::<cmake::Cmake>(),
    kind::<cargo::Cargo>(),
    kind::<bootstrap::Bootstrap>(),
    kind::<rustc_perf::RustcPerf>(),
    kind::<gather::GatherKeys>(),
    kind::<bolt::BoltKeys>(),
    kind::<command::CommandKeys>(),
    kind::<verify::VerifyKeys>(),
    kind::<compare::CompareKeys>(),
];

/// The keys of a kind.
pub trait Declaration: DeserializeOwned + JsonSchema {
    /// How a pipeline file names the kind.
    const NAME: &'static str;
    /// What the keys say, in a form that cannot say what is refused.
    type Parsed: StageKind;

    /// Parses them. What is wrong with them is told of through `keys`.
    fn parse(self, keys: &mut Keys) -> Option<Self::Parsed>;
}

/// What others ask of a stage's kind.
pub trait StageKind: Any + Debug + Send + Sync {
    /// What can be asked without planning.
    fn answers(&self) -> Answers;

    /// Adds what the stage will do to the plan.
    fn plan(&self, cx: &mut Context) -> Result<(), PlanError>;

    /// Where an output stands in the stage's `out`, as far as the keys say. A name with a hash or a version in it is a pattern (see
    /// [`crate::fs::pattern`]).
    fn below_out(&self, _output: &str, _cx: &mut Context) -> Option<String> {
        None
    }

    /// What the keys say of relocations in what the stage links. None: that shows when it is there.
    fn relocations(&self) -> Option<Relocations<'_>> {
        None
    }

    /// Whether it makes a toolchain that is known to be without a tool of rust's sources, such as `src/tools/clippy`.
    fn lacks(&self, _tool: &str) -> bool {
        false
    }

    /// What the programs that it builds are written in.
    fn language(&self) -> Option<Language> {
        None
    }

    /// The file that its output is a rewritten one of.
    fn rewrites(&self) -> Option<&Text> {
        None
    }

    /// What is said when a `check` of the stage fails.
    fn check_advice(&self, _stage: &Stage) -> Option<String> {
        None
    }

    /// What the caller has set, and what would change what the stage makes, but does not reach it.
    fn overlooked(&self, _stage: &Stage, _cx: &mut Context) -> Vec<Overlooked> {
        Vec::new()
    }

    /// Completes what a gather stage knows of the build that `stage`, of this kind, makes.
    ///
    /// # Errors
    /// The build writes no profiles.
    fn describe(&self, _stage: &Stage, _build: &mut Instrumented, _cx: &mut Context) -> Result<(), PlanError> {
        Ok(())
    }

    /// The llvm-profdata of the compiler that `stage` runs: it merges the profiles that its build writes, and writes what the compiler
    /// reads. None: it runs none, or which one is not known.
    fn merge_tool(&self, _stage: &Stage, _cx: &mut Context) -> Result<Option<Profdata>, PlanError> {
        Ok(None)
    }

    /// `cargo bench` or `cargo test` as a command that builds as `stage` does. None: the kind has none.
    fn harness(&self, _stage: &Stage, _line: &CommandLine, _cx: &mut Context) -> Result<Option<Command>, PlanError> {
        Ok(None)
    }

    /// The commands that it runs a program with. None: the kind has none.
    fn workloads(&self, _cx: &mut Context) -> Result<Option<Workloads>, PlanError> {
        Ok(None)
    }
}

/// The llvm-profdata of a compiler.
pub enum Profdata {
    Sure(Arg),
    /// Of a compiler that a command names.
    Likely(Arg),
}

/// What a stage's keys say of relocations, without which BOLT cannot move functions.
pub struct Relocations<'a> {
    pub kept: bool,
    /// The triple of what is built, if it is not the host's.
    pub target: Option<&'a Text>,
}

/// Languages, by which functions have their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    C,
    Rust,
}

/// A line of the table.
pub const fn kind<D: Declaration>() -> KindEntry {
    KindEntry { name: D::NAME, schema: D::json_schema, read: read::<D> }
}

fn read<D: Declaration>(keys: &mut Keys) -> Option<Kind> {
    let kind: Box<dyn StageKind> = Box::new(keys.decode::<D>()?.parse(keys)?);
    Some(Kind::new(D::NAME, kind.answers(), kind))
}

/// The kind of a stage.
pub fn kind_of(stage: &Stage) -> Option<&dyn StageKind> {
    stage.kind.declared::<Box<dyn StageKind>>().map(|kind| &**kind)
}

/// A stage's kind, if it is this one. For what two kinds have to do with each other and nothing else has.
pub fn kind_as<K: StageKind>(stage: &Stage) -> Option<&K> {
    let kind: &dyn Any = kind_of(stage)?;
    kind.downcast_ref()
}

/// How a build takes part in profile-guided optimisation.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pgo {
    /// Instrumented: each process of the built program writes a raw profile.
    Generate,
    /// Optimised with this indexed profile, usually `${gather.profile}`.
    Use(Text),
}

impl Pgo {
    /// The profile, if one is used.
    pub fn profile(&self) -> Option<&Text> {
        match self {
            Pgo::Generate => None,
            Pgo::Use(profile) => Some(profile),
        }
    }
}

/// The stage whose programs a profile is of, if it is one of a stage. Refuses one of another language.
fn trained<'a>(key: &str, pgo: Option<&Pgo>, mine: Language, cx: &Context<'a>) -> Result<Option<&'a Stage>, PlanError> {
    let Some(gathering) = pgo.and_then(Pgo::profile).map(|profile| cx.producer(profile)).transpose()?.flatten() else {
        return Ok(None);
    };
    let stage = cx.trained_on(gathering)?;
    let language = match stage.and_then(kind_of).and_then(StageKind::language).filter(|language| *language != mine) {
        None => return Ok(stage),
        Some(Language::C) => "C or C++",
        Some(Language::Rust) => "Rust",
    };
    // A program in one language with a library in the other one has functions of both.
    let parts = stage.iter().flat_map(|stage| &stage.dependencies).flatten().filter_map(|name| cx.pipeline.stage(name));
    let mut own = parts.filter(|part| kind_of(part).and_then(StageKind::language) == Some(mine));
    if let Some(own) = own.next() {
        return Ok(Some(own));
    }
    let name = stage.map_or("", |stage| stage.common.name.as_str());
    let message =
        format!("is of stage `{name}`, a program in {language}, whose functions have other names: nothing would match");
    Err(cx.invalid(key, message))
}

/// Counts what a build found of its profile, where there is an `llvm-profdata` to count with.
fn count_use(
    profile: Option<Arg>,
    profdata: Option<Tool>,
    limit: Option<&Text>,
    cx: &mut Context,
) -> Result<(), PlanError> {
    let Some(profile) = profile else { return Ok(()) };
    let Some(tool) = cx.profile_reader(profdata) else { return Ok(()) };
    cx.check_profile_use(CheckProfileUse::of_all(&profile, &tool), limit)
}

/// Link-time optimisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Lto {
    #[default]
    Off,
    /// Parallel, on summaries of the modules.
    Thin,
    /// Everything as one module.
    #[serde(alias = "fat")]
    Full,
}

/// Plans one stage. Fallbacks of references are chosen past the `unavailable` stages: those that are off, skipped, or failed
/// under `on-failure = "continue"`.
pub fn plan(
    pipeline: &Pipeline,
    facts: &Facts,
    stage: &str,
    unavailable: &BTreeSet<String>,
) -> Result<StagePlan, PlanError> {
    let Some(stage) = pipeline.stage(stage) else {
        return Err(PlanError::Invalid {
            stage: stage.into(),
            key: "name".into(),
            message: "the pipeline has no stage of this name".into(),
        });
    };
    let mut cx = Context::new(pipeline, facts, stage, unavailable);
    let Some(kind) = kind_of(stage) else {
        return Err(cx.invalid("kind", format!("the kind `{}` cannot be planned", stage.kind.name)));
    };
    cx.common()?;
    kind.plan(&mut cx)?;
    if let Some(sentence) = alike::unlike_its_training(pipeline, stage) {
        cx.note(sentence);
    }
    if let Some(sentence) = flattered::sentence(pipeline, stage) {
        cx.note(sentence);
    }
    cx.checks(kind.check_advice(stage))?;
    Ok(cx.plan)
}

/// Commands with `{program}` in them, and what a comparison stage says of its sides.
#[derive(Debug, Default)]
pub struct Workloads {
    /// Names and commands. A working directory of the stage's own is any empty one.
    pub commands: Vec<(String, Command)>,
    /// The servers that some of them drive, by the names of the workloads.
    pub served: BTreeMap<String, Served<PlannedValues>>,
    pub base_env: BTreeMap<String, Arg>,
    pub candidate_env: BTreeMap<String, Arg>,
    /// The same of any number of sides, by their names.
    pub side_env: BTreeMap<String, BTreeMap<String, Arg>>,
}

/// The workloads of a stage of kind `compare` or `gather`.
///
/// # Errors
/// When the stage is of another kind, or its commands do not run the program that it gathers from.
pub fn workloads(
    pipeline: &Pipeline,
    facts: &Facts,
    stage: &str,
    unavailable: &BTreeSet<String>,
) -> Result<Workloads, PlanError> {
    let missing =
        |message: &str| PlanError::Invalid { stage: stage.into(), key: "kind".into(), message: message.into() };
    let Some(declared) = pipeline.stage(stage) else { return Err(missing("the pipeline has no stage of this name")) };
    let mut cx = Context::new(pipeline, facts, declared, unavailable);
    cx.common()?;
    let found = kind_of(declared).map(|kind| kind.workloads(&mut cx)).transpose()?.flatten();
    found.ok_or_else(|| missing("only stages of kind `compare` or `gather` have workloads"))
}

fn env(declared: &BTreeMap<String, Text>, cx: &mut Context) -> Result<BTreeMap<String, Arg>, PlanError> {
    declared.iter().map(|(name, text)| Ok((name.clone(), cx.arg(text)?))).collect()
}
