//! What a run does with a stage, as data: it is up to date, it runs and why, or it cannot be known yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;

use crate::pipeline::OutputRef;
use crate::plan::StagePlan;
use crate::state::fingerprint::Fingerprint;
use crate::state::record::{InputRecord, Record};

/// Why a stage runs that an earlier run began and did not bring to its end.
pub const BEGUN: &str = "it was begun and not finished";

/// What a stage is that is off because the profile that it is for comes out of a bundle.
pub const SPARED: &str = "not needed: what it is for comes out of the bundle of `--profiles`";

/// What is known of a stage that others depend on.
#[derive(Debug, Clone)]
pub enum Settled {
    /// It has outputs.
    Done(Arc<Record>),
    /// It has none, and will have none in this run. Why, as in "stage `a` is switched off".
    Unavailable { why: String, failed: bool },
    /// It failed, which is not tolerated, or it lies outside of the selection and its outputs cannot be used. No fallback is
    /// taken for it: that would change what is built.
    OutOfReach(String),
    /// It will run, or might.
    Open,
}

/// What is to be done with a stage.
#[derive(Debug)]
pub enum Verdict {
    UpToDate(Arc<Record>, Box<StagePlan>),
    /// Its record is not up to date, and it is used all the same (`--accept-stale`, `--skip`).
    Stale(Arc<Record>),
    Run(Box<Work>),
    /// Whether it runs depends on what this stage makes.
    DependsOn(String, Box<StagePlan>),
    /// Its workspace must be brought into the right state by this stage first.
    NeedsFirst {
        stage: String,
        reason: String,
        /// The nearest stage that can start: where a selection has to begin that does without another stage before it.
        begin: String,
    },
    /// It cannot have outputs: it is off, skipped, or what it needs has none.
    Unavailable {
        why: String,
        blocked_by: Option<String>,
        /// Whether references to it take their fallback.
        fallback: bool,
    },
    /// It failed under the same fingerprint, and that was tolerated.
    FailedBefore(Arc<Record>),
    /// It lies outside of the selection and has no outputs that can be used.
    OutOfReach(String),
}

/// A stage that is ready to run.
#[derive(Debug)]
pub struct Work {
    pub plan: StagePlan,
    pub fingerprint: Fingerprint,
    pub inputs: Vec<InputRecord>,
    /// Where the inputs stand, with their hashes.
    pub input_paths: BTreeMap<OutputRef, (Utf8PathBuf, String)>,
    /// Why it runs.
    pub reasons: Vec<String>,
    /// Its committed workloads do not count.
    pub forced: bool,
    /// The fingerprint of the stage before it in its workspace.
    pub predecessor: Option<String>,
    /// The stages behind it in its workspace, which start from what it leaves.
    pub successors: Vec<String>,
}

impl Verdict {
    /// A stage that does not run, and does not fail.
    pub fn off(why: String) -> Verdict {
        Verdict::Unavailable { why, blocked_by: None, fallback: true }
    }

    /// A stage that depends on one that is out of reach, and is itself for those that depend on it.
    pub fn cut_off(why: &str, by: &str) -> Verdict {
        Verdict::Unavailable { why: why.into(), blocked_by: Some(by.into()), fallback: false }
    }
}
