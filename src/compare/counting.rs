//! Counts instructions on valgrind's simulated processor: the same number on a busy machine as on an idle one.
//!
//! Every workload is counted twice a side, which says whether each side always does the same: a program whose threads race may do so on
//! one side alone. A count does not depend on what else the machine does, so several are made at once. The tool is cachegrind without
//! its caches, which takes half the time of callgrind and counts the same.
//!
//! How long a count takes is learned, because the constants are wrong by a factor of a hundred for a program with large libraries.
//! The shortest workload is counted first. What the first counts took decides which workloads there is time for, and what is
//! announced; each later count corrects it:
//!
//! | what was counted | start of valgrind | slowdown |
//! |---|---|---|
//! | nothing yet | 0.2 s | 10 times: the least, as only the first workload is judged by it |
//! | workloads of about one length | what 50 times leaves | 50 times, or less if the counts took less |
//! | workloads of different lengths | least squares | least squares, from 10 to 200 times |
//!
//! Unaware of the timed runs, and of what time is: the clock is given.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};

use super::Clock;
use super::probe::{Ended, Order};
use super::request::{Background, Invocation, Request, Workload};
use super::result::{Measured, Metric, Sample, Verdict};
use super::rounds::FirstRun;
use super::statistics::{change, doubt, sample, spread};
use crate::fs::disk;
use crate::proc::start;
use crate::text;

/// What counts, for people.
pub const TOOL: &str = "cachegrind";

/// Counting may take so much of what is left of the budget.
const SHARE: f64 = 0.7;

/// A change smaller than this is none, even of a program that always does the same: what the loader does depends on the length
/// of paths and on the environment.
const LEAST_CHANGE: f64 = 0.0005;

/// How often each side of a workload is counted.
pub const TIMES: usize = 2;

/// What is usual of a program: 20 to 60 times as long.
const USUAL_SLOWDOWN: f64 = 50.0;
const SLOWDOWNS: (f64, f64) = (10.0, 200.0);
/// Nothing is counted faster than this.
pub const LEAST: Pace = Pace { start: 0.2, slowdown: SLOWDOWNS.0 };
/// A workload this many times as long as another one tells what the start is and what the slowdown.
const DIFFERENT: f64 = 2.0;
/// An estimate that changed by so much is announced again.
const NEWS: f64 = 1.5;

/// What was counted of a workload.
#[derive(Debug, Default)]
pub struct Counted {
    /// Of each side; none of one that could not be counted.
    pub samples: Vec<Option<Sample>>,
    /// Why nothing was, or what a reader should know.
    pub left_out: Option<String>,
    /// The sides that alone could not be counted, and why.
    pub failed: Vec<(usize, String)>,
    pub note: Option<String>,
}

impl Counted {
    /// What was counted of a side.
    pub fn of(&self, side: usize) -> Option<&Sample> {
        self.samples.get(side)?.as_ref()
    }
}

/// A count, and how the program ended meanwhile.
#[derive(Debug, Clone)]
pub struct Count {
    pub instructions: f64,
    pub ended: Ended,
}

/// One count to be made: the number of the workload, which time it is, and the side, as [`Request::on`] counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job {
    pub workload: usize,
    pub time: usize,
    pub side: usize,
}

/// What came of a job, and the seconds that it took.
#[derive(Debug)]
pub struct Outcome {
    pub count: Result<Count, String>,
    pub took: f64,
}

/// Makes counts at the same time. Each may take so long.
pub type Counter<'a> = dyn FnMut(&[Job], Duration) -> Vec<Outcome> + 'a;

/// How long counts take: seconds until a program's first instruction, and then how many times as long as the program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    pub start: f64,
    pub slowdown: f64,
}

/// What a program does in seconds by itself: work that is simulated, and waiting that takes as long as ever.
///
/// On a machine with other work the first takes longer than the processor's time. What takes more than three times that waits.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Effort {
    pub work: f64,
    pub waiting: f64,
}

/// Counts the workloads of a comparison.
pub struct Counting<'a> {
    workloads: &'a [Workload],
    firsts: &'a [FirstRun],
    clock: &'a Clock,
    counter: &'a mut Counter<'a>,
    jobs: usize,
    /// When the clock shows this, counting is over: the times need theirs.
    end: f64,
    /// Workloads that were not counted yet, the shortest first.
    waiting: Vec<usize>,
    /// The workload that was counted first. Some of its runs may still have to be counted.
    begun: Option<usize>,
    /// What was seen: an effort, and how long it took to count.
    seen: Vec<(Effort, f64)>,
    made: BTreeMap<Job, Result<Count, String>>,
    left_out: BTreeMap<usize, String>,
}

impl Pace {
    fn expect(self, effort: Effort) -> f64 {
        self.start + self.slowdown * effort.work + effort.waiting
    }

    /// What the counts that were seen say.
    pub fn learn(seen: &[(Effort, f64)]) -> Pace {
        let points: Vec<(f64, f64)> = seen.iter().map(|(effort, took)| (effort.work, took - effort.waiting)).collect();
        let Some(shortest) = points.iter().map(|point| point.0).min_by(f64::total_cmp) else { return LEAST };
        let longest = points.iter().map(|point| point.0).fold(shortest, f64::max);
        let count = points.len() as f64;
        let sum = |of: &dyn Fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>();
        let (work, took) = (sum(&|point| point.0) / count, sum(&|point| point.1) / count);
        let mut slowdown = USUAL_SLOWDOWN;
        if longest > DIFFERENT * shortest {
            slowdown = sum(&|(x, y)| (x - work) * (y - took)) / sum(&|(x, _)| (x - work).powi(2));
        }
        // Starting takes time: no slowdown is larger than what was seen as a whole.
        let slowdown = slowdown.clamp(SLOWDOWNS.0, SLOWDOWNS.1).min((took / work.max(f64::MIN_POSITIVE)).max(0.0));
        Pace { start: (took - slowdown * work).max(0.0), slowdown }
    }
}

impl Effort {
    /// What the first run of a side took.
    pub fn of(first: &FirstRun, side: usize) -> Effort {
        let (wall, work) = (first.wall[side], first.work[side]);
        Effort { work: wall.clamp(work, 3.0 * work), waiting: (wall - 3.0 * work).max(0.0) }
    }
}

impl<'a> Counting<'a> {
    /// Counts with `counter`, as many runs at once as `jobs` says.
    pub fn new(
        workloads: &'a [Workload],
        firsts: &'a [FirstRun],
        clock: &'a Clock,
        jobs: usize,
        counter: &'a mut Counter<'a>,
    ) -> Counting<'a> {
        let mut counting = Counting {
            workloads,
            firsts,
            clock,
            counter,
            jobs: jobs.max(1),
            end: clock.used() + clock.left() * SHARE,
            waiting: (0..firsts.len()).collect(),
            begun: None,
            seen: Vec::new(),
            made: BTreeMap::new(),
            left_out: BTreeMap::new(),
        };
        let expected: Vec<f64> = counting.waiting.iter().map(|workload| counting.expected(*workload)).collect();
        counting.waiting.sort_by(|a, b| expected[*a].total_cmp(&expected[*b]));
        counting
    }

    /// Counts the shortest workload for the first time, and leaves out the workloads that do not fit into the budget. What is left
    /// takes about so many seconds.
    pub fn begin(&mut self, say: &mut dyn FnMut(&str)) -> f64 {
        while self.seen.is_empty() && !self.waiting.is_empty() {
            self.leave_out_longest();
            let Some(shortest) = (!self.waiting.is_empty()).then(|| self.waiting.remove(0)) else { break };
            // The other counts of the workload take as long.
            let limit = self.left() / self.waves() as f64;
            let (name, most) = (&self.workloads[shortest].name, text::duration(limit));
            say(&format!("counting instructions of `{name}`, to see how long it takes: at most {most}"));
            self.begun = Some(shortest);
            let first: Vec<Job> = (0..self.lanes()).map(|run| self.job(shortest, run)).collect();
            if self.wave(&first, limit) {
                let limit = text::duration(limit);
                self.leave_out(shortest, &format!("the first of {} counts was not over after {limit}", self.runs()));
                for longer in std::mem::take(&mut self.waiting) {
                    self.leave_out(longer, &format!("counting takes longer than that of `{name}`"));
                }
            }
        }
        // None could be counted.
        self.begun = self.begun.filter(|_| !self.seen.is_empty());
        self.leave_out_longest();
        self.rest()
    }

    /// Counts the rest.
    pub fn finish(mut self, say: &mut dyn FnMut(&str)) -> Vec<Counted> {
        let began = self.clock.used();
        let mut announced = self.rest();
        let all = self.waiting.len() + usize::from(self.is_begun());
        if all > 0 {
            let what = text::plural(all, "workload");
            say(&format!("counting instructions of {what}, about {}", text::duration(announced)));
        }
        let mut batch: Vec<usize> = self.begun.into_iter().filter(|_| self.is_begun()).collect();
        loop {
            self.count(&batch);
            self.leave_out_longest();
            batch = self.waiting.drain(..self.at_once().min(self.waiting.len())).collect();
            if batch.is_empty() {
                break;
            }
            let now = self.clock.used() - began + self.waves() as f64 * self.longest(&batch) + self.rest();
            if now > announced * NEWS || now * NEWS < announced {
                say(&format!("counting takes about {} in all", text::duration(now)));
                announced = now;
            }
        }
        if all > 0 {
            say(&format!("counting took {}", text::duration(self.clock.used() - began)));
        }
        (0..self.firsts.len()).map(|workload| self.judge(workload)).collect()
    }

    /// Seconds until counting is over.
    fn left(&self) -> f64 {
        (self.end - self.clock.used()).max(0.0)
    }

    /// How many builds there are.
    fn sides(&self) -> usize {
        self.firsts.first().map_or(2, |first| first.wall.len())
    }

    /// How many counts a workload needs.
    fn runs(&self) -> usize {
        TIMES * self.sides()
    }

    /// All sides, and then again.
    fn job(&self, workload: usize, run: usize) -> Job {
        Job { workload, time: run / self.sides(), side: run % self.sides() }
    }

    /// How many counts of a workload are made at once: two or all, where there is more than one. All is even.
    fn lanes(&self) -> usize {
        match self.jobs {
            1 => 1,
            jobs if jobs < self.runs() => 2,
            _ => self.runs(),
        }
    }

    /// How often that has to be done for a workload.
    fn waves(&self) -> usize {
        self.runs() / self.lanes()
    }

    /// How many workloads are counted at once.
    fn at_once(&self) -> usize {
        (self.jobs / self.runs()).max(1)
    }

    /// How long counting a side once takes; the longest one, where several are counted at once, else the mean of all.
    fn expected(&self, workload: usize) -> f64 {
        let pace = Pace::learn(&self.seen);
        let sides = (0..self.sides()).map(|side| pace.expect(Effort::of(&self.firsts[workload], side)));
        if self.lanes() == 1 { sides.sum::<f64>() / self.sides() as f64 } else { sides.fold(0.0, f64::max) }
    }

    fn longest(&self, workloads: &[usize]) -> f64 {
        workloads.iter().map(|workload| self.expected(*workload)).fold(0.0, f64::max)
    }

    fn is_begun(&self) -> bool {
        self.begun.is_some_and(|workload| !self.left_out.contains_key(&workload))
    }

    /// How long all takes that is still to be counted.
    fn rest(&self) -> f64 {
        let begun = self.begun.filter(|_| self.is_begun()).into_iter();
        let to_be_made = |workload: &usize| (0..self.runs()).filter(|run| !self.has(*workload, *run)).count();
        let begun: f64 = begun.map(|one| self.expected(one) * to_be_made(&one) as f64 / self.lanes() as f64).sum();
        begun + self.waiting.chunks(self.at_once()).map(|batch| self.waves() as f64 * self.longest(batch)).sum::<f64>()
    }

    fn has(&self, workload: usize, run: usize) -> bool {
        self.made.contains_key(&self.job(workload, run))
    }

    /// Leaves out the longest workloads of those that wait, until there is time for the others.
    fn leave_out_longest(&mut self) {
        while self.rest() > self.left()
            && let Some(longest) = self.waiting.pop()
        {
            let takes = text::duration(self.waves() as f64 * self.expected(longest));
            let about = if self.seen.is_empty() { "at least" } else { "about" };
            self.leave_out(longest, &format!("counting takes {about} {takes}"));
        }
    }

    fn leave_out(&mut self, workload: usize, why: &str) {
        self.left_out.insert(workload, format!("instructions of `{}`: {why}", self.workloads[workload].name));
    }

    /// Makes all counts of workloads, wave by wave. One whose first wave took so long that the others do not fit gets no more.
    fn count(&mut self, batch: &[usize]) {
        let lanes = self.lanes();
        for wave in 0..self.waves() {
            let mut jobs = Vec::new();
            for &workload in batch.iter().filter(|workload| !self.left_out.contains_key(workload)) {
                let runs = wave * lanes..(wave + 1) * lanes;
                jobs.extend(runs.filter(|run| !self.has(workload, *run)).map(|run| self.job(workload, run)));
            }
            if !jobs.is_empty() {
                let began = self.clock.used();
                self.wave(&jobs, self.left());
                let took = self.clock.used() - began;
                let others = (self.waves() - wave - 1) as f64 * took;
                if others > self.left() {
                    let takes = text::duration(took * self.waves() as f64);
                    batch.iter().for_each(|one| self.leave_out(*one, &format!("counting takes about {takes}")));
                }
            }
        }
    }

    /// Makes counts at once and learns from them. Whether one was ended because it took too long.
    fn wave(&mut self, jobs: &[Job], limit: f64) -> bool {
        let outcomes = (self.counter)(jobs, Duration::try_from_secs_f64(limit).unwrap_or(Duration::MAX));
        let mut late = false;
        for (job, outcome) in jobs.iter().zip(outcomes) {
            match &outcome.count {
                Ok(count) if count.ended == Ended::TooLate => late = true,
                Ok(Count { ended: Ended::Code(_) | Ended::Signal(_), .. }) => {
                    self.seen.push((Effort::of(&self.firsts[job.workload], job.side), outcome.took));
                }
                Ok(_) | Err(_) => {}
            }
            self.made.insert(*job, outcome.count);
        }
        late
    }

    fn judge(&mut self, workload: usize) -> Counted {
        if let Some(why) = self.left_out.remove(&workload) {
            return Counted { left_out: Some(why), ..Counted::default() };
        }
        let (name, first) = (&self.workloads[workload].name, &self.firsts[workload]);
        let left_out =
            |why: &str| Counted { left_out: Some(format!("instructions of `{name}`: {why}")), ..Counted::default() };
        let mut sides: Vec<Result<Vec<f64>, String>> = vec![Ok(Vec::new()); self.sides()];
        for job in (0..self.runs()).map(|run| self.job(workload, run)) {
            let count = match self.made.get(&job) {
                Some(Ok(count)) if count.ended == first.ended => Ok(count.instructions),
                Some(Ok(count)) => Err(format!("under valgrind it {}", count.ended.describe())),
                Some(Err(error)) => Err(error.clone()),
                None => Err("no time was left to count them".into()),
            };
            match (&mut sides[job.side], count) {
                (Ok(counts), Ok(count)) => counts.push(count),
                (side @ Ok(_), Err(why)) => *side = Err(why),
                (Err(_), _) => {}
            }
        }
        let failed: Vec<(usize, String)> = sides
            .iter()
            .enumerate()
            .filter_map(|(side, counts)| Some((side, counts.as_ref().err()?.clone())))
            .collect();
        // One side alone says nothing.
        if let Some((_, why)) = failed.first().filter(|(side, _)| *side == 0 || failed.len() + 1 >= sides.len()) {
            return left_out(why);
        }
        let samples: Vec<Option<Sample>> = sides.iter().map(|counts| Some(sample(counts.as_ref().ok()?))).collect();
        let wobble = samples.iter().flatten().map(spread).fold(0.0, f64::max);
        let note = (wobble > LEAST_CHANGE).then(|| {
            format!("instructions of `{name}` differ by {:.2} % between two runs of the same program", wobble * 100.0)
        });
        Counted { samples, left_out: None, failed, note }
    }
}

/// Two runs make no distribution: the difference of the sides is held against that between two runs of one.
pub fn measured(base: Sample, candidate: Sample) -> Measured {
    let change = change(base.median, candidate.median);
    let least = LEAST_CHANGE.max(doubt(&base, &candidate));
    let verdict = match change {
        None => Verdict::Unknown,
        Some(change) if change.abs() < least => Verdict::NoChange,
        Some(change) if change < 0.0 => Verdict::Better,
        Some(_) => Verdict::Worse,
    };
    Measured { metric: Metric::Instructions, base, candidate, change, p_value: None, adjusted_p_value: None, verdict }
}

/// Where valgrind is, if it is installed.
pub fn find_valgrind() -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(which::which("valgrind").ok()?).ok()
}

/// `valgrind 3.19.0`, of what `valgrind --version` says.
pub fn version(valgrind: &Utf8Path) -> Option<String> {
    let output = std::process::Command::new(valgrind).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("valgrind-").map(|version| format!("valgrind {version}"))
}

/// Counts with valgrind, each job in a thread of its own.
pub fn with_valgrind<'a>(
    request: &'a Request,
    valgrind: &'a Utf8Path,
) -> impl FnMut(&[Job], Duration) -> Vec<Outcome> + 'a {
    move |jobs, limit| {
        let count = |job: &Job| {
            let began = Instant::now();
            let count = under_valgrind(request, valgrind, *job, limit).map_err(|error| format!("{error:#}"));
            Outcome { count, took: began.elapsed().as_secs_f64() }
        };
        std::thread::scope(|scope| {
            let start = |job| start::scoped(scope, "counter", move || count(job));
            let threads: Vec<_> = jobs.iter().map(start).collect();
            let not = |why: String| Outcome { count: Err(why), took: 0.0 };
            let ended = |_| not("the thread that counted ended".into());
            let outcomes = threads.into_iter().map(|thread| match thread {
                Ok(thread) => thread.join().unwrap_or_else(ended),
                Err(error) => not(error.to_string()),
            });
            outcomes.collect()
        })
    }
}

/// Counts one run, with everything that it starts.
fn under_valgrind(request: &Request, valgrind: &Utf8Path, job: Job, limit: Duration) -> Result<Count> {
    let dir = request.scratch.join(format!("count-{}-{}-{}", job.workload, job.side, job.time));
    disk::make_empty_dir(&dir)?;
    let (invocation, _) = request.on(&request.workloads[job.workload], job.side);
    let mut argv: Vec<String> = vec![valgrind.to_string(), format!("--tool={TOOL}"), "--cache-sim=no".into()];
    argv.extend(["--trace-children=yes".into(), "--quiet".into()]);
    argv.push(format!("--log-file={dir}/%p.log"));
    argv.push(format!("--cachegrind-out-file={dir}/%p.counts"));
    if let Some(background) = &request.workloads[job.workload].background {
        let server = background[job.side].under(&argv, SLOWDOWNS.1 as u32);
        return of_server(&server, invocation, &dir, limit);
    }
    argv.extend(invocation.argv.iter().cloned());
    let simulated = Invocation { argv, ..invocation.clone() };
    let reading = Order::new(&simulated, &dir, false, limit.as_secs_f64()).run()?;
    let instructions = match reading.ended {
        Ended::TooLate | Ended::NotMeasured(_) => 0.0,
        _ => total(&dir)?,
    };
    if instructions == 0.0 && matches!(reading.ended, Ended::Code(_)) {
        bail!("valgrind counted nothing; what it said is in {dir}");
    }
    Ok(Count { instructions, ended: reading.ended })
}

/// Counts a server while it is driven, less what it does without being driven: its start and its end.
fn of_server(server: &Background, client: &Invocation, dir: &Utf8Path, limit: Duration) -> Result<Count> {
    let limit = limit.as_secs_f64();
    let reading = server.measure(Some(client), dir, false, limit)?;
    let late = Count { instructions: 0.0, ended: Ended::TooLate };
    if reading.ended == Ended::TooLate {
        return Ok(late);
    }
    let all = total(dir)?;
    // Of the other run, other files.
    disk::make_empty_dir(dir)?;
    if server.measure(None, dir, false, limit)?.ended == Ended::TooLate {
        return Ok(late);
    }
    Ok(Count { instructions: all - total(dir)?, ended: reading.ended })
}

/// Of all processes: each wrote a file that ends in a line `summary: COUNT`.
fn total(dir: &Utf8Path) -> Result<f64> {
    let mut sum = 0.0;
    for name in disk::names_in(dir)?.iter().filter(|name| name.ends_with(".counts")) {
        let path = dir.join(name);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        sum += summary(&text).with_context(|| format!("{path} has no line `summary:` with a number"))?;
    }
    Ok(sum)
}

/// The count of one process.
pub fn summary(text: &str) -> Option<f64> {
    let line = text.lines().rev().find_map(|line| line.strip_prefix("summary:"))?;
    line.split_whitespace().next()?.parse().ok()
}
