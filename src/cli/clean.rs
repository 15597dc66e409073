//! `optbuild clean` and `optbuild gc`: what takes up space and can be made again, and what is old.

use anyhow::Result;
use camino::Utf8Path;
use jiff::Timestamp;

use super::args::{CleanArgs, GcArgs};
use super::exit::Usage;
use super::project::{Mode, existing_state, open_state};
use super::survivors;
use crate::fs::disk;
use crate::state::store::{Lock, LockInfo, State};
use crate::state::{build_dir, gc, workspace};
use crate::text;

fn open(state_dir: Option<&Utf8Path>, command: &str) -> Result<(std::sync::Arc<State>, Lock)> {
    let layout = existing_state(state_dir)?;
    let Some(state) = open_state(&layout, Mode::Look)? else {
        return Err(Usage(format!("there is no state directory {}", layout.root())).into());
    };
    let info = LockInfo { pid: std::process::id(), command: command.into(), since: Timestamp::now() };
    let lock = state.lock(&info)?;
    survivors::end(&layout)?;
    Ok((state, lock))
}

/// `optbuild clean`
pub fn clean(args: &CleanArgs) -> Result<u8> {
    let (state, _lock) = open(args.state_dir.as_deref(), "optbuild clean")?;
    let layout = state.layout();
    let before = gc::sizes(layout).total();
    let workspaces = disk::names_in(&layout.workspaces())?;
    for name in &args.workspace {
        // By its name, not as a path: `../../src` exists as well.
        if !workspaces.contains(name) || !layout.workspace(name).is_dir() {
            return Err(Usage(format!("there is no workspace `{name}` in {}", layout.root())).into());
        }
        workspace::clean(layout, name)?;
    }
    let known = disk::names_in(&layout.stages())?;
    let stages = match (args.stage.is_empty(), args.workspace.is_empty()) {
        (true, true) => known.clone(),
        _ => args.stage.clone(),
    };
    for stage in &stages {
        if !known.contains(stage) {
            return Err(Usage(format!("stage `{stage}` has no build directory in {}", layout.root())).into());
        }
        build_dir::clean(layout, stage)?;
    }
    let after = gc::sizes(layout).total();
    anstream::eprintln!("{} freed, {} in use", text::size(before.saturating_sub(after)), text::size(after));
    Ok(0)
}

/// `optbuild gc`
pub fn gc(args: &GcArgs) -> Result<u8> {
    let (state, _lock) = open(args.state_dir.as_deref(), "optbuild gc")?;
    let report = gc::gc(&state, args.keep_runs, args.max_size.map(|size| size.as_u64()))?;
    anstream::eprintln!(
        "{} and {} removed; {} freed, {} in use",
        text::plural(report.records.len(), "record"),
        text::plural(report.runs.len(), "run"),
        text::size(report.before.saturating_sub(report.after)),
        text::size(report.after)
    );
    Ok(0)
}
