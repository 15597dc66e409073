//! What the tests of processes share: launches in a directory of their own, and finding what was left of a tree.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::OPTBUILD;
use crate::support::processes::{eventually, marked};
use camino::{Utf8Path, Utf8PathBuf};
use optbuild::run::process::{Launch, Process, StartError};

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
        assert!(eventually(|| self.running().len() >= count), "{:?}", self.running());
    }

    /// Waits for a file that a script makes.
    pub fn wait_file(&self, name: &str) {
        assert!(eventually(|| self.dir.join(name).exists()), "{name} was not made");
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
        grace: Duration::from_secs(10),
        census: None,
        leave: None,
    }
}

/// Seven processes: children, a session of its own with children, and a daemon whose parents have ended.
pub const TREE: &str = "sleep 3000 &
    setsid sh -c 'sleep 3000 & sleep 3000 & wait' &
    (setsid sh -c 'sleep 3000 & exit' &)
    touch ready; sleep 3000; exit 3";
pub const TREE_SIZE: usize = 7;

pub const NOTHING: [i32; 0] = [];
