//! `optbuild compare --rustc-perf`: two toolchains of which one is known to do everything twice.

use std::process::Command;

use crate::support::{Test, needs};
use serde_json::Value;

/// A checkout of rustc-perf with one crate, which has a dependency; and two toolchains, the second of which compiles twice.
fn test() -> Test {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap().stdout;
    let bin = format!("{}/bin", String::from_utf8(sysroot).unwrap().trim_end());
    let rustc = format!("{bin}/rustc");
    let compile = "perf/collector/compile-benchmarks/tiny-1.0.0";
    let manifest = "[package]\nname = 'tiny'\nversion = '1.0.0'\n[dependencies]\ndep = { path = 'dep' }\n[workspace]\n";
    let test = Test::new([""])
        .file(&format!("{compile}/perf-config.json"), r#"{"artifact": "library", "category": "primary"}"#)
        .file(&format!("{compile}/Cargo.toml"), manifest)
        .file(
            &format!("{compile}/src/lib.rs"),
            "pub fn sum(of: &[u64]) -> u64 { of.iter().map(|x| dep::twice(*x)).sum() }\n",
        )
        .file(&format!("{compile}/dep/Cargo.toml"), "[package]\nname = 'dep'\nversion = '1.0.0'\n")
        .file(&format!("{compile}/dep/src/lib.rs"), "pub fn twice(x: u64) -> u64 { x * 2 }\n")
        .file("once/bin/rustc", &format!("#!/bin/sh\nexec {rustc} \"$@\"\n"))
        .file(
            "twice/bin/rustc",
            &format!("#!/bin/sh\ncase \"$*\" in *--emit=*) {rustc} \"$@\" 2> /dev/null;; esac\nexec {rustc} \"$@\"\n"),
        );
    test.sh("chmod +x once/bin/rustc twice/bin/rustc");
    let _ = test.program("cargo", &format!("exec {bin}/cargo \"$@\""));
    test
}

#[test]
fn the_last_rustc_of_a_crate_is_measured() {
    if !needs::instruction_counts() {
        return;
    }
    let test = test();
    let before = test.files_below("perf");
    let words =
        "compare once twice --rustc-perf perf --crates tiny-1.0.0 --perf-profiles Check,Opt --rounds 1 --budget 9h";
    let ran = test.cmd(&format!("{words} --json")).ok();
    assert!(ran.stderr.contains("building the dependencies of tiny-1.0.0 Opt"), "{}", ran.stderr);
    let result: Value = serde_json::from_str(&ran.stdout).unwrap();
    let workloads = result["workloads"].as_array().unwrap();
    let names: Vec<&str> = workloads.iter().map(|workload| workload["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tiny-1.0.0 Check", "tiny-1.0.0 Opt"]);
    for workload in workloads {
        // Not that of its dependency.
        assert_eq!(workload["command"], "{program} --crate-name tiny …");
        let metrics = workload["metrics"].as_array().unwrap();
        let instructions = metrics.iter().find(|metric| metric["metric"] == "instructions").unwrap();
        // Two compilers instead of one; the shell that starts them is nothing beside them.
        let change = instructions["change"].as_f64().unwrap();
        assert!((0.97..1.03).contains(&change), "{instructions:#}");
    }
    assert_eq!(test.files_below("perf"), before, "a checkout is only read");
}

#[test]
fn a_crate_that_is_not_there() {
    let refused = test().cmd("compare once twice --rustc-perf perf --crates tiny-1.0.1").code(1);
    let _ = refused.err("this rustc-perf has no crate `tiny-1.0.1`. The nearest: tiny-1.0.0");
    let test = test();
    test.write("perf/collector/compile-benchmarks/tiny-1.0.0/src/lib.rs", "pub fn broken(");
    let failed = test.cmd("compare once twice --rustc-perf perf --crates tiny-1.0.0 --perf-profiles Check").code(1);
    let _ = failed.err("crate tiny-1.0.0 Check with once").err("this file contains an unclosed delimiter");
}
