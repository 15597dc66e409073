//! `resume`: a run goes on after a failure, an interrupt or a kill.

use crate::support::{Test, stage};

const COUNT: &str = "echo again >> ${self.build}/runs";

fn runs(test: &Test, stage: &str) -> usize {
    test.read(&format!(".optbuild/stages/{stage}/build/runs")).lines().count()
}

/// Three stages one after the other; the second fails until `ready` exists, which no stage has as an input.
fn failing() -> Test {
    let test = Test::new([
        stage("a", "", COUNT),
        stage("b", "needs = ['a']", &format!("{COUNT}; is-ready")),
        stage("c", "needs = ['b']", COUNT),
    ]);
    test.program("is-ready", &format!("[ -e {} ]", test.path("ready")));
    test
}

#[test]
fn finished_stages_are_not_repeated_and_begun_ones_continue() {
    let test = failing();
    let _ = test.run("").code(1).ran("a b");
    test.write("ready", "");
    test.cmd("resume").runs("b c");
    assert_eq!((runs(&test, "a"), runs(&test, "b"), runs(&test, "c")), (1, 2, 1));
}

#[test]
fn an_interrupted_run_is_resumed() {
    let test =
        Test::new([stage("a", "", COUNT), stage("b", "needs = ['a']", &format!("{COUNT}; mark there; gate go"))]);
    let run = test.start("");
    run.wait_for("there").interrupt();
    let _ = run.end().code(130).err("optbuild resume");
    test.open("go");
    test.cmd("resume").runs("b there");
    assert_eq!(runs(&test, "b"), 2);
}

#[test]
fn a_killed_run_is_resumed() {
    let test =
        Test::new([stage("a", "", COUNT), stage("b", "needs = ['a']", &format!("{COUNT}; mark there; gate go"))]);
    let run = test.start("");
    run.wait_for("there").kill();
    let _ = run.end();
    test.open("go");
    test.cmd("resume").runs("b there");
    assert_eq!(runs(&test, "b"), 2);
}

#[test]
fn a_run_that_is_done_is_not_resumed() {
    let test = Test::new([stage("a", "", "")]);
    test.run("--force").runs("a");
    test.cmd("resume").err("is done").runs("");
}

#[test]
fn without_a_run_there_is_nothing_to_resume() {
    let _ = Test::new([stage("a", "", "")]).cmd("resume").code(2).err("nothing was run here");
}

#[test]
fn what_the_run_forced_is_begun_afresh_once() {
    let test = failing();
    test.write("ready", "");
    test.run("").runs("a b c");
    test.sh("rm ready");
    let _ = test.run("--from a").code(1).ran("a b");
    let _ = test.cmd("resume").code(1).ran("b");
    test.write("ready", "");
    // `c` was forced and has not been begun: it runs although its record is good.
    test.cmd("resume").runs("b c");
    test.cmd("resume").err("is done").runs("");
}

#[test]
fn build_directories_are_wiped_once() {
    let test = failing();
    test.write("ready", "");
    test.run("").runs("a b c");
    test.sh("rm ready");
    let _ = test.run("--fresh").code(1).ran("a b");
    let _ = test.cmd("resume").code(1).ran("b");
    assert_eq!((runs(&test, "a"), runs(&test, "b"), runs(&test, "c")), (1, 2, 1));
    test.write("ready", "");
    test.cmd("resume").runs("b c");
    assert_eq!((runs(&test, "a"), runs(&test, "b"), runs(&test, "c")), (1, 3, 1));
}

#[test]
fn a_run_resumes_with_its_selection_and_its_variables() {
    let test = failing();
    test.change("[[stage]]\nname = 'a'", "[vars]\nx = '1'\n[[stage]]\nname = 'a'");
    test.change("mark a", "mark a${x}");
    let _ = test.run("--set x=2 --until b").code(1).ran("a2 b");
    test.write("ready", "");
    test.cmd("resume").runs("b");
}

#[test]
fn a_pipeline_that_changed_since_is_said_and_planned_anew() {
    let test = failing();
    let _ = test.run("").code(1).ran("a b");
    test.change("is-ready", "true");
    test.cmd("resume").err("the pipeline file changed since the run began").runs("b c");
}

#[test]
fn a_pipeline_that_did_not_change_is_not_said_to_have() {
    let test = failing();
    let _ = test.run("").code(1).ran("a b");
    let _ = test.cmd("resume").code(1).no_err("changed since");
}

#[test]
fn it_is_found_from_a_directory_below_and_by_its_state_directory() {
    let test = failing();
    test.write("below/x", "");
    let _ = test.run("--state-dir state").code(1).ran("a b");
    let _ = test.cmd_in("below", "resume --state-dir ../state").code(1).ran("b");
    let _ = test.run("").code(1).ran("a b");
    test.write("ready", "");
    test.cmd_in("below", "resume").runs("b c");
}

#[test]
fn paths_of_the_run_are_still_relative_to_where_it_was_begun() {
    let test = failing();
    test.change("[[stage]]\nname = 'a'", "[vars]\nx = { type = 'path', default = 'p.toml' }\n[[stage]]\nname = 'a'");
    test.change("mark a", "mark a\ncat ${x}");
    test.write("below/p.txt", "");
    let _ = test.cmd_in("below", "run ../p.toml --set x=p.txt --out o").code(1).ran("a b");
    test.write("ready", "");
    test.cmd("resume").runs("b c");
}

#[test]
fn paths_of_resume_are_relative_to_where_one_is() {
    let test = failing();
    test.change("[[stage]]\nname = 'a'", "[outputs]\nx = '${c.out}'\n[[stage]]\nname = 'a'");
    test.write("below/x", "");
    let _ = test.run("").code(1).ran("a b");
    test.write("ready", "");
    test.cmd_in("below", "resume --out o").runs("b c");
    assert!(test.exists("below/o/x") && !test.exists("o"));
}

#[test]
fn flags_of_resume_win() {
    let test = failing();
    test.change(
        "name = 'c'\nkind = 'command'\nshell = true\nneeds = ['b']",
        "name = 'c'\nkind = 'command'\nshell = true",
    );
    let _ = test.run("-j 1").code(1).ran("a b");
    let _ = test.cmd("resume --keep-going").code(1).ran("b c");
}
