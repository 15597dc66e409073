//! Colour, where it is wanted.
//!
//! Decides nothing: whoever makes a [`Paint`] has looked at the terminal and at `NO_COLOR`.

use anstyle::{AnsiColor, Style};

/// Colours text, or leaves it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Paint {
    pub color: bool,
}

impl Paint {
    pub const PLAIN: Paint = Paint { color: false };

    pub fn good(self, text: &str) -> String {
        self.styled(AnsiColor::Green.on_default(), text)
    }
    pub fn bad(self, text: &str) -> String {
        self.styled(AnsiColor::Red.on_default().bold(), text)
    }
    pub fn warn(self, text: &str) -> String {
        self.styled(AnsiColor::Yellow.on_default(), text)
    }
    pub fn busy(self, text: &str) -> String {
        self.styled(AnsiColor::Cyan.on_default(), text)
    }
    pub fn dim(self, text: &str) -> String {
        self.styled(Style::new().dimmed(), text)
    }
    pub fn bold(self, text: &str) -> String {
        self.styled(Style::new().bold(), text)
    }

    fn styled(self, style: Style, text: &str) -> String {
        if self.color && !text.is_empty() { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}
