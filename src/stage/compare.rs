//! `kind = "compare"`: two builds measured against each other, by an operation that writes the result.
//!
//! What was measured on a machine is true on that machine: the outputs never leave it. Unaware of how it is measured.

use std::collections::BTreeMap;

use super::workloads::env;
use super::{Context, PlanError};
use crate::compare::limit::Limit;
use crate::compare::request::{Counter, PLACEHOLDER};
use crate::compare::rustc_perf::DEFAULT_CRATES;
use crate::pipeline::kind::Compare;
use crate::pipeline::kind::compare::MeasuredWorkload;
use crate::pipeline::{CommandLine, Text};
use crate::plan::ops::{self, ComparedWorkload, JSON, MARKDOWN, PlannedValues, TABLE};
use crate::plan::{Arg, Output, Part, Step, Symbol};
use crate::toolchain::rustc_perf::{Crates, benchmarks};

pub(super) fn plan(kind: &Compare, cx: &mut Context) -> Result<(), PlanError> {
    if kind.workloads.is_empty() && kind.rustc_perf.is_none() {
        return Err(cx.invalid("workloads", cx.nothing_to_run("name at least one workload, or `rustc-perf`")));
    }
    let (base, base_name, base_env) = side(&kind.base, &kind.base_env, cx)?;
    let (candidate, candidate_name, candidate_env) = side(&kind.candidate, &kind.candidate_env, cx)?;
    let mut size = Vec::new();
    for (name, files) in &kind.sizes {
        size.extend([name.as_str().into(), cx.arg(&files.base)?, cx.arg(&files.candidate)?]);
    }
    let mut options = options(kind, cx)?;
    of_rustc_perf(kind, cx, &mut options)?;
    if kind.counter == Counter::Valgrind {
        cx.tool("valgrind");
    } else if matches!(kind.counter, Counter::Auto) && cx.optional_tool("valgrind").is_none() {
        cx.note("valgrind is not there: instructions are counted only where the processor's counters can be used");
    }
    let mut workloads = Vec::new();
    for declared in &kind.workloads {
        workloads.extend(workload(declared, kind, cx)?.write());
    }
    let (out, scratch) = (Arg::from(Symbol::Out), Symbol::Scratch.into());
    cx.step(Step::op(
        "compare",
        ops::Compare {
            base,
            base_name,
            base_env,
            candidate,
            candidate_name,
            candidate_env,
            size,
            out: out.clone(),
            scratch,
            options,
            workloads,
        },
    ));
    let files = [TABLE, JSON, MARKDOWN].map(|name| out.clone().join(name));
    let paths = [out].into_iter().chain(files);
    for (name, path) in ["out", "table", "json", "markdown"].into_iter().zip(paths) {
        cx.plan.outputs.push(Output { name: name.into(), path, portable: false, show: name == "table" });
    }
    Ok(())
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
    let Some(candidates) = crate::pipeline::kind::leading_output(text) else {
        return Ok(cx.known_path(program).map_or_else(|| text.to_string(), Into::into));
    };
    let below = Text { pieces: text.pieces[1..].to_vec() };
    Ok(format!("{}{below}", cx.chosen(candidates)?))
}

fn options(kind: &Compare, cx: &Context) -> Result<Vec<Arg>, PlanError> {
    let mut args: Vec<Arg> = Vec::new();
    if let Some(budget) = kind.budget {
        args.extend(["--budget".into(), humantime::format_duration(budget).to_string().into()]);
    }
    if let Some(rounds) = kind.rounds {
        args.extend(["--rounds".into(), rounds.to_string().into()]);
    }
    let counter = match kind.counter {
        Counter::Auto => None,
        Counter::Perf => Some("perf"),
        Counter::Valgrind => Some("valgrind"),
        Counter::None => Some("none"),
    };
    args.extend(counter.into_iter().flat_map(|counter| ["--counter".into(), counter.into()]));
    args.extend(kind.ignore_output.then(|| "--ignore-output".into()));
    args.extend(kind.allow_failure.then(|| "--allow-failure".into()));
    for limit in &kind.fail_above {
        limit.parse::<Limit>().map_err(|message| cx.invalid("fail-above", message))?;
        args.extend(["--fail-above".into(), limit.as_str().into()]);
    }
    Ok(args)
}

fn of_rustc_perf(kind: &Compare, cx: &mut Context, args: &mut Vec<Arg>) -> Result<(), PlanError> {
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
    args.extend(kind.profiles.iter().flat_map(|profile| ["--perf-profiles".into(), profile.name().into()]));
    Ok(())
}

/// The crates to measure with. That one is not there is said before the builds that are compared have taken hours.
fn crates(kind: &Compare, known: Option<&Crates>, cx: &mut Context) -> Result<Vec<Arg>, PlanError> {
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
    declared: &MeasuredWorkload,
    kind: &Compare,
    cx: &mut Context,
) -> Result<ComparedWorkload<PlannedValues>, PlanError> {
    let key = format!("workloads.{}", declared.name);
    let line = CommandLine::new(&declared.run, declared.shell, declared.env.clone(), declared.cwd.clone());
    let line = line.map_err(|message| cx.invalid(&key, message))?;
    let command = cx.command_line(&line)?;
    // The environment of the sides may be all that differs.
    let differs = command.argv.iter().chain(command.env.values()).any(|arg| arg.to_string().contains(PLACEHOLDER));
    if !differs && kind.base_env == kind.candidate_env {
        return Err(cx.invalid(&key, format!("without `{PLACEHOLDER}` both sides would run the same")));
    }
    Ok(ComparedWorkload {
        name: declared.name.as_str().into(),
        env: pairs(command.env),
        own_cwd: declared.cwd.is_none() || matches!(command.cwd.parts.first(), Some(Part::Symbol(_))),
        cwd: declared.cwd.is_some().then_some(command.cwd),
        words: command.argv,
    })
}
