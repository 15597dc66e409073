//! `for`: one workload or test becomes one for every combination of values.
//!
//! Unaware of what workloads and tests are: anything in an array whose shape has the key `for` is expanded.

use std::collections::BTreeMap;

use super::error::Problem;
use super::shape::Shape;
use super::substitute::{Broken, Substitution};
use super::text::{self, Text};
use super::tree::{Node, Table, Value};

/// More combinations than that are a mistake.
const MOST: usize = 10_000;

impl Substitution<'_> {
    /// The items that an item with `for` stands for, with all references replaced.
    pub(super) fn matrix(&mut self, item: &Node, table: &Table, shape: &Shape) -> Result<Vec<Node>, Broken> {
        let mut template = table.clone();
        let Some(matrix) = template.remove("for") else { return Ok(vec![self.node(item, shape)?]) };
        let axes = self.axes(&matrix, &shape.key("for"))?;
        let count = axes.values().try_fold(1usize, |count, values| count.checked_mul(values.len()));
        if count == Some(0) && is_variable(&matrix, &axes) {
            self.emptied(&matrix, &axes);
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

    /// Notes the variables of which the names without a value were to get one.
    fn emptied(&mut self, matrix: &Node, axes: &BTreeMap<String, Vec<Text>>) {
        for (name, _) in axes.iter().filter(|(_, values)| values.is_empty()) {
            let declared = matrix.as_table().and_then(|table| table.get(name));
            let texts = declared.into_iter().flat_map(|node| match node.as_array() {
                Some(items) => items.iter().collect(),
                None => vec![node],
            });
            let texts = texts.filter_map(|node| Text::parse(node.as_str()?).ok());
            for variable in texts.flat_map(|text| text.variables()) {
                if !self.found.emptied.contains(&variable) {
                    self.found.emptied.push(variable);
                }
            }
        }
    }

    /// The names with their values.
    fn axes(&mut self, matrix: &Node, shape: &Shape) -> Result<BTreeMap<String, Vec<Text>>, Broken> {
        let before = self.problems.len();
        let matrix = self.node(matrix, shape)?;
        super::decode::structure("for", &matrix, shape, self.problems);
        let mut axes = BTreeMap::new();
        for entry in matrix.as_table().map(|table| table.entries.as_slice()).unwrap_or_default() {
            let name = &entry.key;
            if let Some(message) = text::name_problem("`for` name", name) {
                self.problems.push(Problem::at(message, entry.at.clone()));
            }
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

/// Whether values were declared for every name, of which variables have left nothing.
fn is_variable(matrix: &Node, axes: &BTreeMap<String, Vec<Text>>) -> bool {
    let declared = |name: &str| match &matrix.as_table().and_then(|table| table.get(name)).map(|node| &node.value) {
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::String(_)) => true,
        _ => false,
    };
    axes.iter().filter(|(_, values)| values.is_empty()).all(|(name, _)| declared(name))
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
