//! The whole plan of the demo, from what was recorded on a machine with LLVM 22, and how it differs on other machines.
//!
//! To record anew, on a machine with the demo's tools: `RECORD_FACTS=1 cargo test --test it plan::snapshots`, and look at the
//! difference of `tests/fixtures/facts/linux-llvm22.json` before it is kept.

use std::process::Command;
use std::sync::Once;

use crate::support::{OPTBUILD, Test};
use camino::{Utf8Path, Utf8PathBuf};
use insta::assert_snapshot;
use serde_json::{Value, json};

/// In facts and snapshots: where the demo lies, and who plans.
const DEMO: &str = "/home/user/demo";
const HOME: &str = "/home/user";

fn repository() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn demo() -> Utf8PathBuf {
    repository().join("pipelines/demo")
}

fn fixture(name: &str) -> Utf8PathBuf {
    repository().join("tests/fixtures/facts").join(name)
}

/// What was recorded.
fn recorded() -> Value {
    let file = fixture("linux-llvm22.json");
    static RECORD: Once = Once::new();
    RECORD.call_once(|| {
        if std::env::var_os("RECORD_FACTS").is_some() {
            record(&file);
        }
    });
    serde_json::from_str(&std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"))).unwrap()
}

fn record(file: &Utf8Path) {
    let test = Test::new([""]);
    let facts = test.path("facts.json");
    let mut plan = Command::new(OPTBUILD);
    plan.args(["plan", demo().join("pipeline.toml").as_str(), "--record-facts", facts.as_str()]);
    plan.args(["--state-dir", test.path("state").as_str()]);
    // Of the cargo that runs this test.
    plan.env_remove("CARGO_HOME").env_remove("RUSTUP_HOME").env_remove("RUSTUP_TOOLCHAIN").env_remove("CARGO");
    assert!(plan.output().unwrap().status.success());
    let home = std::env::var("HOME").unwrap();
    let text = test.read("facts.json").replace(demo().as_str(), DEMO).replace(&home, HOME);
    std::fs::write(file, text + "\n").unwrap();
}

/// The plan of a pipeline with these facts. It is always made.
fn plan_of(pipeline: &Utf8Path, facts: &Value) -> String {
    let test = Test::new([""]).file("facts.json", &facts.to_string().replace(DEMO, demo().as_str()));
    let plan = test.cmd(&format!("plan {pipeline} --facts facts.json --state-dir state")).ok();
    assert!(!test.exists("state"), "a plan changes nothing");
    plan.stdout.replace(demo().as_str(), DEMO)
}

fn plan(facts: &Value) -> String {
    plan_of(&demo().join("pipeline.toml"), facts)
}

/// Lines that go and lines that come, by stage.
fn difference(from: &str, to: &str) -> String {
    let test = Test::new([""]).file("from", from).file("to", to);
    let diff = "diff -U0 '--show-function-line=^[a-z]' from to | tail -n +3 | sed 's/^@@.*@@ */@ /' > diff || true";
    test.sh(diff);
    let mut text = String::new();
    let mut stage = "";
    let diff = test.read("diff");
    for line in diff.lines() {
        match line.strip_prefix('@') {
            Some(same) if same == stage => {}
            Some(other) => {
                stage = other;
                text.push_str(&format!("{}\n", line.trim_end()));
            }
            None => text.push_str(&format!("{line}\n")),
        }
    }
    text
}

/// What another machine plans otherwise than the one that was recorded.
fn otherwise(change: impl FnOnce(&mut Value)) -> String {
    let mut facts = recorded();
    let before = plan(&facts);
    change(&mut facts);
    difference(&before, &plan(&facts))
}

/// Takes a program out, under every name.
fn without(facts: &mut Value, program: &str) {
    let programs = facts["programs"].as_object_mut().unwrap();
    programs.retain(|name, path| name != program && path.as_str() != Some(&format!("/usr/bin/{program}")));
}

#[test]
fn the_demo_on_linux_with_llvm_22() {
    let facts = recorded();
    let text = facts.to_string();
    assert!(!text.contains("/root") && !text.contains(repository().as_str()), "facts of one machine");
    assert_snapshot!(plan(&facts));
}

/// What planning asks for `pipelines/clang.toml` besides, with the answers of the same machine.
#[test]
fn clang_from_a_checkout() {
    let mut facts = recorded();
    for name in ["llvm-ar-22", "llvm-nm-22", "llvm-ranlib-22"] {
        let path = format!("/usr/bin/{name}");
        facts["programs"][&path] = json!(path);
    }
    facts["programs"]["sh"] = json!("/usr/bin/sh");
    facts["real_paths"]["/usr/bin/sh"] = json!("/usr/bin/dash");
    for below in ["llvm/CMakeLists.txt", "clang", "lld", "cmake", "third-party"] {
        facts["exists"][format!("{HOME}/llvm-project/{below}")] = json!(true);
    }
    let file = repository().join("pipelines/clang.toml");
    let test = Test::new([""]).file("facts.json", &facts.to_string());
    let set = format!("--set source={HOME}/llvm-project --facts facts.json --state-dir state");
    let plan = test.cmd(&format!("plan {file} {set}")).ok().stdout;
    assert!(!plan.contains("missing: "), "{plan}");
    assert_snapshot!(plan);
    let beside = test.cmd(&format!("plan {file} {set} --set plain=true --set bolt=false")).ok().stdout;
    assert_snapshot!("clang_beside_a_plain_build", difference(&plan, &beside));
    // The variants that are small enough to be tried.
    for name in ["tblgen", "llc"] {
        let file = repository().join(format!("tests/fixtures/llvm/{name}.toml"));
        let frontend = if name == "llc" { "--set frontend=/usr/bin/clang-19" } else { "" };
        let small = test.cmd(&format!("plan {file} {set} {frontend}")).ok().stdout;
        assert_snapshot!(format!("{name}_from_a_checkout"), difference(&plan, &small));
    }
}

/// Any cargo program: a package, and what is different with a crate of the registry.
#[test]
fn a_cargo_program() {
    let mut facts = recorded();
    facts["programs"]["sh"] = json!("/usr/bin/sh");
    facts["real_paths"]["/usr/bin/sh"] = json!("/usr/bin/dash");
    // Which toolchain rustup takes in a directory, and for `cargo install`.
    let ask = format!("{HOME}/.cargo/bin/rustc --print sysroot");
    let sysroot = facts["outputs"][format!("cd {DEMO}/shell && {ask}")].clone();
    facts["outputs"][format!("cd {HOME}/app && {ask}")] = sysroot.clone();
    facts["outputs"][ask] = sysroot;
    for below in ["app", "app/Cargo.toml", "app/Cargo.lock", "app/src/main.rs", "data"] {
        facts["exists"][format!("{HOME}/{below}")] = json!(true);
    }
    facts["files"][format!("{HOME}/app/Cargo.toml")] = json!("[package]\nname = \"app\"\n");
    facts["programs"]["llvm-objcopy-22"] = json!("/usr/bin/llvm-objcopy-22");
    facts["programs"]["/usr/bin/llvm-objcopy-22"] = json!("/usr/bin/llvm-objcopy-22");
    let test = Test::new([""]).file("facts.json", &facts.to_string());
    let file = repository().join("pipelines/cargo.toml");
    let plan = |set: &str| {
        let set = format!(
            "{set} --set bin=app --set dir={HOME}/data --set 'train=app in | wc' --set 'measure={{program}} big'"
        );
        let plan = test.cmd(&format!("plan {file} {set} --facts facts.json --state-dir state")).ok().stdout;
        assert!(!plan.contains("missing: "), "{plan}");
        plan
    };
    let manifest = plan(&format!("--set manifest={HOME}/app/Cargo.toml"));
    assert_snapshot!("a_cargo_package", manifest);
    assert_snapshot!("a_cargo_crate", difference(&manifest, &plan("--set crate=app@1.2.3")));
}

#[test]
fn an_older_llvm_bolt() {
    // LLVM 15's, with what its `--help-hidden` prints: its `--icf` is a switch, it has neither cdsort nor split strategies.
    let help = std::fs::read_to_string(fixture("llvm-bolt-15.txt")).unwrap();
    let older = |facts: &mut Value| {
        without(facts, "llvm-bolt-22");
        facts["programs"]["llvm-bolt-15"] = json!("/usr/bin/llvm-bolt-15");
        facts["outputs"]["/usr/bin/llvm-bolt-15 --version"] = json!("Debian LLVM version 15.0.6\n");
        facts["outputs"]["/usr/bin/llvm-bolt-15 --help-hidden"] = json!(help);
    };
    assert_snapshot!("an_llvm_bolt_that_is_too_old", otherwise(older));

    // A variant of the demo that takes it.
    let variant = Test::new([format!(
        "name = 'variant'\nextends = '{}'\n[tools]\nllvm-bolt = '>=15'\n",
        demo().join("pipeline.toml")
    )]);
    let mut facts = recorded();
    let before = plan_of(&variant.path("p.toml"), &facts);
    older(&mut facts);
    let after = plan_of(&variant.path("p.toml"), &facts);
    assert_snapshot!("an_older_llvm_bolt", difference(&before, &after));
}

#[test]
fn another_architecture() {
    let facts = recorded();
    let arm = facts.to_string().replace("x86_64", "aarch64");
    let plan = plan(&serde_json::from_str(&arm).unwrap()).replace("aarch64-unknown", "x86_64-unknown");
    assert_snapshot!(difference(&self::plan(&facts), &plan));
}

#[test]
fn without_ninja() {
    assert_snapshot!(otherwise(|facts| without(facts, "ninja")));
}

#[test]
fn without_valgrind() {
    assert_snapshot!(otherwise(|facts| without(facts, "valgrind")));
}

#[test]
fn without_any_tool() {
    let bare = |facts: &mut Value| {
        facts["programs"] = json!({});
        facts["outputs"] = json!({});
        facts["real_paths"] = json!({});
    };
    assert_snapshot!(otherwise(bare));

    // The same in the world: a PATH with nothing in it. No stage begins.
    let empty = Test::new([""]).env("PATH", "/nonexistent");
    let run = empty.cmd(&format!("run {} --state-dir state", demo().join("pipeline.toml"))).code(3);
    let run = run
        .err("`cmake` is not installed")
        .err("`cargo` is not installed")
        .err("`ninja` is not installed")
        .err("optbuild doctor");
    assert!(!run.stderr.contains("started"), "{}", run.stderr);
    let _ = empty.cmd(&format!("plan {} --state-dir state", demo().join("pipeline.toml"))).ok().out("missing: ");
}
