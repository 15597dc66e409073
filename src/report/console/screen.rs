//! Where lines go: to a writer, or above the moving lines of a terminal, one for each running stage and one for the run.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Console, NAME_COLUMNS, Running};
use crate::event::StageState;
use crate::report::model::Stage;
use crate::report::paint::Paint;
use crate::text;

/// Where there is no terminal.
const DEFAULT_WIDTH: usize = 100;
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const PAUSE: Duration = Duration::from_millis(100);
const STEP_COLUMNS: usize = 28;

pub(super) struct Screen {
    to: To,
    /// The last line printed was empty, or there is none.
    gap: bool,
}

enum To {
    Lines(Box<dyn Write + Send>),
    Terminal { bars: MultiProgress, moving: Vec<ProgressBar> },
}

impl Screen {
    pub fn lines(writer: Box<dyn Write + Send>) -> Screen {
        Screen { to: To::Lines(writer), gap: true }
    }

    pub fn terminal(target: ProgressDrawTarget) -> Screen {
        Screen { to: To::Terminal { bars: MultiProgress::with_draw_target(target), moving: Vec::new() }, gap: true }
    }

    /// Prints lines that stay.
    pub fn print(&mut self, text: &str) -> anyhow::Result<()> {
        let text = if text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
        self.gap = text == "\n" || text.ends_with("\n\n");
        match &mut self.to {
            To::Lines(writer) => writer.write_all(text.as_bytes()).and_then(|()| writer.flush()),
            To::Terminal { bars, .. } => bars.println(text),
        }
        .context("standard error cannot be written")
    }

    /// Prints an empty line, unless there is one.
    pub fn gap(&mut self) -> anyhow::Result<()> {
        if self.gap { Ok(()) } else { self.print("") }
    }

    /// Replaces the moving lines.
    pub fn draw(&mut self, lines: &[String]) {
        let To::Terminal { bars, moving } = &mut self.to else { return };
        while moving.len() > lines.len() {
            if let Some(bar) = moving.pop() {
                bars.remove(&bar);
            }
        }
        while moving.len() < lines.len() {
            let bar = bars.add(ProgressBar::no_length());
            // The only template there is; a mistake in it would show in every test of the terminal.
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            moving.push(bar);
        }
        for (bar, line) in moving.iter().zip(lines) {
            if bar.message() != *line {
                bar.set_message(line.clone());
            }
        }
    }

    /// Takes the moving lines away.
    pub fn clear(&mut self) {
        self.draw(&[]);
    }

    /// Columns.
    pub fn width(&self) -> usize {
        match self.to {
            To::Lines(_) => DEFAULT_WIDTH,
            To::Terminal { .. } => {
                console::Term::stderr().size_checked().map_or(DEFAULT_WIDTH, |(_, columns)| usize::from(columns))
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What moves.
#[derive(Debug, Default)]
pub(super) struct Live {
    frame: usize,
    /// How many stages had a line, and when.
    drawn: Option<(usize, Instant)>,
}

/// What a moving line says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Line {
    pub stage: String,
    /// `31 s of ~1 m 20 s`
    pub time: String,
    pub step: String,
    pub log: String,
}

impl Console {
    /// Draws after an event: at once if there is a stage more or less, else when the lines are old. Logs are read to draw, and
    /// there may be thousands of events in a second.
    pub(super) fn draw_if_due(&mut self) {
        let due = self.live.drawn.is_none_or(|(stages, when)| stages != self.running.len() || when.elapsed() > PAUSE);
        if due {
            self.draw();
        }
    }

    pub(super) fn draw(&mut self) {
        let width = self.width();
        let lines: Vec<Line> = self.running.iter().map(|running| self.line(running)).collect();
        let frame = FRAMES[self.live.frame % FRAMES.len()];
        self.live.frame += 1;
        self.live.drawn = Some((self.running.len(), Instant::now()));
        let mut texts = lay_out(&lines, frame, width, self.paint);
        if !texts.is_empty() {
            texts.push(self.paint.dim(&text::truncate(&self.overall(), width)));
        }
        self.screen.draw(&texts);
    }

    fn line(&self, running: &Running) -> Line {
        let mut time = text::elapsed(running.since.elapsed());
        if let Some(expected) = running.expected {
            time.push_str(&format!(" of ~{}", text::elapsed(expected.round())));
        }
        let stage = self.run.stage(&running.name);
        let step = stage.and_then(Stage::open_step);
        let name = step.map(|step| step.name.as_str()).unwrap_or_default();
        let pool = stage.filter(|stage| stage.open_pool().is_some()).map(|stage| stage.workloads);
        let progress = pool.map(|pool| format!("{}/{} ", pool.committed, pool.total)).unwrap_or_default();
        let last_line = self.options.last_line.as_ref();
        let log = last_line.zip(step).and_then(|(last_line, step)| last_line(step.log.as_str().into()));
        Line {
            stage: running.name.clone(),
            time,
            step: format!("{progress}{name}").trim_end().to_owned(),
            log: text::plain_line(&log.unwrap_or_default()),
        }
    }

    fn overall(&self) -> String {
        let total = self.run.stages.iter().filter(|stage| stage.state != StageState::Skipped).count();
        let done = self.run.with(&[StageState::Done, StageState::UpToDate]).len();
        // By the run's own clock.
        let wall = self.run.began().map(|began| jiff::Timestamp::now().duration_since(began).as_secs_f64());
        let wall = wall.map(|seconds| format!(", {}", text::elapsed(seconds))).unwrap_or_default();
        format!("  {done} of {}{wall}", text::plural(total, "stage"))
    }
}

/// Lines in columns, none wider than `width`: the log gives way first, then the step.
pub fn lay_out(lines: &[Line], frame: &str, width: usize, paint: Paint) -> Vec<String> {
    let column = |text: fn(&Line) -> &str, most: usize| {
        lines.iter().map(|line| text::width(text(line))).max().unwrap_or(0).min(most)
    };
    let stage = column(|line| &line.stage, NAME_COLUMNS);
    let time = column(|line| &line.time, usize::MAX);
    let step = column(|line| &line.step, STEP_COLUMNS);
    let cell = |text: &str, columns: usize| text::pad(&text::truncate(text, columns), columns);
    lines
        .iter()
        .map(|line| {
            let text = format!(
                "{} {}  {}  {}  {}",
                paint.busy(frame),
                paint.bold(&cell(&line.stage, stage)),
                text::pad_left(&line.time, time),
                cell(&line.step, step),
                paint.dim(&line.log),
            );
            text::truncate(text.trim_end(), width).into_owned()
        })
        .collect()
}
