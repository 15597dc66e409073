//! What a comparison found, as it stands in its JSON: the one type that tables, Markdown, stages and reports are made from.
//!
//! Data only; unaware of how anything was measured. Changes are relative to the base: `-0.12` is 12 % less, and less is better.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The form of the JSON; raised when a field changes its meaning.
pub const FORMAT: u32 = 2;

/// Two builds, measured against each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The form of this document: 2.
    pub format: u32,
    /// The version of optbuild that measured.
    pub optbuild: String,
    pub base: Side,
    pub candidate: Side,
    pub machine: Machine,
    /// How instructions were counted.
    pub counter: CounterUsed,
    /// In the order in which they were given; those that were left out are in `budget`.
    pub workloads: Vec<Workload>,
    /// Sizes of the compared files.
    pub sizes: Vec<Size>,
    /// One per metric that was measured, over all workloads.
    pub summary: Vec<Summary>,
    pub budget: Budget,
    /// Why the times are to be doubted; empty on a quiet machine.
    pub noise: Vec<String>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

/// One of the two builds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Side {
    /// As it was given: a path, or `pipeline:stage.output`.
    pub name: String,
    /// What was run: the program, or the toolchain's directory.
    pub path: String,
    pub kind: SideKind,
    /// Its own environment, as `NAME=VALUE`.
    pub env: Vec<String>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SideKind {
    Program,
    /// A directory with `bin/rustc`.
    Toolchain,
}

/// Where it was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Machine {
    /// The processor's name, empty if the kernel does not say.
    pub processor: String,
    /// How many of its cores could be used.
    pub cores: usize,
    pub kernel: String,
    /// When the comparison began.
    #[schemars(with = "String")]
    pub time: jiff::Timestamp,
}

/// How instructions were counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CounterUsed {
    pub method: Method,
    /// For people: `perf_event_open`, `valgrind 3.19.0, callgrind`.
    pub name: String,
    /// Why no better one was used.
    pub because: Option<String>,
}

/// The ways to count instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The processor's own counters, of user space, in every run.
    Perf,
    /// A simulated processor; two runs a side.
    Valgrind,
    /// They were not counted.
    None,
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    Instructions,
    Cycles,
    BranchMisses,
    CacheMisses,
    /// From start to end.
    WallTime,
    /// In the program, over all processes.
    UserTime,
    /// In the kernel on its behalf.
    SystemTime,
    /// Of the largest process of the tree.
    PeakMemory,
    /// Those that the kernel could serve without a disk, and those that it could not.
    PageFaults,
}

/// One workload on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Workload {
    pub name: String,
    /// The command, with `{program}` where the sides differ.
    pub command: String,
    pub output: Identity,
    /// In the order of [`Metric`].
    pub metrics: Vec<Measured>,
}

/// Whether both sides printed the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Identity {
    /// Byte for byte.
    Same,
    /// Neither printed anything.
    Silent,
    /// It was asked not to check.
    Unchecked,
}

/// One metric of one workload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Measured {
    pub metric: Metric,
    pub base: Sample,
    pub candidate: Sample,
    /// Between the medians, relative to the base's; none where that is 0.
    pub change: Option<f64>,
    /// How probable a difference like this is between equals (Mann-Whitney, two-sided); none where it was counted once.
    pub p_value: Option<f64>,
    pub verdict: Verdict,
}

/// The runs of one side. Times in seconds, memory in bytes, the rest are counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Sample {
    pub runs: usize,
    pub median: f64,
    /// The 95 % confidence interval of the median; none with too few runs for one.
    pub interval: Option<[f64; 2]>,
    /// All values, in the order of the runs.
    pub values: Vec<f64>,
}

/// What a difference means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Significantly less.
    Better,
    /// Significantly more.
    Worse,
    /// No significant difference.
    NoChange,
    /// Too few runs to say.
    Unknown,
}

/// A metric over all workloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Summary {
    pub metric: Metric,
    /// The arithmetic mean of the changes that are known, where one that is not significant counts as 0; 0 where none is known.
    pub mean: f64,
    /// The largest improvement that is significant, and of which workload; none where nothing is better.
    pub best: Option<f64>,
    pub best_workload: Option<String>,
    /// The largest regression that is significant, and of which workload; none where nothing is worse.
    pub worst: Option<f64>,
    pub worst_workload: Option<String>,
    /// How many workloads are significantly better, significantly worse, and neither.
    pub better: usize,
    pub worse: usize,
    pub unchanged: usize,
    /// Of how many there were too few runs to say; in older documents they are among the unchanged ones.
    #[serde(default)]
    pub unknown: usize,
}

/// The size of a file on both sides, in bytes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Size {
    pub name: String,
    pub base: u64,
    pub candidate: u64,
    pub change: Option<f64>,
}

/// What measuring was allowed to take, and took. In seconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Budget {
    pub allowed: f64,
    /// What the least that makes sense was expected to take, after the first run of everything.
    pub planned: f64,
    pub used: f64,
    /// Sentences: workloads, counts and repetitions for which there was no time.
    pub left_out: Vec<String>,
}

impl Metric {
    /// All of them, in the order of tables.
    pub const ALL: [Metric; 9] = [
        Metric::Instructions,
        Metric::Cycles,
        Metric::BranchMisses,
        Metric::CacheMisses,
        Metric::WallTime,
        Metric::UserTime,
        Metric::SystemTime,
        Metric::PeakMemory,
        Metric::PageFaults,
    ];

    /// As in JSON and on the command line: `wall-time`.
    pub fn name(self) -> &'static str {
        match self {
            Metric::Instructions => "instructions",
            Metric::Cycles => "cycles",
            Metric::BranchMisses => "branch-misses",
            Metric::CacheMisses => "cache-misses",
            Metric::WallTime => "wall-time",
            Metric::UserTime => "user-time",
            Metric::SystemTime => "system-time",
            Metric::PeakMemory => "peak-memory",
            Metric::PageFaults => "page-faults",
        }
    }

    /// For headings: `wall time`.
    pub fn title(self) -> String {
        self.name().replace('-', " ")
    }

    /// What its numbers are.
    pub fn unit(self) -> Unit {
        match self {
            Metric::WallTime | Metric::UserTime | Metric::SystemTime => Unit::Seconds,
            Metric::PeakMemory => Unit::Bytes,
            _ => Unit::Count,
        }
    }
}

/// What a number is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    Seconds,
    Bytes,
}

impl Workload {
    /// What was measured of a metric.
    pub fn metric(&self, metric: Metric) -> Option<&Measured> {
        self.metrics.iter().find(|measured| measured.metric == metric)
    }
}

impl Summary {
    /// Whether there were enough runs of any workload to say something.
    pub fn is_known(&self) -> bool {
        self.better + self.worse + self.unchanged > 0
    }
}

impl Comparison {
    /// A metric over all workloads.
    pub fn summary_of(&self, metric: Metric) -> Option<&Summary> {
        self.summary.iter().find(|summary| summary.metric == metric)
    }

    /// The metric that judgements go by: instructions where they were counted, which noise does not touch, else wall time.
    pub fn headline(&self) -> Metric {
        match self.summary_of(Metric::Instructions) {
            Some(_) => Metric::Instructions,
            None => Metric::WallTime,
        }
    }

    /// The JSON Schema of a comparison.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Comparison)
    }
}
