//! Puts a pipeline's `[outputs]` where a person looks for them: `out/NAME`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::decide::{Settled, available};
use super::project::Project;
use crate::fs::replace;
use crate::names::StageName;
use crate::pipeline::{Piece, Text};
use crate::state::hash::Hasher;
use crate::state::manifest::Manifest;
use crate::state::store::State;

/// What was put where.
#[derive(Debug, Default)]
pub struct Published {
    /// Paths below the directory; `true` if the file was put there by this call.
    pub files: Vec<(Utf8PathBuf, bool)>,
    /// What stood in directories that were replaced, and stands there no more.
    pub gone: Vec<Utf8PathBuf>,
    /// What stands there in place of an output of a stage that failed, which is tolerated.
    pub instead: Vec<Instead>,
}

/// An output that was not made.
#[derive(Debug)]
pub struct Instead {
    pub path: Utf8PathBuf,
    pub failed: StageName,
    /// The stage whose output has its place; none: nothing is there.
    pub by: Option<StageName>,
}

/// Copies the outputs that have been made into `dir`. What stands there unchanged is left alone.
///
/// # Errors
/// When a file cannot be copied, or something that optbuild did not put there is in the way.
pub fn publish(
    project: &Project,
    settled: &BTreeMap<StageName, Settled>,
    state: &State,
    dir: &Utf8Path,
) -> Result<Published> {
    let mut published = Published::default();
    if project.pipeline.outputs.is_empty() {
        return Ok(published);
    }
    let mut all = state.published()?;
    let before = all.get(dir).cloned().unwrap_or_default();
    // What is not made this time, or not called so any more, stays there and stays ours.
    let mut now = before.clone();
    let mut to_put = Vec::new();
    for (place, text) in &project.pipeline.outputs {
        published.instead.extend(instead(text, settled, &dir.join(place)));
        let Some((source, hash)) = locate(text, settled, state) else {
            continue;
        };
        let target = dir.join(place);
        replace::sweep(&target)?;
        let same = same(&source, &target, project.sources.hasher());
        let ours = before.contains_key(place) || project.own_out_dir() == dir;
        if !same && !ours && target.symlink_metadata().is_ok() {
            return Err(InTheWay(target).into());
        }
        let unchanged = same && before.get(place) == Some(&hash);
        now.insert(place.clone(), hash);
        published.files.push((target.clone(), !unchanged));
        if !unchanged {
            published.gone.extend(
                names(&target).into_iter().filter(|name| !source.join(name).exists()).map(|name| target.join(name)),
            );
            to_put.push((place, source, target));
        }
    }
    // First the note: what a kill leaves there is not taken for something of the user's.
    if now != before {
        all.insert(dir.to_owned(), now);
        state.put_published(&all)?;
    }
    for (place, source, target) in to_put {
        replace::replace(&source, &target).with_context(|| format!("cannot put the output `{place}` to {target}"))?;
    }
    Ok(published)
}

/// The names in a directory; none of anything else.
fn names(dir: &Utf8Path) -> Vec<String> {
    let entries = dir.read_dir_utf8().into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().to_owned()).collect();
    names.sort();
    names
}

/// Something that this state directory did not put there stands where an output goes.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is in the way of an output, and was not put there from this state directory; move it elsewhere, or name another \
     directory with `--out`"
)]
pub struct InTheWay(pub Utf8PathBuf);

/// Looks for what [`publish`] would refuse to replace, before hours of work.
///
/// # Errors
/// [`InTheWay`], or that the note of what was put there cannot be read.
pub fn check(project: &Project, state: &State, dir: &Utf8Path) -> Result<()> {
    if project.own_out_dir() == dir {
        return Ok(());
    }
    let all = state.published()?;
    for place in project.pipeline.outputs.keys() {
        let target = dir.join(place);
        let ours = all.get(dir).is_some_and(|before| before.contains_key(place));
        if !ours && target.symlink_metadata().is_ok() {
            return Err(InTheWay(target).into());
        }
    }
    Ok(())
}

/// Whether a copy is still one. One that cannot be read is none.
fn same(source: &Utf8Path, target: &Utf8Path, hasher: &Hasher) -> bool {
    let (source, target) = (Manifest::of(source, hasher), Manifest::of(target, hasher));
    matches!((source, target), (Ok((source, _)), Ok((target, _))) if source == target)
}

/// That a stage which was to make an output has failed.
fn instead(text: &Text, settled: &BTreeMap<StageName, Settled>, path: &Utf8Path) -> Option<Instead> {
    let Some(Piece::Outputs(candidates)) = text.pieces.first() else { return None };
    let by = available(candidates, settled).map(|(output, _)| StageName::from(&output.stage));
    let before = candidates.iter().take_while(|candidate| by.as_ref().is_none_or(|by| candidate.stage != by.as_str()));
    let has_failed = |stage: &str| matches!(settled.get(stage), Some(Settled::Unavailable { failed: true, .. }));
    let failed = before.map(|candidate| &candidate.stage).find(|stage| has_failed(stage))?;
    Some(Instead { path: path.to_owned(), failed: failed.into(), by })
}

/// Where an output stands, and a hash that changes with its content.
fn locate(text: &Text, settled: &BTreeMap<StageName, Settled>, state: &State) -> Option<(Utf8PathBuf, String)> {
    let (Piece::Outputs(candidates), below) = text.pieces.split_first()? else { return None };
    let (output, record) = available(candidates, settled)?;
    let found = record.outputs.get(&output.output)?;
    let mut path = state.layout().root().join(&found.path);
    let mut hash = found.hash.clone();
    for piece in below {
        let Piece::Literal(literal) = piece else { return None };
        path = Utf8PathBuf::from(format!("{path}{literal}"));
        hash.push_str(literal);
    }
    path.symlink_metadata().is_ok().then_some((path, hash))
}
