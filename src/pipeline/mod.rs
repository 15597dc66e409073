//! What the user declared: a pipeline file becomes a [`Pipeline`].
//!
//! Knows files, variables, references and the graph of stages. Unaware of what stages do, of tools on this machine, and of
//! anything that was built before.

mod check;
mod decode;
mod error;
pub mod experiment;
pub mod kind;
mod limit;
mod load;
mod merge;
mod schema;
pub mod shipped;
mod substitute;
pub mod supply;
pub mod text;
mod tree;
pub mod value;
mod vars;

use std::collections::{BTreeMap, BTreeSet};

use camino::{Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use check::{Cycle, Graph};
pub use error::{LoadError, nearest};
pub use experiment::{COSTS, Choice, MEASURE, Variant, load_experiment};
pub use kind::{
    Answers, Common, Gathers, Jobs, Keys, Kind, KindEntry, Kinds, Need, OnFailure, Profiles, StartsFrom,
    leading_output, schema,
};
pub use load::{load, load_with, stage};
pub use schema::{OneOrMore, VarType};
pub use supply::{Supplied, SupplyError};
pub use text::{OutputRef, Piece, Text, own_name};
pub use value::{CommandLine, Words};
pub use vars::{Idle, env_name};

/// What a pipeline is loaded with, besides its file.
pub struct LoadOptions<'a> {
    /// Values of `--set`, each as `NAME=VALUE`. For a list, commas separate and repeats append; else the last one counts.
    pub set: &'a [String],
    /// Looks up a variable of the environment. `OPTBUILD_VAR_NAME` sets the variable `name`.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Absolute. Paths from `set` and `env` are relative to it; messages show paths relative to it.
    pub cwd: &'a Utf8Path,
    /// The target triple of this machine.
    pub host: &'a str,
    /// The kinds that stages can have.
    pub kinds: &'static Kinds,
    /// Variables that are required may have no value: nothing is going to be planned.
    pub incomplete: bool,
}

/// A pipeline that was read, checked, and whose variables have values.
#[derive(Debug, Clone, Default)]
pub struct Pipeline {
    pub name: String,
    pub description: String,
    /// The file that was asked for.
    pub file: Utf8PathBuf,
    /// The directories of that file and of those that it extends; [`Piece::PipelineDir`] counts in them.
    pub dirs: Vec<Utf8PathBuf>,
    /// Variables with the values of this run, in the order of the file; as are tools and outputs.
    pub vars: IndexMap<String, Variable>,
    pub tools: IndexMap<String, ToolDecl>,
    /// What stands under `out/NAME` after a run: a path there, and what is put there.
    pub outputs: IndexMap<String, OutputDecl>,
    /// In the order of the file, which is the order in which the work happens.
    pub stages: Vec<Stage>,
    /// Variables that tools, outputs and the switches of stages refer to: they are used whatever is on.
    pub used: BTreeSet<String>,
    /// Templates of the file that was asked for, which no stage is like.
    pub unused_templates: Vec<String>,
    /// Hash of the text of all its files: whether the pipeline changed since a run.
    pub hash: String,
    /// Of an experiment: what is measured side by side, the base first.
    pub variants: Vec<Variant>,
    /// Of an experiment in a file of its own: the pipeline that it is about, as the file names it.
    pub tried: Option<String>,
    /// Why stages have no outputs, as far as that is known when others are planned.
    pub lacking: BTreeMap<String, String>,
}

/// A variable with its value.
#[derive(Debug, Clone)]
pub struct Variable {
    pub value: VarValue,
    /// What it was declared as.
    pub kind: VarType,
    /// The default as text, a list with commas, a path relative to the file where it stands. None: it has none.
    pub default: Option<String>,
    /// The only values that will do; any, if empty.
    pub choices: Vec<String>,
    /// Never shown, logged or written to disk in clear.
    pub secret: bool,
    /// What set it: `--set NAME`, or a variable of the environment. None: it has its default.
    pub given: Option<String>,
    pub description: String,
}

/// The value of a variable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum VarValue {
    Bool(bool),
    Int(i64),
    String(String),
    /// Absolute.
    Path(Utf8PathBuf),
    List(Vec<String>),
}

/// A program that stages run, in `[tools]`: a version requirement, or a table.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ToolDecl {
    /// Versions that will do, as cargo writes them: `>=19`, `22`, `>=3.20, <5`. Default: any.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub version: Option<String>,
    /// A plan without it is still complete: stages say what they do instead.
    #[serde(default)]
    pub optional: bool,
    /// The directory to look in first, usually a variable: `${llvm}`. Empty counts as not given.
    pub dir: Option<Text>,
    /// Names of the program to look for, in this order. Default: the tool's name, then the names with a version that
    /// distributions use (`clang-22`), the highest first.
    #[serde(default, deserialize_with = "value::plain_list")]
    pub names: Vec<String>,
    /// Debian's package, for `optbuild doctor --install`, where optbuild does not know it.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub package: Option<String>,
}

/// What is put under `out/NAME`. A plain string in place of the table is `from`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OutputDecl {
    /// The output of a stage, or something below it: `${bolted.out}/bin`.
    pub from: Text,
    /// A stage that compares. What it says is slower is not put in place, and the run fails. Nor is what it could not compare.
    pub unless_slower: Option<String>,
}

/// A stage that was read and checked. Variables are replaced by their values, except paths.
#[derive(Debug, Clone)]
pub struct Stage {
    pub common: Common,
    pub kind: Kind,
    /// Stages that it refers to or `needs`: each is a list of alternatives, of which the first usable one counts.
    /// Includes the stage before it in its workspace.
    pub dependencies: Vec<Vec<String>>,
    /// Its keys as canonical text in which paths and outputs are still references. For fingerprints and `explain`.
    pub declaration: BTreeMap<String, String>,
    /// The stage as TOML, as it would stand in a file that extends none and has no templates. Variables are not replaced.
    pub text: String,
    /// Names of variables of type path that it refers to.
    pub path_vars: Vec<String>,
    /// Where values of its keys came from, for messages.
    pub origin: Origin,
    /// The stage before it that shares its workspace and is on, unless it `starts-from = "any"`.
    pub predecessor: Option<String>,
    /// That stage is among its `dependencies` for the workspace's sake alone.
    pub follows_only: bool,
    /// For a gather stage: the profile that stands in for what it would gather.
    pub supplied: Option<Supplied>,
    /// It is switched off because what it is for was supplied.
    pub spared: bool,
    /// In an experiment: the variants that it serves. None: it is of the pipeline, or measures the variants.
    pub variants: Vec<String>,
    /// In an experiment: the others go on without the variants that it serves.
    pub dispensable: bool,
}

/// What is no longer to be seen in a stage whose variables are replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// Variables, lists without an element, that have left nothing of a workload with `for`.
    pub emptied: Vec<String>,
    /// Variables and values with which the stage would be off: `bolt=false`.
    pub off_with: Vec<String>,
    /// Keys whose value is that of a variable and nothing else, with its name; those that are left out because it is empty, too.
    pub variables: BTreeMap<String, String>,
    /// All variables that it refers to, by way of others' defaults as well.
    pub uses: BTreeSet<String>,
}

impl Stage {
    /// A stage that depends on no other.
    pub(crate) fn new(common: Common, kind: Kind) -> Stage {
        Stage {
            common,
            kind,
            dependencies: Vec::new(),
            declaration: BTreeMap::new(),
            text: String::new(),
            path_vars: Vec::new(),
            origin: Origin::default(),
            predecessor: None,
            follows_only: false,
            supplied: None,
            spared: false,
            variants: Vec::new(),
            dispensable: false,
        }
    }

    /// How somebody says another value for one of its keys, for messages: `--set VARIABLE=VALUE` where a variable stands there.
    pub fn how_to_set(&self, key: &str, value: &str) -> String {
        match self.origin.variables.get(key) {
            Some(variable) => format!("`--set {variable}={value}`"),
            None => format!("`{key} = \"{value}\"` in the stage `{}`", self.common.name),
        }
    }
}

/// A list has commas.
impl std::fmt::Display for VarValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            VarValue::Bool(value) => value.fmt(f),
            VarValue::Int(number) => number.fmt(f),
            VarValue::String(text) => f.write_str(text),
            VarValue::Path(path) => path.fmt(f),
            VarValue::List(items) => f.write_str(&items.join(",")),
        }
    }
}

impl Pipeline {
    /// The stage of that name.
    pub fn stage(&self, name: &str) -> Option<&Stage> {
        self.stages.iter().find(|stage| stage.common.name == name)
    }
}

/// The path with its directory as it is, without symbolic links and `..`. The file itself may be a link: what stands beside
/// the link belongs to it.
fn resolved(path: &Utf8Path) -> Utf8PathBuf {
    match (path.parent().and_then(|dir| dir.canonicalize_utf8().ok()), path.file_name()) {
        (Some(dir), Some(name)) => dir.join(name),
        _ => path.to_owned(),
    }
}

/// The path without `.` in it. `..` stays: before it there may be a symbolic link.
fn normal(path: &Utf8Path) -> Utf8PathBuf {
    path.components().collect()
}
