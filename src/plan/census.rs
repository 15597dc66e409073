//! A list of the processes that a command started, which its supervisor writes and a companion reads: one JSON value a line.
//!
//! A process is a line when it is seen, another one when it runs another program or has mapped other files, and a last one when it has
//! ended. Lists of files are lines of their own, since thousands of processes have the same ones. Unaware of how processes are found, and
//! of what programs are for.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

/// In an attempt's directory.
pub const FILE: &str = "processes.jsonl";

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Under the number that a [`Line::Process`] has.
    Files {
        list: usize,
        files: Files,
    },
    Process {
        id: ProcessId,
        /// Its number in the PID namespaces that it is in, from the outermost one inwards.
        pids: Vec<u32>,
        list: usize,
        /// It was forked, and has not executed a program of its own.
        forked: bool,
    },
    Ended {
        id: ProcessId,
        how: Ending,
    },
}

/// The files that a process runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Files {
    pub program: Utf8PathBuf,
    /// All that are mapped as code, the program among them.
    pub mapped: Vec<Utf8PathBuf>,
}

/// Pid and start time, which name a process for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ProcessId(pub u32, pub u64);

/// How a process ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Another process has taken its status.
    #[default]
    Unknown,
    Code(i32),
    Signal(i32),
    /// It was left over, and SIGTERM had not ended it when its time was up.
    TooSlow,
}

/// A process that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub pids: Vec<u32>,
    pub files: Arc<Files>,
    pub forked: bool,
    pub how: Ending,
}

/// The processes of a list, by what was last said of each. What is not a line is passed over: a supervisor that is killed leaves half a
/// one.
///
/// # Errors
/// The file cannot be read.
pub fn read(file: &Utf8Path) -> io::Result<Vec<Seen>> {
    let mut lists: BTreeMap<usize, Arc<Files>> = BTreeMap::new();
    let mut seen: BTreeMap<ProcessId, Seen> = BTreeMap::new();
    let mut lines = BufReader::new(File::open(file)?);
    let mut text = Vec::new();
    while lines.read_until(b'\n', &mut text)? > 0 {
        match serde_json::from_slice(&text) {
            Ok(Line::Files { list, files }) => _ = lists.insert(list, Arc::new(files)),
            Ok(Line::Process { id, pids, list, forked }) => {
                if let Some(files) = lists.get(&list).cloned() {
                    seen.insert(id, Seen { pids, files, forked, how: Ending::Unknown });
                }
            }
            Ok(Line::Ended { id, how }) => {
                if let Some(process) = seen.get_mut(&id) {
                    process.how = how;
                }
            }
            Err(_) => {}
        }
        text.clear();
    }
    Ok(seen.into_values().collect())
}
