//! What a pipeline knows of kinds of stages: a table of their names and keys, the keys that every stage takes, and what is asked of a stage
//! whatever its kind.
//!
//! The kinds themselves, and their table, are in `crate::stage`. Unaware of what stages do.

use std::any::Any;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytesize::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::decode;
use super::error::Problem;
use super::merge::kind_word;
use super::schema::{self as built, Shape};
use super::text::{self, OutputRef, Piece, Text};
use super::tree::{Node, Table};
use super::value::{CommandLine, Words, percent_of};

/// The kinds that stages can have, and the schema that follows from them.
pub struct Kinds {
    pub entries: &'static [KindEntry],
    schema: OnceLock<Json>,
}

impl Kinds {
    pub const fn new(entries: &'static [KindEntry]) -> Kinds {
        Kinds { entries, schema: OnceLock::new() }
    }

    /// The schema that files are checked against once references are replaced.
    pub fn schema(&'static self) -> &'static Json {
        self.schema.get_or_init(|| built::build(self.entries.iter().map(|entry| (entry.name, entry.schema))))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.entries.iter().map(|entry| entry.name)
    }

    pub(super) fn find(&self, name: &str) -> Option<&'static KindEntry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

/// The JSON Schema of a pipeline file.
pub fn schema(kinds: &'static Kinds) -> Schema {
    built::of_files(kinds.schema())
}

/// A kind of stages.
#[derive(Clone, Copy)]
pub struct KindEntry {
    /// How a pipeline file names it.
    pub name: &'static str,
    /// The schema of its own keys.
    pub schema: fn(&mut SchemaGenerator) -> Schema,
    /// Reads the keys of a stage. None: there is a problem, which was reported.
    pub read: fn(&mut Keys) -> Option<Kind>,
}

/// A stage's kind, with what its keys say.
#[derive(Clone)]
pub struct Kind {
    pub name: &'static str,
    pub answers: Answers,
    declared: Arc<dyn Any + Send + Sync>,
}

impl Kind {
    /// `declared` is for those who know the kinds.
    pub fn new(name: &'static str, answers: Answers, declared: impl Any + Send + Sync) -> Kind {
        Kind { name, answers, declared: Arc::new(declared) }
    }

    pub fn declared<T: Any>(&self) -> Option<&T> {
        self.declared.downcast_ref()
    }
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.name, self.answers)
    }
}

/// What is asked of a stage whatever its kind.
#[derive(Debug, Clone, Default)]
pub struct Answers {
    /// Names of the outputs that `${stage.NAME}` can refer to.
    pub outputs: Vec<String>,
    /// It measures times, so that nothing else may run beside it.
    pub measures: bool,
    /// It runs a build to gather profiles of it.
    pub gathers: Option<Gathers>,
    /// Whose profiles the programs write that it builds. None: that is not known before it runs.
    pub writes: Option<Profiles>,
    /// What it needs of the machine besides programs.
    pub needs: Vec<Need>,
    /// It has compilers of its own, `${self.cc}` and `${self.cxx}`.
    pub compilers: bool,
}

/// What a gather stage gathers.
#[derive(Debug, Clone)]
pub struct Gathers {
    /// What the profile is for. None: the stage's name says it.
    pub role: Option<String>,
    /// The build that it runs.
    pub instrumented: Text,
    /// The build is sampled for BOLT, whatever it writes itself.
    pub sampled: bool,
    /// It only looks whether this profile fits: what it gathers is for nothing else.
    pub hot_in: Option<Text>,
}

/// Forms of profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profiles {
    /// Those of a compiler's instrumentation.
    Compiler,
    Bolt,
}

/// What a stage needs of the machine besides programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The library that clang links into what it instruments.
    ClangRuntime,
    /// The same of llvm-bolt.
    BoltRuntime,
    /// Branch records of the processor.
    BranchRecords,
    /// A checkout of rust-lang/rust, whose stage-0 compiler is its own affair.
    RustCheckout,
    /// All that `x.py` needs.
    RustBuild,
    /// LLVM's tools for the profiles of what rustc compiles.
    RustProfiles,
}

/// The output of the stage that a text is, or begins with: `${lib.out}/lib/x.so` belongs to `lib`.
pub fn leading_output(text: &Text) -> Option<&[OutputRef]> {
    match text.pieces.first() {
        Some(Piece::Outputs(candidates)) => Some(candidates),
        _ => None,
    }
}

/// A stage as it is written, with its templates.
pub(super) struct Written<'a> {
    pub table: &'a Table,
    pub span: &'a Range<usize>,
    /// Where its name stands.
    pub at: &'a Range<usize>,
    /// References in some keys could not be replaced.
    pub broken: bool,
}

/// Reads a stage; `table` has its keys with references replaced, as far as that was possible. None if there is a problem that leaves
/// nothing to go on with.
pub(super) fn read_stage(
    kinds: &'static Kinds,
    table: &Table,
    written: &Written,
    problems: &mut Vec<Problem>,
) -> Option<(Common, Kind)> {
    let before = problems.len();
    let span = written.span;
    let name = table.get("name").and_then(Node::as_str).unwrap_or_default();
    let named = if name.is_empty() { String::new() } else { format!(" `{name}`") };
    let kind = kind(kinds, table, &named, span, problems)?;
    let shape = Shape::stage(kinds.schema(), kind.name);
    let of = format!("the {} stage{named}", kind.name);
    let common_keys = Shape::definition(kinds.schema(), "Common").keys();
    let (mut common, mut own) = (Table::default(), Table::default());
    decode::known_keys(written.table, &of, &shape, span, problems);
    for entry in table.entries.iter().filter(|entry| shape.keys().contains(entry.key.as_str())) {
        if decode::structure(&entry.key, &entry.node, &shape.key(&entry.key), problems) {
            let side = if common_keys.contains(entry.key.as_str()) { &mut common } else { &mut own };
            side.entries.push(entry.clone());
        }
    }
    let common = decode::decode(common, span, problems).map(|common: Common| Common {
        // What is asked everywhere is whether the stage is on.
        when: common.when && !common.unless,
        ..common
    });
    let incomplete = written.broken || problems.len() > before;
    if let Some(common) = &common {
        common.check(table, written.at, problems);
    }
    let mut keys = Keys { own, table, written: written.table, span, at: written.at, name, problems, incomplete };
    let kind = (kind.read)(&mut keys);
    common.zip(kind).filter(|_| keys.is_complete())
}

/// The kind that a stage says it is.
fn kind(
    kinds: &'static Kinds,
    table: &Table,
    name: &str,
    span: &Range<usize>,
    problems: &mut Vec<Problem>,
) -> Option<&'static KindEntry> {
    let word = kind_word(table);
    let found = kinds.find(word);
    if found.is_none() {
        let problem = match table.get("kind") {
            None => Problem::at(format!("the stage{name} needs the key `kind`"), span.clone()),
            Some(node) => {
                let other = || format!("`kind` takes a string, not {}", node.what());
                let message = node.as_str().map(|word| format!("there is no kind of stage `{word}`"));
                Problem::at(message.unwrap_or_else(other), node.span.clone())
            }
        };
        problems.push(problem.suggest(word, kinds.names()));
    }
    found
}

/// The keys of one stage, while its kind reads them.
pub struct Keys<'a> {
    /// The kind's own keys, of the right types.
    pub(super) own: Table,
    /// All keys, with references replaced, and as they are written.
    pub(super) table: &'a Table,
    pub(super) written: &'a Table,
    pub(super) span: &'a Range<usize>,
    /// Where the stage's name stands.
    pub(super) at: &'a Range<usize>,
    pub name: &'a str,
    pub(super) problems: &'a mut Vec<Problem>,
    /// There is a problem with some of the keys already, so the rest is not all that was meant.
    pub(super) incomplete: bool,
}

impl<'a> Keys<'a> {
    /// The kind's keys as a type, without those of which a problem was told. None: one that must be there is among them.
    pub fn decode<D: DeserializeOwned>(&mut self) -> Option<D> {
        let before = self.problems.len();
        let decoded = decode::decode(std::mem::take(&mut self.own), self.span, self.problems);
        self.incomplete |= self.problems.len() > before;
        decoded
    }

    /// Whether what was decoded is all that is meant.
    pub fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Whether the file has the key, if only with a variable that is empty.
    pub fn is_written(&self, key: &str) -> bool {
        self.written.get(key).is_some()
    }

    /// Tells that something is wrong with the value of a key; `help` says what to do, or nothing.
    pub fn wrong(&mut self, key: &str, message: impl Into<String>, help: &str) {
        let at = self.table.get(key).map_or(self.at, |node| &node.span);
        self.problems.push(Problem::at(message, at.clone()).help(help));
    }

    /// The same, with a key of an item in a list.
    pub fn wrong_in(&mut self, list: &str, index: usize, key: &str, message: impl Into<String>, help: &str) {
        let item = self.item(list, index);
        let at = item.and_then(|item| item.get(key)).or(item).map_or(self.at, |node| &node.span);
        self.problems.push(Problem::at(message, at.clone()).help(help));
    }

    /// Tells of a wrong name, with the nearest valid one.
    pub fn no_such<'n>(&mut self, key: &str, message: String, wrong: &str, valid: impl IntoIterator<Item = &'n str>) {
        let at = self.table.get(key).map_or(self.at, |node| &node.span);
        self.problems.push(Problem::at(message, at.clone()).suggest(wrong, valid));
    }

    fn item(&self, list: &str, index: usize) -> Option<&'a Node> {
        self.table.get(list).and_then(Node::as_array)?.get(index)
    }

    /// Tells of names that no output can have.
    pub fn check_outputs(&mut self, outputs: &BTreeMap<String, Text>) {
        for name in outputs.keys() {
            let message = match name.as_str() {
                "out" => "the output `out`, all of `${self.out}`, is always there; name this one otherwise".into(),
                _ if text::is_name(name) => continue,
                _ => format!("`{name}` cannot be the name of an output: letters, digits, `-` and `_`"),
            };
            let at = entry_place(self.table.get("outputs"), name).unwrap_or(self.at);
            self.problems.push(Problem::at(message, at.clone()));
        }
    }

    /// Tells of names that no variable of the environment can have.
    pub fn check_env(&mut self, key: &str, env: &BTreeMap<String, Text>) {
        check_env(env.keys(), self.table.get(key), self.at, self.problems);
    }

    /// Tells of names that workloads or tests (`what`) cannot have, and that there is none. None: some may be gone already.
    pub fn check_names<'n>(&mut self, list: &str, what: &str, names: impl Iterator<Item = &'n str>) -> Option<()> {
        if self.incomplete {
            return None;
        }
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        let mut count = 0;
        for (index, name) in names.enumerate() {
            count += 1;
            if name.is_empty() || name.len() > 200 || name.contains(char::is_control) {
                let message = format!("the name of a {what} is a line of 1 to 200 characters");
                self.wrong_in(list, index, "name", message, "");
            }
            if let Some(other) = first.get(name) {
                let place =
                    |index| self.item(list, index).and_then(|item| item.get("name")).map_or(self.at, |node| &node.span);
                let problem = Problem::new(format!("there are two {what}s of the name `{name}`"));
                let problem = problem.mark(place(index).clone(), "the second").mark(place(*other).clone(), "the first");
                self.problems.push(problem);
            }
            first.entry(name).or_insert(index);
        }
        // What variables have left empty can be looked at; planning it says what is missing.
        let written = self.written.get(list).is_some_and(|node| node.as_array().is_none_or(|items| !items.is_empty()));
        if count == 0 && !written {
            self.wrong(list, format!("`{}` has no {what}", self.name), "there has to be at least one");
        }
        Some(())
    }

    /// The same, of the `env` of an item in a list.
    pub fn check_env_of(&mut self, list: &str, index: usize, env: &BTreeMap<String, Text>) {
        let node = self.item(list, index).and_then(|item| item.get("env"));
        check_env(env.keys(), node, self.at, self.problems);
    }

    /// The command that an item of a list has in its keys `run`, `shell`, `env` and `cwd`.
    pub fn command_of(
        &mut self,
        list: &str,
        index: usize,
        line: (Words, bool, BTreeMap<String, Text>, Option<Text>),
    ) -> Option<CommandLine> {
        let (run, shell, env, cwd) = line;
        self.check_env_of(list, index, &env);
        match CommandLine::new(&run, shell, env, cwd) {
            Ok(line) => Some(line),
            Err(message) => {
                self.wrong_in(list, index, "run", message, "");
                None
            }
        }
    }
}

/// Where the name of an entry in a table stands.
fn entry_place<'n>(table: Option<&'n Node>, name: &str) -> Option<&'n Range<usize>> {
    table?.as_table()?.entry(name).map(|entry| &entry.at)
}

/// Tells of names that no variable of the environment can have.
fn check_env<'n>(
    names: impl IntoIterator<Item = &'n String>,
    node: Option<&Node>,
    at: &Range<usize>,
    problems: &mut Vec<Problem>,
) {
    for name in names.into_iter().filter(|name| name.is_empty() || name.contains(['=', '\0'])) {
        let at = entry_place(node, name).unwrap_or(at);
        problems.push(Problem::at(format!("`{name}` cannot be the name of a variable of the environment"), at.clone()));
    }
}

/// Keys of every `[[stage]]`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Common {
    /// What the stage is called: in references (`${name.output}`), in `--from name`, in logs.
    #[serde(deserialize_with = "super::value::plain")]
    pub name: String,
    /// What the stage does; decides which further keys it takes.
    #[serde(deserialize_with = "super::value::plain")]
    pub kind: String,
    /// One sentence for `optbuild show` and the report. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::plain_option")]
    pub description: Option<String>,
    /// Stages that must be done before this one, besides those it refers to.
    #[serde(default, deserialize_with = "super::value::plain_list")]
    pub needs: Vec<String>,
    /// Switches the stage off when false. Usually `when = "${variable}"`.
    #[serde(default = "super::value::yes")]
    pub when: bool,
    /// Switches the stage off when true, whatever `when` says.
    #[serde(default)]
    pub unless: bool,
    /// Files, directories or globs that the stage reads besides what its kind knows of. A change makes it run again.
    #[serde(default)]
    pub inputs: Vec<Text>,
    /// Environment of its commands. In the fingerprint.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Variables of the caller's environment that its commands see. In the fingerprint, with their values.
    #[serde(default, deserialize_with = "super::value::plain_list")]
    pub pass_env: Vec<String>,
    /// How long one attempt of one command may run, as `90s`, `10m` or `2h 30m`. Longer is a failure. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// How much one command may write to its log, as `2 GiB`. More is a failure that names the line, if it is one line again and again.
    /// Of a log that becomes larger than 1 GiB (of a workload: 256 MiB), the first and the last 64 MiB are kept. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::size")]
    #[schemars(with = "Option<String>")]
    pub max_log: Option<ByteSize>,
    /// How long processes that a command leaves running have to end in good order, after SIGTERM: servers that write when they end. Then
    /// they are killed. Default: 10s, as after Ctrl-C. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::duration")]
    #[schemars(with = "Option<String>")]
    pub grace: Option<Duration>,
    /// How often a failed step is tried again. Never after an interrupt or a failed check. Not in the fingerprint.
    #[serde(default)]
    pub retries: u32,
    /// Whether a failure of this stage stops the run. Not in the fingerprint.
    #[serde(default)]
    pub on_failure: OnFailure,
    /// Commands that must succeed on the result before it counts as done. A failing check is a failure of the stage.
    #[serde(default)]
    pub check: Vec<CommandLine>,
    /// The name of a build directory that several stages share and change in turn.
    #[serde(default, deserialize_with = "super::value::plain_option")]
    pub workspace: Option<String>,
    /// In which state of the workspace the stage can start.
    #[serde(default)]
    pub starts_from: StartsFrom,
    /// How many of the run's `-j` slots the stage takes, as a number or a share: `4`, `50%`; also `${jobs}`. Default: all. Not in the
    /// fingerprint.
    pub jobs: Option<Jobs>,
    /// How much memory the stage takes, as `8 GiB`: it waits until others leave it that much, and `optbuild doctor` says where there is
    /// less. Not in the fingerprint.
    #[serde(default, deserialize_with = "super::value::size")]
    #[schemars(with = "Option<String>")]
    pub memory: Option<ByteSize>,
    /// Nothing else runs beside the stage. For measurements.
    #[serde(default)]
    pub exclusive: bool,
    /// Templates that the stage is laid on, each on the one before. What the stage says itself lies on all of them.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<super::schema::OneOrMore>")]
    pub like: Vec<String>,
    /// In a pipeline with `extends`: takes the stage of that name out.
    #[serde(default)]
    pub remove: bool,
    /// In a pipeline with `extends`: the stage behind which a stage of a new name stands.
    #[serde(default, deserialize_with = "super::value::plain_option")]
    pub after: Option<String>,
}

/// How many slots of a run a stage takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Jobs {
    Number(u32),
    /// So many percent of all slots.
    Percent(f64),
}

impl Jobs {
    /// Of so many slots. A share of a few is one at least.
    pub fn of(self, slots: usize) -> usize {
        match self {
            Jobs::Number(number) => number as usize,
            Jobs::Percent(percent) if percent > 0.0 => ((slots as f64 * percent / 100.0).round() as usize).max(1),
            Jobs::Percent(_) => 0,
        }
    }

    /// How many that are at most, whatever the run has.
    pub fn most(self) -> usize {
        self.of(usize::MAX).max(1)
    }
}

impl<'de> Deserialize<'de> for Jobs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Jobs, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a number of slots, or a share of them as `50%`")]
        enum Written {
            Number(u32),
            Percent(Text),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Jobs::Number(number)),
            Written::Percent(text) => percent_of(text).map(Jobs::Percent).map_err(D::Error::custom),
        }
    }
}

impl JsonSchema for Jobs {
    fn schema_name() -> Cow<'static, str> {
        "Jobs".into()
    }

    // What may stand there is said in `super::schema`, with references.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}

/// What a failure of a stage means for the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// No new stage starts, the run fails.
    #[default]
    Stop,
    /// The run goes on without this stage's outputs: a reference's fallback is used, a consumer without one is blocked.
    Continue,
}

/// In which state a workspace must be for a stage to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StartsFrom {
    /// As the stage before it of the same workspace has left it.
    #[default]
    Predecessor,
    /// As the stage before it has left it, or as the stages behind that one have left it since: they go on from its work, and what
    /// they change, this stage changes anew.
    Later,
    /// In any state: the stage brings the workspace into the one it needs.
    Any,
}

impl Common {
    /// Tells what is wrong with the keys; `at` is where the stage's name stands.
    pub(super) fn check(&self, table: &Table, at: &Range<usize>, problems: &mut Vec<Problem>) {
        let place = |key: &str| table.get(key).map_or(at, |node: &Node| &node.span).clone();
        let workspace = self.workspace.as_ref();
        problems.extend(workspace.and_then(|name| Problem::of_name("workspace", name, &place("workspace"))));
        if self.jobs.is_some_and(|jobs| jobs.of(usize::MAX) == 0) {
            problems.push(Problem::at("a stage takes at least one slot", place("jobs")));
        }
        check_env(self.env.keys(), table.get("env"), at, problems);
        check_env(&self.pass_env, None, &place("pass-env"), problems);
    }
}
