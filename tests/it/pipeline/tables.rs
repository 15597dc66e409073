//! The tables of keys in the reference: of the file, of variables and tools, of every stage, and of each kind, as Markdown. Made from the
//! schema that files are checked against.

use std::fmt::Write as _;

use optbuild::pipeline::Kinds;
use serde_json::Value;

/// Definitions that are tables of their own in the reference, and how they are called there.
const TABLES: [(&str, &str); 7] = [
    ("Workload", "workload"),
    ("Training", "training"),
    ("Test", "test"),
    ("MeasuredWorkload", "workload"),
    ("MeasuredSide", "side"),
    ("SizePair", "pair of files"),
    ("CommandTable", "command"),
];

/// The tables of keys: of the file, of variables and tools, of every stage, and of each kind.
pub fn tables(kinds: &'static Kinds) -> String {
    let root = kinds.schema();
    let defs = &root["$defs"];
    let mut tables = Tables { defs, out: String::new() };
    tables.section(2, "The file", root, &[]);
    tables.section(3, "A variable, in `[vars]`", &defs["VarDecl"], &[]);
    tables.section(3, "A tool, in `[tools]`", &defs["ToolDecl"], &[]);
    tables.section(3, "An output, in `[outputs]`", &defs["OutputDecl"], &[]);
    tables.section(3, "A variant, in `[[variant]]`", &defs["VariantEntry"], &[]);
    tables.section(3, "What is measured, in `[measure]`", &defs["MeasureEntry"], &[]);
    tables.section(2, "Every stage", &defs["Common"], &[]);
    let common: Vec<&str> = keys(&defs["Common"]);
    for kind in kinds.entries.iter().map(|entry| entry.name) {
        let stage = &defs[format!("{kind}-stage")];
        tables.section(2, &format!("`kind = \"{kind}\"`"), stage, &common);
        let mut said = stage["properties"].to_string();
        for (name, title) in &TABLES[..6] {
            if said.contains(&format!("#/$defs/{name}\"")) {
                said.push_str(&defs[*name].to_string());
                tables.section(3, &format!("A {title}"), &defs[*name], &[]);
            }
        }
    }
    tables.section(2, "A command as a table", &defs["CommandTable"], &[]);
    tables.out
}

/// What is written so far.
struct Tables {
    /// The definitions of the schema.
    defs: &'static Value,
    out: String,
}

fn keys(schema: &'static Value) -> Vec<&'static str> {
    schema["properties"].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

impl Tables {
    /// A heading, the description, and a table of the keys that are not left out.
    fn section(&mut self, level: usize, title: &str, schema: &'static Value, left_out: &[&str]) {
        let required: Vec<&str> =
            schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let description = prose(schema);
        let heading = "#".repeat(level);
        // Writing to a string cannot fail.
        let _ = write!(self.out, "{heading} {title}\n\n{description}\n\n| key | value | meaning |\n|---|---|---|\n");
        for (key, value) in schema["properties"].as_object().into_iter().flatten() {
            if left_out.contains(&key.as_str()) {
                continue;
            }
            let need = if required.contains(&key.as_str()) { ", required" } else { "" };
            let row = format!("| `{key}` | {}{need} | {} |", cell(&self.values(value)), cell(&prose(value)));
            let _ = writeln!(self.out, "{row}");
        }
        self.out.push('\n');
    }

    /// What values a place takes.
    fn values(&self, schema: &'static Value) -> String {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
            return match name {
                "CommandLine" | "Words" => "command".into(),
                _ => match TABLES.iter().find(|(table, _)| *table == name) {
                    Some((_, title)) => (*title).into(),
                    None if ["VarDecl", "ToolDecl", "MeasureEntry", "VariantEntry"].contains(&name) => "table".into(),
                    None => self.values(&self.defs[name]),
                },
            };
        }
        if let Some(alternatives) = schema["anyOf"].as_array().or(schema["oneOf"].as_array()) {
            let mut kinds: Vec<String> = Vec::new();
            for alternative in alternatives.iter() {
                let kind = self.values(alternative);
                if !kinds.contains(&kind) {
                    kinds.push(kind);
                }
            }
            return kinds.join(" or ");
        }
        if let Some(word) = schema["const"].as_str() {
            return format!("`\"{word}\"`");
        }
        if let Some(words) = schema["enum"].as_array() {
            let words: Vec<String> =
                words.iter().filter_map(Value::as_str).map(|word| format!("`\"{word}\"`")).collect();
            return words.join(" or ");
        }
        match schema["type"].as_str() {
            Some("array") if schema["items"]["anyOf"].is_array() => "array of tables".into(),
            Some("array") => several("array", &self.values(&schema["items"])),
            Some("object") if schema["additionalProperties"].is_object() => {
                several("table", &self.values(&schema["additionalProperties"]))
            }
            Some("object") if schema["properties"].is_null() => "table".into(),
            Some("object") => {
                let keys: Vec<String> = keys(schema).iter().map(|key| format!("{key} = …")).collect();
                format!("`{{ {} }}`", keys.join(", "))
            }
            Some(other) => other.into(),
            None => "any".into(),
        }
    }
}

/// The doc comment as one paragraph.
fn prose(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Fit for a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn several(what: &str, kind: &str) -> String {
    match kind.split_once(' ') {
        _ if kind.contains(" or ") => format!("{what}, each value {kind}"),
        Some((first, rest)) => format!("{what} of {first}s {rest}"),
        None => format!("{what} of {kind}s"),
    }
}
