//! Builds on the way from the base to the candidate: programs that do four, three and one times the work.

use super::support::{PROGRAM, json, metric};
use crate::support::{Test, needs};
use serde_json::Value;

fn programs(text_of_three: &str) -> Test {
    let test = Test::new(["name = 'p'\n"]).file("program.c", PROGRAM);
    for (name, work, text) in [("four", 4, "x"), ("three", 3, text_of_three), ("one", 1, "x")] {
        let defines = format!("-DWORK={work} -DMEMORY=4096 -DSTATUS=0 -DTEXT='\"{text}\"'");
        test.sh(&format!("cc -O1 {defines} program.c -o {name}"));
    }
    test
}

const WORDS: &str = "compare ./four ./one --step ./three";

#[test]
fn a_step_is_held_against_the_base() {
    if !needs::instruction_counts() {
        return;
    }
    let test = programs("x");
    let measured = format!("{WORDS} --counter valgrind --rounds 1");
    let result = json(&test.cmd(&format!("{measured} --json -- '{{program}}' 1000000")).ok());
    let step = &result["steps"][0];
    assert_eq!(step["build"]["name"], "./three");
    // A loop of the same instructions, three times instead of four: a quarter less, but for the start of the program.
    let change = metric(step, 0, "instructions")["change"].as_f64().unwrap();
    assert!((change + 0.25).abs() < 0.01, "{change}");
    let change = metric(&result, 0, "instructions")["change"].as_f64().unwrap();
    assert!((change + 0.75).abs() < 0.02, "{change}");
    assert_eq!(
        (&step["verdict"]["says"], &result["verdict"]["says"]),
        (&Value::from("faster"), &Value::from("faster"))
    );

    let table = test.cmd(&format!("{measured} -- '{{program}}' 1000000")).ok().stdout;
    let rows: Vec<&str> = table.lines().map(|line| line.split_whitespace().next().unwrap_or_default()).collect();
    assert_eq!(rows[..4], ["variant", "four", "three", "one"], "{table}");
    assert!(table.contains("three: ./three is faster than ./four: instructions -2"), "{table}");
}

/// As often as the others, which is in turns with them.
#[test]
fn a_step_is_timed_in_every_round() {
    let test = programs("x");
    let result =
        json(&test.cmd(&format!("{WORDS} --counter none --rounds 7 --precision 0% --json -- '{{program}}' 1000")).ok());
    let runs = |of: &Value| metric(of, 0, "wall-time")["candidate"]["values"].as_array().unwrap().len();
    assert_eq!((runs(&result), runs(&result["steps"][0])), (7, 7));
    let base = |of: &Value| metric(of, 0, "wall-time")["base"].clone();
    assert_eq!(base(&result), base(&result["steps"][0]), "the same runs");
}

#[test]
fn a_step_that_prints_something_else_is_refused() {
    let test = programs("y");
    let refused = test.cmd(&format!("{WORDS} --counter none -- '{{program}}' 10"));
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("./four: x done\n  ./three: y done"), "{}", refused.stderr);
    let refused = test.cmd(&format!("{WORDS} --base-env A=1 -- '{{program}}' 10"));
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("without an environment of their own"), "{}", refused.stderr);
}

/// Where BOLT is off, the program with PGO is the candidate and no step.
#[test]
fn the_candidate_is_no_step() {
    let test = programs("x");
    test.pipeline([r#"
name = "p"
[[stage]]
name = "build"
kind = "command"
shell = true
run = "cp ${pipeline.dir}/four ${pipeline.dir}/three ${pipeline.dir}/one ."
outputs = { four = "${self.build}/four", three = "${self.build}/three", one = "${self.build}/one" }
[[stage]]
name = "compare"
kind = "compare"
base = "${build.four}"
candidate = "${build.one}"
steps = ["${build.three}", "${build.one}"]
counter = "none"
rounds = 1
[[stage.workloads]]
name = "sum"
run = ["{program}", "10"]
"#]);
    let _ = test.run("").ok();
    let path = test.cmd("artifacts compare --json").ok().json();
    let path = path.as_array().unwrap().iter().find(|row| row["output"] == "json").unwrap()["path"].clone();
    let text = std::fs::read_to_string(path.as_str().unwrap().replace("[DIR]", test.dir.as_str())).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    let steps = result["steps"].as_array().unwrap();
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0]["build"]["name"], "build.three");
    test.change("counter = \"none\"", "counter = \"none\"\nbase-env = { A = \"1\" }");
    assert!(test.cmd("plan p.toml").stderr.contains("have no environment of their own"));
}
