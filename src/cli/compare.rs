//! `optbuild compare`: two builds measured against each other.
//!
//! Finds out what is compared and what is run; unaware of how it is measured and shown.

mod stages;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::CompareArgs;
use super::exit::{FAILED, INTERRUPTED, Usage};
use super::output::look;
use super::output::print;
use super::project::current_dir;
use crate::compare::limit::Answer;
use crate::compare::request::{Build, PLACEHOLDER, Request, Workload};
use crate::compare::result::{Comparison, SideKind};
use crate::compare::{self, rustc_perf};
use crate::proc::start;
use crate::report::comparison::{markdown, table};
use crate::text::script::Unfit;

type Env = BTreeMap<String, String>;

/// A command that is run on both sides.
struct CommandLine {
    name: String,
    words: Vec<String>,
    env: Env,
    /// None: here.
    cwd: Option<Utf8PathBuf>,
}

/// `optbuild compare`
pub fn compare(args: &CompareArgs) -> Result<u8> {
    if args.schema {
        print(&format!("{:#}\n", Comparison::schema().as_value()))?;
        return Ok(0);
    }
    let result = measure(args)?;
    print(&match (args.json, args.markdown) {
        (true, _) => serde_json::to_string_pretty(&result).context("cannot write the result as JSON")? + "\n",
        (_, true) => markdown(&result),
        _ => table(&result, look()),
    })?;
    let answer = args.options.answer(&result);
    answer.worse.iter().for_each(|line| super::output::tell(&format!("worse: {line}")));
    answer.unknown.iter().for_each(|line| super::output::tell(line));
    Ok(if answer == Answer::default() { 0 } else { FAILED })
}

fn measure(args: &CompareArgs) -> Result<Comparison> {
    let cwd = current_dir()?;
    let scratch = tempfile::Builder::new().prefix("optbuild-compare-").tempdir().context("no temporary directory")?;
    let dir = Utf8Path::from_path(scratch.path()).context("the temporary directory is not UTF-8")?.to_owned();
    let mut lines = commands(args)?;
    let (mut base_env, mut candidate_env) = (Env::new(), Env::new());
    for (number, name) in args.workloads.iter().enumerate() {
        let stage = stages::workloads(name, &args.settings, &dir.join(format!("cwd-{number}")))?;
        lines.extend(stage.workloads);
        base_env.extend(stage.base_env);
        candidate_env.extend(stage.candidate_env);
    }
    base_env.extend(pairs(&args.base_env)?);
    candidate_env.extend(pairs(&args.candidate_env)?);
    let base = side(args.base.as_deref().unwrap_or_default(), base_env, args, &cwd)?;
    let candidate = side(args.candidate.as_deref().unwrap_or_default(), candidate_env, args, &cwd)?;
    check(args, &lines, &base, &candidate)?;

    remove_when_interrupted(dir.clone())?;
    let mut say = |line: &str| super::output::tell(line);
    let env = environment();
    let on_both = |line: &CommandLine| {
        let env = env.iter().chain(&line.env).map(|(name, value)| (name.clone(), value.clone())).collect();
        Workload::new(&line.name, &line.words, &env, line.cwd.as_ref().unwrap_or(&cwd), &base, &candidate)
    };
    let mut workloads = lines.iter().map(on_both).collect::<Result<Vec<Workload>, Unfit>>()?;
    if let Some(selection) = args.options.selection(&cwd) {
        workloads.extend(rustc_perf::workloads(&selection, &base, &candidate, &env, &dir, &mut say)?);
    }
    let settings = args.options.settings(&dir, Utf8Path::new("/proc/self/exe"));
    compare::compare(&Request { base, candidate, workloads, sizes: Vec::new(), settings }, &mut say)
}

/// The commands of the command line.
fn commands(args: &CompareArgs) -> Result<Vec<CommandLine>> {
    let mut lines = Vec::new();
    for text in &args.workload {
        let Some((name, line)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(Usage(format!("`{text}` is no workload; write `--workload 'NAME={PLACEHOLDER} ARGS'`")).into());
        };
        let Some(words) = shlex::split(line).filter(|words| !words.is_empty()) else {
            return Err(Usage(format!("workload `{name}`: `{line}` is no command, or has an open quote")).into());
        };
        lines.push(CommandLine { name: name.trim().into(), words, env: Env::new(), cwd: None });
    }
    if !args.command.is_empty() {
        let words: Vec<&str> = args.command.iter().map(String::as_str).filter(|word| *word != PLACEHOLDER).collect();
        let name = if words.is_empty() { "run".into() } else { words.join(" ") };
        let name = crate::text::truncate(&name, 40).into_owned();
        lines.push(CommandLine { name, words: args.command.clone(), env: Env::new(), cwd: None });
    }
    for line in &lines {
        let differs = line.words.iter().any(|word| word.contains(PLACEHOLDER));
        if !differs && args.base_env == args.candidate_env {
            let name = &line.name;
            let what =
                format!("`{name}` would run the same on both sides: write `{PLACEHOLDER}` where the program stands");
            return Err(Usage(what).into());
        }
    }
    Ok(lines)
}

fn pairs(env: &[String]) -> Result<Env> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_string(), value.to_string())),
        _ => Err(Usage(format!("`{text}` is not NAME=VALUE")).into()),
    };
    env.iter().map(pair).collect()
}

fn environment() -> Env {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

/// A path, an output of a stage, or a program in PATH.
fn side(name: &str, env: Env, args: &CompareArgs, cwd: &Utf8Path) -> Result<Build> {
    let path = cwd.join(name);
    let path = if path.exists() {
        path
    } else if let Some(path) = stages::output(name, &args.settings)? {
        path
    } else {
        let found = which::which(name).ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        found.ok_or_else(|| {
            Usage(format!("there is no {path}, no program `{name}` in PATH, and it is not `PIPELINE:STAGE.OUTPUT`"))
        })?
    };
    let kind = Build::kind_of(&path).map_err(Usage)?;
    Ok(Build { name: name.into(), path, kind, env })
}

fn check(args: &CompareArgs, lines: &[CommandLine], base: &Build, candidate: &Build) -> Result<()> {
    if base.kind != candidate.kind {
        let (one, other) = (base.kind.title(), candidate.kind.title());
        return Err(
            Usage(format!("{} is {one} and {} {other}: compare two of a kind", base.name, candidate.name)).into()
        );
    }
    if args.options.rustc_perf.is_some() && base.kind == SideKind::Program {
        return Err(Usage("`--rustc-perf` measures toolchains: name two directories with `bin/rustc`".into()).into());
    }
    if lines.is_empty() && args.options.rustc_perf.is_none() {
        let how = match base.kind {
            SideKind::Program => format!("`-- {PLACEHOLDER} ARGS`, `--workload 'NAME={PLACEHOLDER} ARGS'`"),
            SideKind::Toolchain => format!("`--rustc-perf DIR`, `-- {PLACEHOLDER} ARGS`"),
        };
        return Err(Usage(format!("say what is run: {how}, or `--workloads PIPELINE:STAGE`")).into());
    }
    for (index, one) in lines.iter().enumerate() {
        if lines[..index].iter().any(|other| other.name == one.name) {
            return Err(Usage(format!("there are two workloads of the name `{}`", one.name)).into());
        }
    }
    Ok(())
}

/// A process that a signal ends does not remove its temporary directory by itself.
fn remove_when_interrupted(dir: Utf8PathBuf) -> Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("signals cannot be handled")?;
    start::thread("signals", move || {
        if signals.forever().next().is_some() {
            // What is measured at this moment is ended once this process is gone, and may go on writing until then.
            let _ = std::fs::remove_dir_all(&dir);
            std::process::exit(INTERRUPTED.into());
        }
    })?;
    Ok(())
}
