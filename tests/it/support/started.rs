//! The program while it runs: waiting for a stage, sending signals.

use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::processes::{HANG, eventually};
use super::{Ran, Test, span};

/// A run under way. It is killed when this is dropped.
pub struct Started<'t> {
    pub(super) test: &'t Test,
    pub(super) before: usize,
    pub(super) child: Option<Child>,
}

impl Started<'_> {
    /// Waits until a stage has marked this.
    #[track_caller]
    pub fn wait_for(&self, mark: &str) -> &Self {
        let began = Instant::now();
        while !self.test.marked()[self.before..].iter().any(|line| line == mark) {
            assert!(began.elapsed() < HANG, "`{mark}` was not marked: {:?}", self.test.marked());
            std::thread::sleep(Duration::from_millis(5));
        }
        self
    }

    /// Waits until the journal of a run has a line with all of this in it.
    #[track_caller]
    pub fn wait_for_event(&self, parts: &[&str]) -> &Self {
        let has = |journal: &str| journal.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        let journals =
            || self.test.files_below(".optbuild/runs").into_iter().filter(|path| path.ends_with("journal.jsonl"));
        let is_said = || journals().any(|path| has(&std::fs::read_to_string(path).unwrap_or_default()));
        assert!(eventually(is_said), "no event with {parts:?}");
        self
    }

    /// As Ctrl-C does.
    pub fn interrupt(&self) -> &Self {
        self.signal(Signal::INT)
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub fn kill(&self) -> &Self {
        self.signal(Signal::KILL)
    }

    pub fn signal(&self, signal: Signal) -> &Self {
        let pid = self.child.as_ref().map(Pid::from_child).unwrap();
        kill_process(pid, signal).unwrap();
        self
    }

    /// Waits for its end. The exit code of a killed run is -1.
    pub fn end(mut self) -> Ran {
        let output = self.child.take().unwrap().wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(self.test.dir.as_str(), "[DIR]");
        Ran {
            words: "run p.toml".into(),
            code: output.status.code().or(Some(-1)),
            stdout: text(output.stdout),
            stderr: span::without_times(&text(output.stderr)),
            marks: self.test.marked().split_off(self.before),
        }
    }
}

impl Drop for Started<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
