//! What the tests that kill runs share: a project directory, a run under way that can be killed, and a search for what is left.

pub mod crash;
pub mod gather;
pub mod pipelines;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

use crate::support::OPTBUILD;
use crate::support::processes::{HANG, all, eventually};

/// A copy of the program, and the directory that holds it. It may have been built below the home of root, where no other user can go.
pub fn program_of_everybody() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = dir.path().join("optbuild");
    fs::copy(OPTBUILD, &program).unwrap();
    (dir, program)
}

/// A directory with a pipeline. Commands see it as `$LC_DIR`, and every process of a run has it in its environment: `LC_*`
/// is part of the base environment, so that it reaches them without being part of a fingerprint.
pub struct Project {
    pub dir: Utf8PathBuf,
    _temporary: tempfile::TempDir,
}

impl Project {
    pub fn new(pipeline: &str) -> Project {
        let temporary = tempfile::tempdir().unwrap();
        let dir = Utf8PathBuf::try_from(temporary.path().canonicalize().unwrap()).unwrap();
        fs::write(dir.join("pipeline.toml"), pipeline).unwrap();
        Project { dir, _temporary: temporary }
    }

    pub fn state(&self) -> Utf8PathBuf {
        self.dir.join(".optbuild")
    }

    /// A command line of optbuild; `run` gets the pipeline.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_of(Path::new(OPTBUILD), args)
    }

    /// The same of another copy of the program.
    pub fn command_of(&self, program: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.arg(args[0]);
        if args[0] == "run" {
            command.arg("pipeline.toml");
        }
        command.args(&args[1..]).current_dir(&self.dir).env("LC_DIR", &self.dir).stdin(Stdio::null());
        command.env_remove("GITHUB_ACTIONS").env_remove("GITHUB_STEP_SUMMARY");
        command
    }

    /// Runs it to its end.
    pub fn finish(&self, args: &[&str]) -> Ended {
        Run::start(self.command(args)).ended()
    }

    /// The same, which must succeed.
    pub fn succeed(&self, args: &[&str]) -> Ended {
        let ended = self.finish(args);
        assert_eq!(ended.code(), Some(0), "{args:?}: {}", ended.output);
        ended
    }

    /// Starts it in a process group of its own.
    pub fn start(&self, args: &[&str]) -> Run {
        Run::start(self.command(args))
    }

    /// Makes the scripts wait at a point: [`pipelines::FUNCTIONS`].
    pub fn hold(&self, point: &str) {
        fs::write(self.dir.join(format!("hold-{point}")), "").unwrap();
    }

    pub fn release(&self, point: &str) {
        fs::remove_file(self.dir.join(format!("hold-{point}"))).unwrap();
    }

    /// Waits until a script has come to a point.
    pub fn reached(&self, point: &str) {
        let file = self.dir.join(format!("at-{point}"));
        assert!(eventually(|| file.exists()), "nothing came to {point}; {}", self.describe());
        fs::remove_file(file).unwrap();
    }

    /// What was done since the last call, in order: every script writes a word for each thing that it does.
    pub fn work(&self) -> Vec<String> {
        let path = self.dir.join("work");
        let text = fs::read_to_string(&path).unwrap_or_default();
        let _ = fs::remove_file(path);
        text.lines().map(String::from).collect()
    }

    /// Whether this was the last that was done. Unlike [`Project::work`] it takes nothing away, which a script may be about to write.
    pub fn has_done(&self, word: &str) -> bool {
        fs::read_to_string(self.dir.join("work")).is_ok_and(|text| text.lines().last() == Some(word))
    }

    /// Living processes that belong to runs of this project: pid and command line.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = format!("LC_DIR={}", self.dir);
        let mut found = Vec::new();
        for pid in all() {
            // One that has ended has no environment, and one that is being started may not have it yet.
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let line = String::from_utf8_lossy(&line).replace('\0', " ");
            if environment.split(|byte| *byte == 0).any(|entry| entry == mark.as_bytes())
                || line.contains(self.dir.as_str())
            {
                found.push((pid, line));
            }
        }
        found
    }

    /// Processes of this project whose command line has that in it.
    pub fn with_line(&self, part: &str) -> Vec<i32> {
        self.processes().into_iter().filter(|(_, line)| line.contains(part)).map(|(pid, _)| pid).collect()
    }

    pub fn supervisors(&self) -> Vec<i32> {
        self.with_line(" supervise ")
    }

    /// Those of commands, without that of what merges beside them.
    pub fn supervisors_of_commands(&self) -> Vec<i32> {
        let companions = self.with_line(" stream-merge ");
        let children = |pid: i32| fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let of_companion =
            |pid: i32| children(pid).split_whitespace().any(|child| companions.contains(&child.parse().unwrap()));
        self.supervisors().into_iter().filter(|pid| !of_companion(*pid)).collect()
    }

    /// Waits until nothing that belongs to this project runs any more.
    pub fn nothing_left(&self) {
        assert!(eventually(|| self.processes().is_empty()), "left: {:?}", self.processes());
    }

    /// Names below the state and output directories that only exist while something is under way.
    pub fn leftovers(&self) -> Vec<String> {
        let names = tree(&self.dir).into_keys().filter(|path| {
            path.split('/').any(|name| {
                [".tmp", ".gone-", ".merge-", ".put-", ".optbuild-"].iter().any(|start| name.starts_with(start))
            })
        });
        names.collect()
    }

    /// Names of the runs, in the order of time.
    pub fn runs(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.state().join("runs")) else { return Vec::new() };
        let mut runs: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        runs.sort();
        runs
    }

    pub fn journal(&self, run: &str) -> Utf8PathBuf {
        self.state().join("runs").join(run).join("journal.jsonl")
    }

    /// The events of a run. A last line that is not whole is what a kill may leave; any other must be readable.
    pub fn events(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.journal(run)).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The same of the last run, those of one kind.
    pub fn last_events(&self, kind: &str) -> Vec<Value> {
        let run = self.runs().pop().unwrap();
        self.events(&run).into_iter().filter(|event| event["event"] == kind).collect()
    }

    /// The stages that the last run began, in order.
    pub fn begun(&self) -> Vec<String> {
        self.last_events("stage-started").iter().map(|event| event["stage"].as_str().unwrap().to_owned()).collect()
    }

    /// The current record of a stage.
    pub fn record(&self, stage: &str) -> Option<Value> {
        let id = fs::read_to_string(self.state().join("names").join(stage)).ok()?;
        let text = fs::read(self.state().join("records").join(format!("{}.json", id.trim()))).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    /// Where an output stands.
    pub fn output(&self, stage: &str, name: &str) -> Utf8PathBuf {
        let record = self.record(stage).unwrap_or_else(|| panic!("{stage} has no record"));
        self.state().join(record["outputs"][name]["path"].as_str().unwrap())
    }

    /// Where a stage's outputs stand, whether it has a record or not.
    pub fn output_dir(&self, stage: &str) -> Utf8PathBuf {
        let below = self.state().join("outputs").join(stage);
        let name = fs::read_dir(&below).unwrap().next().unwrap().unwrap().file_name();
        below.join(name.to_str().unwrap())
    }

    /// What stands below `out/`, the outputs of the pipeline.
    pub fn outputs(&self) -> BTreeMap<String, Vec<u8>> {
        tree(&self.dir.join("out"))
    }

    /// For messages of tests that fail.
    pub fn describe(&self) -> String {
        let run = self.runs().pop().unwrap_or_default();
        let journal = fs::read_to_string(self.journal(&run)).unwrap_or_default();
        format!("processes: {:?}\njournal of {run}:\n{journal}", self.processes())
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // A test that fails must not leave its processes to the machine.
        for (pid, _) in self.processes() {
            let _ = kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
        }
    }
}

/// optbuild under way.
pub struct Run {
    child: Child,
    output: tempfile::NamedTempFile,
}

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub status: ExitStatus,
    /// Standard output and error.
    pub output: String,
}

impl Run {
    pub fn start(mut command: Command) -> Run {
        let output = tempfile::NamedTempFile::new().unwrap();
        command.stdout(output.reopen_append()).stderr(output.reopen_append()).process_group(0);
        Run { child: command.spawn().unwrap(), output }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    pub fn signal_group(&self, signal: Signal) {
        kill_process_group(Pid::from_raw(self.pid()).unwrap(), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub fn output(&self) -> String {
        fs::read_to_string(self.output.path()).unwrap_or_default()
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let began = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Ended { status, output: self.output() };
            }
            if began.elapsed() > HANG {
                let _ = self.child.kill();
                panic!("optbuild does not end: {}", self.output());
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    /// SIGKILL, and its end.
    pub fn kill(self) {
        self.signal(Signal::KILL);
        assert_eq!(self.ended().status.signal(), Some(9));
    }
}

impl Ended {
    pub fn code(&self) -> Option<i32> {
        self.status.code()
    }
}

trait Append {
    fn reopen_append(&self) -> fs::File;
}

impl Append for tempfile::NamedTempFile {
    fn reopen_append(&self) -> fs::File {
        fs::File::options().append(true).open(self.path()).unwrap()
    }
}

/// Files below a directory, with what is in them; of a link its target.
pub fn tree(dir: &Utf8Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(dir).into_iter().flatten() {
        let name = entry.path().strip_prefix(dir).unwrap().to_string_lossy().into_owned();
        if entry.file_type().is_file() {
            found.insert(name, fs::read(entry.path()).unwrap_or_default());
        } else if entry.file_type().is_symlink() {
            found.insert(name, fs::read_link(entry.path()).unwrap().to_string_lossy().into_owned().into_bytes());
        } else if !name.is_empty() && fs::read_dir(entry.path()).is_ok_and(|mut below| below.next().is_none()) {
            found.insert(format!("{name}/"), Vec::new());
        }
    }
    found
}

pub fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
