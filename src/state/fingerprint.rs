//! The hash of all that determines a stage's outputs, kept in named parts so that a difference can be explained.
//!
//! What enters it, and why:
//!
//! | part | value | because |
//! |---|---|---|
//! | `optbuild` | a number | operations of another version may make something else of the same inputs |
//! | `stage`, `kind` | the names | equal stages of different names have records and outputs of their own |
//! | `declaration.KEY` | the text, or its hash where it is long or holds a secret | it is what was asked for, and what `explain` can show; long texts stand beside |
//! | `commands` | hash of steps, checks and outputs of the plan | it is what is done |
//! | `tool.NAME` | identity of the tool | it is what really runs |
//! | `input.STAGE.OUTPUT` | hash of the output's content | another stage's outputs are sources like any other |
//! | `env.NAME` | hash of the value | the stage asked for it with `pass-env` |
//! | `workspace.predecessor` | fingerprint of the stage before in the workspace | the stage goes on with what that one left |
//! | `variable.NAME` | the path | it is no source, so nothing is known of what lies there |
//! | sources, by name | hash of the files | they are built; alone, they are a case for an incremental build |
//!
//! What does not, and why:
//!
//! | left out | because |
//! |---|---|
//! | keys of `NOT_HASHED`, sizes and times that only limit | they decide when, how often and how much at once, not what is made |
//! | places: the state directory, the pipeline's directory, paths of sources | the same pipeline elsewhere makes the same |
//! | guards and proofs of a plan | they look, and change nothing |
//! | the base environment | it is chosen so that nothing in it changes what is built |
//!
//! Unaware of what the parts mean to the stage.

use std::collections::BTreeMap;

use camino::Utf8Path;
use serde::{Deserialize, Serialize};

use super::sources::{self, SourceError, Sources};
use super::tools::{ToolError, ToolIdentities};
use crate::names::FingerprintId;
use crate::pipeline::{OutputRef, Pipeline, Stage, VarValue, own_name};
use crate::plan::{Action, Arg, Command, Pool, StagePlan, Step};

/// Raised when optbuild's own operations begin to make something else of the same inputs.
const SCHEME: &str = "2";

/// The part of the configuration that names the state of the workspace.
const PREDECESSOR: &str = "workspace.predecessor";

/// Values up to this many bytes are kept as they are, so that an explanation can show them.
const SHOWN: usize = 120;

/// Of longer ones only a hash is kept.
const LONGEST_TEXT: usize = 64 << 10;

/// Keys of the declaration that the rest of the fingerprint tells of, and that only limit or name.
const NOT_HASHED: [&str; 3] = ["kind", "disk-space", "role"];

/// Why there is no fingerprint.
#[derive(Debug, thiserror::Error)]
pub enum FingerprintError {
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Tool(#[from] ToolError),
}

/// What determines a stage's outputs: names of parts, and the hash or the short text of each.
///
/// Where only `sources` differ, the stage's build directory is kept and the build tool goes on incrementally. Where
/// `configuration` differs it is wiped first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fingerprint {
    pub configuration: BTreeMap<String, String>,
    pub sources: BTreeMap<String, String>,
    /// Texts of which `configuration` has hashes, for explanations. They are no part of what is compared.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Names the record: the hash of all parts, in hexadecimal.
    pub fn id(&self) -> FingerprintId {
        let mut words = Words::default();
        words.parts(&self.configuration);
        words.parts(&self.sources);
        words.0.finalize().to_hex().as_str().into()
    }

    /// The hash of the configuration alone.
    pub fn configuration_id(&self) -> String {
        let mut words = Words::default();
        words.parts(&self.configuration);
        words.0.finalize().to_hex().to_string()
    }

    /// The fingerprint of the stage that the workspace was left by.
    pub fn predecessor(&self) -> Option<&str> {
        self.configuration.get(PREDECESSOR).map(String::as_str)
    }

    /// What is different in `new`, configuration first, by name.
    pub fn diff(old: &Fingerprint, new: &Fingerprint) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (old, new, is_source) in
            [(&old.configuration, &new.configuration, false), (&old.sources, &new.sources, true)]
        {
            let names: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
            differences.extend(names.into_iter().filter_map(|part| {
                let kind = match (old.get(part).cloned(), new.get(part).cloned()) {
                    (Some(old), Some(new)) if old == new => return None,
                    (Some(old), Some(new)) => Change::Changed { old, new },
                    (None, Some(new)) => Change::Added { new },
                    (Some(old), None) => Change::Removed { old },
                    (None, None) => return None,
                };
                Some(Difference { part: part.clone(), kind, is_source })
            }));
        }
        differences
    }
}

impl Fingerprint {
    /// As [`Fingerprint::diff`], with texts in the place of their hashes where both are known.
    pub fn explained(old: &Fingerprint, new: &Fingerprint) -> Vec<Difference> {
        let mut differences = Fingerprint::diff(old, new);
        for difference in &mut differences {
            let texts = (old.texts.get(&difference.part), new.texts.get(&difference.part));
            if let (Change::Changed { old, new }, (Some(before), Some(after))) = (&mut difference.kind, texts) {
                (*old, *new) = (before.clone(), after.clone());
            }
        }
        differences
    }
}

/// A part in which two fingerprints differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Such as `tool.clang`, `input.lib.out`, `declaration.define`; of sources their name.
    pub part: String,
    pub kind: Change,
    /// Only the build directory's content is out of date, not its configuration.
    pub is_source: bool,
}

/// What happened to a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Changed { old: String, new: String },
    Added { new: String },
    Removed { old: String },
}

/// Whether a part's value is a hash, which tells a person nothing, rather than the value itself.
pub fn is_hash(value: &str) -> bool {
    value.strip_prefix(HASHED).unwrap_or(value).len() == 64
        && value.strip_prefix(HASHED).unwrap_or(value).bytes().all(|byte| byte.is_ascii_hexdigit())
}

const HASHED: &str = "hash ";

/// What a stage's outputs depend on, besides its declaration and plan.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The hash of every output that [`StagePlan::inputs`] names.
    pub outputs: &'a BTreeMap<OutputRef, String>,
    /// The fingerprint of the stage that the workspace must have been left by.
    pub predecessor: Option<&'a str>,
}

/// The fingerprint of a stage as things are.
///
/// # Errors
/// When a source or a tool cannot be read.
pub fn compute(
    stage: &Stage,
    plan: &StagePlan,
    pipeline: &Pipeline,
    inputs: Inputs<'_>,
    sources: &Sources,
    tools: &ToolIdentities,
) -> Result<Fingerprint, FingerprintError> {
    let (mut parts, mut texts) = (BTreeMap::new(), BTreeMap::new());
    parts.insert("optbuild".into(), SCHEME.into());
    // Equal stages of different names have records, and outputs, of their own.
    parts.insert("stage".into(), own_name(&stage.common.name).to_owned());
    parts.insert("kind".into(), stage.kind.name.into());
    let (secrets, of_variant) = (secrets(pipeline), !stage.variants.is_empty());
    for (key, value) in stage.declaration.iter().filter(|(key, _)| !NOT_HASHED.contains(&key.as_str())) {
        let tells = secrets.iter().any(|secret| value.contains(secret));
        if !tells && value.len() > SHOWN && value.len() <= LONGEST_TEXT {
            texts.insert(format!("declaration.{key}"), readable(value));
        }
        parts.insert(format!("declaration.{key}"), if tells { hashed(value) } else { shown(value) });
    }
    parts.insert("commands".into(), commands(plan));
    parts.extend(tools_now(plan, sources, tools)?);
    for (output, hash) in inputs.outputs {
        // A comparison names each of its sides as it is; a stage of a variant, what it would be without the others.
        let stage = if of_variant { own_name(&output.stage) } else { &output.stage };
        parts.insert(format!("input.{stage}.{}", output.output), hash.clone());
    }
    for (name, value) in &plan.passed_env {
        parts.insert(format!("env.{name}"), hashed(value));
    }
    if let Some(predecessor) = inputs.predecessor {
        parts.insert(PREDECESSOR.into(), predecessor.to_string());
    }
    for name in &stage.path_vars {
        if let Some(VarValue::Path(path)) = pipeline.vars.get(name).map(|variable| &variable.value)
            && !is_covered(path, plan)
        {
            parts.insert(format!("variable.{name}"), shown(path.as_str()));
        }
    }
    let sources = source_hashes(plan, |source| sources.hash(source))?;
    Ok(Fingerprint { configuration: parts, sources, texts })
}

/// The part `sources` of the fingerprint, from the disk as it is: to be compared after the stage with what it was before.
pub fn sources_now(plan: &StagePlan, sources: &Sources) -> Result<BTreeMap<String, String>, SourceError> {
    source_hashes(plan, |source| sources.hash_again(source))
}

/// The parts of the configuration that say which tools there are: to be compared after the stage with what they were before.
pub fn tools_now(
    plan: &StagePlan,
    sources: &Sources,
    tools: &ToolIdentities,
) -> Result<BTreeMap<String, String>, ToolError> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for tool in &plan.tools {
        let identity = tools.identity(tool, sources.hasher())?;
        add_to(&mut parts, format!("tool.{}", tool.name), identity);
    }
    Ok(parts)
}

/// Several hashes under one name: each counts, in the order of the plan.
fn add_to(parts: &mut BTreeMap<String, String>, name: String, hash: String) {
    parts
        .entry(name)
        .and_modify(|all| *all = blake3::hash(format!("{all}{hash}").as_bytes()).to_hex().to_string())
        .or_insert(hash);
}

fn source_hashes(
    plan: &StagePlan,
    hash: impl Fn(&crate::plan::Source) -> Result<sources::SourceHash, SourceError>,
) -> Result<BTreeMap<String, String>, SourceError> {
    let mut parts: BTreeMap<String, String> = BTreeMap::new();
    for source in &plan.sources {
        let hash = hash(source)?.hash;
        add_to(&mut parts, source.name.clone(), hash);
    }
    Ok(parts)
}

/// What lies at a path is hashed as a source, or is a place in which sources lie: then the path itself says nothing.
fn is_covered(path: &Utf8Path, plan: &StagePlan) -> bool {
    plan.sources.iter().any(|source| {
        if source.glob {
            sources::overlap(path, &sources::split_glob(&source.path).0)
        } else {
            sources::overlap(path, &source.path)
        }
    })
}

fn secrets(pipeline: &Pipeline) -> Vec<String> {
    let secrets = pipeline.vars.values().filter(|variable| variable.secret);
    let texts = secrets.flat_map(|variable| match &variable.value {
        VarValue::String(text) => vec![text.clone()],
        VarValue::Path(path) => vec![path.to_string()],
        VarValue::List(texts) => texts.clone(),
        VarValue::Int(number) => vec![number.to_string()],
        VarValue::Bool(_) => Vec::new(),
    });
    texts.filter(|text| !text.is_empty()).collect()
}

/// A value of the declaration in lines: of a string its text, of others one element a line.
fn readable(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(serde_json::Value::String(text)) => text,
        Ok(other) => serde_json::to_string_pretty(&other).unwrap_or_else(|_| value.to_owned()),
        Err(_) => value.to_owned(),
    }
}

fn shown(value: &str) -> String {
    // What looks like a hash of a value must be one.
    if value.len() <= SHOWN && !value.starts_with(HASHED) { value.to_string() } else { hashed(value) }
}

fn hashed(value: &str) -> String {
    format!("{HASHED}{}", blake3::hash(value.as_bytes()).to_hex())
}

/// Everything that the plan says will be done, without places, time limits, and how much at once.
fn commands(plan: &StagePlan) -> String {
    let mut text = Words::default();
    text.steps("step", &plan.steps);
    text.steps("check", &plan.checks);
    for output in &plan.outputs {
        text.word("output");
        text.word(&output.name);
        text.arg(&output.path);
        text.word(if output.portable { "portable" } else { "fixed" });
    }
    format!("{HASHED}{}", text.0.finalize().to_hex())
}

/// Hashes words, each with its length, so that no two different plans or maps are the same bytes.
#[derive(Default)]
struct Words(blake3::Hasher);

impl Words {
    fn word(&mut self, text: &str) {
        self.0.update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes());
    }

    fn count(&mut self, count: usize) {
        self.0.update(&(count as u64).to_le_bytes());
    }

    fn parts(&mut self, parts: &BTreeMap<String, String>) {
        self.count(parts.len());
        parts.iter().flat_map(|(name, value)| [name, value]).for_each(|text| self.word(text));
    }

    fn arg(&mut self, arg: &Arg) {
        self.word(&arg.symbolic());
    }

    fn steps(&mut self, what: &str, steps: &[Step]) {
        self.word(what);
        self.count(steps.len());
        for step in steps {
            self.word(&step.name);
            match &step.action {
                Action::Command(command) => self.command(command),
                Action::Pool(pool) => self.pool(pool),
                Action::Op(op) => {
                    self.word("op");
                    self.count(op.argv.len());
                    op.argv.iter().for_each(|arg| self.arg(arg));
                }
            }
        }
    }

    fn command(&mut self, command: &Command) {
        self.word("command");
        self.count(command.argv.len());
        command.argv.iter().for_each(|arg| self.arg(arg));
        self.count(command.env.len());
        for (name, value) in &command.env {
            self.word(name);
            self.arg(value);
        }
        self.arg(&command.cwd);
        self.count(command.stdout.iter().count());
        command.stdout.iter().for_each(|stdout| self.arg(stdout));
    }

    fn pool(&mut self, pool: &Pool) {
        self.word("pool");
        self.count(pool.workloads.len());
        for workload in &pool.workloads {
            self.word(&workload.name);
            self.word(if workload.may_fail { "may fail" } else { "must succeed" });
            self.command(&workload.command);
        }
        self.steps("prepare", &pool.prepare);
        self.steps("commit", &pool.commit);
        if let Some(companion) = &pool.companion {
            self.steps("companion", &companion.instead);
        }
    }
}
