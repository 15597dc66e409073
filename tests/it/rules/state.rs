//! Where things are kept: the state directory, a pipeline's outputs, what is collected, and what is never written down.

use camino::Utf8Path;

use crate::support::{Test, stage};

fn one() -> Test {
    Test::new([
        "[outputs]\n'deep/x' = '${a.out}/x'\nall = '${a.out}'\n".to_owned(),
        stage("a", "", "echo 1 > ${self.out}/x"),
    ])
}

#[test]
fn state_lies_beside_the_pipeline_file() {
    let test = one();
    test.write("below/x", "");
    test.cmd_in("below", "run ../p.toml").runs("a");
    assert!(test.exists(".optbuild/STATE") && !test.exists("below/.optbuild"));
}

#[test]
fn state_of_a_pipeline_that_is_given_by_name_lies_in_the_current_directory() {
    let test = one();
    test.sh("mkdir pipelines pipelines/mine; mv p.toml pipelines/mine/pipeline.toml");
    test.cmd("run mine").runs("a");
    assert!(test.exists(".optbuild/STATE") && !test.exists("pipelines/mine/.optbuild"));
    assert!(test.exists("out/mine/deep/x"));
}

#[test]
fn the_state_directory_ignores_itself_in_git_and_has_a_marker() {
    let test = one();
    test.sh("git init -q");
    test.run("").runs("a");
    assert!(test.read(".optbuild/STATE").starts_with("optbuild state"));
    test.sh("[ -z \"$(git status --porcelain .optbuild)\" ]");
}

#[test]
fn a_directory_that_is_not_optbuilds_is_left_alone() {
    let test = one();
    test.write("mine/file", "");
    let _ = test.run("--state-dir mine").code(3).err("is not a state directory of optbuild").ran("");
    test.sh("[ \"$(ls -A mine)\" = file ]");
}

#[test]
fn the_pipelines_outputs_stand_under_out_and_its_name() {
    let test = one();
    test.run("").runs("a");
    assert_eq!(test.read("out/p/deep/x"), "1\n");
    assert_eq!(test.read("out/p/all/x"), "1\n");
    // They are copies: what is done to them changes no record, and does not last.
    test.write("out/p/deep/x", "2\n");
    test.run("").runs("");
    assert_eq!(test.read("out/p/deep/x"), "1\n");
}

#[test]
fn outputs_go_where_out_says() {
    let test = one();
    test.run("--out elsewhere").runs("a");
    assert_eq!(test.read("elsewhere/deep/x"), "1\n");
    assert!(!test.exists("out"));
    // Also of a run that does nothing.
    test.run("").runs("");
    assert_eq!(test.read("out/p/deep/x"), "1\n");
}

#[test]
fn outputs_are_put_there_again_when_they_are_gone_or_others() {
    let test = one();
    test.run("").runs("a");
    test.sh("rm -r out");
    test.run("").runs("");
    assert_eq!(test.read("out/p/deep/x"), "1\n");
    test.change("echo 1", "echo 2");
    test.run("").runs("a");
    assert_eq!(test.read("out/p/deep/x"), "2\n");
    assert_eq!(test.read("out/p/all/x"), "2\n");
}

#[test]
fn artifacts_prints_paths_of_all_stages_or_of_one() {
    let test = Test::new([
        stage("a", "outputs = { lib = '${self.out}/lib' }", "echo 1 > ${self.out}/lib"),
        stage("b", "", ""),
    ]);
    let _ = test.cmd("artifacts").code(2);
    test.run("").runs("a b");
    let _ = test.cmd("artifacts").ok().out("a.lib").out("a.out").out("b.out").out("[DIR]/.optbuild/outputs/a/");
    let _ = test.cmd("artifacts a").ok().out("a.lib").no_out("b.out");
    let _ = test.cmd("artifacts no-such").code(2);
    let rows = test.cmd("artifacts a --json").ok().json();
    let lib = rows.as_array().unwrap().iter().find(|row| row["output"] == "lib").unwrap();
    assert_eq!(test.read(&lib["path"].as_str().unwrap().replace("[DIR]/", "")), "1\n");
    assert_eq!((&lib["bytes"], &lib["files"], &lib["portable"]), (&2.into(), &1.into(), &true.into()));
}

/// One record for each value, by as many runs.
fn many_runs(test: &Test) {
    for value in 1..=4 {
        test.run(&format!("--set x={value}")).runs("a b");
    }
}

fn with_variable() -> Test {
    Test::new([
        "[vars]\nx = '0'\n".to_owned(),
        stage("a", "", "head -c 100000 /dev/zero > ${self.out}/large; echo ${x} > ${self.out}/x"),
        stage("b", "", "cat ${a.out}/x > ${self.out}/x"),
    ])
}

fn records(test: &Test) -> usize {
    test.files_below(".optbuild/records").iter().filter(|file| file.extension() == Some("json")).count()
}

#[test]
fn gc_keeps_what_the_last_runs_made_or_used() {
    let test = with_variable();
    many_runs(&test);
    // Makes nothing, and uses what the first one made.
    test.run("--set x=1").runs("");
    let _ = test.cmd("gc --keep-runs 2").ok().silent();
    assert_eq!(records(&test), 4);
    test.run("--set x=1").runs("");
    test.run("--set x=4").runs("");
    test.run("--set x=3").runs("a b");
}

#[test]
fn gc_keeps_what_is_referenced() {
    let test = with_variable();
    many_runs(&test);
    // This run refers to `b` only; `b` was made from `a`.
    test.run("--set x=4 --only b").runs("b");
    let _ = test.cmd("gc --keep-runs 1").ok();
    assert_eq!(records(&test), 2);
    test.run("--set x=4").runs("");
}

#[test]
fn gc_goes_from_the_oldest_until_the_size_fits() {
    let test = with_variable();
    many_runs(&test);
    let _ = test.cmd("gc --keep-runs 1 --max-size '1 GiB'").ok();
    assert_eq!(records(&test), 8);
    let _ = test.cmd("gc --keep-runs 1 --max-size '1 kB'").ok();
    // What is kept is kept, however large it is.
    assert_eq!(records(&test), 2);
    test.run("--set x=4").runs("");
}

#[test]
fn gc_goes_on_with_runs_that_would_be_kept_and_says_what_holds_the_rest() {
    let test = with_variable();
    many_runs(&test);
    // Four of the five runs that are kept by default are there.
    let _ = test.cmd("gc --max-size '1 GiB'").ok().no_err("is in use: ");
    assert_eq!(records(&test), 8);
    let said = test.cmd("gc --max-size '1 kB'").ok();
    assert_eq!(records(&test), 2);
    let _ = said.err("is in use: ").err("by what the last run made or used").err("`optbuild clean` removes");
    test.run("--set x=4").runs("");
}

#[test]
fn gc_never_removes_the_last_run() {
    let test = with_variable();
    many_runs(&test);
    let _ = test.cmd("gc --keep-runs 0").ok();
    assert_eq!(records(&test), 2);
    let _ = test.cmd("logs a").ok();
    test.run("--set x=4").runs("");
}

#[test]
fn gc_keeps_the_inputs_of_a_stage_that_fails_again_and_again() {
    let test = Test::new([
        stage("sources", "", "echo 1 > ${self.out}/x"),
        stage("build", "", "cp ${sources.out}/x ${self.out}/x"),
        stage("bolt", "", "test -e ${build.out}/y"),
    ]);
    test.run("--until build").runs("sources build");
    for _ in 0..5 {
        let _ = test.run("--from bolt").code(1).ran("bolt");
    }
    let _ = test.cmd("gc").ok();
    test.run("--until build").runs("");
}

#[test]
fn nothing_else_deletes_records() {
    let test = with_variable();
    many_runs(&test);
    let _ = test.cmd("clean").ok();
    for words in ["status", "plan p.toml", "explain a", "logs a", "run p.toml --set x=9"] {
        let _ = test.cmd(words).ok();
    }
    assert_eq!(records(&test), 10);
}

const SECRET: &str = "hunter2-s3cr3t";

/// Where the secret stands in a file or in what a command printed.
fn betrayals(test: &Test, printed: &[String]) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
    let files = test.files_below(".").into_iter().filter(|file| holds(&std::fs::read(file).unwrap()));
    let files = files.map(|file| file.to_string()).collect::<Vec<_>>();
    files.into_iter().chain(printed.iter().filter(|text| holds(text.as_bytes())).cloned()).collect()
}

#[test]
fn secrets_are_never_shown_logged_or_written() {
    let test = Test::new([
        "[vars]\ntoken = { secret = true, required = true }\n".to_owned(),
        stage("a", "env = { TOKEN = '${token}' }", "test ${token} = $TOKEN; echo $TOKEN | wc -c > ${self.out}/x"),
        "[[stage]]\nname = 'b'\nkind = 'command'\nrun = ['test', '${token}', '=', '${token}']\n".to_owned(),
        stage("c", "check = ['test x${token} != x']", "false ${token}"),
    ]);
    let mut printed = Vec::new();
    let mut say = |ran: crate::support::Ran| printed.push(ran.stdout + &ran.stderr);
    let set = format!("--set token={SECRET}");
    say(test.cmd(&format!("run p.toml -v --json {set}")).code(1).ran("a c"));
    // It is needed again, and not taken from the disk.
    say(test.cmd("resume").code(2).err("`token` has no value"));
    say(test.cmd(&format!("resume -v {set}")).code(1).ran("c"));
    say(test.cmd(&format!("resume --set=token={SECRET} -v")).code(1).ran("c"));
    let test = test.env("OPTBUILD_VAR_TOKEN", SECRET);
    for words in [
        "run p.toml --keep-going",
        "plan p.toml",
        "plan p.toml --shell",
        "plan p.toml --dot",
        "show p.toml",
        "status",
        "status --json",
        "explain a",
        "explain c",
        "artifacts --json",
        "logs a",
        "logs c",
        "plan p.toml --record-facts facts.json",
    ] {
        say(test.cmd(words));
    }
    assert_eq!(betrayals(&test, &printed), Vec::<String>::new());
    // Another value is another configuration, which is told without it.
    let test = test.env("OPTBUILD_VAR_TOKEN", "another-one");
    let _ = test.cmd("explain a").ok().out("differs").no_out(SECRET).no_out("another-one");
}

#[test]
fn gc_keeps_the_record_of_the_stage_that_a_workspace_was_left_by() {
    let test = Test::new([stage("one", "workspace = 'w'", ""), stage("two", "workspace = 'w'", "")]);
    test.run("").runs("one two");
    test.run("--from one --until one").runs("one");
    test.run("--only two").runs("two");
    let _ = test.cmd("gc --keep-runs 1").ok();
    test.run("").runs("");
}

/// The one directory in which shipped pipelines are, whose files nobody can write and the plan names.
fn unpacked(test: &Test, place: &Utf8Path, plan: &str) {
    let unpacked = place.read_dir_utf8().unwrap().next().unwrap().unwrap();
    assert!(unpacked.file_name().len() >= 20, "{}", unpacked.path());
    let sources = format!("{}/demo/sqlite", unpacked.path()).replace(test.dir.as_str(), "[DIR]");
    assert!(plan.contains(&sources), "{sources}: {plan}");
    for entry in walkdir::WalkDir::new(place).into_iter().map(Result::unwrap) {
        let found = entry.metadata().unwrap();
        assert!(!found.is_file() || found.permissions().readonly(), "{}", entry.path().display());
    }
}

#[test]
fn a_shipped_pipeline_is_unpacked_read_only_by_its_content() {
    let test = Test::new(["# none"]);
    let _ = test.cmd("list").ok().out("demo");
    let _ = test.cmd("run demo --until nothing").code(2);
    unpacked(&test, &test.path(".optbuild/pipelines"), &test.cmd("plan demo").ok().stdout);
}

#[test]
fn a_look_at_a_shipped_pipeline_makes_no_state_directory() {
    let test = Test::new(["# none"]);
    let _ = test.cmd("show demo").ok();
    let _ = test.cmd("doctor demo");
    unpacked(&test, &test.aside.join(".cache/optbuild/pipelines"), &test.cmd("plan demo").ok().stdout);
    assert!(!test.exists(".optbuild"));
}

#[test]
fn a_user_without_a_cache_looks_at_shipped_pipelines_too() {
    let test = Test::new(["# none"]);
    let temporary = test.aside.clone();
    // Nothing can be made below it.
    let test = test.env("XDG_CACHE_HOME", "/proc/none").env("TMPDIR", temporary.as_str());
    let plan = test.cmd("plan demo").ok().stdout;
    let mine =
        temporary.read_dir_utf8().unwrap().map(Result::unwrap).find(|it| it.file_name().starts_with("optbuild-"));
    unpacked(&test, mine.unwrap().path(), &plan);
    assert!(!test.exists(".optbuild"));
}
