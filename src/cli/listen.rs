//! Hands the events of a run to its listeners, on a thread of their own: the journal first, then what people and CI systems see.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;

use super::args::RunArgs;
use super::project::Project;
use crate::event::{Event, Stamped};
use crate::report::console::LastLine;
use crate::report::github::StepSummary;
use crate::report::model::past;
use crate::report::summary::Again;
use crate::report::{Console, ConsoleOptions, Json, Listener, Mode, Past, RunModel, Verbosity};
use crate::run::tail;
use crate::state::journal::Journal;
use crate::state::layout::Layout;

/// How often a terminal is drawn anew while nothing happens.
const TICK: Duration = Duration::from_millis(120);

/// What the listeners are made from.
pub struct Options {
    journal: Journal,
    layout: Layout,
    past: Past,
    again: Again,
    verbosity: Verbosity,
    json: bool,
}

impl Options {
    /// Opens the journal of a run that begins, which gives the run its name.
    pub fn new(args: &RunArgs, project: &Project, again: Again) -> Result<(String, Options)> {
        let verbosity = match (args.execution.verbose, args.execution.quiet) {
            (true, _) => Verbosity::Verbose,
            (_, true) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        let (run, journal) = Journal::create(&project.layout, Timestamp::now())?;
        let layout = project.layout.clone();
        Ok((run, Options { journal, layout, past: Past::default(), again, verbosity, json: args.execution.json }))
    }

    /// Writes down what the run is, before it does anything: a `resume` must find it. Looks for earlier ones that it can be
    /// compared with.
    pub fn begin(&mut self, started: &Stamped) -> Result<()> {
        self.journal.append(started)?;
        self.journal.sync()?;
        match past::latest(&self.layout, &RunModel::of([started])) {
            Ok(past) => self.past = past,
            Err(error) => tracing::warn!("what changed since earlier runs is not shown: {error}"),
        }
        Ok(())
    }

    /// Seconds that stages took in earlier runs that this one can be compared with.
    pub fn took(&self) -> BTreeMap<String, f64> {
        self.past.took()
    }
}

/// Passes events on until the last sender is gone. `started` is in the journal already. A listener that fails is not asked
/// again; the first failure is returned, unless it is that of the terminal or of a report: a run does not fail because nobody
/// watches it, or because nobody can read of it afterwards.
pub fn listen(started: Stamped, events: Receiver<Stamped>, options: Options) -> Result<()> {
    let (mut journal, mut audience) = Audience::new(options);
    audience.event(&started);
    let mut written = Ok(());
    loop {
        match events.recv_timeout(TICK) {
            Ok(stamped) => {
                written = written.and(write(&mut journal, &stamped));
                audience.event(&stamped);
            }
            Err(RecvTimeoutError::Timeout) => audience.tick(),
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    let told = audience.finish();
    written.and(told)
}

/// Those whom a run tells of itself, besides the journal.
struct Audience {
    /// None when the terminal is gone.
    console: Option<Console>,
    /// What is written when all is over. That it cannot be is worth a warning.
    summary: Option<StepSummary>,
    /// None when there is none, or when it failed.
    json: Option<Json<std::io::Stdout>>,
    /// Why.
    failure: Option<anyhow::Error>,
}

impl Audience {
    fn new(options: Options) -> (Journal, Audience) {
        let last_line: LastLine = Box::new(|log| tail::last_line(log).unwrap_or_default());
        let console = Console::new(ConsoleOptions {
            verbosity: options.verbosity,
            past: options.past,
            again: Some(options.again.clone()),
            last_line: Some(last_line),
            ..ConsoleOptions::new(Mode::detect())
        });
        let summary = StepSummary::file_from_environment()
            .map(|file| StepSummary::new(file, Some(options.layout), Some(options.again)));
        let json = options.json.then(|| Json::new(std::io::stdout()));
        (options.journal, Audience { console: Some(console), summary, json, failure: None })
    }

    fn event(&mut self, stamped: &Stamped) {
        self.console.take_if(|console| console.event(stamped).is_err());
        warn_of(self.summary.as_mut().map_or(Ok(()), |summary| summary.event(stamped)));
        if let Some(Err(error)) = self.json.as_mut().map(|json| json.event(stamped)) {
            self.failure.get_or_insert(error);
            self.json = None;
        }
    }

    fn tick(&mut self) {
        self.console.iter_mut().for_each(Listener::tick);
    }

    fn finish(mut self) -> Result<()> {
        if let Some(mut console) = self.console.take() {
            let _ = console.finish();
        }
        warn_of(self.summary.take().map_or(Ok(()), |mut summary| summary.finish()));
        let told = self.json.take().map_or(Ok(()), |mut json| json.finish());
        self.failure.map_or(told, Err)
    }
}

fn warn_of(written: Result<()>) {
    if let Err(error) = written {
        tracing::warn!("{error:#}");
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
