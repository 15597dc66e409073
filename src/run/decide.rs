//! Decides what a run does with a stage: it is up to date, it runs and why, or it cannot be known yet.
//!
//! Looks at records and sources; changes nothing. `plan`, `status`, `explain` and the scheduler ask the same questions here.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use super::select::Selection;
use super::verdict::{BEGUN, SPARED, Settled, Verdict, Work};
use crate::pipeline::{OnFailure, OutputRef, Pipeline, Stage, StartsFrom, Supplied, supply};
use crate::plan::{PlanError, StagePlan};
use crate::state::fingerprint::{self, Change, Difference, Fingerprint, Inputs};
use crate::state::record::{InputRecord, Record, RecordOutcome};
use crate::state::sources::Sources;
use crate::state::store::State;
use crate::state::tools::ToolIdentities;
use crate::state::workspace::{self, Candidate, WorkspaceDecision, WorkspaceState};

/// Plans one stage past the stages that are not available.
pub type Planner<'a> = dyn Fn(&str, &BTreeSet<String>) -> Result<StagePlan, PlanError> + Sync + 'a;

/// Answers for one pipeline and one selection.
pub struct Judge<'a> {
    pub pipeline: &'a Pipeline,
    pub planner: &'a Planner<'a>,
    /// None as long as nothing was ever run.
    pub state: Option<&'a State>,
    pub sources: &'a Sources,
    pub tools: &'a ToolIdentities,
    pub selection: &'a Selection,
    /// Stages that run again for the sake of their workspace, and why.
    pub rerun: BTreeMap<String, String>,
}

impl Judge<'_> {
    /// Decides about a stage. Every stage that it depends on must be settled, or open.
    pub fn judge(&self, stage: &Stage, settled: &BTreeMap<String, Settled>) -> Result<Verdict> {
        let name = &stage.common.name;
        if stage.spared {
            return Ok(Verdict::off(SPARED.into()));
        }
        if !stage.common.when {
            return Ok(Verdict::off(format!("stage `{name}` is switched off")));
        }
        let selected = self.selection.stages.contains(name);
        if self.selection.skipped.contains(name) {
            return self.skipped(name);
        }
        if let Some(verdict) = blocked_by_needs(stage, settled, selected) {
            return Ok(verdict);
        }
        let unavailable: BTreeSet<String> =
            settled.iter().filter(|(_, s)| matches!(s, Settled::Unavailable { .. })).map(|(n, _)| n.clone()).collect();
        let plan = match (self.planner)(name, &unavailable) {
            Ok(plan) => plan,
            Err(PlanError::Blocked { by, .. }) => {
                let why = match settled.get(&by) {
                    Some(Settled::Unavailable { why, .. }) => why.clone(),
                    _ => format!("stage `{by}` has no outputs"),
                };
                return Ok(Verdict::Unavailable { why, blocked_by: Some(by), fallback: true });
            }
            Err(error) => return Err(error.into()),
        };
        let mut inputs = Vec::new();
        let mut input_paths = BTreeMap::new();
        for output in plan.inputs() {
            match settled.get(&output.stage) {
                Some(Settled::Done(record)) => self.input(record, output, &mut inputs, &mut input_paths)?,
                Some(Settled::OutOfReach(why)) if selected => {
                    return Ok(Verdict::cut_off(why, &output.stage));
                }
                _ if selected => return Ok(Verdict::DependsOn(output.stage, Box::new(plan))),
                _ => {
                    let why = format!("stage `{}`, which it is made from, is not up to date", output.stage);
                    return self.outside(name, &why);
                }
            }
        }
        let predecessor = match &stage.predecessor {
            None => None,
            Some(before) => match settled.get(before) {
                Some(Settled::Done(record)) => Some(record.fingerprint.id()),
                Some(Settled::OutOfReach(why)) if selected => {
                    return Ok(Verdict::cut_off(why, before));
                }
                // It will not leave the state that this one starts from.
                Some(Settled::Unavailable { why, .. }) if selected => {
                    return Ok(Verdict::Unavailable {
                        why: why.clone(),
                        blocked_by: Some(before.clone()),
                        fallback: true,
                    });
                }
                _ if selected => return Ok(Verdict::DependsOn(before.clone(), Box::new(plan))),
                _ => {
                    let why = format!("stage `{before}`, whose workspace it goes on with, is not up to date");
                    return self.outside(name, &why);
                }
            },
        };
        let hashes = input_paths.iter().map(|(output, (_, hash))| (output.clone(), hash.clone())).collect();
        let from = Inputs { outputs: &hashes, predecessor: predecessor.as_deref() };
        let fingerprint = fingerprint::compute(stage, &plan, self.pipeline, from, self.sources, self.tools)
            .with_context(|| format!("stage `{name}`"))?;
        let successors = successors(self.pipeline, stage);
        let reasons = Vec::new();
        let work = Work { plan, fingerprint, inputs, input_paths, reasons, forced: false, predecessor, successors };
        self.compare(stage, work, settled)
    }

    fn input(
        &self,
        record: &Record,
        output: OutputRef,
        inputs: &mut Vec<InputRecord>,
        paths: &mut BTreeMap<OutputRef, (Utf8PathBuf, String)>,
    ) -> Result<()> {
        let found = record.outputs.get(&output.output).with_context(|| {
            format!(
                "the record of stage `{}` has no output `{}`; run it again with `--from {}`",
                output.stage, output.output, output.stage
            )
        })?;
        let root = self.state.map(|state| state.layout().root().to_owned()).unwrap_or_default();
        inputs.push(InputRecord {
            stage: output.stage.clone(),
            output: output.output.clone(),
            fingerprint: record.fingerprint.id(),
            hash: found.hash.clone(),
        });
        paths.insert(output, (root.join(&found.path), found.hash.clone()));
        Ok(())
    }

    /// Holds the fingerprint against the record.
    fn compare(&self, stage: &Stage, mut work: Work, settled: &BTreeMap<String, Settled>) -> Result<Verdict> {
        let name = &stage.common.name;
        let selected = self.selection.stages.contains(name);
        let record = self.record(&work.fingerprint.id())?;
        if self.selection.forced.contains(name) {
            work.forced = true;
            work.reasons.push("it was asked for".into());
        } else if let Some(reason) = self.rerun.get(name) {
            work.reasons.push(reason.clone());
        } else if let Some(record) = record {
            let damage = match (record.outcome, stage.common.on_failure) {
                (RecordOutcome::Failed, OnFailure::Continue) => return Ok(Verdict::FailedBefore(Arc::new(record))),
                (RecordOutcome::Failed, OnFailure::Stop) => Some("it failed, which was tolerated then".into()),
                (RecordOutcome::Done, _) => self.damage(&record)?,
            };
            match damage {
                None => return Ok(Verdict::UpToDate(Arc::new(record), Box::new(work.plan))),
                Some(damage) => work.reasons.push(damage),
            }
        } else {
            work.reasons = self.reasons(stage, &work.fingerprint)?;
        }
        if !selected {
            return self.outside(name, &work.reasons.join("; "));
        }
        if let (Some(state), Some(workspace)) = (self.state, &stage.common.workspace) {
            let candidate = Candidate {
                stage: name,
                fingerprint: &work.fingerprint.id(),
                starts_from: stage.common.starts_from,
                predecessor: stage.predecessor.as_deref(),
                predecessor_record: work.predecessor.as_deref(),
            };
            let left = workspace::read(state.layout(), workspace)?;
            if let WorkspaceDecision::RunFirst { stage: first, why } = workspace::may_start(left.as_ref(), candidate) {
                let reason =
                    format!("`{name}` starts from what `{first}` leaves in workspace `{workspace}`, and {why}");
                let begin = self.nearest_start(&first, left.as_ref(), settled);
                return Ok(Verdict::NeedsFirst { stage: first, reason, begin });
            }
        }
        Ok(Verdict::Run(Box::new(work)))
    }

    /// Going back from a stage, the first one for which the workspace is as it was left now.
    fn nearest_start(&self, stage: &str, left: Option<&WorkspaceState>, settled: &BTreeMap<String, Settled>) -> String {
        let mut nearest = stage;
        while let Some((stage, before)) =
            self.pipeline.stage(nearest).and_then(|s| Some((s, s.predecessor.as_deref()?)))
        {
            let record = match settled.get(before) {
                Some(Settled::Done(record)) => Some(record.fingerprint.id()),
                _ => None,
            };
            let later = stage.common.starts_from == StartsFrom::Later;
            if left.is_some_and(|left| {
                let just_now = !left.dirty && left.stage == before && Some(&left.fingerprint) == record.as_ref();
                just_now || later && record.as_ref().is_some_and(|record| left.goes_on_from(record))
            }) {
                break;
            }
            nearest = before;
        }
        nearest.to_owned()
    }

    fn record(&self, fingerprint: &str) -> Result<Option<Record>> {
        match self.state {
            Some(state) => Ok(state.record(fingerprint)?),
            None => Ok(None),
        }
    }

    fn current(&self, stage: &str) -> Result<Option<Record>> {
        match self.state {
            Some(state) => Ok(state.current(stage)?),
            None => Ok(None),
        }
    }

    /// What is wrong with a record's outputs.
    fn damage(&self, record: &Record) -> Result<Option<String>> {
        let Some(state) = self.state else { return Ok(None) };
        let times = state.times(&record.fingerprint.id())?;
        for (name, output) in &record.outputs {
            if !output.portable && record.made_in != state.layout().root() {
                return Ok(Some(format!("its output `{name}` works only where it was made, in {}", record.made_in)));
            }
            let Some(manifest) = state.manifest(&output.hash)? else {
                return Ok(Some(format!("the manifest of its output `{name}` is gone")));
            };
            let path = state.layout().root().join(&output.path);
            if let Some(difference) = manifest.difference(times.get(name), &path, self.sources.hasher())? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    fn reasons(&self, stage: &Stage, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        let name = &stage.common.name;
        let old = self.current(name)?;
        let begun = old.is_none() && self.state.is_some_and(|state| state.layout().build_state(name).exists());
        if let Some(Supplied { role, bundle, .. }) = stage.supplied.as_ref().filter(|_| !begun) {
            return Ok(vec![format!("its profile comes out of {bundle} (role `{role}`)")]);
        }
        let Some(old) = old else {
            return Ok(vec![if begun { BEGUN } else { "it has not run yet" }.into()]);
        };
        if old.fingerprint.configuration.contains_key(&format!("declaration.{}", supply::PART)) {
            return Ok(vec!["its last profile came out of a bundle, and this is without `--profiles`".into()]);
        }
        let mut reasons: Vec<String> = Fingerprint::diff(&old.fingerprint, fingerprint).iter().map(describe).collect();
        if reasons.is_empty() {
            reasons.push("its record is gone".into());
        }
        Ok(reasons)
    }

    /// `--skip`: its recorded outputs are used whatever they were made from, else it has none.
    fn skipped(&self, name: &str) -> Result<Verdict> {
        if let Some(record) = self.current(name)?
            && record.outcome == RecordOutcome::Done
            && self.damage(&record)?.is_none()
        {
            return Ok(Verdict::Stale(Arc::new(record)));
        }
        Ok(Verdict::off(format!("stage `{name}` is skipped and has no recorded outputs")))
    }

    /// A stage outside of the selection that is not up to date.
    fn outside(&self, name: &str, why: &str) -> Result<Verdict> {
        let Some(record) = self.current(name)?.filter(|record| record.outcome == RecordOutcome::Done) else {
            let why = format!("stage `{name}` has not run, and is not selected (`--until {name}` runs it)");
            return Ok(Verdict::OutOfReach(why));
        };
        if let Some(damage) = self.damage(&record)? {
            return Ok(Verdict::OutOfReach(format!("the outputs of stage `{name}` cannot be used: {damage}")));
        }
        if self.selection.accept_stale {
            return Ok(Verdict::Stale(Arc::new(record)));
        }
        Ok(Verdict::OutOfReach(format!("stage `{name}` is out of date: {why} (`--accept-stale` uses it as it is)")))
    }
}

/// A stage that it `needs`, without using its outputs, has failed. One that is off has nothing to wait for.
fn blocked_by_needs(stage: &Stage, settled: &BTreeMap<String, Settled>, selected: bool) -> Option<Verdict> {
    stage.common.needs.iter().find_map(|need| match settled.get(need) {
        Some(Settled::Unavailable { why, failed: true }) => {
            Some(Verdict::Unavailable { why: why.clone(), blocked_by: Some(need.clone()), fallback: true })
        }
        Some(Settled::OutOfReach(why)) if selected => Some(Verdict::cut_off(why, need)),
        _ => None,
    })
}

/// The stages behind this one in its workspace.
fn successors(pipeline: &Pipeline, stage: &Stage) -> Vec<String> {
    let Some(workspace) = &stage.common.workspace else { return Vec::new() };
    let behind = pipeline.stages.iter().skip_while(|other| other.common.name != stage.common.name).skip(1);
    behind
        .filter(|other| other.common.workspace.as_ref() == Some(workspace))
        .map(|other| other.common.name.clone())
        .collect()
}

/// A difference as a reason.
fn describe(difference: &Difference) -> String {
    let part = &difference.part;
    match &difference.kind {
        Change::Changed { old, new } if !fingerprint::is_hash(old) && !fingerprint::is_hash(new) => {
            format!("{part} was `{old}` and is `{new}`")
        }
        Change::Changed { .. } => format!("{part} changed"),
        Change::Added { .. } => format!("{part} is new"),
        Change::Removed { .. } => format!("{part} is gone"),
    }
}
