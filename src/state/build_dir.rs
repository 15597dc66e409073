//! What is kept of a stage that is begun again: its build directory, and the workloads that count already.
//!
//! Unaware of why a stage is begun, and of what stands in the directories.

use serde::{Deserialize, Serialize};

use super::fingerprint::Fingerprint;
use super::layout::Layout;
use super::restart::{self, Boot};
use crate::fs::disk::{self, DiskError};
use crate::names::{FingerprintId, RunId};

/// How a stage is begun.
#[derive(Debug, Clone, Copy)]
pub struct Begin<'a> {
    pub stage: &'a str,
    pub fingerprint: &'a Fingerprint,
    /// The run that begins it.
    pub run: &'a str,
    /// The run does the stage afresh whatever its record says: committed workloads are dropped, once.
    pub forced: bool,
    /// The build directory is wiped too, once.
    pub fresh: bool,
    /// The stage works in a workspace, which is never wiped.
    pub workspace: Option<&'a str>,
    /// Paths outside of the state directory that the build directory may hold: CMake refuses one of a source that moved.
    pub places: &'a str,
}

/// What became of a stage's directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prepared {
    pub build: BuildDir,
    /// Workloads that were committed under the same fingerprint are still there.
    pub continues: bool,
    /// Files of a build directory of its own that were removed, because the machine was started again since they were written.
    pub lost: usize,
}

/// What became of a build directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildDir {
    /// As the stage, or the workspace's last one, left it.
    Kept,
    /// It was emptied, because the configuration changed or it was asked for.
    Wiped,
    /// There was none.
    New,
}

/// With what a stage was begun the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Begun {
    configuration: String,
    /// The build directory itself, and [`Begin::places`].
    #[serde(default)]
    places: String,
    fingerprint: FingerprintId,
    run: RunId,
    /// The first run that built with this configuration in this directory; empty where an older optbuild did not say.
    #[serde(default)]
    since: RunId,
    /// The run began the stage afresh already: a second time in the same run it continues.
    forced: bool,
    /// Of the build directory, unless the stage works in a workspace.
    #[serde(default)]
    boot: Boot,
}

/// Makes the directories of a stage ready for it to begin or continue. A kill at any point leaves a state from which this can
/// be called again.
///
/// The scratch directory and attempts under way are emptied in any case; the output directory is the caller's.
pub fn prepare(layout: &Layout, begin: Begin<'_>) -> Result<Prepared, DiskError> {
    let stage = layout.stage(begin.stage);
    disk::make_dir(&stage)?;
    let before = begun(layout, begin.stage)?;
    let afresh = (begin.forced || begin.fresh)
        && !before.as_ref().is_some_and(|before| before.forced && before.run == begin.run);
    let mut now = Begun {
        configuration: begin.fingerprint.configuration_id(),
        places: with_own(layout, begin.stage, begin.places),
        fingerprint: begin.fingerprint.id(),
        run: begin.run.into(),
        since: begin.run.into(),
        forced: begin.forced || begin.fresh,
        boot: Boot::default(),
    };

    // First the directories, then the note of what they are: until it is there, the next call comes to the same decision.
    disk::make_empty_dir(&layout.scratch(begin.stage))?;
    disk::make_empty_dir(&layout.attempts(begin.stage))?;
    let committed = layout.committed(begin.stage);
    let continues = !afresh && before.as_ref().is_some_and(|before| before.fingerprint == now.fingerprint);
    if continues {
        disk::make_dir(&committed)?;
    } else {
        disk::make_empty_dir(&committed)?;
    }
    let build = match begin.workspace {
        Some(workspace) => {
            let path = layout.workspace(workspace);
            let kept = path.is_dir();
            disk::make_dir(&path)?;
            if kept { BuildDir::Kept } else { BuildDir::New }
        }
        None => {
            let path = layout.build(begin.stage);
            let same = before
                .as_ref()
                .is_some_and(|before| before.configuration == now.configuration && before.places == now.places);
            if !path.exists() {
                disk::make_dir(&path)?;
                BuildDir::New
            } else if same && !(afresh && begin.fresh) {
                BuildDir::Kept
            } else {
                disk::make_empty_dir(&path)?;
                BuildDir::Wiped
            }
        }
    };
    if let Some(before) = before.as_ref().filter(|before| before.configuration == now.configuration)
        && build == BuildDir::Kept
    {
        now.since.clone_from(&before.since);
    }
    let mut lost = 0;
    if begin.workspace.is_none() {
        let path = layout.build(begin.stage);
        now.boot = Boot::of(&path);
        if build == BuildDir::Kept && before.as_ref().is_some_and(|before| before.boot.ended_before(&now.boot)) {
            lost = restart::remove_young(&path, i64::MIN)?;
        }
    }
    if before.as_ref() != Some(&now) {
        disk::write_json(&layout.build_state(begin.stage), &now)?;
    }
    Ok(Prepared { build, continues, lost })
}

/// The run that began a stage last, if the stage goes on with what that run left: under the same fingerprint and, in a build directory
/// of its own, with the same `places`. None of them: it works in a workspace.
pub fn left_by(
    layout: &Layout,
    stage: &str,
    fingerprint: &str,
    places: Option<&str>,
) -> Result<Option<RunId>, DiskError> {
    let kept = |begun: &Begun| {
        places.is_none_or(|places| begun.places == with_own(layout, stage, places) && layout.build(stage).exists())
    };
    Ok(begun(layout, stage)?.filter(|begun| begun.fingerprint == fingerprint && kept(begun)).map(|begun| begun.run))
}

/// The first run that built with the stage's present configuration in its present build directory. None if it was never begun;
/// empty if that is not known.
pub fn since(layout: &Layout, stage: &str) -> Result<Option<RunId>, DiskError> {
    Ok(begun(layout, stage)?.map(|begun| begun.since))
}

fn with_own(layout: &Layout, stage: &str, places: &str) -> String {
    format!("{}\n{places}", layout.stage(stage))
}

/// Whether a run that was told to begin the stage afresh has done so. Its old record is gone by then.
pub fn begun_afresh(layout: &Layout, stage: &str, run: &str) -> Result<bool, DiskError> {
    Ok(begun(layout, stage)?.is_some_and(|begun| begun.forced && begun.run == run))
}

/// Removes everything but the outputs that stages have: build directories, committed workloads, scratch.
pub fn clean(layout: &Layout, stage: &str) -> Result<(), DiskError> {
    // First the note: without it, whatever is left of the directories is removed.
    disk::remove_durably(&layout.build_state(stage))?;
    disk::discard(&layout.stage(stage))
}

/// A damaged note is the same as none: the directories are wiped.
fn begun(layout: &Layout, stage: &str) -> Result<Option<Begun>, DiskError> {
    disk::read_json(&layout.build_state(stage))
}
