//! Everything that leaves the runner: typed events, for the journal, the terminal, `--json` and the report.
//!
//! Data only. Unaware of who sends and who listens.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{FingerprintId, RunId, StageName, StepId, WorkloadName};

/// An event and when it happened; a line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stamped {
    pub time: Timestamp,
    #[serde(flatten)]
    pub event: Event,
}

/// What happened in a run. Durations are in seconds, sizes in bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    RunStarted {
        run: RunId,
        pipeline: String,
        file: Utf8PathBuf,
        /// Hash of the pipeline's files.
        pipeline_hash: String,
        /// The command line that began the run, without the program.
        args: Vec<String>,
        /// Where it was begun.
        cwd: Utf8PathBuf,
        /// The start time of the process, as in field 22 of `/proc/PID/stat`: with the pid, it is that process and no other.
        pid_start: u64,
        /// `--set` values, secrets left out.
        vars: BTreeMap<String, serde_json::Value>,
        /// Stages that the run does afresh whatever their records say.
        forced: Vec<StageName>,
        /// In the order of the file: all stages of the pipeline that are on.
        stages: Vec<StageName>,
        jobs: usize,
        version: String,
        pid: u32,
    },
    /// The stage's record is good.
    StageUpToDate {
        stage: StageName,
        fingerprint: FingerprintId,
        saved: f64,
    },
    /// Outside of the selection, switched off, or skipped.
    StageSkipped {
        stage: StageName,
        reason: String,
        /// Of the record whose outputs the stages behind it use.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fingerprint: Option<FingerprintId>,
    },
    /// What it depends on has no output.
    StageBlocked {
        stage: StageName,
        by: StageName,
    },
    StageStarted {
        stage: StageName,
        fingerprint: FingerprintId,
        /// Why it runs, in words.
        reasons: Vec<String>,
        /// How long it took the last time, in all runs that worked on it.
        expected: Option<f64>,
        /// How long earlier runs worked on what it goes on with.
        #[serde(default)]
        earlier: f64,
        jobs: usize,
    },
    /// The programs that a stage runs, as they call themselves.
    ToolsUsed {
        stage: StageName,
        tools: Vec<ToolVersion>,
    },
    /// What the commands under way use: about once a second, less often in long runs.
    Sampled {
        trees: Vec<TreeSample>,
    },
    /// Decisions of the plan, and things that the user should know.
    Note {
        stage: StageName,
        text: String,
    },
    /// Something that the user should see even if everything goes well.
    Warning {
        stage: StageName,
        /// What it is about: the last of several about the same counts.
        about: String,
        text: String,
    },
    /// A supervisor was started for a command.
    ProcessStarted {
        stage: StageName,
        #[serde(flatten)]
        step: StepId,
        pid: u32,
        start_time: u64,
    },
    StepStarted {
        stage: StageName,
        #[serde(flatten)]
        step: StepId,
        /// Ready to paste, directory and all, without secrets.
        command: String,
        cwd: Utf8PathBuf,
        log: Utf8PathBuf,
    },
    /// A step that is a pool of workloads begins; it is open until the `step-finished` of the same step. Steps that start
    /// meanwhile in the stage are of its attempts.
    PoolStarted {
        stage: StageName,
        #[serde(flatten)]
        step: StepId,
        workloads: usize,
        /// How many of them count already, because an earlier run committed them.
        committed: usize,
    },
    /// An operation reported a number.
    Fact {
        stage: StageName,
        #[serde(flatten)]
        fact: Fact,
    },
    StepFinished {
        stage: StageName,
        #[serde(flatten)]
        step: StepId,
        outcome: Outcome,
        usage: Usage,
    },
    /// A workload's result counts from here on.
    WorkloadCommitted {
        stage: StageName,
        workload: WorkloadName,
        attempt: u32,
    },
    /// A step or workload is tried again.
    Retrying {
        stage: StageName,
        #[serde(flatten)]
        step: StepId,
        attempt: u32,
        of: u32,
    },
    StageFinished {
        stage: StageName,
        outcome: Outcome,
        duration: f64,
        /// Time in which none of its commands ran: hashing sources and outputs, and syncing.
        hashing: f64,
        outputs: Vec<OutputInfo>,
        /// On failure: how the step that failed can be repeated, and the end of its log.
        failure: Option<Failure>,
        /// The failure does not fail the run.
        tolerated: bool,
    },
    /// Caches were asked for the stage.
    CacheAsked {
        stage: StageName,
        /// The cache that has it. None: no cache has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache: Option<String>,
        /// Of each cache that does not have it, why, in words.
        misses: Vec<String>,
        /// Of its outputs, where a cache has it.
        bytes: u64,
    },
    /// Outputs of the stage went to a cache, or came from there.
    CacheMoved {
        stage: StageName,
        cache: String,
        sent: bool,
        objects: usize,
        /// As they were sent.
        bytes: u64,
        /// Of the files.
        content: u64,
        duration: f64,
    },
    /// An output of the pipeline that is there was not put in place.
    OutputWithheld {
        #[serde(flatten)]
        withheld: Withheld,
    },
    RunFinished {
        outcome: Outcome,
        duration: f64,
    },
}

/// A number that an operation reports. A name with a slash, `GROUP/NAME`, is a detail that only reports show:
///
/// - `inner/NAME`, in `s`: how long a step of a build tool inside of this step took
/// - `dyno-before/NAME`, `dyno-after/NAME`: llvm-bolt's estimates of what is executed
/// - `bolt/NAME`: what llvm-bolt found and did
/// - `workload/NAME`: a workload that took part in a profile, and in `counts` the sum of what it counted, where that is known
/// - `warning/SENTENCE`: what a person has to know, because what was made may be worth less than it seems
/// - `note/SENTENCE`: no fact, but how an operation sends an [`Event::Note`]
/// - `verdict/SENTENCE`: what a comparison of two builds comes to: above 0 where what was made is slower than what it is compared with,
///   below 0 where it is faster, 0 where that is undecided
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fact {
    /// Empty as an operation writes it: the runner knows which step it runs.
    #[serde(flatten)]
    pub step: StepId,
    pub name: String,
    pub value: f64,
    /// A noun in the plural, `bytes`, `s` or `%`; empty where the name says what is counted.
    pub unit: String,
}

/// Begins the names of facts that are sentences.
const WARNING: &str = "warning/";
/// The same of sentences for readers of the report.
const NOTE: &str = "note/";
/// The same of what a comparison comes to.
const VERDICT: &str = "verdict/";

impl Fact {
    pub fn new(name: impl Into<String>, value: f64, unit: impl Into<String>) -> Fact {
        Fact { step: StepId::default(), name: name.into(), value, unit: unit.into() }
    }

    /// A number without a unit: the name says what it is.
    pub fn number(name: impl Into<String>, value: f64) -> Fact {
        Fact::new(name, value, "")
    }

    pub fn count(name: impl Into<String>, value: usize, unit: impl Into<String>) -> Fact {
        Fact::new(name, value as f64, unit)
    }

    pub fn bytes(name: impl Into<String>, value: u64) -> Fact {
        Fact::new(name, value as f64, "bytes")
    }

    /// A share from 0 to 1.
    pub fn percent(name: impl Into<String>, share: f64) -> Fact {
        Fact::new(name, share * 100.0, "%")
    }

    /// A sentence for people: what was made may be worth less than it seems.
    pub fn warning(sentence: impl std::fmt::Display) -> Fact {
        Fact::number(format!("{WARNING}{sentence}"), 1.0)
    }

    /// The sentence, if it is a warning.
    pub fn warned(&self) -> Option<&str> {
        self.name.strip_prefix(WARNING)
    }

    /// A sentence for readers of the report.
    pub fn note(sentence: impl std::fmt::Display) -> Fact {
        Fact::number(format!("{NOTE}{sentence}"), 1.0)
    }

    /// The sentence, if it is a note.
    pub fn noted(&self) -> Option<&str> {
        self.name.strip_prefix(NOTE)
    }

    /// What a comparison comes to. `slower`: none where it is undecided.
    pub fn verdict(sentence: impl std::fmt::Display, slower: Option<bool>) -> Fact {
        let value = slower.map_or(0.0, |slower| if slower { 1.0 } else { -1.0 });
        Fact::number(format!("{VERDICT}{sentence}"), value)
    }

    /// The sentence, if a comparison says that what was made is slower.
    pub fn slower(&self) -> Option<&str> {
        self.name.strip_prefix(VERDICT).filter(|_| self.value > 0.0)
    }

    /// The same fact of a step.
    pub fn of(self, step: &StepId) -> Fact {
        Fact { step: step.clone(), ..self }
    }

    /// It belongs to a group, `GROUP/NAME`: it is too much for a line.
    pub fn is_detail(&self) -> bool {
        self.name.contains('/')
    }
}

/// An output of a pipeline that was not put in place, as the pipeline asks a comparison first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Withheld {
    /// As `[outputs]` calls it.
    pub output: String,
    /// The stage that compares.
    pub judge: String,
    /// A sentence: what it says, or that it says nothing.
    pub why: String,
    /// Whether it says that the output is slower.
    pub slower: bool,
    /// Where the output lies.
    #[schemars(with = "String")]
    pub lies: Utf8PathBuf,
    /// Where it would have been put.
    #[schemars(with = "String")]
    pub place: Utf8PathBuf,
    /// What stands there is of an earlier run.
    pub earlier: bool,
}

/// A program, and the line in which it says its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolVersion {
    pub name: String,
    pub path: Utf8PathBuf,
    /// Empty if it did not say.
    pub version: String,
}

/// What a command with all its descendants used up to a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TreeSample {
    pub stage: StageName,
    #[serde(flatten)]
    pub step: StepId,
    /// User and system time in seconds since it began, of those that have ended as well.
    pub cpu: f64,
    /// Sum of the resident sets in bytes. What processes share counts once for each.
    pub memory: u64,
    pub processes: usize,
}

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Done,
    Failed,
    Interrupted,
}

/// What a command's whole process tree used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    pub wall: f64,
    pub user: f64,
    pub system: f64,
    /// Of the largest process.
    pub peak_memory: u64,
}

/// An output of a finished stage.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OutputInfo {
    pub name: String,
    pub path: Utf8PathBuf,
    pub bytes: u64,
    pub files: u64,
    pub show: bool,
}

/// Why a stage failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Failure {
    #[serde(flatten)]
    pub step: StepId,
    /// A sentence: `the command exited with status 1`.
    pub what: String,
    /// Ready to paste, with cwd and env; empty if no command failed.
    pub command: String,
    pub log: Option<Utf8PathBuf>,
    /// The first error of the log and what follows it, if it does not stand among the last lines.
    #[serde(default)]
    pub error: Vec<String>,
    /// The last lines of the log.
    pub tail: Vec<String>,
    /// The failure is of this machine (a tool, a disk, a permission), not of the stage.
    pub environment: bool,
}

impl Failure {
    /// The line that tells most: the first error of the log, else its last line, else what happened.
    pub fn reason(&self) -> &str {
        let lines = self.error.first().or(self.tail.last());
        lines.map_or(self.what.as_str(), |line| line.trim())
    }
}

/// Where a stage stands in a run: the one word for it in the runner, in reports and in their JSON.
///
/// ```text
/// NotStarted ─┬─► UpToDate, Skipped ─┐
///             ├─► Blocked            │ a later stage needs its workspace as this stage leaves it
///             │                      ▼
///             └──────────────────► Running ─┬─► Done ──► Running, for the same reason
///                                           ├─► Failed
///                                           ├─► Tolerated
///                                           └─► Interrupted
/// ```
///
/// | state | has outputs | was begun in this run | what it depends on is |
/// |---|---|---|---|
/// | `NotStarted` | not yet | no | not done, or waits for slots |
/// | `UpToDate` | of an earlier run | no | done |
/// | `Skipped` | perhaps of an earlier run | no | of no interest |
/// | `Blocked` | no | no | without outputs |
/// | `Running` | not yet | yes | done |
/// | `Done` | yes | yes | done |
/// | `Failed`, `Tolerated`, `Interrupted` | no | yes | done |
///
/// Unaware of why a stage is where it is: reasons, records and durations stand beside the state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StageState {
    /// Its turn has not come.
    #[default]
    NotStarted,
    UpToDate,
    Skipped,
    Blocked,
    /// The run is under way, or was killed when this stage was.
    #[serde(rename = "unfinished")]
    Running,
    Done,
    Failed,
    /// It failed, and the pipeline goes on without it.
    Tolerated,
    Interrupted,
}

impl StageState {
    /// The states that can follow.
    pub fn next(self) -> &'static [StageState] {
        use StageState::{Blocked, Done, Failed, Interrupted, NotStarted, Running, Skipped, Tolerated, UpToDate};
        match self {
            NotStarted => &[UpToDate, Skipped, Blocked, Running],
            Running => &[Done, Failed, Tolerated, Interrupted],
            UpToDate | Skipped | Done => &[Running],
            Blocked | Failed | Tolerated | Interrupted => &[],
        }
    }

    /// How a stage ended that was begun. `tolerated`: its failure does not fail the run.
    pub fn ended(outcome: Outcome, tolerated: bool) -> StageState {
        match outcome {
            Outcome::Done => StageState::Done,
            Outcome::Failed if tolerated => StageState::Tolerated,
            Outcome::Failed => StageState::Failed,
            Outcome::Interrupted => StageState::Interrupted,
        }
    }

    /// Whether the stage was begun in this run.
    pub fn ran(self) -> bool {
        use StageState::{Done, Failed, Interrupted, Running, Tolerated};
        matches!(self, Running | Done | Failed | Tolerated | Interrupted)
    }

    /// Whether its outputs are there.
    pub fn has_outputs(self) -> bool {
        matches!(self, StageState::Done | StageState::UpToDate)
    }

    /// Whether it failed, tolerated or not.
    pub fn failed(self) -> bool {
        matches!(self, StageState::Failed | StageState::Tolerated)
    }

    /// For people. `running`: the run is under way.
    pub fn words(self, running: bool) -> &'static str {
        match self {
            StageState::NotStarted => "not started",
            StageState::UpToDate => "up to date",
            StageState::Skipped => "skipped",
            StageState::Blocked => "blocked",
            StageState::Running if running => "running",
            StageState::Running => "not finished",
            StageState::Done => "done",
            StageState::Failed => "failed",
            StageState::Tolerated => "failed, tolerated",
            StageState::Interrupted => "interrupted",
        }
    }
}

impl Event {
    /// The state that this event brings a stage into.
    pub fn stage_state(&self) -> Option<(&StageName, StageState)> {
        match self {
            Event::StageUpToDate { stage, .. } => Some((stage, StageState::UpToDate)),
            Event::StageSkipped { stage, .. } => Some((stage, StageState::Skipped)),
            Event::StageBlocked { stage, .. } => Some((stage, StageState::Blocked)),
            Event::StageStarted { stage, .. } => Some((stage, StageState::Running)),
            Event::StageFinished { stage, outcome, tolerated, .. } => {
                Some((stage, StageState::ended(*outcome, *tolerated)))
            }
            _ => None,
        }
    }
}
