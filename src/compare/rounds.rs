//! The first run of every workload on all sides: does it work, do all print the same, how long does it take? It is in no result,
//! because files and caches are cold.
//!
//! And the runs that are timed: all sides of every workload in turns, in the order of [`super::order`], so that whatever slowly changes on
//! the machine (clocks, temperature, other programs) falls on all. Also says what else the machine did meanwhile, from the kernel's own
//! account of its processors. Unaware of what the numbers mean.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::probe::{Ended, Reading};
use super::request::{Build, PLACEHOLDER, Request, Workload};
use super::result::{Identity, Metric, SideKind};
use super::statistics::uncertainty;
use super::{Clock, background, order};
use crate::fs::disk;
use crate::run::tail;
use crate::text;

/// A run that takes so many times as long as the first one did hangs, whatever else the machine does.
const HANGS: f64 = 10.0;

/// Where other sides can do without it, a side is not waited for longer than so many times the base's run, or this many seconds.
const PATIENCE: f64 = 30.0;

/// Above this share of a processor, others have been at work.
const OTHERS: f64 = 0.1;
/// Above this share of the time, another machine on the same processor has.
const STOLEN: f64 = 0.01;
/// Above this, runs of the same program differ too much: half the width of the median's interval, relative to the median.
const SPREAD: f64 = 0.03;

/// The runs of a workload.
#[derive(Debug)]
pub struct Runs {
    /// Of each side; as many of each that works to the end.
    pub sides: Vec<Vec<Reading>>,
    done: bool,
}

impl Runs {
    /// None yet, of so many sides.
    fn none(sides: usize) -> Runs {
        Runs { sides: vec![Vec::new(); sides], done: false }
    }

    /// How many there are of each side that works.
    pub fn count(&self, gone: &BTreeMap<usize, String>) -> usize {
        let works = self.sides.iter().enumerate().filter(|(side, _)| !gone.contains_key(side));
        works.map(|(_, runs)| runs.len()).min().unwrap_or(0)
    }

    /// A metric over all runs of two sides; none if it was not measured.
    pub fn values(&self, metric: Metric, base: usize, side: usize) -> Option<(Vec<f64>, Vec<f64>)> {
        let (base, other) = (self.of(metric, base)?, self.of(metric, side)?);
        (!base.is_empty() && !other.is_empty()).then_some((base, other))
    }

    fn of(&self, metric: Metric, side: usize) -> Option<Vec<f64>> {
        self.sides.get(side)?.iter().map(|run| run.metrics.get(&metric).copied()).collect()
    }

    /// Whether the intervals of all sides' times are narrow.
    fn is_narrow(&self, precision: f64, gone: &BTreeMap<usize, String>) -> bool {
        [Metric::WallTime, Metric::UserTime].into_iter().all(|metric| {
            (0..self.sides.len()).filter(|side| !gone.contains_key(side)).all(|side| {
                let Some(values) = self.of(metric, side).filter(|values| !values.is_empty()) else { return false };
                // A program that takes no time in user space needs no precise one.
                uncertainty(&values).is_none_or(|half| half <= precision)
            })
        })
    }
}

/// Repeats the workloads until their times are known well enough, with `least` runs a side at least, or time is up. `left_out` is told of a run
/// that was ended because of that. Also returns the sides that did not work to the end, where not all have to.
///
/// # Errors
/// When a program that worked before fails or hangs.
pub fn run(
    request: &Request,
    firsts: &[FirstRun],
    least: usize,
    count: bool,
    clock: &Clock,
    left_out: &mut Vec<String>,
) -> Result<(Vec<Runs>, BTreeMap<usize, String>)> {
    let (sides, mut gone) = (request.sides.len(), BTreeMap::new());
    let mut all: Vec<Runs> = firsts.iter().map(|_| Runs::none(sides)).collect();
    for round in 0..request.options.rounds {
        for (index, (workload, first)) in request.workloads.iter().zip(firsts).enumerate() {
            let runs = &mut all[index];
            if runs.done {
                continue;
            }
            if first.wall.iter().sum::<f64>() > clock.left() {
                return Ok((all, gone));
            }
            let mut readings = Vec::new();
            for side in order::of_round(sides, round) {
                if gone.contains_key(&side) {
                    continue;
                }
                match once(request, workload, first, side, count, clock) {
                    Ok(Some(reading)) => readings.push((side, reading)),
                    Ok(None) => {
                        left_out.push(format!("`{}`: a run that was not over with the budget", workload.name));
                        return Ok((all, gone));
                    }
                    Err(error) if request.may_go(side) => _ = gone.insert(side, format!("{error:#}")),
                    Err(error) => return Err(error),
                }
            }
            readings.into_iter().for_each(|(side, reading)| runs.sides[side].push(reading));
            runs.done = runs.count(&gone) >= least && runs.is_narrow(request.options.narrow(), &gone);
        }
        if all.iter().all(|runs| runs.done) || gone.len() + 1 >= sides {
            break;
        }
    }
    Ok((all, gone))
}

/// None: it was ended, as the budget was over.
fn once(
    request: &Request,
    workload: &Workload,
    first: &FirstRun,
    side: usize,
    count: bool,
    clock: &Clock,
) -> Result<Option<Reading>> {
    let (_, build) = request.on(workload, side);
    let dir = request.scratch.join("run");
    disk::make_empty_dir(&dir)?;
    let limit = clock.limit();
    let reading = background::run(request, workload, side, &dir, count, limit)?;
    if reading.ended == Ended::TooLate && limit < HANGS * first.wall[side] {
        return Ok(None);
    }
    let (name, build) = (&workload.name, &build.name);
    if reading.ended == Ended::TooLate {
        let [limit, budget, before] = [limit, clock.allowed(), first.wall[side]].map(text::duration);
        bail!(
            "`{name}` was ended after {limit} with {build}, as the budget of {budget} was over; the first time it took {before}: it \
             hangs at times"
        );
    }
    if reading.ended != first.ended {
        let (now, before) = (reading.ended.describe(), first.ended.describe());
        bail!("`{name}` {now} with {build}, although it {before} before");
    }
    Ok(Some(reading))
}

/// The processors' time since the machine was started, in seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Processors {
    pub busy: f64,
    pub idle: f64,
    pub stolen: f64,
}

impl Processors {
    /// As it is; nothing where the kernel does not say.
    pub fn read() -> Processors {
        Processors::parse(&std::fs::read_to_string("/proc/stat").unwrap_or_default())
    }

    /// The first line of `/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal, in hundredths of a second.
    pub fn parse(text: &str) -> Processors {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
        let ticks: Vec<f64> = line.split_whitespace().map(|word| word.parse().unwrap_or(0.0)).collect();
        let of = |indexes: &[usize]| indexes.iter().filter_map(|index| ticks.get(*index)).sum::<f64>() / 100.0;
        Processors { busy: of(&[0, 1, 2, 5, 6]), idle: of(&[3, 4]), stolen: of(&[7]) }
    }

    /// Sentences about what happened from here to `after`, in `wall` seconds. The measured programs took `ours` seconds of
    /// processor time.
    pub fn until(self, after: Processors, wall: f64, ours: f64) -> Vec<String> {
        let mut sentences = Vec::new();
        if wall <= 0.0 {
            return sentences;
        }
        let others = (after.busy - self.busy - ours) / wall;
        if others > OTHERS {
            sentences.push(format!("other programs took {others:.1} processors meanwhile"));
        }
        let stolen = after.stolen - self.stolen;
        let all = stolen + (after.busy - self.busy) + (after.idle - self.idle);
        if all > 0.0 && stolen / all > STOLEN {
            let share = stolen / all * 100.0;
            sentences.push(format!("the host took {share:.0} % of the processors' time for other machines"));
        }
        sentences
    }
}

/// Workloads whose runs differ so much among each other that a difference of a few percent cannot be seen.
pub fn spread(workloads: &[Workload], all: &[Runs]) -> Vec<String> {
    let mut sentences = Vec::new();
    for (workload, runs) in workloads.iter().zip(all) {
        let sides = (0..runs.sides.len()).filter_map(|side| runs.of(Metric::WallTime, side));
        let widest = sides.filter_map(|values| uncertainty(&values)).fold(0.0, f64::max);
        if widest > SPREAD {
            let (name, percent, runs) = (&workload.name, widest * 100.0, runs.sides[0].len());
            sentences.push(format!("wall times of `{name}` are uncertain by ±{percent:.0} % after {runs} runs a side"));
        }
    }
    sentences
}

/// How much of what a program printed is shown.
const LONGEST_LINE: usize = 200;
const LAST_LINES: usize = 10;
const LONGEST_SAID: usize = 2000;
/// Output is compared line by line. Of a longer line, so many bytes at a time.
const LONGEST_PART: u64 = 1 << 20;

/// What the first run of a workload was like.
#[derive(Debug, Clone)]
pub struct FirstRun {
    pub output: Identity,
    /// How each side ended, the same way.
    pub ended: Ended,
    /// Wall time in seconds, of each side.
    pub wall: Vec<f64>,
    /// Processor time, likewise.
    pub work: Vec<f64>,
}

impl FirstRun {
    /// Forgets sides.
    pub fn leave_out(&mut self, gone: &BTreeMap<usize, String>) {
        for times in [&mut self.wall, &mut self.work] {
            let mut side = 0;
            times.retain(|_| {
                side += 1;
                !gone.contains_key(&(side - 1))
            });
        }
    }
}

/// Runs all sides once, but those that are `gone`. Where not all have to work, one that does not is added to them.
///
/// # Errors
/// When a side fails or takes longer than there is time for, or one prints something else than the base: then there is nothing to be
/// measured.
pub fn first(
    request: &Request,
    workload: &Workload,
    clock: &Clock,
    gone: &mut BTreeMap<usize, String>,
) -> Result<FirstRun> {
    let dir = request.scratch.join("first");
    let base = run_once(request, workload, 0, &dir.join("0"), clock, f64::MAX)?;
    let work = |reading: &Reading| reading.get(Metric::UserTime) + reading.get(Metric::SystemTime);
    let mut first = FirstRun {
        output: Identity::Unchecked,
        wall: vec![base.get(Metric::WallTime)],
        work: vec![work(&base)],
        ended: base.ended.clone(),
    };
    for side in 1..request.sides.len() {
        let other = match gone.contains_key(&side) {
            true => None,
            false => match beside_base(request, workload, &base, side, &dir, clock) {
                Ok(other) => Some(other),
                Err(error) if request.may_go(side) => {
                    gone.insert(side, format!("{error:#}"));
                    None
                }
                Err(error) => return Err(error),
            },
        };
        let (wall, work) = other.as_ref().map_or((0.0, 0.0), |(other, _)| (other.get(Metric::WallTime), work(other)));
        first.output = other.map_or(first.output, |(_, output)| output);
        first.wall.push(wall);
        first.work.push(work);
    }
    Ok(first)
}

/// Runs a side once, and looks whether it does what the base did.
fn beside_base(
    request: &Request,
    workload: &Workload,
    base: &Reading,
    side: usize,
    dir: &Utf8Path,
    clock: &Clock,
) -> Result<(Reading, Identity)> {
    let patience = (HANGS * base.get(Metric::WallTime)).max(PATIENCE);
    let patience = if request.may_go(side) { patience } else { f64::MAX };
    let other = run_once(request, workload, side, &dir.join(side.to_string()), clock, patience)?;
    if base.ended != other.ended {
        let (name, one, another) = (&workload.name, base.ended.describe(), other.ended.describe());
        let builds = (&request.sides[0].name, &request.sides[side].name);
        bail!("`{name}` {one} with {} and {another} with {}: there is nothing to compare", builds.0, builds.1);
    }
    let output = identity(request, workload, side, dir, clock)?;
    Ok((other, output))
}

/// `patience`: how long is waited at most, in seconds.
fn run_once(
    request: &Request,
    workload: &Workload,
    side: usize,
    dir: &Utf8Path,
    clock: &Clock,
    patience: f64,
) -> Result<Reading> {
    disk::make_empty_dir(dir)?;
    let ((_, build), (_, other)) = (request.on(workload, side), request.on(workload, usize::from(side == 0)));
    let limit = clock.limit().min(patience);
    // Builds that differ by their environment may be measured with any program.
    let files = if build.env == other.env { FileWatch::start(build, other) } else { None };
    let reading = background::run(request, workload, side, dir, false, limit)?;
    let started = files.is_none_or(|files| files.were_opened());
    let (name, build) = (&workload.name, &build.name);
    match &reading.ended {
        Ended::Code(status) if *status == 0 || request.options.allow_failure => match started {
            true => Ok(reading),
            false => bail!(
                "`{name}` does not start {build}, nor what stands beside it, so something else would be measured; call the program as \
                 `{PLACEHOLDER}`, or by a name that leads to it"
            ),
        },
        Ended::TooLate if limit == patience => {
            bail!("`{name}` was ended after {} with {build}: the base takes much less", text::duration(limit))
        }
        Ended::TooLate => {
            let [limit, budget] = [limit, clock.allowed()].map(text::duration);
            bail!(
                "one run of `{name}` takes longer than the budget of {budget}: with {build} it was ended after {limit}; raise the \
                 budget (`--budget`, a stage's `budget`), or let the workload do less"
            )
        }
        ended => {
            let may = if matches!(ended, Ended::Code(_)) { "; if it may, say so (`--allow-failure`)" } else { "" };
            bail!("`{name}` {} with {build}{may}{}", ended.describe(), last_lines(&dir.join("stderr")))
        }
    }
}

fn last_lines(file: &Utf8Path) -> String {
    let lines = tail::last_lines(file, LAST_LINES).unwrap_or_default();
    let last: Vec<_> = lines.iter().map(|line| text::shorten(line, LONGEST_SAID)).collect();
    if last.is_empty() { String::new() } else { format!(". It said:\n  {}", last.join("\n  ")) }
}

/// How it is said that outputs may differ.
const IGNORE: &str =
    "`--ignore-output` (in a stage `ignore-output = true`, of `optbuild run cargo` `--set ignore-output=true`)";

fn identity(request: &Request, workload: &Workload, side: usize, dir: &Utf8Path, clock: &Clock) -> Result<Identity> {
    if request.options.ignore_output {
        return Ok(Identity::Unchecked);
    }
    let (base, candidate) = (dir.join("0/stdout"), dir.join(format!("{side}/stdout")));
    let Some(line) = first_difference(&base, &candidate)? else {
        let size = base.metadata().with_context(|| format!("cannot look at {base}"))?.len();
        return Ok(if size == 0 { Identity::Silent } else { Identity::Same });
    };
    // Is that the build's doing?
    let again = dir.join("again");
    run_once(request, workload, 0, &again, clock, f64::MAX)?;
    let name = &workload.name;
    if first_difference(&base, &again.join("stdout"))?.is_some() {
        bail!(
            "`{name}` prints something else each time it runs, so it cannot be checked that both sides print the same; let it \
             print no times and addresses, or say {IGNORE}"
        );
    }
    let (Line { number, base, candidate }, builds) = (line, (&request.sides[0].name, &request.sides[side].name));
    bail!(
        "`{name}` does not print the same with both; they differ first in line {number}:\n  {}: {base}\n  {}: {candidate}\nA build \
         that gives other results is not compared; {IGNORE} does it all the same",
        builds.0,
        builds.1
    )
}

/// A line that is not the same in two files.
#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    pub number: usize,
    pub base: String,
    pub candidate: String,
}

/// The first line in which two files differ.
pub fn first_difference(base: &Utf8Path, candidate: &Utf8Path) -> Result<Option<Line>> {
    let open =
        |path: &Utf8Path| anyhow::Ok(BufReader::new(File::open(path).with_context(|| format!("cannot read {path}"))?));
    let next = |file: &mut BufReader<File>| -> Result<Vec<u8>> {
        let mut part = Vec::new();
        file.take(LONGEST_PART).read_until(b'\n', &mut part).context("cannot read what was printed")?;
        Ok(part)
    };
    let (mut left, mut right) = (open(base)?, open(candidate)?);
    let mut number = 1;
    loop {
        let (base, candidate) = (next(&mut left)?, next(&mut right)?);
        if base != candidate {
            return Ok(Some(Line { number, base: shown(&base, &candidate), candidate: shown(&candidate, &base) }));
        }
        if base.is_empty() {
            return Ok(None);
        }
        number += usize::from(base.ends_with(b"\n"));
    }
}

/// A line that is not the same on the other side.
fn shown(line: &[u8], other: &[u8]) -> String {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    let text = String::from_utf8_lossy(&text[..text.len().min(LONGEST_LINE)]);
    let text = text.escape_debug();
    match line {
        [] => "(no such line)".into(),
        _ if line.len() > LONGEST_LINE => format!("{text}…"),
        _ if other.starts_with(line) => format!("{text} (and no more)"),
        _ => text.to_string(),
    }
}

/// The files of a build, to tell whether a command starts what it is to measure: the kernel tells who opens a file (inotify), and
/// nothing is started unopened.
struct FileWatch(OwnedFd);

impl FileWatch {
    /// Watches a build from now on: the files beside its program, and of a toolchain its libraries, as a workload may run another
    /// program of the build; the program alone where the other side stands in the same directory. None where the kernel
    /// does not tell.
    fn start(build: &Build, other: &Build) -> Option<FileWatch> {
        // What a link leads to is opened there.
        let real = |build: &Build| build.program().canonicalize_utf8().ok();
        let (program, other) = (real(build)?, real(other)?);
        let beside = program.parent().filter(|dir| Some(*dir) != other.parent());
        let (bin, lib) = (build.path.join("bin"), build.path.join("lib"));
        match (beside, build.kind) {
            (None, _) => FileWatch::on(&[&program]),
            (Some(dir), SideKind::Program) => FileWatch::on(&[dir]),
            (Some(dir), SideKind::Toolchain) => FileWatch::on(&[dir, &bin, &lib]),
        }
    }

    fn on(paths: &[&Utf8Path]) -> Option<FileWatch> {
        let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).and_then(|inotify| {
            for path in paths.iter().filter(|path| path.exists()) {
                inotify::add_watch(&inotify, path.as_std_path(), WatchFlags::OPEN)?;
            }
            Ok(inotify)
        });
        watched.inspect_err(|error| tracing::debug!("{paths:?} are not watched: {error}")).ok().map(FileWatch)
    }

    /// Whether a file was opened since. True as well where that cannot be found out any more.
    fn were_opened(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                // Whoever lists a directory opens it.
                Ok(event) if event.events().contains(ReadFlags::ISDIR) => {}
                Ok(event) if event.events().intersects(ReadFlags::OPEN | ReadFlags::QUEUE_OVERFLOW) => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }
}
