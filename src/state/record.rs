//! What is kept of a finished stage.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use crate::event::Fact;
use crate::names::{FingerprintId, RunId, StageName};
use crate::pipeline::OutputRef;

/// A stage that finished under a fingerprint. It exists only while its outputs exist, complete and on disk, or are held in a cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub stage: StageName,
    /// The pipeline's name.
    pub pipeline: String,
    /// The run that made it.
    pub run: RunId,
    pub fingerprint: Fingerprint,
    /// The state directory in which it was made: outputs that are not portable are good only there.
    pub made_in: Utf8PathBuf,
    pub outcome: RecordOutcome,
    pub outputs: BTreeMap<String, OutputRecord>,
    /// The outputs of other stages that it was made from.
    pub inputs: Vec<InputRecord>,
    pub finished: Timestamp,
    /// Seconds, with those of earlier runs that it went on from.
    pub duration: f64,
    /// What operations reported, in order.
    pub facts: Vec<Fact>,
    /// The outputs are not here, but there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// The cache from which the outputs of a stage can be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Held {
    /// Its name.
    pub cache: String,
    /// Where it is.
    pub place: String,
    pub scope: String,
    pub key: String,
    /// The outputs work at another place only: their hashes are known, and the files are of no use here.
    pub elsewhere: bool,
}

/// How the stage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RecordOutcome {
    Done,
    /// It failed under `on-failure = "continue"`, and is not tried again until its fingerprint changes or it is forced. Has no
    /// outputs.
    Failed,
}

/// An output of a finished stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputRecord {
    /// Relative to the state directory.
    pub path: Utf8PathBuf,
    /// Names the manifest and says what the content is.
    pub hash: String,
    pub bytes: u64,
    pub files: u64,
    pub portable: bool,
    pub show: bool,
}

/// An output of another stage that went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputRecord {
    pub stage: StageName,
    pub output: String,
    /// The producer's fingerprint, and the hash of the output.
    pub fingerprint: FingerprintId,
    pub hash: String,
}

/// Outputs are asked for by their path, and are not there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the outputs of stage `{stage}` are in the cache `{cache}`; `optbuild cache pull {stage}` gets them")]
pub struct NotHere {
    stage: StageName,
    cache: String,
}

impl Record {
    /// Whether its outputs stand at their paths.
    ///
    /// # Errors
    /// They are held in a cache.
    pub fn is_here(&self) -> Result<(), NotHere> {
        match &self.held {
            None => Ok(()),
            Some(held) => Err(NotHere { stage: self.stage.clone(), cache: held.cache.clone() }),
        }
    }
}

impl InputRecord {
    /// The reference it was for.
    pub fn output_ref(&self) -> OutputRef {
        OutputRef { stage: self.stage.to_string(), output: self.output.clone() }
    }
}
