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
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
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
struct Statistics {
    counts: Vec<(&'static str, u64, &'static str)>,
    hot_start: Option<u64>,
    /// Name, before, after. `None` outside of a block of dyno-stats.
    dyno: Vec<(String, u64, Option<u64>)>,
    in_dyno: bool,
}

impl Statistics {
    fn add(&mut self, line: &str) {
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

    fn facts(self) -> Vec<Fact> {
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

#[cfg(test)]
mod tests {
    use std::fs;

    use camino::Utf8PathBuf;

    use super::*;

    // Parts of what llvm-bolt 22 printed of SQLite.
    const LOG: &str = "\
BOLT-INFO: Target architecture: x86_64
BOLT-WARNING: function sqlite3RollbackAll/1(*2) has an object detected in a padding region at address 0x10cbbf
BOLT-INFO: 841 out of 1974 functions in the binary (42.6%) have non-empty execution profile
BOLT-INFO: 14 functions with profile could not be optimized
BOLT-INFO: ICF folded 6 out of 2085 functions in 3 passes. 0 functions had jump tables.
BOLT-INFO: basic block reordering modified layout of 545 functions (64.80% of profiled, 26.21% of total)
BOLT-INFO: splitting separates 538279 hot bytes from 593606 cold bytes (47.56% of split functions is hot).
BOLT-INFO: splitting separates 172463 hot bytes from 327891 cold bytes (34.47% of split functions is hot).
BOLT-INFO: program-wide dynostats after all optimizations before SCTC and FOP:

           886538315 : executed forward branches
            19202482 : PLT calls
                   0 : taken unknown indirect branches
           299341538 : taken branches

           715058460 : executed forward branches (-19.3%)
            19202482 : PLT calls (=)
                   0 : taken unknown indirect branches (=)
           239205768 : taken branches (-20.1%)

BOLT-INFO: SCTC: patched 23 tail calls (23 forward) tail calls (0 backward) from a total of 23
BOLT-INFO: setting __hot_start to 0x1bb000
BOLT-INFO: setting __hot_end to 0x246e6d
           12345 : is no statistic
";

    fn facts_of(log: &str) -> Vec<(String, f64, String)> {
        let mut statistics = Statistics::default();
        log.lines().for_each(|line| statistics.add(line.trim()));
        statistics.facts().into_iter().map(|fact| (fact.name, fact.value, fact.unit)).collect()
    }

    #[test]
    fn what_llvm_bolt_22_says() {
        let facts = facts_of(LOG);
        let value = |name: &str| facts.iter().find(|fact| fact.0 == name).map(|fact| fact.1);
        assert_eq!(value("bolt/functions"), Some(1974.0));
        assert_eq!(value("bolt/functions with a profile"), Some(841.0));
        assert_eq!(value("bolt/functions with a profile that could not be optimized"), Some(14.0));
        assert_eq!(value("bolt/functions folded into equal ones"), Some(6.0));
        assert_eq!(value("bolt/functions with another layout"), Some(545.0));
        assert_eq!(value("bolt/hot code of split functions"), Some(172_463.0));
        // 0x246e6d - 0x1bb000
        assert_eq!(value("bolt/hot code"), Some(573_037.0));
        assert_eq!(value("dyno-before/taken branches"), Some(299_341_538.0));
        assert_eq!(value("dyno-after/taken branches"), Some(239_205_768.0));
        assert_eq!(facts.iter().filter(|fact| fact.0.starts_with("dyno-")).count(), 8);
    }

    #[test]
    fn anything_else_is_no_statistics() {
        assert_eq!(
            facts_of(
                "BOLT-ERROR: no relocations\n  12 : taken branches\nBOLT-INFO: x out of y functions in the binary\n"
            ),
            []
        );
        assert_eq!(facts_of("BOLT-INFO: program-wide dynostats\n 99999999999999999999999 : taken branches\n : \n"), []);
        assert_eq!(facts_of("BOLT-INFO: setting __hot_end to 0x1\nBOLT-INFO: setting __hot_start to zero\n"), []);
    }

    #[test]
    fn the_last_log_of_the_step() {
        let dir = tempfile::tempdir().unwrap();
        let logs = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
        let op = BoltStatistics { logs: logs.clone(), step: "bolt".into() };
        assert_eq!(op.run().unwrap(), []);
        fs::write(logs.join("09-bolt.log"), "BOLT-INFO: ICF folded 1 out of 2 functions\n").unwrap();
        fs::write(logs.join("10-bolt.log"), "BOLT-INFO: ICF folded 3 out of 4 functions\n\u{0}").unwrap();
        fs::write(logs.join("11-check-bolt.log"), "BOLT-INFO: ICF folded 5 out of 6 functions\n").unwrap();
        fs::write(logs.join("x-bolt.log"), "").unwrap();
        fs::write(logs.join("12-bolt.facts"), "").unwrap();
        let facts = op.run().unwrap();
        assert_eq!((facts.len(), facts[0].value), (1, 3.0));
    }
}
