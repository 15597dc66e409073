//! Profiles of BOLT, listings of llvm-profdata and warnings of compilers, which all are text.

use std::collections::HashSet;

use optbuild::profile::fdata::{branches, functions, sorted, statistics, symbol};
use optbuild::profile::figures::Statistics;
use optbuild::profile::listing::{Rest, read};
use optbuild::profile::warnings::Warnings;

// Lines that an instrumented library wrote (llvm-bolt 22).
const REAL: &str = "1 __do_global_dtors_aux/1 22 1 __cxa_finalize@PLT 0 0 1\n\
                    0 [unknown] 0 1 _fini/1 0 0 2\n\
                    1 _init/1 e 1 _init/1 12 0 2\n";

#[test]
fn functions_are_counted_once() {
    assert_eq!(functions(REAL), 4);
    assert_eq!(functions(""), 0);
    assert_eq!(functions("1 operator\\ new 0 1 f 0 0 2\n"), 2);
}

#[test]
fn figures() {
    let (functions, all) = statistics(REAL);
    assert_eq!((all.functions, all.largest, all.total), (4, 2, 5));
    assert_eq!(functions["_init/1"], 2);
    assert_eq!(functions["__do_global_dtors_aux/1"], 1);
    assert_eq!(["_init/1", "f/a.c/2", "f"].map(symbol), ["_init", "f", "f"]);
    let mut all = Vec::new();
    branches(REAL, |function, place, count| all.push((function, place, count)));
    assert_eq!(all[1], ("_fini/1", "0 [unknown] 0 1 _fini/1 0", 2));
    branches("1 f a 7\n", |function, place, count| all.push((function, place, count)));
    assert_eq!(all[3], ("f", "1 f a", 7));
    assert_eq!(statistics("no_lbr\nx\n").1, Statistics::default());
}

#[test]
fn order_is_that_of_the_content() {
    let shuffled: String = REAL.lines().rev().map(|line| format!("{line}\n")).collect();
    assert_eq!(sorted(&shuffled), sorted(REAL));
    assert_eq!(sorted("no_lbr cycles\n1 b 0 2\n1 a 0 2\n"), "no_lbr cycles\n1 a 0 2\n1 b 0 2\n");
}

fn all(text: &str) -> (Vec<(String, u64, Vec<u64>)>, Rest) {
    let mut functions = Vec::new();
    let rest = read(text.as_bytes(), |f| functions.push((f.name.to_owned(), f.hash, f.counts.to_vec()))).unwrap();
    (functions, rest)
}

// What llvm-profdata 22 prints of a small program.
const OF_22: &str = "Counters:\n  main:\n    Hash: 0x0f37fb86b7a69abb\n    Counters: 5\n    Block counts: [0, 100, 0, 1, 0]\n  \
    a.c;cold:\n    Hash: 0x0209aa3e1d398548\n    Counters: 2\n    Block counts: [0, 0]\n\
    Instrumentation level: IR  entry_first = 0  instrument_loop_entries = 0\nFunctions shown: 2\nTotal functions: 2\n\
    Maximum function count: 0\nMaximum internal block count: 100\nTotal number of blocks: 7\nTotal count: 101\n\
    Binary IDs: \ne831c871a32a95d412aa0b7d9145b3a1fdecdd98\n";

#[test]
fn functions_and_the_rest() {
    let (functions, rest) = all(OF_22);
    assert_eq!(functions[0], ("main".into(), 0x0f37_fb86_b7a6_9abb, vec![0, 100, 0, 1, 0]));
    assert_eq!(functions[1], ("a.c;cold".into(), 0x0209_aa3e_1d39_8548, vec![0, 0]));
    assert_eq!(functions.len(), 2);
    assert_eq!(rest.level, "IR");
    assert_eq!(rest.binary_ids, ["e831c871a32a95d412aa0b7d9145b3a1fdecdd98"]);
}

#[test]
fn the_entry_of_a_front_end_profile_is_a_count() {
    let text = "Counters:\n  f:\n    Hash: 0x1\n    Counters: 2\n    Function count: 3\n    Block counts: [4]\n\
                Instrumentation level: Front-end\nTotal functions: 1\n";
    assert_eq!(all(text).0, [("f".into(), 1, vec![3, 4])]);
    assert_eq!(all("").0, []);
    assert_eq!(all("Counters:\n  f:\n    Hash: 0x1\n    Block counts: []").0, [("f".into(), 1, vec![])]);
}

#[test]
fn what_compilers_print() {
    let mut warnings = Warnings::default();
    // clang 22 and 19, rustc 1.95, lld 22, and clang 22 with a profile of its front end.
    for line in [
        "warning: b.c: no profile data available for function other Hash = 146835646621254984 up to 0 count discarded [-Wbackend-plugin]",
        "error: c.c: no profile data available for function other Hash = 1 up to 0 count discarded [-Werror,-Wbackend-plugin]",
        "warning: rs.344f2bb5c1f00fa-cgu.1: no profile data available for function _ZN2rs4main17ha2f0aa77aba8ee98E Hash = 3489 up to 0 count discarded",
        "warning: a2.c: function control flow change detected (hash mismatch) main Hash = 1011877327053940909 up to 101 count discarded [-Wbackend-plugin]",
        "warning: profile data may be out of date: of 3 functions, 2 have mismatched data that will be ignored [-Wprofile-instr-out-of-date]",
        "warning: no profile data available for file \"b.c\" [-Wprofile-instr-unprofiled]",
        "[3/4] Linking C executable prog",
    ] {
        warnings.add_line(line);
    }
    assert_eq!(warnings.missing, HashSet::from(["other".into(), "_ZN2rs4main17ha2f0aa77aba8ee98E".into()]));
    assert_eq!(warnings.mismatched, HashSet::from(["main".into()]));
    assert_eq!(warnings.mismatched_functions(), 3);
    let kept = Warnings::kept(&warnings.to_text());
    assert_eq!((kept.missing, kept.mismatched), (warnings.missing, warnings.mismatched));
}
