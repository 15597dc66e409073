//! The way of a comparison: first runs, counts, timed runs, and what they say together.

use anyhow::{Result, bail};
use camino::Utf8PathBuf;

use super::budget::Clock;
use super::counters;
use super::counting::{self, Counted};
use super::noise::{self, Processors};
use super::request::{Counter, Request};
use super::result::{Budget, Comparison, CounterUsed, FORMAT, Machine, Measured, Method, Metric, Side, Size, Workload};
use super::rounds::{self, Runs};
use super::statistics::{LEAST_RUNS, change, p_value, sample, verdict};
use super::summary::summaries;
use super::valgrind;
use super::warm_up::{self, First};
use super::{request, sizes};
use crate::text;

/// Measures; `say` is told what is done, line by line.
///
/// # Errors
/// When a program fails, both sides print different things, or the counter that was asked for is not there.
pub fn compare(request: &Request, say: &mut dyn FnMut(&str)) -> Result<Comparison> {
    if request.workloads.is_empty() {
        bail!("there is no workload to measure the two builds with");
    }
    let counter = counter(request)?;
    say(&match &counter.because {
        Some(because) => format!("instructions: {} ({because})", counter.name),
        None => format!("instructions: {}", counter.name),
    });
    let clock = Clock::start(request.settings.budget);
    let machine = machine();
    let mut left_out = Vec::new();
    let firsts = first_runs(request, &clock, &mut left_out)?;
    let planned = plan(request, &firsts, &counter, &clock);
    say(&format!(
        "planned: {} with at least {LEAST_RUNS} runs a side, about {} of {}",
        text::plural(firsts.len(), "workload"),
        text::duration(planned),
        text::duration(clock.allowed())
    ));
    let counted = match (counter.method, &request.settings.valgrind) {
        (Method::Valgrind, Some(valgrind)) => counting::count(request, &firsts, valgrind, &clock, say),
        _ => firsts.iter().map(|_| Counted::default()).collect(),
    };
    say(&format!("timing, at most {}", text::duration(clock.left())));
    let (processors, from) = (Processors::read(), clock.used());
    let runs = rounds::run(request, &firsts, counter.method == Method::Perf, &clock, &mut left_out)?;
    let mut noise = processors.until(Processors::read(), clock.used() - from, processor_time(&runs));
    let workloads: Vec<Workload> = firsts
        .iter()
        .enumerate()
        .map(|(index, first)| workload(request, index, first, &runs[index], &counted[index]))
        .collect();
    noise.extend(noise::spread(&workloads));
    let enough = |runs: &&Runs| runs.base.len() < LEAST_RUNS;
    for (runs, workload) in runs.iter().zip(&workloads).filter(|(runs, _)| enough(runs)) {
        left_out.push(format!("`{}`: {} of at least {LEAST_RUNS} runs a side", workload.name, runs.base.len()));
    }
    left_out.extend(counted.iter().filter_map(|counted| counted.left_out.clone()));
    if workloads.iter().all(|workload| workload.metrics.is_empty()) {
        bail!(
            "the budget of {} was over before anything was measured; give it more: `--budget` (in a stage: `budget`)",
            text::duration(clock.allowed())
        );
    }
    let used = clock.used();
    say(&format!("used: {} of {}", text::duration(used), text::duration(clock.allowed())));
    Ok(Comparison {
        format: FORMAT,
        optbuild: env!("CARGO_PKG_VERSION").into(),
        base: side(&request.base),
        candidate: side(&request.candidate),
        machine,
        counter,
        summary: summaries(&workloads),
        workloads,
        sizes: sizes::of(request)?,
        budget: Budget { allowed: clock.allowed(), planned, used, left_out },
        noise,
        notes: counted.into_iter().filter_map(|counted| counted.note).collect(),
    })
}

/// The first runs, of as many workloads as there is time for.
fn first_runs(request: &Request, clock: &Clock, left_out: &mut Vec<String>) -> Result<Vec<First>> {
    let mut firsts = Vec::new();
    for workload in &request.workloads {
        if !firsts.is_empty() && clock.left() == 0.0 {
            break;
        }
        let dir = warm_up::made(&request.settings.scratch, "first")?;
        firsts.push(warm_up::first(request, workload, &dir, clock)?);
    }
    for workload in &request.workloads[firsts.len()..] {
        left_out.push(format!("`{}`: no time was left for it", workload.name));
    }
    Ok(firsts)
}

/// What the least that makes sense takes, in seconds.
fn plan(request: &Request, firsts: &[First], counter: &CounterUsed, clock: &Clock) -> f64 {
    let round: f64 = firsts.iter().flat_map(|first| first.wall).sum();
    let counting: f64 = match counter.method {
        Method::Valgrind => firsts.iter().map(|first| counting::expected(first, request.settings.jobs)).sum(),
        _ => 0.0,
    };
    clock.used() + round * LEAST_RUNS as f64 + counting
}

fn counter(request: &Request) -> Result<CounterUsed> {
    let wanted = request.settings.counter;
    let none =
        |because: String| CounterUsed { method: Method::None, name: "not counted".into(), because: Some(because) };
    if wanted == Counter::None {
        return Ok(CounterUsed { method: Method::None, name: "not counted".into(), because: None });
    }
    let perf = if wanted == Counter::Valgrind { Err(String::new()) } else { counters::available() };
    let because = match perf {
        Ok(()) => {
            return Ok(CounterUsed { method: Method::Perf, name: "perf_event_open, user space".into(), because: None });
        }
        Err(because) if wanted == Counter::Perf => bail!("instructions cannot be counted: {because}"),
        Err(because) => because,
    };
    match request.settings.valgrind.as_ref().and_then(|valgrind| valgrind::version(valgrind)) {
        Some(version) => Ok(CounterUsed {
            method: Method::Valgrind,
            name: format!("{version}, {}", valgrind::TOOL),
            because: Some(because).filter(|because| !because.is_empty()),
        }),
        None if wanted == Counter::Valgrind => bail!("instructions cannot be counted: valgrind is not installed"),
        None => Ok(none(format!("{because}, and valgrind is not installed"))),
    }
}

fn machine() -> Machine {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        processor: name.map(|(_, name)| name.trim().to_string()).unwrap_or_default(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: kernel.trim().into(),
        time: jiff::Timestamp::now(),
    }
}

fn side(build: &request::Build) -> Side {
    Side {
        name: build.name.clone(),
        path: build.path.to_string(),
        kind: build.kind,
        env: build.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
    }
}

fn processor_time(runs: &[Runs]) -> f64 {
    let readings = runs.iter().flat_map(|runs| runs.base.iter().chain(&runs.candidate));
    readings.map(|reading| reading.get(Metric::UserTime) + reading.get(Metric::SystemTime)).sum()
}

fn workload(request: &Request, index: usize, first: &First, runs: &Runs, counted: &Counted) -> Workload {
    let asked = &request.workloads[index];
    let measured = |metric| match (&counted.measured, metric) {
        (Some(counted), Metric::Instructions) => Some(counted.clone()),
        _ => runs.values(metric).map(|(base, candidate)| compared(metric, &base, &candidate)),
    };
    Workload {
        name: asked.name.clone(),
        command: asked.command.clone(),
        output: first.output,
        metrics: Metric::ALL.into_iter().filter_map(measured).collect(),
    }
}

fn compared(metric: Metric, base: &[f64], candidate: &[f64]) -> Measured {
    let (before, after) = (sample(base), sample(candidate));
    Measured {
        metric,
        change: change(before.median, after.median),
        p_value: p_value(base, candidate),
        verdict: verdict(base, candidate),
        base: before,
        candidate: after,
    }
}

/// Where valgrind is, if it is installed.
pub fn find_valgrind() -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(which::which("valgrind").ok()?).ok()
}

/// For sizes and their tests.
pub(super) fn size(name: &str, base: u64, candidate: u64) -> Size {
    Size { name: name.into(), base, candidate, change: change(base as f64, candidate as f64) }
}
