//! From a pipeline file to a checked [`Pipeline`].
//!
//! The one place that knows the order of the work:
//!
//! | step | where |
//! |---|---|
//! | read files, merge them, lay stages on templates | here, `merge` |
//! | give variables their values | `vars` |
//! | replace references | `substitute` |
//! | check types, read keys | `decode`, and the file of each kind |
//! | check that stages fit together | `check` |
//!
//! Each part collects problems and goes on as far as that makes sense.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use indexmap::IndexMap;
use toml::de::DeTable;

use super::check::{self, Draft};
use super::decode;
use super::error::{self, LoadError, Problem, Sources};
use super::kind::{Written, read_stage};
use super::limit;
use super::merge::{self, Like, Templates};
use super::schema::Shape;
use super::shipped::{FindError, is_path};
use super::substitute::{Names, Owner, Substitution};
use super::text::{self, Piece, Text};
use super::tree::{self, Entry, Node, Table, Value};
use super::vars::{self, Variables};
use super::{Kinds, LoadOptions, Origin, OutputDecl, Pipeline, Stage, ToolDecl, VarValue, normal, resolved};

/// Reads a pipeline file and those that it extends, gives variables their values, and checks everything that can be checked
/// without looking at the machine.
///
/// # Errors
/// All that is wrong, at once.
pub fn load(file: &Utf8Path, options: &LoadOptions) -> Result<Pipeline, LoadError> {
    let none = |name: &str| Err(FindError::Unknown { name: name.into(), nearest: None, known: Vec::new() });
    load_with(file, options, &none)
}

/// The same, where `extends` can name shipped pipelines as well: `shipped` finds the file of one.
///
/// # Errors
/// As [`load`].
pub fn load_with(file: &Utf8Path, options: &LoadOptions, shipped: Shipped) -> Result<Pipeline, LoadError> {
    let mut sources = Sources::default();
    let mut problems = Vec::new();
    let path = resolved(&normal(&options.cwd.join(file)));
    let mut reader = Reader::new(&mut sources, &mut problems, options.cwd, shipped);
    let tree = reader.file(&path, None);
    // Without a file that could not be read, all that follows would be guesses.
    let pipeline = match tree {
        Some(tree) if reader.complete => {
            Loader { options, sources: &sources, problems: &mut problems, kept: None }.pipeline(&path, &tree)
        }
        _ => None,
    };
    match pipeline {
        Some(pipeline) if problems.is_empty() => Ok(pipeline),
        _ => Err(LoadError { problems, sources }),
    }
}

/// Reads a single stage, whose keys stand at the top of the text. Its references stay as they are, and nothing else is known of it:
/// for those who put a pipeline together by themselves.
///
/// # Errors
/// All that is wrong with its keys.
pub fn stage(text: &str, kinds: &'static Kinds) -> Result<Stage, LoadError> {
    let (mut sources, mut problems) = (Sources::default(), Vec::new());
    sources.add("stage.toml".into(), "stage.toml".into(), text.into());
    let (parsed, errors) = DeTable::parse_recoverable(text);
    problems.extend(errors.iter().map(|error| Problem::new(error.message())));
    let (table, all) = (tree::table(parsed.into_inner(), 0), 0..text.len());
    let written = Written { table: &table, span: &all, at: &all, broken: false };
    match read_stage(kinds, &table, &written, &mut problems) {
        Some((common, kind)) if problems.is_empty() => Ok(Stage::new(common, kind)),
        _ => Err(LoadError { problems, sources }),
    }
}

pub(super) struct Loader<'a> {
    pub options: &'a LoadOptions<'a>,
    pub sources: &'a Sources,
    pub problems: &'a mut Vec<Problem>,
    /// The stages that are on as they were read, if somebody wants them.
    pub kept: Option<&'a mut Vec<Kept>>,
}

/// A stage before its keys were read.
pub(super) struct Kept {
    pub name: String,
    /// With references replaced, and as it is written with its templates.
    pub table: Table,
    pub written: Node,
}

impl Loader<'_> {
    pub fn pipeline(&mut self, path: &Utf8Path, tree: &Table) -> Option<Pipeline> {
        self.top_level(tree);
        let empty = Table::default();
        let section = |key: &str| tree.get(key).and_then(Node::as_table).unwrap_or(&empty);
        let variables = vars::resolve(section("vars"), self.options, self.sources, self.problems);
        let mut templates = Templates::new(tree.get("template"), self.options.kinds.schema(), self.problems);
        let stages = tree.get("stage").and_then(Node::as_array).unwrap_or_default();
        let (stages, likes): (Vec<Node>, Vec<Vec<Like>>) =
            stages.iter().map(|stage| templates.stage(stage, self.problems)).unzip();
        let names = names(&variables, self.sources, section("tools"), &stages);
        let tools = self.tools(section("tools"), &names);
        let vars = section("vars");
        let mut drafts = Vec::new();
        for (stage, likes) in stages.iter().zip(&likes) {
            let before = self.problems.len();
            drafts.extend(self.draft(stage, &names, vars, templates.lacks(likes)));
            templates.blame(before, likes.iter(), self.problems);
        }
        let outputs = self.outputs(section("outputs"), &drafts, &names);
        for draft in &drafts {
            check::references(Some(draft), &draft.found.outputs, &drafts, &names, self.problems);
        }
        let used = used(vars, [section("tools"), section("outputs")], &stages, &variables);
        let assembled = check::assemble(drafts, |draft| declaration(&draft.table), self.problems);
        templates.blame(0, likes.iter().flatten(), self.problems);
        let stages = assembled?;
        let word = |key: &str| tree.get(key).and_then(Node::as_str).map(str::to_string);
        Some(Pipeline {
            name: word("name").unwrap_or_else(|| default_name(path)),
            description: word("description").unwrap_or_default(),
            file: path.to_owned(),
            dirs: self.sources.files.iter().map(|file| file.dir().to_owned()).collect(),
            tools,
            outputs,
            stages,
            used,
            unused_templates: templates.unused(|at| self.sources.file_of(at.start) == 0),
            hash: self.sources.hash(),
            vars: variables.into_values(),
            variants: Vec::new(),
            tried: None,
            lacking: BTreeMap::new(),
        })
    }

    /// Keys outside of stages, and types, as far as they do not depend on variables.
    fn top_level(&mut self, tree: &Table) {
        let shape = Shape::file(self.options.kinds.schema());
        for entry in &tree.entries {
            let key = entry.key.as_str();
            if !shape.keys().contains(key) {
                let problem = decode::unknown_key(key, entry.at.clone(), "a pipeline", &shape);
                self.problems.push(problem);
                continue;
            }
            let of = shape.key(key);
            match (key, &entry.node.value) {
                ("stage", Value::Array(stages)) => {
                    for stage in stages.iter().filter(|stage| stage.as_table().is_none()) {
                        let message = format!("a stage is a table, not {}", stage.what());
                        self.problems.push(Problem::at(message, stage.span.clone()).help("write it as `[[stage]]`"));
                    }
                }
                ("stage", _) => {
                    let message = "there is one `stage` where an array of them should be";
                    let problem = Problem::at(message, entry.at.clone());
                    self.problems.push(problem.help("begin each stage with `[[stage]]`, in double brackets"));
                }
                ("vars" | "tools" | "outputs", Value::Table(_)) => {}
                _ => {
                    decode::structure(key, &entry.node, &of, self.problems);
                }
            }
        }
        let name = tree.get("name").and_then(|name| Problem::of_name("pipeline", name.as_str()?, &name.span));
        self.problems.extend(name);
        let none = tree.get("stage").is_none_or(|stages| stages.as_array().is_some_and(<[Node]>::is_empty));
        if none && self.problems.is_empty() {
            let message = "the pipeline has no stages";
            self.problems.push(Problem::new(message).help("a pipeline has at least one `[[stage]]`"));
        }
    }

    fn tools(&mut self, section: &Table, names: &Names) -> IndexMap<String, ToolDecl> {
        let mut tools = IndexMap::new();
        let shape = Shape::file(self.options.kinds.schema()).key("tools");
        for entry in &section.entries {
            if !text::is_name(&entry.key) {
                let message =
                    format!("`{}` cannot be the name of a tool: letters, digits, `-`, `_` and `+`", entry.key);
                self.problems.push(Problem::at(message, entry.at.clone()));
            }
            let node = Substitution::new(names, Owner::Tools, self.problems).node(&entry.node, &shape.key(&entry.key));
            let Ok(node) = node else { continue };
            if let Some(tool) = decode::tool(&entry.key, &node, &shape.key(&entry.key), self.problems) {
                tools.insert(entry.key.clone(), tool);
            }
        }
        tools
    }

    /// A stage that lacks a template is not read: what it seems to need may stand there.
    fn draft(&mut self, stage: &Node, names: &Names, vars: &Table, lacks: bool) -> Option<Draft> {
        let table = stage.as_table()?;
        let (name, at) = merge::stage_name(stage).unwrap_or(("", &stage.span));
        if table.get("name").and_then(Node::as_str).is_some() {
            check::stage_name(name, at, names, self.problems);
        }
        let on = !names.off.contains(name);
        let (fixed, open) = table.entries.iter().cloned().partition(|entry| matches!(&*entry.key, "name" | "kind"));
        let mut substitution = Substitution::new(names, Owner::Stage { on }, self.problems);
        let shape = Shape::stage(self.options.kinds.schema(), merge::kind_word(table));
        let (open, broken) = substitution.entries(&Table { entries: open }, &shape);
        let found = substitution.found;
        let mut substituted = Table { entries: fixed };
        substituted.entries.extend(open.entries);
        let written = Written { table, span: &stage.span, at, broken };
        let kinds = self.options.kinds;
        let decoded = if lacks { None } else { read_stage(kinds, &substituted, &written, self.problems) };
        let switch = |(key, off): (&str, bool)| {
            let text = Text::parse(table.get(key)?.as_str()?).ok()?;
            text.variables().first().map(|variable| format!("{variable}={off}"))
        };
        let off_with = [("when", false), ("unless", true)].into_iter().filter_map(switch).collect();
        let variable = |entry: &Entry| match Text::parse(entry.node.as_str()?).ok()?.pieces.as_slice() {
            [Piece::Var(name)] if names.variables.get(name).is_some() => Some((entry.key.clone(), name.clone())),
            _ => None,
        };
        let variables = table.entries.iter().filter_map(variable).collect();
        let uses = vars::uses([stage], vars, names.variables);
        let origin = Origin { off_with, variables, uses, ..Origin::default() };
        if let Some(kept) = self.kept.as_mut().filter(|_| on) {
            kept.push(Kept { name: name.into(), table: substituted.clone(), written: stage.clone() });
        }
        let text = toml::Table::from_iter([("stage".into(), toml::Value::Array(vec![stage.to_toml()]))]).to_string();
        Some(Draft { name: name.into(), at: at.clone(), on, table: substituted, found, origin, text, decoded })
    }

    fn outputs(&mut self, section: &Table, drafts: &[Draft], names: &Names) -> IndexMap<String, OutputDecl> {
        let mut outputs = IndexMap::new();
        let shape = Shape::file(self.options.kinds.schema()).key("outputs");
        for entry in &section.entries {
            if !decode::structure(&entry.key, &entry.node, &shape.key(&entry.key), self.problems) {
                continue;
            }
            let plain = |part: Utf8Component| matches!(part, Utf8Component::Normal(_));
            if entry.key.is_empty() || !Utf8Path::new(&entry.key).components().all(plain) {
                let message = format!("`{}` must be a path below `out/NAME`, without `..`", entry.key);
                self.problems.push(Problem::at(message, entry.at.clone()));
            }
            let inside = |other: &&Entry| other.key != entry.key && Utf8Path::new(&entry.key).starts_with(&other.key);
            if let Some(other) = section.entries.iter().find(inside) {
                let message = format!("`{}` lies in `{}`, which is another output", entry.key, other.key);
                let problem = Problem::at(message, entry.at.clone()).mark(other.at.clone(), "this one");
                self.problems.push(problem.help("each would replace the other; give it a path of its own"));
            }
            let declared = merge::long(entry.node.clone(), "from");
            let Some(node) = declared.get("from") else { continue };
            let mut substitution = Substitution::new(names, Owner::Outputs, self.problems);
            let Ok(from) = substitution.text(node.as_str().unwrap_or_default(), &node.span) else { continue };
            let found = substitution.found.outputs;
            check::references(None, &found, drafts, names, self.problems);
            if !matches!(from.pieces.first(), Some(Piece::Outputs(_))) {
                let problem = Problem::at("an output of the pipeline is an output of a stage", node.span.clone());
                self.problems.push(problem.help("write it as `\"${stage.output}\"`"));
            }
            let judge = declared.get("unless-slower").and_then(|node| Some((node.as_str()?, &node.span)));
            if let Some((stage, at)) = judge {
                check::compares(stage, at, drafts, self.problems);
            }
            let unless_slower = judge.map(|(stage, _)| stage.to_owned());
            outputs.insert(entry.key.clone(), OutputDecl { from, unless_slower });
        }
        outputs
    }
}

/// The variables that count whatever is on.
fn used(vars: &Table, sections: [&Table; 2], stages: &[Node], variables: &Variables) -> BTreeSet<String> {
    let switches = stages.iter().flat_map(|stage| ["when", "unless"].into_iter().filter_map(|key| stage.get(key)));
    let sections = sections.into_iter().flat_map(|section| section.entries.iter().map(|entry| &entry.node));
    vars::uses(switches.chain(sections), vars, variables)
}

/// What the pipeline declares.
fn names<'n>(variables: &'n Variables, sources: &'n Sources, tools: &Table, stages: &[Node]) -> Names<'n> {
    let named = stages.iter().filter_map(|stage| Some((stage, merge::stage_name(stage)?)));
    let off = named.clone().filter(|(stage, _)| {
        let is = |key: &str, wanted: bool| {
            let Some(node) = stage.get(key) else { return false };
            let value = variables.alone(node).map(|variable| &variable.value);
            node.value == Value::Boolean(wanted) || value == Some(&VarValue::Bool(wanted))
        };
        is("when", false) || is("unless", true)
    });
    Names {
        variables,
        off: off.map(|(_, (name, _))| name.to_string()).collect(),
        stages: named.map(|(_, (name, at))| (name.to_string(), at.clone())).collect(),
        tools: tools.entries.iter().map(|entry| entry.key.clone()).collect(),
        sources,
    }
}

/// The name of the file, or of the directory that it is the `pipeline.toml` of.
fn default_name(path: &Utf8Path) -> String {
    let stem = path.file_stem().unwrap_or("pipeline");
    let dir = path.parent().and_then(Utf8Path::file_name);
    dir.filter(|_| stem == "pipeline").unwrap_or(stem).to_string()
}

/// Keys that change neither what a stage makes nor how.
const LEFT_OUT: [&str; 22] = [
    "name",
    "description",
    "costs",
    "when",
    "unless",
    "jobs",
    "timeout",
    "max-log",
    "retries",
    "on-failure",
    "memory",
    "exclusive",
    "after",
    "remove",
    "disk-budget",
    "max-damaged",
    "min-instrumented",
    "min-total",
    "min-functions",
    "min-hot",
    "grace",
    // What they name is in the fingerprint by its content.
    "inputs",
];

/// The keys of a stage whose variables are replaced, except paths and secrets, which stay references.
pub(super) fn declaration(stage: &Table) -> BTreeMap<String, String> {
    let counted = stage.entries.iter().filter(|entry| !LEFT_OUT.contains(&entry.key.as_str()));
    counted.map(|entry| (entry.key.clone(), value(&entry.node))).collect()
}

/// A value as JSON with sorted keys.
fn value(node: &Node) -> String {
    match &node.value {
        Value::String(text) => match Text::parse(text) {
            Ok(text) => quoted(&text.to_string()),
            Err(_) => quoted(text),
        },
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(",")),
        Value::Table(table) => {
            // The time that a workload or a test may take is not part of what it makes either, nor what runs at the same time.
            // Nor is what a side of a comparison is said to be.
            let of_command = |key: &str| ["timeout", "alone", "lock"].contains(&key) && table.get("run").is_some();
            let of_side = |key: &str| key == "description" && table.get("program").is_some();
            let left_out = |key: &str| of_command(key) || of_side(key);
            let counted = table.entries.iter().filter(|entry| !left_out(&entry.key));
            let entries: BTreeMap<&str, &Node> = counted.map(|entry| (entry.key.as_str(), &entry.node)).collect();
            let entries: Vec<String> =
                entries.into_iter().map(|(key, node)| format!("{}:{}", quoted(key), value(node))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Other(what) => quoted(what),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Finds the file of a shipped pipeline by its name.
pub type Shipped<'a> = &'a dyn Fn(&str) -> Result<Utf8PathBuf, FindError>;

/// More files than that are a mistake.
const MOST_FILES: usize = 64;

/// Reads a pipeline file and those that it extends into one tree. Unaware of what a pipeline is, except for `extends`.
pub(super) struct Reader<'a> {
    sources: &'a mut Sources,
    problems: &'a mut Vec<Problem>,
    /// Paths are shown relative to it.
    cwd: &'a Utf8Path,
    shipped: Shipped<'a>,
    /// Nothing is missing: every file could be read and parsed.
    pub complete: bool,
    /// Files that were read, with all that they extend.
    done: HashMap<Utf8PathBuf, Option<Table>>,
    /// Files that are being read, outermost first.
    open: Vec<(Utf8PathBuf, String)>,
    /// How many there are in these files.
    stages: usize,
    variables: usize,
}

impl<'a> Reader<'a> {
    pub fn new(
        sources: &'a mut Sources,
        problems: &'a mut Vec<Problem>,
        cwd: &'a Utf8Path,
        shipped: Shipped<'a>,
    ) -> Reader<'a> {
        let (done, open) = (HashMap::new(), Vec::new());
        Reader { sources, problems, cwd, shipped, complete: true, done, open, stages: 0, variables: 0 }
    }

    /// Reads the file at an absolute path; `from` is where another file asks for it. None when that is impossible; then
    /// there is a problem that says why.
    pub fn file(&mut self, path: &Utf8Path, from: Option<Range<usize>>) -> Option<Table> {
        let table = self.chain(path, from);
        self.complete &= table.is_some();
        table
    }

    fn chain(&mut self, path: &Utf8Path, from: Option<Range<usize>>) -> Option<Table> {
        let path = &resolved(path);
        let below = path.strip_prefix(self.cwd).ok().filter(|below| !below.as_str().is_empty());
        let shown = below.unwrap_or(path).to_string();
        let problem = |message: String| match from.clone() {
            Some(span) => Problem::at(message, span),
            None => Problem::new(message),
        };
        // What cannot be resolved cannot be read either, and reading says why.
        let identity = path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned());
        if let Some(begin) = self.open.iter().position(|(open, _)| *open == identity) {
            let mut ring: Vec<&str> = self.open[begin..].iter().map(|(_, shown)| shown.as_str()).collect();
            ring.push(&shown);
            self.problems.push(problem(format!("files extend each other in a circle: {}", ring.join(" -> "))));
            return None;
        }
        if let Some(done) = self.done.get(&identity) {
            return done.clone();
        }
        if self.sources.files.len() >= MOST_FILES {
            self.problems.push(problem(format!("more than {MOST_FILES} files extend each other")));
            return None;
        }
        let text = match error::read(path, &shown) {
            Ok(text) => text,
            Err(message) => {
                let help = match from {
                    _ if path.exists() => "",
                    Some(_) => "a path in `extends` is relative to the directory of the file that it stands in",
                    None => "`optbuild list` shows the pipelines that have a name",
                };
                self.problems.push(problem(message).help(help));
                return None;
            }
        };
        let file = self.sources.add(path.to_owned(), shown.clone(), text);
        self.open.push((identity.clone(), shown));
        let table = self.parse(file).map(|table| self.extend(file, table));
        self.open.pop();
        self.done.insert(identity, table.clone());
        table
    }

    fn parse(&mut self, file: usize) -> Option<Table> {
        let source = &self.sources.files[file];
        let (tree, errors) = DeTable::parse_recoverable(&source.text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let span = span.start + source.base..span.end + source.base;
            self.problems.push(Problem::at(format!("not valid TOML: {}", error.message()), span));
        }
        if !errors.is_empty() {
            return None;
        }
        if tree.get_ref().is_empty() {
            let message = if source.text.trim().is_empty() { "is empty" } else { "has nothing but comments" };
            let message = format!("`{}` {message}", source.shown);
            self.problems.push(Problem::new(message).help("a pipeline has at least one `[[stage]]`"));
            return None;
        }
        let table = tree::table(tree.into_inner(), source.base);
        self.count(&table)?;
        Some(table)
    }

    /// Counts what is in a file, together with those that were read before: merging looks at each for each.
    fn count(&mut self, table: &Table) -> Option<()> {
        let counts = [(&mut self.stages, "stage", limit::STAGES), (&mut self.variables, "vars", limit::VARIABLES)];
        for (count, key, limit) in counts {
            *count += match table.get(key).map(|node| &node.value) {
                Some(Value::Array(items)) => items.len(),
                Some(Value::Table(table)) => table.entries.len(),
                _ => 0,
            };
            if *count > limit {
                let what = if key == "stage" { "stages" } else { "variables" };
                self.problems
                    .push(Problem::new(format!("the pipeline has {count} {what}, more than the limit of {limit}")));
                return None;
            }
        }
        Some(())
    }

    /// Lays a file on those that it extends.
    fn extend(&mut self, file: usize, mut table: Table) -> Table {
        let of_experiment = table.remove("pipeline");
        if let (Some(node), true) = (&of_experiment, table.get("extends").is_some()) {
            let problem = Problem::at("a file has `extends` or `pipeline`, not both", node.span.clone());
            self.problems
                .push(problem.help("`pipeline` names the one that is experimented with; it may extend others"));
        }
        let Some(extends) = table.remove("extends").or(of_experiment) else {
            return merge::files(Table::default(), table, self.problems);
        };
        let dir = self.sources.files[file].dir().to_owned();
        let mut base = Table::default();
        for name in extends.one_or_more() {
            let Some(below) = name.as_str() else {
                let message = format!("`extends` takes paths, not {}", name.what());
                let problem = Problem::at(message, name.span.clone());
                self.problems.push(problem.help("write it as `extends = \"base.toml\"`"));
                continue;
            };
            let mut path = normal(&dir.join(below));
            if !is_path(below, &dir) {
                match (self.shipped)(below) {
                    Ok(shipped) => path = shipped,
                    // Unless a directory of names is at hand, the file that is not there is what is told of.
                    Err(FindError::Unknown { known, .. }) if known.is_empty() => {}
                    Err(error) => {
                        self.problems.push(Problem::at(error.to_string(), name.span.clone()));
                        self.complete = false;
                        continue;
                    }
                }
            }
            if let Some(below) = self.file(&path, Some(name.span.clone())) {
                base = merge::files(base, below, self.problems);
            }
        }
        merge::files(base, table, self.problems)
    }
}
