//! One run of one command, measured: `optbuild measure`; with the counters of the processor, through `perf_event_open`, of the command and
//! all that it starts, in user space.
//!
//! The kernel's account of a process's children only grows, and its peak never falls, so each run has a process of its own
//! that starts it and reads the account. It ends the run with everything that the run started, when it takes too long and when the
//! caller has gone: the caller holds the other end of standard input, which the kernel closes however the caller ends. Unaware of what
//! is compared.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, ChildStdin, Command, ExitCode, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use camino::Utf8Path;
use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter, ReadFormat};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{getpid, set_child_subreaper};
use serde::{Deserialize, Serialize};

use super::request::Invocation;
use super::result::Metric;
use crate::proc::{self, start, tree};
use crate::run::process::{Launch, spawn};
use crate::sync::lock;

/// How long it is tried to end a tree, whose processes may go on starting others or be stuck in the kernel.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// This program, also when its file has been replaced since.
const OPTBUILD: &str = "/proc/self/exe";

/// What is to be run. What was printed before into the files is replaced.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub launch: Launch,
    /// Reads the processor's counters.
    pub count: bool,
    /// In seconds; the command is killed with all that it started when it takes longer.
    pub limit: f64,
    /// What was printed before stays, and so does what the command leaves running.
    #[serde(default)]
    pub keeps: bool,
}

/// What one run was like.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reading {
    pub ended: Ended,
    /// Times in seconds, memory in bytes.
    pub metrics: BTreeMap<Metric, f64>,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    Code(i32),
    Signal(i32),
    TooLate,
    /// It could not be started, or what it used not be read: a sentence.
    NotMeasured(String),
}

impl Reading {
    /// Of a run whose time was over.
    pub fn too_late() -> Reading {
        Reading { ended: Ended::TooLate, metrics: BTreeMap::new() }
    }

    /// A metric of the run, 0 where it was not measured.
    pub fn get(&self, metric: Metric) -> f64 {
        self.metrics.get(&metric).copied().unwrap_or_default()
    }
}

impl Ended {
    /// What comes after "it".
    pub fn describe(&self) -> String {
        match self {
            Ended::Code(code) => format!("exited with status {code}"),
            Ended::Signal(signal) => match signal_hook::low_level::signal_name(*signal) {
                Some(name) => format!("was killed by {name}"),
                None => format!("was killed by signal {signal}"),
            },
            Ended::TooLate => "took too long".into(),
            Ended::NotMeasured(why) => format!("was not measured: {why}"),
        }
    }
}

impl Order {
    /// A command that prints into `stdout` and `stderr` of a directory.
    pub fn new(invocation: &Invocation, into: &Utf8Path, count: bool, limit: f64) -> Order {
        Order::printing(invocation, &into.join("stdout"), &into.join("stderr"), count, limit)
    }

    /// A command that prints into these files.
    pub fn printing(invocation: &Invocation, stdout: &Utf8Path, stderr: &Utf8Path, count: bool, limit: f64) -> Order {
        let Invocation { argv, env, cwd } = invocation.clone();
        Order {
            launch: Launch {
                argv,
                env,
                cwd,
                stdin: None,
                stdout: stdout.to_owned(),
                stderr: stderr.to_owned(),
                grace: Duration::ZERO,
                census: None,
                leave: None,
            },
            count,
            limit,
            keeps: false,
        }
    }

    /// Runs it in a process of its own.
    ///
    /// # Errors
    /// When that process cannot be started, or says nothing.
    pub fn run(&self) -> Result<Reading> {
        let (running, leash) = self.start()?.split();
        let reading = running.wait();
        drop(leash);
        reading
    }

    /// Starts it in a process of its own.
    ///
    /// # Errors
    /// That process cannot be started.
    pub fn start(&self) -> Result<Started> {
        let mut command = Command::new(OPTBUILD);
        command.arg("measure").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        // A terminal's Ctrl-C must not end it before it has ended what it started.
        command.process_group(0);
        let mut child = command.spawn().with_context(|| format!("cannot start {OPTBUILD} measure"))?;
        let mut stdin = child.stdin.take();
        if let Some(stdin) = &mut stdin {
            let mut line = serde_json::to_vec(self)?;
            line.push(b'\n');
            stdin.write_all(&line).context("cannot tell `optbuild measure` what to run")?;
        }
        Ok(Started { running: Running(child), leash: Leash(stdin) })
    }
}

/// A run that was started.
pub struct Started {
    running: Running,
    leash: Leash,
}

/// A process that measures. What it says of its run is waited for.
pub struct Running(Child);

/// While it is held, the run goes on. Its end tells the process that measures that this one has gone.
pub struct Leash(#[expect(dead_code, reason = "it is open or closed")] Option<ChildStdin>);

impl Started {
    /// What is waited for, and what the run hangs on.
    pub fn split(self) -> (Running, Leash) {
        (self.running, self.leash)
    }
}

impl Running {
    /// Of the process that measures.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// The process that measures says nothing.
    pub fn wait(self) -> Result<Reading> {
        let output = self.0.wait_with_output().context("cannot wait for `optbuild measure`")?;
        let reading = serde_json::from_slice(&output.stdout);
        reading.with_context(|| {
            format!("`optbuild measure` ended with {} and did not say what it measured", output.status)
        })
    }
}

/// `optbuild measure`: runs what the first line of standard input says, and writes what it used to standard output. At the end
/// of standard input it ends, and what it runs.
pub fn measure() -> ExitCode {
    let reading = measured()
        .unwrap_or_else(|error| Reading { ended: Ended::NotMeasured(format!("{error:#}")), metrics: BTreeMap::new() });
    let written = serde_json::to_writer(std::io::stdout(), &reading);
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn measured() -> Result<Reading> {
    let mut text = String::new();
    std::io::stdin().lock().read_line(&mut text).context("cannot read what to run")?;
    let order: Order = serde_json::from_str(&text).context("cannot read what to run")?;
    for file in [&order.launch.stdout, &order.launch.stderr].into_iter().filter(|_| !order.keeps) {
        std::fs::write(file, "").with_context(|| format!("cannot write {file}"))?;
    }
    let counters = if order.count { Counters::open()? } else { Counters { open: Vec::new() } };
    let late = watch_over(order.limit)?;
    let began = Instant::now();
    let status = spawn::spawn(&order.launch)?.wait().context("cannot wait for the command")?;
    let wall = began.elapsed();
    if *lock(&late) {
        return Ok(Reading { ended: Ended::TooLate, metrics: BTreeMap::new() });
    }
    let mut metrics = counters.read()?;
    metrics.insert(Metric::WallTime, wall.as_secs_f64());
    account(&mut metrics)?;
    // What it left running would disturb the next run.
    if !order.keeps {
        end_tree();
    }
    Ok(Reading { ended: ended(status)?, metrics })
}

fn ended(status: ExitStatus) -> Result<Ended> {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ok(Ended::Code(code)),
        (None, Some(signal)) => Ok(Ended::Signal(signal)),
        (None, None) => bail!("the command ended without a status"),
    }
}

/// The kernel's account of all processes that were waited for. Its peak is that of the largest of them.
fn account(metrics: &mut BTreeMap<Metric, f64>) -> Result<()> {
    let used = proc::used_by_children().context("cannot read what the command used")?;
    metrics.insert(Metric::UserTime, used.user);
    metrics.insert(Metric::SystemTime, used.system);
    metrics.insert(Metric::PeakMemory, used.peak_memory as f64);
    metrics.insert(Metric::PageFaults, used.page_faults as f64);
    Ok(())
}

/// Watches over what this process starts from here on, for so many seconds. Whether it took too long, and has been ended.
///
/// # Errors
/// When the system does not let this process watch.
fn watch_over(limit: f64) -> Result<Arc<Mutex<bool>>> {
    // Whose parent has ended becomes a child of this process, and is found.
    set_child_subreaper(Some(getpid())).context("cannot become a subreaper")?;
    let limit = Duration::try_from_secs_f64(limit).ok();
    let end = limit.and_then(|limit| Instant::now().checked_add(limit));
    let late = Arc::new(Mutex::new(false));
    let noted = Arc::clone(&late);
    // Beside the thread that waits for the command, so that its end is not noticed later for there being a limit.
    start::thread("watch", move || watch(&noted, end)).context("nothing watches what is measured")?;
    Ok(late)
}

/// Whoever asks whether it was late waits until the tree has been ended; when the caller has gone, for good.
fn watch(late: &Mutex<bool>, mut end: Option<Instant>) {
    let stdin = std::io::stdin();
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let mut late = lock(late);
            *late = true;
            end_tree();
            end = None;
            continue;
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        // Nothing more is said there: it is the end.
        if !matches!(rustix::io::read(&stdin, &mut [0; 64]), Ok(1..) | Err(Errno::INTR)) {
            let _held = lock(late);
            end_tree();
            std::process::exit(1);
        }
    }
}

/// Kills what is below this process until all of that has ended.
fn end_tree() {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    // True: what is left belongs to another user.
    while !tree::kill_own_tree() && tree::own_tree().iter().any(|process| !process.is_dead()) {
        if began.elapsed() > PATIENCE {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

const EVENTS: [(Metric, Hardware); 4] = [
    (Metric::Instructions, Hardware::INSTRUCTIONS),
    (Metric::Cycles, Hardware::CPU_CYCLES),
    (Metric::BranchMisses, Hardware::BRANCH_MISSES),
    (Metric::CacheMisses, Hardware::CACHE_MISSES),
];

/// Counters of the children that this process starts from here on.
#[derive(Debug)]
pub struct Counters {
    pub open: Vec<(Metric, Counter)>,
}

impl Counters {
    /// Those that the processor has; instructions at least.
    ///
    /// # Errors
    /// When the machine does not let this process count.
    pub fn open() -> Result<Counters> {
        let mut open = Vec::new();
        for (metric, event) in EVENTS {
            match counter(event) {
                Ok(counter) => open.push((metric, counter)),
                Err(error) if metric == Metric::Instructions => return Err(error).with_context(why),
                Err(_) => {}
            }
        }
        Ok(Counters { open })
    }

    /// What was counted.
    ///
    /// # Errors
    /// When a counter cannot be read, or never ran.
    pub fn read(mut self) -> Result<BTreeMap<Metric, f64>> {
        let mut counts = BTreeMap::new();
        for (metric, counter) in &mut self.open {
            let read = counter.read_full().context("a counter of the processor cannot be read")?;
            let (Some(enabled), Some(running)) = (read.time_enabled(), read.time_running()) else {
                bail!("the kernel does not say how long a counter of the processor ran");
            };
            if running.is_zero() {
                continue;
            }
            // With more counters than the processor has, they take turns.
            counts.insert(*metric, read.count() as f64 * enabled.as_secs_f64() / running.as_secs_f64());
        }
        Ok(counts)
    }
}

/// Begins to count when a child executes its program, so that nothing of this process is in it.
pub fn counter(event: impl Event) -> io::Result<Counter> {
    let format = ReadFormat::TOTAL_TIME_ENABLED | ReadFormat::TOTAL_TIME_RUNNING;
    Builder::new(event).inherit(true).enable_on_exec(true).read_format(format).build()
}

/// Whether the processor's counters can be used here: counts a loop of this process.
///
/// # Errors
/// A sentence that says why not.
pub fn available() -> Result<(), String> {
    let count = || -> io::Result<u64> {
        let mut counter = Builder::new(Hardware::INSTRUCTIONS).build()?;
        counter.enable()?;
        std::hint::black_box((0..1000).map(std::hint::black_box).sum::<u64>());
        counter.disable()?;
        counter.read()
    };
    match count() {
        Ok(0) => Err("the processor's counters stay at 0, as in many virtual machines".into()),
        Ok(_) => Ok(()),
        Err(error) => Err(match error.raw_os_error() {
            Some(libc::ENOENT | libc::EOPNOTSUPP) => {
                "the machine has no counters of instructions, as most virtual machines".into()
            }
            Some(libc::EACCES | libc::EPERM) => format!("{}: {error}", why()),
            Some(libc::ENOSYS) => "the kernel has no perf_event_open, or a sandbox hides it".into(),
            _ => format!("perf_event_open: {error}"),
        }),
    }
}

fn why() -> String {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    match paranoid.trim() {
        "" => "the processor's counters cannot be used".into(),
        level => format!("the processor's counters cannot be used (kernel.perf_event_paranoid is {level}, 2 would do)"),
    }
}
