//! Types of variables, and their values as text. Unaware of where a value comes from.

use super::VarValue;
use super::schema::VarType;
use super::tree::{Node, Value};

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
pub(super) fn list_items(text: &str) -> Vec<String> {
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
pub(super) fn as_written(node: &Node) -> String {
    match &node.value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(items) => items.iter().map(as_written).collect::<Vec<_>>().join(","),
        Value::Table(_) | Value::Other(_) => String::new(),
    }
}

pub(super) fn of_type(kind: VarType) -> &'static str {
    match kind {
        VarType::String => "a string",
        VarType::Path => "a path, which is written as a string",
        VarType::Int => "an integer",
        VarType::Bool => "a boolean: `true` or `false`",
        VarType::List => "a list of strings",
    }
}

/// The value as text. A list has none.
pub(super) fn scalar(value: &VarValue) -> String {
    match value {
        VarValue::Bool(value) => value.to_string(),
        VarValue::Int(number) => number.to_string(),
        VarValue::String(text) => text.clone(),
        VarValue::Path(path) => path.to_string(),
        VarValue::List(items) => items.join(","),
    }
}
