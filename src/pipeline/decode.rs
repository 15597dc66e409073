//! A stage's keys become the values that stage kinds work with, and everything that is wrong with them is told at once.
//!
//! Knows types and keys. Unaware of what references mean: they have been replaced, or stay as text.

use std::ops::Range;

use serde::de::DeserializeOwned;

use super::ToolDecl;
use super::error::{Problem, nearest_of};
use super::schema::{Shape, type_of};
use super::tree::{Node, Table, Value};

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
            if *number < least {
                problems.push(Problem::at(format!("`{key}` is a number, at least {least}"), node.span.clone()));
            } else if *number > most {
                problems.push(Problem::at(format!("`{key}` is a number, at most {most}"), node.span.clone()));
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
pub(super) fn known_keys(table: &Table, of: &str, shape: &Shape, span: &Range<usize>, problems: &mut Vec<Problem>) {
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
