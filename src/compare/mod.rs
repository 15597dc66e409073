//! Measures builds against each other: first runs, counts, timed runs, and what they say together.
//!
//! Knows programs, runs and numbers. Unaware of pipelines and stages, and of how a result is shown.

pub mod background;
pub mod cost;
pub mod counting;
pub mod holm;
pub mod judgement;
pub mod limit;
pub mod options;
pub mod order;
pub mod probe;
pub mod request;
pub mod result;
pub mod rounds;
pub mod rustc_perf;
pub mod size;
pub mod statistics;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use camino::Utf8Path;

pub use counting::find_valgrind;

use crate::text;
use counting::{Counted, Counting};
use options::Counter;
use request::{Build, Present, Request};
use result::{
    Budget, Comparison, CounterUsed, Machine, Measured, Method, Metric, Side, SideKind, Variant, Workload, summaries,
};
use rounds::{FirstRun, Processors, Runs};
use statistics::{LEAST_RUNS, change, least_runs, p_value, sample, verdict};

/// However little is left, a run may take so long, in seconds: starting a program on a busy machine takes its time.
const LEAST_LIMIT: f64 = 3.0;

/// How long measuring may take, and has taken since it began. In seconds.
pub struct Clock {
    allowed: f64,
    now: Box<dyn Fn() -> f64 + Send + Sync>,
}

impl Clock {
    /// With `now`, which says how long measuring has taken.
    pub fn new(allowed: f64, now: impl Fn() -> f64 + Send + Sync + 'static) -> Clock {
        Clock { allowed, now: Box::new(now) }
    }

    /// Begins now.
    pub fn start(allowed: Duration) -> Clock {
        let began = Instant::now();
        Clock::new(allowed.as_secs_f64(), move || began.elapsed().as_secs_f64())
    }

    /// The budget.
    pub fn allowed(&self) -> f64 {
        self.allowed
    }

    pub fn used(&self) -> f64 {
        (self.now)()
    }

    /// Not less than 0.
    pub fn left(&self) -> f64 {
        (self.allowed - self.used()).max(0.0)
    }

    /// How long one run may take.
    pub fn limit(&self) -> f64 {
        self.left().max(LEAST_LIMIT)
    }
}

/// Measures; `say` is told what is done, line by line.
///
/// # Errors
/// When a program fails, or two print different things, where all sides have to work; when fewer than two sides are left; when the
/// counter that was asked for is not there.
pub fn compare(request: &Request, say: &mut dyn FnMut(&str)) -> Result<Comparison> {
    if request.workloads.is_empty() {
        bail!("there is no workload to measure the builds with");
    }
    let valgrind = find_valgrind();
    let counter = counter(request.options.counter, valgrind.as_deref())?;
    say(&match &counter.because {
        Some(because) => format!("instructions: {} ({because})", counter.name),
        None => format!("instructions: {}", counter.name),
    });
    let clock = Clock::start(request.options.budget);
    let machine = machine();
    let mut left_out = Vec::new();
    let mut asked = request.clone();
    let present = asked.present().map_err(anyhow::Error::msg)?;
    let (mut firsts, gone) = first_runs(&present.request, &clock, &mut left_out)?;
    drop_sides(&mut asked, &present.numbers, &gone, say);
    firsts.iter_mut().for_each(|first| first.leave_out(&gone));
    let Present { mut request, numbers, mut notes } = asked.present().map_err(anyhow::Error::msg)?;

    let valgrind = valgrind.as_ref().filter(|_| counter.method == Method::Valgrind);
    let mut at_once = valgrind.map(|valgrind| counting::with_valgrind(&request, valgrind));
    // Two servers at once would want the same port.
    let alone = request.workloads.iter().any(|workload| workload.background.is_some());
    let jobs = if alone { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    let mut counting = at_once.as_mut().map(|run| Counting::new(&request.workloads, &firsts, &clock, jobs, run));
    let counts = counting.as_mut().map_or(0.0, |counting| counting.begin(say));
    // The least that makes sense.
    let round: f64 = firsts.iter().flat_map(|first| &first.wall).sum();
    let least = match request.sides.len() - 1 {
        1 => LEAST_RUNS,
        others => least_runs(others * firsts.len()),
    };
    let planned = clock.used() + round * least as f64 + counts;
    say(&format!(
        "planned: {} with at least {least} runs a side, about {} of {}",
        text::plural(firsts.len(), "workload"),
        text::duration(planned),
        text::duration(clock.allowed())
    ));
    let counted = match counting {
        Some(counting) => counting.finish(say),
        None => firsts.iter().map(|_| Counted::default()).collect(),
    };
    drop(at_once);
    say(&format!("timing, at most {}", text::duration(clock.left())));
    let (processors, from) = (Processors::read(), clock.used());
    let with_counters = counter.method == Method::Perf;
    let (runs, gone) = rounds::run(&request, &firsts, least, with_counters, &clock, &mut left_out)?;
    let mut noise = processors.until(Processors::read(), clock.used() - from, processor_time(&runs));
    noise.extend(rounds::spread(&request.workloads, &runs));
    drop_sides(&mut asked, &numbers, &gone, say);
    for build in request.sides.iter_mut().filter(|build| gone.contains_key(&build.against)) {
        notes.push(format!("what {} is held against did not work to the end: it is held against the base", build.name));
        build.against = 0;
    }
    for (runs, workload) in runs.iter().zip(&request.workloads).filter(|(runs, _)| runs.count(&gone) < least) {
        left_out.push(format!("`{}`: {} of at least {least} runs a side", workload.name, runs.count(&gone)));
    }
    for (counted, workload) in counted.iter().zip(&request.workloads) {
        left_out.extend(counted.left_out.clone());
        let failed = counted.failed.iter();
        let failed = failed.map(|(side, why)| {
            format!("instructions of `{}` with {}: {why}", workload.name, request.sides[*side].name)
        });
        left_out.extend(failed);
    }
    notes.extend(counted.iter().filter_map(|counted| counted.note.clone()));

    let measure = |side: usize| -> Result<Variant> {
        let all = firsts.iter().zip(&runs).zip(&counted).enumerate();
        let workloads: Vec<Workload> = all
            .map(|(index, ((first, runs), counted))| workload(&request, index, first, side, runs, counted))
            .collect();
        let (build, against) = (&request.sides[side], &request.sides[request.sides[side].against]);
        let against_name = (build.against != 0).then(|| against.name.clone());
        let sizes = size::sizes(against, build, request.form)?;
        let summary = Vec::new();
        Ok(Variant {
            build: self::side(build),
            against: against_name,
            missing: None,
            workloads,
            summary,
            sizes,
            verdict: None,
        })
    };
    let variant = |number: usize| match numbers.iter().position(|there| *there == number) {
        Some(side) if !gone.contains_key(&side) => measure(side),
        _ => Ok(missing(&asked.sides[number], request.sides[0].kind)),
    };
    let others = (0..asked.sides.len()).filter(|number| *number != numbers[0]);
    let mut variants = others.map(variant).collect::<Result<Vec<Variant>>>()?;
    let correction = holm::correct(&mut variants);
    if variants.iter().flat_map(|variant| &variant.workloads).all(|workload| workload.metrics.is_empty()) {
        bail!(
            "the budget of {} was over before anything was measured; give it more: `--budget` (in a stage: `budget`)",
            text::duration(clock.allowed())
        );
    }
    let base = side(&request.sides[0]);
    for variant in variants.iter_mut().filter(|variant| variant.missing.is_none()) {
        variant.summary = summaries(&variant.workloads);
        let against = variant.against.as_ref().unwrap_or(&base.name);
        variant.verdict = Some(judgement::judge(against, &variant.build.name, &variant.workloads));
    }
    let used = clock.used();
    say(&format!("used: {} of {}", text::duration(used), text::duration(clock.allowed())));
    Ok(Comparison {
        optbuild: env!("CARGO_PKG_VERSION").into(),
        form: request.form,
        base,
        variants,
        machine,
        counter,
        budget: Budget { allowed: clock.allowed(), planned, used, left_out },
        noise,
        notes,
        correction,
    })
}

/// Notes that sides do not work. `numbers` are those that they have in what was asked for.
fn drop_sides(asked: &mut Request, numbers: &[usize], gone: &BTreeMap<usize, String>, say: &mut dyn FnMut(&str)) {
    for (side, why) in gone {
        let build = &mut asked.sides[numbers[*side]];
        say(&format!("{} is left out: {why}", build.name));
        build.missing = Some(why.clone());
    }
}

/// The first runs, of as many workloads as there is time for, and the sides that do not work.
fn first_runs(
    request: &Request,
    clock: &Clock,
    left_out: &mut Vec<String>,
) -> Result<(Vec<FirstRun>, BTreeMap<usize, String>)> {
    let (mut firsts, mut gone) = (Vec::new(), BTreeMap::new());
    for workload in &request.workloads {
        if !firsts.is_empty() && clock.left() == 0.0 {
            break;
        }
        firsts.push(rounds::first(request, workload, clock, &mut gone)?);
    }
    for workload in &request.workloads[firsts.len()..] {
        left_out.push(format!("`{}`: no time was left for it", workload.name));
    }
    Ok((firsts, gone))
}

fn counter(wanted: Counter, valgrind: Option<&Utf8Path>) -> Result<CounterUsed> {
    let none = |because| CounterUsed { method: Method::None, name: "not counted".into(), because };
    if wanted == Counter::None {
        return Ok(none(None));
    }
    let perf = if wanted == Counter::Valgrind { Err(String::new()) } else { probe::available() };
    let because = match perf {
        Ok(()) => {
            return Ok(CounterUsed { method: Method::Perf, name: "perf_event_open, user space".into(), because: None });
        }
        Err(because) if wanted == Counter::Perf => bail!("instructions cannot be counted: {because}"),
        Err(because) => because,
    };
    match valgrind.and_then(counting::version) {
        Some(version) => Ok(CounterUsed {
            method: Method::Valgrind,
            name: format!("{version}, {}", counting::TOOL),
            because: Some(because).filter(|because| !because.is_empty()),
        }),
        None if wanted == Counter::Valgrind => bail!("instructions cannot be counted: valgrind is not installed"),
        None => Ok(none(Some(format!("{because}, and valgrind is not installed")))),
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

fn side(build: &Build) -> Side {
    Side {
        name: build.name.clone(),
        path: build.path.to_string(),
        kind: build.kind,
        env: build.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
        description: build.description.clone(),
        cost: None,
    }
}

/// A side of which nothing was measured.
fn missing(build: &Build, kind: SideKind) -> Variant {
    Variant {
        build: Side { kind, ..side(build) },
        against: None,
        missing: Some(build.missing.clone().unwrap_or_default()),
        workloads: Vec::new(),
        summary: Vec::new(),
        sizes: Vec::new(),
        verdict: None,
    }
}

fn processor_time(runs: &[Runs]) -> f64 {
    let readings = runs.iter().flat_map(|runs| runs.sides.iter().flatten());
    readings.map(|reading| reading.get(Metric::UserTime) + reading.get(Metric::SystemTime)).sum()
}

/// What was measured of a side, beside what it is held against.
fn workload(
    request: &Request,
    index: usize,
    first: &FirstRun,
    side: usize,
    runs: &Runs,
    counted: &Counted,
) -> Workload {
    let (asked, against) = (&request.workloads[index], request.sides[side].against);
    let counted = counted.of(against).zip(counted.of(side));
    let measured = |metric| match (counted, metric) {
        (Some((base, candidate)), Metric::Instructions) => Some(counting::measured(base.clone(), candidate.clone())),
        _ => runs.values(metric, against, side).map(|(base, candidate)| compared(metric, &base, &candidate)),
    };
    Workload {
        name: asked.name.clone(),
        command: asked.command.clone(),
        output: first.output,
        metrics: Metric::all().filter_map(measured).collect(),
    }
}

fn compared(metric: Metric, base: &[f64], candidate: &[f64]) -> Measured {
    let (before, after) = (sample(base), sample(candidate));
    Measured {
        metric,
        change: change(before.median, after.median),
        p_value: p_value(base, candidate),
        adjusted_p_value: None,
        verdict: verdict(base, candidate),
        base: before,
        candidate: after,
    }
}
