//! Whether a profile fits what is measured: a program whose argument says which of two loops turns how often.

use optbuild::profile::fit::Trained;
use optbuild::profile::listing;

use crate::support::Test;
use crate::support::real::{artifact, sh};

const PROGRAM: &str = r#"
#include <stdio.h>
#include <stdlib.h>
static volatile unsigned state = 1;
__attribute__((noinline)) static void one(unsigned long n) { while (n--) state = state * 31 + 1; }
__attribute__((noinline)) static void two(unsigned long n) { while (n--) state = state * 17 + 2; }
int main(int argc, char **argv) {
    one(strtoul(argv[1], 0, 10));
    two(strtoul(argv[2], 0, 10));
    printf("%u\n", state);
    return 0;
}
"#;

const PIPELINE: &str = r#"
name = "p"

[vars]
train = "1000000 0"
measure = "1000000 0"
least = "10%"

[template.app]
kind = "cmake"
source = "${pipeline.dir}/app"
install = false
outputs = { app = "app" }

[[stage]]
name = "instrumented"
like = "app"
pgo = "generate"

[[stage]]
name = "profile"
kind = "gather"
instrumented = "${instrumented.app}"
[[stage.workloads]]
name = "train"
shell = true
run = "{program} ${train}"

[[stage]]
name = "measured"
kind = "gather"
instrumented = "${instrumented.app}"
hot-in = "${profile.profile}"
min-hot = "${least}"
[[stage.workloads]]
name = "measure"
shell = true
run = "{program} ${measure}"

[[stage]]
name = "optimized"
like = "app"
needs = ["measured"]
pgo = { use = "${profile.profile}" }

[[stage]]
name = "compare"
kind = "compare"
base = "${optimized.app}"
candidate = "${optimized.app}"
counter = "none"
rounds = 1
budget = "9h"
[[stage.workloads]]
name = "measure"
shell = true
run = "{program} ${measure}"
"#;

fn test() -> Test {
    Test::new([PIPELINE]).file("app/main.c", PROGRAM).file(
        "app/CMakeLists.txt",
        "cmake_minimum_required(VERSION 3.20)\nproject(app C)\nadd_executable(app main.c)\n",
    )
}

/// Both functions have a counter for the turns of their loop; the others are 1 or 0.
#[test]
fn a_profile_that_does_not_fit_is_refused_before_anything_is_built_with_it() {
    let test = test();
    let refused = test.run("--set 'measure=0 1000000'");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(
        refused
            .stderr
            .contains("only 0.0 % of what the workloads execute lies in functions that are hot in the profile"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("`min-hot` asks for 10% at least"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("optimized: started"), "{}", refused.stderr);
    // Who wants it all the same. What was gathered counts.
    let all_the_same = test.run("--set 'measure=0 1000000' --set least=0%").ok();
    assert!(
        all_the_same.stderr.contains("warning: only 0.0 % of what the workloads execute"),
        "{}",
        all_the_same.stderr
    );
    assert!(!all_the_same.stderr.contains("workload measure done"), "{}", all_the_same.stderr);

    // 600,000 turns of a million.
    let half = test.run("--set 'measure=600000 400000'").ok();
    assert!(half.stderr.contains("warning: only 60.0 % of what the workloads execute"), "{}", half.stderr);
    assert!(!half.stderr.contains("optimized: started"), "what is measured changes no build: {}", half.stderr);
    let markdown = test.cmd("report --format md").ok().stdout;
    let sentence = "- 60.0 % of what the workloads execute lies in functions that are hot in the profile (measured)\n";
    assert!(markdown.contains(sentence), "{markdown}");
    let _ = test.cmd("report --format html -o page.html").ok();
    assert!(test.read("page.html").contains("hot in the profile (measured).</p>"));

    let fits = test.run("").ok();
    assert!(
        fits.stderr.contains("100.0 % of what the workloads execute lies in functions that are hot"),
        "{}",
        fits.stderr
    );
    assert!(!fits.stderr.contains("warning"), "{}", fits.stderr);

    // What looks whether a profile fits is for no bundle, and for no profile out of one.
    let exported = test.cmd("profile export -o profiles.tar").ok();
    assert!(exported.stdout.contains("profile") && !exported.stdout.contains("measured"), "{}", exported.stdout);
    let supplied = test.run("--profiles profiles.tar --state-dir elsewhere").ok();
    assert!(supplied.stderr.contains("optimized: started"), "{}", supplied.stderr);
    assert!(!supplied.stderr.contains("instrumented: started"), "{}", supplied.stderr);
}

/// As LLVM counts itself.
#[test]
fn what_is_hot_is_what_llvm_calls_hot() {
    let test = test();
    let _ = test.run("--until profile --set 'train=900000 150000'").ok();
    let profile = artifact(&test, "profile.profile");
    let summary =
        sh(&test.dir, &format!("llvm-profdata show --detailed-summary --detailed-summary-cutoffs=990000 {profile}"));
    // `2 blocks (33.33%) with count >= 150000 account for 99% of the total counts.`
    let line = summary.lines().find(|line| line.contains("99% of the total counts")).unwrap();
    let least: u64 = line.split(">= ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert_eq!(least, 150_000, "{summary}");

    let listed = sh(&test.dir, &format!("llvm-profdata show --all-functions --counts {profile}"));
    let mut trained = Trained::default();
    let _ = listing::read(listed.as_bytes(), |f| trained.add(f.name, f.hash, f.counts)).unwrap();
    let mut hot = trained.hot();
    assert_eq!((hot.least, hot.functions()), (least, 2), "`one` and `two`");
    assert_eq!(hot.share(), None);
    hot.execute("main", 1, &[1]);
    assert_eq!(hot.share(), Some(0.0));
}

/// By hand: 98 + 1 of 100 are 99 %, so what counts 1 is hot as well.
#[test]
fn shares_by_hand() {
    let mut trained = Trained::default();
    trained.add("hot", 1, &[98, 0]);
    trained.add("warm", 1, &[0, 1]);
    trained.add("never", 1, &[0]);
    trained.add("as-warm", 1, &[1]);
    let mut hot = trained.hot();
    assert_eq!((hot.least, hot.functions()), (1, 3));
    hot.execute("hot", 1, &[20, 40]);
    // Of another shape, and of another name: the compiler finds no counts for them.
    hot.execute("hot", 2, &[20]);
    hot.execute("other", 1, &[10]);
    hot.execute("never", 1, &[10]);
    assert_eq!(hot.share(), Some(0.6));
    let nothing = Trained::default().hot();
    assert_eq!(nothing.functions(), 0);
}
