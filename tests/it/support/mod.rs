//! A pipeline in a directory of its own, and the program run on it, so that a test reads like what a person types at the terminal.
//!
//! Stages tell that they ran through small programs on their PATH, which write outside of the directory. Unaware of what
//! is tested.

pub mod dir;
pub mod dispositions;
pub mod kill;
pub mod needs;
pub mod processes;
pub mod profile;
mod ran;
pub mod real;
mod span;
mod started;

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

pub use ran::Ran;
pub use span::Span;
pub use started::Started;

pub const OPTBUILD: &str = env!("CARGO_BIN_EXE_optbuild");

/// A stage of the kind `command` with a shell script. Whenever it runs, its name is added to [`Ran::ran`].
pub fn stage(name: &str, keys: &str, script: &str) -> String {
    format!(
        "[[stage]]\nname = '{name}'\nkind = 'command'\nshell = true\n{keys}\nrun = '''\nmark {name}\n{script}\n'''\n"
    )
}

/// A directory with a pipeline in it, and another one for what tells that stages ran.
pub struct Test {
    /// What the program works on: the working directory, with the pipeline `p.toml`.
    pub dir: Utf8PathBuf,
    /// Programs for stages, and what they write. No part of any source.
    pub aside: Utf8PathBuf,
    env: Vec<(String, String)>,
    _temporary: tempfile::TempDir,
}

impl Test {
    /// With the parts of `p.toml`: `[vars]` and the like first, then stages.
    pub fn new<S: AsRef<str>>(pipeline: impl IntoIterator<Item = S>) -> Test {
        let temporary = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(temporary.path().canonicalize().unwrap()).unwrap();
        let (dir, aside) = (root.join("work"), root.join("aside"));
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::create_dir_all(aside.join("bin")).unwrap();
        let test = Test { dir, aside, env: Vec::new(), _temporary: temporary };
        test.pipeline(pipeline);
        test.program("mark", &format!("echo \"$*\" >> {}", test.marks()));
        // Waits until the test opens the gate; ends by itself if it never does.
        test.program(
            "gate",
            &format!("i=0\nuntil [ -e {}/gate-$1 ] || [ $i = 90000 ]; do sleep 0.01; i=$((i+1)); done", test.aside),
        );
        // `meet NAME COUNT` waits until so many are there at once; fails by itself if they never are.
        test.program(
            "meet",
            &format!(
                "i=0\n: > {0}/met-$1\nuntil [ $(ls {0}/met-* | wc -l) = $2 ]; do sleep 0.01; i=$((i+1)); [ $i != 90000 ]; done",
                test.aside
            )
            .replacen("i=0", "set -e\ni=0", 1),
        );
        test.program(
            "span",
            &format!("b=$(date +%s%N)\nsleep $2\necho \"$1 $b $(date +%s%N)\" >> {}", test.aside.join("spans")),
        );
        test
    }

    /// Writes the pipeline anew.
    pub fn pipeline<S: AsRef<str>>(&self, parts: impl IntoIterator<Item = S>) {
        let parts: Vec<String> = parts.into_iter().map(|part| part.as_ref().to_owned()).collect();
        self.write("p.toml", &parts.join("\n"));
    }

    /// Adds a file before it is run.
    #[must_use]
    pub fn file(self, path: &str, text: &str) -> Test {
        self.write(path, text);
        self
    }

    /// Adds a variable to the program's environment, which otherwise has PATH and HOME only.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Test {
        self.env.push((name.into(), value.into()));
        self
    }

    /// A shell script on the PATH of the program and of its stages.
    pub fn program(&self, name: &str, script: &str) -> Utf8PathBuf {
        let path = self.aside.join("bin").join(name);
        // Another inode: the old one may be running.
        let fresh = self.aside.join("fresh");
        processes::write_program(&fresh, &format!("#!/bin/sh\n{script}\n"));
        std::fs::rename(&fresh, &path).unwrap();
        path
    }

    pub fn path(&self, path: &str) -> Utf8PathBuf {
        self.dir.join(path)
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Replaces a text in the pipeline, which must be there.
    pub fn change(&self, from: &str, to: &str) {
        let text = self.read("p.toml");
        assert!(text.contains(from), "{text}");
        self.write("p.toml", &text.replace(from, to));
    }

    /// A shell command in the directory, which must succeed.
    pub fn sh(&self, script: &str) {
        let status = Command::new("sh").args(["-euc", script]).current_dir(&self.dir).status().unwrap();
        assert!(status.success(), "{script}: {status}");
    }

    /// Lets stages pass that wait at `gate NAME`.
    pub fn open(&self, gate: &str) {
        std::fs::write(self.aside.join(format!("gate-{gate}")), "").unwrap();
    }

    /// Lets stages wait there again.
    pub fn close(&self, gate: &str) {
        std::fs::remove_file(self.aside.join(format!("gate-{gate}"))).unwrap();
    }

    /// `optbuild run p.toml` with more words.
    pub fn run(&self, words: &str) -> Ran {
        self.cmd(&format!("run p.toml {words}"))
    }

    /// `optbuild` with these words, split as a shell does, to its end.
    pub fn cmd(&self, words: &str) -> Ran {
        self.cmd_in(".", words)
    }

    /// The same in a directory below.
    pub fn cmd_in(&self, dir: &str, words: &str) -> Ran {
        let before = self.marked().len();
        let output = self.command(dir, words).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().replace(self.dir.as_str(), "[DIR]");
        Ran {
            words: words.into(),
            code: output.status.code(),
            stdout: text(output.stdout),
            stderr: span::without_times(&text(output.stderr)),
            marks: self.marked().split_off(before),
        }
    }

    /// `optbuild run p.toml` with more words, without waiting for its end.
    pub fn start(&self, words: &str) -> Started<'_> {
        self.start_cmd(&format!("run p.toml {words}"))
    }

    /// `optbuild` with these words, without waiting for its end.
    pub fn start_cmd(&self, words: &str) -> Started<'_> {
        let mut command = self.command(".", words);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Started { test: self, before: self.marked().len(), child: Some(command.spawn().unwrap()) }
    }

    fn command(&self, dir: &str, words: &str) -> Command {
        let mut command = Command::new(OPTBUILD);
        command.args(shlex::split(words).unwrap()).current_dir(self.path(dir)).stdin(Stdio::null());
        command.env_clear().env("PATH", format!("{}:/usr/local/bin:/usr/bin:/bin", self.aside.join("bin")));
        command.env("HOME", &self.aside).env("TZ", "UTC").envs(self.env.iter().cloned());
        command
    }

    /// What stages marked so far, in this order.
    pub fn marked(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.marks()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// When the commands `span NAME SECONDS` ran.
    pub fn spans(&self) -> Vec<Span> {
        span::read(&self.aside.join("spans"))
    }

    fn marks(&self) -> Utf8PathBuf {
        self.aside.join("marks")
    }

    /// All files below a directory.
    pub fn files_below(&self, dir: &str) -> Vec<Utf8PathBuf> {
        let entries = walkdir::WalkDir::new(self.path(dir)).into_iter().map(Result::unwrap);
        let files = entries.filter(|entry| entry.file_type().is_file());
        let paths = files.map(|entry| Utf8PathBuf::try_from(entry.into_path()).unwrap());
        paths.collect()
    }

    /// The fingerprints of the records in a state directory, by stage.
    pub fn fingerprints(&self, state: &str) -> Vec<(String, String)> {
        let names = self.path(state).join("names").read_dir_utf8().unwrap();
        let read = |path: &Utf8Path| std::fs::read_to_string(path).unwrap().trim().to_owned();
        let mut found: Vec<_> =
            names.map(Result::unwrap).map(|entry| (entry.file_name().to_owned(), read(entry.path()))).collect();
        found.sort();
        found
    }
}
