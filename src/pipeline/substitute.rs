//! Replaces references to variables by their values, and checks all references on the way.
//!
//! `for` is replaced as well: one workload or test becomes one for every combination of values.
//!
//! What is known when a pipeline is loaded goes in; what has its value later (paths, secrets, outputs, places) stays a
//! reference. Knows where a value stands and what its shape is, not what it is for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::error::{Problem, Sources};
use super::limit;
use super::schema::Shape;
use super::text::{OutputRef, Piece, Text, TextError};
use super::tree::{Entry, Node, Table, Value};
use super::value::split_line;
use super::vars::Variables;
use super::{VarValue, Variable};

/// The names that a pipeline declares.
pub(super) struct Names<'a> {
    pub variables: &'a Variables,
    /// Stages in their order, and where their names stand.
    pub stages: Vec<(String, Range<usize>)>,
    /// Stages that are switched off.
    pub off: BTreeSet<String>,
    pub tools: BTreeSet<String>,
    pub sources: &'a Sources,
}

/// What a text belongs to; decides what it may refer to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    Tools,
    Outputs,
    Stage { on: bool },
}

/// What was found while references were replaced.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Every reference to outputs: where it stands, and the stages of it that count.
    pub outputs: Vec<(Range<usize>, Vec<OutputRef>)>,
    /// Variables of type path.
    pub paths: BTreeSet<String>,
    /// Lists without an element, which have left nothing of something with a `for`.
    pub emptied: Vec<String>,
}

/// A problem was reported, and there is no value.
pub(super) struct Broken;

/// Replaces references in the values of one owner.
pub(super) struct Substitution<'a> {
    pub names: &'a Names<'a>,
    pub owner: Owner,
    /// Names of a `for` matrix with their values of this turn.
    pub locals: BTreeMap<String, Text>,
    pub found: Found,
    pub problems: &'a mut Vec<Problem>,
    /// A path without a value was referred to.
    pub empty_path: bool,
}

impl<'a> Substitution<'a> {
    pub fn new(names: &'a Names<'a>, owner: Owner, problems: &'a mut Vec<Problem>) -> Substitution<'a> {
        let found = Found::default();
        Substitution { names, owner, locals: BTreeMap::new(), found, problems, empty_path: false }
    }

    pub fn node(&mut self, node: &Node, shape: &Shape) -> Result<Node, Broken> {
        let value = match &node.value {
            Value::String(source) if shape.is("Words") => return self.line(source, node, shape),
            Value::String(source) => return self.string(source, node, shape),
            Value::Array(items) => Value::Array(self.array(items, shape)?),
            Value::Table(table) => Value::Table(self.table(table, shape)?),
            other => other.clone(),
        };
        Ok(Node::new(node.span.clone(), value))
    }

    /// A table, without the optional keys whose value is a variable that is empty.
    pub fn table(&mut self, table: &Table, shape: &Shape) -> Result<Table, Broken> {
        match self.entries(table, shape) {
            (table, false) => Ok(table),
            (_, true) => Err(Broken),
        }
    }

    /// Like [`Substitution::table`], with the keys that are in order, and whether others are not.
    pub fn entries(&mut self, table: &Table, shape: &Shape) -> (Table, bool) {
        let (known, required) = (shape.keys(), shape.required());
        let shell = table.get("shell").is_some_and(|shell| self.is_true(shell));
        let mut entries = Vec::new();
        let mut broken = false;
        for entry in &table.entries {
            let key = entry.key.as_str();
            let of = shape.key(key);
            let optional = known.contains(key) && !required.contains(&key) && of.takes("string");
            if optional && self.is_empty_variable(&entry.node) {
                continue;
            }
            self.empty_path = false;
            let node = match &entry.node.value {
                Value::String(script) if shell && of.is("Words") && !of.is("CommandLine") => {
                    self.string(script, &entry.node, &Shape::any())
                }
                _ => self.node(&entry.node, &of),
            };
            match node {
                // A directory to look in that is below a path that is not given.
                Ok(_) if self.owner == Owner::Tools && self.empty_path => {}
                Ok(node) => entries.push(Entry { node, ..entry.clone() }),
                Err(Broken) => broken = true,
            }
        }
        (Table { entries }, broken)
    }

    /// Whether a value is `true`, by itself or by a variable.
    fn is_true(&self, node: &Node) -> bool {
        let variable = self.names.variables.alone(node);
        node.value == Value::Boolean(true) || variable.is_some_and(|variable| variable.value == VarValue::Bool(true))
    }

    fn is_empty_variable(&self, node: &Node) -> bool {
        self.names.variables.alone(node).is_some_and(|variable| match &variable.value {
            VarValue::String(text) => text.is_empty(),
            VarValue::Path(path) => path.as_str().is_empty(),
            _ => false,
        })
    }

    fn array(&mut self, items: &[Node], shape: &Shape) -> Result<Vec<Node>, Broken> {
        let shape = shape.item();
        let mut out = Vec::new();
        let mut broken = false;
        for item in items {
            let several = match &item.value {
                Value::Table(table) if shape.keys().contains("for") && table.get("for").is_some() => {
                    self.matrix(item, table, &shape)
                }
                _ => self.element(item, &shape),
            };
            match several {
                Ok(several) => out.extend(several),
                Err(Broken) => broken = true,
            }
        }
        if broken { Err(Broken) } else { Ok(out) }
    }

    /// An element of an array: several, if it is a list alone.
    fn element(&mut self, item: &Node, shape: &Shape) -> Result<Vec<Node>, Broken> {
        if let Some(Variable { value: VarValue::List(values), .. }) = self.names.variables.alone(item)
            && !shape.takes("array")
        {
            return self.strings(values, &item.span);
        }
        Ok(vec![self.node(item, shape)?])
    }

    /// A command that is written as a line.
    fn line(&mut self, line: &str, node: &Node, shape: &Shape) -> Result<Node, Broken> {
        let words = match split_line(line) {
            Ok(words) => words,
            Err(message) => {
                self.problems.push(Problem::at(message, node.span.clone()));
                return Err(Broken);
            }
        };
        let words: Vec<Node> =
            words.into_iter().map(|word| Node::new(node.span.clone(), Value::String(word))).collect();
        let words = self.array(&words, shape)?;
        Ok(Node::new(node.span.clone(), Value::Array(words)))
    }

    /// Strings as values, in the form that references are read from.
    fn strings(&mut self, values: &[String], span: &Range<usize>) -> Result<Vec<Node>, Broken> {
        self.take(values.iter().map(|value| value.len() + 1).sum(), span)?;
        let encoded = values.iter().map(|value| Text::literal(value.as_str()).encode());
        Ok(encoded.map(|value| Node::new(span.clone(), Value::String(value))).collect())
    }

    fn string(&mut self, source: &str, node: &Node, shape: &Shape) -> Result<Node, Broken> {
        let typed = match self.names.variables.alone(node).map(|variable| &variable.value) {
            Some(VarValue::Bool(value)) if shape.takes("boolean") => Some(Value::Boolean(*value)),
            Some(VarValue::Int(number)) if shape.takes("integer") => Some(Value::Integer(*number)),
            Some(VarValue::List(items)) if shape.takes("array") => Some(Value::Array(self.strings(items, &node.span)?)),
            _ => None,
        };
        let value = match typed {
            Some(value) => value,
            None => Value::String(self.text(source, &node.span)?.encode()),
        };
        Ok(Node::new(node.span.clone(), value))
    }

    /// A string with its references replaced or kept.
    pub fn text(&mut self, source: &str, span: &Range<usize>) -> Result<Text, Broken> {
        let within = |part: Range<usize>| self.names.sources.within(span, source, &part);
        if let Some(at) = source.find('\0') {
            let message = "a NUL character can stand in no path, argument or variable";
            self.problems.push(Problem::at(message, within(at..at + 1)));
            return Err(Broken);
        }
        let (parsed, errors) = parse_all(source);
        let mut broken = !errors.is_empty();
        self.problems.extend(errors.into_iter().map(|error| Problem::at(error.message, within(error.range))));
        let (mut text, mut bytes) = (Text::default(), 0);
        for piece in parsed.pieces {
            let written = Text { pieces: vec![piece.clone()] }.to_string();
            // The reference as the file has it: there may be spaces in it that the piece does not tell of.
            let start = source.find(&written);
            let at = start.map_or_else(|| span.clone(), |start| within(start..start + written.len()));
            match self.piece(piece, at.clone()) {
                Ok(pieces) => {
                    bytes += pieces.iter().map(literal_bytes).sum::<usize>();
                    if let Err(problem) = limit::check(bytes) {
                        self.problems.push(problem.mark(at, ""));
                        return Err(Broken);
                    }
                    pieces.into_iter().for_each(|piece| text.push(piece));
                }
                Err(Some(problem)) => {
                    self.problems.push(*problem);
                    broken = true;
                }
                Err(None) => broken = true,
            }
        }
        self.take(bytes, span)?;
        if broken { Err(Broken) } else { Ok(text) }
    }

    /// Takes of the room that texts with values have.
    fn take(&mut self, bytes: usize, span: &Range<usize>) -> Result<(), Broken> {
        self.names.variables.room.take(bytes).map_err(|problem| {
            self.problems.push(problem.mark(span.clone(), ""));
            Broken
        })
    }

    /// What a piece becomes. An error without a problem: it was reported elsewhere.
    fn piece(&mut self, piece: Piece, at: Range<usize>) -> Result<Vec<Piece>, Option<Box<Problem>>> {
        let wrong = |message: &str| Err(Some(Box::new(Problem::at(message, at.clone()))));
        match (piece, self.owner) {
            (Piece::Var(name), _) => self.variable(name, at),
            (Piece::PipelineDir(_), _) => Ok(vec![Piece::PipelineDir(self.names.sources.file_of(at.start))]),
            (Piece::Outputs(candidates), Owner::Stage { .. } | Owner::Outputs) => {
                let on = |candidate: &OutputRef| !self.names.off.contains(&candidate.stage);
                let mut usable: Vec<OutputRef> = candidates.iter().filter(|c| on(c)).cloned().collect();
                self.found.outputs.push((at, candidates.clone()));
                if usable.is_empty() {
                    usable = candidates;
                }
                Ok(vec![Piece::Outputs(usable)])
            }
            (Piece::Tool(name), Owner::Stage { .. }) => {
                if self.names.tools.contains(&name) {
                    return Ok(vec![Piece::Tool(name)]);
                }
                let problem = Problem::at(format!("there is no tool `{name}` in `[tools]`"), at);
                Err(Some(Box::new(problem.suggest(&name, self.names.tools.iter().map(String::as_str)))))
            }
            (Piece::Outputs(_) | Piece::Tool(_), Owner::Tools) => {
                wrong("a tool is looked for before any stage has run; only variables can say where it is")
            }
            (Piece::SelfOut | Piece::SelfBuild | Piece::SelfCompiler { .. }, Owner::Tools | Owner::Outputs) => {
                wrong("`self` is a stage's own directory, and this is no stage")
            }
            (Piece::Jobs, Owner::Tools | Owner::Outputs) => wrong("`jobs` belongs to a stage, and this is no stage"),
            (Piece::Tool(_), Owner::Outputs) => wrong("a tool is not an output of a stage"),
            (other, _) => Ok(vec![other]),
        }
    }

    fn variable(&mut self, name: String, at: Range<usize>) -> Result<Vec<Piece>, Option<Box<Problem>>> {
        if let Some(local) = self.locals.get(&name) {
            return Ok(local.pieces.clone());
        }
        let Some(declared) = self.names.variables.get(&name) else {
            let stage = self.names.stages.iter().any(|(stage, _)| *stage == name);
            let problem = Problem::at(format!("there is no variable `{name}`"), at);
            let valid = self.names.variables.names().chain(self.locals.keys().map(String::as_str));
            return Err(Some(Box::new(match stage {
                true => problem.help(format!("`{name}` is a stage; name one of its outputs: `${{{name}.out}}`")),
                false => problem.suggest(&name, valid.chain(["host", "jobs"])),
            })));
        };
        let Some(variable) = &declared.variable else { return Err(None) };
        match &variable.value {
            VarValue::Path(path) => {
                self.found.paths.insert(name.clone());
                self.empty_path |= path.as_str().is_empty();
                if path.as_str().is_empty() && matches!(self.owner, Owner::Stage { on: true, .. }) {
                    let problem = Problem::at(format!("the variable `{name}` has no value"), at)
                        .mark(declared.at.clone(), "declared here")
                        .help(format!("set it with `--set {name}=…`"));
                    return Err(Some(Box::new(problem)));
                }
                Ok(vec![Piece::Var(name)])
            }
            VarValue::List(_) => {
                let problem = Problem::at(format!("`{name}` is a list"), at)
                    .help(format!("it can stand for an array, or be an element of one, alone: `[\"${{{name}}}\"]`"));
                Err(Some(Box::new(problem)))
            }
            _ if variable.secret => Ok(vec![Piece::Var(name)]),
            value => Ok(vec![Piece::Literal(value.to_string())]),
        }
    }
}

/// A text, and what is wrong with it; in the text that is no reference.
fn parse_all(source: &str) -> (Text, Vec<TextError>) {
    const ENOUGH: usize = 20;
    let mut rest = source.to_string();
    let mut errors = Vec::new();
    loop {
        match Text::parse(&rest) {
            Ok(text) => return (text, errors),
            Err(error) => {
                // Without its `$` it is none, and places stay what they are.
                rest.replace_range(error.range.start..error.range.start + 1, "_");
                errors.push(error);
                if errors.len() == ENOUGH {
                    return (Text::default(), errors);
                }
            }
        }
    }
}

fn literal_bytes(piece: &Piece) -> usize {
    match piece {
        Piece::Literal(text) => text.len(),
        _ => 0,
    }
}

/// More combinations than that are a mistake.
const MOST: usize = 10_000;

impl Substitution<'_> {
    /// The items that an item with `for` stands for, with all references replaced.
    fn matrix(&mut self, item: &Node, table: &Table, shape: &Shape) -> Result<Vec<Node>, Broken> {
        let mut template = table.clone();
        let Some(matrix) = template.remove("for") else { return Ok(vec![self.node(item, shape)?]) };
        let axes = self.axes(&matrix, &shape.key("for"))?;
        let count = axes.values().try_fold(1usize, |count, values| count.checked_mul(values.len()));
        if count == Some(0) && self.is_emptied(&matrix, &axes) {
            return Ok(Vec::new());
        }
        if count.is_none_or(|count| count == 0 || count > MOST) {
            let message = match count {
                Some(0) => "a `for` without values stands for nothing".into(),
                _ => format!("this `for` stands for more than {MOST} combinations"),
            };
            self.problems.push(Problem::at(message, matrix.span.clone()));
            return Err(Broken);
        }
        let mut out = Vec::new();
        for combination in combinations(&axes) {
            let label: Vec<String> =
                combination.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect();
            self.locals = combination;
            let expanded = self.table(&template, shape);
            self.locals = BTreeMap::new();
            // What is wrong in one combination is wrong in all.
            let mut expanded = expanded?;
            if let Some(Node { value: Value::String(name), .. }) = expanded.get_mut("name")
                && let Ok(mut text) = Text::parse(name)
            {
                text.push_literal(&format!("[{}]", label.join(",")));
                *name = text.encode();
            }
            out.push(Node::new(item.span.clone(), Value::Table(expanded)));
        }
        Ok(out)
    }

    /// Whether variables have left nothing of the names without a value. They are noted then.
    fn is_emptied(&mut self, matrix: &Node, axes: &BTreeMap<String, Vec<Text>>) -> bool {
        let mut texts = Vec::new();
        for (name, _) in axes.iter().filter(|(_, values)| values.is_empty()) {
            let Some(node) = matrix.get(name) else { return false };
            if node.one_or_more().is_empty() {
                return false;
            }
            texts.extend(node.one_or_more().iter().filter_map(|node| Text::parse(node.as_str()?).ok()));
        }
        for variable in texts.iter().flat_map(Text::variables) {
            if !self.found.emptied.contains(&variable) {
                self.found.emptied.push(variable);
            }
        }
        true
    }

    /// The names with their values.
    fn axes(&mut self, matrix: &Node, shape: &Shape) -> Result<BTreeMap<String, Vec<Text>>, Broken> {
        let before = self.problems.len();
        let matrix = self.node(matrix, shape)?;
        super::decode::structure("for", &matrix, shape, self.problems);
        let mut axes = BTreeMap::new();
        for entry in matrix.as_table().map(|table| table.entries.as_slice()).unwrap_or_default() {
            let name = &entry.key;
            self.problems.extend(Problem::of_name("`for` name", name, &entry.at));
            let variable = self.names.variables.get(name).map(|declared| ("variable", &declared.at));
            let stage = self.names.stages.iter().find(|(stage, _)| stage == name).map(|(_, at)| ("stage", at));
            if let Some((what, at)) = variable.or(stage) {
                let message = format!("`{name}` is the name of a {what} already");
                let problem = Problem::new(message).mark(entry.at.clone(), "").mark(at.clone(), format!("the {what}"));
                self.problems.push(problem.help("give this one another name"));
            }
            let values = entry.node.as_array().unwrap_or_default();
            let values = values.iter().filter_map(|value| Text::parse(value.as_str()?).ok()).collect();
            axes.insert(name.clone(), values);
        }
        if self.problems.len() > before { Err(Broken) } else { Ok(axes) }
    }
}

/// Every combination; the last name changes fastest.
fn combinations(axes: &BTreeMap<String, Vec<Text>>) -> Vec<BTreeMap<String, Text>> {
    let mut all = vec![BTreeMap::new()];
    for (name, values) in axes {
        let extended = all.iter().flat_map(|one: &BTreeMap<String, Text>| {
            values.iter().map(|value| {
                let mut one = one.clone();
                one.insert(name.clone(), value.clone());
                one
            })
        });
        all = extended.collect();
    }
    all
}

/// A value as part of a name: references without their `${}`, long ones cut, with what tells them apart.
fn shown(value: &Text) -> String {
    const LONGEST: usize = 60;
    let text = match value.as_literal() {
        Some(literal) => literal.into_owned(),
        None => value.to_string().replace("${", "").replace('}', ""),
    };
    let line: String = text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    if line == text && line.chars().count() <= LONGEST {
        return line;
    }
    let beginning: String = line.chars().take(LONGEST).collect();
    format!("{beginning}…{}", &blake3::hash(text.as_bytes()).to_hex()[..6])
}
