//! The operation that measures builds against each other, and the workloads on its command line.
//!
//! Options of measuring are those of `optbuild compare` and are passed on as they are written; unaware of what they mean.

use camino::Utf8PathBuf;

use super::background::{Served, counted, words_of};
use super::{Many, Maybe, One, ShellLine, ShellWord, Values, Words, operations, shell};
use crate::plan::Arg;

operations! {
    /// Runs workloads on builds in turns and says what differs, as JSON, Markdown and text.
    "compare" Compare, in a script compare {
        /// What is compared with: a program, or a directory with `bin/rustc`.
        base: Maybe<Utf8PathBuf> = "--base",
        /// How it is called.
        base_name: Maybe<String> = "--base-name",
        /// Its own environment, as `NAME=VALUE`.
        base_env: Many<String> = "--base-env",
        /// What is compared.
        candidate: Maybe<Utf8PathBuf> = "--candidate",
        /// How it is called.
        candidate_name: Maybe<String> = "--candidate-name",
        /// Its own environment, as `NAME=VALUE`.
        candidate_env: Many<String> = "--candidate-env",
        /// Builds on the way from the base to the candidate: each a program, and how it is called.
        step: Many<String, 0, 2> = "--step",
        /// Files whose sizes are compared: a name, the base's file and the candidate's.
        size: Many<String, 0, 3> = "--size",
        /// Instead of a base and a candidate, any number of builds, the base first: how it is called, the program or nothing, and the name of the one
        /// that it is held against or nothing.
        side: Many<String, 0, 3> = "--side",
        /// A build that is not there, by its name, and why.
        missing: Many<String, 0, 2> = "--missing",
        /// A build's own environment: its name and `NAME=VALUE`.
        side_env: Many<String, 0, 2> = "--side-env",
        /// A file of a build: the build's name, the name that other builds' files have too, the file.
        side_size: Many<String, 0, 3> = "--side-size",
        /// What a build is: its name and a sentence.
        about: Many<String, 0, 2> = "--about",
        /// What builds cost, in a file.
        costs: Maybe<Utf8PathBuf> = "--costs",
        /// Where the result goes.
        out: One<Utf8PathBuf> = "--out",
        /// A directory for what is printed and counted.
        scratch: One<Utf8PathBuf> = "--scratch",
        /// How it is measured: options of `optbuild compare`.
        options: Words = "…",
        /// Workloads, each as `workload NAME [env NAME=VALUE]… [cwd DIR | own-cwd DIR] [patience SECONDS server COUNT WORD…
        /// ready COUNT WORD… [stop COUNT WORD…]] run COUNT WORD…`.
        workloads: Words = "--",
    }
}

/// A workload on the command line.
#[derive(Debug, Clone, PartialEq)]
pub struct ComparedWorkload<V: Values> {
    pub name: V::Of<String>,
    /// As `NAME=VALUE`.
    pub env: Vec<V::Of<String>>,
    pub cwd: Option<V::Of<Utf8PathBuf>>,
    /// The working directory is made: it is one of the stage's own, or none was named.
    pub own_cwd: bool,
    /// What the command drives, and what is measured then.
    pub served: Option<Served<V>>,
    pub words: Vec<V::Of<String>>,
}

impl<V: Values> ComparedWorkload<V> {
    /// The words of [`Compare::workloads`] that say it.
    pub fn write(&self) -> Vec<Arg> {
        let mut to = vec!["workload".into(), V::write(&self.name)];
        to.extend(self.env.iter().flat_map(|pair| ["env".into(), V::write(pair)]));
        if let Some(cwd) = &self.cwd {
            to.extend([if self.own_cwd { "own-cwd" } else { "cwd" }.into(), V::write(cwd)]);
        }
        to.extend(self.served.iter().flat_map(Served::write));
        to.extend(counted::<V>("run", &self.words));
        to
    }

    /// Reads all of them back.
    ///
    /// # Errors
    /// A sentence that says which word is wrong.
    pub fn read(words: &[String]) -> Result<Vec<ComparedWorkload<V>>, String> {
        let mut all: Vec<ComparedWorkload<V>> = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let Some(value) = words.next() else { return Err(format!("`{word}` has no value")) };
            match (word.as_str(), all.last_mut()) {
                ("workload", _) => {
                    let (env, words) = (Vec::new(), Vec::new());
                    let (name, cwd, served) = (V::read(value)?, None, None);
                    all.push(ComparedWorkload { name, env, cwd, own_cwd: true, served, words });
                }
                ("env", Some(last)) => last.env.push(V::read(value)?),
                ("cwd" | "own-cwd", Some(last)) => {
                    (last.cwd, last.own_cwd) = (Some(V::read(value)?), word == "own-cwd");
                }
                ("run", Some(last)) => last.words = words_of::<V>(value, &mut words)?,
                (_, last) => {
                    let read = last.map(|last| Served::read(&mut last.served, word, value, &mut words));
                    if read.transpose()?.flatten().is_none() {
                        return Err(format!("`{word}` is none of `workload`, `env`, `cwd`, `own-cwd`, `run`"));
                    }
                }
            }
        }
        match all.iter().find(|workload| workload.words.is_empty()) {
            Some(workload) => Err(format!("workload `{}` has no command", V::write(&workload.name))),
            None => Ok(all),
        }
    }
}

/// The files that a comparison leaves in [`Compare::out`].
pub const TABLE: &str = "comparison.txt";
pub const JSON: &str = "comparison.json";
pub const MARKDOWN: &str = "comparison.md";

/// No plain tool does that: a script without optbuild says so in the place of what is measured.
fn compare(op: &planned::Compare) -> Option<Vec<ShellLine>> {
    let words = |begin: &str, all: &[Arg]| -> ShellLine {
        let words = all.iter().flat_map(|arg| [" ".into(), ShellWord::from(arg)]);
        [begin.into()].into_iter().chain(words).collect()
    };
    let files = [TABLE, JSON, MARKDOWN].map(|name| op.out.clone().join(name));
    let mut instead = words("  echo 'not measured: optbuild is not there' | tee", &files);
    instead.extend(shell![" > /dev/null"]);
    Some(vec![
        shell!["if command -v \"${OPTBUILD:-optbuild}\" > /dev/null; then"],
        words("  run \"${OPTBUILD:-optbuild}\" op", &super::Operation::write(op)),
        shell!["else"],
        instead,
        shell!["fi"],
    ])
}
