//! Decides what a run does with a stage: it is up to date, it runs and why, or it cannot be known yet; and looks at all stages before
//! anything runs, to say at once what would go wrong later.
//!
//! Looks at records and sources; changes nothing. `plan`, `status`, `explain` and the scheduler ask the same questions here.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;

use super::environment;
use super::project::Project;
use super::select::Selection;
use super::sharing::Sharing;
use crate::cache::share;
use crate::event::Fact;
use crate::names::{FingerprintId, StageName};
use crate::pipeline::{OnFailure, OutputRef, Pipeline, Stage, StartsFrom, Supplied, supply};
use crate::plan::{Gap, PlanError, StagePlan};
use crate::state::fingerprint::{self, Change, Difference, Fingerprint, Inputs};
use crate::state::record::{InputRecord, Record, RecordOutcome};
use crate::state::store::State;
use crate::state::workspace::{self, Candidate, WorkspaceDecision, WorkspaceState};

/// Why a stage runs that an earlier run began and did not bring to its end.
pub const BEGUN: &str = "it was begun and not finished";

/// What a stage is that is off because the profile that it is for comes out of a bundle.
pub const SPARED: &str = "not needed: what it is for comes out of the bundle of `--profiles`";

/// What is known of a stage that others depend on.
#[derive(Debug, Clone)]
pub enum Settled {
    /// It has outputs.
    Done(Arc<Record>),
    /// It has none, and will have none in this run. Why, as in "stage `a` is switched off".
    Unavailable { why: String, failed: bool },
    /// It failed, which is not tolerated, or it lies outside of the selection and its outputs cannot be used. No fallback is
    /// taken for it: that would change what is built.
    OutOfReach(String),
    /// It will run, or might.
    Open,
}

/// What is to be done with a stage.
#[derive(Debug)]
pub enum Verdict {
    UpToDate(Arc<Record>, Box<StagePlan>),
    /// Its record is not up to date, and it is used all the same (`--accept-stale`, `--skip`).
    Stale(Arc<Record>),
    Run(Box<Work>),
    /// Whether it runs depends on what this stage makes.
    DependsOn(StageName, Box<StagePlan>),
    /// Its workspace must be brought into the right state by this stage first.
    NeedsFirst {
        stage: StageName,
        reason: String,
        /// The nearest stage that can start: where a selection has to begin that does without another stage before it.
        begin: StageName,
    },
    /// It cannot have outputs: it is off, skipped, or what it needs has none.
    Unavailable {
        why: String,
        blocked_by: Option<StageName>,
        /// Whether references to it take their fallback.
        fallback: bool,
    },
    /// It failed under the same fingerprint, and that was tolerated.
    FailedBefore(Arc<Record>),
    /// It is of variants that cannot be built on this machine, and the others go on without them.
    LeftOut(String),
    /// It lies outside of the selection and has no outputs that can be used.
    OutOfReach(String),
}

/// A stage that is ready to run.
#[derive(Debug)]
pub struct Work {
    pub plan: StagePlan,
    pub fingerprint: Fingerprint,
    pub inputs: Vec<InputRecord>,
    /// Where the inputs stand, with their hashes.
    pub input_paths: BTreeMap<OutputRef, (Utf8PathBuf, String)>,
    /// Why it runs.
    pub reasons: Vec<String>,
    /// Its committed workloads do not count.
    pub forced: bool,
    /// The fingerprint of the stage before it in its workspace.
    pub predecessor: Option<FingerprintId>,
    /// The stages behind it in its workspace, which start from what it leaves.
    pub successors: Vec<StageName>,
    /// How it is given to caches.
    pub sharing: Option<Sharing>,
    /// Why no cache has it, a sentence each; empty where none was asked.
    pub misses: Vec<String>,
}

impl Verdict {
    /// What `plan` and `explain` say: one of the three answers, or why the stage does not run.
    pub fn words(&self) -> String {
        match self {
            Verdict::UpToDate(record, _) => match &record.held {
                None => "up to date".into(),
                Some(held) if held.elsewhere => format!("up to date: the cache `{}` knows its hashes", held.cache),
                Some(held) => format!("up to date: in the cache `{}`", held.cache),
            },
            Verdict::Run(work) => format!("will run: {}", work.reasons.join("; ")),
            Verdict::DependsOn(stage, _) => format!("depends on {stage}"),
            Verdict::NeedsFirst { reason, .. } => format!("cannot start: {reason}"),
            Verdict::Stale(_) => "out of date, used as it is".into(),
            Verdict::Unavailable { why, blocked_by: Some(_), .. } => format!("blocked: {why}"),
            Verdict::Unavailable { why, .. } if why == SPARED => SPARED.into(),
            Verdict::Unavailable { .. } => "off".into(),
            Verdict::FailedBefore(_) => "failed before, which is tolerated".into(),
            Verdict::LeftOut(why) => format!("left out: {why}"),
            // The stage that needs it, if one does, is blocked and says why.
            Verdict::OutOfReach(_) => "not selected".into(),
        }
    }

    /// A stage that does not run, and does not fail.
    pub fn off(why: String) -> Verdict {
        Verdict::Unavailable { why, blocked_by: None, fallback: true }
    }

    /// A stage that depends on one without outputs. References to it take their fallback.
    pub fn blocked(why: &str, by: &str) -> Verdict {
        Verdict::Unavailable { why: why.into(), blocked_by: Some(by.into()), fallback: true }
    }

    /// A stage that depends on one that is out of reach, and is itself for those that depend on it.
    pub fn cut_off(why: &str, by: &str) -> Verdict {
        Verdict::Unavailable { why: why.into(), blocked_by: Some(by.into()), fallback: false }
    }
}

/// Answers for one project and one selection.
pub struct Judge<'a> {
    pub project: &'a Project,
    pub selection: &'a Selection,
    /// Stages that run again for the sake of their workspace, and why.
    pub rerun: BTreeMap<StageName, String>,
}

impl<'a> Judge<'a> {
    pub fn new(project: &'a Project, selection: &'a Selection) -> Judge<'a> {
        Judge { project, selection, rerun: BTreeMap::new() }
    }

    fn state(&self) -> Option<&'a State> {
        self.project.state.as_deref()
    }

    /// Decides about a stage. Every stage that it depends on must be settled, or open.
    pub fn judge(&self, stage: &Stage, settled: &BTreeMap<StageName, Settled>) -> Result<Verdict> {
        let (name, project) = (&stage.common.name, self.project);
        if stage.spared {
            return Ok(Verdict::off(SPARED.into()));
        }
        if !stage.common.when {
            return Ok(Verdict::off(format!("stage `{name}` is switched off")));
        }
        let selected = self.selection.stages.contains(name.as_str());
        if self.selection.skipped.contains(name.as_str()) {
            return self.skipped(name);
        }
        if let Some(verdict) = blocked_by_needs(stage, settled, selected) {
            return Ok(verdict);
        }
        let unavailable = settled.iter().filter_map(|(name, settled)| match settled {
            Settled::Unavailable { why, .. } => Some((name.to_string(), why.clone())),
            _ => None,
        });
        let plan = self.project.plan_without(name, &unavailable.collect());
        // First: an error of the plan may come from the answer that is missing.
        self.project.facts.check()?;
        let plan = match plan {
            Ok(plan) => plan,
            Err(PlanError::Blocked { by, .. }) => {
                let why = match settled.get(by.as_str()) {
                    Some(Settled::Unavailable { why, .. }) => why.clone(),
                    _ => format!("stage `{by}` has no outputs"),
                };
                return Ok(Verdict::blocked(&why, &by));
            }
            Err(error) if stage.dispensable => return Ok(Verdict::LeftOut(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        if let Some(gap) = plan.gaps.first().filter(|_| stage.dispensable) {
            return Ok(Verdict::LeftOut(format!("{} ({})", gap.what, gap.remedy)));
        }
        // What follows from a stage that this one goes on from, and that has no outputs.
        let without = |before: &str, plan: StagePlan, why: &str| match settled.get(before) {
            _ if !selected => self.outside(name, &format!("stage `{before}`, {why}, is not up to date")),
            Some(Settled::OutOfReach(why)) => Ok(Verdict::cut_off(why, before)),
            Some(Settled::Unavailable { why, .. }) => Ok(Verdict::blocked(why, before)),
            _ => Ok(Verdict::DependsOn(before.into(), Box::new(plan))),
        };
        let mut inputs = Vec::new();
        let mut input_paths = BTreeMap::new();
        for output in plan.inputs() {
            let Some(Settled::Done(record)) = settled.get(output.stage.as_str()) else {
                return without(&output.stage, plan, "which it is made from");
            };
            self.input(record, output, &mut inputs, &mut input_paths)?;
        }
        let mut predecessor = None;
        if let Some(before) = &stage.predecessor {
            let Some(Settled::Done(record)) = settled.get(before.as_str()) else {
                return without(before, plan, "whose workspace it goes on with");
            };
            predecessor = Some(record.fingerprint.id());
        }
        let hashes = input_paths.iter().map(|(output, (_, hash))| (output.clone(), hash.clone())).collect();
        let from = Inputs { outputs: &hashes, predecessor: predecessor.as_deref() };
        let fingerprint = project.fingerprint(stage, &plan, from).with_context(|| format!("stage `{name}`"))?;
        let successors = successors(&project.pipeline, stage);
        let reasons = Vec::new();
        let (sharing, misses) = (None, Vec::new());
        let work = Work {
            plan,
            fingerprint,
            inputs,
            input_paths,
            reasons,
            forced: false,
            predecessor,
            successors,
            sharing,
            misses,
        };
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
        let root = self.project.layout.root();
        inputs.push(InputRecord {
            stage: (&output.stage).into(),
            output: output.output.clone(),
            fingerprint: record.fingerprint.id(),
            hash: found.hash.clone(),
        });
        paths.insert(output, (root.join(&found.path), found.hash.clone()));
        Ok(())
    }

    /// Holds the fingerprint against the record.
    fn compare(&self, stage: &Stage, mut work: Work, settled: &BTreeMap<StageName, Settled>) -> Result<Verdict> {
        let name = &stage.common.name;
        let selected = self.selection.stages.contains(name.as_str());
        let record = self.record(&work.fingerprint.id())?;
        if self.selection.forced.contains(name.as_str()) {
            work.forced = true;
            work.reasons.push("it was asked for".into());
            self.share(stage, &mut work)?;
        } else if let Some(reason) = self.rerun.get(name.as_str()) {
            work.reasons.push(reason.clone());
            self.share(stage, &mut work)?;
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
            if let Some(record) = self.ask_caches(stage, &mut work)? {
                return Ok(Verdict::UpToDate(Arc::new(record), Box::new(work.plan)));
            }
        } else if let Some(record) = self.ask_caches(stage, &mut work)? {
            return Ok(Verdict::UpToDate(Arc::new(record), Box::new(work.plan)));
        } else {
            work.reasons = self.reasons(stage, &work.fingerprint)?;
        }
        if !selected {
            return self.outside(name, &work.reasons.join("; "));
        }
        if let (Some(state), Some(workspace)) = (self.state(), &stage.common.workspace) {
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
    fn nearest_start(
        &self,
        stage: &str,
        left: Option<&WorkspaceState>,
        settled: &BTreeMap<StageName, Settled>,
    ) -> StageName {
        let mut nearest = stage;
        while let Some((stage, before)) =
            self.project.pipeline.stage(nearest).and_then(|s| Some((s, s.predecessor.as_deref()?)))
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
        nearest.into()
    }

    fn record(&self, fingerprint: &str) -> Result<Option<Record>> {
        match self.state() {
            Some(state) => Ok(state.record(fingerprint)?),
            None => Ok(None),
        }
    }

    fn current(&self, stage: &str) -> Result<Option<Record>> {
        match self.state() {
            Some(state) => Ok(state.current(stage)?),
            None => Ok(None),
        }
    }

    /// Notes how a stage is given to caches, if it is.
    fn share(&self, stage: &Stage, work: &mut Work) -> Result<()> {
        let project = self.project;
        let Some(caches) = project.caches.get(&project.facts)? else { return Ok(()) };
        match share::wanted(stage, &work.plan, &work.fingerprint, &project.pipeline, project.layout.root()) {
            Ok(wanted) => work.sharing = Some(Sharing { caches, wanted }),
            Err(unshared) => work.misses.push(format!("not shared: {unshared}")),
        }
        Ok(())
    }

    /// The record of another machine, if a cache has it.
    fn ask_caches(&self, stage: &Stage, work: &mut Work) -> Result<Option<Record>> {
        self.share(stage, work)?;
        let Some(Sharing { caches, wanted }) = &work.sharing else { return Ok(None) };
        let answer = caches.ask(wanted)?;
        let (pipeline, layout) = (&self.project.pipeline.name, &self.project.layout);
        let record = answer.hit.as_ref().map(|hit| hit.record(wanted, pipeline, &work.inputs, layout));
        work.misses.clone_from(&answer.misses);
        Ok(record)
    }

    /// What is wrong with a record's outputs.
    fn damage(&self, record: &Record) -> Result<Option<String>> {
        let Some(state) = self.state() else { return Ok(None) };
        if let Some(held) = &record.held {
            let caches = &self.project.caches;
            // Whoever only looks asks no cache.
            let known = !caches.is_asked() || caches.get(&self.project.facts)?.is_some_and(|caches| caches.knows(held));
            return Ok((!known).then(|| format!("its outputs are in the cache `{}`, which is not used", held.cache)));
        }
        let times = state.times(&record.fingerprint.id())?;
        for (name, output) in &record.outputs {
            if !output.portable && record.made_in != state.layout().root() {
                return Ok(Some(format!("its output `{name}` works only where it was made, in {}", record.made_in)));
            }
            let Some(manifest) = state.manifest(&output.hash)? else {
                return Ok(Some(format!("the manifest of its output `{name}` is gone")));
            };
            let path = state.layout().root().join(&output.path);
            if let Some(difference) = manifest.difference(times.get(name), &path, self.project.sources.hasher())? {
                return Ok(Some(difference));
            }
        }
        Ok(None)
    }

    fn reasons(&self, stage: &Stage, fingerprint: &Fingerprint) -> Result<Vec<String>> {
        let name = &stage.common.name;
        let old = self.current(name)?;
        let begun = old.is_none() && self.state().is_some_and(|state| state.layout().build_state(name).exists());
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
fn blocked_by_needs(stage: &Stage, settled: &BTreeMap<StageName, Settled>, selected: bool) -> Option<Verdict> {
    stage.common.needs.iter().find_map(|need| match settled.get(need.as_str()) {
        Some(Settled::Unavailable { why, failed: true }) => Some(Verdict::blocked(why, need)),
        Some(Settled::OutOfReach(why)) if selected => Some(Verdict::cut_off(why, need)),
        _ => None,
    })
}

/// The stages behind this one in its workspace.
fn successors(pipeline: &Pipeline, stage: &Stage) -> Vec<StageName> {
    // What variants have made in turn, each from the same state, stays good when that state is made again for another one.
    let Some(workspace) = stage.common.workspace.as_ref().filter(|_| stage.variants.is_empty()) else {
        return Vec::new();
    };
    let behind = pipeline.stages.iter().skip_while(|other| other.common.name != stage.common.name).skip(1);
    behind
        .filter(|other| other.common.workspace.as_ref() == Some(workspace))
        .map(|other| (&other.common.name).into())
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

/// The verdicts on all stages, in the order in which they would run.
#[derive(Debug)]
pub struct Survey {
    pub stages: Vec<(StageName, Verdict)>,
}

/// What keeps a run from beginning.
#[derive(Debug, thiserror::Error)]
pub enum CannotBegin {
    /// Exit code 3.
    #[error("{}", gaps(.0))]
    Gaps(Vec<(StageName, Gap)>),
    /// Exit code 2.
    #[error("{0}")]
    OutOfReach(String),
}

fn gaps(gaps: &[(StageName, Gap)]) -> String {
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
pub fn survey(judge: &mut Judge) -> Result<Survey> {
    let project = judge.project;
    'again: loop {
        let mut settled = BTreeMap::new();
        let mut stages = Vec::new();
        for name in project.graph.order() {
            let Some(stage) = project.pipeline.stage(name) else { continue };
            let verdict = judge.judge(stage, &settled)?;
            if let Verdict::NeedsFirst { stage: first, reason, .. } = &verdict
                && judge.selection.stages.contains(first)
                && !judge.rerun.contains_key(first)
            {
                judge.rerun.insert(first.clone(), reason.clone());
                continue 'again;
            }
            settled.insert(StageName::from(name), settle(&verdict));
            stages.push((StageName::from(name), verdict));
        }
        return Ok(Survey { stages });
    }
}

/// What is said of a stage that failed, which is tolerated. The same in the run in which it fails and in those after it: what is made of it
/// goes into fingerprints.
pub fn failure_words(stage: &str, message: &str) -> String {
    let first = message.lines().next().unwrap_or_default();
    if first.is_empty() { format!("stage `{stage}` failed") } else { format!("stage `{stage}` failed: {first}") }
}

fn failed_before(record: &Record) -> String {
    let message = record.facts.iter().find_map(Fact::warned).unwrap_or_default();
    failure_words(&record.stage, message)
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
        Verdict::FailedBefore(record) => Settled::Unavailable { why: failed_before(record), failed: true },
        Verdict::LeftOut(why) => Settled::Unavailable { why: why.clone(), failed: true },
        Verdict::OutOfReach(why) => Settled::OutOfReach(why.clone()),
    }
}

impl Survey {
    /// What would go wrong after the run has begun, said before it begins.
    pub fn check(&self, selection: &Selection) -> Result<(), CannotBegin> {
        let selected = |name: &str| selection.stages.contains(name);
        let mut missing = Vec::new();
        let mut problems = Vec::new();
        let mut blocked: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let temporary = environment::temporary_files();
        for (name, verdict) in &self.stages {
            if matches!(verdict, Verdict::Run(_)) {
                missing.extend(temporary.iter().map(|gap| (name.clone(), gap.clone())));
            }
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
                    Verdict::FailedBefore(_) | Verdict::LeftOut(_) => true,
                    Verdict::Unavailable { blocked_by: Some(by), .. } => self.failed_before(by),
                    _ => false,
                }
        })
    }
}

/// The first of the alternatives that has been made.
pub fn available<'a>(
    candidates: &'a [OutputRef],
    settled: &BTreeMap<StageName, Settled>,
) -> Option<(&'a OutputRef, Arc<Record>)> {
    candidates.iter().find_map(|candidate| match settled.get(candidate.stage.as_str()) {
        Some(Settled::Done(record)) => Some((candidate, record.clone())),
        _ => None,
    })
}
