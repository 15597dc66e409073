//! What stages of kind rustc-perf and workloads with `rustc-perf` plan, for collectors of several years: exact command lines.

use std::collections::BTreeSet;

use super::support::{pipeline, shown};
use optbuild::facts::Facts;
use optbuild::stage::{self, PlanError};
use serde_json::{Value, json};

const TRAINING: &str = r#"
[[stage]]
name = "training"
kind = "rustc-perf"
checkout = "/rust"
rustc = "/s0/rustc"
cargo = "/s0/cargo"
cargo-config = ["/vendor.toml"]

[[stage]]
name = "built"
kind = "bootstrap"
checkout = "/rust"
pgo = { rustc = "generate" }

[[stage]]
name = "profile"
kind = "gather"
instrumented = "${built.toolchain}"
profdata = "/llvm/llvm-profdata"
"#;

/// A workload `perf` with these keys besides.
fn training(keys: &str) -> String {
    format!(
        "{TRAINING}[[stage.workloads]]\nname = 'perf'\n[stage.workloads.rustc-perf]\ncollector = '${{training.out}}'\n\
         cargo = '/s0/cargo'\n{keys}\n"
    )
}

/// A checkout with rustc-perf: its crates with their settings, the source of its collector, and other files.
fn facts(crates: &[(&str, &str)], collector: &str, files: &[(&str, &str)]) -> Facts {
    let perf = "/rust/src/tools/rustc-perf";
    let dir = format!("{perf}/collector/compile-benchmarks");
    let exists =
        |paths: Vec<String>| paths.into_iter().map(|path| (path, json!(true))).collect::<serde_json::Map<_, _>>();
    let mut paths = vec![dir.clone(), format!("{perf}/collector"), "/rust/x.py".into()];
    paths.extend(["/s0/rustc", "/s0/cargo"].map(String::from));
    paths.extend(crates.iter().map(|(name, _)| format!("{dir}/{name}/perf-config.json")));
    let mut texts: serde_json::Map<String, Value> =
        crates.iter().map(|(name, settings)| (format!("{dir}/{name}/perf-config.json"), json!(settings))).collect();
    texts.insert(format!("{perf}/collector/src/bin/collector.rs"), json!(collector));
    texts.extend(files.iter().map(|(path, text)| (format!("/rust/{path}"), json!(text))));
    let names: Vec<&str> = crates.iter().map(|(name, _)| *name).chain(["README.md"]).collect();
    let facts = json!({
        "host": "x86_64-unknown-linux-gnu", "exists": exists(paths), "files": texts, "directories": { dir: names },
        "programs": { "cc": "/usr/bin/cc" },
    });
    Facts::from_json(&facts.to_string()).unwrap()
}

const PRIMARY: &str = r#"{ "category": "primary" }"#;
/// The options of a collector of 2025, as its source has them.
const OF_2025: &str = "id: Option<String>, cargo_config: Vec<String>, exclude, include, category: MultiEnumValue<Category>, \
                       long = \"profiles\", alias = \"builds\", long = \"scenarios\", alias = \"runs\"";
const CRATES: [(&str, &str); 4] = [
    ("regex", r#"{ "category": "stable" }"#),
    ("regex-1.5.5", PRIMARY),
    ("serde-1.0.136", PRIMARY),
    ("old", r#"{ "disabled": true }"#),
];

fn plan(text: &str, stage: &str, facts: &Facts) -> Result<String, PlanError> {
    Ok(shown(&stage::plan(&pipeline(text), facts, stage, &BTreeSet::new())?))
}

/// The command of each workload, without its environment and directory.
fn commands(keys: &str, facts: &Facts) -> Vec<String> {
    let plan = plan(&training(keys), "profile", facts).unwrap();
    let workloads = plan.lines().filter_map(|line| line.strip_prefix("  perf-"));
    let command = |line: &str| {
        let (name, rest) = line.split_once(": ").unwrap();
        let command =
            rest.split(' ').skip_while(|word| word.contains('=') && !word.starts_with('-') && !word.starts_with('<'));
        let command: Vec<&str> = command.take_while(|word| *word != "@").collect();
        format!("{name}: {}", command.join(" "))
    };
    workloads.map(command).collect()
}

fn refused(keys: &str, facts: &Facts) -> String {
    plan(&training(keys), "profile", facts).unwrap_err().to_string()
}

#[test]
fn the_collector_is_built_from_a_copy() {
    let facts = facts(&CRATES, OF_2025, &[]);
    assert_eq!(
        plan(&training("crates = ['regex']"), "training", &facts).unwrap(),
        "\
copy: op copy-workspace --from /rust/src/tools/rustc-perf --to <self.build>/source --without site --skip collector/compile-benchmarks --skip collector/runtime-benchmarks
build: RUSTC=/s0/rustc RUSTC_BOOTSTRAP=1 /s0/cargo build --package collector --bin collector --bin rustc-fake --target-dir <self.build>/target --jobs <jobs> --config /vendor.toml @ <self.build>/source
capture-collector: op capture --from <self.build>/target/debug/collector --to <self.out>/bin/collector
capture-rustc-fake: op capture --from <self.build>/target/debug/rustc-fake --to <self.out>/bin/rustc-fake
link-rustdoc-fake: ln -sf rustc-fake rustdoc-fake @ <self.out>/bin
link-clippy-fake: ln -sf rustc-fake clippy-fake @ <self.out>/bin
capture-crates: op capture --from /rust/src/tools/rustc-perf/collector/compile-benchmarks --to <self.out>/collector/compile-benchmarks
-> out = <self.out> (fixed)
"
    );
}

#[test]
fn a_crate_is_a_workload_with_a_directory_of_its_own() {
    let facts = facts(&CRATES, OF_2025, &[]);
    let keys = "crates = ['serde-1.0.136']\nprofiles = ['Debug', 'Opt']\nscenarios = ['Full']\ncargo-config = ['/vendor.toml']";
    let plan = plan(&training(keys), "profile", &facts).unwrap();
    let pool: String = plan.lines().filter(|line| line.starts_with(' ')).map(|line| format!("{line}\n")).collect();
    assert_eq!(
        pool,
        "  beside stream-merge: op stream-merge --format profdata --tool /llvm/llvm-profdata --committed <committed> --disk-budget \
         2147483648 --threads <jobs>\n  before directories: sh -euc mkdir -p \"$1\" \"$2\" && ln -sfn \"$3\" \"$2/collector\" sh <attempt>/tmp/target/package \
         <attempt>/cwd <training.out>/collector @ <self.build>\n  perf-serde-1.0.136: \
         LLVM_PROFILE_FILE=<attempt>/raw/%m_%p.profraw RUSTC_BOOTSTRAP=1 RUST_LOG=collector=debug \
         TMPDIR=<attempt>/tmp/target/package <training.out>/bin/collector profile_local eprintln <built.toolchain>/bin/rustc --id \
         training --cargo /s0/cargo --profiles Debug,Opt --scenarios Full --include serde-1.0.136 --out-dir <attempt>/results \
         --cargo-config /vendor.toml @ <attempt>/cwd\n  after remove: rm -rf <attempt>/tmp @ <self.build>\n"
    );
}

/// The options that say which crates, and how they are built, of each year.
#[test]
fn options_are_those_of_the_collector() {
    let which = |collector: &str, krate: &str| {
        let found = commands(&format!("crates = ['{krate}']"), &facts(&CRATES, collector, &[]));
        let (_, options) = found[0].split_once("bin/rustc ").unwrap();
        options.split(" --out-dir").next().unwrap().to_string()
    };
    let common = "--id training --cargo /s0/cargo --profiles Check,Debug,Opt --scenarios All";
    assert_eq!(which(OF_2025, "regex-1.5.5"), format!("{common} --include regex-1.5.5"));
    // A stable crate is left out unless it is asked for.
    assert_eq!(which(OF_2025, "regex"), format!("{common} --include regex --exclude regex-1.5.5 --category All"));
    let newest = format!("{OF_2025}, exact_match: Vec<String>");
    assert_eq!(which(&newest, "regex"), format!("{common} --exact-match regex --category All"));
    // September 2026: crates that ask for several numbers of threads are compiled with each, unless told.
    let threads = "struct CompileTimeOptions {\n    #[arg(long)]\n    frontend_threads: Vec<u32>,\n}\n";
    let newer = format!("{newest}\n{threads}");
    assert_eq!(which(&newer, "regex-1.5.5"), format!("{common} --exact-match regex-1.5.5 --frontend-threads 1"));
    // The words alone are no option.
    let inside = format!("{newest}\nstruct CompileTimeOptions {{\n    id: u32,\n}}\nlet frontend_threads: u32 = 1;");
    assert_eq!(which(&inside, "regex-1.5.5"), format!("{common} --exact-match regex-1.5.5"));
    // January 2022: macros of clap 2.
    let old = "(@arg RUSTC: +required) (@arg ID: +required) (@arg BUILDS: --builds) (@arg RUNS: --runs)";
    let options = "training --cargo /s0/cargo --builds Check,Debug,Opt --runs All --include serde-1.0.136";
    assert_eq!(which(old, "serde-1.0.136"), options);
}

#[test]
fn lists_come_from_the_checkout_and_the_pipelines_own_wins() {
    let list = "pub const RUSTC_PGO_CRATES: &[&str] = &[\"regex-1.5.5\"];\npub const LLVM_PGO_CRATES: &[&str] = &[\"serde-1.0.136\"];";
    for file in ["src/build_helper/src/lib.rs", "src/tools/opt-dist/src/training.rs"] {
        let facts = facts(&CRATES, OF_2025, &[(file, list)]);
        let names = |keys: &str| {
            commands(keys, &facts).iter().map(|line| line.split(':').next().unwrap().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(names("list = 'rustc'"), ["regex-1.5.5"]);
        assert_eq!(names("list = 'llvm'"), ["serde-1.0.136"]);
        assert_eq!(names("list = 'llvm'\ncrates = ['regex', 'regex-*', 'regex-1.5.5']"), ["regex", "regex-1.5.5"]);
    }
    // Without a list it is a gap: another checkout may have one.
    let gaps = |facts: &Facts| {
        let plan = stage::plan(&pipeline(&training("list = 'rustc'")), facts, "profile", &BTreeSet::new()).unwrap();
        plan.gaps.iter().map(|gap| gap.what.clone()).collect::<Vec<_>>()
    };
    let said = gaps(&facts(&CRATES, OF_2025, &[]));
    assert_eq!(said, ["the checkout in /rust does not say which crates are for training"]);
}

#[test]
fn libcore_is_compiled_without_the_collector() {
    let manifest = "[package]\nname = \"core\"\nedition = \"2024\"\n";
    let facts = facts(&CRATES, OF_2025, &[("library/core/Cargo.toml", manifest)]);
    assert_eq!(
        commands("libcore = ['0', '3']", &facts),
        ["0", "3"].map(|level| format!(
            "libcore-O{level}: <built.toolchain>/bin/rustc --edition 2024 --crate-name core --crate-type lib --cap-lints allow \
             -Copt-level={level} --out-dir <attempt>/tmp /rust/library/core/src/lib.rs"
        ))
    );
}

#[test]
fn crates_that_cannot_be_built_are_refused() {
    let excluded = ("tiny-1.0.0", r#"{ "excluded_profiles": ["Check", "Debug", "Doc"] }"#);
    let facts = facts(&[CRATES.as_slice(), &[excluded]].concat(), OF_2025, &[]);
    let unknown = refused("crates = ['serde-1.0.219']", &facts);
    assert_eq!(
        unknown,
        "stage `profile`, `workloads.perf`: this rustc-perf has no crate `serde-1.0.219`. The nearest: serde-1.0.136"
    );
    assert!(refused("crates = ['old']", &facts).contains("does not build it any more"));
    let none = refused("crates = ['tiny-1.0.0']\nprofiles = ['Check', 'Debug']", &facts);
    assert!(none.contains("builds the crate `tiny-1.0.0` in none of the profiles Check,Debug"), "{none}");
    assert_eq!(commands("crates = ['tiny-1.0.0']\nprofiles = ['Check', 'Opt']", &facts).len(), 1);
    let config = refused("crates = ['regex']\ncargo-config = ['x']", &self::facts(&CRATES, "--profiles", &[]));
    assert!(config.contains("does not pass `cargo-config` on"), "{config}");
}

#[test]
fn rustdoc_and_clippy_are_profiles_of_programs_that_are_built() {
    let facts = facts(&CRATES, OF_2025, &[]);
    let keys = |profile: &str| format!("crates = ['regex-1.5.5']\nprofiles = ['{profile}']\nscenarios = ['Full']");
    for (profile, tool) in [("Doc", "rustdoc"), ("Clippy", "clippy")] {
        // The collector looks for the program beside rustc, after all else was built.
        let said = refused(&keys(profile), &facts);
        let says = format!("the stage `built` does not build it: add `src/tools/{tool}` to its `paths`");
        assert!(said.contains(&says), "{said}");
        let built = format!("kind = \"bootstrap\"\npaths = ['library/std', 'src/tools/{tool}']");
        let text = training(&keys(profile)).replace("kind = \"bootstrap\"", &built);
        let planned = plan(&text, "profile", &facts).unwrap();
        assert!(planned.contains(&format!("--profiles {profile} --scenarios Full")), "{planned}");
        // A compiler from elsewhere has what it has.
        commands(&(keys(profile) + "\nrustc = '/s0/rustc'"), &facts);
    }
}

/// As rustc-perf of 2022 and of 2025 have it.
#[test]
fn a_profile_that_the_collector_does_not_have_is_refused() {
    let file = "src/tools/rustc-perf/collector/src/compile/benchmark/profile.rs";
    let keys = "crates = ['regex-1.5.5']\nprofiles = ['Clippy']\nrustc = '/s0/rustc'";
    let facts = |profiles: &str| facts(&CRATES, OF_2025, &[(file, &format!("pub enum Profile {{\n{profiles}}}\n"))]);
    assert!(refused(keys, &facts("Check,\nDebug,\nDoc,\nOpt,\n")).contains("this rustc-perf has no profile `Clippy`"));
    assert_eq!(commands(keys, &facts("Check,\nDebug,\nDoc,\nOpt,\nClippy,\n")).len(), 1);
}

/// BOLT's counts go where the path that is compiled in leads, so each slot has a toolchain of its own.
#[test]
fn on_bolts_instrumentation_each_slot_has_its_toolchain() {
    let bolt = training("crates = ['regex', 'regex-1.5.5', 'serde-1.0.136']").replace(
        "[[stage]]\nname = \"profile\"",
        "[[stage]]\nname = \"instr\"\nkind = \"bolt\"\naction = \"instrument\"\ninput = \"${built.driver}\"\nwithin = \"${built.toolchain}\"\n\
         slots = 2\n[[stage]]\nname = \"profile\"",
    );
    let bolt = bolt.replace("instrumented = \"${built.toolchain}\"", "instrumented = \"${instr.out}\"");
    let facts = facts(&CRATES, OF_2025, &[]);
    let gather = plan(&bolt, "profile", &facts).unwrap();
    assert!(gather.contains("workloads: 2 at once"), "{gather}");
    assert!(
        gather.contains("op check-instrumented --format fdata <instr.slots>/slot-0/lib/librustc_driver-*.so"),
        "{gather}"
    );
    assert!(gather.contains("profile_local eprintln <instr.slots>/slot-<slot>/bin/rustc --id"), "{gather}");
    let instrument = plan(&bolt, "instr", &facts).unwrap();
    let shadow = "shadow-1: op shadow --from <built.toolchain> --to <self.out>/slot-1 --replace lib/librustc_driver-*.so --with \
                  <self.scratch>/slot-1/librustc_driver-bolt.so";
    assert!(instrument.contains(shadow), "{instrument}");
}

/// cargo builds the collector, and build scripts of the crates: with `cc`, if it is not told otherwise.
#[test]
fn what_links_is_asked_for() {
    let without = Facts::from_json(r#"{ "host": "x86_64-unknown-linux-gnu" }"#).unwrap();
    let windows = Facts::from_json(r#"{ "host": "x86_64-pc-windows-msvc" }"#).unwrap();
    let text = training("crates = ['regex']");
    let gaps = |text: &str, stage: &str, facts: &Facts| {
        let plan = stage::plan(&pipeline(text), facts, stage, &BTreeSet::new()).unwrap();
        plan.gaps.into_iter().filter(|gap| gap.what.starts_with("`cc`")).map(|gap| gap.remedy).collect::<Vec<_>>()
    };
    for stage in ["training", "profile"] {
        assert_eq!(gaps(&text, stage, &without), ["install it: `apt-get install -y gcc`"]);
        assert_eq!(gaps(&text, stage, &facts(&CRATES, OF_2025, &[])), [""; 0]);
        assert_eq!(gaps(&text, stage, &windows), [""; 0]);
    }
    let told = text.replace(
        "checkout = \"/rust\"\nrustc =",
        "checkout = \"/rust\"\nenv = { CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER = \"clang\" }\nrustc =",
    );
    assert_eq!(gaps(&told, "training", &without), [""; 0]);
}
