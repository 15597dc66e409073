//! One tree out of a pipeline file and those that it extends.
//!
//! Tables merge key by key, arrays and scalars replace, stages match by name. Unaware of what the keys mean, except that a
//! variable or a tool may be written short.

use std::ops::Range;

use super::error::Problem;
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

/// Merges entries of `[vars]` or `[tools]`, where one that is not a table is short for a table with the key `short`.
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
