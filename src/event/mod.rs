//! Everything that leaves the runner: typed events, for the journal, the terminal, `--json` and the report.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

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
        run: String,
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
        forced: Vec<String>,
        /// In the order of the file: all stages of the pipeline that are on.
        stages: Vec<String>,
        jobs: usize,
        version: String,
        pid: u32,
    },
    /// The stage's record is good.
    StageUpToDate {
        stage: String,
        fingerprint: String,
        saved: f64,
    },
    /// Outside of the selection, switched off, or skipped.
    StageSkipped {
        stage: String,
        reason: String,
    },
    /// What it depends on has no output.
    StageBlocked {
        stage: String,
        by: String,
    },
    StageStarted {
        stage: String,
        fingerprint: String,
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
        stage: String,
        tools: Vec<ToolVersion>,
    },
    /// What the commands under way use: about once a second, less often in long runs.
    Sampled {
        trees: Vec<TreeSample>,
    },
    /// Decisions of the plan, and things that the user should know.
    Note {
        stage: String,
        text: String,
    },
    /// A supervisor was started for a command: what a later run must end if this one is killed.
    ProcessStarted {
        stage: String,
        step: String,
        pid: u32,
        start_time: u64,
    },
    StepStarted {
        stage: String,
        step: String,
        /// Ready to paste, directory and all, without secrets.
        command: String,
        cwd: Utf8PathBuf,
        log: Utf8PathBuf,
    },
    /// A step that is a pool of workloads begins; it is open until the `step-finished` of the same step. Steps that start
    /// meanwhile in the stage are of its attempts.
    PoolStarted {
        stage: String,
        step: String,
        workloads: usize,
        /// How many of them count already, because an earlier run committed them.
        committed: usize,
    },
    /// A number that an operation reported. A name with a slash, `GROUP/NAME`, is a detail that only reports show:
    ///
    /// - `inner/NAME`, in `s`: how long a step of a build tool inside of this step took
    /// - `dyno-before/NAME`, `dyno-after/NAME`: llvm-bolt's estimates of what is executed
    /// - `bolt/NAME`: what llvm-bolt found and did
    Fact {
        stage: String,
        step: String,
        name: String,
        value: f64,
        unit: String,
    },
    StepFinished {
        stage: String,
        step: String,
        outcome: Outcome,
        usage: Usage,
    },
    /// A workload's result counts from here on.
    WorkloadCommitted {
        stage: String,
        workload: String,
        attempt: u32,
    },
    /// A step or workload is tried again.
    Retrying {
        stage: String,
        step: String,
        attempt: u32,
        of: u32,
    },
    StageFinished {
        stage: String,
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
    RunFinished {
        outcome: Outcome,
        duration: f64,
    },
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
    pub stage: String,
    pub step: String,
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
    pub step: String,
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
