//! The report of a run: its model, held against what earlier runs took and made (those of the same pipeline, run with the same variables),
//! with facts in order and the files that stages want shown.
//!
//! | who asks | what is read |
//! |---|---|
//! | a run that begins | the record of each stage, and the first line of the journals of the runs that made them; for a stage without one, what runs said of their stages, the latest first, until all is known |
//! | a report | what each of the last runs said of its stages; for a stage that was up to date, the journal of the run that made it |
//!
//! What commands used from second to second is most of a journal, and is passed over in each case. What cannot be read is left out, or says
//! why.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};

use camino::Utf8Path;
use serde_json::Value;

use super::diff::Variable;
use super::facts;
use super::timeline::Lanes;
use super::{Compared, EarlierSize, FORMAT, Made, Output, Report, Run, RunModel, Shown, Stage, StepKind};
use crate::event::{StageState, Stamped};
use crate::fs::disk::{self, DiskError};
use crate::pipeline::own_name;
use crate::report::summary::{self, Again};
use crate::state::journal;
use crate::state::layout::Layout;
use crate::state::record::{Record, RecordOutcome};
use crate::text;

/// How many earlier runs are looked at.
const EARLIER: usize = 20;
/// What a run says of its stages, as a journal names it.
const OF_STAGES: [&str; 3] = ["run-started", "stage-started", "stage-finished"];

/// More of a comparison is not read: it has a line per run of a workload.
const COMPARISON: u64 = 32 << 20;
/// More of a file that is to be shown is not printed: it is meant for a table.
const SHOWN: u64 = 64 << 10;
/// Columns of what is said in a report of a run.
const WIDTH: usize = 100;

/// What is known besides a run itself.
#[derive(Debug, Clone, Default)]
pub struct Past {
    /// Of each stage the times when it was done, the oldest first.
    done: BTreeMap<String, Vec<Figures>>,
    /// For stages that were up to date: the stage as it was made, and where.
    pub made: BTreeMap<String, (String, Stage)>,
}

/// A stage when it was done.
#[derive(Debug, Clone, Default)]
struct Figures {
    run: String,
    /// Seconds, of all runs that worked on it.
    duration: f64,
    /// Output to bytes.
    outputs: BTreeMap<String, u64>,
}

impl Past {
    /// Of runs, the oldest first.
    pub fn of<'a>(runs: impl IntoIterator<Item = &'a Report>) -> Past {
        let mut past = Past::default();
        runs.into_iter().for_each(|run| past.add(run));
        past
    }

    fn add(&mut self, run: &Report) {
        for stage in run.with(&[StageState::Done]) {
            let outputs = stage.outputs.iter().map(|output| (output.name.clone(), output.bytes)).collect();
            let figures = Figures { run: run.run.id.clone(), duration: stage.in_all(), outputs };
            self.done.entry(stage.name.clone()).or_default().push(figures);
        }
    }

    /// Seconds that each stage took when it was last done.
    pub fn took(&self) -> BTreeMap<String, f64> {
        let last = self.done.iter().filter_map(|(stage, done)| Some((stage.clone(), done.last()?.duration)));
        last.collect()
    }

    /// Adds to a stage what it took, and how large its outputs were. What a run measured has no size.
    fn add_to(&self, stage: &mut Stage) {
        let done = self.done.get(&stage.name).map_or(&[][..], Vec::as_slice);
        if stage.state == StageState::Done {
            stage.before = done.last().map(|last| Made { run: last.run.clone(), duration: last.duration });
        }
        if stage.measures() {
            return;
        }
        // Before the one that made it: this run, or another one.
        let made = stage.made.as_ref().map(|made| made.run.as_str());
        let earlier: Vec<&Figures> = done.iter().take_while(|figures| Some(figures.run.as_str()) != made).collect();
        for output in &mut stage.outputs {
            let sizes = earlier.iter().filter_map(|figures| {
                Some(EarlierSize { run: figures.run.clone(), bytes: *figures.outputs.get(&output.name)? })
            });
            output.earlier = sizes.collect();
        }
    }
}

impl RunModel {
    /// Adds what stages took and how large their outputs were in earlier runs.
    pub fn hold_against(&mut self, past: &Past) {
        self.report.stages.iter_mut().for_each(|stage| past.add_to(stage));
    }
}

impl Stage {
    /// Brings steps and facts into order. A stage that was up to date has what an earlier run made.
    pub(super) fn settle(&mut self, past: &Past) {
        let mut lanes = Lanes::default();
        for step in self.steps.iter_mut().filter(|step| step.kind != StepKind::Pool) {
            step.lane = lanes.take(step.start, step.start + step.length(f64::INFINITY));
        }
        self.sort_facts();
        let Some((run, made)) = past.made.get(&self.name).filter(|_| self.state == StageState::UpToDate) else {
            return;
        };
        let here = std::mem::take(self);
        let duration = here.made.map_or(made.duration, |made| made.duration);
        *self = Stage {
            name: here.name,
            state: here.state,
            made: Some(Made { run: run.clone(), duration }),
            start: None,
            duration: 0.0,
            hashing: 0.0,
            failure: None,
            reasons: Vec::new(),
            steps: Vec::new(),
            before: None,
            ..made.clone()
        };
    }
}

/// What a run that begins has to know: of each of its stages the last time when it was done.
pub fn latest(layout: &Layout, begun: &Report) -> Result<Past, DiskError> {
    let mut alike = Alike { layout, run: &begun.run, known: HashMap::new() };
    let mut past = Past::default();
    for stage in &begun.stages {
        let record = current(layout, &stage.name)?.filter(|record| record.outcome == RecordOutcome::Done);
        let Some(record) = record else { continue };
        if alike.is(&record.run)? {
            let outputs = record.outputs.into_iter().map(|(name, output)| (name, output.bytes)).collect();
            let figures = Figures { run: record.run.to_string(), duration: record.duration, outputs };
            past.done.insert(stage.name.clone(), vec![figures]);
        }
    }
    for name in before(layout, &begun.run)? {
        if begun.stages.iter().all(|stage| past.done.contains_key(&stage.name)) {
            break;
        }
        if alike.is(&name)? {
            let run = Past::of([&*of_stages(layout, &name)?]);
            run.done.into_iter().for_each(|(stage, figures)| _ = past.done.entry(stage).or_insert(figures));
        }
    }
    Ok(past)
}

/// All that a state directory knows of earlier runs, and of what this one found up to date.
pub fn all(layout: &Layout, run: &RunModel) -> Result<Past, DiskError> {
    let mut alike = Alike { layout, run: &run.run, known: HashMap::new() };
    let mut names = before(layout, &run.run)?;
    names.reverse();
    let mut past = Past::default();
    for name in names {
        if alike.is(&name)? {
            past.add(&*of_stages(layout, &name)?);
        }
    }
    past.made = made(layout, run)?;
    Ok(past)
}

/// The report of a run, with what changed since earlier ones.
pub fn report(layout: &Layout, run: &str) -> Result<Report, DiskError> {
    let (model, warning) = read(layout, run)?;
    if let Some(warning) = warning {
        tracing::warn!("{warning}");
    }
    let past = all(layout, &model)?;
    Ok(model.report(&past, None))
}

/// A run as its journal has it, and what of that cannot be read.
pub fn read(layout: &Layout, run: &str) -> Result<(RunModel, Option<String>), DiskError> {
    let read = journal::events_of(layout, run)?;
    Ok((RunModel::of(&read.events).running(read.running), read.warning))
}

/// What a run is about, by the first line of its journal.
pub fn about(layout: &Layout, run: &str) -> Result<Run, DiskError> {
    let first = journal::first(&layout.journal(run))?;
    Ok(RunModel::of(&first).run.clone())
}

/// Which runs are like one.
struct Alike<'a> {
    layout: &'a Layout,
    run: &'a Run,
    known: HashMap<String, bool>,
}

impl Alike<'_> {
    fn is(&mut self, name: &str) -> Result<bool, DiskError> {
        if let Some(known) = self.known.get(name) {
            return Ok(*known);
        }
        let alike = self.run.is_like(&about(self.layout, name)?);
        self.known.insert(name.into(), alike);
        Ok(alike)
    }
}

/// The names of the runs before one, the latest first.
fn before(layout: &Layout, run: &Run) -> Result<Vec<String>, DiskError> {
    let names = journal::runs(layout)?.into_iter().rev();
    Ok(names.filter(|name| name.as_str() < run.id.as_str()).take(EARLIER).map(String::from).collect())
}

/// A run, without what its commands did.
fn of_stages(layout: &Layout, name: &str) -> Result<RunModel, DiskError> {
    let wanted = |line: &str| OF_STAGES.contains(&journal::event_name(line));
    Ok(RunModel::of(&journal::read_where(&layout.journal(name), wanted)?.0))
}

/// The stages that were up to date, as they were made.
fn made(layout: &Layout, run: &RunModel) -> Result<BTreeMap<String, (String, Stage)>, DiskError> {
    let mut runs: HashMap<String, RunModel> = HashMap::new();
    let mut made = BTreeMap::new();
    for stage in run.with(&[StageState::UpToDate]) {
        let Some(record) = record(layout, &stage.fingerprint)? else { continue };
        if !runs.contains_key(record.run.as_str()) {
            let (events, _) = journal::read_without_samples(&layout.journal(&record.run))?;
            runs.insert(record.run.to_string(), RunModel::of(&events));
        }
        let known = runs.get(record.run.as_str()).and_then(|run| run.stage(&stage.name));
        let known = known.filter(|known| known.state == StageState::Done && known.fingerprint == stage.fingerprint);
        let mut then = known.cloned().unwrap_or_else(|| of_record(layout, &record));
        then.settle(&Past::default());
        made.insert(stage.name.clone(), (record.run.into(), then));
    }
    Ok(made)
}

/// What a record says of a stage whose run is forgotten.
fn of_record(layout: &Layout, record: &Record) -> Stage {
    let outputs = record.outputs.iter().map(|(name, output)| Output {
        name: name.clone(),
        path: layout.root().join(&output.path).into_string(),
        bytes: output.bytes,
        files: output.files,
        earlier: Vec::new(),
        show: output.show,
    });
    Stage {
        name: record.stage.to_string(),
        state: StageState::Done,
        duration: record.duration,
        fingerprint: record.fingerprint.id().into(),
        outputs: outputs.collect(),
        reported: record.facts.clone(),
        ..Stage::default()
    }
}

fn record(layout: &Layout, fingerprint: &str) -> Result<Option<Record>, DiskError> {
    let bytes = disk::read_if_there(&layout.record(fingerprint))?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// The record that the stage got last.
fn current(layout: &Layout, stage: &str) -> Result<Option<Record>, DiskError> {
    let Some(name) = disk::read_if_there(&layout.name(stage))? else { return Ok(None) };
    let name = String::from_utf8_lossy(&name).trim().to_owned();
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(None);
    }
    Ok(record(layout, &name)?.filter(|record| own_name(&record.stage) == own_name(stage)))
}

impl Run {
    /// Whether the pipelines are one, in the same file. Its text may have changed: what that is worth is worth knowing.
    pub fn same_pipeline(&self, other: &Run) -> bool {
        self.pipeline == other.pipeline && within(&self.file) == within(&other.file)
    }

    /// The variables with another value. One that only one of the runs has came or went with a change of the pipeline.
    pub fn other_variables(&self, other: &Run) -> Vec<Variable> {
        let roots = (root(&self.file), root(&other.file));
        let both = self.variables.iter().filter_map(|(name, value)| Some((name, value, other.variables.get(name)?)));
        let differ = both.filter(|(_, before, after)| relative(before, roots.0) != relative(after, roots.1));
        let variable = |(name, before, after): (&String, &Value, &Value)| Variable {
            name: name.clone(),
            before: before.clone(),
            after: after.clone(),
        };
        differ.map(variable).collect()
    }

    /// Whether a difference between the runs is one of what they did, not of what was asked for.
    pub fn is_like(&self, other: &Run) -> bool {
        self.same_pipeline(other) && self.other_variables(other).is_empty()
    }
}

/// Where a pipeline that comes with the program was unpacked: a directory named by the hash of what is in it, which another
/// version has under another name.
fn root(file: &str) -> Option<&str> {
    let is_hash = |name: &str| name.len() == 20 && name.chars().all(|char| char.is_ascii_hexdigit());
    let root = Utf8Path::new(file).ancestors().find(|path| {
        let parent = path.parent().and_then(Utf8Path::file_name);
        path.file_name().is_some_and(is_hash) && parent == Some("pipelines")
    });
    root.map(Utf8Path::as_str)
}

/// A file without the directory that it was unpacked into.
fn within(file: &str) -> &str {
    root(file).and_then(|root| file.strip_prefix(root)).unwrap_or(file)
}

/// A value without that directory: of a path into it what is below.
fn relative(value: &Value, root: Option<&str>) -> Value {
    match (value, root) {
        (Value::String(text), Some(root)) => text.strip_prefix(root).map_or_else(|| value.clone(), Value::from),
        _ => value.clone(),
    }
}

impl Report {
    /// The report of a run. `again` says how to go on; without it, as without options.
    pub fn of(events: &[Stamped], past: &Past, again: Option<&Again>) -> Report {
        RunModel::of(events).report(past, again)
    }

    /// What the stages that this run finished want shown, in order.
    pub fn files_to_show(&self) -> Vec<Shown> {
        let done = self.with(&[StageState::Done]).into_iter();
        let outputs = done.flat_map(|stage| stage.outputs.iter().map(move |output| (&stage.name, output)));
        let shown = outputs.filter(|(_, output)| output.show).map(|(stage, output)| {
            let text = text_of(output.path.as_str().into());
            let text = text.unwrap_or_else(|error| format!("{} cannot be shown: {error}\n", output.path));
            Shown { title: format!("{stage}.{}", output.name), text }
        });
        shown.collect()
    }
}

impl RunModel {
    /// See [`Report::of`].
    pub fn report(mut self, past: &Past, again: Option<&Again>) -> Report {
        let default = Again::of(&self);
        let again = again.unwrap_or(&default);
        let (verdict, remedies) = (summary::verdict(&self, again), summary::remedies(&self, again, WIDTH));
        let (remarks, timeline) = (summary::remarks(&self), self.timeline());
        let started = self.began().unwrap_or_default().to_string();
        let shown = self.files_to_show();
        self.report.stages.iter_mut().for_each(|stage| stage.settle(past));
        self.hold_against(past);
        let Report { mut run, stages, mut tools, withheld, cache, .. } = self.report;
        (run.started, run.verdict, run.remedies, run.remarks) = (started, verdict, remedies, remarks);
        tools.sort_by(|a, b| (&a.name, &a.path).cmp(&(&b.name, &b.path)));
        let comparisons = comparisons(&stages);
        // A table of what is here as numbers says nothing else.
        let compared = |title: &str| {
            comparisons.iter().any(|of| title.strip_prefix(&of.stage).is_some_and(|rest| rest.starts_with('.')))
        };
        let shown = shown.into_iter().filter(|shown| !compared(&shown.title)).collect();
        Report { format: FORMAT, run, timeline, comparisons, shown, tools, stages, withheld, cache }
    }
}

/// The comparisons among the outputs of stages: files in JSON that are one.
fn comparisons(stages: &[Stage]) -> Vec<Compared> {
    let made = stages.iter().filter(|stage| stage.state.has_outputs());
    let outputs = made.flat_map(|stage| stage.outputs.iter().map(move |output| (stage, output)));
    let json = outputs.filter(|(_, output)| output.path.ends_with(".json"));
    let read = json.filter_map(|(stage, output)| {
        let (bytes, _) = beginning(output.path.as_str().into(), COMPARISON).ok()?;
        let (stage, result) = (stage.name.clone(), serde_json::from_slice(&bytes).ok()?);
        Some(Compared { stage, result, fit: facts::fit(stages) })
    });
    read.collect()
}

fn text_of(path: &Utf8Path) -> io::Result<String> {
    let (bytes, length) = beginning(path, SHOWN)?;
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if length > SHOWN {
        text.push_str(&format!("\n… {} in all: {path}\n", text::size(length)));
    }
    Ok(text)
}

/// The beginning of a file, and its length.
fn beginning(path: &Utf8Path, limit: u64) -> io::Result<(Vec<u8>, u64)> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, length))
}
