//! Where lines go: to a writer, or above the moving lines of a terminal.

use std::io::Write;

use anyhow::Context;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Where there is no terminal.
const DEFAULT_WIDTH: usize = 100;

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
