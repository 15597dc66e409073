//! The shipped pipeline `cargo` on a workspace with two programs, tests and benches, in its variants.

use crate::support::Test;
use crate::support::real::{artifact, artifact_in, calls, empty, has, has_not, sections, sh};
use serde_json::Value;

/// The profile strips: that has to wait until BOLT is done.
const WORKSPACE: &str =
    "[workspace]\nmembers = ['app', 'work']\nresolver = '2'\n[profile.release]\nstrip = true\nlto = 'thin'\n";
const APP: &str = "[package]\nname = 'app'\nversion = '0.1.0'\nedition = '2021'\n[features]\nloud = []\n\
                   [dependencies]\nwork = { path = '../work' }\n[[bin]]\nname = 'app'\npath = 'src/main.rs'\n\
                   [[bin]]\nname = 'other'\npath = 'src/other.rs'\n[[bench]]\nname = 'sums'\nharness = false\n";
const WORK: &str = "[package]\nname = 'work'\nversion = '0.1.0'\nedition = '2021'\n";

/// `step` is called as often as the argument says.
const LIBRARY: &str = "
#[inline(never)]
pub fn step(sum: u64, n: u64) -> u64 { sum.wrapping_mul(31) ^ n }

pub fn sum(end: u64) -> u64 {
    let mut sum = 0u64;
    for n in 0..end { sum = if n % 64 == 63 { sum.rotate_left(7) } else { step(sum, n) }; }
    sum
}
";
const MAIN: &str = "fn main() {
    let end = std::env::args().nth(1).and_then(|word| word.parse().ok()).unwrap_or(100);
    if cfg!(feature = \"loud\") { println!(\"loud\"); }
    println!(\"{}\", work::sum(end));
}
";
/// Runs the program 64 × 1,000 numbers far, of which one in 64 does without `step`.
const TEST: &str = "#[test]
fn it_works() {
    let output = std::process::Command::new(env!(\"CARGO_BIN_EXE_app\")).arg(\"64000\").output().unwrap();
    assert!(output.status.success());
}
";
/// Leaves a file where criterion leaves its results.
const BENCH: &str = "fn main() {
    let results = std::env::var(\"CRITERION_HOME\").unwrap_or(\"target/criterion\".into());
    std::fs::create_dir_all(&results).unwrap();
    std::fs::write(format!(\"{results}/estimates.json\"), \"{}\").unwrap();
    println!(\"{}\", work::sum(128000));
}
";

fn workspace() -> Test {
    let test = empty("");
    for (file, text) in [
        ("w/Cargo.toml", WORKSPACE),
        ("w/app/Cargo.toml", APP),
        ("w/app/src/main.rs", MAIN),
        ("w/app/src/other.rs", MAIN),
        ("w/app/tests/it.rs", TEST),
        ("w/app/benches/sums.rs", BENCH),
        ("w/work/Cargo.toml", WORK),
        ("w/work/src/lib.rs", LIBRARY),
    ] {
        test.write(file, text);
    }
    // cargo would write it into the project, which is a source that must not change.
    let _ = sh(&test.path("w"), "cargo generate-lockfile --offline 2>&1");
    test
}

const PROGRAM: &str = "--set manifest=w/app/Cargo.toml --set bin=app --set package=app";
/// Counting is left to the tests of `compare`.
const QUICK: &str = "--set budget=20s";
/// Such a small program may come out slower.
const WHATEVER: &str = "--put-anyway";

/// What the program prints, without the program.
fn sum(end: u64) -> u64 {
    let mut sum = 0u64;
    for n in 0..end {
        sum = if n % 64 == 63 { sum.rotate_left(7) } else { sum.wrapping_mul(31) ^ n };
    }
    sum
}

fn printed(test: &Test, words: &str) -> String {
    sh(&test.dir, words).trim().to_string()
}

#[test]
fn pgo_and_bolt_of_a_program_in_a_workspace() {
    let test = workspace();
    // By its name, in a shell, with a comma; and by its path. Of the two runs one has half of the work.
    let train = r#"--set 'train=app 64000 | tr -d a\,b' --set 'train="$program" 128000' --set balance=false"#;
    let words = format!("{PROGRAM} --set more-bins=other --set features=loud {train} {QUICK}");
    let ran = test.cmd(&format!("run cargo {words} --set 'measure=app 3000000' {WHATEVER}")).ok();
    assert!(ran.stderr.contains("compare.table"), "{}", ran.stderr);

    // 63 of 64 numbers, in two runs of one profile.
    let profile = artifact(&test, "pgo-profile.profile");
    assert_eq!(calls(&profile, "work4step", ""), 63 * (1000 + 2000));

    let before_bolt = sections(&artifact(&test, "pgo-build.app"));
    has(&before_bolt, ".symtab");
    has(&before_bolt, ".rela.text");
    for program in ["out/cargo/bin/app", "out/cargo/bin/other"] {
        let found = sections(&test.path(program));
        has_not(&found, ".symtab");
        has_not(&found, ".rela.text");
        has_not(&found, "__llvm_prf_cnts");
        assert_eq!(printed(&test, &format!("{program} 1000")), format!("loud\n{}", sum(1000)));
    }
    has(&sections(&test.path("out/cargo/bin/app")), ".bolt.org.text");
    has_not(&sections(&test.path("out/cargo/bin/other")), ".bolt.org.text");

    let json = std::fs::read_to_string(artifact(&test, "compare.json")).unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["workloads"][0]["output"], "same");
    assert_eq!(json["candidate"]["name"], "bolted.out/bin/app");
    assert!(
        test.read("out/cargo/comparison.md").contains("| app 3000000 |"),
        "{}",
        test.read("out/cargo/comparison.md")
    );

    // Another training is another profile, and so another build; what does not depend on it stays.
    let again =
        test.cmd(&format!("plan cargo {PROGRAM} --set more-bins=other --set features=loud --set 'train=app 7'")).ok();
    for (stage, state) in [("plain", "up to date"), ("instrumented", "up to date"), ("pgo-profile", "will run")] {
        let line = again.stdout.lines().find(|line| line.starts_with(&format!("{stage} ("))).unwrap();
        assert!(line.contains(state), "{line}");
    }
}

#[test]
fn pgo_alone_trained_by_tests_and_benches() {
    let test = workspace();
    let words = format!(
        "{PROGRAM} {QUICK} --set bolt=false --set balance=false --set train-with=test,bench --set 'measure=app 3000000'"
    );
    // What a path may hold, and cargo's configuration, its flags for rustc and shells read otherwise.
    let state = "it's a state";
    let _ = test.cmd(&format!("run cargo {words} --state-dir \"{state}\" {WHATEVER}")).ok();
    // The test starts the program, the bench calls the library: 64,000 and 128,000 numbers.
    let profile = artifact_in(&test, "pgo-profile.profile", state);
    assert_eq!(calls(&profile, "work4step", ""), 63 * (1000 + 2000));
    let found = sections(&test.path("out/cargo/bin/app"));
    // Built and stripped by cargo alone.
    has_not(&found, ".symtab");
    has_not(&found, ".bolt.org.text");
    assert_eq!(printed(&test, "out/cargo/bin/app 1000"), sum(1000).to_string());
    assert!(!test.exists("w/target") && !test.exists("w/app/target"), "nobody writes into the project");
}

/// Dependencies of benches turn on a feature of a crate, so that its functions have other names than in the program.
#[test]
fn training_that_names_other_functions_does_not_fit() {
    let test = workspace();
    let features = "[dev-dependencies]\nwork = { path = '../work', features = ['extra'] }\n";
    test.write("w/app/Cargo.toml", &format!("{APP}{features}"));
    test.write("w/work/Cargo.toml", &format!("{WORK}[features]\nextra = []\n"));
    let words = format!("{PROGRAM} {QUICK} --set bolt=false --set train-with=bench --set 'measure=app 3000000'");
    let refused = test.cmd(&format!("run cargo {words}"));
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("only 0.0 % of what the workloads execute lies in functions that are hot"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("pgo-build: started") && !test.exists("out/cargo/bin"), "{}", refused.stderr);
}

#[test]
fn a_package_without_benches_has_nothing_to_train_with() {
    let test = workspace();
    test.write("w/app/Cargo.toml", APP.split("[[bench]]").next().unwrap());
    test.sh("rm w/app/benches/sums.rs");
    let words = "--set bolt=false --set train-with=bench --set 'measure=app 3' --until pgo-profile";
    let ran = test.cmd(&format!("run cargo {PROGRAM} {words}"));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("workload `cargo[harness=bench]` ran no benchmark and no test"), "{}", ran.stderr);
}

#[test]
fn bolt_alone() {
    let test = workspace();
    let trained = "--set 'train=app 64000' --state-dir \"it's a state\"";
    let _ = test.cmd(&format!("run cargo {PROGRAM} {QUICK} --set pgo=false {trained} {WHATEVER}")).ok();
    let found = sections(&test.path("out/cargo/bin/app"));
    has(&found, ".bolt.org.text");
    has_not(&found, ".symtab");
    assert_eq!(printed(&test, "out/cargo/bin/app 1000"), sum(1000).to_string());
}

#[test]
fn what_cannot_be_is_told_before_anything_is_built() {
    let test = workspace();
    let refused = |words: &str, says: &str| {
        let ran = test.cmd(&format!("run cargo {words}"));
        assert_eq!(ran.code, Some(2), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{words}: {}", ran.stderr);
        assert!(!test.exists("out"), "{words}");
    };
    refused("--set manifest=w/app/Cargo.toml --set train=app", "bin");
    refused("--set bin=app --set train=app", "either `manifest` or `crate`");
    refused(PROGRAM, "there is nothing to run");
    // What cargo builds for benches is not what BOLT instrumented.
    let measured = format!("{PROGRAM} --set train-with=bench --set 'measure=app 3'");
    refused(&measured, "stage `bolt-profile`, `workloads`: there is nothing to run");
    refused("--set crate=ripgrep@14.1.1 --set bin=rg --set bolt=false --set train-with=bench", "without its benches");
    // The variables to set are named, and what switches a stage off.
    refused(PROGRAM, "set `train` or `train-with`, or do without the stage: `pgo=false`");
    refused(&measured, "set `train`, or do without the stage: `bolt=false`");
    let unmeasured = format!("{PROGRAM} --set train-with=bench --set bolt=false");
    refused(&unmeasured, "stage `measured-profile`, `workloads`: there is nothing to run: set `measure` or `train`");
    let unmeasured = format!("{unmeasured} --set any-profile=true");
    refused(&unmeasured, "stage `compare`, `workloads`: there is nothing to run: set `measure` or `train`");
    // The variables can be looked at without any.
    assert!(test.cmd("show cargo").ok().stdout.contains("train-with"));
}

/// A training of three processes. One that leaves a file that is no profile has lost nothing; one that leaves a half of its profile has
/// lost a third of what was counted.
#[test]
fn a_damaged_profile_of_three() {
    let test = workspace();
    let run = |bad: &str, more: &str| {
        let train = format!("--set 'train=app 64000; {bad}' --set 'train=app 128000' --set balance=false");
        test.cmd(&format!("run cargo {PROGRAM} {train} --set bolt=false --until pgo-profile {more}"))
    };
    let _ = run(r#"echo bad > "${LLVM_PROFILE_FILE%/*}/bad.profraw""#, "").ok();
    assert_eq!(calls(&artifact(&test, "pgo-profile.profile"), "work4step", ""), 63 * (1000 + 2000));
    let cut =
        r#"LLVM_PROFILE_FILE=whole app 64000; head -c 500 whole > "${LLVM_PROFILE_FILE%/*}/cut.profraw"; rm whole"#;
    let _ = run(cut, "").code(1).err("1 of 3 profiles are damaged, with 33 % of all bytes; no more than 1% may be");
    let _ = run(cut, "--set max-damaged=34%").ok().err("warning: 1 of 3 profiles are damaged");
    assert_eq!(calls(&artifact(&test, "pgo-profile.profile"), "work4step", ""), 63 * (1000 + 2000));
}

#[test]
fn a_lock_file_that_is_missing_is_told_before_anything_is_built() {
    let test = workspace();
    std::fs::remove_file(test.path("w/Cargo.lock")).unwrap();
    let words = format!("{PROGRAM} --set train=app");
    let refused = test.cmd(&format!("run cargo {words}")).code(3);
    let refused = refused.err("w/Cargo.lock does not exist").err("run `cargo generate-lockfile` in ");
    assert!(!refused.stderr.contains("started") && !test.exists("out"), "{}", refused.stderr);
    assert!(!test.exists("w/Cargo.lock"), "nobody writes into the project");
    let _ = test.cmd(&format!("doctor cargo {words}")).code(3).out("w/Cargo.lock does not exist");
    // The workspace's is at its root, and there cargo puts it.
    let _ = sh(&test.path("w"), "cargo generate-lockfile --offline 2>&1");
    assert!(!test.cmd(&format!("plan cargo {words}")).ok().stdout.contains("Cargo.lock"));
}

/// Limits of BOLT that show in the declaration.
#[test]
fn bolt_needs_relocations_and_elf() {
    let stages = |keys: &str| {
        format!(
            "[[stage]]\nname = 'build'\nkind = 'cargo'\nmanifest = '${{pipeline.dir}}/w/app/Cargo.toml'\nbins = ['app']\n{keys}\n\
             [[stage]]\nname = 'b'\nkind = 'bolt'\naction = 'instrument'\ninput = '${{build.app}}'\n"
        )
    };
    let test = workspace();
    let planned = |keys: &str| {
        test.pipeline([stages(keys)]);
        test.cmd("plan p.toml")
    };
    let refused = planned("");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("stage `build`, which links without relocations"), "{}", refused.stderr);
    assert!(planned("keep-relocations = true\ntarget = 'aarch64-apple-darwin'").stderr.contains("ELF files only"));
    assert!(
        planned("keep-relocations = true\ntarget = 'armv7-unknown-linux-gnueabihf'").stderr.contains("does not know")
    );
    let _ = planned("keep-relocations = true").ok();
    let _ = planned("rustflags = ['-Clink-arg=-Wl,--emit-relocs', '-Cstrip=none']").ok();
}

/// Names of functions that llvm-bolt 22 cannot write are left out of BOLT's training, with those that call them by names as long.
#[test]
fn names_that_are_too_long_for_bolt() {
    let test = workspace();
    // A module in a module: its path is the name of what stands in it.
    let module = |length: usize| (0..length / 250).map(|at| format!("m{at}{}", "x".repeat(245))).collect::<Vec<_>>();
    let nested = |length: usize, body: &str| {
        let names = module(length);
        let open: String = names.iter().map(|name| format!("pub mod {name} {{ ")).collect();
        (format!("{open}{body}{}", "} ".repeat(names.len())), names.join("::"))
    };
    let body = "#[inline(never)] pub fn far(n: u64) -> u64 { (0..n).fold(0, |s, n| if n % 3 == 0 { s ^ n } else { s + n * 7 }) }";
    let (text, path) = nested(6000, body);
    test.write("w/work/src/lib.rs", &format!("{LIBRARY}\n{text}\n"));
    let main = MAIN.replace("work::sum(end)", &format!("work::sum(end) ^ work::{path}::far(end)"));
    test.write("w/app/src/main.rs", &main);
    let ran = test
        .cmd(&format!("run cargo {PROGRAM} {QUICK} --set pgo=false --set 'train=app 64000' --set 'measure=app 300000'"))
        .ok();
    let ran = ran.err("1 function of ").err("have names of more than 5000 bytes").err("left out of the training");
    assert!(ran.stderr.contains("bolted"), "{}", ran.stderr);
    has(&sections(&test.path("out/cargo/bin/app")), ".bolt.org.text");
}

/// Where BOLT fails, the program with PGO is the result, and what failed is said.
#[test]
fn bolt_that_fails() {
    let test = workspace();
    // An llvm-bolt that instruments, and does nothing else.
    test.program(
        "llvm-bolt",
        "case \"$*\" in *-instrument*|*--version*|*--help*) exec /usr/lib/llvm-22/bin/llvm-bolt \"$@\";; esac\necho 'BOLT-ERROR: it is broken' >&2\nexit 1",
    );
    let run = |more: &str| {
        test.cmd(&format!(
            "run cargo {PROGRAM} {QUICK} --set 'train=app 64000' --set 'measure=app 300000' {WHATEVER} {more}"
        ))
    };
    let ran = run("").ok().err("BOLT-ERROR: it is broken");
    let said = "stage `bolted` has no outputs, so out/cargo/bin is what stage `pgo-build` made, linked with relocations for BOLT";
    let _ = ran.err(said).err("`--set bolt=false` links it without");
    assert_eq!(printed(&test, "out/cargo/bin/app 1000"), sum(1000).to_string());
    has_not(&sections(&test.path("out/cargo/bin/app")), ".bolt.org.text");
    assert!(
        test.read("out/cargo/comparison.md").contains("pgo-build.out/bin/app"),
        "{}",
        test.read("out/cargo/comparison.md")
    );
    // With BOLT alone there is nothing in its place.
    let _ = run("--set pgo=false --state-dir alone --out alone-out")
        .code(1)
        .err("alone-out/bin was not made: stage `bolted` has no outputs");
}
