//! The end of a log, as a person would see it on a terminal. Reads no more of the file than that.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use camino::Utf8Path;

/// What is read for one line, in bytes.
const LAST_LINE: u64 = 8 * 1024;
/// What is read for many lines: at first, and at most.
const FIRST_BLOCK: u64 = 32 * 1024;
const LAST_BLOCK: u64 = 1024 * 1024;

/// The last line that has something on it; none if there is none in the last few kilobytes.
///
/// # Errors
///
/// If the file cannot be read.
pub fn last_line(path: &Utf8Path) -> io::Result<Option<String>> {
    let (bytes, _) = end(path, LAST_LINE)?;
    let text = shown(&bytes);
    Ok(text.lines().rev().map(overwritten).find(|line| !line.trim().is_empty()).map(|line| line.trim_end().to_owned()))
}

/// The last `count` lines, without empty ones at the end. Fewer if the file has not so many, or they are longer than a megabyte.
///
/// # Errors
///
/// If the file cannot be read.
pub fn last_lines(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    let mut block = FIRST_BLOCK;
    loop {
        let (bytes, whole) = end(path, block)?;
        let text = shown(&bytes);
        let text = text.trim_end();
        let mut lines: Vec<&str> = text.lines().collect();
        if !whole && lines.len() <= count && block < LAST_BLOCK {
            block *= 4;
            continue;
        }
        // The first one of a part may have begun before it; alone it is better than nothing.
        if !whole && lines.len() > 1 {
            lines.remove(0);
        }
        let from = lines.len().saturating_sub(count);
        return Ok(lines[from..].iter().map(|line| overwritten(line).trim_end().to_owned()).collect());
    }
}

/// The first error in the log of a command that failed, with the lines behind it, if it stands before the last `count` lines: several
/// compilers may run at once and go on warning. Empty if there is none.
///
/// # Errors
///
/// If the file cannot be read.
pub fn first_error(path: &Utf8Path, count: usize) -> io::Result<Vec<String>> {
    let mut lines = last_lines(path, SEARCHED)?;
    lines.truncate(lines.len().saturating_sub(count));
    let Some(first) = lines.iter().position(|line| is_error(line)) else { return Ok(Vec::new()) };
    Ok(lines.drain(first..).take(ERROR_LINES).collect())
}

/// Lines of a log in which an error is looked for.
const SEARCHED: usize = 5000;
/// Lines that are shown of it.
const ERROR_LINES: usize = 5;

/// As compilers (clang, gcc, rustc), linkers, cargo, cmake and ninja write them.
fn is_error(line: &str) -> bool {
    let begins = ["error:", "error[", "fatal error:", "FAILED:", "CMake Error"];
    let within = [": error:", ": fatal error:"];
    begins.iter().any(|begin| line.starts_with(begin)) || within.iter().any(|within| line.contains(within))
}

/// The last `limit` bytes, and whether that is the whole file.
fn end(path: &Utf8Path, limit: u64) -> io::Result<(Vec<u8>, bool)> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(limit);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    // The file may be growing.
    file.take(limit).read_to_end(&mut bytes)?;
    Ok((bytes, from == 0))
}

/// Without colours and other escape sequences, of which the first may be cut.
fn shown(bytes: &[u8]) -> String {
    anstream::adapter::strip_str(&String::from_utf8_lossy(bytes)).to_string()
}

/// What a terminal shows of a line that was written over itself, as progress bars do: the part after the last carriage return
/// that has something on it.
fn overwritten(line: &str) -> &str {
    line.rsplit('\r').find(|part| !part.trim().is_empty()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::try_from(directory.path().join("log")).unwrap();
        std::fs::write(&path, bytes).unwrap();
        (directory, path)
    }

    fn line(bytes: &[u8]) -> Option<String> {
        let (_directory, path) = file(bytes);
        last_line(&path).unwrap()
    }

    #[test]
    fn the_last_line_is_what_a_terminal_would_show() {
        assert_eq!(line(b"one\ntwo\n\n"), Some("two".into()));
        assert_eq!(line(b"one\ntw"), Some("tw".into()));
        assert_eq!(line(b"one\r\ntwo\r\n"), Some("two".into()));
        assert_eq!(line(b"x\n 10%\r 50%\r 90%"), Some(" 90%".into()));
        assert_eq!(line(b"x\n 10%\r 50%\r"), Some(" 50%".into()));
        assert_eq!(line(b"\x1b[1m\x1b[32mCompiling\x1b[0m a v1\x1b[K\n\x1b[0m\n"), Some("Compiling a v1".into()));
        assert_eq!(line(b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\\n"), Some("link".into()));
        assert_eq!(line(b"caf\xe9\n"), Some("caf\u{fffd}".into()));
        assert_eq!(line(b""), None);
        assert_eq!(line(b"\n\n"), None);
    }

    #[test]
    fn a_long_line_is_cut_in_front() {
        let mut bytes = vec![b'a'; 100_000];
        bytes.extend(b"end\n");
        let last = line(&bytes).unwrap();
        assert!(last.ends_with("aend") && last.len() <= 8192, "{} bytes", last.len());
    }

    #[test]
    fn last_lines_of_long_and_short_files() {
        let text: String = (1..=100_000).map(|n| format!("line {n}\n")).collect();
        let (_directory, path) = file(text.as_bytes());
        assert_eq!(last_lines(&path, 3).unwrap(), ["line 99998", "line 99999", "line 100000"]);
        let many = last_lines(&path, 20_000).unwrap();
        assert_eq!((many.len(), many[0].as_str()), (20_000, "line 80001"));

        let (_directory, path) = file(b"a\n\nb 1%\rb 2%\n\n");
        assert_eq!(last_lines(&path, 30).unwrap(), ["a", "", "b 2%"]);
        assert_eq!(last_lines(&path, 1).unwrap(), ["b 2%"]);
        assert!(last_line(camino::Utf8Path::new("/no/such/file")).is_err());
    }

    #[test]
    fn an_error_far_from_the_end() {
        let first = |error: usize| {
            let line = |n: usize| if n == error { format!("a.c:{n}:1: error: no\n") } else { format!("line {n}\n") };
            let text: String = (1..=100).map(line).collect();
            let (_directory, path) = file(text.as_bytes());
            first_error(&path, 10).unwrap()
        };
        assert_eq!(first(40), ["a.c:40:1: error: no", "line 41", "line 42", "line 43", "line 44"]);
        // What the last lines show is not shown twice.
        assert_eq!(first(89), ["a.c:89:1: error: no", "line 90"]);
        assert_eq!(first(91), [""; 0], "it is among them");
        assert_eq!(first(0), [""; 0], "there is none");
    }
}
