//! `bolt-statistics`: what llvm-bolt said of its work, out of the log of its step, for reports.
//!
//! What is not found in the log is left out: llvm-bolt's words change with its versions, and a build does not depend on them.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use anyhow::{Context, Result};

use super::logs;
use crate::event::Fact;
use crate::plan::ops::given::BoltStatistics;

/// No more of a log is read.
const LONGEST_LOG: u64 = 64 << 20;

impl BoltStatistics {
    /// Reads the last log of the step.
    pub fn run(&self) -> Result<Vec<Fact>> {
        // The last try is the one that counts.
        let Some(log) = logs::of_step(&self.logs, &self.step)?.pop() else { return Ok(Vec::new()) };
        let file = File::open(&log).with_context(|| format!("cannot read {log}"))?;
        let mut statistics = Statistics::default();
        let mut line = Vec::new();
        let mut reader = BufReader::new(file.take(LONGEST_LOG));
        while reader.read_until(b'\n', &mut line).with_context(|| format!("cannot read {log}"))? > 0 {
            statistics.add(String::from_utf8_lossy(&line).trim());
            line.clear();
        }
        Ok(statistics.facts())
    }
}

/// What was read so far.
#[derive(Debug, Default)]
pub struct Statistics {
    counts: Vec<(&'static str, u64, &'static str)>,
    hot_start: Option<u64>,
    /// Name, before, after. `None` outside of a block of dyno-stats.
    dyno: Vec<(String, u64, Option<u64>)>,
    in_dyno: bool,
}

impl Statistics {
    /// Takes in a line.
    pub fn add(&mut self, line: &str) {
        let Some(said) = line.strip_prefix("BOLT-INFO: ") else {
            self.dyno_line(line);
            return;
        };
        self.in_dyno = said.contains("dynostats");
        if self.in_dyno {
            self.dyno.clear();
        }
        let words: Vec<&str> = said.split_ascii_whitespace().collect();
        match words.as_slice() {
            [profiled, "out", "of", all, "functions", "in", "the", "binary", ..] => {
                self.count("functions", all, "");
                self.count("functions with a profile", profiled, "");
            }
            [number, "functions", "with", "profile", "could", "not", "be", "optimized", ..] => {
                self.count("functions with a profile that could not be optimized", number, "");
            }
            [number, ..] if said.contains("have invalid (possibly stale) profile") => {
                self.count("functions with a stale profile", number, "");
            }
            ["ICF", "folded", number, "out", "of", ..] => self.count("functions folded into equal ones", number, ""),
            ["basic", "block", "reordering", "modified", "layout", "of", number, "functions", ..] => {
                self.count("functions with another layout", number, "");
            }
            ["splitting", "separates", hot, "hot", "bytes", "from", cold, "cold", "bytes", ..] => {
                self.count("hot code of split functions", hot, "bytes");
                self.count("cold code of split functions", cold, "bytes");
            }
            ["setting", "__hot_start", "to", address] => self.hot_start = hexadecimal(address),
            ["setting", "__hot_end", "to", address] => {
                if let (Some(start), Some(end)) = (self.hot_start, hexadecimal(address)) {
                    self.put("hot code", end.saturating_sub(start), "bytes");
                }
            }
            _ => {}
        }
    }

    /// `886538315 : executed forward branches`, and once more with ` (-19.3%)` behind it.
    fn dyno_line(&mut self, line: &str) {
        let Some((number, name)) = line.split_once(" : ").filter(|_| self.in_dyno) else { return };
        let Ok(number) = number.trim().parse() else { return };
        let name = name.split_once(" (").map_or(name, |(name, _)| name).trim();
        match self.dyno.iter_mut().find(|(known, ..)| known == name) {
            Some((_, _, after)) => *after = Some(number),
            None => self.dyno.push((name.to_owned(), number, None)),
        }
    }

    fn count(&mut self, name: &'static str, number: &str, unit: &'static str) {
        if let Ok(number) = number.parse() {
            self.put(name, number, unit);
        }
    }

    /// The last one counts: llvm-bolt may do something in several passes.
    fn put(&mut self, name: &'static str, number: u64, unit: &'static str) {
        match self.counts.iter_mut().find(|(known, ..)| *known == name) {
            Some((_, known, _)) => *known = number,
            None => self.counts.push((name, number, unit)),
        }
    }

    /// What was found, by names.
    pub fn facts(self) -> Vec<Fact> {
        let fact = |name: String, value: u64, unit: &str| Fact::new(name, value as f64, unit);
        let counts = self.counts.into_iter().map(|(name, value, unit)| fact(format!("bolt/{name}"), value, unit));
        let mut facts: Vec<Fact> = counts.collect();
        for (name, before, after) in self.dyno {
            let Some(after) = after else { continue };
            facts.push(fact(format!("dyno-before/{name}"), before, ""));
            facts.push(fact(format!("dyno-after/{name}"), after, ""));
        }
        facts
    }
}

fn hexadecimal(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
