//! A build that is stopped has warned of functions whose counts are of other code. What goes on from there must know.

use std::fs;

use crate::support::kill::Project;
use crate::support::processes::eventually;
use rustix::process::Signal;

const ONE: &str = "\
int main(int c, char **v) { int s = 0; for (int i = 0; i < 1000; i++) s += i % 3 ? c : s; return s == 12345; }
";
const OTHER: &str = "int main(int c, char **v) { if (c > 3) return 7; return v[0][0] == 'x'; }\n";
/// The name is that of the other program's function, the code is not.
const TWO: &str = "\
int late(int);
int main(int c, char **v) { if (c > 3) return 7; while (c-- > 1) if (v[c][0] == 'x') return 1; return late(c); }
";
const LATE: &str = "#include \"late.h\"\nint late(int n) { return n + LATE; }\n";
/// `late.c` is compiled when the test says so, `main.c` at once.
const LISTS: &str = r#"
cmake_minimum_required(VERSION 3.13)
project(two C)
add_custom_command(OUTPUT late.h VERBATIM
    COMMAND sh -c "while [ ! -e $LC_DIR/go ]; do sleep .02; done; echo '#define LATE 1' > late.h")
add_library(early OBJECT main.c)
add_executable(prog late.c ${CMAKE_CURRENT_BINARY_DIR}/late.h $<TARGET_OBJECTS:early>)
target_include_directories(prog PRIVATE ${CMAKE_CURRENT_BINARY_DIR})
install(TARGETS prog DESTINATION bin)
"#;
const PIPELINE: &str = r#"
name = "warned"
[tools]
clang = ">=22"
ninja = {}
[[stage]]
name = "instrumented"
kind = "cmake"
source = "${pipeline.dir}/one"
pgo = "generate"
[[stage]]
name = "trained"
kind = "gather"
instrumented = "${instrumented.out}"
workloads = [{ name = "run", run = ["${instrumented.out}/bin/prog"] }]
[[stage]]
name = "foreign"
kind = "cmake"
source = "${pipeline.dir}/two"
pgo = { use = "${trained.profile}" }
max-unprofiled = "100%"
"#;
const SAID: &str =
    "0 % of 2 functions in the program have a profile; of all that was compiled, 1 without, 1 with one of other code";

/// Whether ninja has noted that `main.c` is compiled. It tells of the warning before.
fn noted(project: &Project) -> bool {
    let build = project.state().join("stages/foreign/build");
    let has = |file: &str| {
        let content = fs::read(build.join(file)).unwrap_or_default();
        String::from_utf8_lossy(&content).contains("main.c.o")
    };
    has(".ninja_log") && has(".ninja_deps")
}

fn project() -> Project {
    let project = Project::new(PIPELINE);
    let one = "cmake_minimum_required(VERSION 3.13)\nproject(one C)\nadd_executable(prog main.c)\ninstall(TARGETS prog DESTINATION bin)\n";
    for (file, text) in [
        ("one/CMakeLists.txt", one),
        ("one/main.c", ONE),
        ("two/CMakeLists.txt", LISTS),
        ("two/main.c", TWO),
        ("two/late.c", LATE),
    ] {
        let path = project.dir.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    project
}

/// Whether the compiler's warning of `main` stands in the logs of the last run.
fn warned(project: &Project) -> bool {
    let Some(run) = project.runs().pop() else { return false };
    let logs = project.state().join("runs").join(run).join("logs/foreign");
    let Ok(entries) = fs::read_dir(logs) else { return false };
    entries.flatten().any(|entry| {
        fs::read_to_string(entry.path()).unwrap().contains("control flow change detected (hash mismatch) main ")
    })
}

#[test]
fn what_was_warned_of_before_a_kill_counts() {
    let undisturbed = project();
    fs::write(undisturbed.dir.join("go"), "").unwrap();
    let ended = undisturbed.succeed(&["run"]);
    assert!(ended.output.contains(SAID), "{}", ended.output);

    let project = project();
    let run = project.start(&["run"]);
    assert!(eventually(|| warned(&project) && noted(&project)), "{}", project.describe());
    run.kill();
    project.nothing_left();
    // Once more, by a signal, with nothing left to compile in between.
    let run = project.start(&["resume"]);
    assert!(eventually(|| project.runs().len() == 2 && project.begun().contains(&"foreign".to_owned())));
    run.signal(Signal::TERM);
    assert_eq!(run.ended().code(), Some(130));
    fs::write(project.dir.join("go"), "").unwrap();
    let ended = project.succeed(&["resume"]);
    assert!(!warned(&project), "main.c was compiled again, and this tests nothing");
    assert!(ended.output.contains(SAID), "{}", ended.output);
}

/// What a build was warned of that is no longer there says nothing of the one in its place.
#[test]
fn what_was_warned_of_in_a_directory_that_was_emptied_does_not_count() {
    let project = project();
    let path = project.dir.join("pipeline.toml");
    let pipeline = fs::read_to_string(&path).unwrap();
    let limit = "max-unprofiled = \"100%\"\n";
    let define = "define = { CMAKE_C_FLAGS = \"-DOTHER\" }\n";
    let same = pipeline.replace("/two\"", "/one\"");
    fs::write(project.dir.join("one/main.c"), format!("#ifdef OTHER\n{OTHER}#else\n{ONE}#endif\n")).unwrap();
    fs::write(&path, same.replace(limit, define)).unwrap();
    let refused = project.finish(&["run"]);
    assert_eq!(refused.code(), Some(1), "{}", refused.output);
    assert!(refused.output.contains("none of the 1 functions of the program has counts"), "{}", refused.output);
    fs::write(&path, same.replace(limit, "")).unwrap();
    let ended = project.succeed(&["run"]);
    let said = "100 % of 1 function in the program have a profile";
    assert!(ended.output.contains(said), "{}", ended.output);
    // The same with `--fresh`, which has nothing but the runs before it to mislead it.
    fs::write(&path, same.replace(limit, "")).unwrap();
    let ended = project.succeed(&["run", "--only", "foreign", "--fresh"]);
    assert!(ended.output.contains(said), "{}", ended.output);
}
