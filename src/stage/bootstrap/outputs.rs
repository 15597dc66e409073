//! What happens in the build directory before `x.py` runs, and what is captured of it when it is done: the next stage changes it.

use super::config::Config;
use super::{Bootstrap, BootstrapCommand, Context, Pgo, PlanError, Xpy, checkout, settings};
use crate::pipeline::Text;
use crate::plan::ops::{Capture, CheckLto, ClearIfChanged, Metrics, PutInPlace, Restore};
use crate::plan::{Arg, Output, Step, Symbol};

/// Files of a sysroot that cargo and rustc replace and never write in place.
const NEVER_WRITTEN: [&str; 3] = ["lib/rustlib/*/lib/*.rlib", "lib/rustlib/*/lib/*.rmeta", "share/**"];
/// Links to the checkout.
const TO_THE_CHECKOUT: [&str; 2] = ["lib/rustlib/src", "lib/rustlib/rustc-src"];

/// Where cargo keeps the fingerprints of librustc_driver, and those of a crate that every librustc_driver has in it: in its layout of
/// before 2026, and in the one of today (`-Zbuild-dir-new-layout`), where all of a crate is below one directory.
const FINGERPRINTS: [[&str; 2]; 2] = [
    [".fingerprint/rustc_driver-*", ".fingerprint/rustc_interface-*"],
    ["build/rustc_driver", "build/rustc_interface"],
];

/// Brings the build directory into the state that `x.py` starts from.
pub(super) fn prepare(xpy: &Xpy, config: &Config, cx: &mut Context) -> Result<(), PlanError> {
    // What a stage behind this one has put in the place of a library, before it was begun again from here.
    cx.step(Step::op("restore", Restore { below: xpy.host_dir() }));
    if xpy.llvm_config.is_none() {
        let mut options = settings::of_llvm(config, xpy);
        for (verb, pgo) in [("pgo", &xpy.kind.pgo.llvm), ("bolt", &xpy.kind.bolt.llvm)] {
            options.extend(match pgo {
                None => None,
                Some(Pgo::Generate) => Some(format!("{verb}.llvm.generate").into()),
                Some(Pgo::Use(profile)) => Some(Arg::from(format!("{verb}.llvm.use = ")).with(cx.arg(profile)?)),
            });
        }
        let stamp = xpy.host_dir().join("llvm-options");
        // x.py builds LLVM once, whatever its options are then.
        let clear = ["llvm", "lld"].map(|below| xpy.host_dir().join(below)).into();
        cx.step(Step::op("clear-llvm", ClearIfChanged::new(stamp, options, clear)));
        if !xpy.checkout.git {
            // Only git tells x.py that the sources of LLVM have changed. Without its notes it calls ninja, which knows what to do.
            let stamp = xpy.host_dir().join("llvm-sources");
            let tree = Some(xpy.source.clone().join("src/llvm-project"));
            let notes =
                ["llvm/llvm-finished-building", "lld/lld-finished-building", "llvm/.llvm-stamp", "lld/.lld-stamp"];
            let clear = notes.map(|below| xpy.host_dir().join(below)).into();
            let look = ClearIfChanged { tree, ..ClearIfChanged::new(stamp, Vec::new(), clear) };
            cx.step(Step::op("look-at-llvm", look));
        }
    }
    if xpy.builds_rustc() && xpy.checkout.has_option("enable-bolt-settings") {
        // x.py hands this on in a way that cargo does not notice, so the library would stay as it is.
        let option = vec![Arg::from(format!("bolt-settings = {}", xpy.kind.bolt_settings))];
        let release = ["stage1-rustc", "stage2-rustc"].map(|stage| format!("{stage}/{}/release", xpy.host));
        let within = |names: &[&str]| -> Vec<Arg> {
            let paths = release.iter().flat_map(|release| names.iter().map(move |name| format!("{release}/{name}")));
            paths.map(|path| xpy.host_dir().join(&path)).collect()
        };
        let clear = ClearIfChanged {
            beside: within(&FINGERPRINTS.map(|[_, neighbour]| neighbour)),
            built: within(&[libraries(&xpy.host, None).driver]),
            ..ClearIfChanged::new(
                xpy.host_dir().join("rustc-options"),
                option,
                within(&FINGERPRINTS.map(|[driver, _]| driver)),
            )
        };
        cx.step(Step::op("clear-rustc", clear));
    }
    may_place(xpy, cx)?;
    let Libraries { dir, driver, llvm } = libraries(&xpy.host, xpy.checkout.llvm_major);
    let place = &xpy.kind.place;
    let assembled = ASSEMBLED.map(|name| xpy.host_dir().join(name));
    for (name, file, pattern) in [("place-llvm", &place.llvm, llvm), ("place-rustc", &place.rustc, driver)] {
        let file = file.as_ref().filter(|file| !is_empty(file));
        if let Some(file) = file {
            // What stands in the sysroot has its other names where `dist` takes it from, whatever those directories are called.
            let target = xpy.sysroot().join(dir).join(pattern);
            let place = PutInPlace {
                file: cx.arg(file)?,
                target,
                links_below: xpy.host_dir(),
                keep_original: true,
                origin_outside: assembled.to_vec(),
                built_by: cx.stage.predecessor.as_deref().map(Arg::from),
            };
            cx.step(Step::op(name, place));
        }
    }
    if xpy.kind.command == BootstrapCommand::Dist {
        // Archives of an earlier version would be captured as well.
        let dist = xpy.build_dir().join("dist");
        let command = cx.command(vec!["rm".into(), "-rf".into(), dist]);
        cx.step(Step::command("clear-dist", command));
    }
    Ok(())
}

/// Directories that `x.py` puts together out of hard links, some in every call (`stage1/lib/rustlib` in that of `dist`), and so deletes first.
const ASSEMBLED: [&str; 8] =
    ["stage0", "stage0-sysroot", "stage1", "stage1-sysroot", "stage2", "stage2-sysroot", "stage3", "tmp"];

/// What cannot be put in place.
fn may_place(xpy: &Xpy, cx: &Context) -> Result<(), PlanError> {
    let place = &xpy.kind.place;
    let places = [("place.llvm", &place.llvm), ("place.rustc", &place.rustc)];
    let Some((key, _)) = places.iter().find(|(_, file)| file.as_ref().is_some_and(|file| !is_empty(file))) else {
        return Ok(());
    };
    if !xpy.host.contains("linux") {
        return Err(cx.invalid(key, format!("libraries are put in place on Linux only, not on {}", xpy.host)));
    }
    if *key == "place.llvm" && xpy.llvm_config.is_some() {
        return Err(cx.invalid("place.llvm", "the LLVM of this toolchain stands outside of it (`llvm`)"));
    }
    Ok(())
}

/// Nothing takes the place: what a pipeline says that changes another one.
fn is_empty(file: &Text) -> bool {
    file.as_literal().is_some_and(|text| text.is_empty())
}

/// That LLVM, which is asked to be linked with LTO, was compiled for it.
pub(super) fn check_lto(xpy: &Xpy, config: &Config, cx: &mut Context) {
    let asked = config.get(&xpy.checkout, "llvm.thin-lto").as_deref() == Some("true");
    if !asked || xpy.llvm_config.is_some() || xpy.kind.command == BootstrapCommand::Test {
        return;
    }
    let library = if xpy.host.ends_with("msvc") { "LLVMSupport.lib" } else { "libLLVMSupport.a" };
    let archive = xpy.host_dir().join("llvm/build/lib").join(library);
    cx.step(Step::op("check-lto", CheckLto { archive }));
}

/// Where the time of x.py went.
pub(super) fn measure(xpy: &Xpy, cx: &mut Context) {
    if xpy.checkout.has_setting("build.metrics") {
        cx.step(Step::op("metrics", Metrics { file: xpy.build_dir().join("metrics.json") }));
    }
}

pub(super) fn capture(xpy: &Xpy, cx: &mut Context) {
    match xpy.kind.command {
        BootstrapCommand::Build => toolchain(xpy, cx),
        BootstrapCommand::Dist => {
            let archives = Arg::from(Symbol::Out).join("archives");
            cx.step(Step::op("capture-archives", Capture::new(xpy.build_dir().join("dist"), archives.clone())));
            output(xpy, cx, "archives", archives);
        }
        BootstrapCommand::Test => {}
    }
}

/// Where libraries stand in a sysroot, and their names.
struct Libraries {
    dir: &'static str,
    driver: &'static str,
    llvm: &'static str,
}

fn libraries(host: &str, llvm_major: Option<u64>) -> Libraries {
    match host {
        host if host.contains("windows") => Libraries { dir: "bin", driver: "rustc_driver-*.dll", llvm: "LLVM*.dll" },
        host if host.contains("apple") => {
            Libraries { dir: "lib", driver: "librustc_driver-*.dylib", llvm: "libLLVM*.dylib" }
        }
        // Its name had the version in front until LLVM 18.
        _ if llvm_major.is_some_and(|major| major < 18) => {
            Libraries { dir: "lib", driver: "librustc_driver-*.so", llvm: "libLLVM-*.so" }
        }
        _ => Libraries { dir: "lib", driver: "librustc_driver-*.so", llvm: "libLLVM.so.*" },
    }
}

fn toolchain(xpy: &Xpy, cx: &mut Context) {
    let exe = if xpy.host.contains("windows") { ".exe" } else { "" };
    let Libraries { dir, driver, llvm } = libraries(&xpy.host, xpy.checkout.llvm_major);
    let toolchain = Arg::from(Symbol::Out).join("toolchain");
    let shared_llvm = xpy.llvm_config.is_none() && !xpy.host.contains("windows");
    let (link, without) = (NEVER_WRITTEN.map(Arg::from).into(), TO_THE_CHECKOUT.map(Arg::from).into());
    let capture = Capture { link, without, ..Capture::new(xpy.sysroot(), toolchain.clone()) };
    cx.step(Step::op("capture-toolchain", capture));
    output(xpy, cx, "toolchain", toolchain.clone());
    output(xpy, cx, "driver", toolchain.clone().join(dir).join(driver));
    cargo(xpy, cx, exe);
    if xpy.llvm_config.is_some() {
        return;
    }
    if shared_llvm {
        output(xpy, cx, "libllvm", toolchain.clone().join(dir).join(llvm));
    }
    // Into the toolchain, where it finds the libLLVM that it is linked with.
    let profdata = toolchain.join(&format!("bin/llvm-profdata{exe}"));
    let from = xpy.host_dir().join(&format!("llvm/build/bin/llvm-profdata{exe}"));
    cx.step(Step::op("capture-profdata", Capture::new(from, profdata.clone())));
    output(xpy, cx, "profdata", profdata);
}

/// The cargo that was built, else the one that built.
fn cargo(xpy: &Xpy, cx: &mut Context, exe: &str) {
    let to = Arg::from(Symbol::Out).join(&format!("cargo{exe}"));
    let from = if xpy.kind.builds("cargo") {
        // The number in the name is that of the compiler that built it, or since August 2025 its own.
        let stage = xpy.kind.stage;
        let numbers = [stage, stage.saturating_sub(1)];
        numbers.map(|number| xpy.host_dir().join(&format!("stage{number}-tools-bin/cargo{exe}"))).to_vec()
    } else {
        vec![xpy.cargo.clone().unwrap_or_else(|| xpy.host_dir().join(&format!("stage0/bin/cargo{exe}")))]
    };
    let (link, without) = (Vec::new(), Vec::new());
    cx.step(Step::op("capture-cargo", Capture { from, to: to.clone(), link, without }));
    output(xpy, cx, "cargo", to);
}

fn output(xpy: &Xpy, cx: &mut Context, name: &str, path: Arg) {
    // The path for profiles is compiled into what is instrumented.
    let portable = xpy.kind.pgo.generates().is_none();
    cx.plan.outputs.push(Output { name: name.into(), path, portable, show: false });
}

/// Where an output stands in the stage's `out`. A name that has a hash or a version in it is a pattern (see [`crate::fs::pattern`]).
pub(super) fn below_out(kind: &Bootstrap, output: &str, cx: &mut Context) -> Option<String> {
    let checkout = cx.arg(&kind.checkout).ok().and_then(|arg| cx.known_path(&arg))?;
    let host =
        kind.host.as_ref().and_then(|text| text.as_literal()).map_or_else(|| cx.facts.host(), |host| host.into());
    let Libraries { dir, driver, llvm } = libraries(&host, checkout::llvm_major(cx.facts, &checkout));
    Some(match output {
        "toolchain" => "toolchain".into(),
        "driver" => format!("toolchain/{dir}/{driver}"),
        "libllvm" => format!("toolchain/{dir}/{llvm}"),
        _ => return None,
    })
}
