//! `kind = "gather"`: workloads on an instrumented build, and one profile out of what they wrote.
//!
//! Each attempt of a workload has a directory of its own. What its processes write is merged while they run, by the pool's
//! companion; in the end the attempts that count are merged. Unaware of how attempts are run and committed.

mod instrumented;
pub mod rustc_perf;

use std::collections::BTreeMap;
use std::time::Duration;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::background::Background;
use super::rustc_perf::Training;
use super::{Context, Declaration, PlanError, StageKind, Workloads};
use crate::compare::request::PLACEHOLDER;
use crate::pipeline::{
    Answers, CommandLine, Gathers, Jobs, Keys, Need, Piece, Supplied, Text, Words, leading_output, text, value,
};
use crate::plan::ops::{
    CheckFit, CheckGathered, CheckHarness, CheckInstrumented, CheckLast, CheckSpace, ClearSlot, Collect,
    CountInstrumented, Drive, Merge, Op, PlannedValues, StreamMerge, TakeProfile, WaitFor, counted,
};
use crate::plan::{
    Action, Apart, Arg, Command, Companion, KnownLine, Output, Part, Pool, Step, Symbol, Unfit, Workload as Planned,
};
use crate::profile::weights::LARGEST;
use crate::profile::{Format, warnings};
use crate::text::file_name::file_name;
pub use instrumented::{Instrumented, SLOTS, Slots, branch_records, slot_path_file};
use instrumented::{Marks, convert, harness_of, record};

/// Runs workloads on an instrumented build and merges the profiles that they write into one, the output `profile`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GatherKeys {
    /// The instrumented build that the workloads run: an output of a stage with `pgo = "generate"`, or of a `bolt` stage with
    /// `action = "instrument"`. With `method = "sampling"`: the program or library that is sampled.
    pub instrumented: Text,
    /// How profiles come about. `instrumentation`: the build writes them. `sampling`: `perf record -j any,u` and `perf2bolt`.
    #[serde(default)]
    pub method: Method,
    /// Which file a process writes its counts to, where a compiler has put the counters in. Anything else than a file for each process is
    /// for experiments: it shows what others lose.
    #[serde(default)]
    pub raw_files: RawFiles,
    /// The `llvm-profdata` to merge with: the name of a tool or a path. Default: the one that belongs to the compiler of the
    /// instrumented build; of a build by another build system, the one that reads what the program writes and writes what its
    /// compiler reads, among all that are installed.
    pub profdata: Option<Text>,
    /// How much disk raw profiles may take before they are merged, as `500 MB` or `8 GiB`. So much must be free when the stage
    /// begins; while it is reached, workloads are stopped until enough is merged. Not in the fingerprint. Default: 2 GiB.
    #[serde(default, deserialize_with = "value::size")]
    #[schemars(with = "Option<String>")]
    pub disk_budget: Option<ByteSize>,
    /// The share of damaged raw profiles (cut off, filled with zeros, of another format) above which the stage fails: of their bytes, with
    /// those that were cut off. Up to it they are set aside, with their reasons. Not in the fingerprint. Default: `1%`.
    #[serde(default, deserialize_with = "value::percent")]
    #[schemars(with = "Option<String>")]
    pub max_damaged: Option<f64>,
    /// The share of the functions of the instrumented build that must be instrumented, as `95%`; below it the stage fails before
    /// anything runs. Not in the fingerprint. Default: none; below 95 % there is a warning.
    #[serde(default, deserialize_with = "value::percent")]
    #[schemars(with = "Option<String>")]
    pub min_instrumented: Option<f64>,
    /// The share of the counts of the last profile of this stage that the new one must have, as `50%`; below it the stage fails. Not in
    /// the fingerprint. Default: none; below 50 % there is a warning.
    #[serde(default, deserialize_with = "value::percent")]
    #[schemars(with = "Option<String>")]
    pub min_total: Option<f64>,
    /// The same of the functions that were run. Not in the fingerprint. Default: none; below 90 % there is a warning.
    #[serde(default, deserialize_with = "value::percent")]
    #[schemars(with = "Option<String>")]
    pub min_functions: Option<f64>,
    /// The profile that a program is built with, where this stage only looks whether it fits: the output of another gather stage. How much
    /// of what the workloads execute lies in functions that are hot there, is told. The stage fails where that is less than `min-hot`; below
    /// 90 % there is a warning. Both stages run programs that write profiles of LLVM. Such a stage is in no bundle.
    pub hot_in: Option<Text>,
    /// With `hot-in`: the least share. A profile that does not fit is worse than none. Not in the fingerprint. Default: `10%`.
    #[serde(default, deserialize_with = "value::percent")]
    #[schemars(with = "Option<String>")]
    pub min_hot: Option<f64>,
    /// What the profile is for, as bundles of profiles call it: `llvm-pgo`, `LLVM-bolt`. Not in the fingerprint. Default: the
    /// stage's name.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub role: Option<String>,
    /// Every workload has the same share of the profile, times its `weight`, however much it counts: one that runs for long does not drown
    /// another one. With `false`, counts are only added up. Default: `true`; `false` where workloads are crates of rustc-perf.
    pub balance: Option<bool>,
    /// What is run. At least one.
    pub workloads: Vec<Workload>,
}

/// One training command, or the crates of rustc-perf. It has either `run` or `rustc-perf`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Workload {
    /// What it is called. With `for`, the values are added to it: `name[level=3]`.
    #[serde(deserialize_with = "value::plain")]
    pub name: String,
    /// The command: an array of words, or a string that is split into words without a shell. `{program}` stands for the
    /// instrumented program, where `instrumented` is one. `cargo bench …` and `cargo test …` are run as the cargo stage that
    /// `instrumented` comes from builds: what they build and run is instrumented, too.
    pub run: Option<Words>,
    /// Crates that rustc-perf's collector compiles, each a workload.
    pub rustc_perf: Option<Training>,
    /// `run` is a script for `sh -eu -c`.
    #[serde(default)]
    pub shell: bool,
    /// Environment, on top of the stage's.
    #[serde(default)]
    pub env: BTreeMap<String, Text>,
    /// Where it runs. Default: an empty directory of this attempt.
    pub cwd: Option<Text>,
    /// How long one attempt may run. Default: the stage's.
    #[serde(default, deserialize_with = "value::duration")]
    #[schemars(with = "Option<String>")]
    pub timeout: Option<Duration>,
    /// It is for trainings of one kind, in a list that stages for the compiler's profile and for BOLT's share: `pgo` or `bolt`.
    pub only: Option<Only>,
    /// How much of the profile it is, beside others: from 1 to 100. Default: 1.
    pub weight: Option<u64>,
    /// The workload may fail, and the profiles of a failed attempt count.
    #[serde(default)]
    pub keep_profiles: bool,
    /// A program that the command drives: a server. Its profiles count, and those of the command if it writes any.
    pub background: Option<Background>,
    /// No other workload of the stage runs at the same time. Not in the fingerprint.
    #[serde(default)]
    pub alone: bool,
    /// Workloads with the same lock do not run at the same time: they use one port, or one file. Not in the fingerprint.
    #[serde(default, deserialize_with = "value::plain_option")]
    pub lock: Option<String>,
    /// A person runs the command: it is printed, and the stage waits for Enter. Any number of processes may run by then.
    #[serde(default)]
    pub by_hand: bool,
    /// Runs the workload once for every combination of values: `for = { level = ["0", "3"] }` and `${level}` in the command.
    // Expanded when the file is read; here so that the schema has it.
    #[serde(default, rename = "for")]
    pub matrix: BTreeMap<String, Vec<Text>>,
    /// Templates that it is laid on, as a stage can be.
    // Laid on them when the file is read; here so that the schema has it.
    #[serde(default)]
    #[schemars(with = "Option<crate::pipeline::OneOrMore>")]
    pub like: Vec<String>,
}

/// What instruments the build that a workload trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Only {
    /// A compiler.
    Pgo,
    /// llvm-bolt.
    Bolt,
}

/// How profiles come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    #[default]
    Instrumentation,
    /// Needs a processor with branch records (LBR) that `perf` can read.
    Sampling,
}

/// Files that processes write their counts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RawFiles {
    /// Each process has its own.
    #[default]
    PerProcess,
    /// One for all processes of a workload that run the same binary: each adds its counts to it when it ends (`%m` in `LLVM_PROFILE_FILE`).
    Added,
    /// One for all processes of a workload: the last one that ends overwrites what the others have counted.
    Overwritten,
}

impl RawFiles {
    /// As the runtime of instrumented programs takes it.
    fn name(self) -> &'static str {
        match self {
            RawFiles::PerProcess => "%m_%p.profraw",
            RawFiles::Added => "%m.profraw",
            RawFiles::Overwritten => "all.profraw",
        }
    }
}

/// Workloads, and the build that they run.
#[derive(Debug)]
pub struct Gather {
    /// Without the workloads.
    keys: GatherKeys,
    workloads: Vec<Job>,
}

/// A workload.
#[derive(Debug)]
struct Job {
    name: String,
    work: Work,
    only: Option<Only>,
    timeout: Option<Duration>,
    keep_profiles: bool,
    weight: u64,
    background: Option<Background>,
    apart: Apart,
    by_hand: bool,
}

#[derive(Debug)]
enum Work {
    Command(CommandLine),
    /// Crates of rustc-perf, and the environment of their compilations.
    Crates(Training, BTreeMap<String, Text>),
}

impl Job {
    /// Whether it trains builds that write such profiles.
    fn is_for(&self, format: Format) -> bool {
        match self.only {
            None => true,
            Some(Only::Pgo) => format == Format::Profdata,
            Some(Only::Bolt) => format == Format::Fdata,
        }
    }

    /// Whether it is `cargo bench` or `cargo test`.
    fn is_harness(&self) -> bool {
        matches!(&self.work, Work::Command(line) if harness_of(line).is_some())
    }
}

impl Declaration for GatherKeys {
    const NAME: &'static str = "gather";
    type Parsed = Gather;

    fn parse(mut self, keys: &mut Keys) -> Option<Gather> {
        keys.check_names("workloads", "workload", self.workloads.iter().map(|workload| workload.name.as_str()))?;
        if let Some(role) = self.role.as_ref().filter(|role| !text::is_name(role)) {
            let message = format!("`{role}` cannot be a role: letters, digits, `-` and `_`, a letter or digit first");
            keys.wrong("role", message, "it stands in file names");
        }
        let mut workloads = Vec::new();
        for (index, workload) in std::mem::take(&mut self.workloads).into_iter().enumerate() {
            let (name, timeout, keep_profiles) = (workload.name.clone(), workload.timeout, workload.keep_profiles);
            let (weight, only) = (workload.weight.unwrap_or(1), workload.only);
            if !(1..=LARGEST).contains(&weight) {
                let message = format!("a weight is a whole number from 1 to {LARGEST}");
                keys.wrong_in("workloads", index, "weight", message, "leave a workload out if it is not to count");
            }
            let (background, by_hand) = (workload.background.clone(), workload.by_hand);
            let apart = match &workload.lock {
                _ if workload.alone || by_hand => Apart::All,
                Some(lock) => Apart::Lock(lock.clone()),
                None => Apart::None,
            };
            let work = workload.work(index, keys);
            let job =
                work.map(|work| Job { name, work, only, timeout, keep_profiles, weight, background, apart, by_hand });
            workloads.extend(job);
        }
        Some(Gather { keys: self, workloads })
    }
}

impl Workload {
    /// What it runs.
    fn work(self, index: usize, keys: &mut Keys) -> Option<Work> {
        const LIST: &str = "workloads";
        let name = &self.name;
        let only_with_run = |keys: &mut Keys| {
            if let Some(Err(message)) = self.background.as_ref().map(Background::line) {
                keys.wrong_in(LIST, index, "background", message, "");
            }
            let both = self.background.is_some() && self.by_hand;
            for (key, is_there) in [("background", self.background.is_some()), ("by-hand", self.by_hand)] {
                if is_there && (self.run.is_none() || both) {
                    keys.wrong_in(LIST, index, key, "it goes with `run` alone", "");
                }
            }
        };
        only_with_run(keys);
        let training = match (self.run, self.rustc_perf) {
            (Some(run), None) => {
                return keys.command_of(LIST, index, (run, self.shell, self.env, self.cwd)).map(Work::Command);
            }
            (None, Some(training)) => training,
            (Some(_), Some(_)) => {
                let message = "`run` and `rustc-perf` cannot both say what is run";
                keys.wrong_in(LIST, index, "rustc-perf", message, "");
                return None;
            }
            (None, None) => {
                let message = format!("the workload `{name}` has neither `run` nor `rustc-perf`");
                keys.wrong_in(LIST, index, "name", message, "say what is run: a command, or crates of rustc-perf");
                return None;
            }
        };
        keys.check_env_of(LIST, index, &self.env);
        if training.list.is_none() && training.crates.is_empty() && training.libcore.is_empty() {
            let message = format!("the workload `{name}` names no crates");
            let help = "add `list = \"rustc\"` for the checkout's own list, or `crates = […]`";
            keys.wrong_in(LIST, index, "rustc-perf", message, help);
        } else if name.contains(['[', ']', '*', '?']) {
            // The attempt's directory has its name, and cargo takes the path of a package for a pattern.
            let message = format!("`{name}` cannot name a workload with `rustc-perf`");
            let help = "cargo cannot build in a directory of such a name; use letters and `-`, and no `for`";
            keys.wrong_in(LIST, index, "name", message, help);
        } else if self.shell || self.cwd.is_some() {
            let message = "`shell` and `cwd` go with `run`; the collector has a directory of its own";
            keys.wrong_in(LIST, index, if self.shell { "shell" } else { "cwd" }, message, "");
        }
        Some(Work::Crates(training, self.env))
    }
}

/// In `LLVM_PROFILE_FILE`, which has the path of the state directory in it, the runtime leaves out what it does not know behind a `%`
/// (`InstrProfilingFile.c` in compiler-rt), and nothing stands for the sign itself.
const UNFIT: Unfit = Unfit {
    text: "%",
    because: "instrumented programs take it for a placeholder in LLVM_PROFILE_FILE and write elsewhere",
};

impl StageKind for Gather {
    fn answers(&self) -> Answers {
        let sampled = self.keys.method == Method::Sampling;
        let (role, hot_in) = (self.keys.role.clone(), self.keys.hot_in.clone());
        let gathers = Gathers { role, instrumented: self.keys.instrumented.clone(), sampled, hot_in };
        let needs = sampled.then_some(Need::BranchRecords).into_iter().collect();
        Answers { outputs: vec!["profile".into()], gathers: Some(gathers), needs, ..Answers::default() }
    }

    fn plan(&self, cx: &mut Context) -> Result<(), PlanError> {
        if let Some(supplied) = &cx.stage.supplied {
            return take(supplied, self, cx);
        }
        let nothing = |cx: &Context| cx.invalid("workloads", cx.nothing_to_run("name at least one workload"));
        if self.workloads.is_empty() {
            return Err(nothing(cx));
        }
        let build = Instrumented::find(self, cx)?;
        let format = build.format;
        let jobs: Vec<&Job> = self.workloads.iter().filter(|job| job.is_for(format)).collect();
        if jobs.is_empty() {
            return Err(nothing(cx));
        }
        let any_program = jobs.iter().any(|job| job.is_harness());
        let (tool, of_build) = build.merge_tool(self, cx)?;

        let budget = self.keys.disk_budget.map_or(DISK_BUDGET, |size| size.as_u64());
        if self.keys.method == Method::Instrumentation {
            let (dir, bytes, key) = (Symbol::Attempt.into(), budget.to_string().into(), Some("disk-budget".into()));
            cx.step(Step::op("check-space", CheckSpace { dir, bytes, key }));
            cx.step(Step::op("check-instrumented", CheckInstrumented { format, path: build.path.clone() }));
            self.count_instrumented(&build, cx)?;
        } else if self.keys.min_instrumented.is_some() {
            return Err(cx.invalid("min-instrumented", "nothing is instrumented where `method` is `sampling`"));
        }
        let (mut prepare, mut commit) = (Vec::new(), Vec::new());
        let harnesses = jobs.iter().filter(|job| job.is_harness());
        let workload: Vec<Arg> = harnesses.map(|job| job.name.as_str().into()).collect();
        if !workload.is_empty() {
            commit.push(Step::op("check-harness", CheckHarness { logs: Symbol::Logs.into(), workload }));
        }
        let (mut commands, mut collector) = (Vec::new(), None);
        for declared in jobs.iter().copied() {
            match &declared.work {
                Work::Command(line) => {
                    commands.push((declared, declared.name.clone(), command(declared, line, self, &build, cx)?))
                }
                Work::Crates(training, _) => {
                    let expanded = rustc_perf::expand(declared, training, self, cx)?;
                    commands.extend(expanded.commands.into_iter().map(|(name, command)| (declared, name, command)));
                    if prepare.is_empty() {
                        collector = Some(expanded.collector);
                        prepare.push(expanded.prepare);
                        commit.push(expanded.finish);
                    } else if collector != Some(expanded.collector) {
                        let key = format!("workloads.{}", declared.name);
                        return Err(cx.invalid(&key, "all workloads of a stage have one `collector`"));
                    }
                }
            }
        }
        let (balance, weight) = self.shares(&commands);
        let mut workloads = Vec::new();
        for (declared, name, mut command) in commands {
            match (&build.slots, self.keys.method) {
                (_, Method::Sampling) => record(&mut command, cx),
                (Some(slots), _) => {
                    slots.rewrite(&mut command);
                    command.leave = slots.watched.then_some(LAST_WRITING);
                }
                (None, _) => {
                    cx.plan.unfit = vec![UNFIT];
                    let file = Arg::from(Symbol::Attempt).join(RAW).join(self.keys.raw_files.name());
                    if command.env.insert("LLVM_PROFILE_FILE".into(), file).is_some() {
                        cx.note(
                            "LLVM_PROFILE_FILE of the declaration is replaced: each attempt has a directory of its own",
                        );
                    }
                }
            }
            command.known = known_lines(build.format);
            let by_hand = declared.by_hand.then(|| by_hand(&mut command));
            let (may_fail, apart) = (declared.keep_profiles, declared.apart.clone());
            workloads.push(Planned { name, command, may_fail, apart, by_hand });
        }

        let mut merge = Vec::new();
        let raw = Arg::from(Symbol::Attempt).join(RAW);
        let slots = build.slots.as_ref().filter(|_| self.keys.method == Method::Instrumentation);
        let own_files = self.keys.raw_files == RawFiles::PerProcess;
        if !own_files && (format == Format::Fdata || self.keys.method == Method::Sampling) {
            return Err(
                cx.invalid("raw-files", "it says where a compiler's counters go; BOLT's have a file for each process")
            );
        }
        if let Some(slots) = slots {
            let path_file = slots.path_file();
            prepare.push(Step::op("clear-slot", ClearSlot { path_file: path_file.clone() }));
            merge.push(Step::op("collect", Collect { path_file, to: raw.clone() }));
        }
        if self.keys.method == Method::Sampling {
            commit.push(convert(&build.path, cx));
        }
        let max_damaged = Arg::from(format!("{}%", self.keys.max_damaged.unwrap_or(MAX_DAMAGED)));
        let profile = Arg::from(Symbol::Attempt).join(&format!("{PROFILE}.{}", format.merged_extension()));
        let attempt = Merge {
            format,
            tool: tool.clone(),
            input: vec![raw],
            merged: false,
            with: Vec::new(),
            output: Some(profile),
            output_dir: None,
            name: None,
            threads: "1".into(),
            consume: true,
            max_damaged: max_damaged.clone(),
            of_build: of_build.clone(),
            balance: false,
            weight: Vec::new(),
        };
        merge.push(Step::op("merge", attempt));
        let companion = match self.keys.method {
            Method::Instrumentation if own_files => {
                let slots = slots.map(Slots::all);
                let (tool, committed) = (tool.clone(), Symbol::Committed.into());
                let disk_budget = budget.to_string().into();
                let (threads, of_build) = (Symbol::Jobs.into(), of_build.clone());
                let weight = weight.clone();
                let op =
                    StreamMerge { format, tool, committed, slots, disk_budget, threads, of_build, balance, weight };
                Some(Companion { name: STREAM.into(), op: op.into(), instead: merge })
            }
            // There is one profile, when perf2bolt has made it, or one file that is complete when the last process has ended.
            Method::Instrumentation | Method::Sampling => {
                commit.append(&mut merge);
                None
            }
        };
        let jobs = cx.stage.common.jobs.map_or(usize::MAX, Jobs::most);
        let slots = build.slots.as_ref().map_or(usize::MAX, |slots| slots.count);
        let jobs = jobs.min(slots).min(workloads.len());
        let pool = Pool { workloads, jobs, prepare, commit, companion, kept: Some(CWD.into()) };
        cx.step(Step { name: "workloads".into(), action: Action::Pool(pool) });

        let all = Merge {
            format,
            tool: tool.clone(),
            input: vec![Symbol::Committed.into()],
            merged: true,
            with: build.first_level.clone().into_iter().collect(),
            output: None,
            output_dir: Some(Symbol::Out.into()),
            name: Some(NAME.into()),
            threads: Symbol::Jobs.into(),
            consume: false,
            max_damaged,
            of_build: of_build.clone(),
            balance,
            weight,
        };
        let path = all.path("*");
        cx.step(Step::op("merge", all));
        // BOLT's profiles are text.
        let read_with = (tool.clone(), of_build.clone());
        let tool = (format == Format::Profdata).then_some(tool);
        let (profile, instrumented) = (path.clone(), Some(build.path.clone()));
        let tool_of_build = of_build.is_some();
        let check =
            CheckGathered { format, profile, tool, instrumented, min_of_the_build: None, tool_of_build, any_program };
        cx.step(Step::op("check-gathered", check));
        self.check_fit(format, &path, read_with, cx)?;
        // What only looks whether another profile fits may have been of anything the last time.
        if self.keys.hot_in.is_none() {
            cx.plan.proofs.push(self.check_last());
        }
        cx.plan.outputs.push(Output { name: "profile".into(), path, portable: true, show: false });
        Ok(())
    }

    /// What stands for the instrumented program is [`PLACEHOLDER`], as it may be in the declaration, too.
    fn workloads(&self, cx: &mut Context) -> Result<Option<Workloads>, PlanError> {
        let producer = |word: &Text, cx: &Context| Some(cx.producer(word).ok()??.common.name.clone());
        let trained = cx.producer(&self.keys.instrumented)?.map(|stage| stage.common.name.clone());
        let mut all = Workloads::default();
        for job in &self.workloads {
            let key = format!("workloads.{}", job.name);
            let Work::Command(line) = &job.work else {
                return Err(cx.invalid(&key, "its crates are measured by `optbuild compare --rustc-perf`"));
            };
            let served = job.background.as_ref().map(|background| background.plan(&key, cx)).transpose()?;
            if let Some(served) = served {
                if !served.server.iter().any(|word| word.to_string().contains(PLACEHOLDER)) {
                    return Err(cx.invalid(&key, Background::NOT_NAMED));
                }
                all.served.insert(job.name.clone(), served);
                all.commands.push((job.name.clone(), cx.command_line(line)?));
                continue;
            }
            let mut line = line.clone();
            let named = |word: &Text| word.to_string().contains(PLACEHOLDER);
            if !line.words.iter().chain(line.env.values()).any(named) {
                let program = line.words.iter_mut().find(|word| trained.is_some() && producer(word, cx) == trained);
                let Some(program) = program.filter(|_| !line.shell) else {
                    let message = format!(
                        "it runs neither `{PLACEHOLDER}` nor `{}`, so no other build can take its place",
                        self.keys.instrumented
                    );
                    return Err(cx.invalid(&key, message));
                };
                *program = Text::literal(PLACEHOLDER);
            }
            all.commands.push((job.name.clone(), cx.command_line(&line)?));
        }
        Ok(Some(all))
    }
}

impl Gather {
    /// What it runs, with the placeholder for the instrumented program. Nothing of crates.
    pub(super) fn commands(&self) -> Vec<(&str, CommandLine)> {
        let stage = |text: &Text| leading_output(text)?.first().map(|output| output.stage.clone());
        let trained = stage(&self.keys.instrumented);
        let lines = self.workloads.iter().filter_map(|job| match &job.work {
            Work::Command(line) => Some((job.name.as_str(), line.clone())),
            Work::Crates(..) => None,
        });
        let named = |(name, mut line): (_, CommandLine)| {
            let own =
                |word: &&mut Text| **word == self.keys.instrumented || trained.is_some() && stage(word) == trained;
            line.words.iter_mut().filter(own).for_each(|word| *word = Text::literal(PLACEHOLDER));
            (name, line)
        };
        lines.map(named).collect()
    }

    /// Whether workloads are balanced, and the weights that are not 1. Of one workload, neither changes anything.
    fn shares(&self, commands: &[(&Job, String, Command)]) -> (bool, Vec<Arg>) {
        if commands.len() < 2 {
            return (false, Vec::new());
        }
        let crates = commands.iter().any(|(job, ..)| matches!(job.work, Work::Crates(..)));
        let weighed = commands.iter().filter(|(job, ..)| job.weight != 1);
        let weight = |(job, name, _): &(&Job, String, Command)| [name.as_str().into(), job.weight.to_string().into()];
        (self.keys.balance.unwrap_or(!crates), weighed.flat_map(weight).collect())
    }

    /// Tells what is not instrumented before anything is trained. llvm-bolt itself says which functions it could not instrument.
    fn count_instrumented(&self, build: &Instrumented, cx: &mut Context) -> Result<(), PlanError> {
        if build.format == Format::Fdata {
            let message = "it counts what a compiler has instrumented, and this build is instrumented by llvm-bolt";
            return if self.keys.min_instrumented.is_some() {
                Err(cx.invalid("min-instrumented", message))
            } else {
                Ok(())
            };
        }
        let min_instrumented = format!("{}%", self.keys.min_instrumented.unwrap_or(0.0)).into();
        let count = CountInstrumented { path: build.path.clone(), min_instrumented };
        cx.plan.guards.push(Step::op("count-instrumented", count));
        Ok(())
    }

    /// Holds what was gathered against what a program is built with. `read_with`: the llvm-profdata, and the build that may tell of a better
    /// one.
    fn check_fit(
        &self,
        format: Format,
        profile: &Arg,
        read_with: (Arg, Option<Arg>),
        cx: &mut Context,
    ) -> Result<(), PlanError> {
        let Some(text) = &self.keys.hot_in else {
            let why = "it is for `hot-in`, which is not there";
            return if self.keys.min_hot.is_some() { Err(cx.invalid("min-hot", why)) } else { Ok(()) };
        };
        if format == Format::Fdata {
            return Err(cx.invalid(
                "hot-in",
                "profiles of LLVM can be held against each other, and this stage gathers one for BOLT",
            ));
        }
        let (tool, of_build) = read_with;
        let min_hot = format!("{}%", self.keys.min_hot.unwrap_or(MIN_HOT)).into();
        let trained = cx.arg(text)?;
        cx.step(Step::op("check-fit", CheckFit { profile: profile.clone(), trained, tool, of_build, min_hot }));
        Ok(())
    }

    /// Holds what was gathered against the last time.
    fn check_last(&self) -> Step {
        let share = |key: Option<f64>| Arg::from(format!("{}%", key.unwrap_or(0.0)));
        let check = CheckLast {
            now: Symbol::Reported.into(),
            last: Symbol::ReportedLast.into(),
            min_total: share(self.keys.min_total),
            min_functions: share(self.keys.min_functions),
        };
        Step::op("check-last", check)
    }
}

/// In an attempt: where raw profiles go, the merged one, and where the workload runs.
const RAW: &str = "raw";
const PROFILE: &str = "profile";
const CWD: &str = "cwd";

/// The first part of the merged profile's name.
const NAME: &str = "merged";

/// What merges profiles while workloads run.
const STREAM: &str = "stream-merge";

/// How long it may take until the profile of a process that has ended is written by another one: that looks every second, and writing takes as
/// long as there are functions.
const LAST_WRITING: Duration = Duration::from_secs(60);

/// How much profiles that are not merged yet may take, in bytes, unless the stage says.
const DISK_BUDGET: u64 = 2 << 30;
/// The share of damaged profiles that is tolerated, in percent.
const MAX_DAMAGED: f64 = 1.0;
/// The share of what is executed that has to lie in functions which are hot in a profile, in percent. Programs below became slower by a
/// fifth and more.
const MIN_HOT: f64 = 10.0;

fn command(
    declared: &Job,
    line: &CommandLine,
    kind: &Gather,
    build: &Instrumented,
    cx: &mut Context,
) -> Result<Command, PlanError> {
    let key = format!("workloads.{}", declared.name);
    if let Some(mut command) = build.harness(line, &key, cx)? {
        command.timeout = declared.timeout;
        return Ok(command);
    }
    let mut command = cx.command_line(line)?;
    if let Some(background) = &declared.background {
        let mut commands = background.plan(&key, cx)?.write();
        commands.extend(counted::<PlannedValues>("run", &command.argv));
        let log = Arg::from(Symbol::Logs).join(&format!("{}-background.log", file_name(&declared.name)));
        command.argv = Op::from(Drive { log, commands }).command_line();
    }
    let program = cx.arg(&kind.keys.instrumented)?;
    for arg in command.argv.iter_mut().chain(command.env.values_mut()) {
        let (replaced, found) = std::mem::take(arg).replaced(PLACEHOLDER, &program);
        if found && names_a_directory(&kind.keys.instrumented) {
            let message = format!("`{PLACEHOLDER}` is one program, and `{}` a directory", kind.keys.instrumented);
            return Err(cx.invalid(&key, message));
        }
        *arg = replaced;
    }
    if line.cwd.is_none() {
        command.cwd = Arg::from(Symbol::Attempt).join(CWD);
    }
    command.timeout = declared.timeout;
    Ok(command)
}

/// Makes of a command one that waits until a person has run it. Returns that, and the file that says so.
fn by_hand(command: &mut Command) -> (Command, Arg) {
    let shown = command.clone();
    let file = Arg::from(Symbol::Attempt).join("done-by-hand");
    command.argv = Op::from(WaitFor { file: file.clone(), command: shown.argv.clone() }).command_line();
    (shown, file)
}

/// What the profile runtime may say in an instrumented program.
fn known_lines(format: Format) -> Vec<KnownLine> {
    let told = warnings::RUNTIME.iter().filter(|_| format == Format::Profdata);
    told.map(|&(text, remedy)| KnownLine { text, remedy }).collect()
}

/// `${stage.out}` and nothing behind it.
fn names_a_directory(text: &Text) -> bool {
    match text.pieces.as_slice() {
        [Piece::Outputs(candidates)] => candidates.iter().any(|candidate| candidate.output == "out"),
        _ => false,
    }
}

/// Of the functions of a profile, how many an instrumented build of these sources must have with the same code.
const MIN_KNOWN: &str = "80%";

/// Plans a stage whose profile comes out of a bundle: nothing runs, and the output is the same as if it had.
fn take(supplied: &Supplied, kind: &Gather, cx: &mut Context) -> Result<(), PlanError> {
    let format = if supplied.bolt { Format::Fdata } else { Format::Profdata };
    let extension = if supplied.matchable { "yaml" } else { format.merged_extension() };
    let take = TakeProfile {
        bundle: Arg::part(Part::Place { name: "profiles".into(), path: supplied.bundle.clone() }),
        role: supplied.role.clone().into(),
        member: supplied.member.clone().into(),
        blake3: supplied.hash.clone().into(),
        extension: extension.into(),
        output_dir: Symbol::Out.into(),
        name: NAME.into(),
    };
    cx.step(Step::op("take-profile", take));
    let path = Arg::from(Symbol::Out).join(&format!("{NAME}-*.{extension}"));
    let tool = if format == Format::Profdata { reader(kind, cx)? } else { None };
    if tool.is_some() || format == Format::Fdata && !supplied.matchable {
        let build = supplied.instrumented.as_ref().filter(|_| !supplied.allow_stale && format == Format::Profdata);
        let instrumented = build.map(|path| Arg::from(path.as_str()));
        let min_of_the_build = instrumented.as_ref().map(|_| MIN_KNOWN.into());
        let (tool_of_build, any_program) = (false, false);
        let profile = path.clone();
        let check = CheckGathered { format, profile, tool, instrumented, min_of_the_build, tool_of_build, any_program };
        cx.plan.proofs.push(Step::op("check-profile", check));
        cx.plan.proofs.push(kind.check_last());
    }
    cx.plan.outputs.push(Output { name: "profile".into(), path, portable: true, show: false });
    cx.plan.notes.extend(supplied.notes.iter().cloned());
    Ok(())
}

/// The llvm-profdata that would have merged. It only looks at what is there, so the stage is complete without it.
fn reader(kind: &Gather, cx: &mut Context) -> Result<Option<Arg>, PlanError> {
    let (before, gaps) = (Marks::of(cx), cx.plan.gaps.len());
    let (tool, _) = Instrumented::declared(kind, cx).merge_tool(kind, cx)?;
    let found = cx.plan.gaps.len() == gaps && matches!(tool.parts.as_slice(), [Part::Tool { .. }]);
    before.restore(cx);
    Ok(found.then_some(tool))
}
