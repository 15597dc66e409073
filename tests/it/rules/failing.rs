//! What a failure means: for the stage, for those that depend on it, for the run.

use crate::support::processes::patiently;
use crate::support::{Test, stage};

#[test]
fn when_switches_a_stage_off() {
    let test = Test::new([
        "[vars]\nfast = true\n".to_owned(),
        stage("a", "when = '${fast}'", ""),
        stage("b", "needs = ['a']", ""),
    ]);
    test.run("--set fast=false").runs("b");
    let _ = test.cmd("plan p.toml --set fast=false").ok().out("a (command): off");
    // `b` needs nothing of `a` but its being done.
    test.run("").runs("a");
}

#[test]
fn a_reference_takes_the_first_output_whose_stage_is_on() {
    let test = fallback("when = '${fast}'", "");
    test.run("").runs("plain bolt use");
    assert_eq!(used(&test), "bolt\n");
    test.run("--set fast=false").runs("use");
    assert_eq!(used(&test), "plain\n");
}

#[test]
fn the_choice_is_part_of_the_consumers_fingerprint() {
    // Equal content does not make it the same choice.
    let test = Test::new([
        "[vars]\nfast = true\n".to_owned(),
        stage("plain", "", "echo 1 > ${self.out}/f"),
        stage("bolt", "when = '${fast}'", "echo 1 > ${self.out}/f"),
        stage("use", "", "echo ${bolt.out | plain.out} > ${self.out}/f"),
    ]);
    test.run("").runs("plain bolt use");
    test.run("--set fast=false").runs("use");
    test.run("").runs("");
    test.run("--set fast=false").runs("");
}

/// `use` prefers `bolt` and can do with `plain`.
fn fallback(keys: &str, script: &str) -> Test {
    Test::new([
        "[vars]\nfast = true\n".to_owned(),
        stage("plain", "", "echo plain > ${self.out}/f"),
        stage("bolt", keys, &format!("{script}\necho bolt > ${{self.out}}/f")),
        stage("use", "", "cat ${bolt.out | plain.out}/f > ${self.out}/f"),
    ])
}

fn used(test: &Test) -> String {
    let rows = test.cmd("artifacts use --json").json();
    test.read(&format!("{}/f", rows[0]["path"].as_str().unwrap().replace("[DIR]/", "")))
}

#[test]
fn a_reference_takes_the_fallback_when_a_stage_failed_under_continue() {
    let test = fallback("on-failure = 'continue'", "false");
    let _ = test.run("").ok().ran("plain bolt use").err("bolt failed, tolerated");
    assert_eq!(used(&test), "plain\n");
}

#[test]
fn a_reference_without_fallback_to_a_stage_that_is_off_is_an_error_at_load() {
    let test = Test::new([stage("a", "when = false", ""), stage("b", "", "ls ${a.out}")]);
    let _ = test.run("").code(2).err("`a.out` does not exist: the stage `a` is switched off").err("p.toml:").ran("");
    let test =
        Test::new([stage("a", "when = false", ""), stage("b", "when = false", "ls ${a.out}"), stage("c", "", "")]);
    test.run("").runs("c");
}

#[test]
fn the_consumer_of_a_stage_that_failed_under_continue_is_blocked() {
    let test = Test::new([
        stage("a", "on-failure = 'continue'", "false"),
        stage("b", "", "ls ${a.out}"),
        stage("c", "needs = ['b']", ""),
        stage("d", "", ""),
    ]);
    let _ = test.run("").ok().ran("a d").err("b: blocked").err("c: blocked");
    // What is not tried again blocks again.
    let _ = test.run("").ok().ran("");
    let _ = test.cmd("status p.toml --json").ok().out("\"blocked\"").out("\"failed\"");
}

#[test]
fn a_run_whose_only_failures_are_tolerated_exits_with_0_and_says_so_and_with_1_under_strict() {
    let test = Test::new([stage("a", "on-failure = 'continue'", "is-ready"), stage("b", "", "")]);
    test.program("is-ready", "false");
    let _ = test.run("").ok().ran("a b").err("1 failed, tolerated");
    let _ = test.run("--strict").code(1).ran("");
    let _ = test.run("--strict --from a").code(1).ran("a");
    let test = Test::new([stage("a", "on-failure = 'continue'", "")]);
    test.run("--strict").runs("a");
}

#[test]
fn a_tolerated_failure_is_tried_again_with_from_or_when_its_fingerprint_changed() {
    let test = Test::new([stage("a", "on-failure = 'continue'\n#", "is-ready")]);
    test.program("is-ready", "false");
    let _ = test.run("").ok().ran("a");
    let _ = test.run("").ok().ran("");
    let _ = test.run("--from a").ok().ran("a");
    let _ = test.run("").ok().ran("");
    test.change("#", "env = { X = '1' }");
    let _ = test.run("").ok().ran("a");
    test.program("is-ready", "true");
    test.run("--from a").runs("a");
    test.run("").err("nothing to do").runs("");
}

#[test]
fn whether_a_failure_is_tolerated_is_asked_in_each_run() {
    let test = Test::new([stage("a", "on-failure = 'continue'", "false")]);
    let _ = test.run("").ok().ran("a");
    test.change("'continue'", "'stop'");
    let _ = test.run("").code(1).ran("a");
}

#[test]
fn a_failing_check_is_the_stages_failure() {
    let test = Test::new([stage("a", "check = ['grep -q good ${self.out}/f']", "cat-state > ${self.out}/f")]);
    test.program("cat-state", "echo bad");
    let _ = test.run("").code(1).ran("a").err("a: failed in check-1");
    let _ = test.run("").code(1).ran("a");
    test.program("cat-state", "echo good");
    test.run("").runs("a");
    test.run("").runs("");
}

#[test]
fn every_kind_takes_checks() {
    let verify =
        "[[stage]]\nname = 'v'\nkind = 'verify'\ntests = [{ name = 't', run = 'mark v' }]\ncheck = ['false']\n";
    let _ = Test::new([verify]).run("").code(1).ran("v").err("v: failed in check-1");
}

#[test]
fn a_failing_check_under_continue_makes_consumers_fall_back() {
    let test = fallback("on-failure = 'continue'\ncheck = ['false']", "");
    let _ = test.run("").ok().ran("plain bolt use");
    assert_eq!(used(&test), "plain\n");
}

#[test]
fn checks_see_the_stage() {
    let keys =
        "env = { X = '1' }\ncheck = [['test', '${self.out}/f', '-ef', 'f'], { run = 'test $X = 1', shell = true }]";
    let test = Test::new([stage("a", keys, "echo 1 > f; ln f ${self.out}/f")]);
    test.run("").runs("a");
}

#[test]
fn when_a_stage_fails_no_new_stage_starts_and_running_ones_finish() {
    let test = beside();
    let run = test.start("-j 2");
    run.wait_for("a").wait_for("b");
    test.open("a");
    // `b` waits until the failure of `a` is known.
    run.wait_for_event(&["\"stage-finished\"", "\"stage\":\"a\"", "\"failed\""]);
    test.open("b");
    let _ = run.end().code(1).ran_sorted("a b b-end");
    test.program("fail-once", "true");
    let _ = test.run("-j 2").ok().ran_sorted("a c");
}

/// `a` fails while `b` runs; `c` depends on neither, `d` on `a`.
fn beside() -> Test {
    let test = Test::new([
        stage("a", "jobs = 1", "gate a; fail-once"),
        stage("b", "jobs = 1", "gate b; mark b-end"),
        stage("c", "jobs = 2", ""),
    ]);
    test.program("fail-once", "exit 1");
    test
}

#[test]
fn fail_fast_ends_running_stages() {
    let test = beside();
    let run = test.start("-j 2 --fail-fast");
    run.wait_for("a").wait_for("b");
    test.open("a");
    let _ = run.end().code(1).ran_sorted("a b");
}

#[test]
fn keep_going_also_starts_what_does_not_depend_on_it() {
    let test = Test::new([
        stage("a", "", "false"),
        stage("b", "", "ls ${a.out}"),
        stage("c", "needs = ['a']", ""),
        stage("d", "", ""),
    ]);
    let _ = test.run("--keep-going").code(1).ran("a d").err("b: blocked").err("c: blocked");
    let _ = test.run("--keep-going --fail-fast").code(2);
}

#[test]
fn keep_going_takes_fallbacks_only_for_failures_that_are_tolerated() {
    // What a failed stage would have made is not what the pipeline asks for.
    let test = fallback("", "false");
    let _ = test.run("--keep-going").code(1).ran("plain bolt").err("use: blocked");
}

#[test]
fn retries_repeat_the_failed_step_in_the_kept_build_directory() {
    let script = "echo again >> runs; [ $(wc -l < runs) = 3 ]";
    let test = Test::new([stage("a", "retries = 2", script)]);
    test.run("").runs("a a a");
    let test = Test::new([stage("a", "retries = 1", script)]);
    let _ = test.run("").code(1).ran("a a");
}

#[test]
fn only_the_failed_step_is_repeated() {
    let verify = "[[stage]]\nname = 'v'\nkind = 'verify'\nretries = 1\n\
                  tests = [{ name = 'one', run = 'mark one' }, { name = 'two', run = 'second-time' }]\n";
    let test = Test::new([verify]);
    test.program("second-time", &format!("mark two; [ -e {0} ] || {{ touch {0}; false; }}", test.path("once")));
    test.run("").runs("one two two");
}

#[test]
fn a_check_is_never_repeated() {
    let test = Test::new([stage("a", "retries = 3\ncheck = [{ run = 'mark check; false', shell = true }]", "")]);
    let _ = test.run("").code(1).ran("a check");
}

#[test]
fn nothing_is_repeated_after_an_interrupt() {
    let test = Test::new([stage("a", "retries = 3", "gate go")]);
    let run = test.start("");
    run.wait_for("a").interrupt();
    let _ = run.end().code(130).ran("a");
}

#[test]
fn a_timeout_is_a_failure() {
    let test = Test::new([stage("a", "timeout = '200ms'", "gate never; mark late")]);
    let ran = test.run("").code(1).err("its timeout of 0.20 s");
    assert!(!ran.marks.contains(&"late".to_owned()), "{:?}", ran.marks);
}

#[test]
fn a_timeout_counts_the_running_time_of_one_attempt() {
    // All three together take longer than the timeout, each of them less than half of it.
    patiently(|scale| {
        let keys = format!("timeout = '{}s'\nretries = 2", 2 * scale);
        let sleep = 0.8 * f64::from(scale);
        let test = Test::new([stage("a", &keys, &format!("echo >> runs; sleep {sleep}; [ $(wc -l < runs) = 3 ]"))]);
        let ran = test.run("");
        ran.code == Some(0) && ran.marks == ["a", "a", "a"]
    });
}

#[test]
fn an_attempt_that_took_too_long_is_repeated() {
    patiently(|scale| {
        let keys = format!("timeout = '{}ms'\nretries = 1", 300 * scale);
        let test = Test::new([stage("a", &keys, "echo >> runs; [ $(wc -l < runs) = 2 ] || gate never")]);
        let ran = test.run("");
        ran.code == Some(0) && ran.marks == ["a", "a"]
    });
}

#[test]
fn an_interrupt_is_no_failure_that_could_be_tolerated() {
    let test = Test::new([stage("a", "on-failure = 'continue'", "gate go")]);
    let run = test.start("");
    run.wait_for("a").interrupt();
    let _ = run.end().code(130);
    test.open("go");
    test.run("").runs("a");
}

#[test]
fn what_fail_fast_ended_has_not_failed() {
    let test = beside();
    test.change("name = 'b'", "name = 'b'\non-failure = 'continue'");
    let run = test.start("-j 2 --fail-fast");
    run.wait_for("a").wait_for("b");
    test.open("a");
    let _ = run.end().code(1).err("b: interrupted").ran_sorted("a b");
    test.open("b");
    test.program("fail-once", "true");
    let _ = test.run("-j 2").ok().ran_sorted("a b b-end c");
}

#[test]
fn a_failure_of_the_machine_is_tried_again_in_the_next_run() {
    let test = Test::new(["[[stage]]\nname = 'a'\nkind = 'command'\non-failure = 'continue'\nrun = 'not-yet-there'\n"]);
    let _ = test.run("").ok().ran("").err("1 failed, tolerated");
    test.program("not-yet-there", "mark a");
    test.run("").runs("a");
    test.run("").runs("");
}
