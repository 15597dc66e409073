//! What is said of failures: what happened, to which file or stage, and with which exit code.

use crate::support::{Test, stage};

#[test]
fn status_and_explain_tell_a_failure_from_an_interrupt() {
    let test = Test::new([stage("a", "", "gate x; exit 7")]);
    let started = test.start("");
    started.wait_for("a");
    let _ = test.cmd("status").ok().out("a      running\n");
    started.interrupt();
    let _ = started.end().code(130);
    let _ = test.cmd("status").ok().out("a      interrupted, will continue\n");
    let _ = test.cmd("explain a").ok().out("the last run was interrupted in it");
    test.open("x");
    let _ = test.run("").code(1);
    let _ = test.cmd("status").ok().out("a      will run because it failed\n");
    let _ = test.cmd("explain a").ok().out("it failed in the last run in run: exited with status 7");
    // What changed since is the newer reason.
    test.change("exit 7", "exit 8");
    let _ = test.cmd("status").ok().out("a      will run");
}

/// An operation's own sentence stands where a command's exit status would.
#[test]
fn an_operation_that_fails_says_why() {
    let test = Test::new([
        stage("a", "outputs = { f = 'f' }", "echo 1 > ${self.out}/f"),
        "[[stage]]\nname = 'v'\nkind = 'verify'\n[[stage.tests]]\nname = 't'\nrun = ['echo', '2']\n\
         same-as = ['cat', '${a.f}']\n"
            .to_owned(),
    ]);
    let ran = test.run("").code(1).no_err("exited with status 1");
    assert!(ran.stderr.contains("v: failed in t.same after"), "{}", ran.stderr);
}

#[test]
fn a_source_that_cannot_be_read_is_a_matter_of_the_machine() {
    // Root reads everything: a link to itself nobody does.
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/loop/x']", "")]);
    test.sh("ln -s loop loop");
    let _ = test.run("").code(3).err("stage `a`: cannot read `[DIR]/loop/x`");
}

#[test]
fn outputs_that_cannot_be_put_in_place_are_no_failure_of_a_stage() {
    let file = stage("a", "outputs = { f = 'f' }", "echo 1 > ${self.out}/f");
    let test = Test::new(["[outputs]\nf = '${a.f}'\n".to_owned(), file]);
    let ran = test.run("--out /proc/none").code(3).err("cannot put the output `f`");
    let _ = ran.err("failed, though no stage did");
}

#[test]
fn a_state_directory_that_cannot_be_made_can_be_elsewhere() {
    let _ = Test::new([stage("a", "", "")]).run("--state-dir /proc/none").code(3).err("--state-dir DIR");
}

#[test]
fn an_input_that_does_not_exist_is_noted_in_the_plan() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/srk']", "")]);
    let _ = test.cmd("plan p.toml").ok().out("note: [DIR]/srk, which `inputs[0]` names, does not exist");
    test.sh("mkdir srk");
    let _ = test.cmd("plan p.toml").ok().no_out("does not exist");
}

#[test]
fn one_is_singular() {
    let workload = "[[stage]]\nname = 'g'\nkind = 'gather'\nmethod = 'sampling'\ninstrumented = '${a.f}'\n\
                    [[stage.workloads]]\nname = 'w'\nrun = ['true']\n";
    let file = stage("a", "outputs = { f = 'f' }", "echo 1 > ${self.out}/f");
    let _ = Test::new([file, workload.to_owned()]).cmd("plan p.toml").ok().out("1 workload, ").no_out("1 workloads");
}
