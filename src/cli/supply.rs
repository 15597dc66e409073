//! `--profiles`: a bundle in the place of gather stages.
//!
//! Reads the bundle, and compares what it says of its sources with those here. What becomes of the stages is
//! `pipeline::supply`'s business.

use std::fs::File;

use anyhow::{Context as _, Result};
use camino::Utf8Path;

use super::exit::Usage;
use super::profile::origin;
use crate::pipeline::{Graph, Supplied};
use crate::profile::Format;
use crate::profile::bundle::{self, Bundle, Entry, Limits, Member, Origin};
use crate::run::project::Project;

/// Puts the profiles of a bundle in the place of the gather stages with their roles. `here`: the plan is for this machine, so
/// that sources can be compared.
///
/// # Errors
/// The bundle is not taken, or fits no stage.
pub(super) fn supply(project: &mut Project, path: &Utf8Path, allow_stale: bool, here: bool) -> Result<()> {
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
            profile.instrumented = origin::instrumented(project, stage)?;
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
        Usage(format!("profiles cannot be taken from {path}: {why} (`--profiles`, perhaps of the last run)"))
    };
    // It is read again when its turn comes, so it is a file; opening a pipe would wait for a writer.
    let found = std::fs::metadata(path).map_err(|error| refused(&error))?;
    if !found.is_file() {
        return Err(refused(&"it is not a file").into());
    }
    let input = File::open(path).map_err(|error| refused(&error))?;
    let read = bundle::read(input, &Limits::default(), None);
    read.map_err(|error| Usage(format!("the bundle {path} is not taken: {error}")).into())
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
    for here in origin::sources(project, stage)? {
        let of_rust = match &bundle.origin {
            Origin::Rust { commit: Some(commit), .. } => Some(commit),
            _ => None,
        };
        let there = entry.sources.iter().find(|there| there.stage == here.stage && there.name == here.name);
        let differs = match (there, of_rust) {
            (Some(there), _) if there.hash != here.hash => Some(there.revision.clone()),
            (None, Some(commit)) if here.revision.as_ref().is_some_and(|revision| !revision.contains(commit)) => {
                Some(Some(commit.clone()))
            }
            _ => None,
        };
        if let Some(revision) = differs {
            let shown = |revision: Option<String>| revision.unwrap_or_else(|| "no revision known".into());
            notes.push(format!(
                "the profile `{}` was gathered on another `{}` of stage `{}` ({}) than there is here ({})",
                entry.role,
                here.name,
                here.stage,
                shown(revision),
                shown(here.revision)
            ));
        }
    }
    Ok(notes)
}
