//! The JSON Schema of a pipeline file, for editors, for the reference, and for checking files against it.
//!
//! Made from the types that stages are decoded into and their doc comments; knows nothing of any file.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::kind::{Bolt, Bootstrap, Cargo, Cmake, Command, Compare, Gather, KindName, RustcPerf, Verify};
use super::text::RESERVED;
use super::{Common, Text, ToolDecl};

/// What a reference that stands alone looks like: it can take the place of a value of any type.
pub(super) const REFERENCE: &str = r"^\$\{[^}]+\}$";

/// The definition of a stage that only changes one of the same name.
const CHANGE: &str = "change-of-stage";

/// A pipeline: variables, tools, and stages in the order in which the work happens.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "read for its schema only")]
struct PipelineFile {
    /// What the pipeline is called, in messages and as the directory of its outputs, `out/NAME`. Default: the file's name.
    name: Option<String>,
    /// One sentence for `optbuild list`.
    description: Option<String>,
    /// The file, or files, that this one changes and adds to. Relative to this file.
    extends: Option<OneOrMore>,
    /// Settings that a caller can change with `--set NAME=VALUE`.
    #[serde(default)]
    vars: BTreeMap<String, VarEntry>,
    /// Programs that the stages run.
    #[serde(default)]
    tools: BTreeMap<String, ToolEntry>,
    /// What stands under `out/NAME` after a run: a path there, and the output of a stage that is put there.
    #[serde(default)]
    outputs: BTreeMap<String, Text>,
    /// Takes stages of the files that this one extends out, by their names.
    #[serde(default)]
    remove: Vec<String>,
    /// Keys that several stages or workloads have in common, which name it with `like`. A template never runs.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Map<String, Value>>")]
    template: Value,
    /// The stages, in the order in which the work happens.
    #[serde(default)]
    stage: Vec<Value>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read for its schema only")]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read for its schema only")]
enum VarEntry {
    Declaration(VarDecl),
    Default(Plain),
}

/// A variable. A plain value in place of the table is its default.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "read for its schema only")]
struct VarDecl {
    /// What values it takes. Default: the type of `default`, a string being a `string`.
    r#type: Option<VarType>,
    /// The value when nothing else is given. A path is relative to the file that it stands in. May refer to `${host}`,
    /// to variables before it and, in a path, to `${pipeline.dir}`. Without it the variable is empty, or false.
    default: Option<Plain>,
    /// What a relative path in `default` is relative to. Default: `file`.
    #[serde(rename = "relative-to")]
    relative_to: Option<RelativeTo>,
    /// One sentence for `optbuild show`.
    description: Option<String>,
    /// The only values that will do; for a list, of its elements.
    choices: Option<Vec<Scalar>>,
    /// There has to be a value: from the caller, or by a `default`.
    #[serde(default)]
    required: bool,
    /// Never shown, logged or written to disk. Only for `string` and `path`.
    #[serde(default)]
    secret: bool,
}

/// What relative paths are relative to.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "read for its schema only")]
enum RelativeTo {
    /// The directory of the file that they stand in.
    File,
    /// The directory that optbuild was called in, as values of `--set` are.
    Caller,
}

/// Types of variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VarType {
    String,
    /// A file or directory. Where it lies is not in the fingerprint of a stage, what it holds is.
    Path,
    Int,
    Bool,
    /// Strings, with commas between them in `--set` and in the environment.
    List,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read for its schema only")]
enum Plain {
    Bool(bool),
    Int(i64),
    String(String),
    List(Vec<String>),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read for its schema only")]
enum Scalar {
    Bool(bool),
    Int(i64),
    String(String),
}

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read for its schema only")]
enum ToolEntry {
    /// Versions that will do, as cargo writes them: `>=19`, `22`, `>=3.20, <5`; `*` is any.
    Version(String),
    Declaration(ToolDecl),
}

/// The JSON Schema of a pipeline file.
pub fn schema() -> Schema {
    let mut whole = SCHEMA.clone();
    widen(&mut whole);
    tighten(&mut whole);
    // The root is an object, which is a schema.
    Schema::try_from(whole).unwrap_or_default()
}

/// Without references in place of values: what a file must look like when they are replaced.
pub(super) static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let common = object::<Common>(&mut generator);
    let kinds = KindName::ALL.map(|kind| {
        let own = match kind {
            KindName::Cmake => object::<Cmake>(&mut generator),
            KindName::Cargo => object::<Cargo>(&mut generator),
            KindName::Bootstrap => object::<Bootstrap>(&mut generator),
            KindName::RustcPerf => object::<RustcPerf>(&mut generator),
            KindName::Gather => object::<Gather>(&mut generator),
            KindName::Bolt => object::<Bolt>(&mut generator),
            KindName::Command => object::<Command>(&mut generator),
            KindName::Verify => object::<Verify>(&mut generator),
            KindName::Compare => object::<Compare>(&mut generator),
        };
        (kind.name(), own)
    });
    let mut root = Value::from(generator.root_schema_for::<PipelineFile>());
    let mut alternatives = Vec::new();
    for (name, own) in kinds {
        let mut stage = joined(&common, &own);
        stage["properties"]["kind"] =
            json!({ "description": common["properties"]["kind"]["description"], "const": name });
        root["$defs"][format!("{name}-stage")] = stage;
        alternatives.push(json!({ "$ref": format!("#/$defs/{name}-stage") }));
    }
    root["$defs"][CHANGE] = json!({
        "description": "In a pipeline with `extends`: other values for keys of the stage of that name.",
        "type": "object",
        "properties": {
            "name": common["properties"]["name"],
            "remove": common["properties"]["remove"],
        },
        "required": ["name"],
        "not": { "required": ["kind"] },
    });
    alternatives.push(json!({ "$ref": format!("#/$defs/{CHANGE}") }));
    root["properties"]["stage"]["items"] = json!({ "anyOf": alternatives });
    root["$defs"]["Common"] = common;
    without_null(&mut root);
    root
});

/// The schema of a struct, apart from the definitions that it refers to.
fn object<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    Value::from(T::json_schema(generator))
}

/// A struct with the keys of two.
fn joined(first: &Value, second: &Value) -> Value {
    let mut stage = second.clone();
    let mut properties = Map::new();
    let mut required = Vec::new();
    for part in [first, second] {
        properties.extend(part["properties"].as_object().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())));
        required.extend(part["required"].as_array().into_iter().flatten().cloned());
    }
    stage["properties"] = properties.into();
    stage["required"] = required.into();
    stage
}

/// TOML has no null: what may be missing is not in `required`.
fn without_null(schema: &mut Value) {
    if let Value::Array(items) = schema {
        items.iter_mut().for_each(without_null);
    }
    let Value::Object(node) = schema else { return };
    if node.get("default") == Some(&Value::Null) {
        node.shift_remove("default");
    }
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            node["type"] = only.clone();
        }
    }
    if let Some(Value::Array(alternatives)) = node.get_mut("anyOf") {
        alternatives.retain(|alternative| alternative.get("type") != Some(&json!("null")));
    }
    node.values_mut().for_each(without_null);
}

/// What the types do not say and the loader checks.
fn tighten(schema: &mut Value) {
    let pattern = "^[A-Za-z0-9][A-Za-z0-9_+-]*$";
    schema["properties"]["name"]["pattern"] = pattern.into();
    for section in ["vars", "tools"] {
        schema["properties"][section]["propertyNames"] = json!({ "pattern": pattern });
    }
    // Stages without a kind change others, of which there are none without `extends`.
    let kind_or_like = json!([{ "required": ["kind"] }, { "required": ["like"] }]);
    let all_have_kinds = json!({ "properties": { "stage": { "items": { "anyOf": kind_or_like } } } });
    schema["anyOf"] = json!([{ "required": ["extends"] }, all_have_kinds]);
    let mut keys = Map::new();
    for (name, definition) in schema["$defs"].as_object_mut().into_iter().flatten() {
        // What a stage or a workload is like may have what it needs.
        if definition["properties"].get("like").is_some()
            && let Some(required) = definition.as_object_mut().and_then(|node| node.shift_remove("required"))
        {
            definition["anyOf"] = json!([{ "required": required }, { "required": ["like"] }]);
        }
        if !name.ends_with("-stage") || name == CHANGE {
            continue;
        }
        let properties = &mut definition["properties"];
        properties["name"]["pattern"] = pattern.into();
        properties["name"]["not"] = json!({ "enum": RESERVED });
        properties["jobs"]["anyOf"] =
            json!([{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": REFERENCE }]);
        for key in ["workloads", "tests"] {
            if let Some(array) = properties.get_mut(key).and_then(|list| list.pointer_mut("/anyOf/0")) {
                array["minItems"] = 1.into();
            }
        }
        for (key, value) in properties.as_object().into_iter().flatten() {
            keys.entry(key.clone()).or_insert_with(|| json!({ "description": value["description"] }));
        }
    }
    let change = &mut schema["$defs"][CHANGE];
    keys.extend(
        change["properties"].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone())),
    );
    keys.shift_remove("kind");
    change["properties"] = keys.into();
    change["additionalProperties"] = false.into();
}

/// Lets a reference stand in place of every value that is no string.
fn widen(schema: &mut Value) {
    if let Value::Array(items) = schema {
        items.iter_mut().for_each(widen);
    }
    let Value::Object(node) = schema else { return };
    let stages = node.get("items").is_some_and(|items| items.get("anyOf").is_some());
    node.values_mut().for_each(widen);
    let reference = json!({ "type": "string", "pattern": REFERENCE });
    match node.get("type").and_then(Value::as_str) {
        Some("boolean" | "integer" | "array") if !stages => {
            let description = node.shift_remove("description");
            let default = node.shift_remove("default");
            let value = Value::Object(std::mem::take(node));
            let kept = [("description", description), ("default", default)];
            node.extend(kept.into_iter().filter_map(|(key, value)| Some((key.to_string(), value?))));
            node.insert("anyOf".into(), json!([value, reference]));
        }
        _ => {
            if let Some(Value::Array(alternatives)) = node.get_mut("oneOf") {
                alternatives.push(reference);
            }
        }
    }
}
