//! `check-last`: a gathered profile beside the last one of its stage.
//!
//! Knows by which names operations report what they gathered. Unaware of the profile itself.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;

use crate::event::Fact;
use crate::plan::ops::given::CheckLast;
use crate::profile::gathered::{Change, Figures};
use crate::text;
use crate::text::share::Share;

/// Less than this of the counts, or of the functions that were run, is worth a warning.
const LEAST_TOTAL: Share = Share::percent(50.0);
const LEAST_FUNCTIONS: Share = Share::percent(90.0);

/// Begins the names of facts that name workloads.
const WORKLOAD: &str = "workload/";

/// That a workload took part in a profile, and what it counted, if that is known.
pub fn took_part(workload: &str, counted: Option<u64>) -> Fact {
    let unit = if counted.is_some() { "counts" } else { "" };
    Fact::new(format!("{WORKLOAD}{workload}"), counted.unwrap_or(0) as f64, unit)
}

/// Begins the names of facts that say by what the counts of a workload were multiplied.
const TIMES: &str = "times/";

/// That the counts of a workload were multiplied, so that it has its share of the profile.
pub fn multiplied(workload: &str, times: u64) -> Fact {
    Fact::new(format!("{TIMES}{workload}"), times as f64, "")
}

/// What a stage reported of the profile that it gathered. None: it gathered none, or nothing was counted.
pub fn figures(facts: &[Fact]) -> Option<Figures> {
    let of_all = |name: &str| {
        let mut found = facts.iter().rev().filter(|fact| fact.name == name && fact.step.workload.is_none());
        found.next().map(|fact| fact.value)
    };
    let (total, functions) = (of_all("total-count")?, of_all("functions")?);
    // BOLT's profiles have no functions that were never run.
    let run = functions * (1.0 - of_all("never-run").unwrap_or(0.0) / 100.0);
    let mut figures = Figures {
        total_count: total as u64,
        functions: functions as u64,
        functions_run: run.round() as u64,
        ..Figures::default()
    };
    for fact in facts {
        if let (Some(workload), "raw-profiles") = (&fact.step.workload, fact.name.as_str()) {
            figures.workloads.entry(workload.to_string()).or_default();
        } else if let Some(workload) = fact.name.strip_prefix(WORKLOAD) {
            let counted = (fact.unit == "counts").then_some(fact.value as u64);
            figures.workloads.insert(workload.into(), counted);
        }
    }
    // Where workloads have their shares, the sum of the merged profile says nothing of how much they counted.
    let counted: Option<Vec<u64>> = figures.workloads.values().copied().collect();
    if let Some(counted) = counted.filter(|_| facts.iter().any(|fact| fact.name.starts_with(TIMES))) {
        figures.total_count = counted.iter().fold(0, |sum, counted| sum.saturating_add(*counted));
    }
    Some(figures)
}

impl CheckLast {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let Some(now) = read(&self.now)?.as_deref().and_then(figures) else { return Ok(Vec::new()) };
        let Some(last) = read(&self.last)?.as_deref().and_then(figures) else { return Ok(Vec::new()) };
        let change = now.against(&last);
        let what = less(&now, &last, &change);
        for (key, least, share) in
            [("min-total", self.min_total, change.total), ("min-functions", self.min_functions, change.functions_run)]
        {
            if share < least.value() {
                bail!(
                    "{what}; `{key}` asks for {least} at least. Look whether each workload did all of its work. If less is meant, say so \
                     with a smaller `{key}`: then `optbuild resume` only merges"
                );
            }
        }
        let mut facts = vec![
            Fact::percent("counts-of-last", change.total),
            Fact::percent("functions-run-of-last", change.functions_run),
            Fact::number("workloads", now.workloads.len() as f64),
            Fact::number("workloads-last", last.workloads.len() as f64),
        ];
        let thin = change.total < LEAST_TOTAL.value() || change.functions_run < LEAST_FUNCTIONS.value();
        if thin || !change.missing.is_empty() || !change.shrunk.is_empty() {
            facts.push(Fact::warning(format!("{what}; look whether each workload did all of its work")));
        }
        Ok(facts)
    }
}

/// What a file has, if there is one.
fn read(file: &Utf8Path) -> Result<Option<Vec<Fact>>> {
    match fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes).with_context(|| format!("{file} is damaged"))?)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {file}")),
    }
}

/// How much less there is, in words.
fn less(now: &Figures, last: &Figures, change: &Change) -> String {
    let mut parts = vec![
        format!(
            "the profile has {} of the counts of the last one of this stage ({} of {})",
            percent(change.total),
            text::count(now.total_count),
            text::count(last.total_count)
        ),
        format!(
            "{} of the functions that were run ({} of {})",
            percent(change.functions_run),
            text::count(now.functions_run),
            text::count(last.functions_run)
        ),
    ];
    if !change.missing.is_empty() {
        let names = change.missing.iter().map(|name| format!("`{name}`"));
        parts.push(format!("of {} without {}", text::plural(last.workloads.len(), "workload"), text::few(names)));
    }
    if !change.shrunk.is_empty() {
        let names = change.shrunk.iter().map(|(name, share)| format!("`{name}` {}", percent(*share)));
        parts.push(format!("of what they had counted: {}", text::few(names)));
    }
    parts.join(", ")
}

fn percent(share: f64) -> String {
    text::percent(share, 1.0)
}
