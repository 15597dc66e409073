//! What a report says of the facts of a stage.

use optbuild::event::Fact;
use optbuild::names::StepId;
use optbuild::report::model::facts::{sentence, sentences};
use optbuild::report::model::{Estimate, Hot, Stage, WorkloadProfile};

fn fact(step: &str, name: &str, value: f64, unit: &str) -> Fact {
    Fact::new(name, value, unit).of(&StepId::step(step))
}

/// What was reported for a workload.
fn merge(workload: &str, name: &str, value: f64, unit: &str) -> Fact {
    Fact::new(name, value, unit).of(&StepId::around(workload, "merge"))
}

fn sort(reported: Vec<Fact>) -> Stage {
    let mut stage = Stage { reported, ..Stage::default() };
    stage.sort_facts();
    stage
}

#[test]
fn profiles_by_workload() {
    let sorted = sort(vec![
        fact("check-instrumented", "counters", 3.0, ""),
        merge("b", "raw-profiles", 2.0, "files"),
        merge("b", "raw-bytes", 2000.0, "bytes"),
        merge("b", "functions", 7.0, "functions"),
        merge("a", "raw-profiles", 1.0, "files"),
        merge("a", "raw-bytes", 500.0, "bytes"),
        merge("a", "functions", 5.0, "functions"),
        fact("merge", "functions", 9.0, "functions"),
        fact("merge", "hot/core::fmt::write", 10.0, ""),
        fact("merge", "hot/operator/(A, B)", 12.0, ""),
    ]);
    let profile = sorted.profile.unwrap();
    assert_eq!((profile.files, profile.bytes, profile.functions), (3, 2500, 9));
    let workload = |name: &str, files, bytes, functions| WorkloadProfile {
        name: name.into(),
        files,
        bytes,
        functions,
        share: None,
    };
    assert_eq!(profile.workloads, [workload("b", 2, 2000, 7), workload("a", 1, 500, 5)]);
    assert_eq!(profile.hottest[0], Hot { function: "operator/(A, B)".into(), count: 12.0 });
    assert_eq!(sorted.facts.len(), 1);
}

#[test]
fn estimates_in_pairs_and_the_longest_inner_step_first() {
    let sorted = sort(vec![
        fact("bolt-stats", "dyno-before/taken branches", 100.0, ""),
        fact("bolt-stats", "dyno-before/only before", 100.0, ""),
        fact("bolt-stats", "dyno-after/taken branches", 80.0, ""),
        fact("bolt-stats", "bolt/functions", 12.0, ""),
        fact("m", "inner/Std { stage: 1 }", 2.0, "s"),
        fact("m", "inner/llvm", 30.0, "s"),
    ]);
    let bolt = sorted.bolt.unwrap();
    let taken = Estimate { name: "taken branches".into(), before: 100.0, after: 80.0 };
    assert_eq!(bolt.dyno, [taken]);
    assert_eq!(bolt.counts.len(), 1);
    let names: Vec<&str> = sorted.inner.iter().map(|inner| inner.name.as_str()).collect();
    assert_eq!(names, ["llvm", "Std { stage: 1 }"]);
    assert_eq!(sorted.profile, None);
}

#[test]
fn what_is_said() {
    // Of one step.
    let sentence = |facts: &[(&str, f64)]| {
        sentence(facts.iter().map(|(name, value)| Fact::number(*name, *value)).collect::<Vec<_>>().iter())
    };
    let facts = [("functions", 310.0), ("never-run", 75.8), ("largest-count", 9_829_101.0), ("read-by-LLVM", 22.0)];
    let text = "310 functions, 76 % never run, largest count 9,829,101, read by LLVM 22 and newer";
    assert_eq!(sentence(&facts).unwrap(), text);
    let facts = [("functions", 2.0), ("largest-count", 7.0), ("of-the-build", 50.0)];
    assert_eq!(sentence(&facts).unwrap(), "2 functions, largest count 7, 50.0 % of them of the instrumented build");
    // 1,400 of 1,425 are 98.245… %.
    let with = [("functions-in-program", 1425.0), ("without-profile", 100.0 * 25.0 / 1425.0)];
    let counted = [("functions-without-profile", 23.0), ("mismatched-functions", 2.0)];
    let text = "98.2 % of 1,425 functions in the program have a profile; of all that was compiled, 23 without, 2 with one of \
                other code";
    assert_eq!(sentence(&[with, counted].concat()).unwrap(), text);
    let text = "of all that was compiled, 23 without, 2 with one of other code";
    assert_eq!(sentence(&counted).unwrap(), text);
    let all = [("functions-in-program", 3.0), ("without-profile", 0.0), ("functions-without-profile", 0.0)];
    assert_eq!(sentence(&all).unwrap(), "100 % of 3 functions in the program have a profile");
    // llc of LLVM 19, of which two functions have none.
    let two = [("functions-in-program", 70_012.0), ("without-profile", 200.0 / 70_012.0)];
    let two = [two[0], two[1], ("functions-without-profile", 6184.0)];
    let text = "all but 2 of 70,012 functions in the program have a profile; of all that was compiled, 6,184 without";
    assert_eq!(sentence(&two).unwrap(), text);
    assert_eq!(sentence(&[("size", 1.0)]), None);
    let (rustc, llvm) = ("check-profile-use-rustc", "check-profile-use-llvm");
    let name = "functions-without-profile";
    let reported = [("x.py", "inner/llvm", 3.0), (rustc, name, 1.0), (llvm, name, 0.0)];
    let told = sentences(&reported.map(|(step, name, value)| Fact::number(name, value).of(&StepId::step(step))));
    let expected =
        ["rustc: of all that was compiled, 1 without", "llvm: every function that was compiled has a profile"];
    assert_eq!(told, expected);
}
