//! `unless-slower`: what a comparison says is slower is not put in place. Instructions decide here, as one run has no times.

use super::support::PROGRAM;
use crate::support::{Ran, Test, needs};
use serde_json::Value;

const PIPELINE: &str = r#"
name = "p"

[vars]
old = 1
new = 2
text = "x"
measured = true

[outputs]
app = { from = "${build.new}", unless-slower = "compare" }
"table.md" = "${compare.markdown | build.old}"

[[stage]]
name = "build"
kind = "command"
shell = true
run = '''
mark build
cc -O1 -DWORK=${old} -DMEMORY=4096 -DSTATUS=0 -DTEXT='"x"' ${pipeline.dir}/program.c -o old
cc -O1 -DWORK=${new} -DMEMORY=4096 -DSTATUS=0 -DTEXT='"${text}"' ${pipeline.dir}/program.c -o new
'''
outputs = { old = "${self.build}/old", new = "${self.build}/new" }

[[stage]]
name = "compare"
kind = "compare"
when = "${measured}"
base = "${build.old}"
candidate = "${build.new}"
rounds = 1
counter = "valgrind"
budget = "9h"
[[stage.workloads]]
name = "sum"
run = ["{program}", "100000"]
"#;

fn test() -> Option<Test> {
    needs::instruction_counts().then(|| Test::new([PIPELINE]).file("program.c", PROGRAM))
}

fn withheld(ran: &Ran, test: &Test) {
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr.contains(
            "`app` was not put in place, because compare says: build.new is slower than build.old: instructions +"
        ),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("it lies in [DIR]/.optbuild/"), "{}", ran.stderr);
    assert!(ran.stderr.contains(" --put-anyway  # puts it in place all the same"), "{}", ran.stderr);
    assert!(ran.stderr.contains("slower, so not put in place: app"), "{}", ran.stderr);
    // What nobody asks a comparison about is there.
    assert!(test.exists("out/p/table.md"));
}

#[test]
fn what_is_slower_is_not_put_in_place() {
    let Some(test) = test() else { return };
    let ran = test.run("");
    withheld(&ran, &test);
    assert!(ran.stderr.contains("SLOWER: compare: build.new is slower than build.old"), "{}", ran.stderr);
    assert!(!test.exists("out/p/app"));
    // Nothing is made anew, and it is said again.
    let again = test.run("");
    withheld(&again, &test);
    assert!(again.marks.is_empty());
    assert!(test.cmd("resume").stderr.contains("not put in place: app"));
    let quiet = test.run("--quiet");
    assert!(quiet.stderr.contains("compare says: build.new is slower"), "{}", quiet.stderr);
    // Stages that were left out do not change what is known.
    withheld(&test.run("--until build"), &test);

    let put = test.run("--put-anyway").ok();
    assert!(put.stderr.contains("put in place: out/p/app"), "{}", put.stderr);
    assert!(test.exists("out/p/app"));
    let in_place = test.run("").ok();
    assert!(in_place.stderr.contains("nothing to do"), "{}", in_place.stderr);
}

#[test]
fn what_is_faster_is_put_in_place_and_stays_there() {
    let Some(test) = test() else { return };
    test.change("new = 2", "new = 0");
    let ran = test.run("").ok();
    assert!(ran.stderr.contains("build.new is faster than build.old: instructions -"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("SLOWER"), "{}", ran.stderr);
    let faster = std::fs::read(test.path("out/p/app")).unwrap();
    let ran = test.run("--set new=2");
    withheld(&ran, &test);
    assert!(ran.stderr.contains("what stands in [DIR]/out/p/app is still that of an earlier run"), "{}", ran.stderr);
    assert_eq!(std::fs::read(test.path("out/p/app")).unwrap(), faster);
}

#[test]
fn what_could_not_be_compared_is_not_put_in_place() {
    let Some(test) = test() else { return };
    let ran = test.run("--set text=y");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("does not print the same with both"), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("`app` was not put in place, because `compare` failed, so it is not known whether it is slower"),
        "{}",
        ran.stderr
    );
    assert!(!test.exists("out/p/app"));
}

#[test]
fn nobody_is_asked_where_nobody_compares() {
    let test = Test::new([PIPELINE]).file("program.c", PROGRAM);
    let _ = test.run("--set measured=false").ok();
    assert!(test.exists("out/p/app"));
    test.sh("rm -r out .optbuild");
    let _ = test.run("--until build").ok();
    assert!(test.exists("out/p/app"), "it was not asked for");
}

#[test]
fn everybody_hears_of_it() {
    let Some(test) = test() else { return };
    let test = test.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", "/dev/null");
    let ran = test.run("--json");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("::warning title=compare::build.new is slower than build.old"), "{}", ran.stderr);
    assert!(ran.stderr.contains("::error title=Not put in place::`app` was not put in place"), "{}", ran.stderr);
    let events: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let event = events.iter().find(|event| event["event"] == "output-withheld").unwrap();
    assert_eq!((&event["output"], &event["judge"]), (&"app".into(), &"compare".into()));
    assert_eq!(events.last().unwrap()["outcome"], "failed");

    let markdown = test.cmd("report --format md").ok().stdout;
    assert!(markdown.contains("❌ **build.new is slower than build.old: instructions +"), "{markdown}");
    assert!(markdown.contains("- `app` was not put in place, because compare says: "), "{markdown}");
    let json: Value = serde_json::from_str(&test.cmd("report --format json").ok().stdout).unwrap();
    assert_eq!(json["comparisons"][0]["result"]["verdict"]["says"], "slower");
    assert_eq!(json["withheld"][0]["output"], "app");
    let _ = test.cmd("report --format html -o page.html").ok();
    let page = test.read("page.html");
    assert!(page.contains("<p class=\"verdict worse\"><b>build.new is slower than build.old"));
    assert!(page.contains("`app` was not put in place, because compare says"));
}

#[test]
fn a_stage_that_compares_nothing_cannot_be_asked() {
    let test = Test::new([PIPELINE]).file("program.c", PROGRAM);
    test.change("unless-slower = \"compare\"", "unless-slower = \"build\"");
    let refused = test.cmd("plan p.toml");
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("the stage `build` compares nothing"), "{}", refused.stderr);
    test.change("unless-slower = \"build\"", "unless-slower = \"compere\"");
    let refused = test.cmd("plan p.toml").stderr;
    assert!(refused.contains("there is no stage `compere`") && refused.contains("compare"), "{refused}");
    test.change("unless-slower = \"compere\"", "unless-faster = \"compare\"");
    let refused = test.cmd("plan p.toml").stderr;
    assert!(refused.contains("has no key `unless-faster`"), "{refused}");
}

/// In a file that extends another, as the short form is one of the long one.
#[test]
fn another_file_can_ask_as_well() {
    let Some(test) = test() else { return };
    test.change("app = { from = \"${build.new}\", unless-slower = \"compare\" }", "app = \"${build.new}\"");
    let _ = test.run("").ok();
    test.sh("rm -r out");
    let test =
        test.file("q.toml", "extends = \"p.toml\"\nname = \"q\"\n[outputs]\napp = { unless-slower = \"compare\" }\n");
    let ran = test.cmd("run q.toml");
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(!test.exists("out/q/app"));
}
