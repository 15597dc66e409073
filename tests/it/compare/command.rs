//! `optbuild compare`: real programs, whose differences are known beforehand.

use std::process::Command;

use super::support::{PROGRAM, json, metric};
use crate::support::processes::{all, eventually, has_ended, parent, patiently};
use crate::support::{OPTBUILD, Test, needs};
use serde_json::Value;

/// Programs with the macros of `PROGRAM` as given, in the directory.
fn test(programs: &[(&str, &str)]) -> Test {
    let test = Test::new([""]).file("program.c", PROGRAM);
    for (name, macros) in programs {
        let defaults = ["WORK=1", "MEMORY=4096", "TEXT=\"x\"", "STATUS=0"];
        let given: Vec<&str> = macros.split_whitespace().collect();
        let named = |default: &&&str| {
            let name = default.split('=').next().unwrap();
            !given.iter().any(|macro_| macro_.split('=').next() == Some(name))
        };
        let all = defaults.iter().filter(named).copied().chain(given.iter().copied());
        let mut cc = Command::new("cc");
        cc.args(all.map(|macro_| format!("-D{macro_}"))).args(["-O1", "program.c", "-o", name]);
        assert!(cc.current_dir(&test.dir).status().unwrap().success());
    }
    test
}

/// The candidate does half of the base's work: what starting takes is little beside it.
#[test]
fn half_of_the_work_is_half_of_the_instructions() {
    if !needs::instruction_counts() {
        return;
    }
    let test = test(&[("base", "WORK=2"), ("half", "WORK=1 MEMORY=33554432")]);
    let ran = test.cmd("compare ./base ./half --rounds 6 --budget 9h --json --workload 'long={program} 20000000'").ok();
    let result = json(&ran);
    let instructions = metric(&result, 0, "instructions");
    let change = instructions["change"].as_f64().unwrap();
    // 8192 pages are written as well, which is nothing beside 20 million rounds.
    assert!((-0.51..-0.49).contains(&change), "{instructions:#}");
    assert_eq!(instructions["verdict"], "better");
    let method = result["counter"]["method"].as_str().unwrap();
    if method == "valgrind" {
        assert_eq!((&instructions["base"]["runs"], &instructions["candidate"]["runs"]), (&2.into(), &2.into()));
        assert!(
            result["counter"]["because"].is_string()
                && result["counter"]["name"].as_str().unwrap().contains("cachegrind")
        );
    }
    let memory = metric(&result, 0, "peak-memory");
    let grown = memory["candidate"]["median"].as_f64().unwrap() - memory["base"]["median"].as_f64().unwrap();
    // 32 MiB of which every page was written, less what the process that starts it has at least.
    assert!((26e6..34e6).contains(&grown), "{memory:#}");
    assert_eq!(memory["verdict"], "worse");
    let faults = metric(&result, 0, "page-faults");
    assert!(faults["candidate"]["median"].as_f64() > faults["base"]["median"].as_f64(), "{faults:#}");
    for name in ["wall-time", "user-time", "system-time"] {
        let runs = &metric(&result, 0, name)["base"];
        assert_eq!((runs["runs"].as_u64(), runs["values"].as_array().unwrap().len()), (Some(6), 6));
        assert_eq!(runs["interval"].as_array().unwrap().len(), 2);
    }
    assert_eq!(result["workloads"][0]["output"], "same");
    assert_eq!(result["workloads"][0]["command"], "{program} 20000000");
    assert_eq!(result["sizes"][0]["base"], test.path("base").metadata().unwrap().len());
    assert_eq!(result["budget"]["left-out"], serde_json::json!([]));
    assert!(ran.stderr.contains("planned: 1 workload with at least 6 runs a side"), "{}", ran.stderr);
}

#[test]
fn the_same_program_has_no_change() {
    if !needs::instruction_counts() {
        return;
    }
    let test = test(&[("one", "")]);
    std::fs::copy(test.path("one"), test.path("two")).unwrap();
    let ran = test.cmd("compare ./one ./two --rounds 6 --budget 9h --json --fail-above 0% -- {program} 100000").ok();
    let result = json(&ran);
    assert_eq!(metric(&result, 0, "instructions")["verdict"], "no-change");
    assert_eq!(result["workloads"][0]["name"], "100000");
}

#[test]
fn a_table_markdown_and_a_limit() {
    if !needs::instruction_counts() {
        return;
    }
    let test = test(&[("base", "WORK=1"), ("slow", "WORK=2")]);
    let words =
        "compare ./base ./slow --rounds 6 --budget 9h --workload 'a={program} 300000' --workload 'b={program} 600000'";
    let table = test.cmd(words).ok().stdout;
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines[0].starts_with("workload ") && lines[0].contains("instructions"), "{table}");
    assert!(lines[1].starts_with("a ") && lines[2].starts_with("b ") && lines[3].starts_with("mean "), "{table}");
    assert!(table.contains("max regression") && table.contains("./base → ./slow; negative is better"), "{table}");
    let failed = test.cmd(&format!("{words} --markdown --fail-above 1%"));
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(failed.stdout.starts_with("❌ **./slow is slower than ./base: "), "{}", failed.stdout);
    assert!(failed.stdout.contains("\n\n| workload |"), "{}", failed.stdout);
    assert!(failed.stderr.contains("\n./slow is slower than ./base: "), "{}", failed.stderr);
    assert!(failed.stderr.contains("worse: `a`: instructions +"), "{}", failed.stderr);
    let _ = test.cmd(&format!("{words} --fail-above instructions=200%")).ok();
    // What nobody knows does not pass.
    let few = words.replace("--rounds 6", "--rounds 2 --counter none");
    let unknown = test.cmd(&format!("{few} --fail-above 1000%"));
    assert_eq!(unknown.code, Some(1), "{}", unknown.stderr);
    let says = "`--fail-above 1000%` cannot be answered for `b`: wall time: 2 of at least 6 runs a side";
    assert!(unknown.stderr.contains(says), "{}", unknown.stderr);
    assert!(!unknown.stderr.contains("worse:"), "{}", unknown.stderr);
}

#[test]
fn builds_that_do_something_else_are_not_compared() {
    let test = test(&[("base", ""), ("other", "TEXT=\"y\""), ("fails", "STATUS=3")]);
    let refused = |words: &str, says: &str| {
        let ran = test.cmd(&format!("compare {words}"));
        assert_eq!(ran.code, Some(1), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{words}: {}", ran.stderr);
    };
    refused("./base ./other -- {program} 1", "differ first in line 1:\n  ./base: x done\n  ./other: y done");
    refused("./base ./fails -- {program} 1", "`1` exited with status 3 with ./fails; if it may, say so");
    refused(
        "./base ./fails --allow-failure -- {program} 1",
        "exited with status 0 with ./base and exited with status 3",
    );
    refused("./base ./base -- sh -c '{program} 1; date +%N'", "prints something else each time");
    refused("./base ./base -- {program}", "was killed by SIGSEGV with ./base");
    // The program is named, and something else is run; with an environment of its own each side may run anything.
    refused(
        "./base ./base -- sh -c 'echo {program}'",
        "does not start ./base, nor what stands beside it, so something else would be measured",
    );
    let quick = "--counter none --rounds 1";
    for env in ["--base-env X=1 --candidate-env X=2", "--candidate-env X=2"] {
        let _ = test.cmd(&format!("compare ./base ./other {quick} {env} --ignore-output -- sh -c 'echo $X'")).ok();
    }
    let same = "--base-env X=1 --candidate-env X=1 -- sh -c 'echo {program} > /dev/null'";
    refused(&format!("./base ./base {same}"), "does not start ./base");
    // What stands beside it is of the same build; it was listed, and not started.
    test.sh("mkdir one two; cp base one; cp base two; cp base one/more; cp base two/more");
    let _ = test.cmd(&format!("compare one/base two/base {quick} -- sh -c '$(dirname {{program}})/more 1'")).ok();
    refused("one/base two/base -- sh -c 'ls -l $(dirname {program}) > /dev/null'", "does not start one/base");
    let _ = test.cmd(&format!("compare ./base ./other {quick} --ignore-output -- {{program}} 1")).ok();
    let both = test.cmd(&format!("compare ./fails ./fails {quick} --allow-failure -- {{program}} 1")).ok();
    assert!(both.stdout.contains("left out: `1`: 1 of at least 6 runs a side"), "{}", both.stdout);
    assert!(both.stdout.contains("in brackets: too few runs"), "{}", both.stdout);
}

/// Errors of what was asked for, before anything runs.
#[test]
fn what_makes_no_sense_is_told_at_once() {
    let test = test(&[("a", "")]).file("data", "");
    let pipeline = "[[stage]]\nname = 's'\nkind = 'command'\nrun = ['true']\n";
    let test = test.file("p.toml", pipeline);
    for (words, says) in [
        ("./a ./a", "say what is run"),
        ("./a ./a -- ./a 1", "`./a 1` would run the same on all sides"),
        ("./a ./gone -- {program}", "there is no [DIR]/./gone"),
        ("./a ./data -- {program}", "cannot be executed"),
        ("./a . -- {program}", "without `bin/rustc`"),
        ("./a p.toml:s.out -- {program}", "stage `s` has not been run here: `optbuild run p.toml --until s`"),
        ("./a p.toml:t.out -- {program}", "no stage `t`"),
        ("./a ./a --workloads p.toml:s", "only stages of kind `compare` or `gather`"),
        ("./a ./a --workload 'x' -- {program}", "`x` is no workload"),
        ("./a ./a --workload 'x={program}' --workload 'x={program} 1'", "two workloads of the name `x`"),
        ("./a ./a --rustc-perf .", "measures toolchains"),
        ("./a ./a --base-env X -- {program}", "`X` is not NAME=VALUE"),
        ("./a ./a --fail-above 1 -- {program}", "write it as `1%`"),
        ("./a ./a --rounds 0 -- {program}", "invalid value '0' for '--rounds <N>'"),
    ] {
        let ran = test.cmd(&format!("compare {words}"));
        assert_eq!(ran.code, Some(2), "{words}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{words}: {}", ran.stderr);
    }
}

/// A budget that the first run takes.
#[test]
fn a_budget_that_is_over_before_it_began() {
    let test = test(&[("a", "")]);
    // On a slow machine the first run may be ended for it.
    patiently(|_| {
        let ran = test.cmd("compare ./a ./a --budget 1ms -- {program} 1").code(1);
        let over = ran.stderr.contains("over before anything was measured");
        assert!(over || ran.stderr.contains("takes longer than the budget of"), "{}", ran.stderr);
        over
    });
}

/// A first run that would take longer than the budget. What it started ends with it.
#[test]
fn a_first_run_that_takes_longer_than_the_budget() {
    let test = Test::new([""]);
    let slow = test.program("slow", &format!("sleep 3000 & echo $! > {}/pid\nwait", test.aside));
    let ran = test.cmd(&format!("compare {slow} {slow} --budget 500ms -- {{program}}"));
    assert_eq!(ran.code, Some(1), "{}", ran.stdout);
    assert!(ran.stderr.contains("one run of `run` takes longer than the budget of 0.50 s: with "), "{}", ran.stderr);
    let pid = std::fs::read_to_string(test.aside.join("pid")).unwrap();
    assert!(ends(pid.trim()), "{pid} lives on");
}

/// Whatever ends a comparison, nothing of what it measures lives on.
#[test]
fn what_is_measured_ends_with_the_comparison() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let test = Test::new([""]);
        let pid = test.aside.join("pid");
        // In a group of its own as well: only its parent tells whose it is.
        let script = format!(
            "setsid sh -c 'sleep 3000; true' & sh -c 'echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 3000; true'"
        );
        let slow = test.program("slow", &script);
        let mut compare = Command::new(OPTBUILD);
        compare.args(["compare", slow.as_str(), slow.as_str(), "--", "{program}"]).current_dir(&test.dir);
        let mut compare = compare.stderr(std::process::Stdio::null()).spawn().unwrap();
        assert!(eventually(|| pid.exists()), "it was not started");
        let below = below(compare.id());
        assert!(below.len() >= 5, "the measuring process, three shells, and what they wait for: {below:?}");
        kill_process(Pid::from_child(&compare), signal).unwrap();
        let status = compare.wait().unwrap();
        assert_eq!(status.code(), (signal != Signal::KILL).then_some(130), "{signal:?}: {status}");
        for pid in below {
            assert!(ends(&pid), "{signal:?}: {pid} lives on");
        }
    }
}

#[test]
fn nothing_goes_on_behind_a_run_and_nothing_stays() {
    let test = test(&[("a", "")]);
    test.sh("mkdir tmp; cp a b");
    let command = "{program} 1; sleep 3000 & echo $! >> pids";
    let words = format!("--counter none --rounds 2 --budget 9h -- sh -c '{command}'");
    // Whoever reads what it says has gone after the first line.
    test.sh(&format!("TMPDIR=$PWD/tmp {} compare ./a ./b {words} 2>&1 | head -n 1 > first", OPTBUILD));
    assert!(!test.read("first").is_empty());
    let pids = test.read("pids");
    // The first runs, and two rounds.
    assert_eq!(pids.lines().count(), 6, "{pids}");
    assert!(pids.lines().all(ends), "{pids}");
    assert_eq!(test.files_below("tmp"), Vec::<camino::Utf8PathBuf>::new());
}

/// Whether a process ends.
fn ends(pid: &str) -> bool {
    eventually(|| has_ended(pid.trim().parse().unwrap()))
}

/// The processes below one.
fn below(pid: u32) -> Vec<String> {
    let parents: Vec<(i32, Option<i32>)> = all().into_iter().map(|pid| (pid, parent(pid))).collect();
    let mut found = vec![pid as i32];
    // Parents may be listed after their children.
    for _ in 0..5 {
        for (pid, parent) in &parents {
            if parent.is_some_and(|parent| found.contains(&parent)) && !found.contains(pid) {
                found.push(*pid);
            }
        }
    }
    found.iter().skip(1).map(ToString::to_string).collect()
}

/// Each side has an environment of its own, which decides what the same program does.
#[test]
fn sides_with_an_environment_of_their_own() {
    let test = test(&[("a", "")]);
    let words = "compare ./a ./a --counter none --rounds 6 --json --base-env N=1 --candidate-env N=30000000";
    let result = json(&test.cmd(&format!("{words} -- sh -c '{{program}} $N'")).ok());
    assert_eq!(metric(&result, 0, "user-time")["verdict"], "worse");
    assert_eq!(result["base"]["env"], serde_json::json!(["N=1"]));
}

#[test]
fn the_schema_of_the_result() {
    let schema: Value = serde_json::from_str(&Test::new([""]).cmd("compare --schema").ok().stdout).unwrap();
    assert_eq!(schema["title"], "Comparison");
    assert_eq!(schema["$defs"]["Verdict"]["oneOf"].as_array().unwrap().len(), 4);
}
