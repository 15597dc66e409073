//! Builds that would quietly have been worth nothing are refused, with the remedy.

use crate::support::Test;
use crate::support::needs;
use crate::support::real::fixture;

/// What the run of a stage says, which must fail and leave no record.
#[track_caller]
fn refused(test: &Test, stage: &str) -> String {
    let ran = test.run(&format!("--until {stage}")).code(1);
    let records = test.fingerprints(".optbuild");
    assert!(!records.iter().any(|(name, _)| name == stage), "{records:?}");
    ran.stderr
}

#[track_caller]
fn says(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

#[test]
fn what_cannot_come_to_good_is_refused() {
    let test = fixture("hotcold");
    // Without the one tool that a newcomer's machine lacks.
    let (pipeline, tool) = (test.read("refused.toml"), "profdata = \"/usr/bin/llvm-profdata-14\"\n");
    assert!(pipeline.contains(tool));
    test.write("p.toml", &pipeline.replace(tool, ""));

    // The program of another build runs: what was run, where it was looked, and why that may be.
    let text = refused(&test, "no-profile");
    says(&text, &["wrote no raw profile (*.profraw)", "what was run: ", "bin/drive 10", "looked in: ", "/raw"]);
    says(&text, &["not the instrumented one"]);
    let text = refused(&test, "no-instrumentation");
    says(&text, &["is not instrumented: no `__llvm_prf_cnts`", "`pgo = \"generate\"`"]);

    // LLVM 22 writes version 13; 99 stands for what comes.
    let text = refused(&test, "no-reading");
    says(&text, &["has the indexed version 99", "clang 22 reads versions up to 13", "set `profdata`"]);
    assert!(!test.exists(".optbuild/stages/no-reading/build/CMakeCache.txt"), "refused before anything was built");

    let text = refused(&test, "no-relocations");
    says(&text, &["libwork.so has no relocations", "`keep-relocations = true`"]);
    let text = refused(&test, "no-symbols");
    says(&text, &["libwork.so is stripped", "Keep them until BOLT is done"]);
}

/// LLVM 22 writes raw profiles of version 10, LLVM 14 reads version 8.
#[test]
fn raw_profiles_of_another_version_are_refused() {
    let Some(_) = needs::llvm(14) else { return };
    let test = fixture("hotcold");
    test.write("p.toml", &test.read("refused.toml"));
    let text = refused(&test, "no-reader");
    says(
        &text,
        &[
            "writes raw profiles of version 10",
            "llvm-profdata-14 is of LLVM 14 and does not read version 10",
            "set `profdata`",
        ],
    );
}
