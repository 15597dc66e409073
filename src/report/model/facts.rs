//! What operations counted: the one list of a stage, the views of it that reports have, and what is said of it in words.
//!
//! | name of a fact | view |
//! |---|---|
//! | `inner/NAME` | [`Stage::inner`], the longest first |
//! | `hot/FUNCTION` | [`Profile::hottest`], the most frequent first |
//! | `left-out/FUNCTION` | [`Stage::facts`], and a sentence that names all |
//! | `bolt/NAME` | [`Bolt::counts`] |
//! | `dyno-before/NAME` with `dyno-after/NAME` | [`Bolt::dyno`] |
//! | `warning/SENTENCE`, `verdict/SENTENCE` of what is slower | [`Stage::notes`] |
//! | `workload/NAME`, `times/NAME` | [`WorkloadProfile::share`], and a sentence |
//! | `raw-profiles`, `raw-bytes`, `functions`, `damaged-profiles` where raw profiles were counted | [`Profile`], by workload |
//! | any other | [`Stage::facts`] |
//!
//! Knows names of facts, not who reported them.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Stage;
use crate::event::Fact;
use crate::names::StepId;
use crate::text;

/// A step of a build tool inside of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inner {
    pub name: String,
    pub seconds: f64,
}

/// A profile that was gathered.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
pub struct WorkloadProfile {
    pub name: String,
    pub files: u64,
    pub bytes: u64,
    pub functions: u64,
    /// Of all counts in the merged profile, its own, in percent. None: that is not known.
    pub share: Option<f64>,
}

/// A function, and how often it, or what is counted of it, was executed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hot {
    pub function: String,
    pub count: f64,
}

/// What llvm-bolt says of its work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bolt {
    /// What it found and did, in the order in which it says so.
    pub counts: Vec<Count>,
    /// What is executed with the profile's workloads, before and after; its own estimates.
    pub dyno: Vec<Estimate>,
}

/// Something that llvm-bolt counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

/// One of llvm-bolt's dyno-stats.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Estimate {
    pub name: String,
    pub before: f64,
    pub after: f64,
}

impl Stage {
    /// Puts what was reported into the fields that reports have.
    pub fn sort_facts(&mut self) {
        let facts = std::mem::take(&mut self.reported);
        let gathered = facts.iter().any(|fact| fact.name == "raw-profiles");
        let (mut profile, mut bolt) = (Profile::default(), Bolt::default());
        let after = |wanted: &str| {
            let mut after = facts.iter().rev().filter(|fact| fact.name.strip_prefix("dyno-after/") == Some(wanted));
            after.next().map(|fact| fact.value)
        };
        for fact in &facts {
            let value = fact.value;
            match (fact.name.split_once('/'), fact.name.as_str()) {
                (Some(("inner", name)), _) => self.inner.push(Inner { name: name.into(), seconds: value }),
                (Some(("hot", function)), _) => profile.hottest.push(Hot { function: function.into(), count: value }),
                (Some(("bolt", name)), _) => {
                    bolt.counts.push(Count { name: name.into(), value, unit: fact.unit.clone() });
                }
                (Some(("dyno-before", name)), _) => {
                    let estimate = |after| Estimate { name: name.into(), before: value, after };
                    bolt.dyno.extend(after(name).map(estimate));
                }
                (Some(("dyno-after" | "workload" | "times", _)), _) => {}
                (Some(("warning" | "verdict", _)), _) => {}
                (_, name @ ("raw-profiles" | "raw-bytes" | "functions" | "damaged-profiles")) if gathered => {
                    profile.count(fact.step.workload.as_deref(), name, value as u64);
                }
                _ => self.facts.push(fact.clone()),
            }
        }
        for share in shares(&facts) {
            let of = profile.workloads.iter_mut().find(|workload| workload.name == share.workload);
            of.into_iter().for_each(|workload| workload.share = Some(share.percent));
        }
        self.notes.extend(warnings(&facts));
        self.notes.extend(facts.iter().filter_map(Fact::slower).map(str::to_owned));
        self.inner.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        profile.hottest.sort_by(|a, b| b.count.total_cmp(&a.count));
        self.profile = (gathered || !profile.hottest.is_empty()).then_some(profile);
        self.bolt = (bolt != Bolt::default()).then_some(bolt);
    }

    /// What was reported, in one line: `24 raw profiles, 1,402 functions`; empty if there is nothing. What [`sentences`] say is not
    /// repeated.
    pub fn fact_line(&self) -> String {
        let told: Vec<&StepId> = told(&self.reported).map(|(step, _)| step).collect();
        let totals = totals(&self.reported).into_iter().filter(|fact| !told.contains(&&fact.step));
        // That there is nothing of something is worth a share, not a number.
        let worth = totals.filter(|fact| fact.value != 0.0 || !fact.unit.is_empty());
        worth.map(|fact| words(&fact)).collect::<Vec<_>>().join(", ")
    }

    /// What a build tool says of its own steps, in seconds: the longest first, without those that are nothing beside the stage's own
    /// duration.
    pub fn inner_sums(&self) -> Vec<(&str, f64)> {
        const LEAST: f64 = 0.01;
        let mut sums: Vec<(&str, f64)> = Vec::new();
        for fact in &self.reported {
            let Some(name) = fact.name.strip_prefix("inner/") else { continue };
            match sums.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += fact.value,
                None => sums.push((name, fact.value)),
            }
        }
        sums.retain(|(_, seconds)| *seconds >= LEAST * self.duration);
        sums.sort_by(|a, b| b.1.total_cmp(&a.1));
        sums
    }
}

impl Profile {
    /// What was counted of a workload; of none, what was counted of the merge of all.
    fn count(&mut self, workload: Option<&str>, name: &str, value: u64) {
        let Some(workload) = workload else {
            if name == "functions" {
                self.functions = value;
            }
            return;
        };
        let index = self.workloads.iter().position(|known| known.name == workload).unwrap_or_else(|| {
            self.workloads.push(WorkloadProfile { name: workload.into(), ..WorkloadProfile::default() });
            self.workloads.len() - 1
        });
        let of = &mut self.workloads[index];
        match name {
            "raw-profiles" => (of.files, self.files) = (value, self.files + value),
            "raw-bytes" => (of.bytes, self.bytes) = (value, self.bytes + value),
            "functions" => of.functions = value,
            _ => self.damaged += value,
        }
    }
}

/// One number per name, in the order in which they came, without details. Where several steps reported one, files and bytes are added
/// up; of anything else the last one stands.
fn totals(facts: &[Fact]) -> Vec<Fact> {
    let mut totals: Vec<Fact> = Vec::new();
    for fact in facts.iter().filter(|fact| !fact.is_detail()) {
        match totals.iter_mut().find(|total| total.name == fact.name) {
            Some(total) => {
                let before = if matches!(fact.unit.as_str(), "bytes" | "files") { total.value } else { 0.0 };
                *total = Fact { value: before + fact.value, ..fact.clone() };
            }
            None => totals.push(fact.clone()),
        }
    }
    totals
}

fn words(fact: &Fact) -> String {
    let name = fact.name.replace('-', " ");
    match fact.unit.as_str() {
        // What is counted is the name: `7 raw profiles`.
        "" if !name.ends_with('s') => format!("{name} {}", text::quantity(fact.value, "")),
        unit if matches!(unit, "" | "files") || unit == fact.name => {
            let name = if fact.value == 1.0 { name.strip_suffix('s').unwrap_or(&name) } else { &name };
            format!("{} {name}", text::quantity(fact.value, ""))
        }
        // `raw-bytes` of something are said as `2.0 KiB raw`.
        unit if let Some(what) = name.strip_suffix(" bytes") => format!("{} {what}", text::quantity(fact.value, unit)),
        "%" => format!("{} {name}", text::quantity(fact.value, "%")),
        unit => format!("{name} {}", text::quantity(fact.value, unit)),
    }
}

/// What facts say of profiles, a sentence for each step, and their warnings. Where a build used several profiles, the steps are named after what they
/// are of, and so the sentences: `llvm: 97 % of 80,123 functions have a profile`.
pub fn sentences(facts: &[Fact]) -> Vec<String> {
    let named = |(step, sentence): (&StepId, String)| match step
        .step
        .as_ref()
        .and_then(|step| step.strip_prefix("check-profile-use-"))
    {
        Some(component) => format!("{component}: {sentence}"),
        None => sentence,
    };
    told(facts).map(named).chain(shares_in_words(facts)).chain(left_out(facts)).chain(warnings(facts)).collect()
}

/// What a workload is of a merged profile.
struct Share<'a> {
    workload: &'a str,
    percent: f64,
    /// What it would be if counts were only added up.
    as_counted: f64,
}

/// The shares of several workloads, the largest first. Empty where they are not known of all.
fn shares(facts: &[Fact]) -> Vec<Share<'_>> {
    let mut counted: Vec<(&str, f64, f64)> = Vec::new();
    for fact in facts {
        if let Some(workload) = fact.name.strip_prefix("workload/") {
            if fact.unit != "counts" {
                return Vec::new();
            }
            // Of a stage that went on there are several.
            counted.retain(|(known, ..)| *known != workload);
            counted.push((workload, fact.value, fact.value));
        }
    }
    for fact in facts {
        let workload = fact.name.strip_prefix("times/");
        let of = workload.and_then(|workload| counted.iter_mut().find(|(known, ..)| *known == workload));
        of.into_iter().for_each(|(_, counted, weighed)| *weighed = *counted * fact.value);
    }
    let (mut all, mut all_counted) = (0.0, 0.0);
    counted.iter().for_each(|(_, counted, weighed)| (all, all_counted) = (all + weighed, all_counted + counted));
    if counted.len() < 2 || all == 0.0 || all_counted == 0.0 {
        return Vec::new();
    }
    let mut shares: Vec<Share> = Vec::new();
    for (workload, counted, weighed) in counted {
        shares.push(Share { workload, percent: weighed / all * 100.0, as_counted: counted / all_counted * 100.0 });
    }
    shares.sort_by(|a, b| b.percent.round().total_cmp(&a.percent.round()));
    shares
}

/// `the workloads' shares of the profile: 75 % start (0.1 % as counted), 25 % work (99.9 %)`
fn shares_in_words(facts: &[Fact]) -> Option<String> {
    let shares = shares(facts);
    let number = |percent: f64| text::percent(percent, 100.0);
    let words = shares.iter().enumerate().map(|(at, share)| {
        let differs = (share.percent - share.as_counted).abs() >= 1.0;
        let counted = if at == 0 { " as counted" } else { "" };
        let counted = if differs { format!(" ({}{counted})", number(share.as_counted)) } else { String::new() };
        format!("{} `{}`{counted}", number(share.percent), share.workload)
    });
    (!shares.is_empty()).then(|| format!("the workloads' shares of the profile: {}", text::few(words)))
}

/// The functions whose counts were impossible, so that profiles count without them. None: there are none.
fn left_out(facts: &[Fact]) -> Option<String> {
    let functions: BTreeSet<&str> = facts.iter().filter_map(|fact| fact.name.strip_prefix("left-out/")).collect();
    let profiles = facts.iter().filter(|fact| fact.name == "profiles-with-impossible-counts");
    let profiles = text::plural(profiles.map(|fact| fact.value as usize).sum(), "profile");
    let list: Vec<String> = functions.into_iter().map(|function| format!("`{function}`")).collect();
    (!list.is_empty()).then(|| format!("left out of {profiles} because of impossible counts: {}", list.join(", ")))
}

/// What facts warn of, each sentence once, with the workloads that it is said of.
fn warnings(facts: &[Fact]) -> Vec<String> {
    let mut sentences: Vec<(&str, Vec<&str>)> = Vec::new();
    for (fact, sentence) in facts.iter().filter_map(|fact| Some((fact, fact.warned()?))) {
        let at = sentences.iter().position(|(known, _)| *known == sentence).unwrap_or_else(|| {
            sentences.push((sentence, Vec::new()));
            sentences.len() - 1
        });
        sentences[at].1.extend(fact.step.workload.as_deref());
    }
    let said = |(sentence, workloads): (&str, Vec<&str>)| match workloads.as_slice() {
        [] => format!("warning: {sentence}"),
        workloads => format!("warning: {}: {sentence}", text::few(workloads)),
    };
    sentences.into_iter().map(said).collect()
}

/// The steps whose facts are worth a sentence, with it.
fn told(facts: &[Fact]) -> impl Iterator<Item = (&StepId, String)> {
    let mut steps: Vec<&StepId> = Vec::new();
    for fact in facts {
        if !steps.contains(&&fact.step) {
            steps.push(&fact.step);
        }
    }
    steps.into_iter().filter_map(|step| Some((step, sentence(facts.iter().filter(|fact| fact.step == *step))?)))
}

/// Of a profile that was gathered, by itself and beside the last one: `310 functions, 76 % never run, largest count 9,829,101, read by LLVM 22 and newer`. Of a build that
/// used one: `98.2 % of 1,425 functions in the program have a profile …`. None: there is nothing of profiles among the
/// facts.
pub fn sentence<'a>(facts: impl Iterator<Item = &'a Fact>) -> Option<String> {
    let facts: Vec<&Fact> = facts.collect();
    let of = |name: &str| facts.iter().rev().find(|fact| fact.name == name).map(|fact| fact.value);
    if let Some(largest) = of("largest-count") {
        return Some(gathered(of, largest));
    }
    if let Some(counts) = of("counts-of-last") {
        return Some(against_last(of, counts));
    }
    if let Some(hot) = of(HOT) {
        return Some(fits(hot));
    }
    of("functions-without-profile").map(|without| used(of, without))
}

/// How much of what is measured is hot in the profile that a build used.
const HOT: &str = "hot-in-profile";

fn fits(percent: f64) -> String {
    format!("{percent:.1} % of what the workloads execute lies in functions that are hot in the profile")
}

/// What the stages of a run say of whether profiles fit, for readers of its comparisons.
pub fn fit<'a>(stages: impl IntoIterator<Item = &'a Stage>) -> Vec<String> {
    let facts = stages.into_iter().flat_map(|stage| stage.facts.iter().map(move |fact| (stage, fact)));
    let hot = facts.filter(|(_, fact)| fact.name == HOT);
    hot.map(|(stage, fact)| format!("{} ({})", fits(fact.value), stage.name)).collect()
}

/// `beside the last profile: 98 % of the counts, 100 % of the functions that were run, 7 of 7 workloads`
fn against_last(of: impl Fn(&str) -> Option<f64>, counts: f64) -> String {
    let mut parts = vec![format!("{} of the counts", text::percent(counts, 100.0))];
    let run = of("functions-run-of-last");
    parts.extend(run.map(|run| format!("{} of the functions that were run", text::percent(run, 100.0))));
    if let (Some(now), Some(last)) = (of("workloads"), of("workloads-last")) {
        parts.push(format!("{} of {} workloads", text::count(now as u64), text::count(last as u64)));
    }
    format!("beside the last profile: {}", parts.join(", "))
}

fn gathered(of: impl Fn(&str) -> Option<f64>, largest: f64) -> String {
    let mut parts = vec![text::plural(of("functions").unwrap_or(0.0) as usize, "function")];
    parts.extend(of("never-run").map(|percent| format!("{} never run", text::percent(percent, 100.0))));
    parts.push(format!("largest count {}", text::count(largest as u64)));
    parts.extend(of("read-by-LLVM").map(|major| format!("read by LLVM {major} and newer")));
    let foreign = of("of-the-build").filter(|percent| *percent < 99.95);
    parts.extend(foreign.map(|percent| format!("{percent:.1} % of them of the instrumented build")));
    parts.join(", ")
}

fn used(of: impl Fn(&str) -> Option<f64>, without: f64) -> String {
    let numbers = [(without, "without"), (of("mismatched-functions").unwrap_or(0.0), "with one of other code")];
    let told = numbers.iter().filter(|(number, _)| *number > 0.0);
    let rest = told.map(|(number, what)| format!("{} {what}", text::count(*number as u64)));
    let rest = rest.collect::<Vec<_>>().join(", ");
    match (of("without-profile"), of("functions-in-program")) {
        (Some(percent), Some(all)) => {
            let have = format!("{} in the program have a profile", share(percent, all));
            // Much that is compiled is in no program.
            if rest.is_empty() { have } else { format!("{have}; of all that was compiled, {rest}") }
        }
        _ if rest.is_empty() => "every function that was compiled has a profile".into(),
        _ => format!("of all that was compiled, {rest}"),
    }
}

/// Those that are left when a share has none. A few of many are no rounded 100 %.
fn share(percent_without: f64, all: f64) -> String {
    let functions = text::plural(all as usize, "function");
    let without = (all * percent_without / 100.0).round();
    match format!("{:.1}", 100.0 - percent_without).as_str() {
        "100.0" if without > 0.0 => format!("all but {} of {functions}", text::count(without as u64)),
        with => format!("{} % of {functions}", with.strip_suffix(".0").unwrap_or(with)),
    }
}
