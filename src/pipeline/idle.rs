//! Variables that were given a value which changes nothing, as the stages that would use it are off.
//!
//! Works on what the files say: once references are replaced, nobody can tell where a value came from.

use std::collections::BTreeSet;

use super::check::Draft;
use super::substitute::Names;
use super::text::{Piece, Text};
use super::tree::{Node, Table, Value};
use super::var_type::scalar;

/// A variable that was set for nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Idle {
    /// What set it: `--set train-with`, or a variable of the environment.
    pub given: String,
    /// The stages that would use it, all of them off, each with what switches it off: `pgo=false`.
    pub stages: Vec<(String, Vec<String>)>,
}

impl std::fmt::Display for Idle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` changes nothing: ", self.given)?;
        if self.stages.is_empty() {
            return f.write_str("no stage uses it");
        }
        let stage = |(name, with): &(String, Vec<String>)| match with.as_slice() {
            [] => format!("`{name}`, which is off"),
            with => format!("`{name}`, which is off with `{}`", with.join("` and `")),
        };
        write!(f, "it is for {}", self.stages.iter().map(stage).collect::<Vec<_>>().join(", and for "))
    }
}

/// Finds them. `others` are the sections that count whatever is on: tools and outputs.
pub(super) fn idle(vars: &Table, stages: &[Node], others: [&Table; 2], drafts: &[Draft], names: &Names) -> Vec<Idle> {
    let mut used = BTreeSet::new();
    others.iter().for_each(|table| of_table(table, &mut used));
    for stage in stages.iter().filter_map(Node::as_table) {
        let off = stage.get("name").and_then(Node::as_str).is_some_and(|name| names.off.contains(name));
        // What switches a stage off is used, too.
        let says = |key: &str| !off || matches!(key, "when" | "unless");
        stage.entries.iter().filter(|entry| says(&entry.key)).for_each(|entry| of_node(&entry.node, &mut used));
    }
    let used = with_defaults(used, vars, names);
    let given = names.variables.declared.iter().filter_map(|declared| {
        let variable = declared.variable.as_ref()?;
        let said = variable.given.clone()?;
        let changed = variable.default.as_ref().is_none_or(|default| *default != scalar(&variable.value));
        (changed && !used.contains(&declared.name)).then_some((&declared.name, said))
    });
    given.map(|(name, given)| Idle { given, stages: would_use(name, stages, drafts, vars, names) }).collect()
}

/// The stages that are off and use a variable, and why each is off.
fn would_use(name: &str, stages: &[Node], drafts: &[Draft], vars: &Table, names: &Names) -> Vec<(String, Vec<String>)> {
    let off = drafts.iter().filter(|draft| !draft.on);
    let uses = |draft: &&Draft| {
        let of = |stage: &&Node| stage.get("name").and_then(Node::as_str) == Some(&draft.name);
        let mut used = BTreeSet::new();
        stages.iter().filter(of).for_each(|stage| of_node(stage, &mut used));
        with_defaults(used, vars, names).contains(name)
    };
    let holds = |condition: &&String| {
        let value = |name: &str| names.variables.get(name)?.variable.as_ref().map(|variable| scalar(&variable.value));
        condition.split_once('=').is_some_and(|(name, wanted)| value(name).is_some_and(|value| value == wanted))
    };
    off.filter(uses)
        .map(|draft| (draft.name.clone(), draft.origin.off_with.iter().filter(holds).cloned().collect()))
        .collect()
}

/// With the variables that the defaults of those refer to, as far as they have their default.
fn with_defaults(mut used: BTreeSet<String>, vars: &Table, names: &Names) -> BTreeSet<String> {
    let mut open: Vec<String> = used.iter().cloned().collect();
    while let Some(name) = open.pop() {
        let variable = names.variables.get(&name).and_then(|declared| declared.variable.as_ref());
        if variable.is_none_or(|variable| variable.given.is_some()) {
            continue;
        }
        let mut more = BTreeSet::new();
        if let Some(node) = vars.get(&name) {
            of_node(node, &mut more);
        }
        open.extend(more.into_iter().filter(|name| used.insert(name.clone())));
    }
    used
}

fn of_table(table: &Table, used: &mut BTreeSet<String>) {
    table.entries.iter().for_each(|entry| of_node(&entry.node, used));
}

/// Adds the variables that are referred to anywhere in a value.
fn of_node(node: &Node, used: &mut BTreeSet<String>) {
    match &node.value {
        Value::String(source) => {
            let text = Text::parse(source).unwrap_or_default();
            used.extend(text.pieces.into_iter().filter_map(|piece| match piece {
                Piece::Var(name) => Some(name),
                _ => None,
            }));
        }
        Value::Array(items) => items.iter().for_each(|item| of_node(item, used)),
        Value::Table(table) => of_table(table, used),
        Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => {}
    }
}
