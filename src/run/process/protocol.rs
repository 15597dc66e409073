//! What runner and supervisor say to each other: one JSON value per line.
//!
//! The runner writes the [`Launch`] and then [`Order`]s to the supervisor's standard input, whose end means that the runner is
//! gone. The supervisor writes [`Report`]s to its standard output: whether the command was started, and how it ended. Unaware of how
//! either side acts on them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};

use crate::event::Usage;

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
    /// How long what it leaves running has to end by itself, after SIGTERM.
    pub grace: Duration,
    /// Where the processes that it starts are listed.
    #[serde(default)]
    pub census: Option<Utf8PathBuf>,
    /// How long processes that outlive the command may take to exit by themselves; otherwise a moment.
    #[serde(default)]
    pub leave: Option<Duration>,
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

/// A command that has ended, with its whole tree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    pub status: ExitKind,
    /// Of the whole tree. `wall` leaves out the time in which the tree was paused.
    pub usage: Usage,
    /// Names of the processes that the command left running, and that were ended: servers of compiler caches, daemons.
    pub left_behind: Vec<String>,
    /// Names of those among them that had to be killed.
    #[serde(default)]
    pub killed: Vec<String>,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitKind {
    Code(i32),
    Signal(i32),
    /// Its supervisor was killed, so it is not known. Its tree was ended all the same.
    Lost,
}

impl Exit {
    /// It exited with status 0.
    pub fn success(&self) -> bool {
        self.status == ExitKind::Code(0)
    }

    /// What comes after "the command": `exited with status 1`.
    pub fn describe(&self) -> String {
        match self.status {
            ExitKind::Code(code) => format!("exited with status {code}"),
            ExitKind::Signal(signal) => match (signal_hook::low_level::signal_name(signal), meaning(signal)) {
                (Some(name), Some(meaning)) => format!("was killed by {name} ({meaning})"),
                (Some(name), None) => format!("was killed by {name}"),
                (None, _) => format!("was killed by signal {signal}"),
            },
            ExitKind::Lost => "was ended because its supervising process was killed".into(),
        }
    }
}

fn meaning(signal: i32) -> Option<&'static str> {
    use signal_hook::consts::*;
    Some(match signal {
        SIGSEGV => "segmentation fault",
        SIGABRT => "aborted",
        SIGBUS => "bus error: a mapped file was truncated, or the disk is full",
        SIGFPE => "arithmetic error",
        SIGILL => "illegal instruction",
        SIGKILL => "killed, often for lack of memory",
        SIGTERM => "terminated",
        SIGINT => "interrupted",
        SIGHUP => "hung up",
        SIGPIPE => "broken pipe",
        SIGTRAP => "trap",
        SIGXCPU => "CPU time limit",
        SIGXFSZ => "file size limit",
        SIGSYS => "forbidden system call",
        _ => return None,
    })
}

/// Why a command was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartError {
    #[error("the program `{program}` was not found in PATH ({path}): install it, or give its path")]
    NotInPath { program: String, path: String },
    #[error("the program `{program}` does not exist")]
    NoFile { program: Utf8PathBuf },
    #[error(
        "`{program}` is there, and what runs it is not: a script names its interpreter in the first line, a linked program its loader (`readelf -l`)"
    )]
    NoInterpreter { program: Utf8PathBuf },
    #[error(
        "`{program}` is not executable by this user: `chmod +x` may be missing, or its file system is mounted `noexec`"
    )]
    NotExecutable { program: Utf8PathBuf },
    #[error("the working directory `{cwd}` cannot be used: {cause}")]
    NoDirectory { cwd: Utf8PathBuf, cause: String },
    #[error("the log `{path}` cannot be written: {cause}")]
    Log { path: Utf8PathBuf, cause: String },
    #[error("`{program}` could not be started: {cause}")]
    Other { program: String, cause: String },
    #[error("the supervising process failed: {cause}")]
    Supervisor { cause: String },
}
