//! Hands the events of a run to its listeners, on a thread of their own: the journal first, then what people and CI systems see.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::args::RunArgs;
use super::session::Session;
use crate::report::console::LastLine;
use crate::report::github::StepSummary;
use crate::report::json::Json;
use crate::report::summary::Previous;
use crate::report::summary::closing::Again;
use crate::report::{Console, ConsoleOptions, Listener, Mode, RunSummary, Verbosity};
use crate::run::event::{Event, Stamped};
use crate::run::tail;
use crate::state::journal::{self, Journal};
use crate::state::layout::Layout;

/// How often a terminal is drawn anew while nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// How many earlier runs are read to find what each stage took the last time.
const EARLIER_RUNS: usize = 5;

/// What the listeners are made from.
pub struct Options {
    journal: Journal,
    previous: Previous,
    again: Again,
    verbosity: Verbosity,
    json: bool,
}

impl Options {
    /// Opens the journal of a run that begins, which gives the run its name.
    pub fn new(args: &RunArgs, session: &Session, again: Again) -> Result<(String, Options)> {
        let previous = previous(&session.layout, &session.pipeline.name)?;
        let verbosity = match (args.execution.verbose, args.execution.quiet) {
            (true, _) => Verbosity::Verbose,
            (_, true) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        let (run, journal) = Journal::create(&session.layout, Timestamp::now())?;
        Ok((run, Options { journal, previous, again, verbosity, json: args.execution.json }))
    }
}

/// Passes events on until the last sender is gone. A listener that fails is not asked again; the first failure is returned.
pub fn listen(events: Receiver<Stamped>, options: Options) -> Result<()> {
    let mut journal = options.journal;
    let mut listeners: Vec<Box<dyn Listener>> = Vec::new();
    let last_line: LastLine = Box::new(|log| tail::last_line(log).unwrap_or_default());
    listeners.push(Box::new(Console::new(ConsoleOptions {
        verbosity: options.verbosity,
        previous: Some(options.previous.clone()),
        again: Some(options.again.clone()),
        last_line: Some(last_line),
        ..ConsoleOptions::new(Mode::detect())
    })));
    if let Some(file) = StepSummary::file_from_environment() {
        listeners.push(Box::new(StepSummary::new(file, Some(options.previous), Some(options.again))));
    }
    if options.json {
        listeners.push(Box::new(Json::new(std::io::stdout())));
    }
    let mut first_error = None;
    loop {
        match events.recv_timeout(TICK) {
            Ok(stamped) => {
                if let Err(error) = write(&mut journal, &stamped) {
                    first_error.get_or_insert(error);
                }
                listeners.retain_mut(|listener| keep(listener.event(&stamped), &mut first_error));
            }
            Err(RecvTimeoutError::Timeout) => listeners.iter_mut().for_each(|listener| listener.tick()),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    for mut listener in listeners {
        keep(listener.finish(), &mut first_error);
    }
    match first_error {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

fn keep(result: Result<()>, first_error: &mut Option<anyhow::Error>) -> bool {
    match result {
        Ok(()) => true,
        Err(error) => {
            first_error.get_or_insert(error);
            false
        }
    }
}

/// A line survives the death of this process once it is written; the end of a run must survive that of the machine, too.
fn write(journal: &mut Journal, stamped: &Stamped) -> Result<()> {
    journal.append(stamped)?;
    if matches!(stamped.event, Event::RunFinished { .. }) {
        journal.sync()?;
    }
    Ok(())
}

/// What each stage took when it was last done.
pub fn previous(layout: &Layout, pipeline: &str) -> Result<Previous> {
    let mut previous = Previous::default();
    let runs = journal::runs(layout)?;
    for run in runs.iter().rev().take(EARLIER_RUNS).rev() {
        let (events, _) = journal::read(&layout.journal(run))?;
        let summary = RunSummary::of(&events);
        if summary.pipeline == pipeline {
            previous.add(&summary);
        }
    }
    Ok(previous)
}
