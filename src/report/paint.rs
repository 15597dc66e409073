//! How text is to look: colour, where it is wanted, and how wide it may be.
//!
//! Decides nothing: whoever makes a [`Look`] has looked at the terminal and at `NO_COLOR`.

use anstyle::{AnsiColor, Style};

/// Colours text, or leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    pub color: bool,
}

/// What a text is, for its colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Tone {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Busy,
    Dim,
    Bold,
}

impl Paint {
    pub const PLAIN: Paint = Paint { color: false };

    pub fn good(self, text: &str) -> String {
        self.toned(Tone::Good, text)
    }
    pub fn bad(self, text: &str) -> String {
        self.toned(Tone::Bad, text)
    }
    pub fn warn(self, text: &str) -> String {
        self.toned(Tone::Warn, text)
    }
    pub fn busy(self, text: &str) -> String {
        self.toned(Tone::Busy, text)
    }
    pub fn dim(self, text: &str) -> String {
        self.toned(Tone::Dim, text)
    }
    pub fn bold(self, text: &str) -> String {
        self.toned(Tone::Bold, text)
    }

    pub fn toned(self, tone: Tone, text: &str) -> String {
        if !self.color || text.is_empty() {
            return text.to_owned();
        }
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Good => AnsiColor::Green.on_default(),
            Tone::Warn => AnsiColor::Yellow.on_default(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Busy => AnsiColor::Cyan.on_default(),
            Tone::Dim => Style::new().dimmed(),
            Tone::Bold => Style::new().bold(),
        };
        format!("{style}{text}{style:#}")
    }
}

/// How a text is to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Columns of the terminal.
    pub width: usize,
    pub paint: Paint,
}

impl Default for Look {
    /// For a file or a pipe.
    fn default() -> Look {
        Look { width: 120, paint: Paint::PLAIN }
    }
}
