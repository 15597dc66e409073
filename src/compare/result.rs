//! What a comparison found, as it stands in its JSON: the one type that tables, Markdown, stages and reports are made from.
//!
//! Data, and what follows from it over all workloads; unaware of how anything was measured. Changes are relative to the base: `-0.12` is 12 % less, and less is better.

use std::borrow::Cow;

use camino::Utf8Path;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cost::{Cost, Costs};
use crate::plan::ops::{JSON, MARKDOWN, TABLE};

/// The forms of the JSON: of a base and a candidate, and of any number of sides.
const OF_TWO: u32 = 2;
const OF_SIDES: u32 = 3;

/// Whether a file is one that a comparison of a stage leaves, by its name. How large they are says nothing: each holds what was measured that time.
pub fn is_result(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| [JSON, MARKDOWN, TABLE].contains(&name))
}

/// Builds, measured against each other. Its JSON is a [`Document`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "Document", into = "Document")]
pub struct Comparison {
    /// The version of optbuild that measured.
    pub optbuild: String,
    pub form: Form,
    /// What the others are held against, unless they say otherwise.
    pub base: Side,
    /// The others, in the order in which they were given. At least one was measured.
    pub variants: Vec<Variant>,
    pub machine: Machine,
    pub counter: CounterUsed,
    pub budget: Budget,
    pub noise: Vec<String>,
    pub notes: Vec<String>,
    pub correction: Option<Correction>,
}

/// What the sides of a comparison are to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The last one is the candidate; those before it are steps on the way to it. Each of them has to work.
    Candidate,
    /// Any number of equals. One that fails is left out, and says why.
    Sides,
}

/// A build beside the base.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Variant {
    pub build: Side,
    /// The name of the side that it is held against, where that is not the comparison's base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Why it was not measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// What was measured of it beside what it is held against.
    pub workloads: Vec<Workload>,
    /// One per metric that was measured, over all workloads.
    pub summary: Vec<Summary>,
    /// Sizes of its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<Size>,
    /// What all of it comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Judgement>,
}

/// How it is allowed for that one of many tests finds a change by chance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Correction {
    pub method: CorrectionMethod,
    /// The chance that any change of a metric is none.
    pub level: f64,
    /// How many tests there were of a metric: one for each workload of each side beside the base.
    pub tests: usize,
    /// With fewer runs a side, no change could be found at this level.
    pub least_runs: usize,
}

/// The ways to do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CorrectionMethod {
    Holm,
}

/// Builds, measured against each other: a base and a candidate (form 2), or a base and any number of sides (form 3).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(rename = "Comparison")]
struct Document {
    /// The form of this document: 2 with a candidate, 3 with sides.
    format: u32,
    /// The version of optbuild that measured.
    optbuild: String,
    /// What the others are held against, unless they say otherwise.
    base: Side,
    /// Form 2: what is held against the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    candidate: Option<Side>,
    /// Form 3: the sides beside the base, in the order in which they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    sides: Vec<Variant>,
    machine: Machine,
    /// How instructions were counted.
    counter: CounterUsed,
    /// Form 2: in the order in which they were given; those that were left out are in `budget`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workloads: Option<Vec<Workload>>,
    /// Form 2: sizes of the compared files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sizes: Option<Vec<Size>>,
    /// Form 2: one per metric that was measured, over all workloads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    summary: Option<Vec<Summary>>,
    budget: Budget,
    /// Why the times are to be doubted; empty on a quiet machine.
    noise: Vec<String>,
    /// What else a reader should know.
    notes: Vec<String>,
    /// Form 2: builds on the way from the base to the candidate, each held against the base.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    steps: Vec<Variant>,
    /// Form 2: what all of it comes to. None in documents of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<Judgement>,
    /// How it is allowed for that there are many tests; none with one side beside the base.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    correction: Option<Correction>,
}

impl From<Document> for Comparison {
    fn from(document: Document) -> Comparison {
        let Document { optbuild, base, machine, counter, budget, noise, notes, correction, .. } = document;
        let (form, variants) = match document.candidate {
            None => (Form::Sides, document.sides),
            Some(build) => {
                let candidate = Variant {
                    build,
                    against: None,
                    missing: None,
                    workloads: document.workloads.unwrap_or_default(),
                    summary: document.summary.unwrap_or_default(),
                    sizes: document.sizes.unwrap_or_default(),
                    verdict: document.verdict,
                };
                (Form::Candidate, document.steps.into_iter().chain([candidate]).collect())
            }
        };
        Comparison { optbuild, form, base, variants, machine, counter, budget, noise, notes, correction }
    }
}

impl From<Comparison> for Document {
    fn from(comparison: Comparison) -> Document {
        let Comparison { optbuild, form, base, mut variants, machine, counter, budget, noise, notes, correction } =
            comparison;
        let candidate = if form == Form::Candidate { variants.pop() } else { None };
        let format = if candidate.is_some() { OF_TWO } else { OF_SIDES };
        let (steps, sides) = if candidate.is_some() { (variants, Vec::new()) } else { (Vec::new(), variants) };
        let (mut workloads, mut sizes, mut summary, mut verdict) = (None, None, None, None);
        let candidate = candidate.map(|candidate| {
            (workloads, sizes) = (Some(candidate.workloads), Some(candidate.sizes));
            (summary, verdict) = (Some(candidate.summary), candidate.verdict);
            candidate.build
        });
        Document {
            format,
            optbuild,
            base,
            candidate,
            sides,
            machine,
            counter,
            workloads,
            sizes,
            summary,
            budget,
            noise,
            notes,
            steps,
            verdict,
            correction,
        }
    }
}

impl JsonSchema for Comparison {
    fn schema_name() -> Cow<'static, str> {
        Document::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Document::json_schema(generator)
    }
}

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Judgement {
    pub says: Says,
    /// The metric that decided; if none did, the first one of which something is known. None: nothing is known.
    pub metric: Option<Metric>,
    /// Its mean change over the workloads of which it is known.
    pub change: Option<f64>,
    /// The 95 % interval of that mean; of counts, what two runs of one side leave open.
    pub interval: Option<[f64; 2]>,
    /// How many workloads those are.
    pub workloads: usize,
    /// The same for people.
    pub sentence: String,
}

/// Which of two builds is the better one to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    /// The candidate.
    Faster,
    /// The base.
    Slower,
    Undecided,
}

/// One of the builds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Side {
    /// As it was given: a name, a path, or `pipeline:stage.output`.
    pub name: String,
    /// What was run: the program, or the toolchain's directory.
    pub path: String,
    pub kind: SideKind,
    /// Its own environment, as `NAME=VALUE`.
    pub env: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it cost to make it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SideKind {
    Program,
    /// A directory with `bin/rustc`.
    Toolchain,
}

impl SideKind {
    /// For people: `a program`.
    pub fn title(self) -> &'static str {
        match self {
            SideKind::Program => "a program",
            SideKind::Toolchain => "a toolchain",
        }
    }
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
    /// The same once it is corrected for the number of tests; none where there is no correction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusted_p_value: Option<f64>,
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
    /// The largest improvement that is significant, and the workload that has it; none where nothing is better.
    pub best: Option<f64>,
    pub best_workload: Option<String>,
    /// The largest regression that is significant, and the workload that has it; none where nothing is worse.
    pub worst: Option<f64>,
    pub worst_workload: Option<String>,
    /// How many workloads are significantly better, significantly worse, and neither.
    pub better: usize,
    pub worse: usize,
    pub unchanged: usize,
    /// How many workloads had too few runs to say; in older documents they are among the unchanged ones.
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
    /// What makes the file larger than the base's besides what runs, where it is clearly larger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
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

/// Every metric in the order of tables: its name in JSON and on the command line, and what its numbers are.
const METRICS: [(Metric, &str, Unit); 9] = [
    (Metric::Instructions, "instructions", Unit::Count),
    (Metric::Cycles, "cycles", Unit::Count),
    (Metric::BranchMisses, "branch-misses", Unit::Count),
    (Metric::CacheMisses, "cache-misses", Unit::Count),
    (Metric::WallTime, "wall-time", Unit::Seconds),
    (Metric::UserTime, "user-time", Unit::Seconds),
    (Metric::SystemTime, "system-time", Unit::Seconds),
    (Metric::PeakMemory, "peak-memory", Unit::Bytes),
    (Metric::PageFaults, "page-faults", Unit::Count),
];

impl Metric {
    /// All of them, in the order of tables.
    pub fn all() -> impl Iterator<Item = Metric> {
        METRICS.into_iter().map(|(metric, ..)| metric)
    }

    /// As in JSON and on the command line: `wall-time`.
    pub fn name(self) -> &'static str {
        METRICS[self as usize].1
    }

    /// For headings: `wall time`.
    pub fn title(self) -> String {
        self.name().replace('-', " ")
    }

    /// What its numbers are.
    pub fn unit(self) -> Unit {
        METRICS[self as usize].2
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

impl Side {
    /// What rows call it: its name, the stage that made it, or the file.
    pub fn short_name(&self) -> &str {
        let name = self.name.as_str();
        match name.split_once('.') {
            Some((stage, _)) if !stage.is_empty() && !stage.contains('/') => stage,
            _ => name.rsplit('/').next().unwrap_or(name),
        }
    }
}

impl Variant {
    /// A metric over all workloads.
    pub fn summary_of(&self, metric: Metric) -> Option<&Summary> {
        self.summary.iter().find(|summary| summary.metric == metric)
    }

    /// All its files, as far as what it is held against has them too: bytes there and here.
    pub fn size(&self) -> Option<(u64, u64)> {
        let sum = |of: fn(&Size) -> u64| self.sizes.iter().map(of).sum::<u64>();
        (!self.sizes.is_empty()).then(|| (sum(|size| size.base), sum(|size| size.candidate)))
    }
}

impl Summary {
    /// Whether there were enough runs of any workload to say something.
    pub fn is_known(&self) -> bool {
        self.better + self.worse + self.unchanged > 0
    }
}

impl Comparison {
    /// Those that were measured.
    pub fn measured(&self) -> impl Iterator<Item = &Variant> {
        self.variants.iter().filter(|variant| variant.missing.is_none())
    }

    /// The one that is held against the base, where there is one alone.
    pub fn candidate(&self) -> Option<&Variant> {
        self.variants.last().filter(|_| self.form == Form::Candidate)
    }

    /// The workloads of the last one that was measured: all have the same ones.
    pub fn workloads(&self) -> &[Workload] {
        self.measured().last().map_or(&[], |variant| &variant.workloads)
    }

    /// Whether a metric was measured anywhere.
    pub fn has(&self, metric: Metric) -> bool {
        self.measured().any(|variant| variant.workloads.iter().any(|workload| workload.metric(metric).is_some()))
    }

    /// The metric that judgements go by: instructions where they were counted, which noise does not touch, else wall time.
    pub fn headline(&self) -> Metric {
        match self.measured().any(|variant| variant.summary_of(Metric::Instructions).is_some()) {
            true => Metric::Instructions,
            false => Metric::WallTime,
        }
    }

    /// Says what builds cost, as far as the file knows.
    pub fn set_costs(&mut self, costs: &Costs) {
        for side in self.variants.iter_mut().map(|variant| &mut variant.build).chain([&mut self.base]) {
            side.cost = costs.sides.get(&side.name).copied().or(side.cost);
        }
    }

    /// The JSON Schema of a comparison.
    pub fn schema() -> schemars::Schema {
        schemars::schema_for!(Comparison)
    }
}

/// The metrics that were measured, with their changes over all workloads. What is not known is left out. What is not significant is
/// no change here either: of two workloads, one 30 % better and one that varies by 40 % from run to run, the mean is 15 % better.
pub fn summaries(workloads: &[Workload]) -> Vec<Summary> {
    Metric::all().filter_map(|metric| summary(workloads, metric)).collect()
}

fn summary(workloads: &[Workload], metric: Metric) -> Option<Summary> {
    let measured: Vec<(&str, f64, Verdict)> = workloads
        .iter()
        .filter_map(|workload| {
            let measured = workload.metric(metric)?;
            Some((workload.name.as_str(), measured.change?, measured.verdict))
        })
        .collect();
    if measured.is_empty() {
        return None;
    }
    let with = |wanted: Verdict| measured.iter().filter(move |(_, _, verdict)| *verdict == wanted);
    let (better, worse) = (with(Verdict::Better).count(), with(Verdict::Worse).count());
    let best = with(Verdict::Better).min_by(|a, b| a.1.total_cmp(&b.1));
    let worst = with(Verdict::Worse).max_by(|a, b| a.1.total_cmp(&b.1));
    let (unchanged, unknown) = (with(Verdict::NoChange).count(), with(Verdict::Unknown).count());
    let known = better + worse + unchanged;
    let significant = with(Verdict::Better).chain(with(Verdict::Worse));
    Some(Summary {
        metric,
        mean: significant.fold(0.0, |sum, (_, change, _)| sum + change) / known.max(1) as f64,
        best: best.map(|(_, change, _)| *change),
        best_workload: best.map(|(name, ..)| (*name).into()),
        worst: worst.map(|(_, change, _)| *change),
        worst_workload: worst.map(|(name, ..)| (*name).into()),
        better,
        worse,
        unchanged,
        unknown,
    })
}
