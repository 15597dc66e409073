//! Variables: from `[vars]`, `--set` and the environment to values.
//!
//! The value is that of `--set`, else of the environment, else the default. Also finds what changes nothing: variables that were given a
//! value which no stage that is on uses, and templates that no stage is like. What uses a variable is what the files say: once references
//! are replaced, a value does not tell where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use indexmap::IndexMap;

use super::decode;
use super::error::{Problem, Sources, list};
use super::limit::{self, Room};
use super::merge::long;
use super::schema::{Shape, VarType};
use super::text::{Piece, Text};
use super::tree::{Node, Table, Value};
use super::{LoadOptions, Pipeline, Stage, VarValue, Variable, normal};

/// A variable that was declared.
#[derive(Debug)]
pub(super) struct Declared {
    pub name: String,
    pub at: Range<usize>,
    /// None if there is a problem with it, which was reported.
    pub variable: Option<Variable>,
}

/// Variables in the order of their declaration.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub declared: Vec<Declared>,
    /// For their values, and for texts that these are put into.
    pub room: Room,
}

impl Variables {
    pub fn get(&self, name: &str) -> Option<&Declared> {
        self.declared.iter().find(|declared| declared.name == name)
    }
    /// The variable that a string is a reference to and nothing else.
    pub fn alone(&self, node: &Node) -> Option<&Variable> {
        let text = Text::parse(node.as_str()?).ok()?;
        match text.pieces.as_slice() {
            [Piece::Var(name)] => self.get(name)?.variable.as_ref(),
            _ => None,
        }
    }
    /// The variables that have a value.
    pub fn into_values(self) -> IndexMap<String, Variable> {
        self.declared.into_iter().filter_map(|declared| Some((declared.name, declared.variable?))).collect()
    }
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(|declared| declared.name.as_str())
    }
}

/// The variable of the environment that sets a variable.
pub fn env_name(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("OPTBUILD_VAR_{}", name.chars().map(plain).collect::<String>())
}

/// Gives every variable of `[vars]` its value.
pub(super) fn resolve(
    vars: &Table,
    options: &LoadOptions,
    sources: &Sources,
    problems: &mut Vec<Problem>,
) -> Variables {
    let given = given(vars, options.set, problems);
    let mut variables = Variables::default();
    for entry in &vars.entries {
        let name = entry.key.clone();
        let before = problems.len();
        problems.extend(Problem::of_name("variable", &name, &entry.at));
        if let Some(other) = variables.declared.iter().find(|other| env_name(&other.name) == env_name(&name)) {
            let message = format!("`{}` and `{name}` would both be set by {}", other.name, env_name(&name));
            let problem = Problem::at(message, entry.at.clone()).mark(other.at.clone(), format!("`{}`", other.name));
            problems.push(problem.help("give one of them a name that differs in more than its signs"));
        }
        let shape = Shape::definition(
            options.kinds.schema(),
            if entry.node.as_table().is_some() { "VarDecl" } else { "Plain" },
        );
        decode::structure(&name, &entry.node, &shape, problems);
        let mut variable = None;
        if let Value::Table(table) = long(entry.node.clone(), "default").value
            && problems.len() == before
        {
            let given = given.get(name.as_str()).map_or(&[][..], Vec::as_slice);
            let of_caller = table.get("relative-to").and_then(Node::as_str) == Some("caller");
            let (secret, at) = (is_true(&table, "secret"), &entry.at);
            let mut resolver =
                Resolver { name: &name, at, secret, vars, options, sources, earlier: &variables, of_caller, problems };
            variable = resolver.variable(&table, given);
        }
        variables.declared.push(Declared { name, at: entry.at.clone(), variable });
    }
    variables
}

/// The values of `--set`, by name.
fn given<'a>(vars: &Table, set: &'a [String], problems: &mut Vec<Problem>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for argument in set {
        let names = || vars.entries.iter().map(|entry| entry.key.as_str());
        match argument.split_once('=') {
            None => problems.push(Problem::new(format!("`--set {argument}` has no value; write `--set NAME=VALUE`"))),
            Some((name, _)) if vars.get(name).is_none() => {
                let problem = Problem::new(format!("`--set {name}=…`: the pipeline has no variable `{name}`"));
                problems.push(problem.suggest(name, names()));
            }
            Some((name, value)) => given.entry(name).or_default().push(value),
        }
    }
    given
}

fn is_true(table: &Table, key: &str) -> bool {
    matches!(table.get(key), Some(Node { value: Value::Boolean(true), .. }))
}

/// Finds the value of one variable.
struct Resolver<'a> {
    name: &'a str,
    at: &'a Range<usize>,
    secret: bool,
    /// All of `[vars]`.
    vars: &'a Table,
    options: &'a LoadOptions<'a>,
    sources: &'a Sources,
    /// What stands before it.
    earlier: &'a Variables,
    /// Relative paths are relative to where optbuild was called.
    of_caller: bool,
    problems: &'a mut Vec<Problem>,
}

impl Resolver<'_> {
    fn variable(&mut self, table: &Table, given: &[&str]) -> Option<Variable> {
        let secret = self.secret;
        let kind = self.kind(table)?;
        if secret && !matches!(kind, VarType::String | VarType::Path) {
            let message = format!("`{}` is secret, so its type must be `string` or `path`", self.name);
            self.problems.push(Problem::at(message, self.at.clone()));
            return None;
        }
        let declared = table.get("default");
        let default = declared.map(|node| Some((self.value(node, kind)?, node.span.clone())));
        let default = if default.is_some() { Some(default.flatten()?) } else { None };
        let choices = table.get("choices").map(|node| {
            let element = if kind == VarType::List { VarType::String } else { kind };
            let nodes = node.as_array().unwrap_or_default();
            nodes.iter().map(|node| Some(self.value(node, element)?.to_string())).collect::<Option<Vec<String>>>()
        });
        let choices = if choices.is_some() { Some(choices.flatten()?) } else { None };
        let (value, origin) = self.choose(given, kind, default, is_true(table, "required"))?;
        self.check_choice(&value, choices.as_deref(), &origin)?;
        let given = match origin {
            Origin::Caller(source) => Some(source),
            Origin::Default(_) => None,
        };
        let description = table.get("description").and_then(Node::as_str).unwrap_or_default().into();
        let default = declared.filter(|_| !secret).map(as_written);
        let choices = choices.filter(|_| !secret).unwrap_or_default();
        Some(Variable { value, kind, default, choices, secret, given, description })
    }

    fn kind(&mut self, table: &Table) -> Option<VarType> {
        if let Some(node) = table.get("type") {
            let word = node.as_str().unwrap_or_default();
            let found = VarType::ALL.iter().find(|(_, name)| *name == word);
            if found.is_none() {
                let problem = Problem::at(format!("`{word}` is not a type"), node.span.clone());
                self.problems.push(problem.suggest(word, VarType::ALL.iter().map(|(_, name)| *name)));
            }
            return found.map(|(kind, _)| *kind);
        }
        Some(match table.get("default").map(|node| &node.value) {
            Some(Value::Boolean(_)) => VarType::Bool,
            Some(Value::Integer(_)) => VarType::Int,
            Some(Value::Array(_)) => VarType::List,
            _ => VarType::String,
        })
    }

    /// From `--set`, the environment, the default, or nothing; with what it came from.
    fn choose(
        &mut self,
        given: &[&str],
        kind: VarType,
        default: Option<(VarValue, Range<usize>)>,
        required: bool,
    ) -> Option<(VarValue, Origin)> {
        let env = env_name(self.name);
        let from_env;
        let (texts, source) = match given {
            // An empty variable of the environment is how many CI systems say that there is none.
            [] => {
                from_env = (self.options.env)(&env).filter(|value| !value.is_empty());
                (from_env.as_deref().into_iter().collect(), env.clone())
            }
            given => (given.to_vec(), format!("--set {}", self.name)),
        };
        if !texts.is_empty() {
            return match self.convert(&texts, kind) {
                Ok(value) => Some((value, Origin::Caller(source))),
                Err(text) => {
                    let shown = if self.secret { "…" } else { text };
                    let message = format!("`{source}={shown}`: `{}` is {}", self.name, of_type(kind));
                    self.problems.push(Problem::new(message).mark(self.at.clone(), "declared here"));
                    None
                }
            };
        }
        if let Some((value, span)) = default {
            return Some((value, Origin::Default(span)));
        }
        let empty = match kind {
            _ if required && !self.options.incomplete => None,
            // Where an empty path is none.
            VarType::Path if required => Some(VarValue::Path("…".into())),
            VarType::String => Some(VarValue::String(String::new())),
            VarType::Path => Some(VarValue::Path("".into())),
            VarType::List => Some(VarValue::List(Vec::new())),
            VarType::Bool => Some(VarValue::Bool(false)),
            VarType::Int if required => Some(VarValue::Int(0)),
            VarType::Int => None,
        };
        if empty.is_none() {
            let message = format!("the variable `{}` has no value", self.name);
            let help = format!("set it with `--set {}=…` or in the environment as {env}", self.name);
            self.problems.push(Problem::at(message, self.at.clone()).help(help));
        }
        Some((empty?, Origin::Default(self.at.clone())))
    }

    /// Reads what the caller gave.
    fn convert<'t>(&self, texts: &[&'t str], kind: VarType) -> Result<VarValue, &'t str> {
        let Some(last) = texts.last().copied() else { return Err("") };
        match kind {
            VarType::String => Ok(VarValue::String(last.into())),
            VarType::Path if last.is_empty() => Ok(VarValue::Path("".into())),
            VarType::Path => Ok(VarValue::Path(normal(&self.options.cwd.join(last)))),
            VarType::Int => last.parse().map(VarValue::Int).map_err(|_| last),
            VarType::Bool => last.parse().map(VarValue::Bool).map_err(|_| last),
            VarType::List => {
                let items = texts.iter().filter(|text| !text.is_empty()).flat_map(|text| list_items(text));
                Ok(VarValue::List(items.collect()))
            }
        }
    }

    fn check_choice(&mut self, value: &VarValue, choices: Option<&[String]>, origin: &Origin) -> Option<()> {
        let Some(choices) = choices else { return Some(()) };
        let elements = match value {
            VarValue::List(items) => items.clone(),
            single => vec![single.to_string()],
        };
        let valid: Vec<&str> = choices.iter().map(String::as_str).collect();
        let Some(wrong) = elements.iter().find(|element| !valid.contains(&element.as_str())) else { return Some(()) };
        let shown = if self.secret { "the value".into() } else { format!("`{wrong}`") };
        let problem = match origin {
            Origin::Caller(source) => Problem::new(format!("`{source}`: {shown} is not among the choices"))
                .mark(self.at.clone(), "declared here"),
            Origin::Default(span) => {
                Problem::at(format!("{shown} is not among the choices of `{}`", self.name), span.clone())
            }
        };
        self.problems.push(match super::error::nearest_of(wrong, valid.iter().copied()) {
            _ if self.secret => problem,
            Some(name) => problem.help(format!("did you mean `{name}`?")),
            None => problem.help(format!("the choices are {}", list(&valid))),
        });
        None
    }
}

/// Where a value came from.
enum Origin {
    /// `--set` or the environment.
    Caller(String),
    Default(Range<usize>),
}

/// A message, and the part of the text that it is about.
type Wrong = (Problem, String);

impl Resolver<'_> {
    /// Reads a default or a choice.
    fn value(&mut self, node: &Node, kind: VarType) -> Option<VarValue> {
        if let Some(other) = self.earlier.alone(node) {
            let fits = matches!(
                (&other.value, kind),
                (VarValue::Bool(_), VarType::Bool)
                    | (VarValue::Int(_), VarType::Int)
                    | (VarValue::List(_), VarType::List)
            );
            if fits {
                return Some(other.value.clone());
            }
        }
        match (&node.value, kind) {
            (Value::Boolean(value), VarType::Bool) => Some(VarValue::Bool(*value)),
            (Value::Integer(number), VarType::Int) => Some(VarValue::Int(*number)),
            (Value::String(_), VarType::String) => self.text(node, kind).map(VarValue::String),
            (Value::String(_), VarType::Path) => {
                let path = self.text(node, kind)?;
                let file = self.sources.files.get(self.sources.file_of(node.span.start))?;
                let dir = if self.of_caller { self.options.cwd } else { file.dir() };
                let path = if path.is_empty() { path.into() } else { normal(&dir.join(path)) };
                Some(VarValue::Path(path))
            }
            (Value::Array(nodes), VarType::List) => {
                let (mut items, mut bytes) = (Vec::new(), 0);
                for node in nodes {
                    let spliced = match self.earlier.alone(node).map(|other| &other.value) {
                        Some(VarValue::List(spliced)) => spliced.as_slice(),
                        _ => &[self.text(node, kind)?],
                    };
                    // An empty element takes memory as well.
                    let more = spliced.iter().map(|item| item.len() + 1).sum::<usize>();
                    bytes += more;
                    if let Err(problem) = limit::check(bytes).and_then(|()| self.earlier.room.take(more)) {
                        self.problems.push(problem.mark(node.span.clone(), ""));
                        return None;
                    }
                    items.extend(spliced.iter().cloned());
                }
                Some(VarValue::List(items))
            }
            _ => {
                let message = format!("`{}` is {}, but this is {}", self.name, of_type(kind), node.what());
                self.problems.push(Problem::at(message, node.span.clone()));
                None
            }
        }
    }

    /// A string with everything in it replaced. A path below one that is not given is not given either.
    fn text(&mut self, node: &Node, kind: VarType) -> Option<String> {
        let source = node.as_str()?;
        let dir = self.sources.files.get(self.sources.file_of(node.span.start))?.dir().as_str();
        let result = match Text::parse(source) {
            Ok(text) => self.pieces(&text, dir, kind),
            Err(error) => {
                let part = source.get(error.range).unwrap_or_default().to_string();
                Err(Some((Problem::new(error.message), part)))
            }
        };
        match result {
            Ok(value) => Some(value),
            Err(None) => None,
            Err(Some((problem, part))) => {
                let start = source.find(&part).unwrap_or(0);
                let span = self.sources.within(&node.span, source, &(start..start + part.len()));
                self.problems.push(problem.mark(span, ""));
                None
            }
        }
    }

    fn pieces(&self, text: &Text, dir: &str, kind: VarType) -> Result<String, Option<Wrong>> {
        let (mut value, mut given) = (String::new(), true);
        for piece in &text.pieces {
            match self.piece(piece, dir, kind)? {
                Some(part) => {
                    let whole = || Text { pieces: vec![piece.clone()] }.to_string();
                    limit::add(&mut value, &part).map_err(|problem| Some((problem, whole())))?;
                }
                None => given = false,
            }
        }
        self.earlier.room.take(value.len()).map_err(|problem| Some((problem, String::new())))?;
        Ok(if given { value } else { String::new() })
    }

    /// The text of a piece; none, if it is a path that is not given. An error without a problem was told elsewhere.
    fn piece(&self, piece: &Piece, dir: &str, kind: VarType) -> Result<Option<String>, Option<Wrong>> {
        let part = Text { pieces: vec![piece.clone()] }.to_string();
        let wrong = |message: &str, help: &str| Err(Some((Problem::new(message).help(help), part.clone())));
        match piece {
            Piece::Literal(literal) if literal.contains('\0') => {
                Err(Some((Problem::new("a NUL character can stand in no path, argument or variable"), part)))
            }
            Piece::Literal(literal) => Ok(Some(literal.clone())),
            Piece::Host => Ok(Some(self.options.host.into())),
            Piece::PipelineDir(_) if kind == VarType::Path => Ok(Some(dir.into())),
            Piece::PipelineDir(_) => {
                wrong(&format!("`{part}` is a path"), &format!("give `{}` the type `path`", self.name))
            }
            Piece::Var(name) => {
                let Some(declared) = self.earlier.get(name) else { return Err(Some((self.not_before(name), part))) };
                let other = declared.variable.as_ref().ok_or(None)?;
                match &other.value {
                    _ if other.secret && !self.secret => {
                        wrong(&format!("`{name}` is secret"), "declare this one `secret = true` too")
                    }
                    VarValue::List(_) => {
                        wrong(&format!("`{name}` is a list"), "it can only be an element of a list, alone")
                    }
                    VarValue::Path(_) if kind != VarType::Path => {
                        wrong(&format!("`{name}` is a path"), "give this one the type `path` too")
                    }
                    VarValue::Path(path) if path.as_str().is_empty() => Ok(None),
                    value => Ok(Some(value.to_string())),
                }
            }
            _ => wrong(
                &format!("`{part}` has no value yet when variables get theirs"),
                "a default can refer to variables before it, and to `${host}`",
            ),
        }
    }

    /// A variable that a default cannot refer to.
    fn not_before(&self, name: &str) -> Problem {
        if name == self.name {
            return Problem::new(format!("`{name}` refers to itself"));
        }
        if self.vars.get(name).is_some() {
            let problem = Problem::new(format!("`{name}` is declared after `{}`", self.name));
            return problem.help("a default can refer to variables that stand before it");
        }
        Problem::new(format!("there is no variable `{name}`")).suggest(name, self.earlier.names())
    }
}

impl VarType {
    pub(super) const ALL: [(VarType, &str); 5] = [
        (VarType::String, "string"),
        (VarType::Path, "path"),
        (VarType::Int, "int"),
        (VarType::Bool, "bool"),
        (VarType::List, "list"),
    ];
}

impl std::fmt::Display for VarType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(VarType::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name))
    }
}

/// What commas separate; `\\,` is a comma.
fn list_items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        let comma = chars.peek() == Some(&',');
        match (char, items.last_mut()) {
            ('\\', Some(item)) if comma => {
                item.push(',');
                chars.next();
            }
            (',', _) => items.push(String::new()),
            (char, Some(item)) => item.push(char),
            (_, None) => {}
        }
    }
    items
}

/// A default as it stands in the file, a list with commas.
fn as_written(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(items) => items.iter().map(as_written).collect::<Vec<_>>().join(","),
        Value::Table(_) | Value::Other(_) => String::new(),
    }
}

fn of_type(kind: VarType) -> &'static str {
    match kind {
        VarType::String => "a string",
        VarType::Path => "a path, which is written as a string",
        VarType::Int => "an integer",
        VarType::Bool => "a boolean: `true` or `false`",
        VarType::List => "a list of strings",
    }
}

/// Something that is there for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idle {
    /// A variable was set.
    Variable {
        /// What set it: `--set train-with`, or a variable of the environment.
        given: String,
        /// What keeps stages from using it, as it comes after "is", and which stages.
        stages: Vec<(String, Vec<String>)>,
    },
    /// A template, by its name.
    Template(String),
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (given, stages) = match self {
            Idle::Variable { given, stages } => (given, stages),
            Idle::Template(name) => return write!(f, "no stage is like the template `{name}`"),
        };
        write!(f, "`{given}` changes nothing: ")?;
        if stages.is_empty() {
            return f.write_str("no stage uses it");
        }
        let group = |(why, names): &(String, Vec<String>)| {
            let is = if names.len() == 1 { "is" } else { "are" };
            format!("`{}`, which {is} {why}", names.join("`, `"))
        };
        write!(f, "it is for {}", stages.iter().map(group).collect::<Vec<_>>().join(", and for "))
    }
}

impl Pipeline {
    /// Finds them. What is supplied in the place of stages counts as well.
    pub fn idle(&self) -> Vec<Idle> {
        let set = self.vars.iter().filter(|(name, variable)| !self.used.contains(*name) && differs(variable));
        let variables = set.filter_map(|(name, variable)| {
            let given = variable.given.clone()?;
            let mut stages: Vec<(String, Vec<String>)> = Vec::new();
            for stage in self.stages.iter().filter(|stage| stage.origin.uses.contains(name)) {
                let why = self.why_not(stage)?;
                match stages.iter_mut().find(|(known, _)| *known == why) {
                    Some((_, names)) => names.push(stage.common.name.clone()),
                    None => stages.push((why, vec![stage.common.name.clone()])),
                }
            }
            Some(Idle::Variable { given, stages })
        });
        variables.chain(self.unused_templates.iter().cloned().map(Idle::Template)).collect()
    }

    /// Why a stage uses none of its variables; none if it does.
    fn why_not(&self, stage: &Stage) -> Option<String> {
        if stage.spared || stage.supplied.is_some() {
            return Some("not needed with `--profiles`".into());
        }
        let holds = |condition: &&String| {
            let (name, wanted) = condition.split_once('=').unwrap_or_default();
            self.vars.get(name).is_some_and(|variable| variable.value.to_string() == wanted)
        };
        let with: Vec<&str> = stage.origin.off_with.iter().filter(holds).map(String::as_str).collect();
        let off = || if with.is_empty() { "off".into() } else { format!("off with `{}`", with.join("` and `")) };
        (!stage.common.when).then(off)
    }
}

/// Whether the value is another than it would be without being given.
fn differs(variable: &Variable) -> bool {
    let none = if variable.kind == VarType::Bool { "false" } else { "" };
    variable.value.to_string() != variable.default.as_deref().unwrap_or(none)
}

/// The variables that these values refer to, and those that their defaults refer to, as far as they have them.
pub(super) fn uses<'n>(
    nodes: impl IntoIterator<Item = &'n Node>,
    vars: &Table,
    variables: &Variables,
) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    nodes.into_iter().for_each(|node| add(node, &mut used));
    let mut open: Vec<String> = used.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let variable = variables.get(&name).and_then(|declared| declared.variable.as_ref());
        let Some(node) = vars.get(&name).filter(|_| variable.is_some_and(|variable| variable.given.is_none())) else {
            continue;
        };
        let mut more = BTreeSet::new();
        add(node, &mut more);
        open.extend(more.into_iter().filter(|name| used.insert(name.clone())));
    }
    used
}

/// Adds the variables that are referred to anywhere in a value.
fn add(node: &Node, used: &mut BTreeSet<String>) {
    match &node.value {
        Value::String(source) => used.extend(Text::parse(source).unwrap_or_default().variables()),
        Value::Array(items) => items.iter().for_each(|item| add(item, used)),
        Value::Table(table) => table.entries.iter().for_each(|entry| add(&entry.node, used)),
        Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => {}
    }
}
