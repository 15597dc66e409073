//! What a stage was made from is noticed when it changes, also while the run is under way.

use crate::support::{Test, stage};

fn single(run: &str) -> Test {
    Test::new([format!("[[stage]]\nname = 'a'\nkind = 'command'\nrun = {run}\n")])
}

#[test]
fn a_file_of_the_pipeline_may_have_any_name() {
    for name in ["my file.txt", "a,b;c", "it's (one)", "x&y|z"] {
        let test = single(&format!("['cat', \"${{pipeline.dir}}/{name}\"]")).file(name, "1");
        let _ = test.run("").ok();
        let _ = test.run("").ok().err("nothing to do");
        test.write(name, "22");
        let _ = test.run("").ok().err("1 stage");
        let _ = test.run("").ok().err("nothing to do");
    }
}

#[test]
fn files_in_the_line_of_a_shell_are_all_noticed() {
    let test = Test::new([stage("a", "", "cat ${pipeline.dir}/one ${pipeline.dir}/two '${pipeline.dir}/and three'")]);
    let test = test.file("one", "1").file("two", "2").file("and three", "3");
    test.run("").runs("a");
    test.run("").runs("");
    for name in ["one", "two", "and three"] {
        test.write(name, "changed");
        test.run("").runs("a");
        test.run("").runs("");
    }
}

#[test]
fn a_file_whose_name_goes_on_with_something_unknown_is_one_of_its_directory() {
    let test = single("['cat', '${pipeline.dir}/in/x-${jobs}']").file("in/x-1", "1");
    let _ = test.run("-j1").ok();
    let _ = test.run("-j1").ok().err("nothing to do");
    test.write("in/x-1", "22");
    let _ = test.run("-j1").ok().no_err("nothing to do");
}

#[test]
fn the_file_behind_a_link_in_a_tree_counts() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/src']", "")]);
    test.sh(&format!("mkdir src; echo 1 > {0}/other; ln -s {0}/other src/x; ln -s nowhere src/broken", test.aside));
    test.run("").runs("a");
    test.run("").runs("");
    test.sh(&format!("echo 22 > {}/other", test.aside));
    test.run("").runs("a");
}

#[test]
fn a_link_to_a_tool_that_leads_elsewhere_now_is_another_tool() {
    let test = Test::new(["[tools]\ngen = {}\n".to_owned(), stage("a", "check = ['gen']", "gen > ${self.out}/x")]);
    test.program("gen-1", "echo one");
    test.program("gen-2", "echo two");
    let link = |to: &str| test.sh(&format!("ln -sfn {to} {}/bin/gen", test.aside));
    link("gen-1");
    // What was written just now is not remembered.
    std::thread::sleep(std::time::Duration::from_millis(300));
    test.run("").runs("a");
    test.run("").runs("");
    link("gen-2");
    test.run("").runs("a");
}

#[test]
fn a_tool_that_changes_while_its_stage_runs_gives_no_record() {
    let test =
        Test::new(["[tools]\ngen = {}\n".to_owned(), stage("a", "check = ['gen']", "gate go; gen > ${self.out}/x")]);
    test.program("gen", "echo one");
    let run = test.start("");
    run.wait_for("a");
    test.program("gen", "echo two");
    test.open("go");
    let _ = run.end().code(1).err("the tool `gen` changed while the stage ran");
    test.program("gen", "echo one");
    test.run("").runs("a");
}

#[test]
fn a_failure_by_disturbance_is_tried_again_where_failures_are_tolerated() {
    let keys = "inputs = ['${pipeline.dir}/in']\non-failure = 'continue'";
    let test = Test::new([stage("a", keys, "gate go")]).file("in", "1");
    let run = test.start("");
    run.wait_for("a");
    test.write("in", "22");
    test.open("go");
    let _ = run.end().ok().err("changed while the stage ran");
    test.write("in", "1");
    test.run("").runs("a");
}

#[test]
fn a_source_that_is_edited_while_its_stage_waits_is_taken_as_it_is() {
    let test = Test::new([
        stage("a", "", "gate go"),
        stage("b", "inputs = ['${pipeline.dir}/in']", "cat ${pipeline.dir}/in > ${self.out}/x"),
    ]);
    let test = test.file("in", "1");
    let run = test.start("-j1");
    run.wait_for("a");
    test.write("in", "22");
    test.open("go");
    run.end().runs("a b");
    test.run("").runs("");
}

#[test]
fn a_stage_that_changes_its_inputs_fails() {
    let test = Test::new([
        stage("a", "", "echo good > ${self.out}/x"),
        stage("b", "", "echo 'bad!' > ${a.out}/x; cat ${a.out}/x > ${self.out}/y"),
    ]);
    let _ = test.run("").code(1).ran("a b").err("`[DIR]/.optbuild/outputs/a/").err("output `out` of stage `a`");
    let _ = test.run("").code(1).ran("a b");
    test.change("${a.out}/x; cat ${a.out}/x", "x; cat x");
    test.run("").runs("a b");
    test.run("").runs("");
}

#[test]
fn what_somebody_else_did_to_an_input_is_noticed_too() {
    let test = Test::new([
        stage("a", "", "echo good > ${self.out}/x"),
        stage("b", "", "gate go; cat ${a.out}/x > ${self.out}/y"),
    ]);
    let run = test.start("");
    run.wait_for("b");
    test.sh("cd .optbuild/outputs/a/*; echo 'bad!' > x; echo more > more");
    test.open("go");
    let _ = run.end().code(1).err("b failed: the content of");
    test.run("").runs("a b");
}
