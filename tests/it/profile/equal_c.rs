//! Raw profiles of C programs, added up, give the very file that llvm-profdata makes of them.

use crate::support::dir::{Dir, LLVM};
use crate::support::needs;
use crate::support::profile::{VALUES, assert_equal, compare, files, run};

fn values(bin: &str, flags: &str, times: usize) -> Dir {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, bin, &format!("$CC {flags} prog.c -o prog"), times);
    dir
}

#[test]
fn instrumentation_of_intermediate_code() {
    assert_equal(&values(LLVM, "-O2 -fprofile-generate", 25), LLVM, 1);
}

#[test]
fn two_files() {
    assert_equal(&values(LLVM, "-O2 -fprofile-generate", 2), LLVM, 1);
}

#[test]
fn three_hundred_files() {
    assert_equal(&values(LLVM, "-O2 -fprofile-generate", 300), LLVM, 1);
}

#[test]
fn one_file_is_passed_through() {
    let dir = values(LLVM, "-O2 -fprofile-generate", 1);
    let all = files(&dir.join("raw"));
    let compared = compare(&dir, LLVM, &all, 2);
    assert_eq!((compared.folded.left, compared.folded.added), (all, 0));
    assert!(compared.ours == compared.theirs);
}

#[test]
fn instrumentation_of_source_code() {
    assert_equal(&values(LLVM, "-O1 -fprofile-instr-generate -fcoverage-mapping", 25), LLVM, 1);
}

#[test]
fn conditions() {
    assert_equal(&values(LLVM, "-O1 -fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc", 25), LLVM, 1);
}

#[test]
fn without_values_and_without_a_build_id() {
    let flags = "-O2 -fprofile-generate -Wl,--build-id=none -mllvm -disable-vp=true";
    assert_equal(&values(LLVM, flags, 25), LLVM, 1);
    assert_equal(&values(LLVM, "-O2 -fprofile-generate -Wl,--build-id=none -fuse-ld=lld", 25), LLVM, 1);
    assert_equal(&values(LLVM, "-O2 -fprofile-generate -Wl,--build-id=sha1 -no-pie", 25), LLVM, 1);
}

#[test]
fn entry_counters_first() {
    assert_equal(&values(LLVM, "-O2 -fprofile-generate -mllvm -pgo-instrument-entry=true", 9), LLVM, 1);
}

#[test]
fn second_level() {
    let dir = values(LLVM, "-O2 -fprofile-generate", 3);
    dir.sh("llvm-profdata merge raw/*.profraw -o first.profdata; rm -r raw");
    run(&dir, LLVM, "$CC -O2 -fprofile-use=first.profdata -fcs-profile-generate prog.c -o prog", 20);
    assert_equal(&dir, LLVM, 1);
}

#[test]
fn shared_libraries_and_several_programs() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    dir.write(
        "more.c",
        VALUES.replace("int main(int count, char **words)", "int more2(int count, char **words)")
            + "int more(int x) { char w[9] = {'0' + x % 10}; char *v[] = {w, w}; return more2(2, v) + x; }\n",
    );
    let build = "for n in 1 2; do \
        $CC -O2 -fPIC -fprofile-generate -DN=$n -Dmore2=more_$n -shared more.c -o libmore$n.so; \
        $CC -O2 -fprofile-generate -DMORE -DN=$n prog.c -L. -lmore$n -Wl,-rpath,$PWD -o prog$n; done; cp prog1 prog";
    run(&dir, LLVM, build, 20);
    dir.sh("for i in $(seq 7); do LLVM_PROFILE_FILE=$PWD/raw/b$i-%m.profraw ./prog2 $i; done");
    let all = files(&dir.join("raw"));
    let compared = compare(&dir, LLVM, &all, 2);
    assert_eq!(compared.folded.handed, []);
    assert_eq!(compared.folded.added, all.len());
    assert_eq!(compared.ours_shown, compared.theirs_shown);
    assert!(compared.ours == compared.theirs);
}

/// What the library calls `hook` is the program's function.
#[test]
fn functions_that_the_program_replaces() {
    let dir = Dir::new();
    dir.write(
        "lib.c",
        "__attribute__((noinline)) int hook(int x) { return x + 1; }\n\
         __attribute__((noinline)) int other(int x) { return x * 2; }\n\
         static int (*table[])(int) = {hook, other};\n\
         int more(int n) { int s = 0; for (int i = 0; i < 50; i++) s += table[i * n % 2](i); return s; }\n",
    );
    dir.write(
        "prog.c",
        "#include <stdlib.h>\nint more(int);\nint hook(int x) { return x + 7; }\n\
         int main(int c, char **v) { volatile int s = more(atoi(v[1])); return s == 1; }\n",
    );
    let build = "$CC -O1 -fPIC -fprofile-generate -shared lib.c -o liblib.so; \
        $CC -O1 -fPIE -pie -fprofile-generate -rdynamic prog.c -L. -llib -Wl,-rpath,$PWD -o prog";
    run(&dir, LLVM, build, 12);
    assert_equal(&dir, LLVM, 2);
}

/// Targets in libc: llvm-profdata calls all of them 0, and what it makes of several depends on the order of its inputs.
#[test]
fn calls_into_libc() {
    let dir = Dir::new();
    dir.write(
        "prog.c",
        "#include <ctype.h>\n#include <stdlib.h>\n__attribute__((noinline)) static int own(int c) { return c + 1; }\n\
         static int (*table[])(int) = {toupper, own, tolower, isalpha, isdigit};\n\
         int main(int c, char **v) { volatile int n = atoi(v[1]), s = 0;\n\
         for (int i = 0; i < 100 + n; i++) s += table[(i * n + i / 7) % 5](i % 100); return 0; }\n",
    );
    run(&dir, LLVM, "$CC -O2 -fprofile-generate prog.c -o prog", 25);
    let all = files(&dir.join("raw"));
    let compared = compare(&dir, LLVM, &all, 2);
    assert_eq!((compared.folded.added, compared.folded.left.len()), (25, 1));
    // `[ site, target, count ]`, and a share of the site's total behind it.
    let split = |shown: &str| -> (u64, Vec<String>, Vec<String>) {
        let (unnamed, rest): (Vec<&str>, Vec<&str>) = shown.lines().partition(|line| line.starts_with("\t[  0, , "));
        let count =
            |line: &&str| line.split(',').nth(2).unwrap().trim().split(' ').next().unwrap().parse::<u64>().unwrap();
        let text = |lines: Vec<&str>| lines.into_iter().map(String::from).collect::<Vec<_>>();
        (unnamed.iter().map(count).sum(), text(unnamed), text(rest))
    };
    let (ours, theirs) = (split(&compared.ours_shown), split(&compared.theirs_shown));
    assert_eq!(ours.0, theirs.0);
    assert_eq!((ours.1.len(), theirs.1.len()), (2, 2), "isalpha, isdigit");
    assert_eq!(ours.2, theirs.2);
    let again = compare(&dir, LLVM, &all.iter().rev().cloned().collect::<Vec<_>>(), 1);
    assert_eq!(again.ours_shown, compared.ours_shown, "whatever the order");
}

#[test]
fn other_versions_of_llvm() {
    for major in [14, 16, 19] {
        let Some(bin) = needs::llvm(major) else { continue };
        for flags in [
            "-O2 -fprofile-generate",
            "-O2 -fprofile-generate -mllvm -disable-vp=true",
            "-O1 -fprofile-instr-generate -fcoverage-mapping",
        ] {
            assert_equal(&values(&bin, flags, 12), &bin, 1);
        }
        let dir = Dir::new();
        dir.write("prog.c", VALUES);
        dir.write("more.c", "__attribute__((noinline)) int twice(int x) { return x % 3 ? x * 2 : x; }\nint more(int x) { return twice(x) + 1; }\n");
        let build = "$CC -O2 -fPIC -fprofile-generate -shared more.c -o libmore.so; \
            $CC -O2 -fprofile-generate -DMORE prog.c -L. -lmore -Wl,-rpath,$PWD -o prog";
        run(&dir, &bin, build, 9);
        assert_equal(&dir, &bin, 2);
    }
}

#[test]
fn four_thousand_files() {
    let dir = Dir::new();
    dir.write(
        "prog.c",
        "#include <stdlib.h>\n\
        __attribute__((noinline)) static int f(int x) { return x % 3 ? x * 2 : x; }\n\
        __attribute__((noinline)) static int g(int x) { return x % 5 ? x * 2 : x; }\n\
        static int (*table[])(int) = {f, g};\n\
        int main(int c, char **v) { int n = atoi(v[1]); volatile int s = 0; \
        for (int i = 0; i < 20 + n; i++) s += table[i * n % 2](i); return 0; }\n",
    );
    dir.sh("clang -O2 -fprofile-generate prog.c -o prog; \
        seq 4000 | LLVM_PROFILE_FILE=$PWD/raw/%p.profraw xargs -n 1 ./prog");
    // A process id may have come round.
    let all = files(&dir.join("raw"));
    assert!(all.len() > 3000, "{}", all.len());
    let compared = compare(&dir, LLVM, &all, 2);
    assert_eq!((compared.folded.added, compared.folded.left.len()), (all.len(), 1));
    assert!(compared.ours == compared.theirs);
}
