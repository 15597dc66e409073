//! The one place that prints: results to standard output, everything for a person to standard error.

use std::io::{IsTerminal, Write as _};

use anyhow::{Context as _, Result};

use crate::report::info::Look;
use crate::report::paint::Paint;

/// Writes a result to standard output.
///
/// # Errors
/// It cannot be written. A closed pipe ends the program before that.
pub fn print(text: &str) -> Result<()> {
    print_bytes(text.as_bytes(), &mut anstream::stdout().lock())
}

/// Writes what another program has printed, as it is.
///
/// # Errors
/// As [`print`].
pub fn pass_on(bytes: &[u8]) -> Result<()> {
    print_bytes(bytes, &mut std::io::stdout().lock())
}

fn print_bytes(bytes: &[u8], to: &mut dyn std::io::Write) -> Result<()> {
    to.write_all(bytes).and_then(|()| to.flush()).context("cannot write to standard output")
}

/// Says something to a person. One whose terminal is gone cannot be told; the exit code remains.
pub fn tell(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Says that the program fails, and why.
pub fn tell_error(error: &anyhow::Error) {
    let style = anstyle::Style::new().bold().fg_color(Some(anstyle::AnsiColor::Red.into()));
    tell(&format!("{style}error{style:#}: {error:#}"));
}

/// How tables for standard output look.
pub fn look() -> Look {
    let stdout = std::io::stdout();
    if !stdout.is_terminal() {
        return Look::default();
    }
    let color = anstream::AutoStream::choice(&stdout) != anstream::ColorChoice::Never;
    Look { width: usize::from(console::Term::stdout().size().1), paint: Paint { color } }
}

/// Whether standard error takes colours.
pub fn color() -> bool {
    let stderr = std::io::stderr();
    stderr.is_terminal() && anstream::AutoStream::choice(&stderr) != anstream::ColorChoice::Never
}
