//! Puts a pipeline's `[outputs]` where a person looks for them: `out/NAME`; unless a comparison says that they are slower.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::decide::{Settled, available};
use super::project::Project;
use super::scheduler::RunEnd;
use super::select::Selection;
use crate::event::{Fact, StageState, Withheld};
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
    /// What was not put there.
    pub withheld: Vec<Withheld>,
    /// What stood in directories that were replaced, and stands there no more.
    pub gone: Vec<Utf8PathBuf>,
    /// What stands there in place of an output of a stage that failed, which is tolerated.
    pub instead: Vec<Instead>,
}

/// How a run ended, for those who put its outputs in place.
pub struct Ended<'a> {
    pub end: &'a RunEnd,
    pub selection: &'a Selection,
    /// Outputs are put in place whatever comparisons say.
    pub anyway: bool,
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
pub fn publish(project: &Project, ended: &Ended, state: &State, dir: &Utf8Path) -> Result<Published> {
    let settled = &ended.end.settled;
    let mut published = Published::default();
    if project.pipeline.outputs.is_empty() {
        return Ok(published);
    }
    let mut all = state.published()?;
    let before = all.get(dir).cloned().unwrap_or_default();
    // What is not made this time, or not called so any more, stays there and stays ours.
    let mut now = before.clone();
    let mut to_put = Vec::new();
    for (place, declared) in &project.pipeline.outputs {
        let target = dir.join(place);
        let stands_instead = instead(&declared.from, settled, &target);
        let Some((source, hash)) = locate(&declared.from, settled, state) else {
            published.instead.extend(stands_instead);
            continue;
        };
        replace::sweep(&target)?;
        let same = same(&source, &target, project.sources.hasher());
        let judge = declared.unless_slower.as_ref().filter(|_| !same && !ended.anyway);
        if let Some((judge, objection)) =
            judge.and_then(|judge| Some((judge, ended.objection(project, judge, &declared.from)?)))
        {
            published.withheld.push(Withheld {
                output: place.clone(),
                judge: judge.clone(),
                why: objection.why,
                slower: objection.slower,
                lies: source,
                earlier: target.symlink_metadata().is_ok(),
                place: target,
            });
            continue;
        }
        published.instead.extend(stands_instead);
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

/// Why an output is not put in place.
struct Objection {
    why: String,
    slower: bool,
}

impl Ended<'_> {
    /// What the stage that compares has against an output. What it said of another build does not count.
    fn objection(&self, project: &Project, judge: &str, output: &Text) -> Option<Objection> {
        if !project.pipeline.stage(judge).is_some_and(|stage| stage.common.when) {
            return None;
        }
        if let Some(Settled::Done(record)) = self.end.settled.get(judge) {
            let here = output.outputs().next().and_then(|candidates| available(candidates, &self.end.settled));
            let is_another = here.is_some_and(|(output, made)| {
                let hash = made.outputs.get(&output.output).map(|output| &output.hash);
                record.inputs.iter().any(|input| input.output_ref() == *output && Some(&input.hash) != hash)
            });
            let slower = record.facts.iter().find_map(Fact::slower).filter(|_| !is_another);
            return slower.map(|why| Objection { why: why.into(), slower: true });
        }
        let state = self.end.stages.get(judge).copied().unwrap_or_default();
        let why = match state {
            StageState::Tolerated | StageState::Skipped => return None,
            StageState::Failed => format!("`{judge}` failed, so it is not known whether it is slower"),
            _ if !self.selection.stages.contains(judge) => return None,
            _ => format!("`{judge}` was not made, so it is not known whether it is slower"),
        };
        Some(Objection { why, slower: false })
    }
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
