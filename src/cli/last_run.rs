//! What the last run in a state directory was asked to do.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use camino::Utf8PathBuf;
use clap::Parser;

use super::args::{Cli, Command, RunArgs};
use super::exit::Usage;
use crate::event::{Event, Outcome};
use crate::names::{RunId, StageName};
use crate::run::earlier::last_begun;
use crate::state::build_dir;
use crate::state::layout::Layout;

/// The last run.
pub struct LastRun {
    pub run: RunId,
    /// Its whole command line.
    pub args: RunArgs,
    /// The same as words.
    pub words: Vec<String>,
    /// Where it was begun: paths on its command line are relative to that.
    pub cwd: Utf8PathBuf,
    /// Hash of the pipeline's files at that time.
    pub pipeline_hash: String,
    /// Stages that it was told to begin afresh, and has not begun.
    pub still_forced: BTreeSet<StageName>,
    /// None if it was killed.
    pub outcome: Option<Outcome>,
}

/// What is said where a run is asked for and there is none.
pub fn nothing_run(layout: &Layout) -> anyhow::Error {
    let what = format!("nothing was run yet with the state directory {}", layout.root());
    Usage(format!("{what}; `optbuild run PIPELINE` begins a run, `--state-dir` names another directory")).into()
}

/// Reads the journal of the last run.
pub fn last_run(layout: &Layout) -> Result<LastRun> {
    let Some((run, events)) = last_begun(layout)? else {
        return Err(nothing_run(layout));
    };
    let path = layout.journal(&run);
    let (word_list, pipeline_hash, forced, cwd) = events
        .iter()
        .find_map(|stamped| match &stamped.event {
            Event::RunStarted { args, pipeline_hash, forced, cwd, .. } => {
                Some((args.clone(), pipeline_hash.clone(), forced.clone(), cwd.clone()))
            }
            _ => None,
        })
        .with_context(|| format!("{path} does not say what was run; start it with `optbuild run`"))?;
    let words = ["optbuild".to_string()].into_iter().chain(word_list.iter().cloned());
    let cli = Cli::try_parse_from(words)
        .with_context(|| format!("{path} was written by another version of optbuild; start with `optbuild run`"))?;
    let Command::Run(args) = cli.command else {
        return Err(Usage(format!("{path} does not hold a run; start it with `optbuild run`")).into());
    };
    let mut still_forced = BTreeSet::new();
    for stage in forced {
        // Not by the journal, which says that a stage starts a moment before or after it does.
        if !build_dir::begun_afresh(layout, &stage, &run)? {
            still_forced.insert(stage);
        }
    }
    let outcome = events.iter().find_map(|stamped| match &stamped.event {
        Event::RunFinished { outcome, .. } => Some(*outcome),
        _ => None,
    });
    anyhow::ensure!(cwd.is_dir(), "the run was begun in {cwd}, which is no directory any more");
    Ok(LastRun { run, args, words: word_list, cwd, pipeline_hash, still_forced, outcome })
}
