//! Standard output and standard error of this process: the one place that prints. What cannot be written is an error, or is passed
//! over, and never a panic, as it would be with `println!`.
//!
//! | | cannot be written | its reader has gone |
//! |---|---|---|
//! | a result, on standard output | an error | no error: whoever leaves has what it wanted |
//! | what a person should know, on standard error | passed over: the exit code remains | passed over |
//!
//! Unaware of what is said.

use std::io::{self, ErrorKind, Write};

/// Writes a result.
///
/// # Errors
/// Standard output takes no more, as on a full disk.
pub fn print(text: &str) -> io::Result<()> {
    whole(&mut anstream::stdout().lock(), text.as_bytes())
}

/// Writes bytes as they are, to standard output.
///
/// # Errors
/// As [`print`].
pub fn pass_on(bytes: &[u8]) -> io::Result<()> {
    whole(&mut io::stdout().lock(), bytes)
}

fn whole(to: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    match to.write_all(bytes).and_then(|()| to.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// Says a line on standard error.
pub fn say(text: &str) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Says another program's words on standard error, as they are.
pub fn repeat(words: &str) {
    let _ = io::stderr().write_all(words.as_bytes());
}
