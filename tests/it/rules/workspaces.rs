//! Build directories that several stages share: who may start when, and what is never done to them.

use crate::support::{Test, stage};

const LOG: &str = ".optbuild/workspaces/w/log";

/// A stage of the workspace `w` that writes its name into a file there, and keeps a copy of that.
fn sharing(name: &str, keys: &str, script: &str) -> String {
    let keys = format!("workspace = 'w'\noutputs = {{ log = '${{self.build}}/log' }}\n{keys}");
    stage(name, &keys, &format!("echo {name} >> ${{self.build}}/log\n{script}"))
}

fn three() -> Test {
    let test = Test::new([sharing("one", "#1", ""), sharing("two", "#2", ""), sharing("three", "#3", "")]);
    test.run("").runs("one two three");
    test
}

fn change(test: &Test, key: &str) {
    test.change(key, &format!("env = {{ X = '{key}' }}"));
}

#[test]
fn stages_change_a_workspace_in_turn() {
    let test = three();
    assert_eq!(test.read(LOG), "one\ntwo\nthree\n");
    test.run("").runs("");
}

#[test]
fn a_stage_starts_from_what_its_predecessor_left() {
    let test = three();
    change(&test, "#3");
    // Neither does `two` find what `one` left.
    test.run("-v").err("starts from what `two` leaves in workspace `w`").runs("one two three");
}

#[test]
fn a_stage_that_starts_from_any_state_needs_no_other() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "starts-from = 'any'\n#2", "")]);
    test.run("").runs("one two");
    change(&test, "#2");
    test.run("").runs("two");
    test.run("--only two").runs("two");
}

#[test]
fn the_nearest_stage_that_can_start_is_run_again_first() {
    let test =
        Test::new([sharing("one", "", ""), sharing("two", "starts-from = 'any'", ""), sharing("three", "#3", "")]);
    test.run("").runs("one two three");
    change(&test, "#3");
    test.run("").runs("two three");
}

#[test]
fn from_or_only_where_another_stage_must_run_first_is_an_error_that_names_the_one_to_begin_with() {
    let test = three();
    let _ = test.run("--only two").code(2).err("`--from one`").ran("");
    let _ = test.run("--from three").code(2).err("`--from one`").ran("");
    let _ = test.run("--only three").code(2).err("`--from one`").ran("");
    test.run("--from one").runs("one two three");
}

#[test]
fn the_state_that_is_needed_may_be_there() {
    let test = three();
    test.run("--only one").runs("one");
    test.run("--only two").runs("two");
    test.run("--from three").runs("three");
}

#[test]
fn running_an_earlier_stage_again_makes_the_later_ones_out_of_date() {
    let test = three();
    test.run("--only one").runs("one");
    let _ = test.cmd("status p.toml --json").ok().out("will-run");
    test.run("").runs("two three");
}

#[test]
fn an_interrupted_stage_goes_on_where_it_was() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "", "mark there; gate go")]);
    let run = test.start("");
    run.wait_for("there").interrupt();
    let _ = run.end().code(130);
    test.open("go");
    test.run("").runs("two there");
    assert_eq!(test.read(LOG), "one\ntwo\ntwo\n");
}

#[test]
fn a_killed_stage_goes_on_where_it_was() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "", "mark there; gate go")]);
    let run = test.start("");
    run.wait_for("there").kill();
    let _ = run.end();
    test.open("go");
    test.run("--only two").runs("two there");
}

#[test]
fn a_failed_stage_goes_on_where_it_was() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "", "is-ready")]);
    test.program("is-ready", "false");
    let _ = test.run("").code(1).ran("one two");
    test.program("is-ready", "true");
    test.run("").runs("two");
}

#[test]
fn a_stage_that_was_interrupted_under_another_fingerprint_does_not_go_on() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "#2", "is-ready")]);
    test.program("is-ready", "false");
    let _ = test.run("").code(1).ran("one two");
    test.program("is-ready", "true");
    change(&test, "#2");
    let _ = test.run("--only two").code(2).err("was left by `two`, interrupted").ran("");
    test.run("").runs("one two");
}

#[test]
fn what_an_interrupted_stage_left_is_nobody_elses_start() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "", "is-ready"), sharing("three", "#3", "")]);
    test.program("is-ready", "true");
    test.run("").runs("one two three");
    test.program("is-ready", "false");
    let _ = test.run("--from one").code(1).ran("one two");
    let _ = test.run("--only three").code(2).ran("");
    test.program("is-ready", "true");
    test.run("").runs("two three");
}

#[test]
fn the_predecessors_fingerprint_is_part_of_the_stages() {
    let test = three();
    change(&test, "#1");
    let _ = test.cmd("plan p.toml").ok().out("two (command): depends on one");
    test.run("").runs("one two three");
    // What `one` makes of it is the same; `two` has only its workspace in common with it.
    let _ = test.cmd("explain two").ok().out("up to date");
    let records: Vec<_> = test.files_below(".optbuild/records");
    let told = records.iter().filter(|file| file.extension() == Some("json"));
    let told = told.filter(|file| std::fs::read_to_string(file).unwrap().contains("workspace.predecessor"));
    // Of `two` and `three`; the first ones were removed when `one` began.
    assert_eq!(told.count(), 2);
}

#[test]
fn a_workspace_is_never_wiped_because_of_a_fingerprint() {
    let test = three();
    change(&test, "#1");
    test.run("").runs("one two three");
    assert_eq!(test.read(LOG), "one\ntwo\nthree\none\ntwo\nthree\n");
}

#[test]
fn fresh_does_not_wipe_a_workspace_and_clean_does() {
    let test = three();
    test.run("--fresh").runs("one two three");
    assert_eq!(test.read(LOG).lines().count(), 6);
    let _ = test.cmd("clean").ok();
    assert!(test.exists(LOG));
    let _ = test.cmd("clean --workspace w").ok();
    assert!(!test.exists(".optbuild/workspaces/w"));
    // What was captured is still good.
    test.run("").runs("");
    let _ = test.run("--only two").code(2).err("the workspace is empty").err("`--from one`");
    test.run("--from one").runs("one two three");
}

#[test]
fn cleaning_a_workspace_that_is_none_is_an_error() {
    let _ = three().cmd("clean --workspace v").code(2).err("there is no workspace `v`");
}

#[test]
fn later_stages_do_not_change_what_was_captured() {
    let test = three();
    for (stage, content) in [("one", "one\n"), ("two", "one\ntwo\n"), ("three", "one\ntwo\nthree\n")] {
        let rows = test.cmd(&format!("artifacts {stage} --json")).json();
        let path = rows[0]["path"].as_str().unwrap().replace("[DIR]/", "");
        assert_eq!(test.read(&path), content);
        assert!(!path.contains("workspaces"), "{path}");
    }
    // Writing in place there does not, either.
    test.write(LOG, "changed\n");
    test.run("").runs("");
}

#[test]
fn a_stage_that_is_off_is_nobodys_predecessor() {
    let test = Test::new([sharing("one", "", ""), sharing("two", "when = false", ""), sharing("three", "", "")]);
    test.run("").runs("one three");
    let _ = test.run("--only three").code(2).err("`--from one`");
}

/// Its state is not there, and will not be.
#[test]
fn a_stage_whose_predecessor_did_not_come_to_its_end_does_not_pass_for_done() {
    let test = Test::new([sharing("one", "on-failure = 'continue'", "false"), sharing("two", "", "")]);
    let _ = test.run("").ok().ran("one").err("blocked (one has no output)");
    let _ = test.run("--strict --from one").code(1).ran("one").err("blocked (one has no output)");
    let test = Test::new([sharing("one", "", ""), sharing("two", "", "")]);
    let _ = test.run("--skip one").code(2).err("stage `two` cannot run: stage `one` is skipped").ran("");
}

/// `user` is ready and waits for a slot when `first` has to run once more for the sake of `last`, of which nobody knew before `slow` was
/// done.
#[test]
fn a_stage_that_waits_is_not_forgotten_when_what_it_uses_runs_again() {
    let test = Test::new([
        sharing("first", "jobs = 1", ""),
        stage("slow", "#slow", "printenv X > ${self.out}/f || true"),
        sharing("last", "", "cat ${slow.out}/f"),
        stage("user", "jobs = 1\n#user", "cat ${first.log}"),
    ]);
    let _ = test.run("-j 2").ok();
    change(&test, "#slow");
    change(&test, "#user");
    let _ = test.run("-j 2").ok().ran("slow first last user");
}

#[test]
fn only_one_stage_at_a_time_works_in_a_workspace() {
    let stages = ["one", "two"].map(|name| sharing(name, "starts-from = 'any'\njobs = 1", &format!("span {name} 0.2")));
    let test = Test::new(stages);
    let _ = test.run("-j 2").ok().ran("one two");
    let spans = test.spans();
    assert!(!spans[0].overlaps(&spans[1]), "{spans:?}");
}

#[test]
fn two_settings_of_a_variable_take_turns_in_a_workspace() {
    let test =
        Test::new(["[vars]\nx = '1'\n".to_owned(), sharing("one", "env = { X = '${x}' }", ""), sharing("two", "", "")]);
    test.run("").runs("one two");
    test.run("--set x=2").runs("one two");
    // The records of the first are gone: the workspace that they tell of is.
    test.run("--set x=2").runs("");
    let _ = test.run("").ok();
    test.run("").runs("");
}
