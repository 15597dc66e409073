//! Variants of raw profiles, made by real compilers: each is added up or handed to llvm-profdata, and the result is its own.

use std::process::Command;

use crate::support::dir::{Dir, LLVM};
use crate::support::profile::{VALUES, assert_equal, files, run, tool};
use camino::Utf8PathBuf;
use optbuild::profile::raw;

const PROG: &str = "\
#include <stdlib.h>
__attribute__((noinline)) int f(int x) { if (x % 3) return x * 2; return x + 1; }
int main(int c, char **v) { int n = atoi(v[1]), s = 0; for (int i = 0; i < 100 + n; i++) s += f(i * n); return s == 1; }
";

/// Runs `optbuild merge`, and llvm-profdata on the same files in their order; says whether both wrote the same.
fn same(dir: &Dir, args: &[&str], theirs: &[&str]) -> bool {
    let tool = format!("{LLVM}/llvm-profdata");
    let ours = Command::new(env!("CARGO_BIN_EXE_optbuild"))
        .args(["merge", "-j", "1", "-o", "ours.profdata", "--profdata", &tool])
        .args(args)
        .current_dir(dir.path())
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .output()
        .unwrap();
    assert!(ours.status.success(), "{}", String::from_utf8_lossy(&ours.stderr));
    let theirs = Command::new(&tool)
        .args(["merge", "-num-threads=1", "-o", "theirs.profdata"])
        .args(theirs)
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
    std::fs::read(dir.join("ours.profdata")).unwrap() == std::fs::read(dir.join("theirs.profdata")).unwrap()
}

fn reasons(dir: &Dir, all: &[Utf8PathBuf]) -> (usize, Vec<String>) {
    let folded = raw::fold(all, dir.path(), 2).unwrap();
    assert_eq!(folded.damaged, []);
    (folded.added, folded.handed.into_iter().map(|(_, reason)| reason).collect())
}

fn all_handed(dir: &Dir, reason: &str) {
    let all = files(&dir.join("raw"));
    assert!(all.len() > 2);
    assert_eq!(reasons(dir, &all), (0, vec![reason.to_string(); all.len()]));
    let names: Vec<&str> = all.iter().map(|path| path.as_str()).collect();
    assert!(same(dir, &["raw"], &names), "{reason}");
}

#[test]
fn variants_of_clang() {
    for (flags, reason) in [
        (
            "-fprofile-instr-generate -fcoverage-mapping -mllvm -enable-single-byte-coverage=true",
            "coverage by single bytes",
        ),
        ("-fprofile-generate -mllvm -pgo-block-coverage", "coverage by single bytes"),
        ("-fprofile-generate -mllvm -pgo-function-entry-coverage", "coverage by single bytes"),
        ("-fprofile-generate -mllvm -pgo-temporal-instrumentation", "a profile of the order of calls"),
        (
            "-g -fprofile-generate -mllvm -profile-correlate=debug-info",
            "a profile without its records, which are in debug information",
        ),
        (
            "-fprofile-generate -mllvm -profile-correlate=binary",
            "a profile without its records, which are in the program",
        ),
    ] {
        let dir = Dir::new();
        dir.write("prog.c", PROG);
        run(&dir, LLVM, &format!("$CC -O1 {flags} prog.c -o prog"), 4);
        all_handed(&dir, reason);
    }
}

#[test]
fn virtual_tables() {
    let dir = Dir::new();
    dir.write(
        "prog.cc",
        "#include <cstdlib>\nstruct A { virtual int f(int x) { return x; } virtual ~A() = default; };\n\
         struct B : A { int f(int x) override { return x * 2; } };\n\
         __attribute__((noinline)) int call(A *a, int x) { return a->f(x); }\n\
         int main(int, char **v) { int n = atoi(v[1]), s = 0; A *of[] = {new A, new B};\n\
         for (int i = 0; i < 100 + n; i++) s += call(of[i * n % 2], i); return s == 1; }\n",
    );
    let flags = "-O2 -fprofile-generate -flto -fuse-ld=lld -Wl,-mllvm,-enable-vtable-value-profiling \
                 -mllvm -enable-vtable-value-profiling";
    run(&dir, LLVM, &format!("$CC++ {flags} prog.cc -o prog"), 4);
    all_handed(&dir, "profiles of virtual tables");
}

#[test]
fn counters_at_the_entries_of_loops() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate -mllvm -pgo-instrument-loop-entries prog.c -o prog", 9);
    assert_equal(&dir, LLVM, 1);
}

/// Made by clang 22 with `-m32`.
#[test]
fn programs_of_32_bits() {
    let dir = Dir::new();
    dir.sh(&format!("mkdir raw; cp {}/tests/fixtures/profraw/32-bit/*.profraw raw", env!("CARGO_MANIFEST_DIR")));
    all_handed(&dir, "a raw profile of a 32-bit program");
    // 100 + n calls in run n, of which llvm-profdata counts those of three runs.
    let shown = tool(LLVM, &["show", "--counts", "--function=f", dir.join("ours.profdata").as_str()]);
    assert!(shown.contains("Block counts: [306, "), "{shown}");
}

/// What a machine of the other byte order would have written: all numbers turned around, names as they are.
#[test]
fn big_endian_machines() {
    let dir = Dir::new();
    dir.write("prog.c", PROG);
    run(&dir, LLVM, "$CC -O1 -fprofile-generate -mllvm -disable-vp=true prog.c -o prog", 3);
    for path in files(&dir.join("raw")) {
        let mut bytes = std::fs::read(&path).unwrap();
        let word = |number: usize| u64::from_le_bytes(bytes[number * 8..][..8].try_into().unwrap()) as usize;
        assert_eq!((word(1) as u32, word(4), word(6)), (10, 0, 0));
        let (ids, records, counters) = (word(2), word(3), word(5));
        let records_at = 128 + ids;
        let turn = |bytes: &mut [u8], size: usize| bytes.chunks_exact_mut(size).for_each(<[u8]>::reverse);
        // An id is a length and bytes.
        turn(&mut bytes[..128], 8);
        for record in bytes[records_at..records_at + records * 64].chunks_exact_mut(64) {
            turn(&mut record[..48], 8);
            turn(&mut record[48..52], 4);
            turn(&mut record[52..58], 2);
            turn(&mut record[60..64], 4);
        }
        turn(&mut bytes[records_at + records * 64..][..counters * 8], 8);
        if ids > 0 {
            turn(&mut bytes[128..136], 8);
        }
        let path = dir.join(&format!("big/{}", path.file_name().unwrap()));
        dir.write(path.strip_prefix(dir.path()).unwrap().as_str(), bytes);
    }
    let little: Vec<String> = files(&dir.join("raw")).into_iter().map(Into::into).collect();
    dir.sh("llvm-profdata merge raw/*.profraw -o little.profdata; mv raw little; mv big raw");
    assert_eq!(little.len(), 3);
    all_handed(&dir, "a raw profile of a big-endian machine");
    let show = |name: &str| tool(LLVM, &["show", "--all-functions", "--counts", dir.join(name).as_str()]);
    assert_eq!(show("ours.profdata"), show("little.profdata"));
}

#[test]
fn several_profiles_in_a_file() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate prog.c -o prog", 6);
    dir.sh("cat raw/1-* raw/2-* > raw/12.profraw; rm raw/1-* raw/2-*; : > raw/empty.profraw");
    let all = files(&dir.join("raw"));
    assert_eq!(reasons(&dir, &all), (4, vec!["something behind its value data".to_string()]));
    let names: Vec<&str> = all.iter().map(|path| path.as_str()).collect();
    assert!(same(&dir, &["raw"], &names));
}

/// Nine processes that write to one file through LLVM's own merging. (Their targets are addresses of several processes then,
/// of which LLVM makes nothing; so there are none here.)
#[test]
fn files_that_processes_merged_into() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate -mllvm -disable-vp=true prog.c -o prog", 4);
    dir.sh("for i in $(seq 9); do LLVM_PROFILE_FILE=$PWD/raw/pool-%2m.profraw ./prog $i; done");
    assert_equal(&dir, LLVM, 1);
}

fn six(flags: &str) -> Dir {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, &format!("$CC -O2 -fprofile-generate {flags} prog.c -o prog"), 6);
    dir.sh("for i in $(seq 6); do mv raw/$i-* raw/$i.profraw; done");
    dir
}

#[test]
fn weights() {
    let dir = six("-mllvm -disable-vp=true");
    let (one, five, six) = ("raw/1.profraw", "raw/5.profraw", "raw/6.profraw");
    let equal = |args: &[&str]| assert!(same(&dir, args, args), "{args:?}");
    equal(&[one, "raw/2.profraw", "--weighted-input=3,raw/3.profraw", "--weighted-input=1000000,raw/4.profraw"]);
    // What would add up to more than llvm-profdata takes in a raw profile goes to it as it is.
    equal(&[one, six, "--weighted-input=72057594037927936,raw/5.profraw"]);
    // Of a file that is alone, of a merged one, of a directory.
    equal(&["--weighted-input=7,raw/5.profraw"]);
    dir.sh("llvm-profdata merge raw/5.profraw -o five.profdata; mkdir two; cp raw/5.profraw raw/6.profraw two");
    equal(&[one, "--weighted-input=7,five.profdata"]);
    equal(&["--weighted-input=2,two"]);
    assert!(!same(&dir, &[five, six], &["--weighted-input=2,raw/5.profraw", six]), "weights make a difference");
}

/// llvm-profdata does not multiply values that the files before did not have. If the first file is the one that counts more, it
/// multiplies all; then both agree, and optbuild makes the same whatever the order.
#[test]
fn weights_of_values() {
    let dir = six("");
    let (many, two, three) =
        ("--weighted-input=9,raw/4.profraw", "--weighted-input=1,raw/1.profraw", "--weighted-input=1,raw/2.profraw");
    assert!(same(&dir, &[many, two, three], &[many, two, three]));
    assert!(
        !same(&dir, &[two, three, many], &[two, three, many]),
        "llvm-profdata multiplies values of all files: document it"
    );
    assert!(same(&dir, &[two, three, many], &[many, two, three]));
}
