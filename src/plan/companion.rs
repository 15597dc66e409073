//! A pool's companion, and what it and the runner say to each other: one JSON value per line.
//!
//! The runner writes [`Told`] to the companion's standard input, whose end means that the runner is gone or has no more use for
//! it. The companion writes [`Said`] to its standard output. Unaware of what a companion does with it.

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use super::{Op, Step};
use crate::event::Fact;
use crate::names::WorkloadName;

/// A command that lives as long as a pool: it is told of each attempt that begins and ends, and is asked to finish at the end.
/// What it makes of an attempt stands in the attempt's directory before that is committed.
#[derive(Debug, Clone)]
pub struct Companion {
    /// Of its log and its events, unique in the stage.
    pub name: String,
    pub op: Op,
    /// What a script does instead, in each attempt, after the workload. Determines the same result, so it stands for the companion
    /// in fingerprints.
    pub instead: Vec<Step>,
}

/// What a companion is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Told {
    /// An attempt of a workload is about to begin in this directory; it waits for [`Said::Ready`].
    Begin {
        id: u64,
        workload: WorkloadName,
        slot: usize,
        dir: Utf8PathBuf,
        /// What will run, for messages.
        command: String,
    },
    /// Nothing of the attempt runs any more. It goes on after [`Said::Done`]. If it does not `count`, its directory is removed then.
    End { id: u64, counts: bool },
    /// The directory of the attempt that counts has been committed under this name.
    Committed { name: String },
    /// There will be no more attempts: end.
    Finish,
}

/// What a companion says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Said {
    Ready {
        id: u64,
    },
    Done {
        id: u64,
        facts: Vec<Fact>,
    },
    /// The attempt fails, whatever becomes of its workload, which is ended.
    Failed {
        id: u64,
        what: String,
        /// The failure is of this machine.
        machine: bool,
    },
    /// All workloads are to be stopped where they are, or to go on.
    Hold(bool),
    /// Something that a person should know.
    Note(String),
    /// Numbers of the whole pool.
    Facts(Vec<Fact>),
}
