//! What changes nothing: variables that were given a value which no stage that is on uses, and templates that no stage is like.
//!
//! What uses a variable is what the files say: once references are replaced, a value does not tell where it came from.

use std::collections::BTreeSet;

use super::schema::VarType;
use super::text::{Piece, Text};
use super::tree::{Node, Table, Value};
use super::vars::{Variables, scalar};
use super::{Pipeline, Stage, Variable};

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
            self.vars.get(name).is_some_and(|variable| scalar(&variable.value) == wanted)
        };
        let with: Vec<&str> = stage.origin.off_with.iter().filter(holds).map(String::as_str).collect();
        let off = || if with.is_empty() { "off".into() } else { format!("off with `{}`", with.join("` and `")) };
        (!stage.common.when).then(off)
    }
}

/// Whether the value is another than it would be without being given.
fn differs(variable: &Variable) -> bool {
    let none = if variable.kind == VarType::Bool { "false" } else { "" };
    scalar(&variable.value) != variable.default.as_deref().unwrap_or(none)
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
        Value::String(source) => {
            let text = Text::parse(source).unwrap_or_default();
            used.extend(text.pieces.into_iter().filter_map(|piece| match piece {
                Piece::Var(name) => Some(name),
                _ => None,
            }));
        }
        Value::Array(items) => items.iter().for_each(|item| add(item, used)),
        Value::Table(table) => table.entries.iter().for_each(|entry| add(&entry.node, used)),
        Value::Integer(_) | Value::Boolean(_) | Value::Other(_) => {}
    }
}
