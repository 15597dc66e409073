//! A run for a person to watch: lines on standard error, and on a terminal a moving line for each running stage.
//!
//! Unaware of who starts what; it shows the events it is given. Where it writes is handed to it, except that the moving lines
//! are drawn by indicatif.

mod block;
mod closing;
mod finished;
mod live;
mod screen;
mod steps;

use std::io::{IsTerminal, Write};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use indicatif::ProgressDrawTarget;
use jiff::tz::TimeZone;

use super::Listener;
use super::paint::Paint;
use super::summary::closing::Again;
use super::summary::{Previous, RunSummary, Workloads};
use crate::event::{Event, Stamped};
use crate::names::{StageName, StepId};
use crate::text;
use live::Live;
use screen::Screen;

/// How the output looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Moving lines.
    Terminal { color: bool },
    /// Lines with the time of day.
    Plain,
    /// Groups and annotations.
    GithubActions,
}

impl Mode {
    /// The mode for standard error: by `GITHUB_ACTIONS`, whether it is a terminal, `TERM`, and `NO_COLOR` and `CLICOLOR`.
    pub fn detect() -> Mode {
        let stderr = std::io::stderr();
        if std::env::var("GITHUB_ACTIONS").is_ok_and(|value| value == "true") {
            Mode::GithubActions
        } else if stderr.is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb") {
            Mode::Terminal { color: anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never }
        } else {
            Mode::Plain
        }
    }
}

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Verbosity {
    /// Failures and the last line.
    Quiet,
    #[default]
    Normal,
    /// Commands, notes and reasons as well.
    Verbose,
}

/// The last line of a log, or nothing if there is none yet.
pub type LastLine = Box<dyn Fn(&Utf8Path) -> Option<String> + Send>;

/// What a [`Console`] is told.
pub struct ConsoleOptions {
    pub mode: Mode,
    pub verbosity: Verbosity,
    /// To compare with.
    pub previous: Option<Previous>,
    /// The commands that go on with the run; without, those for a pipeline that is run by its name.
    pub again: Option<Again>,
    /// Columns; without, those of the terminal, and 100 where there is none.
    pub width: Option<usize>,
    /// Of the times of day.
    pub zone: TimeZone,
    pub last_line: Option<LastLine>,
}

impl ConsoleOptions {
    pub fn new(mode: Mode) -> ConsoleOptions {
        ConsoleOptions {
            mode,
            verbosity: Verbosity::Normal,
            previous: None,
            again: None,
            width: None,
            zone: TimeZone::system(),
            last_line: None,
        }
    }
}

/// The listener that shows a run.
pub struct Console {
    options: ConsoleOptions,
    paint: Paint,
    summary: RunSummary,
    running: Vec<Running>,
    /// The first line, until something else is to be said: a run that does nothing has one line in all.
    began: Option<(Stamped, String)>,
    /// Up to date, and not said yet.
    fresh: Vec<StageName>,
    screen: Screen,
    live: Live,
}

/// A stage under way.
struct Running {
    name: String,
    since: Instant,
    /// Seconds that may be left of it, when it began.
    expected: Option<f64>,
    /// Under way, in the order of their start, with their logs.
    steps: Vec<(StepId, Utf8PathBuf)>,
    pool: Option<OpenPool>,
    /// GitHub Actions: what its group will hold.
    group: String,
}

/// A pool of workloads under way.
struct OpenPool {
    step: StepId,
    workloads: Workloads,
}

impl Console {
    /// Writes to standard error.
    pub fn new(options: ConsoleOptions) -> Console {
        match options.mode {
            Mode::Terminal { .. } => Console::on_terminal(options, ProgressDrawTarget::stderr()),
            Mode::Plain | Mode::GithubActions => Console::on_writer(options, Box::new(std::io::stderr())),
        }
    }

    /// Draws to a terminal; for [`Mode::Terminal`].
    pub fn on_terminal(options: ConsoleOptions, target: ProgressDrawTarget) -> Console {
        Console::with(options, Screen::terminal(target))
    }

    /// Writes lines.
    pub fn on_writer(options: ConsoleOptions, writer: Box<dyn Write + Send>) -> Console {
        Console::with(options, Screen::lines(writer))
    }

    fn with(options: ConsoleOptions, screen: Screen) -> Console {
        let paint = Paint { color: options.mode == Mode::Terminal { color: true } };
        Console {
            options,
            paint,
            summary: RunSummary::default(),
            running: Vec::new(),
            began: None,
            fresh: Vec::new(),
            screen,
            live: Live::default(),
        }
    }

    fn terminal(&self) -> bool {
        matches!(self.options.mode, Mode::Terminal { .. })
    }

    fn github(&self) -> bool {
        self.options.mode == Mode::GithubActions
    }

    fn verbose(&self) -> bool {
        self.options.verbosity == Verbosity::Verbose
    }

    fn quiet(&self) -> bool {
        self.options.verbosity == Verbosity::Quiet
    }

    fn width(&self) -> usize {
        self.options.width.unwrap_or_else(|| self.screen.width())
    }

    fn again(&self) -> Again {
        self.options.again.clone().unwrap_or_else(|| Again::of(&self.summary))
    }

    fn running(&mut self, stage: &str) -> Option<&mut Running> {
        self.running.iter_mut().find(|running| running.name == stage)
    }

    /// A line with the time of day where there is no terminal.
    fn timed(&mut self, stamped: &Stamped, line: &str) -> anyhow::Result<()> {
        if self.options.mode == Mode::Plain {
            let time = stamped.time.to_zoned(self.options.zone.clone()).strftime("%H:%M:%S");
            self.print(&format!("{time} {line}"))
        } else {
            self.print(line)
        }
    }

    /// Lines that belong to the line above.
    fn below(&mut self, text: &str) -> anyhow::Result<()> {
        let columns = if self.options.mode == Mode::Plain { "HH:MM:SS   ".len() } else { 4 };
        let text = text::indent(text, columns);
        text.lines().try_for_each(|line| self.print(&self.paint.dim(line)))
    }

    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        self.screen.print(text)
    }

    /// Says which stages were found up to date since the last time it was said.
    fn flush_fresh(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        if let Some((began, line)) = self.began.take() {
            self.timed(&began, &line)?;
        }
        let fresh = std::mem::take(&mut self.fresh);
        if fresh.is_empty() || self.quiet() {
            return Ok(());
        }
        let what = match fresh.as_slice() {
            many if many.len() == 1 || self.verbose() => format!("{}: up to date", many.join(", ")),
            many => format!("{} up to date", text::plural(many.len(), "stage")),
        };
        let line = if self.terminal() { self.paint.dim(&format!("= {what}")) } else { what };
        self.timed(stamped, &line)
    }
}

impl Listener for Console {
    fn event(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        self.summary.add(stamped);
        let waits = match stamped.event {
            Event::RunStarted { .. } | Event::StageUpToDate { .. } => true,
            Event::StageSkipped { .. } | Event::Note { .. } => !self.verbose(),
            Event::RunFinished { .. } => self.summary.nothing_to_do(),
            _ => false,
        };
        if !waits {
            self.flush_fresh(stamped)?;
        }
        match &stamped.event {
            Event::StageUpToDate { stage, .. } => self.fresh.push(stage.clone()),
            Event::StageFinished { stage, .. } => self.stage_finished(stamped, stage)?,
            Event::RunFinished { .. } => self.close()?,
            _ => self.progress(stamped)?,
        }
        if self.terminal() && !self.quiet() {
            self.draw_if_due();
        }
        Ok(())
    }

    fn tick(&mut self) {
        if self.terminal() && !self.quiet() {
            self.draw();
        }
    }

    fn finish(&mut self) -> anyhow::Result<()> {
        self.running.clear();
        self.screen.clear();
        Ok(())
    }
}
