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

/// Names of state directories that a tool takes for something else. What would fail only in the build with the profile, or look like
/// a training that counted nothing, is said before the first stage, and only where it matters.
#[test]
fn state_directories_that_tools_take_apart_are_refused() {
    let test = fixture("hotcold");
    // As they are written for a shell; what is said; the stages that it is said of; one that is built all the same.
    let names = [
        ("'a\"b'", "CMake writes it into its files as the end of a string", "(for instrumented, pgo)", None),
        ("'a\\b'", "CMake takes it for the beginning of an escape sequence", "(for instrumented, pgo)", None),
        ("'a\nb'", "CMake takes it for the end of a line", "(for instrumented, pgo)", None),
        ("'a;b'", "CMake takes it for the end of an item of a list", "(for instrumented, pgo)", None),
        ("\"a'b\"", "a shell takes it for the end of the path of the profile", "(for pgo)", Some("instrumented")),
        ("'a$b'", "ninja and make take it for a variable", "(for pgo)", Some("instrumented")),
        ("a%pb", "instrumented programs take it for a placeholder", "(for profile)", Some("instrumented")),
    ];
    for (name, because, stages, good) in names {
        let dir = name.trim_matches(['\'', '"'].as_slice());
        let said = test.run(&format!("--state-dir {name}")).code(3).stderr;
        says(&said, &["the path of the state directory, [DIR]/", because, stages, "with `--state-dir`"]);
        assert!(!test.exists(&format!("{dir}/stages")), "{dir}: nothing was begun");
        if let Some(good) = good {
            let plan = test.cmd(&format!("plan p.toml --state-dir {name} --until {good}")).ok().stdout;
            assert!(!plan.contains("the path of the state directory"), "{plan}");
        }
    }
    let makefiles = "kind = \"cmake\"\ngenerator = \"Unix Makefiles\"";
    test.write("p.toml", &test.read("p.toml").replace("kind = \"cmake\"", makefiles));
    let said = test.run("--state-dir 'a#b'").code(3).stderr;
    says(&said, &["make takes it for the beginning of a comment", "(for instrumented, pgo)", "with `--state-dir`"]);
}
