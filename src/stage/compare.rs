//! `kind = "compare"`: two builds measured against each other, by an operation that writes the result.
//!
//! What was measured on a machine is true on that machine: the outputs never leave it. Unaware of how it is measured.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::background::Background;
use super::{Context, Declaration, PlanError, StageKind, Workloads, env};
use crate::compare::limit::Limit;
use crate::compare::options::{self, Counter, DEFAULT_CRATES, Profile};
use crate::compare::request::PLACEHOLDER;
use crate::pipeline::{Answers, CommandLine, Keys, Text, Words, leading_output, value};
use crate::plan::ops::{self, ComparedWorkload, JSON, MARKDOWN, PlannedValues, TABLE};
use crate::plan::{Arg, Output, Part, Step, Symbol};
use crate::toolchain::rustc_perf::{Crates, benchmarks};

/// Measures two builds against each other: instructions, times, memory, size. Nothing else runs meanwhile. Its output `table`
/// is printed with the summary of a run; `json` and `markdown` are the same for programs and for pull requests. Both sides must
/// print the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CompareKeys {
    /// What is compared with: a program, or a toolchain (a directory with `bin/rustc`).
    pub base: Text,
    /// What is compared.
    pub candidate: Text,
    /// Builds on the way from the base to the candidate, such as the one with PGO and without BOLT. Each is measured as well, in turns
    /// with the others, and gets columns of its own. What is the candidate itself is left out.
    #[serde(default)]
    pub steps: Vec<Text>,
    /// Environment of the base alone: where a program finds its own library.
    #[serde(default)]
    pub base_env: BTreeMap<String, Text>,
    /// Environment of the candidate alone.
    #[serde(default)]
    pub candidate_env: BTreeMap<String, Text>,
    /// What is run on both. At least one, unless there is `rustc-perf`.
    #[serde(default)]
    pub workloads: Vec<MeasuredWorkload>,
    /// A checkout of rustc-perf, with whose crates two toolchains are measured.
    pub rustc_perf: Option<Text>,
    /// Which of its crates, by their whole names; `NAME-*` is the one of the highest version. Default: three small ones.
    #[serde(default)]
    pub crates: Vec<Text>,
    /// The cargo that builds the crates, on both sides. Default: the one in PATH.
    pub cargo: Option<Text>,
    /// Settings for cargo where the crates are built (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
    /// How its crates are built. Default: `["Check", "Opt"]`.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Further files whose sizes are compared, by a name.
    #[serde(default)]
    pub sizes: BTreeMap<String, SizePair>,
    /// What measuring may take in all, as `30s` or `10m`. Default: `10m`.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub budget: Option<Duration>,
    /// How instructions are counted. Default: `auto`.
    #[serde(default)]
    pub counter: Counter,
    /// At most so many runs of a workload on each side. Default: 100.
    pub rounds: Option<NonZeroU32>,
    /// Fails when a workload is significantly worse by more than this, as `1%` of the instructions (or of the wall time where
    /// they are not counted), or of another metric: `wall-time=5%`; or when too little was measured to know it. Default: never.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub fail_above: Vec<Limit>,
    /// Does not check that both sides print the same.
    #[serde(default)]
    pub ignore_output: bool,
    /// A workload may exit with another status than 0, if it does so on both sides.
    #[serde(default)]
    pub allow_failure: bool,
}

/// One command that is run on both sides in turns.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MeasuredWorkload {
    /// What it is called. With `for`, the values are added to it: `name[level=3]`.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The command: an array of words, or a string that is split into words without a shell. `{program}` stands for the program
    /// of a side; of a toolchain, for its rustc.
    pub run: Words,
    /// `run` is a script for `sh -eu -c`, and the shell is measured too.
    #[serde(default)]
    pub shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Where it runs. Default: an empty directory.
    pub cwd: Option<Text>,
    /// A program that the command drives: then this is measured, and not the command. The wall time is that of the command; the
    /// other figures are the program's, less what it needed to start as far as that can be known.
    pub background: Option<Background>,
    /// Runs the workload once for every combination of values: `for = { level = ["0", "3"] }` and `${level}` in the command.
    // Expanded when the file is read; here so that the schema has it.
    #[serde(default, rename = "for")]
    pub matrix: BTreeMap<String, Vec<Text>>,
    /// Templates that it is laid on, as a stage can be.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<crate::pipeline::OneOrMore>")]
    pub like: Vec<String>,
}

/// The same file of both sides.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SizePair {
    /// The base's file.
    pub base: Text,
    /// The candidate's.
    pub candidate: Text,
}

const OUTPUTS: [&str; 4] = ["out", "table", "json", "markdown"];

/// Two builds, and what is run on both.
#[derive(Debug)]
pub struct Compare {
    /// Without the workloads.
    keys: CompareKeys,
    /// By their names.
    workloads: Vec<(String, CommandLine, Option<Background>)>,
}

impl Declaration for CompareKeys {
    const NAME: &'static str = "compare";
    type Parsed = Compare;

    fn parse(mut self, keys: &mut Keys) -> Option<Compare> {
        let declared = std::mem::take(&mut self.workloads);
        if self.rustc_perf.is_none() || !declared.is_empty() {
            keys.check_names("workloads", "workload", declared.iter().map(|workload| workload.name.as_str()))?;
        }
        keys.check_env("base-env", &self.base_env);
        keys.check_env("candidate-env", &self.candidate_env);
        let mut workloads = Vec::new();
        for (index, workload) in declared.into_iter().enumerate() {
            let MeasuredWorkload { name, run, shell, env, cwd, background, .. } = workload;
            if let Some(Err(message)) = background.as_ref().map(Background::line) {
                keys.wrong_in("workloads", index, "background", message, "");
            }
            let line = keys.command_of("workloads", index, (run, shell, env, cwd));
            workloads.extend(line.map(|line| (name, line, background)));
        }
        Some(Compare { keys: self, workloads })
    }
}

impl StageKind for Compare {
    fn answers(&self) -> Answers {
        Answers { outputs: OUTPUTS.map(String::from).to_vec(), measures: true, ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        let kind = &self.keys;
        if self.workloads.is_empty() && kind.rustc_perf.is_none() {
            return Err(cx.invalid("workloads", cx.nothing_to_run("name at least one workload, or `rustc-perf`")));
        }
        let (base, base_name, base_env) = side(&kind.base, &kind.base_env, cx)?;
        let (candidate, candidate_name, candidate_env) = side(&kind.candidate, &kind.candidate_env, cx)?;
        let own_environment = !base_env.is_empty() || !candidate_env.is_empty();
        if !kind.steps.is_empty() && (own_environment || kind.rustc_perf.is_some()) {
            let what = "builds on the way have no environment of their own, and are not measured with rustc-perf";
            return Err(cx.invalid("steps", what));
        }
        let mut step = Vec::new();
        for text in &kind.steps {
            let (program, name, _) = side(text, &BTreeMap::new(), cx)?;
            if program != candidate {
                step.extend([program, name]);
            }
        }
        let mut size = Vec::new();
        for (name, files) in &kind.sizes {
            size.extend([name.as_str().into(), cx.arg(&files.base)?, cx.arg(&files.candidate)?]);
        }
        let mut options = measuring(kind);
        of_rustc_perf(kind, cx, &mut options)?;
        if kind.counter == Counter::Valgrind {
            cx.tool("valgrind");
        } else if matches!(kind.counter, Counter::Auto) && cx.optional_tool("valgrind").is_none() {
            cx.note("valgrind is not there: instructions are counted only where the processor's counters can be used");
        }
        let mut workloads = Vec::new();
        for (name, line, background) in &self.workloads {
            workloads.extend(workload(name, line, background.as_ref(), kind, cx)?.write());
        }
        let (out, scratch) = (Arg::from(Symbol::Out), Symbol::Scratch.into());
        let paths = [out.clone()].into_iter().chain([TABLE, JSON, MARKDOWN].map(|name| out.clone().join(name)));
        for (name, path) in OUTPUTS.into_iter().zip(paths) {
            cx.plan.outputs.push(Output { name: name.into(), path, portable: false, show: name == "table" });
        }
        let compare = ops::Compare {
            base,
            base_name,
            base_env,
            candidate,
            candidate_name,
            candidate_env,
            step,
            size,
            out,
            scratch,
            options,
            workloads,
        };
        cx.step(Step::op("compare", compare));
        Ok(())
    }

    fn workloads(&self, cx: &mut Context) -> Result<Option<Workloads>, PlanError> {
        let mut all = Workloads { base_env: env(&self.keys.base_env, cx)?, ..Workloads::default() };
        all.candidate_env = env(&self.keys.candidate_env, cx)?;
        for (name, line, background) in &self.workloads {
            if background.is_some() {
                return Err(cx.invalid(&format!("workloads.{name}"), Background::NOT_ALONE));
            }
            all.commands.push((name.clone(), cx.command_line(line)?));
        }
        Ok(Some(all))
    }
}

impl Compare {
    /// What it runs.
    pub(super) fn commands(&self) -> impl Iterator<Item = &CommandLine> {
        self.workloads.iter().map(|(_, line, _)| line)
    }
}

/// The program, its name, and its own environment.
fn side(text: &Text, declared: &BTreeMap<String, Text>, cx: &mut Context) -> Result<(Arg, Arg, Vec<Arg>), PlanError> {
    let program = cx.program(text)?;
    let name = name(text, &program, cx)?.into();
    Ok((program, name, pairs(env(declared, cx)?)))
}

/// As `NAME=VALUE`.
fn pairs(env: BTreeMap<String, Arg>) -> Vec<Arg> {
    env.into_iter().map(|(name, value)| Arg::from(format!("{name}=")).with(value)).collect()
}

/// `stage.output` of the one that is used, or where the program is.
fn name(text: &Text, program: &Arg, cx: &Context) -> Result<String, PlanError> {
    let Some(candidates) = leading_output(text) else {
        return Ok(cx.known_path(program).map_or_else(|| text.to_string(), Into::into));
    };
    let below = Text { pieces: text.pieces[1..].to_vec() };
    Ok(format!("{}{below}", cx.chosen(candidates)?))
}

fn measuring(kind: &CompareKeys) -> Vec<Arg> {
    let mut args: Vec<Arg> = Vec::new();
    if let Some(budget) = kind.budget {
        args.extend(["--budget".into(), humantime::format_duration(budget).to_string().into()]);
    }
    if let Some(rounds) = kind.rounds {
        args.extend(["--rounds".into(), rounds.to_string().into()]);
    }
    if kind.counter != Counter::Auto {
        args.extend(["--counter".into(), options::name(&kind.counter).into()]);
    }
    args.extend(kind.ignore_output.then(|| "--ignore-output".into()));
    args.extend(kind.allow_failure.then(|| "--allow-failure".into()));
    for limit in &kind.fail_above {
        args.extend(["--fail-above".into(), limit.to_string().into()]);
    }
    args
}

fn of_rustc_perf(kind: &CompareKeys, cx: &mut Context, args: &mut Vec<Arg>) -> Result<(), PlanError> {
    let Some(text) = &kind.rustc_perf else {
        return match kind.crates.is_empty()
            && kind.profiles.is_empty()
            && kind.cargo_config.is_empty()
            && kind.cargo.is_none()
        {
            true => Ok(()),
            false => {
                let what = "`crates`, `profiles`, `cargo` and `cargo-config` are of rustc-perf; say where it lies";
                Err(cx.invalid("rustc-perf", what))
            }
        };
    };
    let dir = cx.arg(text)?;
    let path = cx.known_path(&dir);
    let lacks = |path: &&camino::Utf8PathBuf| !cx.facts.exists(&path.join(benchmarks(cx.facts, Some(path))));
    if let Some(path) = path.as_ref().filter(lacks) {
        cx.gap(format!("there is no rustc-perf in {path}"), "get a checkout of rustc-perf, or set `rustc-perf` to it");
    }
    let known = path.map(|path| Crates::of(cx.facts, &path));
    let cargo = match &kind.cargo {
        Some(text) => cx.program(text)?,
        None => cx.tool("cargo"),
    };
    args.extend(["--cargo".into(), cargo]);
    args.extend(["--rustc-perf".into(), dir]);
    for krate in crates(kind, known.as_ref(), cx)? {
        args.extend(["--crates".into(), krate]);
    }
    for setting in &kind.cargo_config {
        args.extend(["--cargo-config".into(), cx.arg(setting)?]);
    }
    args.extend(kind.profiles.iter().flat_map(|profile| ["--perf-profiles".into(), options::name(profile).into()]));
    Ok(())
}

/// The crates to measure with. That one is not there is said before the builds that are compared have taken hours.
fn crates(kind: &CompareKeys, known: Option<&Crates>, cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
    let default = DEFAULT_CRATES.map(Text::literal);
    let wanted = if kind.crates.is_empty() { &default } else { kind.crates.as_slice() };
    let known = known.filter(|known| !known.names.is_empty());
    let mut args: Vec<Arg> = Vec::new();
    for text in wanted {
        let arg = match (text.as_literal(), known) {
            (Some(name), Some(known)) => match known.find(cx.facts, &name) {
                Ok(found) => found.into(),
                Err(message) => return Err(cx.invalid("crates", message)),
            },
            _ => cx.arg(text)?,
        };
        if !args.contains(&arg) {
            args.push(arg);
        }
    }
    Ok(args)
}

fn workload(
    name: &str,
    line: &CommandLine,
    background: Option<&Background>,
    kind: &CompareKeys,
    cx: &mut Context,
) -> Result<ComparedWorkload<PlannedValues>, PlanError> {
    let key = format!("workloads.{name}");
    let command = cx.command_line(line)?;
    let served = background.map(|background| background.plan(&key, cx)).transpose()?;
    let server = served.iter().flat_map(|served| &served.server);
    // The environment of the sides may be all that differs.
    let differs =
        command.argv.iter().chain(command.env.values()).chain(server).any(|arg| arg.to_string().contains(PLACEHOLDER));
    if !differs && kind.base_env == kind.candidate_env {
        return Err(cx.invalid(&key, format!("without `{PLACEHOLDER}` both sides would run the same")));
    }
    Ok(ComparedWorkload {
        name: name.into(),
        env: pairs(command.env),
        own_cwd: line.cwd.is_none() || matches!(command.cwd.parts.first(), Some(Part::Symbol(_))),
        cwd: line.cwd.is_some().then_some(command.cwd),
        served,
        words: command.argv,
    })
}
