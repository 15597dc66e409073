//! What is left of a pipeline when profiles are supplied: which stages are on, and which follow each other in a workspace.

use super::support::Files;
use optbuild::pipeline::{Graph, Pipeline, Supplied, SupplyError};

/// rustc's shape: everything but the gathering changes one workspace, in turn.
const CHAIN: &str = r#"
name = "chain"
[outputs]
dist = "${dist.out}"

[[stage]]
name = "compiler"
kind = "command"
workspace = "build"
run = "true"

[[stage]]
name = "one-instrumented"
kind = "command"
workspace = "build"
run = "true"
[[stage]]
name = "one"
kind = "gather"
role = "rustc-pgo"
instrumented = "${one-instrumented.out}"
workloads = [{ name = "w", run = ["true", "${helper.out}"] }]

[[stage]]
name = "two-instrumented"
kind = "command"
workspace = "build"
needs = ["one-instrumented"]
run = "true"
[[stage]]
name = "two"
kind = "gather"
role = "llvm-pgo"
instrumented = "${two-instrumented.out}"
workloads = [{ name = "w", run = ["true", "${helper.out}"] }]

[[stage]]
name = "helper"
kind = "command"
run = "true"

[[stage]]
name = "dist"
kind = "command"
workspace = "build"
run = ["true", "${one.profile}", "${two.profile}"]
[[stage]]
name = "check"
kind = "verify"
tests = [{ name = "t", run = ["true", "${dist.out}"] }]
"#;

fn profile(role: &str) -> Supplied {
    Supplied {
        role: role.into(),
        bundle: "/b.tar.zst".into(),
        member: format!("profiles/{role}"),
        matchable: false,
        bolt: false,
        version: Some(13),
        bytes: 1,
        hash: "00".into(),
        build_id: None,
        code: None,
        instrumented: None,
        allow_stale: false,
        notes: Vec::new(),
    }
}

fn with(roles: &[&str]) -> Pipeline {
    let mut pipeline = Files::one(CHAIN).load("p.toml");
    pipeline.supply(roles.iter().map(|role| profile(role)).collect()).unwrap();
    Graph::new(&pipeline).unwrap();
    pipeline
}

fn on(pipeline: &Pipeline) -> Vec<&str> {
    let on = pipeline.stages.iter().filter(|stage| stage.common.when);
    on.map(|stage| stage.common.name.as_str()).collect()
}

fn before<'p>(pipeline: &'p Pipeline, stage: &str) -> Option<&'p str> {
    pipeline.stage(stage).unwrap().predecessor.as_deref()
}

#[test]
fn what_nothing_needs_is_off() {
    let none = Files::one(CHAIN).load("p.toml");
    assert_eq!(before(&none, "dist"), Some("two-instrumented"));

    let both = with(&["rustc-pgo", "llvm-pgo", "no-such-role"]);
    // `compiler` is there for the workspace alone, which a later stage relies on.
    assert_eq!(on(&both), ["compiler", "one", "two", "dist", "check"]);
    assert_eq!(before(&both, "dist"), Some("compiler"));
    let dist = both.stage("dist").unwrap();
    assert_eq!(dist.dependencies, [["one"], ["two"], ["compiler"]]);
    assert!(both.stage("one").unwrap().dependencies.is_empty());
    assert!(both.stages.iter().filter(|stage| !stage.common.when).all(|stage| stage.spared));
    let graph = Graph::new(&both).unwrap();
    assert_eq!(graph.dependencies("check"), ["compiler", "one", "two", "dist"]);
}

#[test]
fn what_another_stage_needs_stays() {
    let two = with(&["llvm-pgo"]);
    assert_eq!(on(&two), ["compiler", "one-instrumented", "one", "two", "helper", "dist", "check"]);
    assert_eq!(before(&two, "dist"), Some("one-instrumented"));
    // `two-instrumented` needs the first build.
    let one = with(&["rustc-pgo"]);
    assert_eq!(on(&one), ["compiler", "one-instrumented", "one", "two-instrumented", "two", "helper", "dist", "check"]);
    assert_eq!(before(&one, "dist"), Some("two-instrumented"));
}

/// As x.py's stages: one that starts from later states as well follows the stage that is left before it.
#[test]
fn a_stage_that_starts_from_later_states_follows_what_is_left() {
    let chain = CHAIN.replace("name = \"dist\"", "name = \"dist\"\nstarts-from = \"later\"");
    let mut pipeline = Files::one(&chain).load("p.toml");
    assert_eq!(before(&pipeline, "dist"), Some("two-instrumented"));
    pipeline.supply(vec![profile("rustc-pgo"), profile("llvm-pgo")]).unwrap();
    assert_eq!(before(&pipeline, "dist"), Some("compiler"));
    assert_eq!(pipeline.stage("dist").unwrap().dependencies, [["one"], ["two"], ["compiler"]]);
}

#[test]
fn a_supplied_stage_is_known_by_its_profile_alone() {
    let (one, mut other) = (with(&["rustc-pgo"]), Files::one(&CHAIN.replace("${helper.out}", "x")).load("p.toml"));
    other.supply(vec![profile("rustc-pgo")]).unwrap();
    let declaration = |pipeline: &Pipeline| pipeline.stage("one").unwrap().declaration.clone();
    assert_eq!(declaration(&one), declaration(&other));
    assert_ne!(declaration(&one), declaration(&Files::one(CHAIN).load("p.toml")));
}

#[test]
fn what_cannot_be_supplied() {
    let mut pipeline = Files::one(CHAIN).load("p.toml");
    let error = pipeline.supply(vec![profile("rustc-bolt")]).unwrap_err();
    assert!(matches!(&error, SupplyError::NoRole { known, .. } if *known == ["llvm-pgo", "rustc-pgo"]), "{error}");
    // Of a command nobody knows what its programs write.
    let bolt = Supplied { bolt: true, ..profile("rustc-pgo") };
    pipeline.supply(vec![bolt]).unwrap();
    let cmake = CHAIN.replace(
        "name = \"one-instrumented\"\nkind = \"command\"\nworkspace = \"build\"\nrun = \"true\"",
        "name = \"one-instrumented\"\nkind = \"cmake\"\nsource = \"${pipeline.dir}\"\npgo = \"generate\"",
    );
    let mut pipeline = Files::one(&cmake).load("p.toml");
    let bolt = Supplied { bolt: true, ..profile("rustc-pgo") };
    assert!(matches!(pipeline.supply(vec![bolt]).unwrap_err(), SupplyError::Kind { .. }));
}
