//! Numbers that the operations of a stage reported, and what is said of them.

use std::collections::BTreeSet;

use super::{StageSummary, profiles};
use crate::event::Fact;
use crate::text;

impl StageSummary {
    /// A step that is tried again reports again: the later number counts.
    pub(super) fn add_fact(&mut self, fact: Fact) {
        match self.facts.iter_mut().find(|known| known.step == fact.step && known.name == fact.name) {
            Some(known) => *known = fact,
            None => self.facts.push(fact),
        }
    }

    /// One number per name, in the order in which they came, without details. Where several steps reported one, files and bytes are added up;
    /// of anything else the last one stands.
    pub fn fact_totals(&self) -> Vec<Fact> {
        let mut seen = BTreeSet::new();
        let names = self.facts.iter().filter(|fact| !fact.is_detail() && seen.insert(&fact.name));
        names
            .filter_map(|first| {
                let same: Vec<&Fact> = self.facts.iter().filter(|fact| fact.name == first.name).collect();
                let mut total = Fact::clone(same.last()?);
                if matches!(total.unit.as_str(), "bytes" | "files") {
                    total.value = same.iter().map(|fact| fact.value).sum();
                }
                Some(total)
            })
            .collect()
    }

    /// The facts in one line, `24 raw profiles, 1,402 functions`; empty if there are none. What is said in a sentence is not repeated.
    pub fn fact_line(&self) -> String {
        let told = profiles::told(&self.facts);
        let mut facts = self.fact_totals();
        facts.retain(|fact| !told.contains(&&fact.step));
        // That there is nothing of something is worth a share, not a number.
        let told = facts.iter().filter(|fact| fact.value != 0.0 || !fact.unit.is_empty());
        let texts = told.map(|fact| {
            let name = fact.name.replace('-', " ");
            match fact.unit.as_str() {
                // What is counted is the name: `7 raw profiles`.
                "" if !name.ends_with('s') => format!("{name} {}", text::quantity(fact.value, "")),
                unit if matches!(unit, "" | "files") || unit == fact.name => {
                    let name = if fact.value == 1.0 { name.strip_suffix('s').unwrap_or(&name) } else { &name };
                    format!("{} {name}", text::quantity(fact.value, ""))
                }
                // `raw-bytes` of something are said as `2.0 KiB raw`.
                unit if let Some(what) = name.strip_suffix(" bytes") => {
                    format!("{} {what}", text::quantity(fact.value, unit))
                }
                "%" => format!("{} {name}", text::quantity(fact.value, "%")),
                unit => format!("{name} {}", text::quantity(fact.value, unit)),
            }
        });
        texts.collect::<Vec<_>>().join(", ")
    }

    /// What a build tool says of its own steps, `inner/llvm`, in seconds: the longest first, without those of which there is nothing to
    /// see beside the stage's own duration.
    pub fn inner(&self) -> Vec<(&str, f64)> {
        const LEAST: f64 = 0.01;
        let mut inner: Vec<(&str, f64)> = Vec::new();
        for (name, seconds) in
            self.facts.iter().filter_map(|fact| Some((fact.name.strip_prefix("inner/")?, fact.value)))
        {
            match inner.iter_mut().find(|(known, _)| *known == name) {
                Some((_, sum)) => *sum += seconds,
                None => inner.push((name, seconds)),
            }
        }
        inner.retain(|(_, seconds)| *seconds >= LEAST * self.duration);
        inner.sort_by(|a, b| b.1.total_cmp(&a.1));
        inner
    }

    /// What the facts say of profiles.
    pub fn profile_sentences(&self) -> Vec<String> {
        profiles::sentences(&self.facts)
    }
}
