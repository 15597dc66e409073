//! Programs that make builds, through PGO and BOLT: the stage's keys work by compilers of its own.

use camino::Utf8Path;

use crate::support::real::{artifact, calls, empty, has, has_not, sections, sh};
use crate::support::{Test, needs};

/// A Makefile as old programs have them: its own compiler and flags, warnings off, what the compiler says is hidden.
const MAKEFILE: &str = "\
CC = gcc
CFLAGS = -O2 -w
prog: main.o work.o
	$(CC) -s -o $@ main.o work.o
%.o: %.c
	$(CC) $(CFLAGS) -c $< -o $@ 2> /dev/null
";

const MAIN: &str = "\
#include <stdio.h>
#include <stdlib.h>
long work(long);
int main(int argc, char **argv) { printf(\"%ld\\n\", work(argc > 1 ? atol(argv[1]) : 0)); return 0; }
";

/// `hot` is called for each number, `rare` for each hundredth one.
const WORK: &str = "\
static __attribute__((noinline)) long hot(long n) { return n % 3; }
static __attribute__((noinline)) long rare(long n) { return n << 7; }
__attribute__((noinline)) long never(long n) { return n * 5; }
long work(long end) {
    long sum = 0;
    for (long n = 0; n < end; n++) {
        sum = sum * 31 + hot(n);
        if (n % 100 == 99) sum ^= rare(n);
        if (n > 1000000) sum += never(n);
    }
    return sum;
}
";

const BUILD: &str = "cp ${pipeline.dir}/src/* . && make CC=\"${self.cc}\"";

fn stage(name: &str, keys: &str, build: &str) -> String {
    format!(
        "[[stage]]\nname = '{name}'\nkind = 'command'\nshell = true\nrun = '''{build}'''\n{keys}\n\
         outputs = {{ prog = '${{self.build}}/prog' }}\n"
    )
}

fn gather(on: &str) -> String {
    format!(
        "[[stage]]\nname = 'profile'\nkind = 'gather'\ninstrumented = '${{{on}.prog}}'\n\
         workloads = [{{ name = 'w', run = '{{program}} 1500' }}]\n"
    )
}

fn project(stages: &[String]) -> Test {
    let test = empty(&format!("name = 'p'\n{}", stages.join("\n")));
    test.write("src/Makefile", MAKEFILE);
    test.write("src/main.c", MAIN);
    test.write("src/work.c", WORK);
    test
}

/// The section in which a function of the optimised build was compiled.
fn section(test: &Test, object: &str, function: &str) -> String {
    let symbols = sh(&test.dir, &format!("llvm-objdump --syms {object}"));
    let line =
        symbols.lines().find(|line| line.ends_with(&format!(" {function}"))).unwrap_or_else(|| panic!("{symbols}"));
    line.split_whitespace().find(|word| word.starts_with(".text")).unwrap().to_owned()
}

#[test]
fn a_makefile_with_its_own_flags_uses_the_profile() {
    if !needs::make() {
        return;
    }
    let used = "pgo = { use = '${profile.profile}' }\nkeep-relocations = true";
    let test = project(&[
        stage("instrumented", "pgo = 'generate'", BUILD),
        gather("instrumented"),
        stage("pgo", used, BUILD),
        "[[stage]]\nname = 'instrument'\nkind = 'bolt'\naction = 'instrument'\ninput = '${pgo.prog}'\n".into(),
    ]);
    let _ = test.run("").ok().err("2 compiled files").no_err("warning");

    has(&sections(&artifact(&test, "instrumented.prog")), "__llvm_prf_cnts");
    // 1500 numbers, one in a hundred is rare.
    let profile = artifact(&test, "profile.profile");
    assert_eq!((calls(&profile, "hot", ""), calls(&profile, "rare", "")), (1500, 15));

    let linked = sections(&artifact(&test, "pgo.prog"));
    has(&linked, ".rela.text");
    has(&linked, ".symtab");
    has_not(&linked, "__llvm_prf_cnts");
    let object = ".optbuild/stages/pgo/build/work.o";
    assert_eq!(section(&test, object, "hot"), ".text.hot.");
    assert_eq!(section(&test, object, "never"), ".text.unlikely.");
}

/// What clang says of a profile is counted although the Makefile turns warnings off and hides them.
#[test]
fn a_profile_of_other_code_is_refused() {
    if !needs::make() {
        return;
    }
    let old = format!("{BUILD} && cp work.c old.c");
    // The program is another one, with functions of the same names.
    let other = "cp ${pipeline.dir}/src/* . && cp ${pipeline.dir}/other/work.c . && make CC=\"${self.cc}\"";
    let test = project(&[
        stage("instrumented", "pgo = 'generate'", &old),
        gather("instrumented"),
        // With relocations nothing is stripped, so each function can be looked up.
        stage("pgo", "pgo = { use = '${profile.profile}' }\nkeep-relocations = true\nmax-unprofiled = '50%'", other),
    ]);
    let names = ["hot", "rare", "never"];
    let mut text = String::new();
    for name in names {
        text.push_str(&format!(
            "__attribute__((noinline)) long {name}_2(long n) {{ while (n > 7) n /= 3; return n; }}\n"
        ));
    }
    text.push_str("long work(long n) { while (n % 7) n += hot_2(n) + rare_2(n) + never_2(n); return n; }\n");
    test.write("other/work.c", &text);
    let _ = test.run("").code(1).err("max-unprofiled").err("only 1 of the 5 functions");
}

#[test]
fn a_build_that_calls_another_compiler_is_refused() {
    if !needs::make() {
        return;
    }
    let its_own = "cp ${pipeline.dir}/src/* . && make CC=clang-22";
    let test = project(&[stage("instrumented", "pgo = 'generate'", its_own)]);
    let _ = test
        .run("")
        .code(1)
        .err("nothing was compiled by the compilers of the stage")
        .err("`pgo` had no effect")
        .err("make CC=\"${self.cc}\"");

    // One of two files, and not stripped: the symbol table names both.
    let half = "cp ${pipeline.dir}/src/* . && clang-22 -c work.c && $CC -c main.c && $CC -o prog main.o work.o";
    test.pipeline(["name = 'p'".to_owned(), stage("instrumented", "pgo = 'generate'", half)]);
    let _ = test
        .run("")
        .ok()
        .err("1 of 2 source files of the program were not compiled by the compilers of the stage")
        .err("work.c");

    // What only tries the compiler out is not the program.
    let tried =
        "cp ${pipeline.dir}/src/* . && cp main.c conftest.c && $CC -c conftest.c && clang-22 -o prog main.c work.c";
    test.pipeline(["name = 'p'".to_owned(), stage("instrumented", "pgo = 'generate'", tried)]);
    let _ = test.run("").code(1).err("nothing was compiled by the compilers of the stage");
}

/// What was compiled in an earlier run counts: nothing is compiled again where nothing changed.
#[test]
fn a_build_that_goes_on_has_its_record() {
    if !needs::make() {
        return;
    }
    let build = "cp -u ${pipeline.dir}/src/* . && make CC=\"${self.cc}\"";
    let test = project(&[stage("instrumented", "pgo = 'generate'", build)]);
    let _ = test.run("").ok().err("2 compiled files");
    test.write("src/NEWS", "a file that make does not look at\n");
    let _ = test.run("").ok().err("2 compiled files");
}

/// The compilers as the operation writes them, around one that prints its arguments.
fn printing(test: &Test, options: &str) -> impl Fn(&str) -> String {
    let show = test.program("show", "for word; do printf '%s ' \"$word\"; done");
    let dir = test.dir.clone();
    let setup = format!("op wrap-compilers --dir {dir}/w --cc {show} --record {dir}/record {options}");
    let _ = test.cmd(&setup).ok();
    move |words: &str| sh(&dir, &format!("w/cc {words}")).trim_end().to_owned()
}

#[test]
fn flags_stand_behind_those_of_a_call_where_they_have_an_effect() {
    let test = empty("name = 'p'\nstage = []\n");
    let call = printing(&test, "--compile -C --link -L");
    test.write("words", "-c 'a b.c' -o a.o");
    let expected = [
        ("-c a.c -o a.o", "-c a.c -o a.o -C"),
        ("-S a.cc", "-S a.cc -C"),
        ("a.c -o a", "a.c -o a -C -L"),
        ("a.o b.a -o a", "a.o b.a -o a -L"),
        // From standard input, in a language that is named.
        ("-x c -c -", "-x c -c - -C"),
        ("-xc++ - -o a", "-xc++ - -o a -C -L"),
        ("-c -- -a.c", "-c -C -- -a.c"),
        ("@words", "@words -C"),
        ("-r a.o b.o -o c.o", "-r a.o b.o -o c.o"),
        // A linker that prints, and a source whose name has the word.
        ("a.o -Wl,--print-map -o a", "a.o -Wl,--print-map -o a -L"),
        ("-c a-print-b.c", "-c a-print-b.c -C"),
        ("--sysroot dir.c a.o -o a", "--sysroot dir.c a.o -o a -L"),
        // Assembly is compiled, too; clang does not warn of flags without effect.
        ("-c a.S", "-c a.S -C"),
        // Nothing is compiled or linked.
        ("-E a.c", "-E a.c"),
        ("-MM a.c", "-MM a.c"),
        ("-v", "-v"),
        ("-v -I include -o a", "-v -I include -o a"),
        ("--version", "--version"),
        ("-print-search-dirs", "-print-search-dirs"),
        ("-dM -E -x c /dev/null", "-dM -E -x c /dev/null"),
        ("-cc1 -emit-obj a.c", "-cc1 -emit-obj a.c"),
        ("-fsyntax-only a.c", "-fsyntax-only a.c"),
    ];
    for (words, called) in expected {
        assert_eq!(call(words), called, "{words}");
    }
}

#[test]
fn what_contradicts_the_stage_is_left_out() {
    let test = empty("name = 'p'\nstage = []\n");
    let call = printing(&test, "--compile -fprofile-generate --link -fprofile-generate --link -Wl,--emit-relocs");
    assert_eq!(call("-c a.c -fprofile-use=old"), "-c a.c -fprofile-generate");
    assert_eq!(call("a.c -s -O2"), "a.c -O2 -fprofile-generate -Wl,--emit-relocs");
    assert_eq!(call("a.o -Wl,-s -o a"), "a.o -o a -fprofile-generate -Wl,--emit-relocs");
    // In files that others name.
    test.write("inner", "-s 'b c.o'");
    test.write("outer", "a.o @inner");
    test.write("good", "a.o b.o");
    assert_eq!(call("@outer -o a"), "a.o b c.o -o a -fprofile-generate -Wl,--emit-relocs");
    assert_eq!(call("@good -o a"), "@good -o a -fprofile-generate -Wl,--emit-relocs");
}

/// The calls that build systems make to find out what a compiler can, with the real one: the same as without the flags.
#[test]
fn clang_says_the_same_with_and_without() {
    let test = empty("name = 'p'\nstage = []\n");
    let dir = test.dir.clone();
    test.write("a.c", "int main(void) { return 0; }\n");
    test.write("a.S", "#define F f\n.globl F\nF: ret\n");
    test.write("other.c", "int other(int n) { return n ? other(n - 1) : 0; }\n");
    sh(
        &dir,
        "clang -fprofile-generate other.c -xc - -o o <<< 'int other(int); int main() { return other(3); }' && LLVM_PROFILE_FILE=p.profraw ./o && llvm-profdata merge p.profraw -o p.profdata",
    );
    let flags = "--compile -fprofile-use=p.profdata --compile -flto=thin --compile -Wno-error=backend-plugin --compile -Xclang \
                 --compile -mllvm --compile -Xclang --compile -pgo-warn-missing-function --link -flto=thin --link -fuse-ld=lld \
                 --link -Wl,--emit-relocs";
    sh(&dir, "clang -c a.c -o plain.o");
    let clang = sh(&dir, "command -v clang").trim().to_owned();
    let _ = test
        .cmd(&format!(
            "op wrap-compilers --dir {dir}/w --cc {clang} --record {dir}/record --clang --profile p.profdata {flags}"
        ))
        .ok();
    let words = [
        "-c a.c -o a.o -Werror -Wall -Wextra -Wunused-command-line-argument",
        "-c a.S -o s.o -Werror",
        "a.c -o a -Werror",
        "plain.o -o a -Werror",
        "-E a.c -o /dev/null -Werror",
        "-E -dM -x c /dev/null -o /dev/null -Werror",
        "-M a.c -o /dev/null -Werror",
        "-v -o /dev/null",
        "--version",
        "-c -Werror -- a.c",
    ];
    for words in words {
        let plain = sh(&dir, &format!("clang {words} 2>&1"));
        assert_eq!(sh(&dir, &format!("w/cc {words} 2>&1")), plain, "{words}");
    }
    // A warning of the code itself is passed on, and counted as if it were alone.
    test.write("b.c", "int f(int n) { n == 1; return n; }\n");
    let plain = sh(&dir, "clang -c b.c 2>&1");
    assert!(plain.contains("1 warning generated."), "{plain}");
    assert_eq!(sh(&dir, "w/cc -c b.c 2>&1"), plain);
    // An error is one.
    test.write("c.c", "int f(\n");
    assert_eq!(sh(&dir, "w/cc -c c.c 2> said && echo no || echo $?"), "1\n");
    assert!(Utf8Path::new(&dir).join("said").metadata().unwrap().len() > 0);
    // What was said of the profile was taken down all the same.
    let said = test.read("record/optbuild-compiler-said");
    assert!(said.contains("no profile data available for function f Hash = "), "{said}");
}
