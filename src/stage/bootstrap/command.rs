//! The command line of `x.py`, and its environment.

use super::checkout::Spelling;
use super::{BootstrapCommand, Context, Pgo, PlanError, Xpy, profiles};
use crate::plan::{Arg, Command, Symbol};

/// What a build to try something out has no use for, as rust-lang/rust's own do.
const NOT_FOR_TRYING: [&str; 8] =
    ["rust-docs", "rustc-docs", "rust-docs-json", "rust-analyzer", "rustc-src", "clippy", "miri", "rustfmt"];

pub(super) fn command(xpy: &Xpy, config: &Arg, cx: &mut Context) -> Result<Command, PlanError> {
    let kind = xpy.kind;
    let python = match &kind.python {
        Some(text) => cx.program(text)?,
        None => cx.tool("python3"),
    };
    let verb = match kind.command {
        BootstrapCommand::Build => "build",
        BootstrapCommand::Dist => "dist",
        BootstrapCommand::Test => "test",
    };
    let mut argv = vec![python, xpy.source.clone().join("x.py"), verb.into()];
    let mut option = |name: &str, value: Arg| argv.extend([name.into(), value]);
    option("--config", config.clone());
    option("--build-dir", xpy.build_dir());
    option("--host", xpy.host.as_str().into());
    option("--target", xpy.targets.join(",").into());
    option("--stage", kind.stage.to_string().into());
    option("--jobs", Symbol::Jobs.into());
    for stage in &kind.keep_stage {
        option("--keep-stage", stage.to_string().into());
    }
    // Its name until 2023.
    let skip = if xpy.checkout.is_known() && !xpy.checkout.has_option("skip") { "--exclude" } else { "--skip" };
    for text in &kind.skip {
        option(skip, cx.arg(text)?);
    }
    if kind.try_build && kind.command == BootstrapCommand::Dist {
        NOT_FOR_TRYING.iter().for_each(|name| option(skip, (*name).into()));
    }
    if profiles::says_what_is_missing(kind) {
        argv.push("--verbose".into());
    }
    let mut env = vec![
        ("RUST_BACKTRACE", "full".into()),
        // Python must not write into the checkout, which is an input.
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
    ];
    // What x.py itself runs of an instrumented build is no training. Tests of instrumentation want their profiles where they look.
    if kind.command != BootstrapCommand::Test {
        env.push(("LLVM_PROFILE_FILE", if xpy.build.contains("windows") { "NUL" } else { "/dev/null" }.into()));
    }
    pgo(xpy, cx, &mut argv, &mut env)?;
    bolt(xpy, cx, &mut argv)?;
    let mut artifacts: Vec<Arg> = Vec::new();
    for text in &kind.reproducible_artifacts {
        known_option(xpy, cx, "reproducible-artifacts", "reproducible-artifact")?;
        let artifact = cx.arg(text)?;
        // A fallback may be among them already.
        if !artifacts.contains(&artifact) {
            argv.extend(["--reproducible-artifact".into(), artifact.clone()]);
            artifacts.push(artifact);
        }
    }
    for text in &kind.args {
        argv.push(cx.arg(text)?);
    }
    for path in &kind.paths {
        argv.push(cx.arg(path)?);
    }
    if kind.paths.is_empty() && kind.command == BootstrapCommand::Build {
        argv.push("library/std".into());
    }
    let mut command = cx.command(argv);
    // Not elsewhere: from another checkout of rust, x.py would take the sources of that one.
    command.cwd = xpy.source.clone();
    for (name, value) in env {
        command.env.entry(name.into()).or_insert(value);
    }
    if xpy.builds_rustc() && xpy.objects_of_newer_clang(cx) {
        for language in ["CFLAGS", "CXXFLAGS"] {
            let name = format!("{language}_{}", xpy.host.replace('-', "_"));
            command.env.entry(name).or_insert("-ffat-lto-objects".into());
        }
    }
    Ok(command)
}

/// Component by component, in the spelling of the checkout.
fn pgo(xpy: &Xpy, cx: &mut Context, argv: &mut Vec<Arg>, env: &mut Vec<(&str, Arg)>) -> Result<(), PlanError> {
    // Compiled into what is instrumented; those who gather say at run time where profiles go.
    let discarded = Arg::from(Symbol::Build).join("discarded-profiles");
    for (component, pgo) in xpy.kind.pgo.components() {
        let key = format!("pgo.{component}");
        let spelling = xpy.checkout.pgo(component).map_err(|message| cx.invalid(&key, message))?;
        let value = match pgo {
            // A directory per process, as LLVM's runtime makes no other difference in it.
            Pgo::Generate if component == "llvm" => discarded.clone().join("llvm/prof-%p"),
            Pgo::Generate => discarded.clone().join(component),
            Pgo::Use(profile) => cx.arg(profile)?,
        };
        let verb = if *pgo == Pgo::Generate { "generate" } else { "use" };
        match (spelling, pgo) {
            (Spelling::Setting, _) => {
                let setting = Arg::from(format!("{key}.{verb}=\"")).with(value).with("\"");
                argv.extend(["--set".into(), setting]);
            }
            // It takes no path: LLVM's build reads one from the environment when it is configured.
            (Spelling::Option(option), Pgo::Generate) if component == "llvm" => {
                argv.push(format!("--{option}-generate").into());
                env.push(("LLVM_PROFILE_DIR", value));
            }
            (Spelling::Option(option), _) => argv.extend([format!("--{option}-{verb}").into(), value]),
        }
    }
    Ok(())
}

/// Relocations for llvm-bolt, and what some checkouts do with it themselves.
fn bolt(xpy: &Xpy, cx: &mut Context, argv: &mut Vec<Arg>) -> Result<(), PlanError> {
    if xpy.kind.bolt_settings {
        known_option(xpy, cx, "bolt-settings", "enable-bolt-settings")?;
        argv.push("--enable-bolt-settings".into());
    }
    match &xpy.kind.bolt.llvm {
        None => {}
        Some(Pgo::Generate) => {
            known_option(xpy, cx, "bolt.llvm", "llvm-bolt-profile-generate")?;
            argv.push("--llvm-bolt-profile-generate".into());
        }
        Some(Pgo::Use(profile)) => {
            known_option(xpy, cx, "bolt.llvm", "llvm-bolt-profile-use")?;
            argv.extend(["--llvm-bolt-profile-use".into(), cx.arg(profile)?]);
        }
    }
    Ok(())
}

fn known_option(xpy: &Xpy, cx: &Context, key: &str, option: &str) -> Result<(), PlanError> {
    if !xpy.checkout.is_known() || xpy.checkout.has_option(option) {
        return Ok(());
    }
    let other = match key {
        "bolt.llvm" => "; use stages of kind `bolt` and `place`",
        _ => "",
    };
    let files = super::checkout::FLAGS.join(" or ");
    Err(cx.invalid(key, format!("this checkout's x.py has no `--{option}`: looked in {files}{other}")))
}
