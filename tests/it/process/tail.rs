//! The end of a log, as a terminal would show it.

use optbuild::run::first_error::first_error;
use optbuild::run::tail::{last_line, last_lines};

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

/// llvm-bolt prints all that it knows of a function behind its error, and goes on to the next.
#[test]
fn an_error_that_ends_a_tool_is_found_however_much_follows() {
    let dump: String = (1..=20_000).map(|n| format!("    {n:08x}: movq %rax, %rbx # a.c: error: {n}\n")).collect();
    let text = format!(
        "BOLT-INFO: x\na.c:1:1: error: no\nBOLT-ERROR: bad CFG in function f\n{dump}BOLT-ERROR: giving up\n{}",
        "last\n".repeat(40)
    );
    let (_directory, path) = file(text.as_bytes());
    assert_eq!(first_error(&path, 30).unwrap(), ["BOLT-ERROR: bad CFG in function f", "BOLT-ERROR: giving up"]);
    // One among the last lines is shown with them.
    assert_eq!(first_error(&path, 41).unwrap(), ["BOLT-ERROR: bad CFG in function f"]);
}

#[test]
fn an_error_in_a_log_of_long_lines_and_without_an_end() {
    let mut bytes = b"error: first\n".to_vec();
    bytes.extend(vec![b'x'; 100_000]);
    bytes.extend(b"\nsecond\n\n\n");
    let (_directory, path) = file(&bytes);
    let found = first_error(&path, 1).unwrap();
    assert_eq!(found.iter().map(String::len).collect::<Vec<_>>(), [12, 8192]);
    let (_directory, path) = file(&vec![b'x'; 20 << 20]);
    assert_eq!(first_error(&path, 30).unwrap(), [""; 0]);
    let (_directory, path) = file(b"");
    assert_eq!(first_error(&path, 30).unwrap(), [""; 0]);
}
