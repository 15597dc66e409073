//! `kind = "compare"`: builds measured against each other, by an operation that writes the result.
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

/// Measures builds against each other: instructions, times, memory, size. They are `base` and `candidate`, or any number of `sides`. Nothing
/// else runs meanwhile. Its output `table` is printed with the summary of a run; `json` and `markdown` are the same for programs and for
/// pull requests. All must print the same.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CompareKeys {
    /// What is compared with: a program, or a toolchain (a directory with `bin/rustc`).
    pub base: Option<Text>,
    /// What is compared.
    pub candidate: Option<Text>,
    /// Builds on the way from the base to the candidate, such as the one with PGO and without BOLT. Each is measured as well, in turns
    /// with the others, and gets a row of its own. What is the candidate itself is left out.
    #[serde(default)]
    pub steps: Vec<Text>,
    /// Environment of the base alone: where a program finds its own library.
    #[serde(default)]
    pub base_env: BTreeMap<String, Text>,
    /// Environment of the candidate alone.
    #[serde(default)]
    pub candidate_env: BTreeMap<String, Text>,
    /// Two or more builds, instead of `base` and `candidate`. One that does not work is left out, and its row says why.
    #[serde(default)]
    pub sides: Vec<MeasuredSide>,
    /// Which of the `sides` the others are held against. Default: the first one.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub base_side: Option<String>,
    /// A file in JSON that says what each of the `sides` cost: time of building and training, disk. It is read after measuring, and need not be
    /// there. Not in the fingerprint.
    pub costs: Option<Text>,
    /// What is run on all sides. At least one, unless there is `rustc-perf`.
    #[serde(default)]
    pub workloads: Vec<MeasuredWorkload>,
    /// A checkout of rustc-perf, with whose crates toolchains are measured.
    pub rustc_perf: Option<Text>,
    /// Which of its crates, by their whole names; `NAME-*` is the one of the highest version. Default: three small ones.
    #[serde(default)]
    pub crates: Vec<Text>,
    /// The cargo that builds the crates, on all sides. Default: the one in PATH.
    pub cargo: Option<Text>,
    /// Settings for cargo where the crates are built (`--config`), such as where vendored crates are.
    #[serde(default)]
    pub cargo_config: Vec<Text>,
    /// How its crates are built. Default: `["Check", "Opt"]`.
    #[serde(default)]
    pub profiles: Vec<Profile>,
    /// Further files of `base` and `candidate` whose sizes are compared, by a name.
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
    /// Does not check that all sides print the same.
    #[serde(default)]
    pub ignore_output: bool,
    /// A workload may exit with another status than 0, if it does so on all sides.
    #[serde(default)]
    pub allow_failure: bool,
}

/// One of the builds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct MeasuredSide {
    /// What its row is called.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The build: a program, or a toolchain (a directory with `bin/rustc`).
    pub program: Option<Text>,
    /// Instead of `program`: why there is no such build. It gets a row that says so.
    pub missing: Option<Text>,
    /// One sentence for the report. Not in the fingerprint.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub description: Option<String>,
    /// Environment of this side alone: where a program finds its own library.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// The side that it is held against. Default: `base-side`.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub base: Option<String>,
    /// Further files whose sizes are compared with those of the same name of other sides.
    #[serde(default)]
    pub sizes: BTreeMap<String, Text>,
}

/// One command that is run on all sides in turns.
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
        check_sides(&self, keys)?;
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

/// Tells what is wrong with the builds. None: it is not known which there are.
fn check_sides(kind: &CompareKeys, keys: &mut Keys) -> Option<()> {
    let of_two = [
        ("base", kind.base.is_some()),
        ("candidate", kind.candidate.is_some()),
        ("steps", !kind.steps.is_empty()),
        ("base-env", !kind.base_env.is_empty()),
        ("candidate-env", !kind.candidate_env.is_empty()),
        ("sizes", !kind.sizes.is_empty()),
    ];
    if !keys.is_written("sides") {
        if let Some((key, _)) = of_two[..2].iter().find(|(_, given)| !given).filter(|_| keys.is_complete()) {
            let message = format!("the compare stage `{}` needs the key `{key}`", keys.name);
            keys.wrong(key, message, "name `base` and `candidate`, or two or more `sides`");
        }
        for (key, _) in
            [("base-side", kind.base_side.is_some()), ("costs", kind.costs.is_some())].iter().filter(|key| key.1)
        {
            keys.wrong(key, format!("`{key}` is for `sides`, of which there are none"), "");
        }
        return Some(());
    }
    for (key, _) in of_two.iter().filter(|(_, given)| *given) {
        keys.wrong(key, format!("`{key}` does not go with `sides`"), "each of the `sides` has keys of its own");
    }
    keys.check_names("sides", "side", kind.sides.iter().map(|side| side.name.as_str()))?;
    if kind.sides.len() < 2 {
        keys.wrong("sides", format!("`{}` has one side: there is nothing to compare it with", keys.name), "");
    }
    let names: Vec<&str> = kind.sides.iter().map(|side| side.name.as_str()).collect();
    if let Some(base) = kind.base_side.as_ref().filter(|base| !names.contains(&base.as_str())) {
        keys.no_such("base-side", format!("there is no side `{base}`"), base, names.iter().copied());
    }
    for (index, side) in kind.sides.iter().enumerate() {
        keys.check_env_of("sides", index, &side.env);
        if side.program.is_some() == side.missing.is_some() {
            let message = format!("side `{}` needs either `program` or `missing`", side.name);
            keys.wrong_in("sides", index, "missing", message, "");
        }
        if let Some(base) = side.base.as_ref().filter(|base| !names.contains(&base.as_str())) {
            keys.wrong_in("sides", index, "base", format!("there is no side `{base}`"), "");
        }
    }
    Some(())
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
        let (out, scratch) = (Arg::from(Symbol::Out), Symbol::Scratch.into());
        let mut compare = ops::Compare {
            base: None,
            base_name: None,
            base_env: Vec::new(),
            candidate: None,
            candidate_name: None,
            candidate_env: Vec::new(),
            step: Vec::new(),
            size: Vec::new(),
            side: Vec::new(),
            missing: Vec::new(),
            side_env: Vec::new(),
            side_size: Vec::new(),
            about: Vec::new(),
            costs: None,
            out: out.clone(),
            scratch,
            options: Vec::new(),
            workloads: Vec::new(),
        };
        match (&kind.base, &kind.candidate) {
            (Some(base), Some(candidate)) => two(kind, base, candidate, &mut compare, cx)?,
            _ => sides(kind, &mut compare, cx)?,
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
        let paths = [out.clone()].into_iter().chain([TABLE, JSON, MARKDOWN].map(|name| out.clone().join(name)));
        for (name, path) in OUTPUTS.into_iter().zip(paths) {
            cx.plan.outputs.push(Output { name: name.into(), path, portable: false, show: name == "table" });
        }
        (compare.options, compare.workloads) = (options, workloads);
        cx.step(Step::op("compare", compare));
        Ok(())
    }

    fn workloads(&self, cx: &mut Context) -> Result<Option<Workloads>, PlanError> {
        let mut all = Workloads { base_env: env(&self.keys.base_env, cx)?, ..Workloads::default() };
        all.candidate_env = env(&self.keys.candidate_env, cx)?;
        for side in &self.keys.sides {
            all.side_env.insert(side.name.clone(), env(&side.env, cx)?);
        }
        for (name, line, background) in &self.workloads {
            if let Some(background) = background {
                let key = format!("workloads.{name}");
                all.served.insert(name.clone(), background.plan(&key, cx)?);
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

/// A base, a candidate, and steps on the way.
fn two(
    kind: &CompareKeys,
    base: &Text,
    candidate: &Text,
    compare: &mut ops::Compare,
    cx: &mut Context,
) -> Result<(), PlanError> {
    let (base, base_name, base_env) = side(base, &kind.base_env, cx)?;
    let (candidate, candidate_name, candidate_env) = side(candidate, &kind.candidate_env, cx)?;
    let own_environment = !base_env.is_empty() || !candidate_env.is_empty();
    if !kind.steps.is_empty() && own_environment {
        let what =
            "builds on the way have no environment of their own; name all builds in `sides`, where each can have one";
        return Err(cx.invalid("steps", what));
    }
    for text in &kind.steps {
        let (program, name, _) = side(text, &BTreeMap::new(), cx)?;
        if program != candidate {
            compare.step.extend([program, name]);
        }
    }
    for (name, files) in &kind.sizes {
        compare.size.extend([name.as_str().into(), cx.arg(&files.base)?, cx.arg(&files.candidate)?]);
    }
    (compare.base, compare.base_name, compare.base_env) = (Some(base), Some(base_name), base_env);
    (compare.candidate, compare.candidate_name, compare.candidate_env) =
        (Some(candidate), Some(candidate_name), candidate_env);
    Ok(())
}

/// Any number of builds, the base first.
fn sides(kind: &CompareKeys, compare: &mut ops::Compare, cx: &mut Context) -> Result<(), PlanError> {
    let is_base = |side: &&MeasuredSide| kind.base_side.as_ref().is_none_or(|base| *base == side.name);
    let base = kind.sides.iter().position(|side| is_base(&side)).unwrap_or(0);
    let others = kind.sides.iter().enumerate().filter(|(index, _)| *index != base).map(|(_, side)| side);
    for declared in kind.sides.get(base).into_iter().chain(others) {
        let name = || Arg::from(declared.name.as_str());
        let base: Arg = declared.base.as_deref().unwrap_or_default().into();
        match planned(declared, cx) {
            Ok(Planned { program, env, sizes }) => {
                compare.side.extend([name(), program, base]);
                env.into_iter().for_each(|pair| compare.side_env.extend([name(), pair]));
                sizes.into_iter().for_each(|(file, path)| compare.side_size.extend([name(), file.into(), path]));
                if let Some(why) = &declared.missing {
                    compare.missing.extend([name(), cx.arg(why)?]);
                }
            }
            // A variant of an experiment that could not be built.
            Err(PlanError::Blocked { by, .. }) if !cx.pipeline.variants.is_empty() => {
                let why = cx.pipeline.lacking.get(&by).filter(|why| !why.is_empty());
                let why = why.map_or_else(|| format!("stage `{by}` has no outputs"), Clone::clone);
                compare.side.extend([name(), Arg::default(), base]);
                compare.missing.extend([name(), why.into()]);
            }
            Err(error) => return Err(error),
        }
        // Always written, so that the fingerprint does not say whether there is one.
        compare.about.extend([name(), Arg::part(Part::Limit(declared.description.clone().unwrap_or_default()))]);
    }
    let empty = || Arg::part(Part::Limit(String::new()));
    let costs = kind.costs.as_ref().map(|costs| cx.arg(costs)).transpose()?.unwrap_or_else(empty);
    compare.costs = Some(match cx.known_path(&costs) {
        Some(path) => Arg::part(Part::Limit(path.into())),
        // There is none, or it lies beside a directory of the stage's own.
        None if matches!(costs.parts.first(), Some(Part::Limit(_) | Part::Symbol(_))) => costs,
        None => return Err(cx.invalid("costs", "it is an absolute path, which is known before anything runs")),
    });
    Ok(())
}

/// What is measured of a side.
struct Planned {
    program: Arg,
    env: Vec<Arg>,
    sizes: Vec<(String, Arg)>,
}

fn planned(side: &MeasuredSide, cx: &mut Context) -> Result<Planned, PlanError> {
    let program = side.program.as_ref().map(|program| cx.program(program)).transpose()?.unwrap_or_default();
    let env = pairs(env(&side.env, cx)?);
    let sizes = side.sizes.iter().map(|(file, path)| Ok((file.clone(), cx.arg(path)?)));
    Ok(Planned { program, env, sizes: sizes.collect::<Result<_, PlanError>>()? })
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
    let first = kind.sides.first().map(|side| &side.env);
    let alike = kind.sides.iter().all(|side| Some(&side.env) == first);
    if !differs && alike && kind.base_env == kind.candidate_env {
        return Err(cx.invalid(&key, format!("without `{PLACEHOLDER}` all sides would run the same")));
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
