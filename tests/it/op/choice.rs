//! Which llvm-profdata merges what another build system has built.

use optbuild::op::merge::choice::Traces;

use crate::support::needs;
use crate::support::{Test, stage};

#[test]
fn the_best_first() {
    let llvms = |compiler, raw_version| Traces { compiler, raw_version }.llvms();
    // Raw 10 is of 19 to 22, raw 8 of 14 to 17: see `INSTR_PROF_RAW_VERSION` of these.
    assert_eq!(llvms(Some(22), Some(10)), [22, 21, 20, 19]);
    assert_eq!(llvms(Some(16), None), [16, 15, 14]);
    assert_eq!(llvms(Some(23), Some(11)), [23]);
    assert_eq!(llvms(None, Some(10)), [19, 20, 21, 22]);
    assert_eq!(llvms(Some(99), Some(10)), [99], "of a newer LLVM nothing is known");
    assert_eq!(llvms(None, Some(99)), [0; 0]);
    assert_eq!(llvms(None, None), [0; 0]);
}

const CODE: &str = "\
#include <stdlib.h>
__attribute__((noinline)) int step(int n) { return n * 3; }
int main(int c, char **v) { int s = 0; for (int i = 0; i < atoi(v[1]); i++) s += step(i); return s == 1; }
";

/// A project that is built by a script, with the compiler that the script knows; `llvm-profdata` of LLVM 14 is the first in PATH.
fn project(compiler: &str) -> Option<Test> {
    let old = needs::llvm(14)?;
    let build = stage(
        "build",
        "outputs = { prog = '${self.out}/prog' }",
        "cp ${pipeline.dir}/main.c . && sh ${pipeline.dir}/build.sh ${self.out}/prog",
    );
    let gather = "[[stage]]\nname = 'trained'\nkind = 'gather'\ninstrumented = '${build.prog}'\n\
                  workloads = [{ name = 'run', run = ['${build.prog}', '5'] }]\n";
    let test = Test::new(["name = 'p'\n", &build, gather])
        .file("main.c", CODE)
        .file("build.sh", &format!("exec {compiler} -O1 -fprofile-generate main.c -o $1\n"));
    test.program("llvm-profdata", &format!("exec {old}/llvm-profdata \"$@\""));
    Some(test)
}

fn shows(test: &Test, tool: &str) -> (u32, String) {
    let profile = test.files_below(".optbuild").into_iter().find(|path| path.extension() == Some("profdata")).unwrap();
    let version = std::fs::read(&profile).unwrap()[8];
    let mut show = std::process::Command::new(tool);
    let shown = show.args(["show", "--counts", "--function=step", profile.as_str()]).output().unwrap();
    (u32::from(version), String::from_utf8(shown.stdout).unwrap())
}

#[test]
fn that_of_the_compiler_which_built_the_program() {
    let Some(test) = project("/usr/lib/llvm-22/bin/clang") else { return };
    let _ = test.run("").ok();
    let (version, shown) = shows(&test, "/usr/lib/llvm-22/bin/llvm-profdata");
    assert!(shown.contains("Block counts: [5]"), "{shown}");
    assert_eq!(version, 13, "as LLVM 22 writes it");
    let log = test.cmd("logs trained").stdout;
    assert!(log.contains("(LLVM 22) merges the profiles of") && log.contains("compiled by clang 22"), "{log}");

    // The one in PATH where that is the right one.
    let Some(old) = needs::llvm(14) else { return };
    let Some(test) = project(&format!("{old}/clang")) else { return };
    let _ = test.run("").ok();
    assert_eq!(shows(&test, &format!("{old}/llvm-profdata")).0, 7);

    // Another one of its raw version reads it too; what that writes, clang 19 reads.
    let Some(middle) = needs::llvm(19) else { return };
    let Some(test) = project(&format!("{middle}/clang")) else { return };
    let _ = test.run("").ok();
    assert_eq!(shows(&test, &format!("{middle}/llvm-profdata")).0, 12);
}

/// Where a command names its compiler, or a stage that uses the profile has one, the plan says it already.
#[test]
fn what_the_pipeline_says_is_planned() {
    let Some(test) = project("clang-22") else { return };
    let planned = |test: &Test| test.cmd("plan p.toml").ok().stdout;
    let merges = |plan: &str| plan.contains("/llvm-profdata-22 ") || plan.contains("/llvm-22/bin/llvm-profdata ");
    assert!(!merges(&planned(&test)), "{}", planned(&test));
    test.change(
        "sh ${pipeline.dir}/build.sh ${self.out}/prog",
        "clang-22 -fprofile-generate main.c -o ${self.out}/prog",
    );
    assert!(merges(&planned(&test)), "{}", planned(&test));
    test.change("clang-22", "/usr/lib/llvm-22/bin/clang");
    assert!(merges(&planned(&test)), "{}", planned(&test));
    let _ = test.run("").ok();
    assert_eq!(shows(&test, "/usr/lib/llvm-22/bin/llvm-profdata").0, 13);
    // A key says it for good.
    test.change("kind = 'gather'", "kind = 'gather'\nprofdata = 'llvm-profdata'");
    let _ = test.run("").code(1).err("raw profiles of version 10");
}
