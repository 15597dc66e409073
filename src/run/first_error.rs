//! The first error in the log of a command that failed, where it stands far above the end: several compilers may run at once and go
//! on warning, and a program may print hundreds of lines of its own state behind its error.
//!
//! | a line | is looked for in |
//! |---|---|
//! | with which a tool gives up (`BOLT-ERROR:`, `LLVM ERROR:`) | all that is read; all such lines are shown, and nothing between them |
//! | as compilers and build tools write errors | the last [`SEARCHED`] lines; a build may have got over earlier ones. The lines behind it are shown too |
//!
//! No more than [`WINDOW`] bytes at the end of the log are read, and a line at a time. Unaware of what the command was for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};

use camino::Utf8Path;

use super::tail::{overwritten, shown};

/// Bytes of a log in which an error is looked for.
const WINDOW: u64 = 16 * 1024 * 1024;
/// What is kept of a line, in bytes.
const LINE: u64 = 8 * 1024;
/// Lines of a log in which an error of a compiler is looked for.
const SEARCHED: usize = 5000;
/// Lines that are shown.
const SHOWN: usize = 5;

/// How a line of a log begins with which a tool gives up.
const FATAL: [&str; 3] = ["BOLT-ERROR:", "PERF2BOLT-ERROR:", "LLVM ERROR:"];
/// How errors of compilers (clang, gcc, rustc), linkers, cargo, cmake, ninja and Python begin.
const BEGINS: [&str; 6] =
    ["error:", "error[", "fatal error:", "FAILED:", "CMake Error", "Traceback (most recent call last):"];
/// What stands within them, behind a file or a program.
const WITHIN: [&str; 5] =
    [": error:", ": fatal error:", ": undefined reference to ", ": Assertion `", "' panicked at "];

/// The first error with what belongs to it, if it stands before the last `count` lines. Empty if there is none.
///
/// # Errors
/// If the file cannot be read.
pub fn first_error(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    let (mut total, mut last) = (0, 0);
    each_line(path, |number, line| {
        total = number + 1;
        if !line.trim().is_empty() {
            last = total;
        }
    })?;
    // The last lines are shown anyway, without empty ones at their end.
    let shown_from = last.saturating_sub(count);
    let searched_from = total.saturating_sub(SEARCHED);
    let (mut fatal, mut common) = (Vec::new(), Vec::new());
    each_line(path, |number, line| {
        let above = number < shown_from;
        if above && fatal.len() < SHOWN && FATAL.iter().any(|begin| line.starts_with(begin)) {
            fatal.push(line.to_owned());
        }
        let begun = !common.is_empty() || (number >= searched_from && is_error(line));
        if above && begun && common.len() < SHOWN {
            common.push(line.to_owned());
        }
    })?;
    Ok(if fatal.is_empty() { common } else { fatal })
}

fn is_error(line: &str) -> bool {
    BEGINS.iter().any(|begin| line.starts_with(begin)) || WITHIN.iter().any(|within| line.contains(within))
}

/// Calls `each` with the number and the text of each line of the last part of a file, as a terminal shows it. A long line is cut.
fn each_line(path: &Utf8Path, mut each: impl FnMut(usize, &str)) -> io::Result<()> {
    let mut file = File::open(path)?;
    let from = file.metadata()?.len().saturating_sub(WINDOW);
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::new(file.take(WINDOW));
    if from > 0 {
        // It may have begun before.
        reader.skip_until(b'\n')?;
    }
    let mut line = Vec::new();
    for number in 0.. {
        line.clear();
        if reader.by_ref().take(LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        if line.last() != Some(&b'\n') {
            reader.skip_until(b'\n')?;
        }
        let text = shown(&line);
        each(number, overwritten(text.trim_end_matches('\n')).trim_end());
    }
    Ok(())
}
