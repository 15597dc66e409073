//! The JSON Schema of a pipeline file, for editors, for the reference, and for checking files against it.
//!
//! Made from the types that stages are decoded into and their doc comments; unaware of any file. [`Shape`] is what it says of one
//! place in a file: which types it takes, which keys. A test makes the tables of `docs/pipeline-reference.md` from it as well.

use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};

use super::text::RESERVED;
use super::tree::Node;
use super::{Common, OutputDecl, Text, ToolDecl};

/// What a reference that stands alone looks like: it can take the place of a value of any type.
const REFERENCE: &str = r"^\$\{[^}]+\}$";

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
    /// The file, or files, that this one changes and adds to: paths relative to this file, or names of shipped pipelines, as `cargo`.
    extends: Option<OneOrMore>,
    /// Settings that a caller can change with `--set NAME=VALUE`.
    #[serde(default)]
    vars: BTreeMap<String, VarEntry>,
    /// Programs that the stages run.
    #[serde(default)]
    tools: BTreeMap<String, ToolEntry>,
    /// What stands under `out/NAME` after a run: a path there, and the output of a stage that is put there.
    #[serde(default)]
    outputs: BTreeMap<String, OutputEntry>,
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
    /// In a file of an experiment: the pipeline that it is about, a path or the name of a shipped one. In place of `extends`.
    pipeline: Option<String>,
    /// What `optbuild experiment` tries: each a version of the pipeline.
    #[serde(default)]
    variant: Vec<VariantEntry>,
    /// The variant that the others are held against. Default: the first one.
    base: Option<String>,
    /// What is measured of each variant.
    measure: Option<MeasureEntry>,
}

/// A version of the pipeline that is tried. Its `stage`, `template`, `tools` and `remove` change the pipeline as those of a file do that
/// extends it.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[expect(dead_code, reason = "read for its schema only")]
struct VariantEntry {
    /// The title of its row.
    name: String,
    /// One sentence for the table and for `--show`. Not in the fingerprint.
    description: Option<String>,
    /// The variant that it is held against. Default: the `base` of the experiment.
    base: Option<String>,
    /// Values of variables. They win over those of `--set`.
    #[serde(default)]
    set: BTreeMap<String, Plain>,
    /// Changes of stages, and new ones.
    #[serde(default)]
    #[schemars(with = "Vec<Map<String, Value>>")]
    stage: Value,
    /// Changes of templates.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, Map<String, Value>>")]
    template: Value,
    /// Other versions or places of tools.
    #[serde(default)]
    tools: BTreeMap<String, ToolEntry>,
    /// Takes stages of the pipeline out, by their names.
    #[serde(default)]
    remove: Vec<String>,
    /// Other values for `program`, `env` and `sizes` of `[measure]`.
    measure: Option<MeasureEntry>,
}

/// What is measured. Besides these keys it takes what a stage of `kind = "compare"` takes: `workloads`, `rustc-perf`, `budget`, `rounds`
/// and so on.
#[derive(JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(dead_code, reason = "read for its schema only")]
struct MeasureEntry {
    /// The program, or the toolchain: an output of a stage, as `${app.bin}`.
    program: Option<Text>,
    /// Environment of the program, such as where it finds its library.
    #[serde(default)]
    env: BTreeMap<String, Text>,
    /// Further files whose sizes are compared, by a name.
    #[serde(default)]
    sizes: BTreeMap<String, Text>,
}

#[derive(JsonSchema)]
#[schemars(untagged)]
pub enum OneOrMore {
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

#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "read for its schema only")]
enum OutputEntry {
    /// `${stage.output}`, or something below it.
    From(Text),
    Declaration(OutputDecl),
}

/// The schema for editors: references may stand in place of values.
pub(super) fn of_files(built: &Value) -> Schema {
    let mut whole = built.clone();
    widen(&mut whole);
    tighten(&mut whole);
    // The root is an object, which is a schema.
    Schema::try_from(whole).unwrap_or_default()
}

/// Without references in place of values: what a file must look like when they are replaced.
pub(super) fn build(kinds: impl Iterator<Item = (&'static str, fn(&mut SchemaGenerator) -> Schema)>) -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut common = Value::from(Common::json_schema(&mut generator));
    let what = common["properties"]["kind"]["description"].take();
    let kinds: Vec<_> = kinds.map(|(name, own)| (name, Value::from(own(&mut generator)))).collect();
    let names: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    common["properties"]["kind"] = json!({ "description": what, "enum": names });
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
    schema["anyOf"] = json!([{ "required": ["extends"] }, all_have_kinds, { "required": ["pipeline"] }]);
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
        properties["jobs"]["anyOf"] = json!([{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": format!("^[0-9.]+%$|{REFERENCE}") }]);
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

static NOTHING: Value = Value::Null;

/// What may stand at a place. Without alternatives nothing is known about the place, and anything may.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    schema: &'static Value,
    alternatives: Vec<&'static Value>,
    definitions: Vec<&'static str>,
}

impl Shape {
    /// A place of which nothing is known.
    pub fn any() -> Shape {
        Shape { schema: &NOTHING, alternatives: Vec::new(), definitions: Vec::new() }
    }

    /// What some parts of a schema say.
    fn of(schema: &'static Value, parts: impl IntoIterator<Item = &'static Value>) -> Shape {
        let mut shape = Shape { schema, ..Shape::any() };
        parts.into_iter().for_each(|part| shape.add(part));
        shape
    }

    /// The whole file.
    pub fn file(schema: &'static Value) -> Shape {
        Shape::of(schema, [schema])
    }

    /// A stage of a kind; with an unknown kind nothing is known of it.
    pub fn stage(schema: &'static Value, kind: &str) -> Shape {
        Shape::definition(schema, &format!("{kind}-stage"))
    }

    /// A definition of the schema.
    pub fn definition(schema: &'static Value, name: &str) -> Shape {
        Shape::of(schema, schema["$defs"].get(name))
    }

    fn add(&mut self, schema: &'static Value) {
        if let Some(name) = schema["$ref"].as_str().and_then(|target| target.strip_prefix("#/$defs/")) {
            self.definitions.push(name);
            self.add(&self.schema["$defs"][name]);
            return;
        }
        let alternatives = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        match alternatives {
            Some(alternatives) => alternatives.iter().for_each(|alternative| self.add(alternative)),
            None => self.alternatives.push(schema),
        }
    }

    /// What may stand behind a key.
    pub fn key(&self, name: &str) -> Shape {
        let value = |schema: &&'static Value| {
            let other = || Some(&schema["additionalProperties"]).filter(|other| other.is_object());
            schema["properties"].get(name).or_else(other)
        };
        Shape::of(self.schema, self.alternatives.iter().filter_map(value))
    }

    /// What may stand in an array.
    pub fn item(&self) -> Shape {
        Shape::of(self.schema, self.alternatives.iter().filter_map(|schema| schema.get("items")))
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
        tables.peek().is_some() && tables.all(|schema| schema["additionalProperties"] == Value::Bool(false))
    }

    /// The keys that must be there, if there is only one form of table.
    pub fn required(&self) -> Vec<&'static str> {
        let tables: Vec<&'static Value> = self.tables().collect();
        match tables.as_slice() {
            [table] => table["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect(),
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

    fn tables(&self) -> impl Iterator<Item = &'static Value> {
        self.alternatives.iter().copied().filter(|schema| types(schema).any(|name| name == "object"))
    }

    /// What may stand here, in words: `a string or an array`.
    pub fn expected(&self) -> String {
        let mut names: Vec<&str> = Vec::new();
        for name in self.alternatives.iter().flat_map(|schema| types(schema)) {
            let name = TYPES.iter().find(|(json, _)| *json == name).map_or("a string", |(_, words)| *words);
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

fn types(schema: &'static Value) -> impl Iterator<Item = &'static str> {
    let single = schema["type"].as_str();
    let several = schema["type"].as_array().into_iter().flatten().filter_map(Value::as_str);
    // A constant tells its type by itself.
    let constant = (single.is_none() && schema["const"].is_string()).then_some("string");
    single.into_iter().chain(several).chain(constant)
}

/// The JSON types that keys take, and what [`Node::what`] calls them.
const TYPES: [(&str, &str); 5] = [
    ("string", "a string"),
    ("integer", "an integer"),
    ("boolean", "a boolean"),
    ("array", "an array"),
    ("object", "a table"),
];

/// The JSON type of a value; none for what no key takes.
pub(super) fn type_of(node: &Node) -> Option<&'static str> {
    TYPES.iter().find(|(_, words)| *words == node.what()).map(|(json, _)| *json)
}
