//! Fixtures in directories of their own, the program run on them with the real tools, and its products looked at with others.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::Test;

/// Where LLVM's programs are, for looking at what optbuild's tools made.
pub const LLVM: &str = "/usr/lib/llvm-22/bin";

/// A copy of a fixture, its `pipeline.toml` as `p.toml`.
pub fn fixture(name: &str) -> Test {
    let from = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    let pipeline = std::fs::read_to_string(from.join("pipeline.toml")).unwrap();
    let test = empty(&pipeline);
    let status = Command::new("cp").arg("-r").arg(format!("{from}/.")).arg(&test.dir).status().unwrap();
    assert!(status.success());
    test
}

/// A directory with this pipeline alone, in which cargo and rustup are found.
pub fn empty(pipeline: &str) -> Test {
    let test = Test::new([pipeline]);
    let home = |variable: &str, default: &str| {
        std::env::var(variable).unwrap_or_else(|_| format!("{}/{default}", std::env::var("HOME").unwrap()))
    };
    let path = format!("{}:{}", test.aside.join("bin"), std::env::var("PATH").unwrap());
    test.env("PATH", &path)
        .env("CARGO_HOME", &home("CARGO_HOME", ".cargo"))
        .env("RUSTUP_HOME", &home("RUSTUP_HOME", ".rustup"))
}

/// What a command prints in a directory, with LLVM's programs in front. It must succeed.
#[track_caller]
pub fn sh(dir: &Utf8Path, script: &str) -> String {
    let path = format!("{LLVM}:{}", std::env::var("PATH").unwrap());
    let mut bash = Command::new("bash");
    let output = bash.args(["-euo", "pipefail", "-c", script]).current_dir(dir).env("PATH", path).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where an output stands, as `optbuild artifacts` says it.
#[track_caller]
pub fn artifact(test: &Test, name: &str) -> Utf8PathBuf {
    artifact_in(test, name, ".optbuild")
}

/// The same in another state directory.
pub fn artifact_in(test: &Test, name: &str, state: &str) -> Utf8PathBuf {
    let artifacts = test.cmd(&format!("artifacts --json --state-dir \"{state}\"")).ok().json();
    let (stage, output) = name.split_once('.').unwrap();
    let found = artifacts.as_array().unwrap().iter().find(|a| a["stage"] == stage && a["output"] == output);
    let found = found.unwrap_or_else(|| panic!("no {name} in {artifacts}"));
    // The path is shown without the test's directory.
    found["path"].as_str().unwrap().replace("[DIR]", test.dir.as_str()).into()
}

/// How often a function without branches was called: it has a single counter.
#[track_caller]
pub fn calls(profile: &Utf8Path, function: &str, options: &str) -> u64 {
    let counts = counts(profile, function, options);
    assert_eq!(counts.len(), 1, "{function} has the counts {counts:?}");
    counts[0]
}

/// The counters of the one function whose name has this in it, as `llvm-profdata show` says.
#[track_caller]
pub fn counts(profile: &Utf8Path, function: &str, options: &str) -> Vec<u64> {
    let dir = profile.parent().unwrap();
    let text = sh(dir, &format!("llvm-profdata show --all-functions --counts {options} \"{profile}\""));
    let mut lines = text.lines().skip_while(|line| !(line.contains(function) && line.ends_with(':')));
    let counts = lines.find_map(|line| line.trim().strip_prefix("Block counts: ["));
    let counts = counts.unwrap_or_else(|| panic!("no {function} in {text}"));
    counts.trim_end_matches(']').split(", ").map(|count| count.parse().unwrap()).collect()
}

/// The names of a file's sections.
pub fn sections(file: &Utf8Path) -> Vec<String> {
    let text = sh(file.parent().unwrap(), &format!("readelf -SW {file}"));
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix('[')?.split_once(']'));
    lines.filter_map(|(_, rest)| rest.split_whitespace().next().map(str::to_owned)).collect()
}

#[track_caller]
pub fn has(sections: &[String], name: &str) {
    assert!(sections.iter().any(|section| section == name), "no {name} in {sections:?}");
}

#[track_caller]
pub fn has_not(sections: &[String], name: &str) {
    assert!(!sections.iter().any(|section| section == name), "{name} in {sections:?}");
}

/// Files below a directory with the hash of each, sorted.
pub fn contents(dir: &Utf8Path) -> Vec<(String, String)> {
    let text = sh(dir, "find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum");
    let lines = text.lines().filter_map(|line| line.split_once("  "));
    lines.map(|(hash, path)| (path.to_owned(), hash.to_owned())).collect()
}
