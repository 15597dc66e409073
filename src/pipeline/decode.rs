//! A stage's keys become the values that stage kinds work with, and everything that is wrong with them is told at once.
//!
//! Knows types and keys. Unaware of what references mean: they have been replaced, or stay as text.

use std::ops::Range;

use serde::de::DeserializeOwned;

use super::error::{Problem, nearest_of};
use super::kind::{Keys, Kind, KindEntry, Kinds};
use super::load::kind_word;
use super::schema::{Shape, type_of};
use super::tree::{Node, Table, Value};
use super::{Common, ToolDecl};

/// Checks types and keys of a value and all that is in it. True if there was nothing to say.
pub(super) fn structure(key: &str, node: &Node, shape: &Shape, problems: &mut Vec<Problem>) -> bool {
    let fits = type_of(node).is_some_and(|kind| shape.takes(kind));
    if !fits {
        let message = format!("`{key}` takes {}, not {}", shape.expected(), node.what());
        problems.push(Problem::at(message, node.span.clone()));
        return false;
    }
    let before = problems.len();
    match &node.value {
        Value::Table(table) => keys(key, table, shape, &node.span, problems),
        Value::Array(items) => {
            let item = shape.item();
            for node in items {
                structure(key, node, &item, problems);
            }
        }
        Value::Integer(number) => {
            let (least, most) = shape.range();
            if *number < least || *number > most {
                let message = format!("`{key}` is a number from {least} to {most}");
                problems.push(Problem::at(message, node.span.clone()));
            }
        }
        Value::String(_) | Value::Boolean(_) | Value::Other(_) => {}
    }
    problems.len() == before
}

fn keys(name: &str, table: &Table, shape: &Shape, span: &Range<usize>, problems: &mut Vec<Problem>) {
    known_keys(table, &format!("`{name}`"), shape, span, problems);
    for entry in &table.entries {
        structure(&entry.key, &entry.node, &shape.key(&entry.key), problems);
    }
}

/// Tells of keys that mean nothing, and of those that are missing.
fn known_keys(table: &Table, of: &str, shape: &Shape, span: &Range<usize>, problems: &mut Vec<Problem>) {
    let valid = shape.keys();
    let unknown: Vec<_> = table.entries.iter().filter(|entry| !valid.contains(entry.key.as_str())).collect();
    if shape.is_closed() {
        problems.extend(unknown.iter().map(|entry| unknown_key(&entry.key, entry.at.clone(), of, shape)));
    }
    for key in shape.required().into_iter().filter(|key| table.get(key).is_none()) {
        // A misspelt key is told of once.
        if !unknown.iter().any(|entry| nearest_of(&entry.key, valid.iter().copied()) == Some(key)) {
            problems.push(Problem::at(format!("{of} needs the key `{key}`"), span.clone()));
        }
    }
}

/// A key that means nothing in `of`.
pub(super) fn unknown_key(key: &str, at: Range<usize>, of: &str, shape: &Shape) -> Problem {
    Problem::at(format!("{of} has no key `{key}`"), at).suggest(key, shape.keys())
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

/// A stage; `table` has its keys with references replaced, as far as that was possible. None if there is a problem that leaves
/// nothing to go on with.
pub(super) fn stage(
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
    let shape = Shape::stage(kinds, kind.name);
    let of = format!("the {} stage{named}", kind.name);
    let common_keys = Shape::definition(kinds, "Common").keys();
    let (mut common, mut own) = (Table::default(), Table::default());
    known_keys(written.table, &of, &shape, span, problems);
    for entry in table.entries.iter().filter(|entry| shape.keys().contains(entry.key.as_str())) {
        if structure(&entry.key, &entry.node, &shape.key(&entry.key), problems) {
            let side = if common_keys.contains(entry.key.as_str()) { &mut common } else { &mut own };
            side.entries.push(entry.clone());
        }
    }
    let common = decode(common, span, problems).map(|common: Common| Common {
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
                let message = match node.as_str() {
                    Some(word) => format!("there is no kind of stage `{word}`"),
                    None => format!("`kind` takes a string, not {}", node.what()),
                };
                Problem::at(message, node.span.clone())
            }
        };
        problems.push(problem.suggest(word, kinds.names()));
    }
    found
}

/// An entry of `[tools]`.
pub(super) fn tool(key: &str, node: &Node, shape: &Shape, problems: &mut Vec<Problem>) -> Option<ToolDecl> {
    let whole = structure(key, node, shape, problems);
    let Value::Table(table) = super::merge::long(node.clone(), "version").value else { return None };
    if let Some(version) = table.get("version")
        && let Some(requirement) = version.as_str()
        && let Err(error) = semver::VersionReq::parse(requirement)
    {
        let message = format!("`{requirement}` is not a version requirement: {error}");
        let problem = Problem::at(message, version.span.clone());
        problems.push(problem.help("write it as cargo does: `>=19`, `22`, `>=3.20, <5`, `*`"));
    }
    if whole { decode(table, &node.span, problems) } else { None }
}

/// Decodes; on an error goes on without the key, or the element of its array, that is to blame, so that each has its error
/// told.
pub(super) fn decode<T: DeserializeOwned>(table: Table, span: &Range<usize>, problems: &mut Vec<Problem>) -> Option<T> {
    let mut node = Node::new(span.clone(), Value::Table(table));
    loop {
        let error = match T::deserialize(&node) {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        let Value::Table(table) = &mut node.value else { return None };
        let at = error.span.unwrap_or_else(|| span.clone());
        let blamed = table.entries.iter().position(|entry| entry.node.holds(&at));
        // What is missing has been told, or was taken away here.
        let Some(index) = blamed else {
            if !error.message.starts_with("missing field") {
                problems.push(Problem::at(error.message, at));
            }
            return None;
        };
        let entry = &mut table.entries[index];
        problems.push(reworded(&entry.key, &error.message, at.clone()));
        match &mut entry.node.value {
            // The other elements may be wrong as well.
            Value::Array(items) if items.iter().any(|item| item.holds(&at)) => items.retain(|item| !item.holds(&at)),
            _ => drop(table.entries.remove(index)),
        }
    }
}

/// An error of serde in the words of the rest.
fn reworded(key: &str, message: &str, at: Range<usize>) -> Problem {
    let Some((found, expected)) =
        message.strip_prefix("unknown variant ").and_then(|rest| rest.split_once(", expected"))
    else {
        return Problem::at(format!("`{key}`: {message}"), at);
    };
    let found = found.trim_matches('`');
    let valid = expected.split('`').skip(1).step_by(2);
    let problem = Problem::at(format!("`{found}` is not a value of `{key}`"), at);
    problem.suggest(found, valid)
}
