//! Where profiles come from: the sources, the tools and the files that were instrumented, as far as records and the machine say; and
//! `--profiles`, a bundle in the place of gather stages.
//!
//! Compares what a bundle says of its sources with those here. What becomes of the stages is `pipeline::supply`'s business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::cli::exit::{Usage, usage};
use crate::pipeline::{Graph, OutputRef, Piece, Stage, Supplied, Text, VarValue, leading_output};
use crate::profile::bundle::{self, Binary, Bundle, Entry, Limits, Member, Source};
use crate::profile::elf::Binary as Sections;
use crate::profile::elf::Identity;
use crate::profile::{self, Format};
use crate::run::project::Project;
use crate::stage::kind_of;
use crate::state::fingerprint;
use crate::state::listing;
use crate::state::record::{Record, RecordOutcome};
use crate::toolchain::version;

/// The sources of the build that a gather stage runs, as they are here: those of the instrumented stage and of all that it is made
/// from, up to other gather stages.
///
/// # Errors
/// A source cannot be read.
fn sources(project: &Project, gather: &str) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for stage in builds(project, gather) {
        let name = &stage.common.name;
        let Ok(plan) = project.plan(name, &project.off()) else { continue };
        let hashes = fingerprint::sources_now(&plan, &project.sources).with_context(|| format!("stage `{name}`"))?;
        for (source, hash) in hashes {
            let path = plan.sources.iter().find(|found| found.name == source).map(|found| found.path.as_path());
            let revision = path.and_then(revision);
            sources.push(Source { stage: name.clone(), name: source, hash, revision });
        }
    }
    Ok(sources)
}

/// The instrumented build and what it is made from, without gather stages.
fn builds<'p>(project: &'p Project, gather: &str) -> Vec<&'p Stage> {
    let gathers = project.pipeline.stage(gather).and_then(|stage| stage.kind.answers.gathers.as_ref());
    let Some(gathers) = gathers else { return Vec::new() };
    let first = leading_output(&gathers.instrumented).unwrap_or_default().iter().map(|output| output.stage.clone());
    let mut open: Vec<String> = first.collect();
    let mut found = BTreeSet::new();
    while let Some(name) = open.pop() {
        let Some(stage) = project.pipeline.stage(&name).filter(|stage| stage.common.when) else { continue };
        if stage.role().is_none() && found.insert(name) {
            open.extend(stage.dependencies.iter().flatten().cloned());
        }
    }
    project.pipeline.stages.iter().filter(|stage| found.contains(&stage.common.name)).collect()
}

/// What git says of the tree that a path lies in, the whole hash included; else the hash in the file that rust's source archives
/// have in its place.
fn revision(path: &Utf8Path) -> Option<String> {
    let dir = if path.is_dir() { path } else { path.parent()? };
    // A directory that is not in the commit, such as one that is ignored, is in another project's repository.
    let described = git(dir, &["rev-parse", "--quiet", "--verify", "HEAD:./"]);
    let described =
        described.and_then(|_| git(dir, &["describe", "--always", "--long", "--dirty", "--tags", "--abbrev=40"]));
    let commit = || std::fs::read_to_string(dir.join("git-commit-hash")).ok();
    let revision = described.or_else(commit)?.trim().to_string();
    (!revision.is_empty()).then_some(revision)
}

/// What git prints in a directory; none if it fails.
fn git(dir: &Utf8Path, words: &[&str]) -> Option<String> {
    let ended = listing::git(dir.as_std_path(), words).output().ok()?;
    if ended.status.success() { String::from_utf8(ended.stdout).ok() } else { None }
}

/// What a record of a gather stage says of where its profile comes from.
#[derive(Debug, Default)]
pub(super) struct Origin {
    pub sources: Vec<Source>,
    pub tools: BTreeMap<String, String>,
    pub instrumented: Vec<Binary>,
    pub rewritten: Option<Binary>,
    /// Where the rewritten file is.
    pub path: Option<Utf8PathBuf>,
}

/// Looks at what a recorded profile was made from, as far as it is still there.
pub(super) fn of(project: &Project, stage: &Stage, record: &Record, format: Format) -> Result<Origin> {
    let Some(gather) = &stage.kind.answers.gathers else { return Ok(Origin::default()) };
    let build = producer(project, record, &gather.instrumented)?;
    let records = build.as_ref().map(|build| records(project, build)).transpose()?.unwrap_or_default();
    let mut origin = Origin {
        sources: recorded_sources(project, &stage.common.name, &records)?,
        tools: tools(project, records.values().chain([record]))?,
        ..Origin::default()
    };
    let instrumented = made_from(project, record, &gather.instrumented);
    if let Some(path) = &instrumented {
        origin.instrumented = binaries(path, format)?;
    }
    if format == Format::Profdata {
        return Ok(origin);
    }
    // What is sampled is rewritten itself; what is instrumented was made from what is rewritten.
    let rewritten = build.as_ref().and_then(|build| {
        let kind = project.pipeline.stage(&build.stage).and_then(kind_of)?;
        made_from(project, build, kind.rewrites()?)
    });
    if let Some(path) = rewritten.or(instrumented).filter(|path| path.is_file()) {
        origin.rewritten = binary(&path)?;
        origin.path = Some(path);
    }
    Ok(origin)
}

/// The record of the stage whose output a text begins with, in the very version that `record` was made from.
fn producer(project: &Project, record: &Record, text: &Text) -> Result<Option<Record>> {
    let (Some(candidates), Some(state)) = (leading_output(text), &project.state) else { return Ok(None) };
    let input = record.inputs.iter().find(|input| candidates.iter().any(|output| input.stage == output.stage));
    let Some(input) = input else { return Ok(None) };
    Ok(state.record(&input.fingerprint)?.filter(|record| record.outcome == RecordOutcome::Done))
}

/// Where what a text names stood when `record` was made; none if that is not there any more.
fn made_from(project: &Project, record: &Record, text: &Text) -> Option<Utf8PathBuf> {
    let state = project.state.as_ref()?;
    place(project, text, &|candidates| {
        let input = record.inputs.iter().find(|input| candidates.iter().any(|output| input.stage == output.stage))?;
        let output = candidates.iter().find(|output| input.stage == output.stage)?;
        // A gather stage has all copies of a BOLT-instrumented build as its input, where the declaration names one of them.
        Some((state.record(&input.fingerprint).ok().flatten()?, output.clone()))
    })
}

/// Finds the output that a reference is, with the record that it is of.
type Find<'a> = &'a dyn Fn(&[OutputRef]) -> Option<(Record, OutputRef)>;

/// What a text is, with the records of the stages that it refers to.
fn place(project: &Project, text: &Text, find: Find) -> Option<Utf8PathBuf> {
    let root = project.state.as_ref()?.layout().root();
    let mut path = String::new();
    for piece in &text.pieces {
        match piece {
            Piece::Literal(text) => path.push_str(text),
            Piece::PipelineDir(file) => path.push_str(project.pipeline.dirs.get(*file)?.as_str()),
            Piece::Var(name) => match &project.pipeline.vars.get(name)?.value {
                VarValue::Path(value) => path.push_str(value.as_str()),
                VarValue::String(value) => path.push_str(value),
                _ => return None,
            },
            Piece::Outputs(candidates) => {
                let (record, output) = find(candidates)?;
                path.push_str(root.join(&record.outputs.get(&output.output)?.path).as_str());
            }
            _ => return None,
        }
    }
    let path = root.join(path);
    path.exists().then_some(path)
}

/// The instrumented build that a gather stage would run, if there is one of the sources as they are.
///
/// # Errors
/// A source or a record cannot be read.
fn instrumented(project: &Project, gather: &str) -> Result<Option<Utf8PathBuf>> {
    let (Some(state), Some(stage)) = (&project.state, project.pipeline.stage(gather)) else { return Ok(None) };
    let Some(kind) = &stage.kind.answers.gathers else { return Ok(None) };
    let here = sources(project, gather)?;
    for stage in builds(project, gather) {
        let name = &stage.common.name;
        let Some(record) = state.current(name)?.filter(|record| record.outcome == RecordOutcome::Done) else {
            return Ok(None);
        };
        let same = |source: &Source| record.fingerprint.sources.get(&source.name) == Some(&source.hash);
        if !here.iter().filter(|source| source.stage == *name).all(same) {
            return Ok(None);
        }
    }
    Ok(place(project, &kind.instrumented, &|candidates| {
        let output = candidates.first()?;
        Some((state.current(&output.stage).ok().flatten()?, output.clone()))
    }))
}

/// The records of an instrumented build and of all that it is made from, without gather stages, by stage.
fn records(project: &Project, build: &Record) -> Result<BTreeMap<String, Record>> {
    let gathers = |stage: &str| project.pipeline.stage(stage).is_some_and(|stage| stage.role().is_some());
    let mut found: BTreeMap<String, Record> = BTreeMap::new();
    let mut open = vec![build.clone()];
    while let Some(record) = open.pop() {
        for input in
            record.inputs.iter().filter(|input| !gathers(&input.stage) && !found.contains_key(input.stage.as_str()))
        {
            if let Some(state) = &project.state {
                open.extend(state.record(&input.fingerprint)?);
            }
        }
        found.insert(record.stage.to_string(), record);
    }
    Ok(found)
}

/// The sources of records, with revisions where they have not changed since.
fn recorded_sources(project: &Project, gather: &str, records: &BTreeMap<String, Record>) -> Result<Vec<Source>> {
    let here = sources(project, gather)?;
    let mut sources = Vec::new();
    for (stage, record) in records {
        for (name, hash) in &record.fingerprint.sources {
            let same = here.iter().find(|here| here.stage == *stage && here.name == *name && here.hash == *hash);
            let revision = same.and_then(|here| here.revision.clone());
            sources.push(Source { stage: stage.clone(), name: name.clone(), hash: hash.clone(), revision });
        }
    }
    Ok(sources)
}

/// The versions of the tools that records were made with, as far as the tools are still the same.
fn tools<'r>(project: &Project, records: impl Iterator<Item = &'r Record>) -> Result<BTreeMap<String, String>> {
    let off = project.off();
    let mut versions = BTreeMap::new();
    for record in records {
        let Ok(plan) = project.plan(&record.stage, &off) else { continue };
        let now = fingerprint::tools_now(&plan, &project.sources, &project.tools)?;
        for tool in &plan.tools {
            let part = format!("tool.{}", tool.name);
            if now.get(&part) == record.fingerprint.configuration.get(&part)
                && let Some(version) = version::of(&project.facts, &tool.name, &tool.path)
            {
                versions.insert(tool.name.clone(), version.to_string());
            }
        }
    }
    Ok(versions)
}

/// The linked files below a path that are instrumented.
fn binaries(path: &Utf8Path, format: Format) -> Result<Vec<Binary>> {
    let mut found = Vec::new();
    for file in profile::find(path, |_| true).with_context(|| format!("cannot look for programs in {path}"))? {
        // A directory may hold all sorts of files, such as damaged ones for a project's tests.
        let Ok(Some(sections)) = Sections::read(&file.path) else { continue };
        let instrumented = match format {
            Format::Profdata => sections.pgo_instrumented,
            Format::Fdata => sections.bolt_instrumented,
        };
        if instrumented {
            found.extend(binary(&file.path)?);
        }
    }
    Ok(found)
}

fn binary(path: &Utf8Path) -> Result<Option<Binary>> {
    let file = path.file_name().unwrap_or_default().to_string();
    Ok(Identity::read(path)?.map(|Identity { build_id, code }| Binary { file, build_id, code }))
}

/// Puts the profiles of a bundle in the place of the gather stages with their roles. `here`: the plan is for this machine, so
/// that sources can be compared.
///
/// # Errors
/// The bundle is not taken, or fits no stage.
pub(in crate::cli) fn supply(project: &mut Project, path: &Utf8Path, allow_stale: bool, here: bool) -> Result<()> {
    let bundle = open(path)?;
    let path = &path.canonicalize_utf8().with_context(|| format!("cannot find the bundle {path}"))?;
    let roles = project.pipeline.roles();
    let unused = bundle.profiles.iter().map(|entry| &entry.role).filter(|role| !roles.contains_key(*role));
    for role in unused {
        tracing::info!("{path} has a profile with role `{role}`, which no gather stage of the pipeline has");
    }
    let mut profiles = Vec::new();
    for entry in &bundle.profiles {
        let mut profile = supplied(entry, path, allow_stale);
        if let Some(stage) = roles.get(&entry.role).filter(|_| here) {
            profile.notes = differences(project, stage, &bundle, entry)?;
            profile.instrumented = instrumented(project, stage)?;
        }
        profiles.push(profile);
    }
    let pipeline = &mut project.pipeline;
    pipeline.supply(profiles).map_err(|error| Usage(format!("the bundle {path} does not fit: {error}")))?;
    project.graph = Graph::new(pipeline).map_err(|cycle| Usage(cycle.to_string()))?;
    Ok(())
}

/// Reads a bundle.
fn open(path: &Utf8Path) -> Result<Bundle> {
    let refused = |why: &dyn std::fmt::Display| {
        usage!("profiles cannot be taken from {path}: {why} (`--profiles`, perhaps of the last run)")
    };
    // It is read again when its turn comes, so it is a file; opening a pipe would wait for a writer.
    let found = std::fs::metadata(path).map_err(|error| refused(&error))?;
    if !found.is_file() {
        return Err(refused(&"it is not a file"));
    }
    let input = File::open(path).map_err(|error| refused(&error))?;
    let read = bundle::read(input, &Limits::default(), None);
    read.map_err(|error| usage!("the bundle {path} is not taken: {error}"))
}

fn supplied(entry: &Entry, path: &Utf8Path, allow_stale: bool) -> Supplied {
    let rewritten = entry.rewritten.as_ref();
    let matchable = entry.matchable.clone().filter(|_| allow_stale);
    let is_matchable = matchable.is_some();
    let plain = || Member { file: entry.file.clone(), bytes: entry.bytes, blake3: entry.blake3.clone() };
    let Member { file, bytes, blake3 } = matchable.unwrap_or_else(plain);
    Supplied {
        role: entry.role.clone(),
        bundle: path.to_owned(),
        member: file,
        matchable: is_matchable,
        bolt: entry.kind == Format::Fdata,
        version: entry.version,
        bytes,
        hash: blake3.to_ascii_lowercase(),
        build_id: rewritten.and_then(|file| file.build_id.clone()),
        code: rewritten.map(|file| file.code.clone()),
        instrumented: None,
        allow_stale,
        notes: Vec::new(),
    }
}

/// What is to be said of the sources of a profile: a sentence for each tree that is another one here.
fn differences(project: &Project, stage: &str, bundle: &Bundle, entry: &Entry) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for here in sources(project, stage)? {
        let of_rust = match &bundle.origin {
            bundle::Origin::Rust { commit: Some(commit), .. } => Some(commit),
            _ => None,
        };
        let there = entry.sources.iter().find(|there| there.stage == here.stage && there.name == here.name);
        let gathered = match (there, of_rust) {
            (Some(there), _) if there.hash != here.hash => there.revision.clone(),
            (None, Some(commit)) if here.revision.as_ref().is_some_and(|revision| !revision.contains(commit)) => {
                Some(commit.clone())
            }
            _ => continue,
        };
        let revisions = [gathered, here.revision];
        let [gathered, found] = revisions.map(|revision| revision.unwrap_or_else(|| "no revision known".into()));
        notes.push(format!(
            "the profile `{}` was gathered on another `{}` of stage `{}` ({gathered}) than there is here ({found})",
            entry.role, here.name, here.stage
        ));
    }
    Ok(notes)
}
