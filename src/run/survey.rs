//! Looks at every stage before anything runs: what `plan` and `status` show, and what would go wrong later.

use std::collections::BTreeMap;

use anyhow::Result;

use super::decide::Judge;
use super::verdict::{Settled, Verdict};
use crate::pipeline::{Graph, OutputRef};
use crate::plan::Gap;

/// The verdicts on all stages, in the order in which they would run.
#[derive(Debug)]
pub struct Survey {
    pub stages: Vec<(String, Verdict)>,
}

/// What keeps a run from beginning.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    /// Exit code 3.
    #[error("{}", gaps(.0))]
    Gaps(Vec<(String, Gap)>),
    /// Exit code 2.
    #[error("{0}")]
    OutOfReach(String),
}

fn gaps(gaps: &[(String, Gap)]) -> String {
    let mut text = String::from("this machine lacks what the pipeline needs:");
    let mut by_gap: BTreeMap<&Gap, Vec<&str>> = BTreeMap::new();
    for (stage, gap) in gaps {
        by_gap.entry(gap).or_default().push(stage);
    }
    for (gap, stages) in by_gap {
        text.push_str(&format!("\n  {} (for {})", gap.what, stages.join(", ")));
        if !gap.remedy.is_empty() {
            text.push_str(&format!("\n    {}", gap.remedy));
        }
    }
    text
}

/// Judges all stages. A stage that a workspace needs again is noted in the judge, and everything is judged once more.
pub fn survey(judge: &mut Judge, graph: &Graph) -> Result<Survey> {
    'again: loop {
        let mut settled = BTreeMap::new();
        let mut stages = Vec::new();
        for name in graph.order() {
            let Some(stage) = judge.pipeline.stage(name) else { continue };
            let verdict = judge.judge(stage, &settled)?;
            if let Verdict::NeedsFirst { stage: first, reason, .. } = &verdict
                && judge.selection.stages.contains(first)
                && !judge.rerun.contains_key(first)
            {
                judge.rerun.insert(first.clone(), reason.clone());
                continue 'again;
            }
            settled.insert(name.to_owned(), settle(&verdict));
            stages.push((name.to_owned(), verdict));
        }
        return Ok(Survey { stages });
    }
}

/// What the stages behind may expect of a stage with this verdict, as long as it has not run.
pub fn settle(verdict: &Verdict) -> Settled {
    match verdict {
        Verdict::UpToDate(record, _) | Verdict::Stale(record) => Settled::Done(record.clone()),
        Verdict::Run(_) | Verdict::DependsOn(..) | Verdict::NeedsFirst { .. } => Settled::Open,
        Verdict::Unavailable { why, fallback: false, .. } => Settled::OutOfReach(why.clone()),
        Verdict::Unavailable { why, blocked_by, .. } => {
            Settled::Unavailable { why: why.clone(), failed: blocked_by.is_some() }
        }
        Verdict::FailedBefore(record) => {
            Settled::Unavailable { why: format!("stage `{}` failed, which was tolerated", record.stage), failed: true }
        }
        Verdict::OutOfReach(why) => Settled::OutOfReach(why.clone()),
    }
}

impl Survey {
    /// What would go wrong after the run has begun, said before it begins.
    pub fn check(&self, judge: &Judge) -> Result<(), CannotBegin> {
        let selected = |name: &str| judge.selection.stages.contains(name);
        let mut missing = Vec::new();
        let mut problems = Vec::new();
        let mut blocked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (name, verdict) in &self.stages {
            match verdict {
                Verdict::Run(work) => missing.extend(work.plan.gaps.iter().map(|gap| (name.clone(), gap.clone()))),
                Verdict::DependsOn(_, plan) if selected(name) => {
                    missing.extend(plan.gaps.iter().map(|gap| (name.clone(), gap.clone())));
                }
                Verdict::NeedsFirst { stage, reason, begin } if selected(name) && !selected(stage) => {
                    problems.push(format!("{reason}; begin with `--from {begin}`"));
                }
                Verdict::Unavailable { why, blocked_by: Some(by), .. } if selected(name) && !self.failed_before(by) => {
                    blocked.entry(why).or_default().push(name);
                }
                _ => {}
            }
        }
        problems.extend(blocked.iter().map(|(why, stages)| match stages.as_slice() {
            [stage] => format!("stage `{stage}` cannot run: {why}"),
            [stage, more @ ..] => format!("stage `{stage}` and {} behind it cannot run: {why}", more.len()),
            [] => String::new(),
        }));
        if !problems.is_empty() {
            return Err(CannotBegin::OutOfReach(problems.join("\n")));
        }
        if !missing.is_empty() {
            return Err(CannotBegin::Gaps(missing));
        }
        Ok(())
    }

    /// Whether a stage is unavailable only because of a failure that the pipeline tolerates.
    fn failed_before(&self, name: &str) -> bool {
        self.stages.iter().any(|(stage, verdict)| {
            stage == name
                && match verdict {
                    Verdict::FailedBefore(_) => true,
                    Verdict::Unavailable { blocked_by: Some(by), .. } => self.failed_before(by),
                    _ => false,
                }
        })
    }
}

/// The first of the alternatives that has been made.
pub fn available<'a>(
    candidates: &'a [OutputRef],
    settled: &BTreeMap<String, Settled>,
) -> Option<(&'a OutputRef, std::sync::Arc<crate::state::record::Record>)> {
    candidates.iter().find_map(|candidate| match settled.get(&candidate.stage) {
        Some(Settled::Done(record)) => Some((candidate, record.clone())),
        _ => None,
    })
}
