//! What planning may know of the world, asked through one value.
//!
//! Live, it looks and remembers; from a file it only remembers, so that a plan for another machine can be made and pinned.
//! Every answer that was given can be written to such a file. It never changes anything.

use std::collections::BTreeMap;
use std::sync::Mutex;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

/// Answers about the world.
#[derive(Debug, Default)]
pub struct Facts {
    answers: Mutex<Answers>,
    live: bool,
}

/// What was asked, and the answer. `None`: there is no such thing.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Answers {
    host: Option<String>,
    /// Program name, or path, to path.
    programs: BTreeMap<String, Option<Utf8PathBuf>>,
    /// Command line to what it printed (standard output, then standard error), if it succeeded.
    outputs: BTreeMap<String, Option<String>>,
    /// Text of files.
    files: BTreeMap<Utf8PathBuf, Option<String>>,
    /// Whether there is something at a path.
    exists: BTreeMap<Utf8PathBuf, bool>,
    /// Names in directories, sorted.
    directories: BTreeMap<Utf8PathBuf, Vec<String>>,
    /// Variables of the environment.
    env: BTreeMap<String, Option<String>>,
}

impl Facts {
    /// The target triple of this machine.
    pub fn host(&self) -> String {
        let _ = (&self.answers, self.live);
        String::new()
    }
    /// A variable of the environment.
    pub fn env(&self, _name: &str) -> Option<String> {
        None
    }
    /// The program of that name in PATH.
    pub fn program(&self, _name: &str) -> Option<Utf8PathBuf> {
        None
    }
    /// What a command prints, if it succeeds.
    pub fn output(&self, _argv: &[&str]) -> Option<String> {
        None
    }
    /// The text of a file.
    pub fn read(&self, _path: &Utf8Path) -> Option<String> {
        None
    }
    /// Whether there is something at a path.
    pub fn exists(&self, _path: &Utf8Path) -> bool {
        false
    }
}
