//! What a stage reads from outside: which files count, and when a change is noticed.

use optbuild::run::disturbed::prerequisites;

use crate::support::{Test, stage};

#[test]
fn inputs_are_files_directories_and_globs_on_every_kind() {
    let keys = "inputs = ['${pipeline.dir}/one', '${pipeline.dir}/tree', '${pipeline.dir}/glob/*.c']";
    let verify = "[[stage]]\nname = 'v'\nkind = 'verify'\ninputs = ['${pipeline.dir}/one', '${pipeline.dir}/tree', '${pipeline.dir}/glob/*.c']\n\
                  tests = [{ name = 't', run = 'mark v' }]";
    let test = Test::new([stage("a", keys, ""), verify.to_owned()]);
    test.sh("mkdir tree glob; touch one tree/x glob/a.c glob/other");
    let _ = test.run("").ok().ran_sorted("a v");
    for change in
        ["echo 1 > one", "echo 1 > tree/x", "touch tree/y", "rm tree/x", "echo 1 > glob/a.c", "touch glob/b.c"]
    {
        test.sh(change);
        let _ = test.run("").ok().ran_sorted("a v");
    }
    test.sh("echo 1 > glob/other");
    test.run("").runs("");
}

#[test]
fn what_is_named_through_the_pipelines_directory_is_an_input_by_itself() {
    let test = Test::new([stage("a", "", "cat ${pipeline.dir}/data/x > ${self.out}/x")]).file("data/x", "1");
    test.run("").runs("a");
    test.write("data/y", "not named");
    test.run("").runs("");
    test.write("data/x", "2");
    test.run("").runs("a");
}

#[test]
fn of_a_source_tree_counts_what_git_does_not_ignore() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/tree']", "")]);
    test.sh("mkdir tree; cd tree; git init -q; echo '*.log' > .gitignore; touch tracked; git add .");
    test.run("").runs("a");
    test.sh("echo 1 > tree/ignored.log");
    test.run("").runs("");
    test.sh("echo 1 > tree/untracked");
    test.run("").runs("a");
    test.sh("echo 1 > tree/tracked");
    test.run("").runs("a");
    // What git tracks counts although it is ignored.
    test.sh("cd tree; git add -f ignored.log; git -c user.name=n -c user.email=e commit -qm m");
    test.run("").runs("a");
    test.sh("echo 2 > tree/ignored.log");
    test.run("").runs("a");
}

#[test]
fn without_git_all_of_a_source_tree_counts() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/tree']", "")]);
    test.sh("mkdir tree; echo '*.log' > tree/.gitignore");
    test.run("").runs("a");
    test.sh("echo 1 > tree/x.log");
    test.run("").runs("a");
}

#[test]
fn optbuilds_own_directories_are_no_part_of_a_source_tree() {
    let test = Test::new([
        "[outputs]\nx = '${a.out}/x'\n".to_owned(),
        stage("a", "inputs = ['${pipeline.dir}']", "date +%N > ${self.out}/x; touch ${self.build}/y"),
    ]);
    test.run("").runs("a");
    test.run("").runs("");
    // Also where they were put by hand, in this run or another one.
    test.run("--force --out elsewhere").runs("a");
    test.run("--out elsewhere").runs("");
    test.run("--state-dir state").runs("a");
    test.run("--state-dir state").runs("");
}

#[test]
fn a_tree_that_changed_during_the_stage_gives_no_record() {
    let test = Test::new([stage(
        "a",
        "inputs = ['${pipeline.dir}/tree']",
        "[ -e ${pipeline.dir}/ready ] || echo 2 > ../../../../tree/x",
    )])
    .file("tree/x", "1");
    let _ = test.run("").code(1).ran("a").err("changed while the stage ran");
    let _ = test.cmd("status p.toml").ok().out("will run");
    test.write("ready", "");
    test.run("").runs("a");
}

#[test]
fn a_change_of_the_same_size_and_time_is_noticed() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/x']", "")]).file("x", "1");
    test.run("").runs("a");
    test.sh("touch -r x before; echo -n 2 > x; touch -r before x");
    test.run("").runs("a");
    // In another inode, moved there.
    test.sh("echo -n 3 > y; touch -r before y; mv y x");
    test.run("").runs("a");
}

#[test]
fn times_and_places_of_sources_do_not_count() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/tree']", "")]).file("tree/x", "1");
    test.run("").runs("a");
    test.sh("touch -d 2001-01-01 tree/x; cp -r tree copy; rm -r tree; mv copy tree");
    test.run("").runs("");
}

#[test]
fn a_program_that_is_no_tool_counts_by_its_content() {
    let test = Test::new(["[[stage]]\nname = 'a'\nkind = 'command'\nrun = 'step'\n"]);
    test.program("step", "mark a");
    test.run("").runs("a");
    test.run("").runs("");
    test.program("step", "mark a # otherwise");
    let _ = test.cmd("explain a").ok().out("program step");
    test.run("").runs("a");
}

/// What optbuild prints may end in the tree that it reads, behind a pipe or straight.
#[test]
fn a_log_of_optbuild_itself_is_no_source() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/tree']", "echo much > ${self.out}/x")]);
    test.sh("mkdir tree; touch tree/x");
    let optbuild = crate::support::OPTBUILD;
    let path = test.aside.join("bin");
    let line =
        |redirection: &str| format!("cd tree; PATH={path}:$PATH; {optbuild} run ../p.toml --verbose {redirection}");
    test.sh(&line("2>&1 | tee build.log > /dev/null"));
    test.sh(&line("2>&1 | cat | tee second.log > /dev/null"));
    test.sh(&line("> third.log 2>&1"));
    for log in ["build.log", "second.log", "third.log"] {
        assert!(test.read(&format!("tree/{log}")).contains("1 stage"), "{log}: {}", test.read(&format!("tree/{log}")));
    }
    // Nor is it one in a run that prints elsewhere.
    test.run("").runs("");
    test.sh("echo 1 > tree/y");
    test.run("").runs("a");
}

/// A program that reads the output may have other files open for writing than a log.
#[test]
fn what_a_reader_of_the_output_has_open_is_a_source() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/tree']", "echo much > ${self.out}/x")]);
    test.sh("mkdir tree; touch -d 2001-01-01 tree/x");
    let (optbuild, path) = (crate::support::OPTBUILD, test.aside.join("bin"));
    let reader = "{ exec 3<>tree/x; exec tee tree/build.log > /dev/null; }";
    test.sh(&format!("PATH={path}:$PATH; {optbuild} run p.toml --verbose 2>&1 | {reader}"));
    assert!(test.read("tree/build.log").contains("1 stage"));
    test.run("").runs("");
    test.sh("echo 1 > tree/x");
    test.run("").runs("a");
}

#[test]
fn what_a_makefile_lists_goes_on_behind_a_backslash() {
    let text = "a.o: one.c two\\ words.h \\\n  three.h\\\n four.h\n\nthree.h:\n";
    assert_eq!(prerequisites(text), ["one.c", "two words.h", "three.h", "four.h"]);
}

#[test]
fn the_file_that_changed_is_named() {
    let test = Test::new([stage("a", "inputs = ['${pipeline.dir}/tree']", "echo 1 > ${pipeline.dir}/tree/notes.txt")]);
    test.sh("mkdir tree; touch tree/x");
    let _ = test.run("").code(1).err("notes.txt in `[DIR]/tree` (pipeline.dir/tree) changed while the stage ran");
}
