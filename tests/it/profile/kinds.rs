//! Profiles of two kinds in one merge: they are never added up, and both are named.

use std::process::Command;

use crate::support::dir::{Dir, LLVM};
use crate::support::profile::tool;

const PROG: &str = "\
#include <stdlib.h>
__attribute__((noinline)) int f(int x) { if (x % 3) return x * 2; return x + 1; }
int main(int c, char **v) { int n = atoi(v[1]), s = 0; for (int i = 0; i < n; i++) s += f(i); return s == 1; }
";

/// Three kinds of profiles, raw and merged: in each run `f` is called 1000 times.
fn kinds() -> Dir {
    let dir = Dir::new();
    dir.write("prog.c", PROG);
    for (kind, flags) in [
        ("ir", "-fprofile-generate"),
        ("source", "-fprofile-instr-generate"),
        ("bytes", "-fprofile-instr-generate -fcoverage-mapping -mllvm -enable-single-byte-coverage=true"),
        ("entries", "-fprofile-generate -mllvm -pgo-function-entry-coverage"),
    ] {
        dir.sh(&format!(
            "clang -O1 {flags} prog.c -o {kind}\nfor i in 1 2 3; do LLVM_PROFILE_FILE=$PWD/{kind}-$i.profraw ./{kind} 1000; done\n\
             llvm-profdata merge {kind}-*.profraw -o {kind}.profdata"
        ));
    }
    dir
}

fn merge(dir: &Dir, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_optbuild"))
        .args(["merge", "-o", "out.profdata", "--profdata", &format!("{LLVM}/llvm-profdata")])
        .args(args)
        .current_dir(dir.path())
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn show(dir: &Dir, name: &str) -> String {
    tool(LLVM, &["show", "--all-functions", "--counts", dir.join(name).as_str()])
}

const IR: &str = "counts in intermediate code (-fprofile-generate, -Cprofile-generate)";
const SOURCE: &str = "counts in source code (-fprofile-instr-generate, -Cinstrument-coverage)";
const BYTES: &str = "coverage by single bytes in source code (-fprofile-instr-generate, -Cinstrument-coverage)";
const ENTRIES: &str =
    "coverage by single bytes of functions' entries in intermediate code (-fprofile-generate, -Cprofile-generate)";

#[test]
fn two_kinds_are_refused_with_a_file_of_each() {
    let dir = kinds();
    for (one, other, names) in [
        ("ir-1.profraw", "source-1.profraw", [IR, SOURCE]),
        ("source-1.profraw", "bytes-1.profraw", [SOURCE, BYTES]),
        ("ir-1.profraw", "entries-1.profraw", [IR, ENTRIES]),
        ("ir.profdata", "source-1.profraw", [IR, SOURCE]),
        ("ir.profdata", "source.profdata", [IR, SOURCE]),
        ("source.profdata", "bytes.profdata", [SOURCE, BYTES]),
    ] {
        for files in [[one, other], [other, one]] {
            let (code, said) = merge(&dir, &files);
            assert_eq!(code, Some(1), "{files:?}: {said}");
            let names = if files[0] == one { names } else { [names[1], names[0]] };
            let expected = format!("{}: it has {}, but {} has {}", files[1], names[1], files[0], names[0]);
            assert!(said.contains(&expected), "no `{expected}` in {said}");
            assert!(!dir.join("out.profdata").exists());
        }
    }
}

#[test]
fn a_few_of_another_kind_are_set_aside() {
    let dir = kinds();
    let (code, said) =
        merge(&dir, &["--max-damaged", "30%", "source-1.profraw", "ir-1.profraw", "ir-2.profraw", "ir-3.profraw"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains(&format!("left out: source-1.profraw: it has {SOURCE}")), "{said}");
    // Functions stand in it once, as if the others had been alone.
    assert_eq!(show(&dir, "out.profdata"), show(&dir, "ir.profdata"));
    // 2 times 1000 calls, and not 2001.
    let (code, said) =
        merge(&dir, &["--max-damaged", "40%", "bytes-1.profraw", "source-1.profraw", "source-2.profraw"]);
    assert_eq!(code, Some(0), "{said}");
    let shown = tool(LLVM, &["show", "--counts", "--function=f", dir.join("out.profdata").as_str()]);
    assert!(shown.contains("Function count: 2000"), "{shown}");
}
