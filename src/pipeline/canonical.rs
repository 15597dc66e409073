//! The keys of a stage as text that is the same whenever the stage means the same, for fingerprints.
//!
//! Independent of order, quoting and line breaks. What is not part of what a stage makes is left out.

use std::collections::BTreeMap;

use super::text::Text;
use super::tree::{Node, Table, Value};

/// Keys that change neither what a stage makes nor how.
const LEFT_OUT: [&str; 14] = [
    "name",
    "description",
    "when",
    "unless",
    "jobs",
    "timeout",
    "retries",
    "on-failure",
    "memory",
    "exclusive",
    "after",
    "remove",
    "disk-budget",
    "max-damaged",
];

/// The keys of a stage whose variables are replaced, except paths and secrets, which stay references.
pub(super) fn declaration(stage: &Table) -> BTreeMap<String, String> {
    let counted = stage.entries.iter().filter(|entry| !LEFT_OUT.contains(&entry.key.as_str()));
    counted.map(|entry| (entry.key.clone(), value(&entry.node))).collect()
}

/// A value as JSON with sorted keys.
pub(super) fn value(node: &Node) -> String {
    match &node.value {
        Value::String(text) => match Text::parse(text) {
            Ok(text) => quoted(&text.to_string()),
            Err(_) => quoted(text),
        },
        Value::Integer(number) => number.to_string(),
        Value::Boolean(value) => value.to_string(),
        Value::Array(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(",")),
        Value::Table(table) => {
            // The time that a workload or a test may take is not part of what it makes either.
            let counted = table.entries.iter().filter(|entry| entry.key != "timeout" || table.get("run").is_none());
            let entries: BTreeMap<&str, &Node> = counted.map(|entry| (entry.key.as_str(), &entry.node)).collect();
            let entries: Vec<String> =
                entries.into_iter().map(|(key, node)| format!("{}:{}", quoted(key), value(node))).collect();
            format!("{{{}}}", entries.join(","))
        }
        Value::Other(what) => quoted(what),
    }
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
