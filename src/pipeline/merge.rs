//! One tree out of a pipeline file, those that it extends, and its templates.
//!
//! Tables merge key by key, arrays and scalars replace, stages match by name. The order:
//!
//! | step | |
//! |---|---|
//! | 1 | files are merged, so a file may change a template of a file that it extends |
//! | 2 | each stage is laid on the templates that its `like` names, from left to right, then each of its workloads or tests |
//! | 3 | variables are put in, elsewhere |
//!
//! A `[template.NAME]` never runs, and is like no other. Unaware of what the keys mean, except that a variable or a tool may be
//! written short.

use std::collections::BTreeSet;
use std::ops::Range;

use serde_json::Value as Json;

use super::error::{Mark, Problem};
use super::schema::Shape;
use super::tree::{Entry, Node, Table, Value};

/// `over` laid on `base`.
pub(super) fn files(mut base: Table, mut over: Table, problems: &mut Vec<Problem>) -> Table {
    if let Some(names) = over.remove("remove") {
        remove(&mut base, &names, problems);
    }
    for entry in over.entries {
        let below = base.remove(&entry.key);
        let node = match (entry.key.as_str(), below) {
            ("stage", below) => stages(below, entry.node, problems),
            (_, None) => entry.node,
            ("vars", Some(below)) => tables(below, entry.node, &|below, over| entries(below, over, "default")),
            ("tools", Some(below)) => tables(below, entry.node, &|below, over| entries(below, over, "version")),
            ("outputs", Some(below)) => tables(below, entry.node, &|below, over| entries(below, over, "from")),
            (_, Some(below)) => values(below, entry.node),
        };
        base.entries.push(Entry { node, ..entry });
    }
    base
}

/// Merges two tables with a function for the keys that both have; anything else replaces.
fn tables(below: Node, over: Node, both: &dyn Fn(Node, Node) -> Node) -> Node {
    match (below.value, over.value) {
        (Value::Table(mut below), Value::Table(table)) => {
            for entry in table.entries {
                // In place, so that a key keeps its position.
                match below.get_mut(&entry.key) {
                    Some(old) => *old = both(old.clone(), entry.node),
                    None => below.entries.push(entry),
                }
            }
            Node::new(over.span, Value::Table(below))
        }
        (_, value) => Node::new(over.span, value),
    }
}

/// A value on one below: tables key by key, anything else replaces.
pub(super) fn values(below: Node, over: Node) -> Node {
    tables(below, over, &values)
}

/// Merges entries of `[vars]`, `[tools]` or `[outputs]`, where one that is not a table is short for a table with the key `short`.
fn entries(below: Node, over: Node, short: &str) -> Node {
    match (&below.value, &over.value) {
        (Value::Table(_), _) | (_, Value::Table(_)) => values(long(below, short), long(over, short)),
        _ => over,
    }
}

/// An entry as a table.
pub(super) fn long(entry: Node, short: &str) -> Node {
    if let Value::Table(_) = entry.value {
        return entry;
    }
    let span = entry.span.clone();
    let entries = vec![Entry { key: short.into(), at: span.clone(), node: entry }];
    Node::new(span, Value::Table(Table { entries }))
}

/// The name of a stage, and where it stands.
pub(super) fn stage_name(stage: &Node) -> Option<(&str, &Range<usize>)> {
    let name = stage.get("name")?;
    Some((name.as_str()?, &name.span))
}

/// The kind that a stage says it is, which may be none.
pub(super) fn kind_word(stage: &Table) -> &str {
    stage.get("kind").and_then(Node::as_str).unwrap_or_default()
}

/// Takes the stages out that a file names with `remove`.
fn remove(base: &mut Table, names: &Node, problems: &mut Vec<Problem>) {
    let Some(names) = names.as_array() else {
        let message = format!("`remove` takes an array of names of stages, not {}", names.what());
        problems.push(Problem::at(message, names.span.clone()));
        return;
    };
    let mut none = Vec::new();
    let stages = match base.get_mut("stage").map(|stages| &mut stages.value) {
        Some(Value::Array(stages)) => stages,
        _ => &mut none,
    };
    for node in names {
        let Some(name) = node.as_str() else {
            let message = format!("`remove` takes names of stages, not {}", node.what());
            problems.push(Problem::at(message, node.span.clone()));
            continue;
        };
        match stages.iter().position(|stage| stage_name(stage).is_some_and(|(other, _)| other == name)) {
            Some(index) => drop(stages.remove(index)),
            None => problems.push(nothing_to_remove(name, node.span.clone(), stages)),
        }
    }
}

fn nothing_to_remove(name: &str, at: Range<usize>, stages: &[Node]) -> Problem {
    let known = stages.iter().filter_map(|stage| Some(stage_name(stage)?.0));
    Problem::at(format!("there is no stage `{name}` to remove"), at).suggest(name, known)
}

/// The stages of a file laid on those of the files that it extends.
fn stages(below: Option<Node>, over: Node, problems: &mut Vec<Problem>) -> Node {
    let Value::Array(stages) = over.value else {
        // The check of the whole says what is wrong with it.
        return over;
    };
    let mut merged = match below.map(|below| below.value) {
        Some(Value::Array(below)) => below,
        _ => Vec::new(),
    };
    let mut seen: Vec<(String, Range<usize>)> = Vec::new();
    for stage in stages {
        let Some((name, at)) = stage_name(&stage).map(|(name, at)| (name.to_string(), at.clone())) else {
            merged.push(stage);
            continue;
        };
        match seen.iter().find(|(other, _)| *other == name) {
            Some((_, first)) => {
                let problem = Problem::new(format!("there are two stages of the name `{name}`"));
                problems.push(problem.mark(at, "the second").mark(first.clone(), "the first"));
            }
            None => {
                seen.push((name.clone(), at.clone()));
                lay(&mut merged, stage, &name, at, problems);
            }
        }
    }
    Node::new(over.span, Value::Array(merged))
}

/// Lays one stage on those of the files below.
fn lay(merged: &mut Vec<Node>, stage: Node, name: &str, at: Range<usize>, problems: &mut Vec<Problem>) {
    let position = |wanted: &str| merged.iter().position(|stage| stage_name(stage).is_some_and(|(n, _)| n == wanted));
    let existing = position(name);
    if let Some(Node { value: Value::Boolean(true), .. }) = stage.get("remove") {
        match existing {
            Some(index) => drop(merged.remove(index)),
            None => problems.push(nothing_to_remove(name, at, merged)),
        }
        return;
    }
    match (existing, stage.get("after").cloned()) {
        (Some(index), None) => merged[index] = values(merged[index].clone(), stage),
        (Some(_), Some(after)) => problems.push(
            Problem::at(format!("`after` is for new stages, and there is a stage `{name}` already"), after.span)
                .help("take `after` out: a stage keeps its place"),
        ),
        (None, None) => merged.push(stage),
        (None, Some(after)) => {
            let wanted = after.as_str().unwrap_or_default();
            let index = position(wanted).map_or(merged.len(), |index| index + 1);
            if position(wanted).is_none() {
                let message = format!("`{name}` is to stand after `{wanted}`, but there is no such stage before it");
                let known = merged.iter().filter_map(|stage| Some(stage_name(stage)?.0));
                problems.push(Problem::at(message, after.span.clone()).suggest(wanted, known));
            }
            merged.insert(index, stage);
        }
    }
}

/// Keys by which the stages of several files are matched: they belong to one stage.
const OF_ONE_STAGE: [&str; 3] = ["name", "remove", "after"];

/// A place where a stage, or a workload in it, names a template.
#[derive(Debug, Clone)]
pub(super) struct Like {
    stage: String,
    template: String,
    at: Range<usize>,
}

/// The templates of a pipeline.
pub(super) struct Templates {
    schema: &'static Json,
    table: Table,
    used: BTreeSet<String>,
}

impl Templates {
    /// Reads `[template]`.
    pub fn new(section: Option<&Node>, schema: &'static Json, problems: &mut Vec<Problem>) -> Templates {
        let mut table = section.and_then(Node::as_table).cloned().unwrap_or_default();
        for entry in &mut table.entries {
            problems.extend(Problem::of_name("template", &entry.key, &entry.at));
            let Value::Table(template) = &mut entry.node.value else { continue };
            if let Some(like) = template.remove("like") {
                let message = format!("the template `{}` cannot be like another one", entry.key);
                problems.push(
                    Problem::at(message, like.span).help("a stage can name several: `like = [\"first\", \"second\"]`"),
                );
            }
        }
        Templates { schema, table, used: BTreeSet::new() }
    }

    /// A stage with the keys of its templates, and where it names them.
    pub fn stage(&mut self, stage: &Node, problems: &mut Vec<Problem>) -> (Node, Vec<Like>) {
        let name = stage_name(stage).map(|(name, _)| name.to_string()).unwrap_or_default();
        let mut likes = Vec::new();
        let mut stage = self.lay(stage, &name, &OF_ONE_STAGE, &mut likes, problems);
        if let Value::Table(table) = &mut stage.value {
            let shape = Shape::stage(self.schema, kind_word(table));
            for entry in &mut table.entries {
                let of_items = shape.key(&entry.key).item();
                if let Value::Array(items) = &mut entry.node.value
                    && of_items.keys().contains("like")
                {
                    items.iter_mut().for_each(|item| *item = self.lay(item, &name, &[], &mut likes, problems));
                }
            }
        }
        (stage, likes)
    }

    /// Lays a table on the templates that its `like` names. `own` are keys that no template can have.
    fn lay(
        &mut self,
        over: &Node,
        stage: &str,
        own: &[&str],
        likes: &mut Vec<Like>,
        problems: &mut Vec<Problem>,
    ) -> Node {
        let mut over = over.clone();
        let Value::Table(table) = &mut over.value else { return over };
        let Some(like) = table.remove("like") else { return over };
        let mut base = Node::new(over.span.clone(), Value::Table(Table::default()));
        for name in like.one_or_more() {
            let at = name.span.clone();
            let Some(word) = name.as_str() else {
                problems.push(Problem::at(format!("`like` takes names of templates, not {}", name.what()), at));
                continue;
            };
            likes.push(Like { stage: stage.into(), template: word.into(), at: at.clone() });
            let Some(template) = self.table.get(word) else {
                let known = self.table.entries.iter().map(|entry| entry.key.as_str());
                problems.push(Problem::at(format!("there is no template `{word}`"), at).suggest(word, known));
                continue;
            };
            let mut template = template.clone();
            if let Value::Table(template) = &mut template.value {
                for key in own {
                    let Some(node) = template.remove(key) else { continue };
                    let problem = Problem::at(format!("`{key}` belongs to one stage, not to a template"), node.span);
                    problems.push(problem.mark(at.clone(), format!("`{stage}` is like it")));
                }
            }
            base = values(base, template);
            self.used.insert(word.into());
        }
        values(base, over)
    }

    /// Whether one of the templates is not there, and so what a stage may need.
    pub fn lacks(&self, likes: &[Like]) -> bool {
        likes.iter().any(|like| self.table.get(&like.template).is_none())
    }

    /// Makes problems with keys of templates, from the number `from` on, point at those who use them as well. Several stages
    /// that have one problem of one template are told of once.
    pub fn blame<'l>(&self, from: usize, likes: impl Iterator<Item = &'l Like> + Clone, problems: &mut Vec<Problem>) {
        let used = |mark: &Mark| likes.clone().any(|like| like.at == mark.span);
        for mut problem in problems.split_off(from.min(problems.len())) {
            let users = match problem.marks.as_slice() {
                [first, rest @ ..] if !rest.iter().any(used) => self.users(&first.span, likes.clone()),
                _ => Vec::new(),
            };
            let place = |problem: &Problem| problem.marks.first().map(|mark| mark.span.clone());
            let same = |other: &&mut Problem| {
                other.marks.len() > 1 && place(other) == place(&problem) && other.help == problem.help
            };
            match problems.iter_mut().find(same) {
                Some(other) if !users.is_empty() => other.marks.extend(users),
                _ => {
                    problem.marks.extend(users);
                    problems.push(problem);
                }
            }
        }
    }

    /// Who is like the template that a place is in.
    fn users<'l>(&self, place: &Range<usize>, likes: impl Iterator<Item = &'l Like>) -> Vec<Mark> {
        let within = |like: &&Like| self.table.get(&like.template).is_some_and(|template| template.encloses(place));
        let mark = |like: &Like| Mark { span: like.at.clone(), label: format!("`{}` is like it", like.stage) };
        likes.filter(within).map(mark).collect()
    }

    /// Templates that nothing is like, of those that stand at a place that counts.
    pub fn unused(&self, counts: impl Fn(&Range<usize>) -> bool) -> Vec<String> {
        let unused = self.table.entries.iter().filter(|entry| !self.used.contains(&entry.key) && counts(&entry.at));
        unused.map(|entry| entry.key.clone()).collect()
    }
}
