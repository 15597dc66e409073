//! `kind = "compare"`: two builds measured against each other, by an operation that writes the result.
//!
//! What was measured on a machine is true on that machine: the outputs never leave it. Unaware of how it is measured.

use std::collections::BTreeMap;

use super::workloads::env;
use super::{Context, PlanError};
use crate::compare::limit::Limit;
use crate::compare::request::{Counter, PLACEHOLDER};
use crate::compare::result::{JSON, MARKDOWN, TABLE};
use crate::compare::rustc_perf::DEFAULT_CRATES;
use crate::pipeline::kind::Compare;
use crate::pipeline::kind::compare::MeasuredWorkload;
use crate::pipeline::{CommandLine, Text};
use crate::plan::{Arg, Op, Output, Part, Step, Symbol};
use crate::toolchain::rustc_perf::{Crates, benchmarks};

pub(super) fn plan(kind: &Compare, cx: &mut Context) -> Result<(), PlanError> {
    if kind.workloads.is_empty() && kind.rustc_perf.is_none() {
        return Err(cx.invalid("workloads", cx.nothing_to_run("name at least one workload, or `rustc-perf`")));
    }
    let mut args = Vec::new();
    side("base", &kind.base, &kind.base_env, cx, &mut args)?;
    side("candidate", &kind.candidate, &kind.candidate_env, cx, &mut args)?;
    for (name, files) in &kind.sizes {
        args.extend(["--size".into(), name.as_str().into(), cx.arg(&files.base)?, cx.arg(&files.candidate)?]);
    }
    args.extend(["--out".into(), Symbol::Out.into(), "--scratch".into(), Symbol::Scratch.into()]);
    options(kind, cx, &mut args)?;
    of_rustc_perf(kind, cx, &mut args)?;
    if kind.counter == Counter::Valgrind {
        cx.tool("valgrind");
    } else if matches!(kind.counter, Counter::Auto) && cx.optional_tool("valgrind").is_none() {
        cx.note("valgrind is not there: instructions are counted only where the processor's counters can be used");
    }
    if !kind.workloads.is_empty() {
        args.push("--".into());
    }
    for declared in &kind.workloads {
        workload(declared, kind, cx, &mut args)?;
    }
    let out = Arg::from(Symbol::Out);
    let files = [TABLE, JSON, MARKDOWN].map(|name| out.clone().join(name));
    cx.step(Step::op("compare", Op::compare(args, &files)));
    let paths = [out].into_iter().chain(files);
    for (name, path) in ["out", "table", "json", "markdown"].into_iter().zip(paths) {
        cx.plan.outputs.push(Output { name: name.into(), path, portable: false, show: name == "table" });
    }
    Ok(())
}

fn side(
    which: &str,
    text: &Text,
    declared: &BTreeMap<String, Text>,
    cx: &mut Context,
    args: &mut Vec<Arg>,
) -> Result<(), PlanError> {
    let program = cx.program(text)?;
    let name = name(text, &program, cx)?;
    args.extend([Arg::from(format!("--{which}")), program, format!("--{which}-name").into(), name.into()]);
    for (name, value) in env(declared, cx)? {
        args.extend([Arg::from(format!("--{which}-env")), Arg::from(format!("{name}=")).with(value)]);
    }
    Ok(())
}

/// `stage.output` of the one that is used, or where the program is.
fn name(text: &Text, program: &Arg, cx: &Context) -> Result<String, PlanError> {
    let Some(candidates) = crate::pipeline::kind::leading_output(text) else {
        return Ok(cx.known_path(program).map_or_else(|| text.to_string(), Into::into));
    };
    let below = Text { pieces: text.pieces[1..].to_vec() };
    Ok(format!("{}{below}", cx.chosen(candidates)?))
}

fn options(kind: &Compare, cx: &Context, args: &mut Vec<Arg>) -> Result<(), PlanError> {
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
    Ok(())
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
    args: &mut Vec<Arg>,
) -> Result<(), PlanError> {
    let key = format!("workloads.{}", declared.name);
    let line = CommandLine::new(&declared.run, declared.shell, declared.env.clone(), declared.cwd.clone());
    let line = line.map_err(|message| cx.invalid(&key, message))?;
    let command = cx.command_line(&line)?;
    // The environment of the sides may be all that differs.
    let differs = command.argv.iter().chain(command.env.values()).any(|arg| arg.to_string().contains(PLACEHOLDER));
    if !differs && kind.base_env == kind.candidate_env {
        return Err(cx.invalid(&key, format!("without `{PLACEHOLDER}` both sides would run the same")));
    }
    args.extend(["workload".into(), declared.name.as_str().into()]);
    for (name, value) in command.env {
        args.extend(["env".into(), Arg::from(format!("{name}=")).with(value)]);
    }
    if declared.cwd.is_some() {
        let own = matches!(command.cwd.parts.first(), Some(Part::Symbol(_)));
        args.extend([if own { "own-cwd" } else { "cwd" }.into(), command.cwd]);
    }
    args.extend(["run".into(), command.argv.len().to_string().into()]);
    args.extend(command.argv);
    Ok(())
}
