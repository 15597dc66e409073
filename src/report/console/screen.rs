//! Where lines go: to a writer, or above the moving lines of a terminal.

use std::io::Write;

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where there is no terminal.
const DEFAULT_WIDTH: usize = 100;

pub(super) enum Screen {
    Lines(Box<dyn Write + Send>),
    Terminal { bars: MultiProgress, moving: Vec<ProgressBar> },
}

impl Screen {
    pub fn lines(writer: Box<dyn Write + Send>) -> Screen {
        Screen::Lines(writer)
    }

    pub fn terminal(target: ProgressDrawTarget) -> Screen {
        Screen::Terminal { bars: MultiProgress::with_draw_target(target), moving: Vec::new() }
    }

    /// Prints lines that stay.
    pub fn print(&mut self, text: &str) -> anyhow::Result<()> {
        match self {
            Screen::Lines(writer) => {
                let end = if text.ends_with('\n') { "" } else { "\n" };
                writer.write_all(format!("{text}{end}").as_bytes()).and_then(|()| writer.flush())
            }
            Screen::Terminal { bars, .. } => {
                let text = text.strip_suffix('\n').unwrap_or(text);
                // An empty text would print nothing at all.
                bars.println(if text.is_empty() { " " } else { text })
            }
        }
        .context("standard error cannot be written")
    }

    /// Replaces the moving lines.
    pub fn draw(&mut self, lines: &[String]) {
        let Screen::Terminal { bars, moving } = self else { return };
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
        match self {
            Screen::Lines(_) => DEFAULT_WIDTH,
            Screen::Terminal { .. } => {
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
