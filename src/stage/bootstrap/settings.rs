//! Which settings a stage needs of `x.py`'s configuration, and what it takes where nobody says otherwise.
//!
//! Unaware of how the file is written.

use super::config::{Config, list, string};
use super::{BootstrapCommand, Context, Pgo, PlanError, Setting, Xpy};
use crate::plan::Arg;
use crate::toolchain::llvm;

/// The whole configuration.
pub(super) fn derive(xpy: &Xpy, cx: &mut Context) -> Result<Config, PlanError> {
    let file = match &xpy.kind.config_file {
        Some(text) => {
            let arg = cx.arg(text)?;
            match cx.known_path(&arg) {
                Some(path) => Some(path),
                // An empty variable: nobody has one.
                None if arg.parts.is_empty() => None,
                None => return Err(cx.invalid("config-file", "the path of a file that is there when the plan is made")),
            }
        }
        None => None,
    };
    let mut config = Config::begin(file, cx)?;
    defaults(&mut config, xpy, cx)?;
    for (name, setting) in &xpy.kind.config {
        // A variable that is not given.
        if matches!(setting, Setting::Text(text) if text.as_literal().is_some_and(|text| text.is_empty())) {
            continue;
        }
        let key = format!("config.{name}");
        let value = match setting {
            Setting::Bool(value) => value.to_string().into(),
            Setting::Integer(number) => number.to_string().into(),
            Setting::Text(text) => string(&key, cx.arg(text)?, cx)?,
            Setting::List(items) => {
                let items = items.iter().map(|item| {
                    let item = cx.arg(item)?;
                    string(&key, item, cx)
                });
                list(items.collect::<Result<_, _>>()?)
            }
        };
        config.stage(&xpy.checkout, name, value, cx)?;
    }
    if xpy.kind.llvm_relocations {
        let name = "llvm.ldflags";
        let flags = string(name, "-Wl,-q".into(), cx)?;
        config.need(&xpy.checkout, name, flags, "`llvm-relocations`", cx)?;
    }
    needed(&mut config, xpy, cx)?;
    if matches!(xpy.kind.pgo.llvm, Some(Pgo::Use(_))) {
        // Else x.py gives clang `-w`, which silences as well what it says of functions whose counts are of other code. Before there was
        // the setting (rust 1.70), warnings were on.
        let because = "`pgo.llvm`: clang says which counts are of other code";
        config.need(&xpy.checkout, "llvm.enable-warnings", "true".into(), because, cx)?;
        for name in ["llvm.cflags", "llvm.cxxflags"] {
            config.put_before(&xpy.checkout, name, llvm::WARN_UNPROFILED, cx);
        }
    }
    Ok(config)
}

/// What others can change. Where the default of `x.py` depends on whether there is git, the one of a tarball.
fn defaults(config: &mut Config, xpy: &Xpy, cx: &mut Context) -> Result<(), PlanError> {
    let checkout = &xpy.checkout;
    let within = |below: &str| checkout.path.join(below);
    let exists = |below: &str| cx.facts.exists(&within(below));
    let mut plain = |name: &str, value: bool| config.prefer(checkout, name, value.to_string().into());
    plain("build.extended", xpy.kind.command == BootstrapCommand::Dist);
    plain("build.vendor", exists("vendor") && exists(".cargo/config.toml"));
    plain("build.submodules", checkout.git);
    // What cargo would change in the checkout, in the middle of a stage that reads it.
    plain("build.locked-deps", true);
    plain("rust.lld", false);
    plain("rust.llvm-bitcode-linker", false);
    // x.py links statically unless told, also with an LLVM whose libraries need others that are not there (Polly, Z3).
    let shared = match &xpy.llvm_config {
        None => !xpy.host.contains("windows"),
        Some(program) => cx.known_path(program).is_some_and(|program| {
            let mode = cx.facts.output(&[program.as_str(), "--shared-mode"]);
            mode.is_some_and(|mode| mode.trim() == "shared")
        }),
    };
    if shared {
        plain("llvm.link-shared", true);
    }
    let text = |name: &str, text: &str| string(name, text.into(), cx);
    if let Some(channel) = &checkout.channel {
        config.prefer(checkout, "rust.channel", text("rust.channel", channel)?);
    }
    if let Some(number) = &checkout.last_change {
        config.prefer(checkout, "change-id", number.as_str().into());
    }
    if xpy.kind.command == BootstrapCommand::Dist {
        config.prefer(checkout, "dist.compression-profile", text("dist.compression-profile", "fast")?);
    }
    // Where a checkout was put together with its stage-0 archives: x.py looks for them in its build directory.
    if xpy.kind.rustc.is_none() && exists("build/cache") {
        let cache = string("checkout", xpy.source.clone().join("build/cache"), cx)?;
        config.prefer(checkout, "build.bootstrap-cache-path", cache);
    }
    let tools = &xpy.compilers;
    for (key, tool) in [
        ("cc", &tools.cc),
        ("cxx", &tools.cxx),
        ("linker", &tools.linker),
        ("ar", &tools.ar),
        ("ranlib", &tools.ranlib),
    ] {
        if let Some(tool) = tool {
            let name = format!("target.{}.{key}", xpy.host);
            config.prefer(checkout, &name, string(&name, tool.clone(), cx)?);
        }
    }
    Ok(())
}

fn needed(config: &mut Config, xpy: &Xpy, cx: &mut Context) -> Result<(), PlanError> {
    let (kind, checkout) = (xpy.kind, &xpy.checkout);
    for name in ["pgo.*", "rust.profile-generate", "rust.profile-use"] {
        config.forbid(name, "`pgo`", cx)?;
    }
    let text = |cx: &Context, key: &str, text: Arg| string(key, text, cx);
    let metrics = config.need(checkout, "build.metrics", "true".into(), "the times of its steps", cx)?;
    if !metrics {
        cx.note("this checkout's x.py writes no metrics, so the times of its steps are not known");
    }
    let build_dir = text(cx, "workspace", xpy.build_dir())?;
    config.need(checkout, "build.build-dir", build_dir, "`workspace`", cx)?;
    let build = text(cx, "host", xpy.build.as_str().into())?;
    config.need(checkout, "build.build", build, "the machine that builds", cx)?;
    let host = list(vec![text(cx, "host", xpy.host.as_str().into())?]);
    config.need(checkout, "build.host", host, "`host`", cx)?;
    let targets = xpy.targets.iter().map(|target| text(cx, "target", target.as_str().into()));
    let targets = list(targets.collect::<Result<_, _>>()?);
    config.need(checkout, "build.target", targets, "`target`", cx)?;
    for (key, program) in [("rustc", &xpy.rustc), ("cargo", &xpy.cargo)] {
        if let Some(program) = program {
            let value = text(cx, key, program.clone())?;
            config.need(checkout, &format!("build.{key}"), value, &format!("`{key}`"), cx)?;
        }
    }
    // In a clone x.py would download what is then neither instrumented nor built with a profile, and say nothing.
    config.need(checkout, "rust.download-rustc", "false".into(), "the compiler is built here", cx)?;
    config.need(checkout, "llvm.download-ci-llvm", "false".into(), "LLVM is built here, or given by `llvm`", cx)?;
    if let Some(component) = kind.pgo.components().find(|(name, pgo)| **pgo == Pgo::Generate && *name != "llvm") {
        let because = format!("`pgo.{}`: what is instrumented is linked with it", component.0);
        config.need(checkout, "build.profiler", "true".into(), &because, cx)?;
    }
    let llvm_config = format!("target.{}.llvm-config", xpy.host);
    match &xpy.llvm_config {
        Some(program) => {
            let value = text(cx, "llvm", program.clone())?;
            config.need(checkout, &llvm_config, value, "`llvm`", cx)?;
        }
        None => config.forbid(&llvm_config, "`llvm`, which is that of the checkout", cx)?,
    }
    compilers(config, xpy, cx)
}

/// Which compilers build LLVM is not anybody's choice where only clang will do.
fn compilers(config: &mut Config, xpy: &Xpy, cx: &Context) -> Result<(), PlanError> {
    let thin = config.get(&xpy.checkout, "llvm.thin-lto").as_deref() == Some("true");
    let because = match (&xpy.kind.pgo.llvm, thin, &xpy.kind.host_llvm) {
        (Some(_), ..) => "`pgo.llvm`: profiles are clang's",
        (None, true, _) if xpy.llvm_config.is_none() => "`llvm.thin-lto`: objects are LLVM's",
        (.., Some(_)) => "`host-llvm`",
        _ => return Ok(()),
    };
    for (key, tool) in [("cc", &xpy.compilers.cc), ("cxx", &xpy.compilers.cxx)] {
        if let Some(tool) = tool {
            let name = format!("target.{}.{key}", xpy.host);
            let value = string(&name, tool.clone(), cx)?;
            config.need(&xpy.checkout, &name, value, because, cx)?;
        }
    }
    if let Some(clang_cl) = &xpy.compilers.clang_cl {
        let value = string("llvm.clang-cl", clang_cl.clone(), cx)?;
        config.need(&xpy.checkout, "llvm.clang-cl", value, because, cx)?;
    }
    Ok(())
}

/// All that decides how LLVM is built: a build directory of another LLVM is of no use.
pub(super) fn of_llvm(config: &Config, xpy: &Xpy) -> Vec<Arg> {
    let target = format!("target.{}.", xpy.host);
    config.select(|name| {
        let compiler = name.strip_prefix(&target).is_some_and(|key| ["cc", "cxx", "ar", "ranlib"].contains(&key));
        // The channel is part of the library's name; a cache for compilers changes nothing.
        let other = ["llvm.download-ci-llvm", "llvm.ccache"].contains(&name);
        compiler || name == "rust.channel" || name.starts_with("llvm.") && !other
    })
}
