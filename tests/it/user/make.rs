//! The pipelines of `docs/make.md`, word by word, on small programs.

use crate::support::real::{artifact, empty, has, sections};
use crate::support::{Test, needs};

fn blocks() -> Vec<&'static str> {
    let text = include_str!("../../../docs/make.md");
    text.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

const PROGRAM: &str = "\
#include <stdio.h>
#include <stdlib.h>
static __attribute__((noinline)) long hot(long n) { return n % 3; }
static __attribute__((noinline)) long rare(long n) { return n << 7; }
int main(int argc, char **argv) {
    long sum = 0, end = argc > 1 ? atol(argv[1]) : 0;
    for (long n = 0; n < end; n++) sum = sum * 31 + (n % 100 == 99 ? rare(n) : hot(n));
    printf(\"%ld\\n\", sum);
    return 0;
}
";

const RULES: &str =
    "prog: prog.o\n\t$(CC) -s -o $@ prog.o\nprog.o: $(SRC)prog.c\n\t$(CC) -O2 -w -c $(SRC)prog.c -o $@\n";

/// As autoconf's, which tries the compiler out and writes what it was called with into a Makefile.
const CONFIGURE: &str = "#!/bin/sh -eu
src=$(dirname \"$0\")
echo 'int main(void) { return 0; }' > conftest.c
$CC -o conftest conftest.c && ./conftest
rm conftest conftest.c
printf 'CC = %s\\nSRC = %s/\\n' \"$CC\" \"$src\" > Makefile
cat \"$src/Makefile.in\" >> Makefile
: > config.status
";

fn project(pipeline: &str) -> Test {
    let test = empty(pipeline);
    test.write("make.toml", blocks()[0]);
    test.write("src/prog.c", PROGRAM);
    test.write("src/Makefile.in", RULES);
    test
}

fn goes_through(test: &Test) {
    let lines = test.read("p.toml").lines().filter(|line| !line.trim().is_empty()).count();
    assert!(lines <= 40, "{lines} lines");
    let _ = test.run("").ok().err("1 compiled file").no_err("warning");
    has(&sections(&artifact(test, "optimized.file")), ".bolt.org.text");
    let profile = artifact(test, "profile.profile");
    // One number in a hundred is rare.
    let calls = |function| crate::support::real::calls(&profile, function, "");
    assert_eq!((calls("hot"), calls("rare")), (297_000, 3000));
    let table = std::fs::read_to_string(artifact(test, "compared.table")).unwrap();
    assert!(table.contains("measure"), "{table}");
    test.run("").runs("");
}

#[test]
fn make() {
    if !needs::make() {
        return;
    }
    let test = project(blocks()[0]);
    test.write("src/Makefile", &format!("CC = gcc\nSRC =\n{RULES}"));
    goes_through(&test);
}

#[test]
fn autotools() {
    if !needs::make() {
        return;
    }
    let test = project(blocks()[1]);
    crate::support::processes::write_program(&test.path("src/configure"), CONFIGURE);
    goes_through(&test);
}

#[test]
fn meson() {
    if !needs::meson() {
        return;
    }
    let test = project(blocks()[2]);
    test.write("src/meson.build", "project('prog', 'c')\nexecutable('prog', 'prog.c')\n");
    goes_through(&test);
}

#[test]
fn a_server() {
    let test = project(blocks()[3]);
    let plan = test.cmd("plan p.toml").ok().stdout;
    assert!(plan.contains("op drive") && plan.contains("shutdown"), "{plan}");
}
