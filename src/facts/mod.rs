//! What planning may know of the world, asked through one value.
//!
//! Live, it looks and remembers; from a file it only remembers, so that a plan for another machine can be made and pinned.
//! Every answer that was given can be written to such a file. It never changes anything it is asked about, and is unaware of
//! what the answers are for.

mod cache;
pub mod live;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::Context as _;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use crate::fs::disk::DiskError;
use crate::fs::whole;
use cache::OutputCache;

/// Answers about the world.
#[derive(Debug, Default)]
pub struct Facts {
    answers: Mutex<Answers>,
    live: bool,
    /// What commands printed in earlier runs.
    cache: Option<Mutex<OutputCache>>,
    /// Command lines that gave no answer, and why.
    unanswered: Mutex<BTreeMap<String, String>>,
}

/// A question that this machine did not answer at this moment. What is planned without the answer would be another plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{command}` {reason}, and what it prints decides what is to be done. Nothing was begun or kept for it: run again; if memory \
     is short, end something else or lower `-j`"
)]
pub struct Unanswered {
    pub command: String,
    pub reason: String,
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
    /// What paths are without symbolic links.
    real_paths: BTreeMap<Utf8PathBuf, Option<Utf8PathBuf>>,
    /// Variables of the environment.
    env: BTreeMap<String, Option<String>>,
}

impl Facts {
    /// Answers by looking.
    pub fn live() -> Facts {
        Facts { live: true, ..Facts::default() }
    }

    /// Like [`Facts::live`], but what a program prints is taken from a file where the program has not changed since. A file
    /// that is missing or damaged counts as empty. [`Facts::save`] writes it.
    pub fn live_cached(file: &Utf8Path) -> Facts {
        Facts { live: true, cache: Some(Mutex::new(OutputCache::load(file))), ..Facts::default() }
    }

    /// Keeps what programs printed for [`Facts::live_cached`]; does nothing for other facts, or when there is nothing new.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn save(&self) -> Result<(), DiskError> {
        match &self.cache {
            Some(cache) => cache.lock().unwrap_or_else(PoisonError::into_inner).save(),
            None => Ok(()),
        }
    }

    /// Answers from a file that [`Facts::to_json`] made. What does not stand in it is not there.
    ///
    /// # Errors
    /// The file cannot be read, or is not such a file.
    pub fn from_file(file: &Utf8Path) -> anyhow::Result<Facts> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read facts from {file}"))?;
        Facts::from_json(&text).with_context(|| format!("{file} is not a file of facts"))
    }

    /// Answers from the text of such a file.
    ///
    /// # Errors
    /// It is not JSON of that form.
    pub fn from_json(text: &str) -> serde_json::Result<Facts> {
        Ok(Facts { answers: Mutex::new(serde_json::from_str(text)?), ..Facts::default() })
    }

    /// All that was asked and is there, sorted. What is not there is left out, as from a file both are the same.
    pub fn to_json(&self) -> String {
        let mut answers = self.answers().clone();
        answers.programs.retain(|_, path| path.is_some());
        answers.outputs.retain(|_, output| output.is_some());
        answers.files.retain(|_, text| text.is_some());
        answers.exists.retain(|_, exists| *exists);
        answers.directories.retain(|_, names| !names.is_empty());
        answers.real_paths.retain(|_, path| path.is_some());
        answers.env.retain(|_, value| value.is_some());
        // Maps of strings cannot fail to become JSON.
        serde_json::to_string_pretty(&answers).unwrap_or_default()
    }

    /// The target triple of this machine.
    pub fn host(&self) -> String {
        if let Some(host) = &self.answers().host {
            return host.clone();
        }
        let host = if self.live { live::triple() } else { String::new() };
        self.answers().host = Some(host.clone());
        host
    }

    /// A variable of the environment.
    pub fn env(&self, name: &str) -> Option<String> {
        self.ask(|answers| &mut answers.env, name.into(), || live::env(name))
    }

    /// The program of that name in PATH, or at that path if it has a `/`. Links are not followed: the name that a program is
    /// called by can decide what it does (`clang++`, `ld.lld`).
    pub fn program(&self, name: &str) -> Option<Utf8PathBuf> {
        self.ask(|answers| &mut answers.programs, name.into(), || live::program(name))
    }

    /// What a command prints, standard output before standard error. `None` if it cannot be started, fails, or gives no answer,
    /// which [`Facts::check`] tells.
    pub fn output(&self, argv: &[&str]) -> Option<String> {
        self.command_output(None, argv)
    }

    /// The same for a command whose answer depends on the directory, as that of rustup's proxies does.
    pub fn output_in(&self, dir: &Utf8Path, argv: &[&str]) -> Option<String> {
        self.command_output(Some(dir), argv)
    }

    fn command_output(&self, dir: Option<&Utf8Path>, argv: &[&str]) -> Option<String> {
        let mut line = shlex::try_join(argv.iter().copied()).ok()?;
        if let Some(dir) = dir {
            line = format!("cd {} && {line}", shlex::try_quote(dir.as_str()).ok()?);
        }
        let look = || {
            live::output(dir, argv).unwrap_or_else(|reason| {
                self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).insert(line.clone(), reason);
                None
            })
        };
        self.ask(
            |answers| &mut answers.outputs,
            line.clone(),
            || match &self.cache {
                Some(cache) => OutputCache::output(cache, &line, argv[0], look),
                None => look(),
            },
        )
    }

    /// Whether every question got an answer. That a program is not there, or fails, is one.
    ///
    /// # Errors
    /// A program was killed while it answered, or did not end.
    pub fn check(&self) -> Result<(), Unanswered> {
        match self.unanswered.lock().unwrap_or_else(PoisonError::into_inner).iter().next() {
            Some((command, reason)) => Err(Unanswered { command: command.clone(), reason: reason.clone() }),
            None => Ok(()),
        }
    }

    /// The text of a file.
    pub fn read(&self, path: &Utf8Path) -> Option<String> {
        self.ask(|answers| &mut answers.files, path.into(), || whole::read_text(path).ok())
    }

    /// Whether there is something at a path.
    pub fn exists(&self, path: &Utf8Path) -> bool {
        self.ask(|answers| &mut answers.exists, path.into(), || path.exists())
    }

    /// Names in a directory, sorted; none if it is not there.
    pub fn list(&self, dir: &Utf8Path) -> Vec<String> {
        self.ask(|answers| &mut answers.directories, dir.into(), || live::list(dir))
    }

    /// A path without symbolic links; none if there is nothing there.
    pub fn real_path(&self, path: &Utf8Path) -> Option<Utf8PathBuf> {
        self.ask(|answers| &mut answers.real_paths, path.into(), || path.canonicalize_utf8().ok())
    }

    /// The remembered answer, or the one that looking gives. Nothing is locked while it looks.
    fn ask<K: Ord + Clone, V: Default + Clone>(
        &self,
        kind: impl Fn(&mut Answers) -> &mut BTreeMap<K, V>,
        question: K,
        look: impl FnOnce() -> V,
    ) -> V {
        if let Some(answer) = kind(&mut self.answers()).get(&question) {
            return answer.clone();
        }
        let answer = if self.live { look() } else { V::default() };
        kind(&mut self.answers()).insert(question, answer.clone());
        answer
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much memory this machine has to give. In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// What can be used without swapping, or what the memory cgroup allows if that is less.
    pub available: u64,
    /// Free swap space; none where a cgroup sets a limit, as that says nothing of swapping.
    pub swap: u64,
}

impl Memory {
    /// None where there is no `/proc/meminfo`, whose fields are in `proc_meminfo(5)`.
    pub fn of(facts: &Facts) -> Option<Memory> {
        let meminfo = facts.read("/proc/meminfo".into())?;
        let field = |name: &str| {
            let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
        };
        let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        // `max` is no number: no limit.
        let limit = limits.iter().filter_map(|&file| facts.read(file.into())?.trim().parse::<u64>().ok()).min();
        let available = field("MemAvailable")?;
        Some(match limit.filter(|limit| *limit < available) {
            Some(limit) => Memory { available: limit, swap: 0 },
            None => Memory { available, swap: field("SwapFree").unwrap_or(0) },
        })
    }
}
