//! Names of functions: as llvm-bolt's messages have them, and as patterns, held against grep's regular expressions, which are POSIX's.

use std::io::Write as _;
use std::process::{Command, Stdio};

use optbuild::text::bolt_names::{Blamed, left_out, name, pattern, skip_option};

/// Whether a whole line is matched.
fn matches(pattern: &str, line: &str) -> bool {
    let mut grep = Command::new("grep");
    let mut grep = grep.args(["-qxE", "-e", pattern]).env("LC_ALL", "C").stdin(Stdio::piped()).spawn().unwrap();
    writeln!(grep.stdin.take().unwrap(), "{line}").unwrap();
    grep.wait().unwrap().success()
}

#[test]
fn a_pattern_matches_its_name_and_no_other() {
    let names = [
        "main",
        "sort/1",
        "sort/file.c/12",
        "_ZN4core3fmt9Formatter9write_str17h0123456789abcdefE",
        "_ZN60_$LT$alloc..string..String$u20$as$u20$core..fmt..Display$GT$3fmtE.llvm.123/1",
        "parse.cold.7/1",
        "memcpy@@GLIBC_2.14",
        "a+b*c?",
        "f(int, char)",
        "x[3]{2}|y",
        "]",
        "a^b",
        "back\\slash",
        "-[View draw:]",
    ];
    for name in names {
        let pattern = pattern(name);
        assert!(matches(&pattern, name), "{pattern} does not match {name}");
        for other in names.iter().filter(|other| **other != name) {
            assert!(!matches(&pattern, other), "{pattern} matches {other}");
        }
        for (special, by) in [(".", "x"), ("$", ""), ("+", "a"), ("/1", "/2")] {
            let other = name.replace(special, by);
            assert!(other == name || !matches(&pattern, &other), "{pattern} matches {other}");
        }
        assert!(!pattern.contains(','), "{pattern}");
    }
    assert_eq!(skip_option(["main", "a.b/1"]), "-skip-funcs=main,a[.]b/1");
}

#[test]
fn names_in_messages() {
    assert_eq!(["f", "f/1", "f/1(*2)", "f(int)", "f(*)"].map(name), ["f", "f/1", "f/1", "f(int)", "f(*)"]);
    assert_eq!(left_out("BOLT-INFO: skipping processing f/1(*2) per user request"), Some("f/1"));
    assert_eq!(left_out("BOLT-INFO: skipping processing f/1 together with fragment function g"), None);
}

/// What is blamed in a log, if these are the functions of the file.
fn blamed(functions: &[&str], log: &str) -> Vec<String> {
    let mut blamed = Blamed::default();
    log.lines().for_each(|line| blamed.add(line, |name| functions.contains(&name)));
    blamed.names()
}

#[test]
fn functions_that_llvm_bolt_gives_up_on() {
    // As llvm-bolt 22 has them in its program file.
    let all = ["sort/1", "parse.cold", "main", "in", "reordering", "a.b."];
    let one = |line: &str| blamed(&all, line).join(" ");
    assert_eq!(one("BOLT-ERROR: cannot handle PC-relative operand at 0x1234. Skipping function sort/1(*2)."), "sort/1");
    assert_eq!(one("BOLT-ERROR: unable to fix CFI state for function sort/1. Aborting."), "sort/1");
    assert_eq!(one("BOLT-ERROR: parent function not found for parse.cold"), "parse.cold");
    assert_eq!(one("BOLT-ERROR: inconsistent landing pad detected in main"), "main");
    assert_eq!(one("BOLT-ERROR: cannot read 'a.b.' in function a.b."), "a.b.");
    // Words that are names as well.
    assert_eq!(one("BOLT-ERROR: function reordering only works when basic blocks are reordered too"), "reordering");
    assert_eq!(blamed(&["main"], "BOLT-ERROR: function reordering only works when blocks are"), [""; 0]);
    assert_eq!(one("BOLT-WARNING: unable to disassemble instruction in function main"), "");
    assert_eq!(one("BOLT-ERROR: stripped binaries are not supported"), "");
    // An error without a name, and what llvm-bolt prints of the function behind it.
    let dump = "BOLT-ERROR: deleted successor .Ltmp1 detected in:\nBinary Function \"sort/1(*2)\" after reorder {\n  Number : 12\n\
                Binary Function \"main\" {\n";
    assert_eq!(blamed(&all, dump), ["sort/1"]);
    assert_eq!(blamed(&all, "Binary Function \"main\" {\n"), [""; 0]);
    // Each once, in order.
    let twice = "BOLT-ERROR: x in function main\nBOLT-ERROR: y in function sort/1\nBOLT-ERROR: z in function main\n";
    assert_eq!(blamed(&all, twice), ["main", "sort/1"]);
}
