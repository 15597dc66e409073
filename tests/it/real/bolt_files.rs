//! Files that llvm-bolt has trouble with, taken through a whole pipeline: what comes out can be used, or it is said before training why not.

use camino::Utf8Path;

use crate::support::Test;
use crate::support::dir::{LIBRARY, PROGRAM};
use crate::support::needs;
use crate::support::real::{artifact, empty, sh};

/// A program that a script links with `FLAGS`, trained with 1000 numbers, and laid out anew.
const PIPELINE: &str = r#"
name = "files"
[tools]
clang = ">=22"
llvm-bolt = ">=22"
merge-fdata = ">=22"
[[stage]]
name = "program"
kind = "command"
inputs = ["${pipeline.dir}/program.c"]
run = "clang -O2 FLAGS ${pipeline.dir}/program.c -o ${self.out}/program -Wl,--emit-relocs"
outputs = { program = "program" }
[[stage]]
name = "instrumented"
kind = "bolt"
action = "instrument"
input = "${program.program}"
extra-options = [INSTRUMENT]
[[stage]]
name = "profile"
kind = "gather"
instrumented = "${instrumented.file}"
workloads = [{ name = "train", run = ["${instrumented.file}", "1000"] }]
[[stage]]
name = "final"
kind = "bolt"
action = "optimize"
input = "${program.program}"
profile = "${profile.profile}"
extra-options = [OPTIMIZE]
[[stage.check]]
run = ["${self.out}/program", "1000"]
"#;

fn project(flags: &str, instrument: &str, optimize: &str) -> Test {
    let pipeline = PIPELINE.replace("FLAGS", flags).replace("INSTRUMENT", instrument).replace("OPTIMIZE", optimize);
    empty(&pipeline).file("program.c", &format!("{LIBRARY}{PROGRAM}"))
}

/// How often `work` called `helper`, in a profile of BOLT: `1 work 2a 1 helper 0 0 143`.
fn calls(profile: &Utf8Path) -> u64 {
    let text = std::fs::read_to_string(profile).unwrap();
    let calls = text.lines().filter_map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words.len() == 8 && words[1] == "work" && words[4] == "helper").then(|| words[7].parse::<u64>().unwrap())
    });
    calls.sum()
}

/// Numbers below 1000 that 7 divides.
const CALLS: u64 = 143;

#[test]
fn compressed_debug_information_survives_a_whole_pipeline() {
    let test = project("-g -gz=zlib -fuse-ld=bfd -Wl,--compress-debug-sections=zlib", "", "");
    let ran = test.run("-v").ok();
    assert!(ran.stderr.contains("debug sections are compressed (zlib)"), "{}", ran.stderr);
    let file = artifact(&test, "final.file");
    let line = "a=$(llvm-nm $0 | sed -n 's/^\\([0-9a-f]*\\) T work$/\\1/p'); llvm-symbolizer --basenames -e $0 0x$a | sed -n 2p";
    let line = sh(&test.dir, &line.replace("$0", file.as_str()));
    assert!(line.starts_with("program.c:2:"), "{line}");
    // GNU ld lets names share their ends, which is an error to llvm-dwarfdump, before as after.
    let errors =
        |file: &Utf8Path| sh(&test.dir, &format!("llvm-dwarfdump --verify {file} | grep '^error' | sort || true"));
    assert_eq!(errors(&file), errors(&artifact(&test, "program.program")));
    assert!(sh(&test.dir, &format!("llvm-readelf -t {file}")).contains("ZLIB"));
    assert!(test.run("").ok().stderr.contains("nothing to do"));
}

const SLEEP: &str = "'-instrumentation-sleep-time=1'";

/// Another process writes the profile, every second and once more when the program has ended. If that has ended before
/// the other one begins, the other one takes the supervisor for the program and is ended after a minute.
#[test]
fn a_profile_that_another_process_writes_is_whole() {
    let test = project("", SLEEP, "");
    let ran = test.run("-v").ok();
    assert!(ran.stderr.contains("all instrumented processes of a workload write to one file"), "{}", ran.stderr);
    assert_eq!(calls(&artifact(&test, "profile.profile")), CALLS);
}

/// Nothing runs at the end of a static program, so there is no other way.
#[test]
fn a_static_program_is_trained_by_an_llvm_bolt_that_can() {
    let Some(bolt) = needs::bolt(19) else { return };
    let test = project("-static", SLEEP, "");
    let tools = test
        .read("p.toml")
        .replace("llvm-bolt = \">=22\"", &format!("llvm-bolt = {{ version = \">=19, <20\", dir = \"{bolt}\" }}"));
    test.write("p.toml", &tools);
    _ = test.run("").ok();
    assert_eq!(calls(&artifact(&test, "profile.profile")), CALLS);
}

#[test]
fn a_static_program_is_refused_before_training_where_it_would_be_in_vain() {
    let text = project("-static", SLEEP, "").run("").code(1).stderr;
    assert!(text.contains("never writes a profile") && text.contains("such as 19"), "{text}");
}

#[test]
fn a_position_independent_static_program_is_refused_before_training() {
    let test = project("-static-pie", "", "");
    let text = test.run("").code(1).stderr;
    assert!(text.contains("never writes a profile") && text.contains("llvm-bolt 23"), "{text}");
}

#[test]
fn a_pasted_option_that_takes_hardening_away_fails_and_is_named() {
    let test = project("-fuse-ld=lld", "", "'-use-gnu-stack'");
    let text = test.run("").code(1).stderr;
    for part in ["lost GNU_STACK", "`-use-gnu-stack` does that", "Take `-use-gnu-stack` out of llvm-bolt's options"] {
        assert!(text.contains(part), "{text}");
    }
    let plan = test.cmd("plan p.toml").ok().stdout;
    assert!(plan.contains("stacks become executable"), "{plan}");
}

/// As LLVM's own CMake files have it since July 2026: behind the flags that a caller gives.
const PACKING: &str = "\
cmake_minimum_required(VERSION 3.13)
project(packing C)
string(APPEND CMAKE_SHARED_LINKER_FLAGS \" -Wl,-z,pack-relative-relocs\")
add_library(odd SHARED odd.c)
install(TARGETS odd DESTINATION lib)
";

#[test]
fn a_build_for_bolt_packs_no_relative_relocations_whatever_the_project_says() {
    let pipeline = r#"
name = "packing"
[tools]
clang = ">=22"
llvm-bolt = ">=22, <23"
[[stage]]
name = "packed"
kind = "cmake"
source = "${pipeline.dir}/src"
linker = "lld"
define = { CMAKE_SHARED_LINKER_FLAGS = "-Wl,--emit-relocs" }
outputs = { library = "lib/libodd.so" }
[[stage]]
name = "refused"
kind = "bolt"
action = "instrument"
input = "${packed.library}"
[[stage]]
name = "plain"
kind = "cmake"
source = "${pipeline.dir}/src"
keep-relocations = true
outputs = { library = "lib/libodd.so" }
[[stage]]
name = "instrumented"
kind = "bolt"
action = "instrument"
input = "${plain.library}"
"#;
    let test = empty(pipeline).file("src/CMakeLists.txt", PACKING).file(
        "src/odd.c",
        "static int target;\nint work(int n) { return n + target++; }\n\
         struct __attribute__((packed)) { char c; int *pointer; } odd = { 1, &target };\n",
    );
    let text = test.run("--until refused").code(1).stderr;
    for part in ["RELR", "1 that cannot be packed", "keep-relocations = true"] {
        assert!(text.contains(part), "{text}");
    }
    _ = test.run("--until instrumented").ok();
    let sections = |output: &str| sh(&test.dir, &format!("readelf -SW {}", artifact(&test, output)));
    assert!(sections("packed.library").contains(".relr.dyn"));
    assert!(!sections("plain.library").contains(".relr.dyn"));
}
