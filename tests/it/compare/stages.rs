//! Stages that compare, and stages whose workloads are compared with: real programs, whose differences are known beforehand.

use super::support::{PROGRAM, json, metric};
use crate::support::{Test, needs};
use serde_json::Value;

const PIPELINE: &str = r#"
name = "p"

[[stage]]
name = "build"
kind = "command"
shell = true
run = "cc -O1 -DWORK=2 -DMEMORY=4096 -DSTATUS=0 -DTEXT='\"x\"' ${pipeline.dir}/program.c -o old; cc -O1 -DWORK=1 -DMEMORY=4096 -DSTATUS=0 -DTEXT='\"x\"' ${pipeline.dir}/program.c -o new"
outputs = { old = "${self.build}/old", new = "${self.build}/new" }

[[stage]]
name = "compare"
kind = "compare"
base = "${build.old}"
candidate = "${build.new}"
base-env = { SIDE = "old" }
rounds = 6
budget = "9h"
sizes = { source = { base = "${pipeline.dir}/program.c", candidate = "${pipeline.dir}/program.c" } }
[[stage.workloads]]
name = "sum"
for = { count = ["1000000", "2000000"] }
run = ["{program}", "${count}"]
"#;

#[test]
fn a_stage_compares_what_others_made() {
    if !needs::instruction_counts() {
        return;
    }
    let test = Test::new([PIPELINE]).file("program.c", PROGRAM);
    let ran = test.run("").ok();
    assert!(ran.stderr.contains("compare.table") && ran.stderr.contains("max improvement"), "{}", ran.stderr);
    let paths = test.cmd("artifacts compare --json").ok().stdout.replace("[DIR]", test.dir.as_str());
    let paths: Value = serde_json::from_str(&paths).unwrap();
    let row = |name: &str| paths.as_array().unwrap().iter().find(|row| row["output"] == name).unwrap();
    // What was measured here is not true elsewhere.
    assert!(["out", "table", "json", "markdown"].iter().all(|name| row(name)["portable"] == false));
    let result: Value =
        serde_json::from_str(&std::fs::read_to_string(row("json")["path"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(result["base"]["name"], "build.old");
    assert_eq!(result["workloads"][1]["name"], "sum[count=2000000]");
    assert_eq!(metric(&result, 0, "instructions")["verdict"], "better");
    assert_eq!(result["sizes"][1]["name"], "source");
    assert!(test.run("").ok().stderr.contains("nothing to do"), "a comparison is not repeated");

    // The same by hand, with the stage's workloads and environment.
    let by_hand =
        "compare p.toml:build.old p.toml:build.new --workloads p.toml:compare --counter none --rounds 1 --json";
    let by_hand = json(&test.cmd(by_hand).ok());
    assert_eq!(by_hand["base"]["env"], serde_json::json!(["SIDE=old"]));
    assert_eq!(by_hand["workloads"][1]["command"], "{program} 2000000");
}

/// However a gather stage names its program, another one takes its place.
#[test]
fn the_workloads_of_a_gather_stage() {
    let pipeline = r#"
name = "p"

[[stage]]
name = "instrumented"
kind = "cmake"
source = "${pipeline.dir}"
pgo = "generate"
outputs = { app = "app" }

[[stage]]
name = "train"
kind = "gather"
instrumented = "${instrumented.app}"
[[stage.workloads]]
name = "word"
run = ["{program}", "1"]
[[stage.workloads]]
name = "line"
run = "{program} 2"
[[stage.workloads]]
name = "script"
shell = true
run = "{program} 3 | cat; {program} 4"
[[stage.workloads]]
name = "output"
run = ["${instrumented.app}", "5"]
[[stage.workloads]]
name = "env"
shell = true
env = { TOOL = "{program}" }
run = "$TOOL 6"
"#;
    let test = Test::new([pipeline]).file("program.c", PROGRAM);
    test.sh("cc -DWORK=1 -DMEMORY=4096 -DSTATUS=0 -DTEXT='\"x\"' program.c -o one; cp one two");
    let words = "compare ./one ./two --workloads p.toml:train --counter none --rounds 1 --json";
    let result = json(&test.cmd(words).ok());
    let commands: Vec<&str> =
        result["workloads"].as_array().unwrap().iter().map(|w| w["command"].as_str().unwrap()).collect();
    assert_eq!(
        commands,
        [
            "{program} 1",
            "{program} 2",
            "sh -eu -c '{program} 3 | cat; {program} 4'",
            "{program} 5",
            "sh -eu -c '$TOOL 6'"
        ],
        "{result:#}"
    );
    assert!(result["workloads"].as_array().unwrap().iter().all(|workload| workload["output"] == "same"));
    test.change("[\"{program}\", \"1\"]", "[\"true\"]");
    let refused = test.cmd(words);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("it runs neither `{program}` nor `${instrumented.app}`"), "{}", refused.stderr);
}

#[test]
fn a_stage_fails_above_its_limit_and_says_what() {
    if !needs::instruction_counts() {
        return;
    }
    let swapped = PIPELINE.replace("base = \"${build.old}\"", "base = \"${build.new}\"");
    let swapped =
        swapped.replace("candidate = \"${build.new}\"", "candidate = \"${build.old}\"\nfail-above = [\"1%\"]");
    let test = Test::new([swapped]).file("program.c", PROGRAM);
    let ran = test.run("");
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.stderr.contains("build.old is worse than build.new: `sum[count=1000000]`: instructions +"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("| max regression"), "its log has the table: {}", ran.stderr);
}

#[test]
fn a_stage_that_cannot_be() {
    let test =
        Test::new([PIPELINE.replace("\"{program}\", ", "\"true\", ").replace("base-env = { SIDE = \"old\" }\n", "")]);
    let ran = test.cmd("plan p.toml");
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    assert!(ran.stderr.contains("without `{program}` all sides would run the same"), "{}", ran.stderr);
    test.pipeline([PIPELINE.replace("rounds = 6", "fail-above = [\"1\"]")]);
    assert!(test.cmd("plan p.toml").stderr.contains("write it as `1%`"));
    test.pipeline([PIPELINE.replace("rounds = 6", "rounds = 0")]);
    let ran = test.cmd("plan p.toml");
    assert!(ran.stderr.contains("`rounds` is a number, at least 1"), "{}{}", ran.stdout, ran.stderr);
}
