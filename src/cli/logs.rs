//! `optbuild logs`: what the commands of a stage printed in its last run.

use std::io::{ErrorKind, Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use anyhow::{Context as _, Result};
use camino::{Utf8Path, Utf8PathBuf};

use super::args::LogsArgs;
use super::exit::Usage;
use super::output::{pass_on, print};
use super::project::existing_state;
use crate::event::{Event, Stamped};
use crate::names::RunId;
use crate::state::journal;
use crate::state::layout::Layout;

/// So much of a log is in memory at once.
const BLOCK: usize = 1 << 16;
/// How often a growing log is looked at.
const POLL: Duration = Duration::from_millis(200);

/// `optbuild logs`
pub fn logs(args: &LogsArgs) -> Result<u8> {
    let layout = existing_state(args.state_dir.as_deref())?;
    let run = last_run_of(&layout, &args.stage)?;
    let mut shown: Vec<(Utf8PathBuf, u64)> = Vec::new();
    loop {
        let (events, _) = journal::read_without_samples(&layout.journal(&run))?;
        // Read before the logs: what is written after it is shown in the next round.
        let ended = !args.follow || has_ended(&layout, &events, &args.stage);
        for (step, log) in steps(&events, &args.stage) {
            if args.step.as_ref().is_some_and(|wanted| *wanted != step) {
                continue;
            }
            let index = shown.iter().position(|(path, _)| *path == log).unwrap_or_else(|| {
                shown.push((log.clone(), 0));
                shown.len() - 1
            });
            let at = shown[index].1;
            shown[index].1 = show(&log, at, (at == 0).then_some(step.as_str()))?;
        }
        if ended {
            break;
        }
        std::thread::sleep(POLL);
    }
    if shown.is_empty() {
        let step = args.step.as_deref().map(|step| format!(" with the name `{step}`")).unwrap_or_default();
        return Err(Usage(format!("stage `{}` has run no step{step} in run {run}", args.stage)).into());
    }
    Ok(0)
}

/// The newest run in which the stage ran.
fn last_run_of(layout: &Layout, stage: &str) -> Result<RunId> {
    for run in journal::runs(layout)?.into_iter().rev() {
        let (events, _) = journal::read_without_samples(&layout.journal(&run))?;
        if events.iter().any(|s| matches!(&s.event, Event::StageStarted { stage: name, .. } if name == stage)) {
            return Ok(run);
        }
    }
    Err(Usage(format!("stage `{stage}` has not run here; `optbuild status` lists the stages")).into())
}

fn steps(events: &[Stamped], wanted: &str) -> Vec<(String, Utf8PathBuf)> {
    let started = events.iter().filter_map(|stamped| match &stamped.event {
        Event::StepStarted { stage, step, log, .. } if stage == wanted => Some((step.to_string(), log.clone())),
        _ => None,
    });
    started.collect()
}

/// The stage is done, or the run that it belongs to is.
fn has_ended(layout: &Layout, events: &[Stamped], wanted: &str) -> bool {
    let finished =
        events.iter().any(|stamped| matches!(&stamped.event, Event::StageFinished { stage, .. } if stage == wanted));
    finished || !journal::is_under_way(layout, events)
}

/// Prints a log from a position on, and returns its end.
fn show(log: &Utf8Path, from: u64, heading: Option<&str>) -> Result<u64> {
    let mut file = std::fs::File::open(log).with_context(|| format!("cannot read {log}"))?;
    file.seek(SeekFrom::Start(from))?;
    if let Some(step) = heading {
        print(&format!("==> {step} ({log})\n"))?;
    }
    let (mut block, mut at) = (vec![0; BLOCK], from);
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(at),
            Ok(length) => {
                pass_on(&block[..length])?;
                at += length as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {log}")),
        }
    }
}
