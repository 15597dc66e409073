//! Which stages run: `--from`, `--until`, `--only`, `--skip`, `--force`, `--fresh`, `--accept-stale`.

use crate::support::{Test, stage};

/// `a`, `b` on it, `c` on `b`, and `x` beside them. Each makes a file with a number that its variable sets.
fn chain() -> Test {
    Test::new([
        "[vars]\nof-a = '1'\nof-b = '1'\n".to_owned(),
        stage("a", "", "echo a${of-a} > ${self.out}/f"),
        stage("b", "", "cat ${a.out}/f > ${self.out}/f; echo b${of-b} >> ${self.out}/f"),
        stage("c", "", "cat ${b.out}/f > ${self.out}/f"),
        stage("x", "", ""),
    ])
}

fn done() -> Test {
    let test = chain();
    test.run("").runs("a b c x");
    test
}

#[test]
fn from_runs_a_stage_and_all_that_depends_on_it_whatever_their_records_say() {
    done().run("--from b").runs("b c");
    done().run("--from a").runs("a b c");
    done().run("--from a --from x").runs("a b c x");
}

#[test]
fn only_runs_a_stage_alone_whatever_its_record_says() {
    done().run("--only b").runs("b");
    done().run("--only b --only x").runs("b x");
}

#[test]
fn until_runs_a_stage_and_what_it_needs_and_no_more() {
    let test = chain();
    test.run("--until b").runs("a b");
    test.run("--until b").err("nothing to do").runs("");
    test.run("").runs("c x");
}

#[test]
fn from_and_until_run_what_lies_between() {
    done().run("--from b --until b").runs("b");
    done().run("--from a --until b").runs("a b");
}

#[test]
fn an_empty_intersection_is_an_error() {
    let _ = done().run("--from x --until b").code(2).err("nothing lies between `--from x` and `--until b`").ran("");
    let _ = done().run("--from c --until b").code(2).ran("");
}

#[test]
fn only_excludes_from_and_until() {
    let _ = chain().run("--only a --from a").code(2).ran("");
    let _ = chain().run("--only a --until a").code(2).ran("");
}

#[test]
fn an_unknown_stage_is_an_error_with_the_nearest_name() {
    let test = Test::new([stage("library", "", "")]);
    for flag in ["from", "until", "only", "skip"] {
        let _ = test.run(&format!("--{flag} libary")).code(2).err("did you mean `library`?").ran("");
    }
}

#[test]
fn a_stage_that_is_off_cannot_be_asked_for() {
    let test = Test::new([stage("a", "when = false", ""), stage("b", "", "")]);
    let _ = test.run("--from a").code(2).err("switched off").ran("");
    test.run("--skip a").runs("b");
}

#[test]
fn nothing_outside_of_the_selection_runs() {
    let _ = chain().run("--from b").code(2).err("stage `a` has not run").ran("");
    let _ = chain().run("--only c").code(2).err("stage `b` has not run").ran("");
}

#[test]
fn what_a_stage_only_needs_must_have_been_done_too() {
    let test = Test::new([stage("a", "#", ""), stage("b", "needs = ['a']", "")]);
    let _ = test.run("--only b").code(2).err("stage `a` has not run").ran("");
    test.run("").runs("a b");
    test.change("#", "env = { X = '1' }");
    let _ = test.run("--only b").code(2).err("stage `a` is out of date").ran("");
    test.run("--only b --accept-stale").runs("b");
}

#[test]
fn what_is_outside_of_the_selection_must_be_intact() {
    let test = done();
    test.sh("echo tampered > .optbuild/outputs/a/$(cut -c -20 .optbuild/names/a)/f");
    let _ = test.run("--from b").code(2).err("stage `a` cannot be used").ran("");
    let _ = test.run("--from b --accept-stale").code(2).err("stage `a` cannot be used").ran("");
    test.run("--from a").runs("a b c");
}

#[test]
fn what_is_outside_of_the_selection_and_out_of_date_is_an_error_that_names_it() {
    let test = done();
    let _ = test.run("--from b --set of-a=2").code(2).err("stage `a` is out of date").err("--accept-stale").ran("");
    let _ = test.run("--only c --set of-a=2").code(2).err("`a`").ran("");
    let _ = test.run("--only c --set of-b=2").code(2).err("stage `b` is out of date").ran("");
}

#[test]
fn what_is_outside_of_the_selection_and_not_needed_may_be_out_of_date() {
    let test = done();
    test.change("mark x", "mark x; true");
    test.run("--from b").runs("b c");
}

#[test]
fn accept_stale_uses_what_is_out_of_date() {
    let test = done();
    test.run("--from b --set of-a=2 --accept-stale").runs("b c");
    // What was made of it has a record for what it was made of, and is not up to date with what `a` will be.
    test.run("--set of-a=2").runs("a b c");
}

#[test]
fn skip_uses_the_recorded_outputs() {
    let test = done();
    test.run("--skip a").runs("");
    test.run("--skip a --set of-b=2").runs("b c");
    // Whatever they were made from.
    test.run("--skip a --set of-a=2 --set of-b=3").runs("b c");
}

#[test]
fn skip_uses_the_fallback_where_there_are_no_recorded_outputs() {
    let test = Test::new([
        stage("plain", "", "echo plain > ${self.out}/f"),
        stage("bolt", "", "echo bolt > ${self.out}/f"),
        stage("use", "", "cat ${bolt.out | plain.out}/f > ${self.out}/f"),
    ]);
    test.run("--skip bolt").runs("plain use");
    assert_eq!(test.read(&out(&test, "use")), "plain\n");
    test.run("").runs("bolt use");
    assert_eq!(test.read(&out(&test, "use")), "bolt\n");
    test.run("--skip bolt").runs("");
    assert_eq!(test.read(&out(&test, "use")), "bolt\n");
}

fn out(test: &Test, stage: &str) -> String {
    let rows = test.cmd(&format!("artifacts {stage} --json")).json();
    format!("{}/f", rows[0]["path"].as_str().unwrap().replace("[DIR]/", ""))
}

#[test]
fn skip_without_outputs_or_a_fallback_is_an_error_before_anything_starts() {
    let test = Test::new([stage("x", "", ""), stage("a", "", ""), stage("b", "", "ls ${a.out}")]);
    let _ = test.run("--skip a").code(2).err("stage `a` is skipped and has no recorded outputs").ran("");
    // What was tampered with is no output.
    test.run("").runs("x a b");
    test.sh("touch .optbuild/outputs/a/$(cut -c -20 .optbuild/names/a)/more");
    let _ = test.run("--skip a --from b").code(2).ran("");
}

#[test]
fn skip_contradicts_asking_for_the_same_stage() {
    for flag in ["from", "until", "only"] {
        let _ = chain().run(&format!("--skip b --{flag} b")).code(2).err("contradicts").ran("");
    }
}

#[test]
fn a_forced_stage_keeps_its_build_directory() {
    let count = "echo again >> ${self.build}/runs";
    let runs = |test: &Test, stage: &str| test.read(&format!(".optbuild/stages/{stage}/build/runs")).lines().count();
    let test = Test::new([stage("a", "", count), stage("b", "needs = ['a']", count)]);
    test.run("").runs("a b");
    test.run("--from a").runs("a b");
    test.run("--only a").runs("a");
    test.run("--force").runs("a b");
    assert_eq!((runs(&test, "a"), runs(&test, "b")), (4, 3));
}

#[test]
fn force_forces_the_whole_selection() {
    done().run("--force").runs("a b c x");
    done().run("--force --until b").runs("a b");
    done().run("--force --skip a").runs("b c x");
}

#[test]
fn fresh_also_wipes_build_directories() {
    let count = "echo again >> ${self.build}/runs";
    let runs = |test: &Test, stage: &str| test.read(&format!(".optbuild/stages/{stage}/build/runs")).lines().count();
    let test = Test::new([stage("a", "", count), stage("b", "", count), stage("c", "", count)]);
    test.run("").runs("a b c");
    test.run("--force").runs("a b c");
    test.run("--fresh --until b --skip a").runs("b");
    assert_eq!((runs(&test, "a"), runs(&test, "b"), runs(&test, "c")), (2, 1, 2));
}

#[test]
fn a_forced_stage_that_makes_the_same_leaves_what_is_not_selected_up_to_date() {
    let test = done();
    test.run("--only a").runs("a");
    test.run("").runs("");
}
