//! What became slower or larger from one run to another.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Report, Stage};
use crate::event::StageState;

/// Two runs, and everything in which they differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Diff {
    /// The runs' ids.
    pub from: String,
    pub to: String,
    /// They are of different pipelines; only stages of the same name are compared.
    #[serde(default)]
    pub other_pipelines: Option<[Pipeline; 2]>,
    /// With what they were run that is not the same; without secrets.
    #[serde(default)]
    pub other_variables: Vec<Variable>,
    /// Stage by stage, in the order of the later run.
    pub changes: Vec<Change>,
    /// Stages of which there is nothing to compare, because only one of the runs has a result of them.
    pub incomparable: Vec<String>,
}

/// A pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pipeline {
    pub name: String,
    pub file: String,
}

/// A variable of the pipeline that had two values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Variable {
    pub name: String,
    pub before: serde_json::Value,
    pub after: serde_json::Value,
}

/// A number that both runs have, and that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub stage: String,
    pub quantity: Quantity,
    /// Of an output or of a fact its name.
    pub name: String,
    /// `s`, `bytes`, or what a fact says.
    pub unit: String,
    pub before: f64,
    pub after: f64,
    /// More than measuring varies by: see [`Change::verdict`].
    pub verdict: Verdict,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Quantity {
    /// Wall time of a stage, of all runs that worked on it.
    Duration,
    Cpu,
    /// Of the largest process.
    PeakMemory,
    /// Of an output.
    Size,
    /// A number that an operation reported.
    Fact,
}

/// Whether a change is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Slower or larger.
    More,
    /// Faster or smaller.
    Less,
    /// Different, but not by more than one run differs from the next.
    Little,
}

/// A time that differs by less than this, or by a smaller share, says nothing: one run is not a measurement.
const SECONDS: f64 = 1.0;
const SHARE_OF_TIME: f64 = 0.05;
/// The same for memory.
const SHARE_OF_MEMORY: f64 = 0.05;
/// The same of sizes and counts, which do not vary by themselves: below that it is build paths and dates.
const SHARE_OF_SIZE: f64 = 0.001;

/// The unit of shares, which can be negative or nothing and whose difference is in points.
pub const PERCENT: &str = "%";

impl Diff {
    pub fn of(from: &Report, to: &Report) -> Diff {
        let same = from.run.same_pipeline(&to.run);
        let pipeline = |of: &Report| Pipeline { name: of.run.pipeline.clone(), file: of.run.file.clone() };
        let mut diff = Diff {
            from: from.run.id.clone(),
            to: to.run.id.clone(),
            other_pipelines: (!same).then(|| [pipeline(from), pipeline(to)]),
            other_variables: if same { from.run.other_variables(&to.run) } else { Vec::new() },
            changes: Vec::new(),
            incomparable: Vec::new(),
        };
        for after in &to.stages {
            match from.stage(&after.name) {
                Some(before) if before.state.has_outputs() && after.state.has_outputs() => {
                    diff.changes.extend(changes(before, after));
                }
                before => {
                    let made = before.is_some_and(|before| before.state.has_outputs());
                    diff.incomparable.extend((made || after.state.has_outputs()).then(|| after.name.clone()));
                }
            }
        }
        let gone = from.stages.iter().filter(|stage| to.stage(&stage.name).is_none() && stage.state.has_outputs());
        diff.incomparable.extend(gone.map(|stage| stage.name.clone()));
        diff
    }

    /// Changes that are some, the largest share first.
    pub fn notable(&self) -> Vec<&Change> {
        let mut notable: Vec<&Change> =
            self.changes.iter().filter(|change| change.verdict != Verdict::Little).collect();
        notable.sort_by(|a, b| b.size().total_cmp(&a.size()));
        notable
    }
}

fn changes(before: &Stage, after: &Stage) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut pair = |quantity, name: &str, unit: &str, old: f64, new: f64| {
        if old != new {
            let verdict = Change::verdict(quantity, unit, old, new);
            let (stage, name, unit) = (after.name.clone(), name.into(), unit.into());
            changes.push(Change { stage, quantity, name, unit, before: old, after: new, verdict });
        }
    };
    pair(Quantity::Duration, "", "s", took(before), took(after));
    // What earlier runs used of it is not known, and the last part is not the whole.
    if before.earlier == 0.0 && after.earlier == 0.0 {
        pair(Quantity::Cpu, "", "s", before.cpu(), after.cpu());
        pair(Quantity::PeakMemory, "", "bytes", before.peak_memory as f64, after.peak_memory as f64);
    }
    for output in after.shown_outputs().filter(|_| !after.measures()) {
        if let Some(known) = before.outputs.iter().find(|known| known.name == output.name) {
            pair(Quantity::Size, &output.name, "bytes", known.bytes as f64, output.bytes as f64);
        }
    }
    let known = facts(before);
    for (name, unit, new) in facts(after) {
        if let Some((_, _, old)) = known.iter().find(|known| known.0 == name) {
            pair(Quantity::Fact, &name, &unit, *old, new);
        }
    }
    changes
}

/// What the stage took when it was made.
fn took(stage: &Stage) -> f64 {
    match (&stage.made, stage.state) {
        (Some(made), StageState::UpToDate) => made.duration,
        _ => stage.in_all(),
    }
}

/// Name, unit and value of what was counted, that of BOLT and of profiles too.
fn facts(stage: &Stage) -> Vec<(String, String, f64)> {
    let mut facts: Vec<(String, String, f64)> = Vec::new();
    if let Some(profile) = &stage.profile {
        facts.push(("raw profiles".into(), "files".into(), profile.files as f64));
        facts.push(("size of raw profiles".into(), "bytes".into(), profile.bytes as f64));
        facts.push(("functions in the profile".into(), "functions".into(), profile.functions as f64));
    }
    if let Some(bolt) = &stage.bolt {
        facts.extend(bolt.counts.iter().map(|count| (count.name.clone(), count.unit.clone(), count.value)));
        facts.extend(bolt.dyno.iter().map(|dyno| (format!("{} after BOLT", dyno.name), String::new(), dyno.after)));
    }
    facts.extend(
        stage.facts.iter().map(|fact| (format!("{} of {}", fact.name, fact.step), fact.unit.clone(), fact.value)),
    );
    facts
}

impl Change {
    /// What changes are sorted by: the absolute logarithm of the ratio; of shares the difference. What came from nothing, went
    /// to nothing or changed its sign is larger than any.
    fn size(&self) -> f64 {
        if self.unit == PERCENT {
            return (self.after - self.before).abs() / 100.0;
        }
        let ratio = self.after / self.before;
        if ratio > 0.0 { ratio.ln().abs() } else { f64::INFINITY }
    }

    /// Whether a difference is more than one run differs from the next: a second and 5 % of a time, 5 % of memory, 0.1 % of what
    /// does not vary by itself; of what is in percent already, 0.1 of them.
    pub fn verdict(quantity: Quantity, unit: &str, before: f64, after: f64) -> Verdict {
        let share = (after - before).abs() / before.abs().max(f64::MIN_POSITIVE);
        let little = match quantity {
            Quantity::Duration | Quantity::Cpu => share < SHARE_OF_TIME || (after - before).abs() < SECONDS,
            Quantity::PeakMemory => share < SHARE_OF_MEMORY,
            Quantity::Fact if unit == PERCENT => (after - before).abs() / 100.0 < SHARE_OF_SIZE,
            Quantity::Size | Quantity::Fact => share < SHARE_OF_SIZE,
        };
        match (little, after > before) {
            (true, _) => Verdict::Little,
            (false, true) => Verdict::More,
            (false, false) => Verdict::Less,
        }
    }
}
