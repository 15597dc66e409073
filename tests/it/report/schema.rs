//! Holds a value against a JSON schema, as far as the schema of a report goes: a keyword that is not known here is an error.
//!
//! Of its own, since a library that knows all of JSON Schema is a tenth of what the tests compile.

use serde_json::Value;

/// What of a value is not as its schema says, each with its place.
pub fn errors(schema: &Value, value: &Value) -> Vec<String> {
    let mut checked = Checked { root: schema, errors: Vec::new() };
    checked.value(schema, value, "");
    checked.errors
}

struct Checked<'a> {
    root: &'a Value,
    errors: Vec<String>,
}

impl Checked<'_> {
    fn value(&mut self, schema: &Value, value: &Value, at: &str) {
        let schema = match schema {
            Value::Bool(true) => return,
            Value::Bool(false) => return self.errors.push(format!("{at}: must not be there")),
            schema => schema.as_object().unwrap(),
        };
        for (keyword, rule) in schema {
            let fits = match keyword.as_str() {
                "$schema" | "$defs" | "title" | "description" | "default" | "format" => true,
                "$ref" => {
                    let name = rule.as_str().unwrap().strip_prefix('#').unwrap();
                    self.value(self.root.pointer(name).unwrap(), value, at);
                    true
                }
                "type" => match rule {
                    Value::Array(types) => types.iter().any(|name| is_of(name, value)),
                    name => is_of(name, value),
                },
                "const" => rule == value,
                "enum" => rule.as_array().unwrap().contains(value),
                "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
                "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
                "anyOf" => self.fitting(rule, value, at) > 0,
                "oneOf" => self.fitting(rule, value, at) == 1,
                "allOf" => self.fitting(rule, value, at) == rule.as_array().unwrap().len(),
                "items" => {
                    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
                        self.value(rule, item, &format!("{at}/{number}"));
                    }
                    true
                }
                "minItems" => value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap()),
                "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap()),
                "prefixItems" => {
                    let rules = rule.as_array().unwrap();
                    for (number, (rule, item)) in rules.iter().zip(value.as_array().into_iter().flatten()).enumerate() {
                        self.value(rule, item, &format!("{at}/{number}"));
                    }
                    true
                }
                "required" => value.as_object().is_none_or(|object| {
                    rule.as_array().unwrap().iter().all(|name| object.contains_key(name.as_str().unwrap()))
                }),
                // What an object has besides is for `additionalProperties`.
                "properties" => {
                    for (name, property) in value.as_object().into_iter().flatten() {
                        if let Some(rule) = rule.get(name) {
                            self.value(rule, property, &format!("{at}/{name}"));
                        }
                    }
                    true
                }
                "additionalProperties" => {
                    let named = |name: &str| schema.get("properties").is_some_and(|known| known.get(name).is_some());
                    for (name, property) in value.as_object().into_iter().flatten().filter(|(name, _)| !named(name)) {
                        self.value(rule, property, &format!("{at}/{name}"));
                    }
                    true
                }
                other => panic!("{at}: the keyword `{other}` is not known here"),
            };
            if !fits {
                self.errors.push(format!("{at}: {value} is not as `{keyword}`: {rule} says"));
            }
        }
    }

    /// How many of the schemas the value fits.
    fn fitting(&self, schemas: &Value, value: &Value, at: &str) -> usize {
        let fits = |schema: &&Value| {
            let mut checked = Checked { root: self.root, errors: Vec::new() };
            checked.value(schema, value, at);
            checked.errors.is_empty()
        };
        schemas.as_array().unwrap().iter().filter(fits).count()
    }
}

fn is_of(name: &Value, value: &Value) -> bool {
    match name.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.is_i64() || value.is_u64(),
        other => panic!("the type `{other}` is not known here"),
    }
}

/// That it says no where it should.
#[test]
fn what_is_wrong_is_found() {
    let schema = serde_json::json!({
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"$ref": "#/$defs/a"},
            "b": {"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}},
            "c": {"oneOf": [{"const": "x"}, {"enum": ["y", "z"]}]},
            "f": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "number"}], "minItems": 2, "maxItems": 2},
            "d": {"anyOf": [{"type": "number"}, {"type": "string"}]},
        },
        "additionalProperties": false,
        "$defs": {"a": {"type": "string"}},
    });
    let right = serde_json::json!({"a": "", "b": [0, 1], "c": "z", "d": 1.5, "f": ["x", 1]});
    assert_eq!(errors(&schema, &right), [""; 0]);
    for wrong in [
        serde_json::json!({}),
        serde_json::json!({"a": 1}),
        serde_json::json!({"a": "", "b": [0, -1]}),
        serde_json::json!({"a": "", "b": ["x"]}),
        serde_json::json!({"a": "", "b": {}}),
        serde_json::json!({"a": "", "c": "w"}),
        serde_json::json!({"a": "", "d": null}),
        serde_json::json!({"a": "", "e": 1}),
        serde_json::json!({"a": "", "f": ["x"]}),
        serde_json::json!({"a": "", "f": ["x", 1, 2]}),
        serde_json::json!({"a": "", "f": [1, "x"]}),
        serde_json::json!([]),
    ] {
        assert!(!errors(&schema, &wrong).is_empty(), "{wrong}");
    }
}
