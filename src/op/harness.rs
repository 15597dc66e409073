//! `check-harness`: whether `cargo bench` or `cargo test` ran anything, as its log says.
//!
//! A package without benches is no error for cargo: it starts the programs, and each says that it has nothing to do. What they write is a
//! profile of nothing. Unaware of profiles.

use std::fs;

use anyhow::{Context, Result, bail};

use super::logs;
use crate::event::Fact;
use crate::names::StepId;
use crate::plan::WORKLOAD;
use crate::plan::ops::given::CheckHarness;
use crate::text::file_name::file_name;

impl CheckHarness {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let workload = std::env::var(WORKLOAD).unwrap_or_default();
        if !self.workload.contains(&workload) {
            return Ok(Vec::new());
        }
        let step = file_name(&StepId::workload(&workload).to_string());
        let Some(log) = logs::of_step(&self.logs, &step)?.pop() else { return Ok(Vec::new()) };
        let bytes = fs::read(&log).with_context(|| format!("cannot read {log}"))?;
        if !ran_something(&String::from_utf8_lossy(&bytes)) {
            bail!(
                "workload `{workload}` ran no benchmark and no test, so there is nothing to train with: each program that cargo started says \
                 that it has none ({log}). Write some, name the package or the features that have them, or train with \
                 commands"
            );
        }
        Ok(Vec::new())
    }
}

/// Whether a program of a run of cargo did something: one with libtest that ran a test or measured something, or one with a harness of
/// its own, which counts by itself. Documentation's tests are no programs of the build; cargo runs them last.
///
/// cargo names programs on standard error, and they speak on standard output, so only the order of lines of one of them counts.
pub fn ran_something(log: &str) -> bool {
    let (mut programs, mut documented, mut libtests) = (0_usize, 0_usize, 0_usize);
    let mut results = Vec::new();
    for line in log.lines().map(str::trim) {
        if line.starts_with("Running ") && line.ends_with(')') {
            programs += 1;
        } else if line.starts_with("Doc-tests ") {
            documented += 1;
        } else if line.starts_with("running ") && (line.ends_with(" tests") || line.ends_with(" test")) {
            libtests += 1;
        } else if let Some(result) = line.strip_prefix("test result: ") {
            results.push(["passed", "failed", "measured"].iter().any(|what| counted(result, what) > 0));
        }
    }
    let of_programs = results.len().saturating_sub(documented);
    results.iter().take(of_programs).any(|ran| *ran) || programs > libtests.saturating_sub(documented)
}

/// Of `ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out`, how many are of a kind.
fn counted(result: &str, what: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
    let found = words.windows(2).find(|two| two[1] == what);
    found.and_then(|two| two[0].parse().ok()).unwrap_or(0)
}
