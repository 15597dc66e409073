//! A failure at length: how to repeat the command, the end of its log, and where the log is.

use super::super::paint::Paint;
use crate::event::Failure;
use crate::text;

/// Lines of the log that are printed.
const TAIL: usize = 30;

/// Every line ends in a line feed; an empty line before and behind.
pub(super) fn render(failure: &Failure, paint: Paint) -> String {
    let mut text = String::from("\n");
    if failure.environment {
        text.push_str("  This is a matter of this machine: a tool, a disk or a permission.\n\n");
    }
    if !failure.command.is_empty() {
        text.push_str("  To repeat the command:\n");
        text.push_str(&text::indent(&failure.command, 4));
        text.push('\n');
    }
    let tail = &failure.tail[failure.tail.len().saturating_sub(TAIL)..];
    let log = failure.log.as_ref();
    let of = log.map_or("its output".into(), |log| log.to_string());
    if !failure.error.is_empty() {
        text.push_str(&format!("  The first error in {of}:\n{}", quoted(&failure.error, paint)));
    }
    if !tail.is_empty() {
        let lines = if tail.len() == 1 { "line".into() } else { format!("{} lines", tail.len()) };
        text.push_str(&format!("  The last {lines} of {of}:\n{}", quoted(tail, paint)));
    } else if let Some(log) = log {
        text.push_str(&format!("  The log is empty: {log}\n\n"));
    }
    text
}

/// Lines of a log, and an empty one.
fn quoted(lines: &[String], paint: Paint) -> String {
    let mut text = String::new();
    for line in lines {
        let line = format!("    {} {}", paint.dim("|"), text::plain_line(line));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push('\n');
    text
}
