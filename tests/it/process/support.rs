//! What the tests of processes share: launches in a directory of their own, and finding what was left of a tree.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::run::process::{Launch, Process, StartError};

pub const OPTBUILD: &str = env!("CARGO_BIN_EXE_optbuild");
pub const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A directory, and a mark in the environment of everything that is started from it.
pub struct Place {
    pub dir: Utf8PathBuf,
    pub mark: String,
    _temporary: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Place {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Utf8PathBuf::try_from(temporary.path().canonicalize().unwrap()).unwrap();
        let mark = format!("MARK={dir}");
        Place { dir, mark, _temporary: temporary }
    }

    /// The environment holds `MARK` and `PATH`.
    pub fn launch(&self, argv: &[&str]) -> Launch {
        launch(&self.dir, argv)
    }

    pub fn start(&self, argv: &[&str]) -> Result<Process, StartError> {
        Process::start(OPTBUILD.into(), &self.launch(argv))
    }

    pub fn shell(&self, script: &str) -> Process {
        self.start(&["sh", "-c", script]).unwrap()
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    /// The living processes that were started from here.
    pub fn running(&self) -> Vec<i32> {
        marked(&self.mark)
    }

    /// Waits until that many processes, at least, run from here.
    pub fn wait_running(&self, count: usize) {
        assert!(eventually(Duration::from_secs(20), || self.running().len() >= count), "{:?}", self.running());
    }

    /// Waits for a file that a script makes.
    pub fn wait_file(&self, name: &str) {
        assert!(eventually(Duration::from_secs(20), || self.dir.join(name).exists()), "{name} was not made");
    }
}

pub fn launch(dir: &Utf8Path, argv: &[&str]) -> Launch {
    Launch {
        argv: argv.iter().map(|arg| (*arg).to_owned()).collect(),
        env: BTreeMap::from([("MARK".into(), dir.to_string()), ("PATH".into(), PATH.into())]),
        cwd: dir.to_owned(),
        stdin: None,
        stdout: dir.join("log"),
        stderr: dir.join("log"),
    }
}

pub fn eventually(timeout: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + timeout;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Living processes with this entry in their environment; a dead one has no environment.
pub fn marked(entry: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes()) {
            found.push(pid);
        }
    }
    found
}

/// The state letter of `/proc/PID/stat`.
pub fn state(pid: i32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Stopped, or waiting for a child that was stopped between its `vfork` and `exec`, as shells and ninja start commands.
pub fn is_stopped(pid: i32) -> bool {
    matches!(state(pid), Some('T' | 'D'))
}

pub fn kill(pid: u32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// Seven processes: children, a session of its own with children, and a daemon whose parents have ended.
pub const TREE: &str = "sleep 300 &
    setsid sh -c 'sleep 300 & sleep 300 & wait' &
    (setsid sh -c 'sleep 300 & exit' &)
    touch ready; sleep 300; exit 3";
pub const TREE_SIZE: usize = 7;

pub const NOTHING: [i32; 0] = [];
