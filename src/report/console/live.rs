//! The moving lines of a terminal: one for each running stage, one for the run.

use std::time::{Duration, Instant};

use super::super::paint::Paint;
use super::{Console, Running};
use crate::text;

const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const PAUSE: Duration = Duration::from_millis(100);
const NAME_COLUMNS: usize = 24;
const STEP_COLUMNS: usize = 28;

/// What moves.
#[derive(Debug, Default)]
pub(super) struct Live {
    frame: usize,
    /// How many stages had a line, and when.
    drawn: Option<(usize, Instant)>,
}

/// What a moving line says.
#[derive(Debug, Clone, Default, PartialEq)]
struct Line {
    stage: String,
    /// `31 s of ~1 m 20 s`
    time: String,
    step: String,
    log: String,
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
        let lines: Vec<Line> = self.running.iter().map(|running| line(running, self.last_line(running))).collect();
        let frame = FRAMES[self.live.frame % FRAMES.len()];
        self.live.frame += 1;
        self.live.drawn = Some((self.running.len(), Instant::now()));
        let mut texts = lay_out(&lines, frame, width, self.paint);
        if !texts.is_empty() {
            texts.push(self.paint.dim(&text::truncate(&self.overall(), width)));
        }
        self.screen.draw(&texts);
    }

    fn last_line(&self, running: &Running) -> String {
        let last_line = self.options.last_line.as_ref();
        let line = last_line.zip(running.steps.last()).and_then(|(last_line, (_, log))| last_line(log));
        text::plain_line(&line.unwrap_or_default())
    }

    fn overall(&self) -> String {
        use super::super::summary::Status;
        let total = self.summary.stages.iter().filter(|stage| !matches!(stage.status, Status::Skipped { .. })).count();
        let done = self.summary.with(|status| matches!(status, Status::Done | Status::UpToDate { .. })).len();
        let wall = self.live_since().map_or(String::new(), |seconds| format!(", {}", text::elapsed(seconds)));
        format!("  {done} of {}{wall}", text::plural(total, "stage"))
    }

    /// Seconds since the run began, by its own clock.
    fn live_since(&self) -> Option<f64> {
        let started = self.summary.started?;
        Some(jiff::Timestamp::now().duration_since(started).as_secs_f64())
    }
}

fn line(running: &Running, log: String) -> Line {
    let mut time = text::elapsed(running.since.elapsed());
    if let Some(expected) = running.expected {
        time.push_str(&format!(" of ~{}", text::elapsed(expected.round())));
    }
    let step = running.steps.last().map(|(step, _)| step.clone()).unwrap_or_default();
    let step = match &running.pool {
        Some(pool) => {
            let progress = format!("{}/{}", pool.workloads.committed, pool.workloads.total);
            let current = if step == pool.step { String::new() } else { step.to_string() };
            format!("{progress} {current}").trim_end().to_owned()
        }
        None => step.to_string(),
    };
    Line { stage: running.name.clone(), time, step, log }
}

/// Lines in columns, none wider than `width`: the log gives way first, then the step.
fn lay_out(lines: &[Line], frame: &str, width: usize, paint: Paint) -> Vec<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stage: &str, time: &str, step: &str, log: &str) -> Line {
        Line { stage: stage.into(), time: time.into(), step: step.into(), log: log.into() }
    }

    #[test]
    fn columns_line_up() {
        let lines = [
            line("lib-gather", "31 s of ~1 m 20 s", "3/12 joins", "select count(*) from t"),
            line("shell", "8 s", "build", "Compiling shell v0.1.0"),
        ];
        assert_eq!(
            lay_out(&lines, "*", 80, Paint::PLAIN),
            [
                "* lib-gather  31 s of ~1 m 20 s  3/12 joins  select count(*) from t",
                "* shell                     8 s  build       Compiling shell v0.1.0",
            ]
        );
    }

    #[test]
    fn lines_are_cut_at_the_terminals_edge() {
        let log = "日本語".repeat(40);
        for width in [20, 40, 79, 80, 140] {
            for color in [false, true] {
                let lines = [line("lib", "1 s", "build", &log)];
                for text in lay_out(&lines, "⠋", width, Paint { color }) {
                    assert!(text::width(&text) <= width, "{width}: {text}");
                }
            }
        }
        // 19 columns are before the log; each character of it takes two, the mark one.
        let lines = [line("lib", "1 s", "build", &log)];
        assert_eq!(lay_out(&lines, "*", 25, Paint::PLAIN), ["* lib  1 s  build  日本…"]);
        assert_eq!(lay_out(&lines, "*", 26, Paint::PLAIN), ["* lib  1 s  build  日本語…"]);
    }

    #[test]
    fn long_names_are_shortened() {
        let lines = [line(&"s".repeat(30), "1 s", &"p".repeat(30), "")];
        let text = format!("* {}…  1 s  {}…", "s".repeat(23), "p".repeat(27));
        assert_eq!(lay_out(&lines, "*", 140, Paint::PLAIN), [text]);
    }
}
