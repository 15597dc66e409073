//! The processor's counters, through `perf_event_open`: of a command and all that it starts, in user space.
//!
//! Unaware of what is run.

use std::collections::BTreeMap;
use std::io;

use anyhow::{Context as _, Result, bail};
use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter, ReadFormat};

use super::result::Metric;

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
    pub fn none() -> Counters {
        Counters { open: Vec::new() }
    }

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
