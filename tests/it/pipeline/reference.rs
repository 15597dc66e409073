//! The reference and the schema say what the loader takes.

use std::collections::BTreeSet;

use super::support::Files;

const BEGIN: &str = "<!-- begin generated";
const END: &str = "<!-- end generated -->";

#[test]
fn the_tables_of_the_reference_are_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pipeline-reference.md");
    let text = std::fs::read_to_string(path).unwrap();
    let begin = text.find(BEGIN).map(|at| at + text[at..].find('\n').unwrap() + 1).unwrap();
    let end = text.find(END).unwrap();
    let expected = format!("\n{}", super::tables::tables(&optbuild::stage::KINDS));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{}{expected}{}", &text[..begin], &text[end..])).unwrap();
    } else {
        assert_eq!(&text[begin..end], expected, "run UPDATE_DOCS=1 cargo test --test it pipeline::reference");
    }
}

/// The first example, and the one that extends it.
#[test]
fn the_examples_of_the_reference_load() {
    let text = include_str!("../../../docs/pipeline-reference.md");
    let blocks: Vec<&str> = text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let files = Files::new(&[("hello.toml", blocks[0]), ("more.toml", blocks.last().unwrap())]);
    assert_eq!(files.load("hello.toml").stages.len(), 3);
    let more = files.load("more.toml");
    let names: Vec<&str> = more.stages.iter().map(|stage| stage.common.name.as_str()).collect();
    assert_eq!(names, ["instrumented", "profile", "optimized", "test"]);
}

#[test]
fn every_kind_has_a_schema_with_the_common_keys() {
    let schema = serde_json::Value::from(optbuild::pipeline::schema(&optbuild::stage::KINDS));
    let common: BTreeSet<&String> = schema["$defs"]["Common"]["properties"].as_object().unwrap().keys().collect();
    let kinds = ["cmake", "cargo", "bootstrap", "rustc-perf", "gather", "bolt", "command", "verify", "compare"];
    for kind in kinds {
        let stage = &schema["$defs"][format!("{kind}-stage")];
        let keys: BTreeSet<&String> = stage["properties"].as_object().unwrap().keys().collect();
        assert!(keys.is_superset(&common), "{kind}");
        assert_eq!(stage["properties"]["kind"]["const"], kind);
        assert_eq!(stage["additionalProperties"], false);
    }
    // One for each kind, and one for a stage that only changes another.
    assert_eq!(schema["properties"]["stage"]["items"]["anyOf"].as_array().unwrap().len(), kinds.len() + 1);
}

#[test]
fn the_schema_has_no_null_and_no_dangling_reference() {
    let schema = serde_json::Value::from(optbuild::pipeline::schema(&optbuild::stage::KINDS));
    let text = schema.to_string();
    assert!(!text.contains("null"), "{text}");
    for target in text.split("#/$defs/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(schema["$defs"].get(target).is_some(), "{target}");
    }
}

/// What the loader refuses beyond types, an editor shall mark too.
#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema = serde_json::Value::from(optbuild::pipeline::schema(&optbuild::stage::KINDS));
    let stage = |kind: &str| &schema["$defs"][format!("{kind}-stage")]["properties"];
    assert_eq!(stage("cmake")["jobs"]["anyOf"][0]["minimum"], 1);
    assert_eq!(stage("command")["name"]["not"]["enum"][0], "self");
    assert_eq!(stage("gather")["workloads"]["anyOf"][0]["minItems"], 1);
    assert_eq!(stage("verify")["tests"]["anyOf"][0]["minItems"], 1);
    // A stage without a kind changes another one: only in a file that extends one, and no key that no kind has.
    assert_eq!(schema["anyOf"][0]["required"][0], "extends");
    let all = &schema["anyOf"][1]["properties"]["stage"]["items"]["anyOf"];
    assert_eq!(all, &serde_json::json!([{ "required": ["kind"] }, { "required": ["like"] }]));
    // What a template has, a stage or a workload need not have.
    assert_eq!(schema["$defs"]["cmake-stage"]["anyOf"][1]["required"][0], "like");
    assert_eq!(schema["$defs"]["Workload"]["anyOf"][1]["required"][0], "like");
    let change = &schema["$defs"]["change-of-stage"];
    assert_eq!(change["additionalProperties"], false);
    assert!(change["properties"]["workloads"].is_object() && change["properties"]["kind"].is_null());
}
