//! What is found out of profiles after they are gathered, and after a build has used them: with real programs.

use crate::support::dir::{Dir, LIBRARY, LLVM, PROGRAM, error, fact, op};
use crate::support::needs;

const OTHER: &str = "\
#include <stdio.h>
__attribute__((noinline)) int fold(int n) { int s = 1; while (n--) s *= n; return s; }
__attribute__((noinline)) int pick(int n) { if (n > 5) return 3; return 4; }
int main(int c, char **v) { for (int i = 0; i < c; i++) puts(v[i]); printf(\"%d %d\\n\", fold(3), pick(c)); return 0; }
";
/// Templates, and functions that are local to their file.
const CPLUSPLUS: &str = "\
#include <algorithm>
#include <cstdio>
#include <vector>
namespace { struct T { int a; bool operator<(const T &o) const { return a < o.a; } }; }
static int middle(int n) { std::vector<T> v; for (int i = 0; i < n; i++) v.push_back(T{n - i}); std::sort(v.begin(), v.end()); return v[n / 2].a; }
int main(int c, char **) { std::printf(\"%d\\n\", middle(100 * c)); }
";
const RUST: &str = "\
#[inline(never)] fn hot(v: &mut Vec<u64>) { v.sort(); v.dedup(); }
fn main() { let mut v: Vec<u64> = (0..100).rev().collect(); hot(&mut v); println!(\"{}\", v.len()); }
";

fn tool() -> String {
    format!("{LLVM}/llvm-profdata")
}

/// Runs an instrumented program `prog` and merges what it wrote to `p.profdata`.
fn merged(dir: &Dir) {
    dir.sh("LLVM_PROFILE_FILE=$PWD/p.profraw ./prog 30 && llvm-profdata merge p.profraw -o p.profdata");
}

fn check_gathered(dir: &Dir, profile: &str, build: &str) -> Vec<String> {
    let (profile, build) = (dir.join(profile), dir.join(build));
    ["check-gathered", "--format", "profdata", "--tool", &tool(), "--profile", profile.as_str(), "--instrumented"]
        .iter()
        .map(ToString::to_string)
        .chain([build.to_string()])
        .collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn figures_of_a_gathered_profile() {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM.replace("int main", "int cold(int n) { while (n) n /= 3; return n; }\nint main"));
    dir.sh("clang -O2 -fprofile-generate lib.c main.c -o prog");
    merged(&dir);
    let facts = op(&strs(&check_gathered(&dir, "p.*", "prog")));
    assert!(facts.is_err(), "two files match");
    dir.sh("rm p.profraw");
    let facts = op(&strs(&check_gathered(&dir, "p.*", "prog"))).unwrap();
    // What llvm-profdata counts: 4 functions of which `cold` has no counts, and the largest count.
    let shown = dir.sh("llvm-profdata show --value-cutoff=1 --detailed-summary p.profdata");
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    let number = |key: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_else(|| panic!("{key}: {shown}"));
        line.trim().parse::<f64>().unwrap()
    };
    assert_eq!(fact(&facts, "functions"), Some(number("Total functions: ")));
    let never = number("Number of functions with maximum count (< 1): ");
    assert_eq!((never, fact(&facts, "never-run")), (1.0, Some(25.0)));
    let largest = number("Maximum function count: ").max(number("Maximum internal block count: "));
    assert_eq!(fact(&facts, "largest-count"), Some(largest));
    assert_eq!(fact(&facts, "total-count"), Some(number("Total count: ")));
    // LLVM 22 writes 13, which it is the first to read.
    assert_eq!((fact(&facts, "indexed-version"), fact(&facts, "read-by-LLVM")), (Some(13.0), Some(22.0)));
    assert_eq!(fact(&facts, "of-the-build"), Some(100.0));
}

/// Stripped, without a build id, in C, C++ and Rust, from this and from older LLVMs.
#[test]
fn a_profile_belongs_to_its_build() {
    let mut builds = vec![
        ("c", "clang -O2 -fprofile-generate o.c -o prog && strip prog".to_string()),
        ("no build id", "clang -O2 -fprofile-generate -Wl,--build-id=none o.c -o prog".to_string()),
        ("c++", "clang++ -O2 -fprofile-generate x.cpp -o prog".to_string()),
        ("rust", "rustc -Copt-level=3 -Cprofile-generate=. r.rs -o prog".to_string()),
    ];
    // Records of LLVM 14 are of another size; llvm-profdata 22 does not read its raw profiles.
    for major in [14, 19] {
        if let Some(bin) = needs::llvm(major) {
            let libraries = needs::libraries(&bin);
            let path = format!("export PATH={bin}:$PATH LD_LIBRARY_PATH={libraries}");
            builds.push(("older", format!("{path}; clang -O2 -fprofile-generate o.c -o prog")));
        }
    }
    for (name, build) in builds {
        let dir = Dir::new();
        dir.write("o.c", OTHER);
        dir.write("x.cpp", CPLUSPLUS);
        dir.write("r.rs", RUST);
        let path = build.split_once("; ").map_or(String::new(), |(path, _)| format!("{path}; "));
        dir.sh(&build);
        dir.sh(&format!(
            "{path}LLVM_PROFILE_FILE=$PWD/p.profraw ./prog && llvm-profdata merge p.profraw -o p.profdata"
        ));
        dir.sh(
            "mkdir -p build/bin && cp prog build/bin/ && echo text > build/notes && head -c 100 prog > build/bin/cut",
        );
        for place in ["prog", "build"] {
            let facts = op(&strs(&check_gathered(&dir, "p.profdata", place))).unwrap();
            assert_eq!(fact(&facts, "of-the-build"), Some(100.0), "{name}, {place}");
        }
        // The same program built in another way has functions of the same names and shapes; another program has not.
        dir.write("lib.c", LIBRARY);
        dir.sh("sed s/main/start/ lib.c > other.c; clang -O2 -fprofile-generate -shared -fPIC other.c -o other.so");
        let message = error(&strs(&check_gathered(&dir, "p.profdata", "other.so")));
        assert!(message.contains("none of the") && message.contains("not of this build"), "{name}: {message}");
    }
}

#[test]
fn profiles_of_other_programs_too() {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM);
    dir.sh("clang -O2 -fprofile-generate -shared -fPIC lib.c -o libwork.so");
    dir.sh("clang -O2 -fprofile-generate main.c -L. -lwork -Wl,-rpath,$PWD -o prog");
    dir.sh("LLVM_PROFILE_FILE=$PWD/p%m.profraw ./prog 30 && llvm-profdata merge p*.profraw -o all.profdata");
    // `helper` and `work` are in the library, `main` is not.
    let facts = op(&strs(&check_gathered(&dir, "all.profdata", "libwork.so"))).unwrap();
    assert!((fact(&facts, "of-the-build").unwrap() - 200.0 / 3.0).abs() < 1e-9);
    let empty = dir.write("none/x", "text");
    let facts =
        op(&strs(&check_gathered(&dir, "all.profdata", empty.strip_prefix(dir.path()).unwrap().as_str()))).unwrap();
    assert_eq!(fact(&facts, "of-the-build"), None, "nothing is instrumented there");
}

/// A build that was left in another directory runs in place of the one that is trained: most of its functions are the same, and its
/// build id, as readelf prints it, is another one.
#[test]
fn another_build_of_the_program_is_not_this_one() {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM);
    let build = "clang -O2 -fprofile-generate -Wl,--build-id lib.c main.c -o";
    dir.sh(&format!("mkdir stale new; {build} stale/prog"));
    dir.sh(&format!(
        "sed -i 's/x % 3/x % 5/' lib.c; echo 'int more(int n) {{ return n; }}' >> lib.c; {build} new/prog"
    ));
    dir.sh("LLVM_PROFILE_FILE=$PWD/p.profraw stale/prog 30 && llvm-profdata merge p.profraw -o p.profdata");
    let check = |build: &str, more: &[&str]| {
        let args = check_gathered(&dir, "p.profdata", build);
        op(&[&strs(&args)[..], more].concat())
    };
    let ids = ["stale/prog", "new/prog"].map(|file| {
        let said = dir.sh(&format!("readelf -n {file} | sed -n 's/.*Build ID: //p'"));
        String::from_utf8(said.stdout).unwrap().trim().to_owned()
    });
    for place in ["new/prog", "new"] {
        let message = format!("{:#}", check(place, &[]).unwrap_err());
        let expected = format!(
            "{} did not run: its build id ({}) is not among those of the programs that wrote the profile ({})",
            dir.join(place),
            ids[1],
            ids[0]
        );
        assert!(message.contains(&expected) && message.contains("LD_LIBRARY_PATH"), "{expected}: {message}");
    }
    // One of several ran; cargo's tests are programs of their own; a static library is in other programs.
    assert!(check("stale/prog", &[]).is_ok());
    assert!(check("new/prog", &["--any-program"]).is_ok());
    dir.sh("mkdir lib both; cp new/prog lib; clang -O2 -fprofile-generate -c lib.c; ar rcs lib/libwork.a lib.o; cp stale/prog both/a; cp new/prog both/b");
    assert!(check("lib", &[]).is_ok());
    assert!(check("both", &[]).is_ok());
    // Without build ids, nothing is known.
    dir.sh("clang -O2 -fprofile-generate -Wl,--build-id=none lib.c main.c -o none");
    assert!(check("none", &[]).is_ok());
}

#[test]
fn nothing_that_was_run_is_nothing_gathered() {
    let dir = Dir::new();
    // Nothing in the library is called.
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", "int main(void) { return 0; }");
    dir.sh("clang -O2 -fprofile-generate -shared -fPIC lib.c -o libwork.so && clang -O2 main.c -Wl,--no-as-needed -L. -lwork -Wl,-rpath,$PWD -o prog");
    dir.sh("LLVM_PROFILE_FILE=$PWD/p.profraw ./prog && llvm-profdata merge p.profraw -o p.profdata");
    let message = error(&strs(&check_gathered(&dir, "p.profdata", "libwork.so")));
    assert!(message.contains("has 2 functions, none of which was executed"), "{message}");
}

/// Builds with the profile `p.profdata`, the compiler's output in a log as a run has it, and checks.
fn used(dir: &Dir, build: &str, more: &[&str]) -> anyhow::Result<Vec<optbuild::event::Fact>> {
    dir.sh(&format!("mkdir -p logs out keep; {{ {build}; }} > logs/03-build.log 2>&1"));
    let (profile, logs, out, keep) = (dir.join("p.profdata"), dir.join("logs"), dir.join("out"), dir.join("keep"));
    let tool = tool();
    let args = ["check-profile-use", "--profile", profile.as_str(), "--tool", &tool, "--step", "build"];
    let places = ["--logs", logs.as_str(), "--built", out.as_str(), "--keep", keep.as_str()];
    op(&[&args[..], &places, more].concat())
}

const USE: &str =
    "-O2 -fprofile-use=p.profdata -Xclang -mllvm -Xclang -pgo-warn-missing-function -Wno-error=backend-plugin";

fn trained_c() -> Dir {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM);
    dir.write("other.c", OTHER);
    dir.sh("clang -O2 -fprofile-generate lib.c main.c -o prog");
    merged(&dir);
    dir
}

#[test]
fn a_build_with_its_own_profile() {
    let dir = trained_c();
    let facts = used(&dir, &format!("clang {USE} -Werror lib.c main.c -o out/prog"), &[]).unwrap();
    let numbers = ["functions-with-profile", "without-profile", "functions-without-profile", "mismatched-functions"];
    assert_eq!(numbers.map(|name| fact(&facts, name)), [Some(3.0), Some(0.0), Some(0.0), Some(0.0)]);
}

#[test]
fn a_build_with_an_older_profile() {
    let dir = trained_c();
    // `helper` gets a branch, and there is a function more.
    dir.sh("sed -i 's/return x + 1;/if (x == 5) return 7; return x + 1;/' lib.c");
    dir.sh("echo '__attribute__((noinline)) int more(int n) { return n > 3 ? n * n : work(n); }' >> lib.c");
    let facts = used(&dir, &format!("clang {USE} lib.c main.c -o out/prog"), &[]).unwrap();
    assert_eq!(fact(&facts, "functions-with-profile"), Some(2.0), "work and main");
    assert_eq!(
        (fact(&facts, "functions-without-profile"), fact(&facts, "mismatched-functions")),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(fact(&facts, "without-profile"), Some(50.0));

    // A build that goes on compiles main.c alone, and warns of nothing in it.
    let facts = used(&dir, &format!("clang {USE} -c main.c -o main.o"), &[]).unwrap();
    assert_eq!(fact(&facts, "without-profile"), Some(50.0));
    let message = used(&dir, ":", &["--max-unprofiled", "40%"]).unwrap_err().to_string();
    assert!(message.contains("only 2 of the 4 functions") && message.contains("the limit is 40%"), "{message}");
    // What was said of another profile does not count.
    dir.sh("clang -O2 -fprofile-generate lib.c main.c -o prog");
    dir.sh("LLVM_PROFILE_FILE=$PWD/p.profraw ./prog 30 && llvm-profdata merge p.profraw -o q.profdata");
    dir.sh("sed -i s/p.profdata/q.profdata/ keep/optbuild-profile-warnings");
    let facts = used(&dir, ":", &[]).unwrap();
    assert_eq!(fact(&facts, "functions-without-profile"), Some(0.0));
}

#[test]
fn a_build_with_the_profile_of_another_program() {
    for (program, build) in [
        ("other.c", format!("clang {USE} other.c -o out/prog")),
        // Then no function can be looked up.
        ("many.c", format!("clang {USE} -s many.c -o out/prog")),
    ] {
        let dir = trained_c();
        let many = (0..40).map(|n| format!("int f{n}(int n) {{ return n > {n} ? n : {n}; }}\n"));
        dir.write("many.c", many.collect::<String>() + "int main(int c, char **v) { return f0(c) + f1(c); }\n");
        let message = used(&dir, &build, &[]).unwrap_err().to_string();
        assert!(message.contains("It is the profile of another program"), "{program}: {message}");
        assert!(message.contains("`max-unprofiled`"), "{message}");
        assert!(used(&dir, ":", &["--max-unprofiled", "100%"]).is_ok());
    }
}

/// x.py's log has what clang says of LLVM and what rustc says of itself.
#[test]
fn one_log_of_two_components() {
    let dir = trained_c();
    dir.write("r.rs", RUST);
    dir.write("extra.c", "int extra(int n) { return n > 3 ? n * n : 7; }\n");
    dir.sh("echo '__attribute__((noinline)) int more(int n) { return n > 3 ? n * n : work(n); }' >> lib.c");
    let rust = "rustc -Copt-level=3 -Cprofile-use=$PWD/p.profdata -Cllvm-args=-pgo-warn-missing-function r.rs -o r";
    let build = format!("clang {USE} lib.c main.c -o out/prog; clang {USE} -c extra.c; {rust}");
    let without = |component: &[&str]| {
        let facts = used(&dir, &build, component).unwrap();
        fact(&facts, "functions-without-profile").unwrap()
    };
    let all = without(&[]);
    let said = dir.sh("grep -o 'available for function [^ ]*' logs/03-build.log | sort -u | wc -l");
    assert_eq!(all, String::from_utf8(said.stdout).unwrap().trim().parse::<f64>().unwrap());
    assert_eq!(without(&["--component", "llvm"]), 2.0, "`more` and `extra`");
    // `more` is found in what was built.
    assert_eq!(without(&["--component", "rustc"]), all - 1.0);
    assert!(all > 4.0, "{all}");
}

#[test]
fn rust_says_the_same() {
    let dir = Dir::new();
    dir.write("r.rs", RUST);
    dir.write("other.c", OTHER);
    dir.sh("rustc -Copt-level=3 -Cprofile-generate=. r.rs -o prog");
    merged(&dir);
    let build = "rustc -Copt-level=3 -Cprofile-use=$PWD/p.profdata -Cllvm-args=-pgo-warn-missing-function";
    let facts = used(&dir, &format!("{build} r.rs -o out/prog"), &[]).unwrap();
    assert_eq!(fact(&facts, "without-profile"), Some(0.0));
    assert!(fact(&facts, "functions-with-profile").unwrap() >= 3.0);
    // Another metadata, as cargo gives it for other settings, is another name for every function.
    dir.sh("rm -r keep");
    let message = used(&dir, &format!("{build} -Cmetadata=other r.rs -o out/prog"), &[]).unwrap_err().to_string();
    assert!(message.contains("It is the profile of another program"), "{message}");
}
