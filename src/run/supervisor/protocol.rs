//! What runner and supervisor say to each other: one JSON value per line.
//!
//! The runner writes the [`Launch`] and then [`Order`]s to the supervisor's standard input, whose end means that the runner is
//! gone. The supervisor writes [`Report`]s to its standard output. Unaware of how either side acts on them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::run::process::{Exit, StartError};

/// A command to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launch {
    /// The program and its arguments. A program without `/` is looked for in the `PATH` of `env`; a relative one with `/` is
    /// relative to `cwd`.
    pub argv: Vec<String>,
    /// The complete environment.
    pub env: BTreeMap<String, String>,
    pub cwd: Utf8PathBuf,
    /// What it reads; nothing, if there is none.
    #[serde(default)]
    pub stdin: Option<Utf8PathBuf>,
    /// Where the output goes; appended to, made if missing. Both may be the same file.
    pub stdout: Utf8PathBuf,
    pub stderr: Utf8PathBuf,
}

/// What the runner wants of a supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Order {
    /// SIGTERM to the tree; SIGKILL after so many milliseconds.
    End {
        grace: u64,
    },
    Pause,
    Resume,
}

/// What a supervisor has to say.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    Started,
    Refused(StartError),
    /// The command has exited, and nothing of its tree is left.
    Exited(Exit),
}

/// A clock that stands still while the tree is paused.
#[derive(Debug)]
pub(crate) struct RunningClock {
    started: Instant,
    paused: Duration,
    paused_since: Option<Instant>,
}

impl RunningClock {
    pub(crate) fn start() -> RunningClock {
        RunningClock { started: Instant::now(), paused: Duration::ZERO, paused_since: None }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        let until = self.paused_since.unwrap_or_else(Instant::now);
        until.duration_since(self.started).saturating_sub(self.paused)
    }

    pub(crate) fn pause(&mut self) {
        self.paused_since.get_or_insert_with(Instant::now);
    }

    pub(crate) fn resume(&mut self) {
        if let Some(since) = self.paused_since.take() {
            self.paused += since.elapsed();
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        self.paused_since.is_some()
    }
}
