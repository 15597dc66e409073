//! More than two builds at once: programs that do four, three and one times the work, and some that do not work.

use super::support::{PROGRAM, json, metric};
use crate::support::{Test, needs};
use serde_json::Value;

fn programs() -> Test {
    let test = Test::new(["name = 'p'\n"]).file("program.c", PROGRAM);
    for (name, work, text, status) in
        [("four", 4, "x", 0), ("three", 3, "x", 0), ("one", 1, "x", 0), ("wrong", 1, "y", 0), ("fails", 1, "x", 3)]
    {
        let defines = format!("-DWORK={work} -DMEMORY=4096 -DSTATUS={status} -DTEXT='\"{text}\"'");
        test.sh(&format!("cc -O1 {defines} program.c -o {name}"));
    }
    test
}

/// Changes are those of the work, but for the start of the program.
#[test]
fn each_side_is_held_against_its_base() {
    if !needs::instruction_counts() {
        return;
    }
    let test = programs();
    let costs = r#"{"format": 1, "sides": {"third": {"build": 61, "disk": 1048576}, "nobody": {}}}"#;
    let test = test.file("costs.json", costs);
    let words = "compare third=./three all=./four quarter=./one --base all --against quarter=third --costs costs.json \
                 --counter valgrind --rounds 1";
    let result = json(&test.cmd(&format!("{words} --json -- '{{program}}' 1000000")).ok());
    assert_eq!((&result["format"], &result["base"]["name"]), (&Value::from(3), &Value::from("all")));
    let sides = &result["sides"];
    assert_eq!((&sides[0]["build"]["name"], sides[0].get("against")), (&Value::from("third"), None));
    assert_eq!((&sides[1]["build"]["name"], &sides[1]["against"]), (&Value::from("quarter"), &Value::from("third")));
    let change = |side: usize| metric(&sides[side], 0, "instructions")["change"].as_f64().unwrap();
    assert!((change(0) + 0.25).abs() < 0.01, "{}", change(0));
    // A third of it.
    assert!((change(1) + 0.667).abs() < 0.02, "{}", change(1));
    // Two tests of each metric, of one run a side: so nothing is known of times.
    assert_eq!(
        (&result["correction"]["method"], &result["correction"]["tests"]),
        (&Value::from("holm"), &Value::from(2))
    );
    assert_eq!(metric(&sides[0], 0, "wall-time")["verdict"], "unknown");
    assert_eq!(sides[0]["build"]["cost"]["build"], 61.0);

    let table = test.cmd(&format!("{words} -- '{{program}}' 1000000")).ok().stdout;
    let row =
        |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {table}"));
    assert!(row("all (base)").contains("KiB"), "{table}");
    assert!(row("third ").contains("-2") && row("third ").ends_with("1 m 01 s  1.0 MiB"), "{table}");
    assert!(row("quarter (to third)").contains("-6"), "{table}");
}

/// What prints something else, or fails, is a row that says why. The others are measured.
#[test]
fn a_side_that_does_not_work_is_left_out() {
    let test = programs();
    let words = "compare ./four ./wrong ./three ./fails --counter none --rounds 8 --precision 0%";
    let result = json(&test.cmd(&format!("{words} --json -- '{{program}}' 1000")).ok());
    let missing = |side: usize| result["sides"][side]["missing"].as_str().unwrap_or_default().to_owned();
    assert!(missing(0).contains("./four: x done\n  ./wrong: y done"), "{result:#}");
    assert_eq!(missing(1), "");
    assert!(missing(2).contains("exited with status 3") || missing(2).contains("status 3"), "{}", missing(2));
    let wall = metric(&result["sides"][1], 0, "wall-time");
    assert_eq!(wall["base"]["values"].as_array().unwrap().len(), 8);
    assert_eq!(wall["candidate"]["values"].as_array().unwrap().len(), 8);

    let refused = test.cmd("compare ./four ./wrong ./fails --counter none -- '{program}' 10");
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("there are fewer than two builds to compare; ./wrong: "), "{}", refused.stderr);
    // A limit is not kept by what was not measured.
    let limit = test.cmd(&format!("{words} --fail-above 1000% -- '{{program}}' 10"));
    assert_eq!(limit.code, Some(1), "{}", limit.stderr);
    assert!(limit.stderr.contains("cannot be answered for wrong: "), "{}", limit.stderr);
}

#[test]
fn what_makes_no_sense_is_refused() {
    let test = programs();
    for (words, expected) in [
        ("./four", "name two builds or more"),
        ("./four ./one ./one", "two builds are called `./one`"),
        ("./four ./one ./three --base none", "there is no side `none`"),
        ("./four ./one ./three --against ./one=x", "there is no side `x`"),
        ("./four ./one ./three --step ./one", "are for a base and a candidate"),
        ("./four ./one ./three --base-env A=1", "`--side-env NAME:VARIABLE=VALUE`"),
        ("./four ./one ./three --side-env A=1", "begins with no side"),
    ] {
        let refused = test.cmd(&format!("compare {words} -- '{{program}}' 10"));
        assert_eq!(refused.code, Some(2), "{words}: {}", refused.stderr);
        assert!(refused.stderr.contains(expected), "{words}: {}", refused.stderr);
    }
}

/// `--emit-relocs` of the linker is all that differs.
#[test]
fn why_a_file_is_larger() {
    let test = programs();
    test.sh("cc -O1 -DWORK=4 -DMEMORY=4096 -DSTATUS=0 -DTEXT='\"x\"' program.c -Wl,--emit-relocs -o kept");
    let words = "compare ./four ./kept --counter none --rounds 1";
    let result = json(&test.cmd(&format!("{words} --json -- '{{program}}' 10")).ok());
    let why = result["sizes"][0]["why"].as_str().unwrap_or_else(|| panic!("{result:#}"));
    assert!(why.starts_with(char::is_numeric) && why.contains("relocations that the linker kept"), "{why}");
    let table = test.cmd(&format!("{words} -- '{{program}}' 10")).ok().stdout;
    assert!(table.contains("of that") && table.contains("relocations"), "{table}");
    // The other way round it is smaller, and nothing is said.
    let result = json(&test.cmd("compare ./kept ./four --counter none --rounds 1 --json -- '{program}' 10").ok());
    assert_eq!(result["sizes"][0].get("why"), None);
}

const PIPELINE: &str = r#"
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
base-side = "plain"
counter = "none"
rounds = 8
[[stage.sides]]
name = "one"
program = "${build.one}"
base = "three"
env = { SIDE = "one" }
[[stage.sides]]
name = "plain"
program = "${build.four}"
description = "as it is"
sizes = { source = "${pipeline.dir}/program.c" }
[[stage.sides]]
name = "fat"
missing = "the linker ran out of memory"
[[stage.sides]]
name = "three"
program = "${build.three}"
sizes = { source = "${pipeline.dir}/program.c" }
[[stage.workloads]]
name = "sum"
run = ["{program}", "10"]
"#;

#[test]
fn a_stage_with_sides() {
    let test = programs();
    test.pipeline([PIPELINE]);
    let _ = test.run("").ok();
    let path = test.cmd("artifacts compare --json").ok().json();
    let path = path.as_array().unwrap().iter().find(|row| row["output"] == "json").unwrap()["path"].clone();
    let text = std::fs::read_to_string(path.as_str().unwrap().replace("[DIR]", test.dir.as_str())).unwrap();
    let result: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&result["base"]["name"], &result["base"]["description"]), (&"plain".into(), &"as it is".into()));
    let names: Vec<&Value> = result["sides"].as_array().unwrap().iter().map(|side| &side["build"]["name"]).collect();
    assert_eq!(names, ["one", "fat", "three"]);
    assert_eq!(
        (&result["sides"][0]["against"], &result["sides"][0]["build"]["env"][0]),
        (&"three".into(), &"SIDE=one".into())
    );
    assert_eq!(result["sides"][1]["missing"], "the linker ran out of memory");
    assert_eq!(result["sides"][2]["sizes"][1]["name"], "source");

    // A row of the picture for each, and in the table why one is not there.
    let _ = test.cmd("report -o page.html").ok();
    let page = test.read("page.html");
    let rows: Vec<&str> = page.split(" data-variant=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(rows, ["plain (base)", "one (to three)", "fat", "three"]);
    assert_eq!(page.matches("not measured: the linker ran out of memory").count(), 2);
    assert!(page.contains("class=\"whisker") || page.contains("class=\"dot"), "{page}");

    // What a side is said to be, and what it cost, are no reason to measure again.
    test.change("as it is", "as it was");
    test.change("rounds = 8", "rounds = 8\ncosts = \"/nowhere/costs.json\"");
    assert!(test.run("").ok().stderr.contains("nothing to do"));
    test.change("ran out of memory", "was killed");
    assert!(!test.run("").ok().stderr.contains("nothing to do"));
}

#[test]
fn sides_that_make_no_sense() {
    let test = programs();
    for (from, to, expected) in [
        ("base-side = \"plain\"", "base-side = \"plan\"", "there is no side `plan`"),
        ("base = \"three\"", "base = \"tree\"", "there is no side `tree`"),
        ("missing = \"the linker ran out of memory\"", "", "needs either `program` or `missing`"),
        ("name = \"fat\"", "name = \"plain\"", "there are two sides of the name `plain`"),
        ("counter = \"none\"", "candidate = \"${build.one}\"", "`candidate` does not go with `sides`"),
    ] {
        test.pipeline([PIPELINE]);
        test.change(from, to);
        let refused = test.cmd("plan p.toml");
        assert!(refused.stderr.contains(expected), "{expected}: {}", refused.stderr);
    }
}
