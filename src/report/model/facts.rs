//! What operations counted, brought into order: profiles, llvm-bolt's figures, inner steps, and the rest.
//!
//! The names are those that operations give their facts; see [`crate::event::Event::Fact`].

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Fact;

/// A step of a build tool inside of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Inner {
    pub name: String,
    pub seconds: f64,
}

/// A profile that was gathered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Profile {
    /// Raw profiles, and what they had together.
    pub files: u64,
    pub bytes: u64,
    /// With counts, in the merged profile.
    pub functions: u64,
    /// Left out as damaged.
    pub damaged: u64,
    pub workloads: Vec<WorkloadProfile>,
    /// The functions that were executed most, demangled.
    pub hottest: Vec<Hot>,
}

/// What the processes of one workload wrote.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WorkloadProfile {
    pub name: String,
    pub files: u64,
    pub bytes: u64,
    pub functions: u64,
}

/// A function, and how often it, or what is counted of it, was executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Hot {
    pub function: String,
    pub count: f64,
}

/// What llvm-bolt says of its work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Bolt {
    /// What it found and did, in the order in which it says so.
    pub counts: Vec<Count>,
    /// What is executed with the profile's workloads, before and after; its own estimates.
    pub dyno: Vec<Estimate>,
}

/// Something that llvm-bolt counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Count {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

/// One of llvm-bolt's dyno-stats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Estimate {
    pub name: String,
    pub before: f64,
    pub after: f64,
}

/// The facts of a stage in order.
#[derive(Debug, Default)]
pub(super) struct Sorted {
    pub inner: Vec<Inner>,
    pub profile: Option<Profile>,
    pub bolt: Option<Bolt>,
    pub rest: Vec<Fact>,
}

const INNER: &str = "inner";
const HOT: &str = "hot";
const BOLT: &str = "bolt";
const DYNO_BEFORE: &str = "dyno-before";
const DYNO_AFTER: &str = "dyno-after";

/// Brings the facts of a stage into order.
pub(super) fn sort(facts: &[Fact]) -> Sorted {
    let mut sorted = Sorted::default();
    let gathered = facts.iter().any(|fact| fact.name == "raw-profiles");
    let mut workloads: BTreeMap<String, WorkloadProfile> = BTreeMap::new();
    let mut order = Vec::new();
    let mut profile = Profile::default();
    let (mut before, mut after): (Vec<(String, f64)>, BTreeMap<String, f64>) = Default::default();
    let mut counts = Vec::new();
    for fact in facts {
        let value = fact.value;
        match fact.name.split_once('/') {
            Some((INNER, name)) => sorted.inner.push(Inner { name: name.into(), seconds: value }),
            Some((HOT, function)) => profile.hottest.push(Hot { function: function.into(), count: value }),
            Some((BOLT, name)) => counts.push(Count { name: name.into(), value, unit: fact.unit.clone() }),
            Some((DYNO_BEFORE, name)) => before.push((name.into(), value)),
            Some((DYNO_AFTER, name)) => _ = after.insert(name.into(), value),
            _ if gathered && is_of_profiles(&fact.name) => {
                // One of no workload is of the merge of all.
                let Some(workload) = &fact.step.workload else {
                    if fact.name == "functions" {
                        profile.functions = value as u64;
                    }
                    continue;
                };
                let of = workloads.entry(workload.to_string()).or_insert_with(|| {
                    order.push(workload.to_string());
                    WorkloadProfile { name: workload.to_string(), ..WorkloadProfile::default() }
                });
                match fact.name.as_str() {
                    "raw-profiles" => of.files = value as u64,
                    "raw-bytes" => of.bytes = value as u64,
                    "functions" => of.functions = value as u64,
                    _ => profile.damaged += value as u64,
                }
            }
            _ => sorted.rest.push(fact.clone()),
        }
    }
    sorted.inner.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    profile.hottest.sort_by(|a, b| b.count.total_cmp(&a.count));
    profile.workloads = order.iter().filter_map(|name| workloads.remove(name)).collect();
    profile.files = profile.workloads.iter().map(|workload| workload.files).sum();
    profile.bytes = profile.workloads.iter().map(|workload| workload.bytes).sum();
    sorted.profile = (gathered || !profile.hottest.is_empty()).then_some(profile);
    let dyno = before.into_iter().filter_map(|(name, before)| {
        let after = *after.get(&name)?;
        Some(Estimate { name, before, after })
    });
    let bolt = Bolt { counts, dyno: dyno.collect() };
    sorted.bolt = (bolt != Bolt::default()).then_some(bolt);
    sorted
}

fn is_of_profiles(name: &str) -> bool {
    matches!(name, "raw-profiles" | "raw-bytes" | "functions" | "damaged-profiles")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::StepId;

    fn fact(step: &str, name: &str, value: f64, unit: &str) -> Fact {
        Fact::new(name, value, unit).of(&StepId::step(step))
    }

    /// What was reported for a workload.
    fn merge(workload: &str, name: &str, value: f64, unit: &str) -> Fact {
        Fact::new(name, value, unit).of(&StepId::around(workload, "merge"))
    }

    #[test]
    fn profiles_by_workload() {
        let sorted = sort(&[
            fact("check-instrumented", "counters", 3.0, ""),
            merge("b", "raw-profiles", 2.0, "files"),
            merge("b", "raw-bytes", 2000.0, "bytes"),
            merge("b", "functions", 7.0, "functions"),
            merge("a", "raw-profiles", 1.0, "files"),
            merge("a", "raw-bytes", 500.0, "bytes"),
            merge("a", "functions", 5.0, "functions"),
            fact("merge", "functions", 9.0, "functions"),
            fact("merge", "hot/core::fmt::write", 10.0, ""),
            fact("merge", "hot/operator/(A, B)", 12.0, ""),
        ]);
        let profile = sorted.profile.unwrap();
        assert_eq!((profile.files, profile.bytes, profile.functions), (3, 2500, 9));
        let workload =
            |name: &str, files, bytes, functions| WorkloadProfile { name: name.into(), files, bytes, functions };
        assert_eq!(profile.workloads, [workload("b", 2, 2000, 7), workload("a", 1, 500, 5)]);
        assert_eq!(profile.hottest[0], Hot { function: "operator/(A, B)".into(), count: 12.0 });
        assert_eq!(sorted.rest.len(), 1);
    }

    #[test]
    fn estimates_in_pairs_and_the_longest_inner_step_first() {
        let sorted = sort(&[
            fact("bolt-stats", "dyno-before/taken branches", 100.0, ""),
            fact("bolt-stats", "dyno-before/only before", 100.0, ""),
            fact("bolt-stats", "dyno-after/taken branches", 80.0, ""),
            fact("bolt-stats", "bolt/functions", 12.0, ""),
            fact("m", "inner/Std { stage: 1 }", 2.0, "s"),
            fact("m", "inner/llvm", 30.0, "s"),
        ]);
        let bolt = sorted.bolt.unwrap();
        let taken = Estimate { name: "taken branches".into(), before: 100.0, after: 80.0 };
        assert_eq!(bolt.dyno, [taken]);
        assert_eq!(bolt.counts.len(), 1);
        let names: Vec<&str> = sorted.inner.iter().map(|inner| inner.name.as_str()).collect();
        assert_eq!(names, ["llvm", "Std { stage: 1 }"]);
        assert_eq!(sorted.profile, None);
    }
}
