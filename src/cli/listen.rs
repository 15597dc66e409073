//! Hands the events of a run to those who watch it: people and CI systems. The journal has them already.

use std::collections::BTreeMap;
use std::io;

use anyhow::Result;

use super::args::ExecutionArgs;
use super::exit::Machine;
use crate::event::Stamped;
use crate::names::StageName;
use crate::report::console::LastLine;
use crate::report::github::StepSummary;
use crate::report::model::past;
use crate::report::summary::Again;
use crate::report::{Console, ConsoleOptions, Json, Listener as _, Mode, Past, RunModel, Verbosity};
use crate::run::session::Listener;
use crate::run::tail;
use crate::state::layout::Layout;

/// Those whom a run tells of itself. One that fails is not asked again. The first failure counts, unless it is that of the terminal
/// or of a report: a run does not fail because nobody watches it, or because nobody can read of it afterwards.
pub struct Audience {
    layout: Layout,
    again: Again,
    verbosity: Verbosity,
    /// None before the run begins, and when the terminal is gone.
    console: Option<Console>,
    /// What is written when all is over. That it cannot be is worth a warning.
    summary: Option<StepSummary>,
    /// None when there is none, or when it failed.
    json: Option<Json<std::io::Stdout>>,
    /// Why.
    failure: Option<anyhow::Error>,
}

impl Audience {
    pub fn new(args: &ExecutionArgs, layout: &Layout, again: Again) -> Audience {
        let verbosity = match (args.verbose, args.quiet) {
            (true, _) => Verbosity::Verbose,
            (_, true) => Verbosity::Quiet,
            _ => Verbosity::Normal,
        };
        let json = args.json.then(|| Json::new(std::io::stdout()));
        let layout = layout.clone();
        Audience { layout, again, verbosity, console: None, summary: None, json, failure: None }
    }
}

impl Listener for Audience {
    /// Looks for earlier runs that this one can be compared with.
    fn begin(&mut self, started: &Stamped) -> BTreeMap<StageName, f64> {
        let past = past::latest(&self.layout, &RunModel::of([started])).unwrap_or_else(|error| {
            tracing::warn!("what changed since earlier runs is not shown: {error}");
            Past::default()
        });
        let took = past.took().into_iter().map(|(stage, seconds)| (stage.into(), seconds)).collect();
        let last_line: LastLine = Box::new(|log| tail::last_line(log).unwrap_or_default());
        self.console = Some(Console::new(ConsoleOptions {
            verbosity: self.verbosity,
            past,
            again: Some(self.again.clone()),
            last_line: Some(last_line),
            ..ConsoleOptions::new(Mode::detect())
        }));
        self.summary = StepSummary::file_from_environment()
            .map(|file| StepSummary::new(file, Some(self.layout.clone()), Some(self.again.clone())));
        took
    }

    fn event(&mut self, stamped: &Stamped) {
        self.console.take_if(|console| console.event(stamped).is_err());
        warn_of(self.summary.as_mut().map_or(Ok(()), |summary| summary.event(stamped)));
        if let Some(Err(error)) = self.json.as_mut().map(|json| json.event(stamped)) {
            self.json = None;
            // A reader who has gone has what it wanted.
            if !has_gone(&error) {
                self.failure.get_or_insert(Machine(format!("{error:#}")).into());
            }
        }
    }

    fn tick(&mut self) {
        self.console.iter_mut().for_each(|console| console.tick());
    }

    fn finish(&mut self) -> Result<()> {
        if let Some(mut console) = self.console.take() {
            let _ = console.finish();
        }
        warn_of(self.summary.take().map_or(Ok(()), |mut summary| summary.finish()));
        let told = self.json.take().map_or(Ok(()), |mut json| json.finish());
        self.failure.take().map_or(told, Err)
    }
}

fn has_gone(error: &anyhow::Error) -> bool {
    let kinds = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>()).map(io::Error::kind);
    kinds.into_iter().any(|kind| kind == io::ErrorKind::BrokenPipe)
}

fn warn_of(written: Result<()>) {
    if let Err(error) = written {
        tracing::warn!("{error:#}");
    }
}
