//! `optbuild clean` and `optbuild gc`: what takes up space and can be made again, and what is old.

use anyhow::Result;
use camino::Utf8Path;

use super::args::{CleanArgs, GcArgs};
use super::exit::usage;
use super::output::tell;
use super::project::{Mode, existing_state, open_state};
use crate::fs::disk;
use crate::run::session::{self, Locked};
use crate::state::store::State;
use crate::state::{build_dir, gc, workspace};
use crate::text;

fn open(state_dir: Option<&Utf8Path>, command: &str) -> Result<(std::sync::Arc<State>, Locked)> {
    let layout = existing_state(state_dir)?;
    let Some(state) = open_state(&layout, Mode::Look)? else {
        return Err(usage!("there is no state directory {}", layout.root()));
    };
    let lock = session::lock(&state, command.into())?;
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
            return Err(usage!("there is no workspace `{name}` in {}", layout.root()));
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
            return Err(usage!("stage `{stage}` has no build directory in {}", layout.root()));
        }
        build_dir::clean(layout, stage)?;
    }
    let after = gc::sizes(layout).total();
    tell(&freed(before, after));
    Ok(0)
}

fn freed(before: u64, after: u64) -> String {
    format!("{} freed, {} in use", text::size(before.saturating_sub(after)), text::size(after))
}

/// `optbuild gc`
pub fn gc(args: &GcArgs) -> Result<u8> {
    let (state, _lock) = open(args.state_dir.as_deref(), "optbuild gc")?;
    let max_size = args.max_size.map(|size| size.as_u64());
    let report = gc::gc(&state, args.keep_runs, max_size)?;
    let (before, after) = (report.before.total(), report.after.total());
    let records = text::plural(report.records.len(), "record");
    tell(&format!("{records} and {} removed; {}", text::plural(report.runs.len(), "run"), freed(before, after)));
    if let Some(max) = max_size.filter(|max| after > *max) {
        tell(&format!("more than {} is in use: {}", text::size(max), holders(&report.after)));
    }
    Ok(0)
}

/// What the space is taken by, the most first, and what can be done about it.
fn holders(sizes: &gc::Sizes) -> String {
    let mut holders = [
        (sizes.outputs, "by what the last run made or used, which is kept"),
        (sizes.stages, "by build directories, which `optbuild clean` removes"),
        (sizes.workspaces, "by workspaces, which `optbuild clean --workspace NAME` removes"),
        (sizes.runs, "by journals and logs of the last run"),
        (sizes.rest, "by records and caches"),
    ];
    holders.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
    let told = holders.iter().filter(|(bytes, _)| *bytes > 0);
    told.map(|(bytes, what)| format!("{} {what}", text::size(*bytes))).collect::<Vec<_>>().join("; ")
}
