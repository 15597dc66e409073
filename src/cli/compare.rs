//! `optbuild compare`: builds measured against each other.
//!
//! Finds out what is compared and what is run; unaware of how it is measured and shown.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::args::{CompareArgs, PipelineArgs, Settings};
use super::exit::{FAILED, INTERRUPTED, Usage, usage};
use super::output::{look, print, tell};
use super::project::{Mode, Project, current_dir};
use crate::compare::cost::Costs;
use crate::compare::limit::Answer;
use crate::compare::request::{Background, Build, PLACEHOLDER, Request, Workload, environment, pairs};
use crate::compare::result::{Comparison, Form, Says, SideKind};
use crate::compare::{self, judgement, rustc_perf};
use crate::pipeline::OutputRef;
use crate::plan::ops::{GivenValues, Served};
use crate::plan::{Arg, Command, Late, Part, Symbol};
use crate::proc::start;
use crate::report::comparison::{markdown, table};
use crate::run::resolve::Resolver;
use crate::stage;
use crate::text::script::Unfit;

type Env = BTreeMap<String, String>;

/// A command that is run on all sides.
struct CommandLine {
    name: String,
    words: Vec<String>,
    env: Env,
    /// None: here.
    cwd: Option<Utf8PathBuf>,
    /// The server that it drives.
    served: Option<Served<GivenValues>>,
}

/// `optbuild compare`
pub fn compare(args: &CompareArgs) -> Result<u8> {
    if args.schema {
        return super::print_schema(&Comparison::schema());
    }
    let result = measure(args)?;
    print(&match (args.json, args.markdown) {
        (true, _) => serde_json::to_string_pretty(&result).context("cannot write the result as JSON")? + "\n",
        (_, true) => markdown(&result),
        _ => table(&result, look()),
    })?;
    let judgement = judgement::judged(&result);
    // Who reads the result with a program hears of it as well.
    if judgement.says == Says::Slower && (args.json || args.markdown) {
        tell(&judgement.sentence);
    }
    let answer = args.options.answer(&result);
    answer.worse.iter().for_each(|line| tell(&format!("worse: {line}")));
    answer.unknown.iter().for_each(|line| tell(line));
    Ok(if answer == Answer::default() { 0 } else { FAILED })
}

fn measure(args: &CompareArgs) -> Result<Comparison> {
    let cwd = current_dir()?;
    let scratch = tempfile::Builder::new().prefix("optbuild-compare-").tempdir().context("no temporary directory")?;
    let dir = Utf8Path::from_path(scratch.path()).context("the temporary directory is not UTF-8")?.to_owned();
    let mut lines = commands(args)?;
    let mut envs = SideEnvs::default();
    for (number, name) in args.workloads.iter().enumerate() {
        lines.extend(stage_workloads(name, &args.settings, &dir.join(format!("cwd-{number}")), &mut envs)?);
    }
    envs.base.extend(pairs(&args.base_env).map_err(Usage)?);
    envs.candidate.extend(pairs(&args.candidate_env).map_err(Usage)?);
    let (form, mut sides) = sides(args, envs, &cwd)?;
    check(args, &lines, &sides)?;
    let costs = args.costs.as_ref().map(|file| Costs::read(&cwd.join(file))).transpose()?;

    remove_when_interrupted(dir.clone())?;
    let mut say = |line: &str| tell(line);
    let env = environment();
    let on_all = |line: &CommandLine| {
        let env = env.iter().chain(&line.env).map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut workload = Workload::new(&line.name, &line.words, &env, line.cwd.as_ref().unwrap_or(&cwd), &sides)?;
        if let Some(served) = &line.served {
            workload.background = Some(Background::on_sides(served, &workload, &sides)?);
        }
        Ok(workload)
    };
    let mut workloads = lines.iter().map(on_all).collect::<Result<Vec<Workload>, Unfit>>()?;
    let options = args.options.clone();
    if let Some(checkout) = options.rustc_perf.as_ref().map(|checkout| cwd.join(checkout)) {
        workloads.extend(rustc_perf::workloads(&options, &checkout, form, &mut sides, &env, &dir, &mut say)?);
    }
    let mut result = compare::compare(&Request { form, sides, workloads, options, scratch: dir }, &mut say)?;
    costs.iter().for_each(|costs| result.set_costs(costs));
    Ok(result)
}

/// Environments of sides alone.
#[derive(Default)]
struct SideEnvs {
    base: Env,
    candidate: Env,
    /// By the names of sides.
    by_name: BTreeMap<String, Env>,
}

/// The builds of the command line, the base first.
fn sides(args: &CompareArgs, mut envs: SideEnvs, cwd: &Utf8Path) -> Result<(Form, Vec<Build>)> {
    let given: Vec<&str> = args.builds.iter().map(String::as_str).collect();
    if given.len() < 2 {
        return Err(usage!("name two builds or more: what is compared with, and what is compared"));
    }
    let form = match given.len() {
        2 if args.base_side.is_none() && args.against.is_empty() && args.side_env.is_empty() => Form::Candidate,
        _ => Form::Sides,
    };
    let named: Vec<(&str, &str)> = given.iter().map(|text| named(text, cwd)).collect();
    let names: Vec<&str> = named.iter().map(|(name, _)| *name).collect();
    let find = |name: &str| {
        let known = names.join("`, `");
        names
            .iter()
            .position(|other| *other == name)
            .ok_or_else(|| usage!("there is no side `{name}`; there are `{known}`"))
    };
    if form == Form::Candidate {
        let mut sides = vec![side(named[0], envs.base, args, cwd)?];
        let own_environment = !sides[0].env.is_empty() || !envs.candidate.is_empty();
        if own_environment && !args.step.is_empty() {
            return Err(usage!(
                "`--step` names builds without an environment of their own; name all builds without `--step`, and give them \
                 `--side-env`"
            ));
        }
        for step in &args.step {
            sides.push(side(self::named(step, cwd), Env::new(), args, cwd)?);
        }
        sides.push(side(named[1], envs.candidate, args, cwd)?);
        return Ok((form, sides));
    }
    if !args.step.is_empty() || !args.candidate_env.is_empty() || !args.base_env.is_empty() {
        return Err(usage!(
            "`--step`, `--base-env` and `--candidate-env` are for a base and a candidate; name all builds one after the other, and \
             give them `--side-env NAME:VARIABLE=VALUE`"
        ));
    }
    for (index, name) in names.iter().enumerate() {
        if names[..index].contains(name) {
            return Err(usage!("two builds are called `{name}`: name them, as in `{name}-2=PATH`"));
        }
    }
    for text in &args.side_env {
        let Some((name, pair)) =
            names.iter().find_map(|name| Some((name, text.strip_prefix(*name)?.strip_prefix(':')?)))
        else {
            return Err(usage!(
                "`--side-env {text}` begins with no side; write `--side-env {}:VARIABLE=VALUE`",
                names[0]
            ));
        };
        let pair = pairs(&[pair.to_owned()]).map_err(Usage)?;
        envs.by_name.entry((*name).to_owned()).or_default().extend(pair);
    }
    let base = args.base_side.as_deref().map_or(Ok(0), find)?;
    let order: Vec<usize> = [base].into_iter().chain((0..names.len()).filter(|index| *index != base)).collect();
    let mut sides = Vec::new();
    for index in &order {
        let env = envs.by_name.remove(names[*index]).unwrap_or_default();
        sides.push(side(named[*index], env, args, cwd)?);
    }
    for text in &args.against {
        let Some((name, against)) = text.split_once('=') else {
            return Err(usage!("`{text}` names no two sides; write `--against NAME=BASE`"));
        };
        let (side, against) = (find(name)?, find(against)?);
        let number = |index: usize| order.iter().position(|other| *other == index).unwrap_or(0);
        sides[number(side)].against = number(against);
    }
    Ok((form, sides))
}

/// A build with its name: `NAME=PATH`. Without a name, it is called as it is written.
fn named<'a>(text: &'a str, cwd: &Utf8Path) -> (&'a str, &'a str) {
    match text.split_once('=') {
        Some((name, path)) if !name.is_empty() && !name.contains(['/', ':']) && !cwd.join(text).exists() => {
            (name, path)
        }
        _ => (text, text),
    }
}

/// The commands of the command line.
fn commands(args: &CompareArgs) -> Result<Vec<CommandLine>> {
    let mut lines = Vec::new();
    for text in &args.workload {
        let Some((name, line)) = text.split_once('=').filter(|(name, _)| !name.is_empty()) else {
            return Err(usage!("`{text}` is no workload; write `--workload 'NAME={PLACEHOLDER} ARGS'`"));
        };
        let Some(words) = shlex::split(line).filter(|words| !words.is_empty()) else {
            return Err(usage!("workload `{name}`: `{line}` is no command, or has an open quote"));
        };
        lines.push(CommandLine { name: name.trim().into(), words, env: Env::new(), cwd: None, served: None });
    }
    if !args.command.is_empty() {
        let words: Vec<&str> = args.command.iter().map(String::as_str).filter(|word| *word != PLACEHOLDER).collect();
        let name = if words.is_empty() { "run".into() } else { words.join(" ") };
        let name = crate::text::truncate(&name, 40).into_owned();
        lines.push(CommandLine { name, words: args.command.clone(), env: Env::new(), cwd: None, served: None });
    }
    for line in &lines {
        let differs = line.words.iter().any(|word| word.contains(PLACEHOLDER));
        if !differs && args.base_env == args.candidate_env && args.side_env.is_empty() {
            let name = &line.name;
            let what =
                format!("`{name}` would run the same on all sides: write `{PLACEHOLDER}` where the program stands");
            return Err(Usage(what).into());
        }
    }
    Ok(lines)
}

/// A path, an output of a stage, or a program in PATH.
fn side((called, name): (&str, &str), env: Env, args: &CompareArgs, cwd: &Utf8Path) -> Result<Build> {
    let path = cwd.join(name);
    let path = if path.exists() {
        path
    } else if let Some(path) = output(name, &args.settings)? {
        path
    } else {
        let found = which::which(name).ok().and_then(|path| Utf8PathBuf::from_path_buf(path).ok());
        found.ok_or_else(|| {
            Usage(format!("there is no {path}, no program `{name}` in PATH, and it is not `PIPELINE:STAGE.OUTPUT`"))
        })?
    };
    let kind = Build::kind_of(&path).map_err(Usage)?;
    Ok(Build::new(called, path, kind, env))
}

fn check(args: &CompareArgs, lines: &[CommandLine], sides: &[Build]) -> Result<()> {
    let base = &sides[0];
    if let Some(other) = sides.iter().find(|side| side.kind != base.kind) {
        let (one, another) = (base.kind.title(), other.kind.title());
        return Err(usage!("{} is {one} and {} {another}: compare builds of one kind", base.name, other.name));
    }
    if args.options.rustc_perf.is_some() && base.kind == SideKind::Program {
        return Err(usage!("`--rustc-perf` measures toolchains: name directories with `bin/rustc`"));
    }
    if lines.is_empty() && args.options.rustc_perf.is_none() {
        let how = match base.kind {
            SideKind::Program => format!("`-- {PLACEHOLDER} ARGS`, `--workload 'NAME={PLACEHOLDER} ARGS'`"),
            SideKind::Toolchain => format!("`--rustc-perf DIR`, `-- {PLACEHOLDER} ARGS`"),
        };
        return Err(usage!("say what is run: {how}, or `--workloads PIPELINE:STAGE`"));
    }
    for (index, one) in lines.iter().enumerate() {
        if lines[..index].iter().any(|other| other.name == one.name) {
            return Err(usage!("there are two workloads of the name `{}`", one.name));
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

/// Where an output stands that was named `PIPELINE:STAGE.OUTPUT`, or something below it. None: that is not what was named.
///
/// # Errors
/// When there is no such pipeline or stage, or it has not been run.
fn output(name: &str, settings: &Settings) -> Result<Option<Utf8PathBuf>> {
    let Some((pipeline, rest)) = name.rsplit_once(':') else { return Ok(None) };
    let (output, below) = rest.split_once('/').map_or((rest, None), |(output, below)| (output, Some(below)));
    let Some((stage, output)) = output.split_once('.') else {
        return Err(usage!("`{name}` names no output: write `{pipeline}:STAGE.OUTPUT`"));
    };
    let project = open(pipeline, settings)?;
    let path = made(&project, pipeline, &OutputRef { stage: stage.into(), output: output.into() })?.0;
    Ok(Some(below.map_or(path.clone(), |below| path.join(below))))
}

fn open(pipeline: &str, settings: &Settings) -> Result<Project> {
    Project::open(&PipelineArgs { pipeline: pipeline.into(), settings: settings.clone(), experiment: None }, Mode::Look)
}

/// The path and the hash of an output of the stage's last record.
fn made(project: &Project, pipeline: &str, output: &OutputRef) -> Result<(Utf8PathBuf, String)> {
    let stage = &output.stage;
    project.named(stage)?;
    let Some(record) = project.record_of(stage)? else {
        let what = format!("stage `{stage}` has not been run here");
        return Err(usage!("{what}: `optbuild run {pipeline} --until {stage}`"));
    };
    record.is_here()?;
    match record.outputs.get(&output.output) {
        Some(found) => Ok((project.layout.root().join(&found.path), found.hash.clone())),
        None => {
            let names: Vec<&str> = record.outputs.keys().map(String::as_str).collect();
            let names = names.join("`, `");
            Err(usage!("stage `{stage}` has no output `{}`; it has `{names}`", output.output))
        }
    }
}

/// The workloads of `PIPELINE:STAGE`. Adds the environments that a comparison stage gives its sides. Workloads that run in a directory of
/// the stage's own get one below `scratch`.
///
/// # Errors
/// When there is no such stage, it has no workloads, or they need what has not been made.
fn stage_workloads(
    name: &str,
    settings: &Settings,
    scratch: &Utf8Path,
    envs: &mut SideEnvs,
) -> Result<Vec<CommandLine>> {
    let Some((pipeline, stage)) = name.rsplit_once(':') else {
        return Err(usage!("`{name}` names no stage: write `--workloads PIPELINE:STAGE`"));
    };
    let project = open(pipeline, settings)?;
    project.named(stage)?;
    let planned = stage::workloads(&project.pipeline, &project.facts, stage, &project.off())?;
    let mut resolver = Resolver::default();
    let commands = planned.commands.iter().flat_map(|(_, command)| args_of(command));
    let of_sides = planned.side_env.values().flat_map(BTreeMap::values);
    let of_servers =
        planned.served.values().flat_map(|served| served.server.iter().chain(&served.ready).chain(&served.stop));
    let commands = commands.chain(of_servers);
    for arg in commands.chain(planned.base_env.values()).chain(planned.candidate_env.values()).chain(of_sides) {
        for part in &arg.parts {
            if let Part::Late(Late::Path(output) | Late::Hash(output)) = part {
                resolver.outputs.insert(output.clone(), made(&project, pipeline, output)?);
            }
        }
    }
    let text = |arg: &Arg| {
        resolver
            .text(arg)
            .map_err(|error| Usage(format!("a workload of `{name}` cannot be run outside of the stage: {error}")))
    };
    let env = |env: &BTreeMap<String, Arg>| -> Result<Env> {
        env.iter().map(|(name, value)| Ok((name.clone(), text(value)?))).collect()
    };
    let mut workloads = Vec::new();
    for (number, (title, command)) in planned.commands.iter().enumerate() {
        let own = matches!(command.cwd.parts.first(), Some(Part::Symbol(Symbol::Build)));
        let cwd = if own { scratch.join(number.to_string()) } else { text(&command.cwd)?.into() };
        if own {
            std::fs::create_dir_all(&cwd).with_context(|| format!("cannot make {cwd}"))?;
        } else if !cwd.is_dir() {
            let what = format!("the directory {cwd}, in which workload `{title}` is to run, does not exist");
            return Err(Usage(what).into());
        }
        let words = command.argv.iter().map(text).collect::<Result<Vec<String>, _>>()?;
        let served = planned.served.get(title).map(|served| -> Result<Served<GivenValues>> {
            let all = |words: &[Arg]| words.iter().map(text).collect::<Result<Vec<String>, _>>();
            let patience = text(&served.patience)?;
            let patience = patience.parse().with_context(|| format!("`{patience}` is no number of seconds"))?;
            Ok(Served { server: all(&served.server)?, ready: all(&served.ready)?, stop: all(&served.stop)?, patience })
        });
        let served = served.transpose()?;
        workloads.push(CommandLine { name: title.clone(), words, env: env(&command.env)?, cwd: Some(cwd), served });
    }
    envs.base.extend(env(&planned.base_env)?);
    envs.candidate.extend(env(&planned.candidate_env)?);
    for (side, own) in &planned.side_env {
        envs.by_name.entry(side.clone()).or_default().extend(env(own)?);
    }
    Ok(workloads)
}

fn args_of(command: &Command) -> impl Iterator<Item = &Arg> {
    command.argv.iter().chain(command.env.values()).chain([&command.cwd])
}
