//! What earlier runs tell, by their journals: which was the last one, and the time that was spent on a stage that is not done. Unaware of
//! what a stage does.

use super::decide::Work;
use super::stage::{Shared, places};
use crate::event::{Event, Outcome, Stamped};
use crate::fs::disk::DiskError;
use crate::names::RunId;
use crate::pipeline::Stage;
use crate::state::layout::Layout;
use crate::state::{build_dir, journal, workspace};

/// The name and the events of the last run that did anything. One that was killed before it could say what it is has done nothing.
pub fn last_begun(layout: &Layout) -> Result<Option<(RunId, Vec<Stamped>)>, DiskError> {
    for run in journal::runs(layout)?.into_iter().rev() {
        let (events, warning) = journal::read_without_samples(&layout.journal(&run))?;
        if let Some(warning) = warning {
            tracing::debug!("{warning}");
        }
        if !events.is_empty() {
            return Ok(Some((run, events)));
        }
    }
    Ok(None)
}

/// Seconds that earlier runs worked on a stage under the same fingerprint without coming to its record; 0 where it begins anew.
pub fn seconds(shared: &Shared, stage: &Stage, work: &Work) -> f64 {
    if work.forced {
        return 0.0;
    }
    spent(shared, stage, work).unwrap_or_else(|error| {
        let text = format!("how long earlier runs worked on it is not known: {error}");
        shared.events.send(Event::Note { stage: stage.common.name.clone().into(), text });
        0.0
    })
}

fn spent(shared: &Shared, stage: &Stage, work: &Work) -> Result<f64, DiskError> {
    let (name, fingerprint, layout) = (&stage.common.name, work.fingerprint.id(), shared.state.layout());
    if let Some(workspace) = &stage.common.workspace {
        let state = workspace::read(layout, workspace)?;
        // Another stage has changed the workspace since: nothing of what was done there is left.
        if !state.is_some_and(|state| state.dirty && state.stage == *name && state.fingerprint == fingerprint) {
            return Ok(0.0);
        }
    }
    let places = stage.common.workspace.is_none().then(|| places(work));
    let Some(run) = build_dir::left_by(layout, name, &fingerprint, places.as_deref())? else { return Ok(0.0) };
    let (events, _) = journal::read_without_samples(&layout.journal(&run))?;
    Ok(unfinished(&events, name, &fingerprint))
}

/// What a run spent on a stage that it did not finish, with what had been spent before it.
pub fn unfinished(events: &[Stamped], name: &str, wanted: &str) -> f64 {
    let begun = events.iter().enumerate().rev().find_map(|(index, stamped)| match &stamped.event {
        Event::StageStarted { stage, fingerprint, earlier, .. } if stage == name && fingerprint == wanted => {
            Some((index, stamped.time, *earlier))
        }
        _ => None,
    });
    let (Some((index, began, earlier)), Some(last)) = (begun, events.last()) else { return 0.0 };
    let ended = events[index..].iter().find_map(|stamped| match &stamped.event {
        Event::StageFinished { stage, outcome, duration, .. } if stage == name => Some((*outcome, *duration)),
        _ => None,
    });
    match ended {
        // Its record is gone, or its outputs are.
        Some((Outcome::Done, _)) => 0.0,
        Some((_, duration)) => earlier + duration,
        // The run was killed: what it said last is the end that is known.
        None => earlier + last.time.duration_since(began).as_secs_f64().max(0.0),
    }
}
