//! `drive`: a workload that drives a server. What it does with the server is in `crate::compare::background`.
//!
//! `wait-for`: a workload that a person runs.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use camino::Utf8PathBuf;

use crate::compare::background::Files;
use crate::compare::probe::Ended;
use crate::compare::request::{Background, Invocation, environment};
use crate::event::Fact;
use crate::plan::ops::given::{Drive, WaitFor};
use crate::plan::ops::{BadCommandLine, Driven, GivenValues};

impl Drive {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let wrong = |message| BadCommandLine { operation: "drive".into(), message };
        let Driven { served, run } = Driven::<GivenValues>::read(&self.commands).map_err(wrong)?;
        let cwd = std::env::current_dir().context("cannot find the working directory")?;
        let cwd = Utf8PathBuf::try_from(cwd).context("the working directory is not UTF-8")?;
        let invocation = |argv: Vec<String>| Invocation { argv, env: environment(), cwd: cwd.clone() };
        let background = Background {
            server: invocation(served.server),
            ready: invocation(served.ready),
            stop: Some(served.stop).filter(|stop| !stop.is_empty()).map(invocation),
            patience: Duration::try_from_secs_f64(served.patience).unwrap_or(Duration::MAX),
        };
        let probes = tempfile::tempdir().context("cannot make a directory for temporary files")?;
        let probes = Utf8PathBuf::try_from(probes.path().to_owned()).context("TMPDIR is not UTF-8")?;
        // Where this process prints to, by names that a process of its own has as well.
        let own = |number: u32| Utf8PathBuf::from(format!("/proc/{}/fd/{number}", std::process::id()));
        let files = Files { log: self.log.clone(), stdout: own(1), stderr: own(2), probes };
        match background.drive(&invocation(run), &files)?.ended {
            Ended::Code(0) => Ok(Vec::new()),
            ended => bail!(
                "the command that drives the program in the background {}; that one's log is {}",
                ended.describe(),
                self.log
            ),
        }
    }
}

/// Between two looks for the file.
const LOOK: Duration = Duration::from_millis(100);

impl WaitFor {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        while !self.file.exists() {
            std::thread::sleep(LOOK);
        }
        Ok(Vec::new())
    }
}
