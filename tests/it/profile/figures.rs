//! What is said of any profile: its header, its figures, how it differs from another one, and the names of its functions.

use optbuild::profile::figures::{Counts, Hottest, Statistics, compare};
use optbuild::profile::header::{Header, HeaderKind};
use optbuild::profile::names::{demangle, is_rust, linkage_name, name_hash, original_name};

// The first 16 bytes of files that clang 22's runtime and llvm-profdata 22 wrote.
const RAW: &[u8] = b"\x81rforpl\xff\x0a\0\0\0\0\0\0\x01";
const RAW_CS: &[u8] = b"\x81rforpl\xff\x0a\0\0\0\0\0\0\x03";
// As a big-endian machine of 32 bits would write it.
const RAW_BIG: &[u8] = b"\xfflprofR\x81\x03\0\0\0\0\0\0\x0a";
const INDEXED: &[u8] = b"\xfflprofi\x81\x0d\0\0\0\0\0\0\x01";

#[test]
fn versions_of_real_files() {
    let header = |kind, version, context_sensitive| Some((kind, version, context_sensitive));
    let parse = |bytes| Header::parse(bytes).map(|header| (header.kind, header.version, header.context_sensitive));
    assert_eq!(parse(RAW), header(HeaderKind::Raw, 10, false));
    assert_eq!(parse(RAW_CS), header(HeaderKind::Raw, 10, true));
    assert_eq!(parse(RAW_BIG), header(HeaderKind::Raw, 10, true));
    assert_eq!(parse(INDEXED), header(HeaderKind::Indexed, 13, false));
}

#[test]
fn other_bytes_are_no_header() {
    assert_eq!(Header::parse(b""), None);
    assert_eq!(Header::parse(&RAW[..15]), None);
    assert_eq!(Header::parse(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"), None);
}

#[test]
fn figures() {
    let mut all = Statistics::default();
    all.add(&[0, 100, 1]);
    all.add(&[0, 0]);
    all.add(&[]);
    all.add(&[u64::MAX, 7]);
    assert_eq!((all.functions, all.never_run, all.largest), (4, 2, u64::MAX));
    assert_eq!(all.total, u128::from(u64::MAX) + 108);
    assert_eq!(all.never_run_share(), 0.5);
    assert_eq!(Statistics::default().never_run_share(), 0.0);
}

#[test]
fn the_hottest_first() {
    let mut hottest = Hottest::new(3);
    for (name, count) in [("a", 1), ("b", 9), ("c", 0), ("d", 4), ("e", 9), ("f", 4)] {
        hottest.add(name, count);
    }
    assert_eq!(hottest.take(), [("b".into(), 9), ("e".into(), 9), ("d".into(), 4)]);
    let mut none = Hottest::new(0);
    none.add("a", 1);
    assert_eq!(none.take(), []);
}

fn counts(functions: &[(&str, u64, &[u64])]) -> Counts {
    let mut all = Counts::default();
    functions.iter().for_each(|(name, hash, counts)| all.add(name, *hash, counts));
    all
}

#[test]
fn longer_runs_of_the_same_overlap() {
    let base = counts(&[("f", 1, &[1, 3]), ("g", 2, &[0])]);
    let other = counts(&[("f", 1, &[10, 30]), ("g", 2, &[0])]);
    let found = compare(&base, &other, 9);
    assert_eq!((found.overlap, found.same, found.changes.len()), (1.0, 2, 0));
}

#[test]
fn what_differs() {
    // Of 10 and of 4 counts: min(6/10, 1/4) = 1/4 in f; g has another shape.
    let base = counts(&[("f", 1, &[6]), ("g", 2, &[3]), ("h", 3, &[1])]);
    let other = counts(&[("f", 1, &[1]), ("g", 9, &[2, 0]), ("i", 3, &[1])]);
    let found = compare(&base, &other, 2);
    assert!((found.overlap - 0.25).abs() < 1e-12);
    assert_eq!(
        (found.mismatched, found.only_base, found.only_other),
        (vec!["g".into()], vec!["h".into()], vec!["i".into()])
    );
    assert!((found.lost_base - 0.4).abs() < 1e-12 && (found.lost_other - 0.75).abs() < 1e-12);
    let names: Vec<&str> = found.changes.iter().map(|change| change.name.as_str()).collect();
    // f: 60 % to 25 %, i: 0 to 25 %, g: 30 % to 50 %.
    assert_eq!(names, ["f", "i"]);
}

#[test]
fn nothing_overlaps_with_nothing() {
    let found = compare(&Counts::default(), &counts(&[("f", 1, &[0])]), 1);
    assert_eq!((found.overlap, found.lost_base, found.lost_other), (0.0, 0.0, 0.0));
}

#[test]
fn the_hash_of_a_name() {
    // `printf main | md5sum`: fad58de7366495db…
    assert_eq!(name_hash(b"main"), 0xdb95_6436_e78d_d5fa);
}

#[test]
fn names_without_files() {
    assert_eq!(linkage_name("x.cpp;_ZL2gov"), "_ZL2gov");
    assert_eq!(linkage_name("x.c:go"), "go");
    assert_eq!(linkage_name("_RNvCs1_2rs4main"), "_RNvCs1_2rs4main");
    assert_eq!(linkage_name("-[Shape drawAt:with:]"), "-[Shape drawAt:with:]");
}

#[test]
fn names_of_copies() {
    assert_eq!(original_name("work"), "work");
    assert_eq!(original_name("helper.llvm.1234567"), "helper");
    assert_eq!(original_name("work.cold.1"), "work");
    assert_eq!(original_name("f.specialized.2"), "f");
    assert_eq!(
        original_name("_ZN5alloc3vec16Vec$LT$T$C$A$GT$4push17h0123E"),
        "_ZN5alloc3vec16Vec$LT$T$C$A$GT$4push17h0123E"
    );
    assert_eq!(original_name(".1"), ".1");
}

#[test]
fn languages() {
    // As `llvm-cxxfilt-22` prints them, Rust's without their hashes.
    assert_eq!(demangle("_Z4areai"), "area(int)");
    assert_eq!(demangle("shape.cpp;_ZL4areai"), "shape.cpp: area(int)");
    assert_eq!(demangle("_ZN2rs3hot17h20621d184e4296e7E"), "rs::hot");
    assert_eq!(demangle("_RNvNtCsgEmfK2I1SDS_4core9panicking16panic_in_cleanup"), "core::panicking::panic_in_cleanup");
    assert_eq!(demangle("rs.344f2bb5c1f00fa-cgu.1;_ZN2rs3hot17h20621d184e4296e7E"), "rs::hot");
    assert!(is_rust("_ZN2rs3hot17h20621d184e4296e7E") && !is_rust("_ZL4areai") && !is_rust("main"));
    assert_eq!(demangle("main"), "main");
    assert_eq!(demangle("a.c:helper"), "a.c: helper");
    assert_eq!(demangle("_Znonsense"), "_Znonsense");
}
