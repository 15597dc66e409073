//! The beginning: what is said where nothing was named, and pipelines that are written for projects.

use crate::support::real::{empty, sh};
use crate::support::{OPTBUILD, Test};

/// A cargo package with a bench.
fn package() -> Test {
    let test = empty("");
    std::fs::remove_file(test.path("p.toml")).unwrap();
    test.write(
        "Cargo.toml",
        "[package]\nname = 'app'\nversion = '0.1.0'\nedition = '2021'\n[[bench]]\nname = 'b'\nharness = false\n",
    );
    test.write("src/main.rs", "fn main() { println!(\"{}\", std::env::args().count()) }\n");
    test.write("benches/b.rs", "fn main() {}\n");
    let _ = sh(&test.dir, "cargo generate-lockfile --offline 2>&1");
    test
}

/// Fills in what a pipeline leaves open.
fn fill(test: &Test, changes: &[(&str, &str)]) {
    let mut text = test.read("pipeline.toml");
    for (from, to) in changes {
        assert!(text.contains(from), "no {from} in {text}");
        text = text.replacen(from, to, 1);
    }
    test.write("pipeline.toml", &text);
}

#[test]
fn a_run_without_a_pipeline() {
    let test = package();
    let said = test
        .cmd("run")
        .code(2)
        .err("needs a pipeline")
        .err("optbuild run cargo --set manifest=. --set bin=app --set 'train=app …'");
    let _ = said.err("--set train-with=bench --set bolt=false").err("`optbuild init`");
    let _ = test.cmd("plan").code(2).err("optbuild plan cargo --set manifest=.");
    test.write("pgo.toml", "extends = 'cargo'\n");
    let _ = test.cmd("run").code(2).err("optbuild run pgo.toml");
    let nothing = Test::new([""]);
    std::fs::remove_file(nothing.path("p.toml")).unwrap();
    let _ = nothing.cmd("run").code(2).err("`optbuild list` shows those that have a name");
    // Other mistakes are clap's.
    let _ = test.cmd("run --no-such").code(2).err("--no-such").no_err("this would do");
}

#[test]
fn for_a_cargo_package() {
    let test = package();
    let _ = test
        .cmd("init")
        .ok()
        .err("wrote pipeline.toml")
        .err("to fill in, pipeline.toml:")
        .err("optbuild run pipeline.toml");
    let _ = test.cmd("init").code(2).err("pipeline.toml is there already");
    // What is open is said; the tools can be looked for.
    let _ = test.cmd("run pipeline.toml").code(2).err("there is nothing to run: set `train`");
    fill(&test, &[("train = []", "train = ['app 1 2']"), ("measure = []", "measure = ['app 1']")]);
    let _ = test.cmd("plan pipeline.toml").ok().out("--bin app").out("app 1 2");
    let _ = test.cmd("doctor pipeline.toml").ok().out("LLVM of rustc");
    // What its comment offers works as well.
    fill(&test, &[("# train-with", "train-with"), ("# bolt", "bolt"), ("train = ['app 1 2']", "")]);
    let _ = test.cmd("plan pipeline.toml").ok().out("bench --manifest-path");
}

#[test]
fn for_a_library() {
    let test = package();
    test.write(
        "Cargo.toml",
        "[package]\nname = 'sums'\nversion = '0.1.0'\nedition = '2021'\n[lib]\ncrate-type = ['cdylib']\n",
    );
    test.sh("rm -r src/main.rs benches; echo 'pub fn x() {}' > src/lib.rs; rm Cargo.lock");
    let _ = sh(&test.dir, "cargo generate-lockfile --offline 2>&1");
    let _ = test.cmd("init").ok().err("a project that is built by cargo");
    let list = "{ type = \"list\", default = [] }";
    let given = |command: &str| format!("{{ type = 'list', default = ['{command}'] }}");
    fill(&test, &[(list, &given("LD_PRELOAD=$library true")), (list, &given("LD_PRELOAD=$library ls"))]);
    let _ = test.cmd("plan pipeline.toml").ok().out("--lib").out("LD_PRELOAD=$library true");
}

#[test]
fn for_cmake_and_meson() {
    let list = "{ type = \"list\", default = [] }";
    let test = empty("").file("CMakeLists.txt", "project(x C)\nadd_executable( tool\n  main.c)\n");
    let _ = test.cmd("init").ok();
    let given = "{ type = 'list', default = ['$program 5'] }";
    fill(&test, &[(list, given), (list, given)]);
    let _ = test.cmd("plan pipeline.toml").ok().out("-fprofile-generate").out("bin/tool");
    let test = empty("").file("meson.build", "project('x', 'c')\nexecutable('tool', 'main.c')\n");
    let _ = test.cmd("init").ok();
    fill(&test, &[(list, given), (list, given)]);
    let _ = test.cmd("plan pipeline.toml").ok().out("meson setup --buildtype=release b").out("b/tool");
    let _ = Test::new([""]).cmd("init").code(2).err("it is not known what the project is built by");
}

/// From nothing to the table, with what is filled in as the file says.
#[test]
fn for_make() {
    let test = empty("").file("Makefile", "CC = gcc\nCFLAGS = -O2\nwork: main.c\n\t$(CC) $(CFLAGS) -o $@ $<\n");
    test.write("main.c", "#include <stdio.h>\n#include <stdlib.h>\n__attribute__((noinline)) static unsigned step(unsigned s, unsigned n) { return s * 31 ^ n; }\n\
                          int main(int c, char **v) { unsigned s = 0; for (int i = 0; i < atoi(v[1]); i++) s = step(s, i); printf(\"%u\\n\", s); }\n");
    let _ = test.cmd("init --make -o pipeline.toml").ok();
    let list = "{ type = \"list\", default = [] }";
    let given = |end: u32| format!("{{ type = 'list', default = ['$program {end}'] }}");
    // Its directory is called `work`, as its program is.
    fill(&test, &[(list, &given(1000)), (list, &given(3_000_000))]);
    test.write(
        "pipeline.toml",
        &test.read("pipeline.toml").replace("cwd = \"${dir}\" }]", "cwd = \"${dir}\" }]\nbudget = \"10s\""),
    );
    let _ = test.cmd("run pipeline.toml").ok();
    let _ = test.cmd("run pipeline.toml").ok().err("nothing to do");
    assert!(!test.exists("work"), "it is built in a copy");
    let sections = crate::support::real::sections(&test.path("out/work/work"));
    crate::support::real::has(&sections, ".bolt.org.text");
    crate::support::real::has_not(&sections, ".rela.text");
}

/// Each subcommand that is shown is in one group.
#[test]
fn help_has_all_commands_by_their_purpose() {
    let help = Test::new([""]).cmd("--help").ok().stdout;
    let visible: Vec<String> = {
        let man = std::process::Command::new(OPTBUILD).args(["completions", "bash"]).output().unwrap();
        let text = String::from_utf8(man.stdout).unwrap();
        let line = text.lines().find(|line| line.trim_start().starts_with("opts=\"-h")).unwrap().to_owned();
        line.split(['"', ' '])
            .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
            .map(Into::into)
            .collect()
    };
    assert!(visible.len() > 20, "{visible:?}");
    for name in visible
        .iter()
        .filter(|name| !["op", "supervise", "measure", "compile", "help", "opts="].contains(&name.as_str()))
    {
        let lines = help.lines().filter(|line| line.starts_with(&format!("  {name} "))).count();
        assert_eq!(lines, 1, "{name} in {help}");
    }
    for purpose in ["Build:", "Look:", "Measure and find out:", "Share what was built:", "Tidy up:"] {
        assert!(help.lines().any(|line| line == purpose), "{help}");
    }
}
