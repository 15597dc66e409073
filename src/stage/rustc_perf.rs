//! `kind = "rustc-perf"`: rustc-perf's collector, and the crates that it compiles, in one directory.
//!
//! The collector looks for `collector/compile-benchmarks` where it runs, and for `rustc-fake` beside itself. Unaware of what is
//! trained with it.

use camino::{Utf8Path, Utf8PathBuf};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Context, Declaration, PlanError, StageKind};
use crate::pipeline::{Answers, Keys, Need, Stage, Text};
use crate::plan::ops::{Capture, CopyWorkspace};
use crate::plan::{Arg, Command, Output, Step, Symbol};
use crate::toolchain;
use crate::toolchain::rustc_perf::benchmarks;

/// Builds the collector of rustc-perf, which compiles the crates that rustc and LLVM are trained on.
///
/// rustc-perf is copied; where it lies nothing is written. The output `out` is what workloads name with
/// `rustc-perf = { collector = "${stage.out}", … }`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RustcPerf {
    /// A checkout of rust-lang/rust: which crates are for training stands in it, and libcore is a workload too.
    pub checkout: Text,
    /// rustc-perf. Its files are inputs. Default: `src/tools/rustc-perf` of the checkout.
    pub source: Option<Text>,
    /// The `rustc` and the `cargo` that build the collector, usually of stage 0. Default: the tools of these names.
    pub rustc: Option<Text>,
    pub cargo: Option<Text>,
    /// Settings for cargo (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
}

/// Crates that rustc-perf's collector compiles with the instrumented build. Each is a workload of its own: `name-crate`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Training {
    /// The output `out` of a stage of kind `rustc-perf`.
    pub collector: Text,
    /// The list of crates that the checkout has for this purpose: `rustc` or `llvm`. Names change with rustc-perf, and the list
    /// with them.
    pub list: Option<CrateList>,
    /// Crates in place of the list, by their whole names; `NAME-*` is the one of the highest version.
    #[serde(default)]
    pub crates: Vec<Text>,
    /// What the crates are built as: `Check`, `Debug`, `Opt`, `Doc`, `Clippy`. Default: the first three. `Doc` runs rustdoc, and
    /// `Clippy` runs clippy-driver.
    #[serde(default)]
    pub profiles: Vec<Text>,
    /// `Full`, `IncrFull`, `IncrUnchanged`, `IncrPatched`, or `All`. Default: `All`.
    #[serde(default)]
    pub scenarios: Vec<Text>,
    /// The compiler. Default: `bin/rustc` of the instrumented build, which is a toolchain then.
    pub rustc: Option<Text>,
    /// The cargo that calls it. Default: the tool `cargo`.
    pub cargo: Option<Text>,
    /// Settings for cargo (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
    /// Levels of optimisation at which libcore is compiled as well, each as a workload: `["0", "3"]`.
    #[serde(default)]
    pub libcore: Vec<Text>,
}

/// A list of crates in the checkout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CrateList {
    /// Crates and stress tests that keep the frontend busy.
    Rustc,
    /// Crates with much code to generate.
    Llvm,
}

/// The web site: it depends on a repository on the network, and the collector does not need it.
const SITE: &str = "site";

/// The program and those that stand between cargo and the compiler. The last two are other names of the second.
const COLLECTOR: &str = "collector";
const FAKE: &str = "rustc-fake";
const OTHER_NAMES: [&str; 2] = ["rustdoc-fake", "clippy-fake"];

/// The collector in the output of such a stage.
pub(super) fn collector(out: &Arg) -> Arg {
    out.clone().join("bin").join(COLLECTOR)
}

/// Where a checkout, or its declaration, says that rustc-perf is; none if that is not known yet.
pub(super) fn source(kind: &RustcPerf, cx: &mut Context) -> Result<(Arg, Option<Utf8PathBuf>), PlanError> {
    let arg = match &kind.source {
        Some(text) => cx.arg(text)?,
        None => cx.arg(&kind.checkout)?.join("src/tools/rustc-perf"),
    };
    let path = cx.known_path(&arg);
    Ok((arg, path))
}

/// cargo links with `cc`, wherever it builds programs: the collector, and build scripts of the crates that are for training.
pub(super) fn needs_linker(cx: &mut Context) {
    let given = |name: &String| name.starts_with("CARGO_TARGET_") && name.ends_with("_LINKER");
    let other = cx.stage.common.env.keys().any(given) || cx.plan.passed_env.keys().any(given);
    if !other && !cx.facts.host().contains("windows-msvc") {
        cx.needs_in_path("cc", "with which cargo links programs");
    }
}

impl Declaration for RustcPerf {
    const NAME: &'static str = "rustc-perf";
    type Parsed = RustcPerf;

    fn parse(self, _: &mut Keys) -> Option<RustcPerf> {
        Some(self)
    }
}

impl StageKind for RustcPerf {
    fn answers(&self) -> Answers {
        Answers { outputs: vec!["out".into()], needs: vec![Need::RustCheckout], ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        let (from, path) = source(self, cx)?;
        let Some(path) = path else {
            return Err(cx.invalid("source", "where rustc-perf is must be known when the plan is made"));
        };
        if !cx.facts.exists(&path.join("collector")) {
            let checkout = cx.arg(&self.checkout)?;
            let within = cx.known_path(&checkout).filter(|checkout| path.starts_with(checkout));
            if !within.is_some_and(|checkout| checkout_is_missing(&checkout, cx.stage, cx)) {
                let named = cx.how_to_set("source", "DIR");
                cx.gap(
                    format!("there is no rustc-perf in {path}"),
                    format!(
                        "in a git checkout: `git submodule update --init src/tools/rustc-perf`; else clone \
                         https://github.com/rust-lang/rustc-perf and name it with {named}"
                    ),
                );
            }
        }
        needs_linker(cx);
        cx.source("rustc-perf", path.clone(), false);
        let benchmarks = benchmarks(cx.facts, Some(&path));

        let copy = Arg::from(Symbol::Build).join("source");
        let skip = vec![benchmarks.into(), "collector/runtime-benchmarks".into()];
        let (from_all, to) = (from.clone(), copy.clone());
        cx.step(Step::op("copy", CopyWorkspace { from: from_all, to, without: vec![SITE.into()], skip }));

        let target = Arg::from(Symbol::Build).join("target");
        let mut argv = vec![program(self.cargo.as_ref(), "cargo", cx)?];
        // The lock file changes: it no longer holds what the site alone needs. Unoptimised, as it waits for rustc all the time.
        argv.extend(["build", "--package", COLLECTOR, "--bin", COLLECTOR, "--bin", FAKE].map(Arg::from));
        argv.extend(["--target-dir".into(), target.clone(), "--jobs".into(), Symbol::Jobs.into()]);
        for text in &self.cargo_config {
            argv.extend(["--config".into(), cx.arg(text)?]);
        }
        let mut build = Command { cwd: copy, ..cx.command(argv) };
        build.env.insert("RUSTC".into(), program(self.rustc.as_ref(), "rustc", cx)?);
        // It uses features that a stable compiler of its time does not admit to.
        build.env.entry("RUSTC_BOOTSTRAP".into()).or_insert("1".into());
        cx.step(Step::command("build", build));

        let out = Arg::from(Symbol::Out);
        let built = target.join("debug");
        for name in [COLLECTOR, FAKE] {
            let to = out.clone().join("bin").join(name);
            cx.step(Step::op(format!("capture-{name}"), Capture::new(built.clone().join(name), to)));
        }
        // The collector makes these links when it misses them, and several at once would be in each other's way.
        for name in OTHER_NAMES {
            let argv = ["ln", "-sf", FAKE, name].map(Arg::from).to_vec();
            let link = Command { cwd: out.clone().join("bin"), ..cx.command(argv) };
            cx.step(Step::command(format!("link-{name}"), link));
        }
        let (crates, to) = (from.join(benchmarks), out.clone().join(benchmarks));
        cx.step(Step::op("capture-crates", Capture::new(crates, to)));
        cx.plan.outputs.push(Output { name: "out".into(), path: out, portable: false, show: false });
        Ok(())
    }
}

/// A program that a key names, or the tool of that name: the real one, where rustup chooses it.
fn program(text: Option<&Text>, name: &str, cx: &mut Context) -> Result<Arg, PlanError> {
    if let Some(text) = text {
        return cx.program(text);
    }
    let found = toolchain::rust::find(cx.facts, cx.pipeline, None);
    Ok(cx.tool_or_gap(name, found.map(|rust| if name == "cargo" { rust.cargo } else { rust.rustc })))
}

/// Whether there is no checkout of rust-lang/rust, which is a gap of the plan then. `by` is the stage that names it.
pub(super) fn checkout_is_missing(path: &Utf8Path, by: &Stage, cx: &mut Context) -> bool {
    let missing = !cx.facts.exists(&path.join("x.py"));
    if missing {
        let named = by.how_to_set("checkout", "DIR");
        let remedy = format!("`git clone https://github.com/rust-lang/rust`, and name it with {named}");
        cx.gap(format!("{path} is no checkout of rust: it has no x.py"), remedy);
    }
    missing
}
