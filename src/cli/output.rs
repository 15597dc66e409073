//! What commands print: results to standard output, everything for a person to standard error.

use std::io::IsTerminal;

use anyhow::Result;

use super::exit::Machine;
use crate::report::info::Look;
use crate::report::paint::Paint;
use crate::stdio;

/// Writes a result to standard output.
///
/// # Errors
/// It cannot be written. That its reader has gone is none.
pub fn print(text: &str) -> Result<()> {
    stdio::print(text).map_err(unwritten)
}

/// Writes what another program has printed, as it is.
///
/// # Errors
/// As [`print`].
pub fn pass_on(bytes: &[u8]) -> Result<()> {
    stdio::pass_on(bytes).map_err(unwritten)
}

/// Nobody gets the result: that is the fault of the machine.
pub fn unwritten(error: std::io::Error) -> anyhow::Error {
    Machine(format!("cannot write to standard output: {error}")).into()
}

/// Says something to a person. One whose terminal is gone cannot be told; the exit code remains.
pub fn tell(text: &str) {
    stdio::say(text);
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
