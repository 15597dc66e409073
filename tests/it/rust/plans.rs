//! The whole plan of every shipped pipeline of rustc, from what was recorded on Linux with the stub checkout, and for machines that are not
//! there.
//!
//! To record anew, on a machine with LLVM 22 and 19: `RECORD_FACTS=1 cargo test --test it rust::plans`, and look at the difference of
//! `tests/fixtures/facts/rust-linux.json` before it is kept.

use std::process::Command;
use std::sync::Once;

use super::support::{Rust, Spelling};
use camino::{Utf8Path, Utf8PathBuf};
use insta::assert_snapshot;
use serde_json::{Value, json};

const OPTBUILD: &str = env!("CARGO_BIN_EXE_optbuild");
/// In facts and snapshots: where the checkout lies.
const HOME: &str = "/home/user/";
const SET: [&str; 4] = [
    "checkout=/home/user/checkout",
    "rustc=/home/user/stage0/bin/rustc",
    "cargo=/home/user/stage0/bin/cargo",
    "host-llvm=/usr/lib/llvm-22",
];

fn file() -> Utf8PathBuf {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/facts/rust-linux.json")
}

fn recorded() -> Value {
    static RECORD: Once = Once::new();
    RECORD.call_once(|| {
        if std::env::var_os("RECORD_FACTS").is_some() {
            record();
        }
    });
    serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap()
}

/// What all of them ask.
fn record() {
    let mut all = json!({});
    for pipeline in ["linux-x86_64", "linux-x86_64-system-llvm", "linux-x86_64-2022-10", "linux-x86_64-2022-01"] {
        let mut rust = Rust::new(pipeline, Spelling::Of2025).unwrap();
        std::fs::write(rust.path("checkout/src/version"), "1.85.0\n").unwrap();
        for (set, value) in [("host-llvm=", "/usr/lib/llvm-22"), ("llvm-config=", "/usr/lib/llvm-19/bin/llvm-config")] {
            rust.set
                .iter_mut()
                .filter(|given| given.starts_with(set))
                .for_each(|given| *given = format!("{set}{value}"));
        }
        let facts = rust.path("facts.json");
        rust.call("plan", &["--record-facts", facts.as_str()]).ok();
        let root = format!("{}/", rust.path("").as_str().trim_end_matches('/'));
        let text = std::fs::read_to_string(facts).unwrap().replace(&root, HOME);
        for (kind, answers) in serde_json::from_str::<serde_json::Map<String, Value>>(&text).unwrap() {
            match answers {
                Value::Object(answers) => {
                    let known = all.as_object_mut().unwrap().entry(kind).or_insert_with(|| json!({}));
                    known.as_object_mut().unwrap().extend(answers);
                }
                other => all[kind] = other,
            }
        }
    }
    // Where python is differs most between machines, and what stands for rustc is of today.
    let text = serde_json::to_string_pretty(&all).unwrap();
    let rustc = Command::new("rustc").arg("-V").output().unwrap().stdout;
    let version = String::from_utf8(rustc).unwrap().split(' ').nth(1).unwrap().to_string();
    let home = std::env::var("HOME").unwrap();
    std::fs::write(file(), text.replace(&version, "1.84.0").replace(&home, "/home/user") + "\n").unwrap();
}

/// The plan of a pipeline with these facts.
fn plan(pipeline: &str, facts: &Value, more: &[&str]) -> String {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("facts.json"), facts.to_string()).unwrap();
    let mut command = Command::new(OPTBUILD);
    command.args(["plan", pipeline, "--facts", "facts.json", "--state-dir", "state"]).current_dir(dir.path());
    let root = Utf8Path::from_path(dir.path()).unwrap().canonicalize_utf8().unwrap();
    command.env("XDG_CACHE_HOME", root.join("cache"));
    command.args(SET.iter().chain(more).flat_map(|set| ["--set", set]));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // Shipped pipelines are unpacked by the hash of what they are.
    let unpacked = format!("{root}/cache/optbuild/pipelines/");
    let mut shown = String::new();
    for (index, part) in text.split(&unpacked).enumerate() {
        let rest = if index == 0 { part } else { part.split_once('/').map_or("", |(_, rest)| rest) };
        shown.push_str(if index == 0 { "" } else { "<pipelines>/" });
        shown.push_str(rest);
    }
    shown
}

/// The same machine with another system or processor.
fn on(triple: &str) -> Value {
    let text = recorded().to_string().replace("x86_64-unknown-linux-gnu", triple);
    serde_json::from_str(&text).unwrap()
}

#[test]
fn linux_x86_64() {
    let facts = recorded();
    let text = facts.to_string();
    assert!(!text.contains("/root") && !text.replace("/tmp/prof.fdata", "").contains("/tmp/"), "facts of one machine");
    assert_snapshot!(plan("linux-x86_64", &facts, &[]));
}

/// What comes behind the archives when somebody wants to know what they are worth.
#[test]
fn beside_a_plain_build() {
    let behind = |pipeline: &str, more: &[&str]| {
        let set = [&["plain=true", "compare-crates=serde-*,serde-1.0.136"], more].concat();
        let text = plan(pipeline, &recorded(), &set);
        text[text.find("rustc-plain (").unwrap()..].to_string()
    };
    assert_snapshot!("beside_a_plain_build", behind("linux-x86_64", &[]));
    let llvm = ["llvm-config=/usr/lib/llvm-19/bin/llvm-config"];
    assert_snapshot!("beside_a_plain_build_on_an_external_llvm", behind("linux-x86_64-system-llvm", &llvm));
}

/// The same checkout with an x.py of July 2026.
#[test]
fn linux_x86_64_tools() {
    let mut facts = recorded();
    let fixture = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rust/spelling-2026");
    let tables = "src/bootstrap/src/core/config/toml";
    let files = ["pgo.rs", "rust.rs"].map(|name| format!("{tables}/{name}"));
    let others =
        ["src/bootstrap/src/core/config/flags.rs", "src/bootstrap/src/core/config/config.rs"].map(String::from);
    for below in files.into_iter().chain(others).chain(["src/tools/rustc-perf/collector/src/bin/collector.rs".into()]) {
        facts["files"][format!("{HOME}checkout/{below}")] =
            json!(std::fs::read_to_string(fixture.join(&below)).unwrap());
    }
    facts["directories"][format!("{HOME}checkout/{tables}")] = json!(["pgo.rs", "rust.rs"]);
    assert_snapshot!(plan("linux-x86_64-tools", &facts, &[]));
}

#[test]
fn linux_x86_64_system_llvm() {
    let llvm = ["llvm-config=/usr/lib/llvm-19/bin/llvm-config"];
    assert_snapshot!(plan("linux-x86_64-system-llvm", &recorded(), &llvm));
}

#[test]
fn linux_x86_64_2022_10() {
    let crates = ["llvm-crates=serde-1.0.136", "llvm-bolt-crates=serde-1.0.136", "rustc-crates=externs,match-stress"];
    assert_snapshot!(plan("linux-x86_64-2022-10", &recorded(), &crates));
}

#[test]
fn linux_x86_64_2022_01() {
    assert_snapshot!(plan("linux-x86_64-2022-01", &recorded(), &["rustc-crates=externs,match-stress"]));
}

#[test]
fn linux_aarch64() {
    assert_snapshot!(plan("linux-aarch64", &on("aarch64-unknown-linux-gnu"), &[]));
}

#[test]
fn windows_x86_64() {
    assert_snapshot!(plan("windows-x86_64", &on("x86_64-pc-windows-msvc"), &[]));
}

#[test]
fn macos_x86_64() {
    assert_snapshot!(plan("macos-x86_64", &on("x86_64-apple-darwin"), &[]));
}

#[test]
fn macos_aarch64() {
    assert_snapshot!(plan("macos-aarch64", &on("aarch64-apple-darwin"), &[]));
}

/// A run needs no checkout to be planned: what is missing is said.
#[test]
fn without_a_checkout() {
    let text = plan("linux-x86_64", &json!({ "host": "x86_64-unknown-linux-gnu" }), &[]);
    assert!(text.contains("/home/user/checkout is no checkout of rust"), "{text}");
    // That is the cause of all that is not there either.
    let remedies = text.lines().filter(|line| line.contains("missing: ") && line.contains("/home/user/checkout"));
    let remedies: std::collections::BTreeSet<&str> = remedies.map(str::trim).collect();
    assert_eq!(remedies.len(), 1, "{remedies:#?}");
    assert!(text.contains("`--set checkout=DIR`"), "{text}");

    // There is a checkout, with nothing in src/tools/rustc-perf: in the words of whoever runs the pipeline.
    let facts = json!({ "host": "x86_64-unknown-linux-gnu", "exists": { "/home/user/checkout/x.py": true } });
    let text = plan("linux-x86_64", &facts, &[]);
    assert!(text.contains("there is no rustc-perf in /home/user/checkout/src/tools/rustc-perf"), "{text}");
    assert!(text.contains("`--set rustc-perf=DIR`"), "{text}");
}
