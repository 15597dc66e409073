//! Puts a pipeline's `[outputs]` where a person looks for them: `out/NAME`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::decide::Settled;
use super::survey::available;
use crate::op::capture;
use crate::pipeline::{Piece, Pipeline, Text};
use crate::state::disk;
use crate::state::hash::Hasher;
use crate::state::manifest::Manifest;
use crate::state::store::State;

/// What was put where.
#[derive(Debug, Default)]
pub struct Published {
    /// Paths below the directory; `true` if the file was put there by this call.
    pub files: Vec<(Utf8PathBuf, bool)>,
    /// Outputs that have not been made.
    pub missing: Vec<String>,
}

/// Copies the outputs that have been made into `dir`. What stands there unchanged is left alone.
///
/// # Errors
/// When a file cannot be copied, or something that optbuild did not put there is in the way.
pub fn publish(
    pipeline: &Pipeline,
    settled: &BTreeMap<String, Settled>,
    state: &State,
    hasher: &Hasher,
    dir: &Utf8Path,
) -> Result<Published> {
    let mut published = Published::default();
    let mut all = read(state)?;
    let before = all.get(dir).cloned().unwrap_or_default();
    let mut now = BTreeMap::new();
    for (place, text) in &pipeline.outputs {
        let Some((source, hash)) = locate(text, settled, state) else {
            published.missing.push(place.clone());
            continue;
        };
        let target = dir.join(place);
        capture::sweep(&target)?;
        let unchanged = before.get(place) == Some(&hash) && same(&source, &target, hasher);
        if !unchanged {
            capture::replace(&source, &target)
                .with_context(|| format!("cannot put the output `{place}` to {target}"))?;
        }
        now.insert(place.clone(), hash);
        published.files.push((target, !unchanged));
    }
    if now != before {
        all.insert(dir.to_owned(), now);
        let path = state.layout().published();
        disk::write_durably(&path, &serde_json::to_vec_pretty(&all)?)?;
    }
    Ok(published)
}

/// Whether a copy is still one. One that cannot be read is none.
fn same(source: &Utf8Path, target: &Utf8Path, hasher: &Hasher) -> bool {
    let (source, target) = (Manifest::of(source, hasher), Manifest::of(target, hasher));
    matches!((source, target), (Ok((source, _)), Ok((target, _))) if source == target)
}

/// Everything that was put somewhere by any run of this state directory.
///
/// # Errors
/// When the note of it cannot be read.
pub fn places(state: &State) -> Result<Vec<Utf8PathBuf>> {
    let all = read(state)?;
    Ok(all.iter().flat_map(|(dir, places)| places.keys().map(|place| dir.join(place))).collect())
}

/// What was put into which directory: the place there, and the hash of what was put.
fn read(state: &State) -> Result<BTreeMap<Utf8PathBuf, BTreeMap<String, String>>> {
    let bytes = disk::read_if_there(&state.layout().published())?;
    // A damaged file costs only that outputs are put there again.
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
}

/// Where an output stands, and a hash that changes with its content.
fn locate(text: &Text, settled: &BTreeMap<String, Settled>, state: &State) -> Option<(Utf8PathBuf, String)> {
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
