//! The command line of `x.py`, and its environment.

use super::{Context, PlanError, Xpy};
use crate::pipeline::kind::{Pgo, bootstrap::BootstrapCommand};
use crate::plan::{Arg, Command, Symbol};

/// What a build to try something out has no use for, as rust-lang/rust's own do.
const NOT_FOR_TRYING: [&str; 8] =
    ["rust-docs", "rustc-docs", "rust-docs-json", "rust-analyzer", "rustc-src", "clippy", "miri", "rustfmt"];

pub(super) fn command(xpy: &Xpy, cx: &mut Context) -> Result<Command, PlanError> {
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
    option("--config", xpy.config.clone());
    option("--build-dir", xpy.build_dir());
    option("--host", xpy.host.as_str().into());
    for target in &kind.target {
        let target = cx.arg(target)?;
        option("--target", target);
    }
    if kind.target.is_empty() {
        option("--target", xpy.host.as_str().into());
    }
    option("--stage", kind.stage.to_string().into());
    option("--jobs", Symbol::Jobs.into());
    for stage in &kind.keep_stage {
        option("--keep-stage", stage.to_string().into());
    }
    for skipped in &kind.skip {
        let skipped = cx.arg(skipped)?;
        option("--skip", skipped);
    }
    if kind.try_build && kind.command == BootstrapCommand::Dist {
        NOT_FOR_TRYING.iter().for_each(|name| option("--skip", (*name).into()));
    }
    let discarded = Arg::from(Symbol::Build).join("discarded-profiles");
    match &kind.pgo.rustc {
        Some(Pgo::Generate) => option("--rust-profile-generate", discarded.clone().join("rustc")),
        Some(Pgo::Use(profile)) => {
            let profile = cx.arg(profile)?;
            option("--rust-profile-use", profile);
        }
        None => {}
    }
    if let Some(Pgo::Use(profile)) = &kind.pgo.llvm {
        let profile = cx.arg(profile)?;
        option("--llvm-profile-use", profile);
    }
    let mut artifacts: Vec<Arg> = Vec::new();
    for artifact in &kind.reproducible_artifacts {
        // A fallback may be among them already.
        let artifact = cx.arg(artifact)?;
        if !artifacts.contains(&artifact) {
            option("--reproducible-artifact", artifact.clone());
            artifacts.push(artifact);
        }
    }
    if matches!(kind.pgo.llvm, Some(Pgo::Generate)) {
        argv.push("--llvm-profile-generate".into());
    }
    if kind.bolt_settings {
        argv.push("--enable-bolt-settings".into());
    }
    for path in &kind.paths {
        argv.push(cx.arg(path)?);
    }
    if kind.paths.is_empty() && kind.command == BootstrapCommand::Build {
        argv.push("library/std".into());
    }
    let mut command = cx.command(argv);
    command.cwd = xpy.source.clone();
    let mut variable = |name: &str, value: Arg| {
        command.env.entry(name.into()).or_insert(value);
    };
    variable("RUST_BACKTRACE", "full".into());
    // Python must not write into the checkout, which is an input.
    variable("PYTHONDONTWRITEBYTECODE", "1".into());
    // What x.py itself runs of an instrumented build is no training.
    variable("LLVM_PROFILE_FILE", "/dev/null".into());
    if matches!(kind.pgo.llvm, Some(Pgo::Generate)) {
        variable("LLVM_PROFILE_DIR", discarded.join("llvm/prof-%p"));
    }
    Ok(command)
}
