//! What the schema says about one place in a pipeline file: which types it takes, which keys.
//!
//! Unaware of files and of what a key means.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::schema::{REFERENCE, SCHEMA};
use super::tree::{Node, Value};

/// What may stand at a place. Without alternatives nothing is known about the place, and anything may.
#[derive(Debug, Clone, Default)]
pub(super) struct Shape {
    alternatives: Vec<&'static Json>,
    definitions: Vec<&'static str>,
}

impl Shape {
    /// The whole file.
    pub fn file() -> Shape {
        let mut shape = Shape::default();
        shape.add(&SCHEMA);
        shape
    }

    /// A stage of a kind; with an unknown kind nothing is known of it.
    pub fn stage(kind: &str) -> Shape {
        Shape::definition(&format!("{kind}-stage"))
    }

    /// A definition of the schema.
    pub fn definition(name: &str) -> Shape {
        let mut shape = Shape::default();
        if let Some(definition) = SCHEMA["$defs"].get(name) {
            shape.add(definition);
        }
        shape
    }

    fn add(&mut self, schema: &'static Json) {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
            self.definitions.push(name);
            self.add(&SCHEMA["$defs"][name]);
            return;
        }
        let alternatives = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        match alternatives {
            Some(alternatives) => alternatives.iter().for_each(|alternative| self.add(alternative)),
            // References have been replaced where a shape is asked.
            None if schema["pattern"] == REFERENCE => {}
            None => self.alternatives.push(schema),
        }
    }

    /// What may stand behind a key.
    pub fn key(&self, name: &str) -> Shape {
        let mut shape = Shape::default();
        for schema in &self.alternatives {
            if let Some(value) = schema["properties"].get(name) {
                shape.add(value);
            } else if schema["additionalProperties"].is_object() {
                shape.add(&schema["additionalProperties"]);
            }
        }
        shape
    }

    /// What may stand in an array.
    pub fn item(&self) -> Shape {
        let mut shape = Shape::default();
        self.alternatives.iter().filter_map(|schema| schema.get("items")).for_each(|items| shape.add(items));
        shape
    }

    /// Whether a value of a JSON type may stand here.
    pub fn takes(&self, kind: &str) -> bool {
        self.alternatives.is_empty() || self.alternatives.iter().any(|schema| types(schema).any(|name| name == kind))
    }

    /// Whether it is a definition of that name.
    pub fn is(&self, definition: &str) -> bool {
        self.definitions.contains(&definition)
    }

    /// The keys that have a meaning here; none if any key will do.
    pub fn keys(&self) -> BTreeSet<&'static str> {
        let properties = self.alternatives.iter().filter_map(|schema| schema["properties"].as_object());
        properties.flat_map(|properties| properties.keys().map(String::as_str)).collect()
    }

    /// Whether other keys than [`Shape::keys`] are wrong.
    pub fn is_closed(&self) -> bool {
        let mut tables = self.tables().peekable();
        tables.peek().is_some() && tables.all(|schema| schema["additionalProperties"] == Json::Bool(false))
    }

    /// The keys that must be there, if there is only one form of table.
    pub fn required(&self) -> Vec<&'static str> {
        let tables: Vec<&'static Json> = self.tables().collect();
        match tables.as_slice() {
            [table] => table["required"].as_array().into_iter().flatten().filter_map(Json::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// The smallest and the largest integer that may stand here.
    pub fn range(&self) -> (i64, i64) {
        let integer = self.alternatives.iter().find(|schema| types(schema).any(|name| name == "integer"));
        let minimum = integer.and_then(|schema| schema["minimum"].as_i64()).unwrap_or(i64::MIN);
        let small = integer.is_some_and(|schema| schema["format"] == "uint32");
        (minimum, if small { u32::MAX.into() } else { i64::MAX })
    }

    fn tables(&self) -> impl Iterator<Item = &'static Json> {
        self.alternatives.iter().copied().filter(|schema| types(schema).any(|name| name == "object"))
    }

    /// What may stand here, in words: `a string or an array`.
    pub fn expected(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for name in self.alternatives.iter().flat_map(|schema| types(schema)) {
            let name = match name {
                "object" => "a table",
                "integer" => "an integer",
                "array" => "an array",
                "boolean" => "a boolean",
                _ => "a string",
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match names.split_last() {
            Some((last, [])) => last.to_string(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
            None => "something else".into(),
        }
    }
}

fn types(schema: &'static Json) -> impl Iterator<Item = &'static str> {
    let single = schema["type"].as_str();
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Json::as_str);
    // A constant tells its type by itself.
    let constant = (single.is_none() && schema["const"].is_string()).then_some("string");
    single.into_iter().chain(several).chain(constant)
}

/// The JSON type of a value; none for what no key takes.
pub(super) fn type_of(node: &Node) -> Option<&'static str> {
    match &node.value {
        Value::String(_) => Some("string"),
        Value::Integer(_) => Some("integer"),
        Value::Boolean(_) => Some("boolean"),
        Value::Array(_) => Some("array"),
        Value::Table(_) => Some("object"),
        Value::Other(_) => None,
    }
}
