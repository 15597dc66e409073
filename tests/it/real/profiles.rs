//! What a person is told of profiles by a pipeline that gathers and uses them, and a profile that is worth nothing.

use crate::support::Test;
use crate::support::real::empty;

const LISTS: &str = "cmake_minimum_required(VERSION 3.13)\nproject(p C)\nadd_executable(prog main.c)\ninstall(TARGETS prog DESTINATION bin)\n";
const MAIN: &str = "\
#include <stdlib.h>
__attribute__((noinline)) int work(int n) { int s = 0; for (int i = 0; i < n; i++) s += i % 3 ? i : s; return s; }
__attribute__((noinline)) int cold(int n) { while (n > 9) n /= 3; return n; }
int main(int c, char **v) { int n = atoi(v[1]); return (n < 0 ? cold(n) : work(n)) == 12345; }
";
const OTHER: &str = "\
__attribute__((noinline)) int fold(int n) { int s = 1; while (n--) s *= n; return s; }
__attribute__((noinline)) int pick(int n) { return n > 5 ? 3 : fold(n); }
int main(int c, char **v) { for (int i = 0; i < c; i++) if (v[i][0] == 'x') return 1; return pick(c) == 7; }
";
const PIPELINE: &str = r#"
name = "p"
[tools]
clang = ">=22"
[[stage]]
name = "instrumented"
kind = "cmake"
source = "${pipeline.dir}/one"
pgo = "generate"
[[stage]]
name = "trained"
kind = "gather"
instrumented = "${instrumented.out}"
workloads = [{ name = "run", run = ["${instrumented.out}/bin/prog", "400"] }]
[[stage]]
name = "optimized"
kind = "cmake"
source = "${pipeline.dir}/one"
pgo = { use = "${trained.profile}" }
[[stage]]
name = "foreign"
kind = "cmake"
source = "${pipeline.dir}/two"
pgo = { use = "${trained.profile}" }
"#;

fn project() -> Test {
    let test = empty(PIPELINE);
    for (dir, code) in [("one", MAIN), ("two", OTHER)] {
        test.write(&format!("{dir}/CMakeLists.txt"), LISTS);
        test.write(&format!("{dir}/main.c"), code);
    }
    test
}

#[test]
fn figures_stand_where_they_are_looked_for() {
    let test = project();
    let said = test.run("--until optimized").ok().stderr;
    // `cold` is never run; the loop is, 400 times.
    let gathered = "3 functions, 33 % never run, largest count 400, read by LLVM 22 and newer";
    let used = "100 % of 3 functions in the program have a profile";
    let tell = |said: &str| {
        for sentence in [gathered, used] {
            assert!(said.contains(sentence), "no `{sentence}` in:\n{said}");
        }
    };
    tell(&said);
    tell(&test.cmd("status").ok().stdout);
    tell(&test.cmd("show p.toml").ok().stdout);
    assert!(test.cmd("explain trained").ok().stdout.contains(&format!("profile: {gathered}")));
    let status = test.cmd("status --json").ok().json();
    let stage = status["stages"].as_array().unwrap().iter().find(|stage| stage["stage"] == "trained").unwrap();
    let facts = stage["facts"].as_array().unwrap();
    assert!(facts.iter().any(|fact| fact["name"] == "of-the-build" && fact["value"] == 100.0), "{facts:?}");
    // An output is named as in a pipeline.
    let shown = test.cmd("profile show trained.profile --json").ok().json();
    assert_eq!(
        (shown["levels"][0]["functions"].as_u64(), shown["levels"][0]["never_run"].as_u64()),
        (Some(3), Some(1))
    );
    let said = test.cmd("profile show trained.profil").code(2).stderr;
    assert!(
        said.contains("stage `trained` has no output `trained.profil`") || said.contains("did you mean `profile`?"),
        "{said}"
    );
    assert!(test.cmd("profile show foreign.out").code(2).stderr.contains("stage `foreign` is not done"));
}

#[test]
fn the_profile_of_another_program_is_refused() {
    let test = project();
    let planned = test.cmd("plan p.toml").ok().stdout;
    let otherwise =
        "stage `foreign` is built otherwise than `instrumented`, which its profile of `trained` is of: `source`. ";
    assert!(planned.contains(otherwise), "{planned}");
    let said = test.run("--until foreign").code(1).stderr;
    assert!(said.contains(&format!("note: {otherwise}")), "{said}");
    assert!(said.contains("none of the 3 functions of the program has counts"), "{said}");
    assert!(test.fingerprints(".optbuild").iter().all(|(stage, _)| stage != "foreign"));
    // What was warned of is kept: nothing is compiled again.
    assert!(test.cmd("resume").code(1).stderr.contains("none of the 3 functions"));
    test.change("source = \"${pipeline.dir}/two\"", "source = \"${pipeline.dir}/two\"\nmax-unprofiled = \"100%\"");
    let said = test.run("--until foreign").ok().stderr;
    assert!(
        said.contains("0 % of 3 functions in the program have a profile; of all that was compiled, 2 without, 1 with one of other code"),
        "{said}"
    );
    test.change("max-unprofiled = \"100%\"", "max-unprofiled = \"all\"");
    assert!(test.run("--until foreign").code(2).stderr.contains("a share is written as `1%`"));
}

/// A static library whose project drops the flags: told before anything is trained, and where the profile is used.
#[test]
fn a_library_that_is_not_instrumented() {
    let test = project();
    test.write(
        "one/CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.13)\nproject(p C)\nadd_library(part STATIC lib.c)\n\
         target_compile_options(part PRIVATE -fno-profile-generate)\n\
         add_executable(prog main.c)\ntarget_link_libraries(prog part)\ninstall(TARGETS prog DESTINATION bin)\n",
    );
    test.write("one/main.c", "#include <stdlib.h>\nint work(int), cold(int), more(int);\nint main(int c, char **v) { int n = atoi(v[1]); return (n < 0 ? cold(n) : work(n) + more(n)) == 12345; }\n");
    test.write(
        "one/lib.c",
        "#define F __attribute__((noinline))\nF int work(int n) { int s = 0; for (int i = 0; i < n; i++) s += i % 3 ? i : s; return s; }\n\
         F int cold(int n) { while (n > 9) n /= 3; return n; }\nF int more(int n) { return n % 7 ? n : work(n + 1); }\n",
    );
    test.change("kind = \"gather\"", "kind = \"gather\"\nmin-instrumented = \"90%\"");
    let said = test.run("--until trained").code(1).stderr;
    for part in ["3 of 4 functions in prog are not instrumented", "cold, more, work", "`min-instrumented` asks for 90%"]
    {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    let journal = test.files_below(".optbuild/runs").into_iter().find(|file| file.ends_with("journal.jsonl")).unwrap();
    assert!(!std::fs::read_to_string(journal).unwrap().contains("pool-started"), "nothing is trained");

    test.change("min-instrumented = \"90%\"", "min-instrumented = \"20%\"");
    let said = test.run("--until optimized").ok().stderr;
    for part in [
        "trained: warning: 3 of 4 functions in prog are not instrumented, and so are not counted: cold, more, work",
        "warning: 3 of 4 functions in the program have no profile: cold, more, work",
        "25 % of 4 functions in the program have a profile",
    ] {
        assert!(said.contains(part), "no `{part}` in:\n{said}");
    }
    assert!(test.cmd("status").ok().stdout.contains("warning: 3 of 4 functions in prog"));
}
