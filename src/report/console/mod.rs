//! A run for a person to watch: lines on standard error, and on a terminal a moving line for each running stage.
//!
//! Unaware of who starts what; it shows the model of the run that it is given event by event. Where it writes is handed to it, except
//! that the moving lines are drawn by indicatif.

pub mod screen;

use std::io::{IsTerminal, Write};
use std::time::Instant;

use camino::Utf8Path;
use indicatif::ProgressDrawTarget;
use jiff::tz::TimeZone;

use super::model::past::Past;
use super::model::{Failure, RunModel, Stage};
use super::paint::{Look, Paint};
use super::summary::{self, Again};
use super::{Listener, github};
use crate::event::{Event, Outcome, StageState, Stamped};
use crate::names::StageName;
use crate::text;
use screen::{Live, Screen};

/// Lines of a log that are printed.
const TAIL: usize = 30;
const NAME_COLUMNS: usize = 24;
const DURATION_COLUMNS: usize = "59 m 59 s".len();

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
    pub past: Past,
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
            past: Past::default(),
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
    run: RunModel,
    running: Vec<Running>,
    /// The first line, until something else is to be said: a run that does nothing has one line in all.
    began: Option<(Stamped, String)>,
    /// Up to date, and not said yet.
    fresh: Vec<StageName>,
    screen: Screen,
    live: Live,
}

/// What is known of a stage under way besides what the run says of it.
struct Running {
    name: String,
    since: Instant,
    /// Seconds that may be left of it, when it began.
    expected: Option<f64>,
    /// GitHub Actions: what its group will hold.
    group: String,
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
        Console {
            paint: Paint { color: options.mode == Mode::Terminal { color: true } },
            options,
            run: RunModel::default(),
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

    fn stage_finished(&mut self, stamped: &Stamped, name: &str) -> anyhow::Result<()> {
        let group = self.running.iter().position(|running| running.name == name);
        let group = group.map(|index| self.running.remove(index).group).unwrap_or_default();
        let Some(stage) = self.run.stage(name) else { return Ok(()) };
        if self.quiet() && !stage.state.failed() {
            return Ok(());
        }
        let line = if self.terminal() { self.marked(stage) } else { worded(stage) };
        let (facts, failure) = (facts(stage), self.failure(stage));
        if self.github() {
            let facts = facts.map(|line| line + "\n").unwrap_or_default();
            self.print(&github::group(&line, &format!("{group}{facts}")))?;
        } else {
            self.timed(stamped, &line)?;
            if let Some(line) = facts.filter(|_| !self.quiet()) {
                self.below(&line)?;
            }
        }
        failure.iter().try_for_each(|text| self.print(text))
    }

    /// For a terminal: a mark, the name, the duration.
    fn marked(&self, stage: &Stage) -> String {
        let names = self.run.stages.iter().map(|stage| text::width(&stage.name));
        let columns = names.max().unwrap_or(0).min(NAME_COLUMNS);
        let duration = text::pad_left(&text::duration(stage.duration), DURATION_COLUMNS);
        let line = format!("{}  {duration}", text::pad(&stage.name, columns));
        let mark = match stage.state {
            StageState::Done => return format!("{} {line}", self.paint.good("✓")),
            StageState::Failed => "✗",
            _ => "!",
        };
        let tone = summary::tone(stage.state);
        format!("{} {line}  {}", self.paint.toned(tone, mark), self.paint.toned(tone, &end(stage)))
    }

    /// What is printed below the line of a stage that failed.
    fn failure(&self, stage: &Stage) -> Vec<String> {
        let Some(failure) = stage.failure.as_ref().filter(|_| stage.state.failed()) else { return Vec::new() };
        let block = block(failure, self.paint);
        match self.options.mode {
            Mode::GithubActions => {
                let message = format!("{} (step {})", failure.what, failure.step);
                let title = format!("{} {}", stage.name, stage.state.words(false));
                let annotate = if stage.state == StageState::Tolerated { github::warning } else { github::error };
                vec![annotate(&title, &message), github::verbatim(&block)]
            }
            Mode::Terminal { .. } => vec![format!("  {}\n{block}", failure.what)],
            // It stands in the line above.
            Mode::Plain => vec![block],
        }
    }

    /// The end of the run.
    fn close(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        self.running.clear();
        self.screen.clear();
        self.run.hold_against(&self.options.past);
        let again = self.options.again.clone().unwrap_or_else(|| Again::of(&self.run));
        if !self.quiet() && !self.run.nothing_to_do() {
            self.screen.gap()?;
            let look = Look { width: self.width(), paint: self.paint };
            let table = summary::render(&self.run, look, self.terminal());
            if !table.is_empty() {
                self.print(&table)?;
                self.screen.gap()?;
            }
            for shown in self.run.files_to_show() {
                let content = format!("{}\n", shown.text.trim_end());
                self.print(&self.paint.bold(&shown.title))?;
                self.print(&if self.github() { github::verbatim(&content) } else { content })?;
                self.screen.gap()?;
            }
            summary::failures(&self.run).iter().try_for_each(|failure| self.print(failure))?;
            self.screen.gap()?;
        }
        for lines in summary::withheld(&self.run) {
            let shown = if self.github() { github::error("Not put in place", &lines) } else { self.paint.bad(&lines) };
            self.print(&shown)?;
            self.screen.gap()?;
        }
        let remedies = summary::remedies(&self.run, &again, self.width().saturating_sub(2));
        if !remedies.is_empty() {
            self.print("To go on:")?;
            remedies.iter().try_for_each(|line| self.print(&text::indent(line, 2)))?;
            self.screen.gap()?;
        }
        let verdict = summary::verdict(&self.run, &again);
        self.print(&match (self.options.mode, outcome) {
            (Mode::Terminal { .. }, Outcome::Done) => self.paint.good(&verdict),
            (Mode::Terminal { .. }, Outcome::Failed) => self.paint.bad(&verdict),
            (Mode::Terminal { .. }, Outcome::Interrupted) => self.paint.warn(&verdict),
            _ => verdict,
        })
    }
}

/// What is printed while stages are under way: everything but the ends of stages and of the run.
impl Console {
    fn progress(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        let (terminal, paint) = (self.terminal(), self.paint);
        match &stamped.event {
            Event::RunStarted { pipeline, run, stages, jobs, .. } if !self.quiet() && !terminal => {
                let stages = text::plural(stages.len(), "stage");
                let line = format!("{pipeline}: {stages}, {}, run {run}", text::plural(*jobs, "job"));
                self.began = Some((stamped.clone(), line));
                Ok(())
            }
            Event::StageSkipped { stage, reason, .. } if self.verbose() => {
                let marked = paint.dim(&format!("- {stage} skipped: {reason}"));
                self.timed(stamped, &if terminal { marked } else { format!("{stage}: skipped ({reason})") })
            }
            Event::StageBlocked { stage, by } if !self.quiet() => {
                let marked = paint.warn(&format!("! {stage} blocked: {by} has no output"));
                self.timed(stamped, &if terminal { marked } else { format!("{stage}: blocked, {by} has no output") })
            }
            Event::StageStarted { stage, expected, earlier, .. } => {
                self.stage_started(stamped, stage, *expected, *earlier)
            }
            Event::Note { stage, text } if self.verbose() => self.in_stage(stamped, stage, &format!("note: {text}")),
            Event::CacheAsked { stage, misses, .. } if self.verbose() => {
                misses.iter().try_for_each(|miss| self.in_stage(stamped, stage, &format!("note: {miss}")))
            }
            // At once, also where the lines of a stage are kept for its end: that may be far away.
            Event::Warning { stage, text, .. } if self.github() => self.print(&github::warning(stage, text)),
            Event::Warning { stage, text, .. } if !self.quiet() => {
                let marked = paint.warn(&format!("! {stage}: {text}"));
                self.timed(stamped, &if terminal { marked } else { format!("{stage}: warning: {text}") })
            }
            Event::Fact { stage, fact } if let Some(sentence) = fact.warned().filter(|_| !self.quiet()) => {
                let workload = fact.step.workload.as_ref().map(|name| format!("{name}: ")).unwrap_or_default();
                self.in_stage(stamped, stage, &paint.warn(&format!("warning: {workload}{sentence}")))
            }
            Event::Fact { stage, fact } if let Some(sentence) = fact.slower() => {
                if self.github() {
                    return self.print(&github::warning(stage, sentence));
                }
                let marked = paint.bad(&format!("! {stage}: {sentence}"));
                if self.quiet() {
                    Ok(())
                } else {
                    self.timed(stamped, &if terminal { marked } else { format!("{stage}: {sentence}") })
                }
            }
            Event::StepStarted { stage, step, command, .. } => {
                let pooled = self.run.stage(stage).is_some_and(|stage| stage.open_pool().is_some());
                if self.verbose() {
                    self.in_stage(stamped, stage, &step.to_string())?;
                    self.in_stage_below(stage, &format!("$ {command}"))
                } else if terminal || self.github() || pooled {
                    Ok(())
                } else {
                    self.in_stage(stamped, stage, &step.to_string())
                }
            }
            Event::PoolStarted { stage, step, workloads, committed } => {
                let already = if *committed > 0 { format!(", {committed} done already") } else { String::new() };
                let workloads = text::plural(*workloads, "workload");
                self.unless_terminal(stamped, stage, &format!("{step}: {workloads}{already}"))
            }
            Event::StepFinished { stage, step, outcome, usage } => {
                let pooled = self.run.stage(stage).is_some_and(|stage| stage.open_pool().is_some());
                let word = match outcome {
                    Outcome::Done if pooled && !self.verbose() => return Ok(()),
                    Outcome::Done => "done",
                    Outcome::Failed => "failed",
                    Outcome::Interrupted => "interrupted",
                };
                // A pool has no time of its own where it is left to its workloads.
                let duration =
                    if usage.wall > 0.0 { format!(" in {}", text::duration(usage.wall)) } else { String::new() };
                self.unless_terminal(stamped, stage, &format!("{step} {word}{duration}"))
            }
            Event::WorkloadCommitted { stage, workload, .. } => {
                let known = self.run.stage(stage).map(|stage| stage.workloads).filter(|known| known.total > 0);
                let progress = known.map(|known| format!(" ({}/{})", known.committed, known.total));
                let progress = progress.unwrap_or_default();
                self.unless_terminal(stamped, stage, &format!("workload {workload} done{progress}"))
            }
            Event::Retrying { stage, step, attempt, of } if !self.quiet() => {
                let line = format!("{step} is tried again, attempt {attempt} of {of}");
                if terminal {
                    self.print(&paint.warn(&format!("! {stage}: {line}")))
                } else {
                    self.in_stage(stamped, stage, &line)
                }
            }
            _ => Ok(()),
        }
    }

    fn stage_started(
        &mut self,
        stamped: &Stamped,
        stage: &str,
        expected: Option<f64>,
        earlier: f64,
    ) -> anyhow::Result<()> {
        self.running.retain(|running| running.name != stage);
        self.running.push(Running {
            name: stage.to_owned(),
            since: Instant::now(),
            expected: expected.map(|seconds| seconds - earlier).filter(|seconds| *seconds > 0.0),
            group: String::new(),
        });
        if self.quiet() {
            return Ok(());
        }
        let goes_on = (earlier >= 1.0).then(|| format!(", goes on after {}", text::duration(earlier)));
        let last = expected.map(|seconds| format!(", took {} the last time", text::duration(seconds)));
        let said = self.verbose() || goes_on.is_some();
        let last = goes_on.into_iter().chain(last).collect::<String>();
        if !self.terminal() {
            self.timed(stamped, &format!("{stage}: started{last}"))?;
        } else if said {
            self.print(&self.paint.busy(&format!("> {stage} started{last}")))?;
        }
        if !self.verbose() {
            return Ok(());
        }
        let reasons = self.run.stage(stage).map(|stage| stage.reasons.clone()).unwrap_or_default();
        reasons.iter().try_for_each(|reason| self.below(&format!("because {reason}")))
    }

    /// A line of a stage, which a terminal shows only when it is verbose: there the moving line says it.
    fn unless_terminal(&mut self, stamped: &Stamped, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.terminal() && !self.verbose() { Ok(()) } else { self.in_stage(stamped, stage, line) }
    }

    /// A line of a stage; in GitHub Actions it is kept for the stage's group.
    fn in_stage(&mut self, stamped: &Stamped, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.quiet() || self.kept_for_group(stage, line) {
            return Ok(());
        }
        let indent = if self.terminal() { "  " } else { "" };
        self.timed(stamped, &format!("{indent}{stage}: {line}"))
    }

    fn in_stage_below(&mut self, stage: &str, line: &str) -> anyhow::Result<()> {
        if self.kept_for_group(stage, &format!("  {line}")) { Ok(()) } else { self.below(line) }
    }

    fn kept_for_group(&mut self, stage: &str, line: &str) -> bool {
        if self.github()
            && let Some(running) = self.running.iter_mut().find(|running| running.name == stage)
        {
            running.group.push_str(&format!("{line}\n"));
        }
        self.github()
    }
}

impl Listener for Console {
    fn event(&mut self, stamped: &Stamped) -> anyhow::Result<()> {
        self.run.add(stamped);
        let waits = match stamped.event {
            Event::RunStarted { .. } | Event::StageUpToDate { .. } => true,
            Event::StageSkipped { .. } | Event::Note { .. } | Event::CacheAsked { .. } => !self.verbose(),
            Event::CacheMoved { .. } => true,
            Event::RunFinished { .. } => self.run.nothing_to_do(),
            _ => false,
        };
        if !waits {
            self.flush_fresh(stamped)?;
        }
        match &stamped.event {
            Event::StageUpToDate { stage, .. } => self.fresh.push(stage.clone()),
            Event::StageFinished { stage, .. } => self.stage_finished(stamped, stage)?,
            Event::RunFinished { outcome, .. } => self.close(*outcome)?,
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

/// For logs: a sentence.
fn worded(stage: &Stage) -> String {
    let duration = text::duration(stage.duration);
    let (verdict, what) = match stage.state {
        StageState::Done => (format!("done in {duration}"), Some(summary::outputs(stage, ", "))),
        _ => {
            let what = stage.failure.as_ref().map(|failure| failure.what.clone());
            (format!("{} after {duration}", end(stage)), what)
        }
    };
    let what = what.filter(|what| !what.is_empty()).map(|what| format!(": {what}")).unwrap_or_default();
    format!("{}: {verdict}{what}", stage.name)
}

/// How a stage ended that is not done: `failed in optimize, tolerated`
fn end(stage: &Stage) -> String {
    let step = stage.failure.as_ref().map(|failure| &failure.step).filter(|step| !step.is_empty());
    let step = step.map(|step| format!(" in {step}")).unwrap_or_default();
    let (word, tolerated) = match stage.state {
        StageState::Tolerated => ("failed", ", tolerated"),
        state => (state.words(false), ""),
    };
    format!("{word}{step}{tolerated}")
}

/// Workloads and facts in one line.
fn facts(stage: &Stage) -> Option<String> {
    let workloads = stage.workloads.committed;
    let workloads = (workloads > 0).then(|| text::plural(workloads, "workload"));
    let facts = Some(stage.fact_line()).filter(|line| !line.is_empty());
    let parts: Vec<String> = workloads.into_iter().chain(facts).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// A failure at length: how to repeat the command, the end of its log, and where the log is. Every line ends in a line feed; an empty
/// line before and behind.
fn block(failure: &Failure, paint: Paint) -> String {
    let mut text = String::from("\n");
    if failure.environment {
        text.push_str("  This is a matter of this machine: a tool, a disk or a permission.\n\n");
    }
    if !failure.command.is_empty() {
        text.push_str(&format!("  To repeat the command:\n{}\n", text::indent(&failure.command, 4)));
    }
    let tail = &failure.tail[failure.tail.len().saturating_sub(TAIL)..];
    let of = if failure.log.is_empty() { "its output" } else { &failure.log };
    if !failure.error.is_empty() {
        text.push_str(&format!("  The first error in {of}:\n{}", quoted(&failure.error, paint)));
    }
    if !tail.is_empty() {
        let lines = if tail.len() == 1 { "line".into() } else { format!("{} lines", tail.len()) };
        text.push_str(&format!("  The last {lines} of {of}:\n{}", quoted(tail, paint)));
    } else if !failure.log.is_empty() && failure.error.is_empty() {
        text.push_str(&format!("  The log is empty: {}\n\n", failure.log));
    }
    text
}

/// Lines of a log, and an empty one.
fn quoted(lines: &[String], paint: Paint) -> String {
    let lines = lines.iter().map(|line| format!("    {} {line}", paint.dim("|")).trim_end().to_owned() + "\n");
    lines.collect::<String>() + "\n"
}
