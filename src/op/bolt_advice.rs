//! `bolt-advice`: what helps when llvm-bolt has failed, out of its log. It is written to standard error, as one sentence; there may be
//! nothing to say.
//!
//! | in the log | advice |
//! |---|---|
//! | an error with the name of a function of the file, or behind which llvm-bolt prints one | the option that leaves it out |
//! | a crash of llvm-bolt | `optbuild bisect` |
//!
//! Unaware of why llvm-bolt gives up.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result};
use camino::Utf8Path;

use super::logs;
use crate::event::Fact;
use crate::plan::ops::given::BoltAdvice;
use crate::profile::{elf, fdata};
use crate::stdio;
use crate::text::bolt_names::{Blamed, skip_option};

/// No more of a log is read.
const LONGEST_LOG: u64 = 64 << 20;
/// What is read of a line: names of C++ can have some thousand characters.
const LONGEST_LINE: u64 = 64 << 10;
/// More functions are not named one by one.
const MOST_NAMES: usize = 5;
/// What LLVM's programs print when they crash or find their own state to be wrong.
const CRASHED: [&str; 5] =
    ["PLEASE submit a bug report", "Stack dump:", "LLVM ERROR:", "UNREACHABLE executed", "Invalid CFG detected"];

impl BoltAdvice {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        // The last try is the one that counts.
        let Some(log) = logs::of_step(&self.logs, &self.step)?.pop() else { return Ok(Vec::new()) };
        let mut functions = HashSet::new();
        elf::symbols(&self.file, |name| _ = functions.insert(name.to_owned()))?;
        let (names, crashed) = read(&log, &functions)?;
        if let Some(advice) = self.advice(&names, crashed) {
            stdio::say(&advice.to_string());
        }
        Ok(Vec::new())
    }

    fn advice(&self, names: &[String], crashed: bool) -> Option<String> {
        let (option, key, stage) = (skip_option(names), &self.key, &self.stage);
        match names {
            [] if crashed => Some(format!("`optbuild bisect {stage}` finds the function that makes llvm-bolt crash")),
            [] => None,
            [name] => Some(format!("llvm-bolt gives up on the function `{name}`; `{option}` in `{key}` leaves it out")),
            names => {
                let few: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
                let more = names.len().saturating_sub(MOST_NAMES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let few = few.join(", ");
                Some(format!("llvm-bolt gives up on functions: {few}{more}; `{option}` in `{key}` leaves them out"))
            }
        }
    }
}

/// The functions that a log names as those that llvm-bolt gives up on, and whether it crashed.
fn read(log: &Utf8Path, functions: &HashSet<String>) -> Result<(Vec<String>, bool)> {
    let file = File::open(log).with_context(|| format!("cannot read {log}"))?;
    let mut reader = BufReader::new(file.take(LONGEST_LOG));
    let (mut blamed, mut crashed, mut line) = (Blamed::default(), false, Vec::new());
    loop {
        line.clear();
        let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        if read.with_context(|| format!("cannot read {log}"))? == 0 {
            return Ok((blamed.names(), crashed));
        }
        let line = String::from_utf8_lossy(&line);
        let line = line.trim_end();
        crashed |= CRASHED.iter().any(|mark| line.contains(mark));
        blamed.add(line, |name| functions.contains(fdata::symbol(name)));
    }
}
