//! The logs of a step: of this run, and of the earlier runs that a build goes on from. What a stopped build has compiled it has warned of,
//! and does not again. Unaware of what stands in them.

use anyhow::{Context, Result};
use camino::{Utf8Path, Utf8PathBuf};

use crate::event::{Event, Outcome, Stamped};
use crate::names::RunId;
use crate::profile;
use crate::state::layout::Layout;
use crate::state::{build_dir, journal};

/// The logs of a step in this run, one for each time it was tried, in that order: `03-build.log`.
///
/// # Errors
/// The directory cannot be read.
pub(super) fn of_step(logs: &Utf8Path, step: &str) -> Result<Vec<Utf8PathBuf>> {
    let ending = format!("-{step}.log");
    let number = |path: &Utf8Path| path.file_name()?.strip_suffix(&ending)?.parse::<u32>().ok();
    let found = profile::find(logs, |path| number(path).is_some());
    let found = found.with_context(|| format!("cannot look for logs in {logs}"))?;
    let mut logs: Vec<Utf8PathBuf> = found.into_iter().map(|log| log.path).collect();
    logs.sort_by_key(|path| number(path));
    Ok(logs)
}

/// Events that are looked at, as a journal names them: of a long run they are a small part.
const KINDS: [&str; 2] = ["\"step-started\"", "\"stage-finished\""];

/// Logs of a step in runs that have begun its stage with this profile since it was last done, or since its build directory was emptied.
/// `logs` is where this run has those of the stage; nothing is found where that is not in a state directory.
pub(super) fn unfinished(logs: &Utf8Path, step: &str, profile: &Utf8Path) -> Result<Vec<Utf8PathBuf>> {
    let Some((layout, run, stage)) = place(logs) else { return Ok(Vec::new()) };
    let Some(since) = build_dir::since(&layout, &stage)? else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for earlier in journal::runs(&layout)?.into_iter().rev().filter(|name| (&since..&run).contains(&name)) {
        let logs = layout.logs(&earlier, &stage);
        if !logs.is_dir() {
            continue;
        }
        let told = |line: &str| KINDS.iter().any(|kind| line.contains(kind));
        let (events, _) = journal::read_where(&layout.journal(&earlier), told)?;
        if was_done(&events, &stage) {
            break;
        }
        if uses(&events, &stage, profile) {
            found.extend(of_step(&logs, step).with_context(|| format!("cannot read {logs}"))?);
        }
    }
    Ok(found)
}

/// The state directory, the run and the stage whose logs stand there.
fn place(logs: &Utf8Path) -> Option<(Layout, RunId, String)> {
    let stage = logs.file_name()?;
    let run = logs.parent()?.parent()?;
    let layout = Layout::new(run.parent()?.parent()?);
    let name = run.file_name()?;
    (layout.logs(name, stage) == logs).then(|| (layout, name.into(), stage.into()))
}

fn was_done(events: &[Stamped], name: &str) -> bool {
    events.iter().any(
        |stamped| matches!(&stamped.event, Event::StageFinished { stage, outcome: Outcome::Done, .. } if stage == name),
    )
}

/// Whether a command of the stage names the profile: the name of a gathered one has the hash of its content in it.
fn uses(events: &[Stamped], name: &str, profile: &Utf8Path) -> bool {
    events.iter().any(|stamped| {
        matches!(&stamped.event, Event::StepStarted { stage, command, .. } if stage == name && command.contains(profile.as_str()))
    })
}
