//! Logs of commands that write much: what is kept of them, and what is said of what is in them.

use std::fs::{self, File};
use std::io::Write as _;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::profile::warnings::RUNTIME;
use optbuild::run::log::{LogWatch, Seen, Sizes};
use optbuild::run::repeats::repeated;

const SIZES: Sizes = Sizes { whole: 300_000, head: 1000, tail: 2000 };

struct Log {
    path: Utf8PathBuf,
    /// As it was written.
    all: Vec<u8>,
    _dir: tempfile::TempDir,
}

impl Log {
    fn new() -> Log {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("01-build.log");
        Log { path, all: Vec::new(), _dir: dir }
    }

    /// As a command does, at the end.
    fn write(&mut self, text: &[u8]) {
        let mut file = File::options().append(true).create(true).open(&self.path).unwrap();
        file.write_all(text).unwrap();
        self.all.extend(text);
    }

    /// Lines of ten bytes that all differ.
    fn write_lines(&mut self, count: usize) {
        let from = self.all.len() / 10;
        let lines: String = (from..from + count).map(|number| format!("{number:09}\n")).collect();
        self.write(lines.as_bytes());
    }

    fn text(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }
}

#[test]
fn a_log_that_is_not_too_large_stays_as_it_is() {
    let mut log = Log::new();
    let mut watch = LogWatch::new(&log.path, SIZES, []);
    assert_eq!(watch.look().unwrap(), Seen::default(), "it is not there yet");
    log.write_lines(30_000);
    assert_eq!(watch.look().unwrap().total, 300_000);
    assert_eq!(watch.finish().unwrap(), (300_000, 0));
    assert_eq!(log.text(), log.all);
}

/// Whatever comes after the last cut: nothing, little or much.
#[test]
fn the_beginning_and_the_end_are_kept() {
    for last in [0, 1, 150, 200, 201, 10_000] {
        let mut log = Log::new();
        let mut watch = LogWatch::new(&log.path, SIZES, []);
        for _ in 0..3 {
            log.write_lines(40_000);
            assert_eq!(watch.look().unwrap().total, log.all.len() as u64);
            assert!(log.text().len() <= 300_000, "{last}");
        }
        log.write_lines(last);
        let total = log.all.len();
        assert_eq!(watch.finish().unwrap(), (total as u64, total as u64 - 3000));
        let notice = format!("\n[optbuild left out {} here]\n", optbuild::text::size(total as u64 - 3000));
        let expected = [&log.all[..1000], notice.as_bytes(), &log.all[total - 2000..]].concat();
        assert_eq!(String::from_utf8(log.text()).unwrap(), String::from_utf8(expected).unwrap(), "{last}");
        let names: Vec<_> = log.path.parent().unwrap().read_dir_utf8().unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}

/// Also what is left out, and what lies across the border of two parts that are read.
#[test]
fn what_is_watched_is_counted_wherever_it_stands() {
    let mut log = Log::new();
    let sizes = Sizes { whole: 4 << 20, ..SIZES };
    let mut watch = LogWatch::new(&log.path, sizes, ["a needle", "none"]);
    // Not one before the first of it is where a part ends.
    for at in [0, 100, (1 << 20) - 3, (2 << 20) - 8, (2 << 20), (5 << 20) - 4] {
        let fill = vec![b'.'; at - log.all.len().min(at)];
        log.write(&fill);
        log.write(b"a needle");
    }
    log.write(b"a needla needle a\nneedle");
    assert!(watch.look().unwrap().total > 5 << 20);
    log.write(b"more: a needle, a needle");
    watch.look().unwrap();
    watch.finish().unwrap();
    let counts: Vec<_> = watch.counts().map(|count| (count.text, count.times)).collect();
    assert_eq!(counts, [("a needle", 9)]);
}

fn of(text: &str, times: usize) -> Option<String> {
    let mut log = Log::new();
    log.write(format!("configuring\n{}", text.repeat(times)).as_bytes());
    repeated(&File::open(&log.path).unwrap(), log.all.len() as u64).unwrap()
}

#[test]
fn a_line_over_and_over() {
    let line = "BOLT-ERROR: cannot read .debug_info in section 7";
    assert_eq!(of(&format!("{line}\n"), 5000).as_deref(), Some(line));
    assert_eq!(of(line, 5000).as_deref(), Some(line), "without a line end it begins where the line does");
    assert_eq!(of("x", 100_000).as_deref(), Some("x"));
    assert_eq!(of(&format!("\x1b[31m{line}\x1b[0m\n\n"), 5000).as_deref(), Some(line), "colours and empty lines");
    assert_eq!(of("one\ntwo\none\n", 20_000).as_deref(), Some("one"), "the most frequent");
    assert_eq!(of("waiting |\rwaiting /\r", 20_000).as_deref(), Some("waiting /"), "what a terminal shows");
    assert_eq!(of(line, 100), None, "too little to be sure");
    let long = "y".repeat(5000);
    assert!(of(&format!("{long}\n"), 100).unwrap().starts_with("yyy"));
    assert!(of(&format!("{long}\n"), 100).unwrap().chars().count() <= 200);
}

#[test]
fn lines_that_differ_in_numbers_are_the_same() {
    let log = |line: &dyn Fn(usize) -> String| {
        let mut log = Log::new();
        log.write((0..9000).map(line).collect::<String>().as_bytes());
        repeated(&File::open(&log.path).unwrap(), log.all.len() as u64).unwrap()
    };
    let found = log(&|number| format!("[{number}] LLVM Profile Warning: 17 of {} counters\n", number * 7));
    assert_eq!(found.as_deref(), Some("[8999] LLVM Profile Warning: 17 of 62993 counters"));
    assert_eq!(log(&|number| format!("{number}\n{:.3}\n", number as f64 / 7.0)), None, "nothing but numbers");
    assert_eq!(log(&|number| format!("[{number}/9000] Building CXX object {:x}.o\n", number * 7919)), None);
}

/// It is told when it lasts, and again when it is twice as much.
#[test]
fn a_repetition_is_told_while_it_lasts() {
    let mut log = Log::new();
    let mut watch = LogWatch::new(&log.path, Sizes { whole: 3 << 20, ..SIZES }, []);
    log.write_lines(10);
    watch.look().unwrap();
    let mut told = Vec::new();
    for look in 1..=16 {
        log.write("no end\n".repeat(300_000).as_bytes());
        let seen = watch.look().unwrap();
        assert_eq!(seen.total, log.all.len() as u64);
        told.extend(seen.repeats.map(|(line, written)| (look, line, written)));
    }
    let each = 7 * 300_000;
    let expected = [3, 6, 12].map(|look| (look, "no end".to_owned(), each * look as u64));
    assert_eq!(told, expected);
    assert_eq!(watch.repetition(), Some("no end"));
    log.write_lines(300_000);
    watch.look().unwrap();
    assert_eq!(watch.repetition(), None);
}

/// The runtime has the texts that are watched for: they are what it writes.
#[test]
fn the_profile_runtime_says_what_is_watched() {
    let clang = duct::cmd!("clang-22", "--target=x86_64-unknown-linux-gnu", "-print-runtime-dir").read().unwrap();
    let libraries =
        ["libclang_rt.profile.a", "libclang_rt.profile-x86_64.a"].map(|name| Utf8Path::new(&clang).join(name));
    let library = libraries.iter().find_map(|library| fs::read(library).ok());
    let library = library.unwrap_or_else(|| {
        let file = "libclang_rt.profile-x86_64.a";
        let path = duct::cmd!("clang-22", format!("-print-file-name={file}")).read().unwrap();
        fs::read(if path.starts_with('/') { path } else { format!("/usr/lib/llvm-22/lib/clang/22/lib/linux/{file}") })
            .unwrap()
    });
    for (text, _) in RUNTIME {
        assert!(library.windows(text.len()).any(|part| part == text.as_bytes()), "{text}");
    }
}
