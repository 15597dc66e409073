//! `kind = "rustc-perf"`: rustc-perf's collector, and the crates that it compiles, in one directory.
//!
//! The collector looks for `collector/compile-benchmarks` where it runs, and for `rustc-fake` beside itself. Unaware of what is
//! trained with it.

use camino::Utf8PathBuf;

use super::{Context, PlanError, rust_checkout};
use crate::pipeline::Text;
use crate::pipeline::kind::RustcPerf;
use crate::plan::ops::{Capture, CopyWorkspace};
use crate::plan::{Arg, Command, Output, Step, Symbol};
use crate::toolchain;
use crate::toolchain::rustc_perf::benchmarks;

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

pub(super) fn plan(kind: &RustcPerf, cx: &mut Context) -> Result<(), PlanError> {
    let (from, path) = source(kind, cx)?;
    let Some(path) = path else {
        return Err(cx.invalid("source", "where rustc-perf is must be known when the plan is made"));
    };
    if !cx.facts.exists(&path.join("collector")) {
        let checkout = cx.arg(&kind.checkout)?;
        let within = cx.known_path(&checkout).filter(|checkout| path.starts_with(checkout));
        if !within.is_some_and(|checkout| rust_checkout::is_missing(&checkout, cx.stage, cx)) {
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
    let mut argv = vec![program(kind.cargo.as_ref(), "cargo", cx)?];
    // The lock file changes: it no longer holds what the site alone needs. Unoptimised, as it waits for rustc all the time.
    argv.extend(["build", "--package", COLLECTOR, "--bin", COLLECTOR, "--bin", FAKE].map(Arg::from));
    argv.extend(["--target-dir".into(), target.clone(), "--jobs".into(), Symbol::Jobs.into()]);
    for text in &kind.cargo_config {
        argv.extend(["--config".into(), cx.arg(text)?]);
    }
    let mut build = Command { cwd: copy, ..cx.command(argv) };
    build.env.insert("RUSTC".into(), program(kind.rustc.as_ref(), "rustc", cx)?);
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

/// A program that a key names, or the tool of that name: the real one, where rustup chooses it.
fn program(text: Option<&Text>, name: &str, cx: &mut Context) -> Result<Arg, PlanError> {
    if let Some(text) = text {
        return cx.program(text);
    }
    match toolchain::rust::find(cx.facts, cx.pipeline, None) {
        Ok(rust) => {
            let path = if name == "cargo" { rust.cargo } else { rust.rustc };
            Ok(cx.tool_at(name, path))
        }
        Err(gap) => {
            cx.gap(gap.what, gap.remedy);
            Ok(name.into())
        }
    }
}
