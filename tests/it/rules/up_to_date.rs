//! When a stage runs again, and what it finds in its build directory then.

use crate::support::{Test, stage};

/// Shows in its output whether its build directory was there before.
const KEEPS: &str = "echo again >> ${self.build}/runs; cp ${self.build}/runs ${self.out}/runs";

fn builds(test: &Test) -> usize {
    test.read(".optbuild/stages/a/build/runs").lines().count()
}

/// Reads `src.txt`, and has a configuration: `env`.
fn with_source() -> Test {
    let keys = "inputs = ['${pipeline.dir}/src.txt']\nenv = { MODE = 'one' }";
    Test::new([stage("a", keys, KEEPS)]).file("src.txt", "1")
}

#[test]
fn a_second_run_does_nothing_and_says_so() {
    let test = Test::new([stage("a", "", ""), stage("b", "needs = ['a']", "")]);
    test.run("").runs("a b");
    test.run("").err("nothing to do: 2 stages are up to date").silent().runs("");
}

#[test]
fn if_only_sources_differ_the_build_directory_is_kept() {
    let test = with_source();
    test.run("").runs("a");
    test.write("src.txt", "2");
    test.run("").runs("a");
    assert_eq!(builds(&test), 2);
}

#[test]
fn if_the_configuration_differs_the_build_directory_is_wiped() {
    let test = with_source();
    test.run("").runs("a");
    test.change("'one'", "'two'");
    test.run("-v").err("its build directory was emptied").runs("a");
    assert_eq!(builds(&test), 1);
}

#[test]
fn if_both_differ_the_build_directory_is_wiped() {
    let test = with_source();
    test.run("").runs("a");
    test.write("src.txt", "2");
    test.change("'one'", "'two'");
    test.run("").runs("a");
    assert_eq!(builds(&test), 1);
}

#[test]
fn an_interrupted_stage_keeps_its_build_directory_unless_its_configuration_changed() {
    let test = with_source();
    test.change("mark a", "echo again >> ${self.build}/runs\nmark a\ngate go\nexit 0");
    for _ in 0..2 {
        let run = test.start("");
        run.wait_for("a").interrupt();
        let _ = run.end().code(130);
    }
    test.write("src.txt", "2");
    test.open("go");
    test.run("").runs("a");
    assert_eq!(builds(&test), 3);

    test.close("go");
    test.write("src.txt", "3");
    let run = test.start("");
    run.wait_for("a").interrupt();
    let _ = run.end().code(130);
    test.change("'one'", "'two'");
    test.open("go");
    test.run("").runs("a");
    assert_eq!(builds(&test), 1);
}

#[test]
fn how_a_stage_is_run_is_not_in_its_fingerprint() {
    let test = Test::new([stage("a", "#", "")]);
    test.run("").runs("a");
    for key in [
        "jobs = 1",
        "memory = '1 MB'",
        "timeout = '9s'",
        "max-log = '1 GB'",
        "retries = 2",
        "on-failure = 'continue'",
        "description = 'x'",
        "exclusive = true",
        "when = true",
    ] {
        test.change("#", &format!("{key}\n#"));
        test.run("").runs("");
    }
}

#[test]
fn the_same_pipeline_in_another_directory_has_the_same_fingerprints() {
    let pipeline = || {
        Test::new([
            "[vars]\nsrc = { type = 'path', default = 'tree' }\n".to_owned(),
            stage("a", "inputs = ['${src}']", "cat ${src}/x ${pipeline.dir}/y > ${self.out}/z"),
            stage("b", "", "cat ${a.out}/z > ${self.build}/z"),
        ])
        .file("tree/x", "1")
        .file("y", "2")
    };
    let (one, two) = (pipeline(), pipeline());
    one.run("").runs("a b");
    two.sh("mkdir elsewhere; mv tree elsewhere/sources");
    two.run("--state-dir deep/state -j 1 --set src=elsewhere/sources").runs("a b");
    assert_eq!(one.fingerprints(".optbuild"), two.fingerprints("deep/state"));
    assert_eq!(one.fingerprints(".optbuild").len(), 2);
}

#[test]
fn a_moved_state_directory_is_still_good() {
    let test = Test::new([stage("a", "", "echo 1 > ${self.out}/x"), stage("b", "", "cat ${a.out}/x")]);
    test.run("").runs("a b");
    test.sh("mkdir further; mv .optbuild p.toml further");
    test.cmd("run further/p.toml").runs("");
}

#[test]
fn the_environment_of_a_command_is_a_documented_base() {
    let test = Test::new([stage("a", "", "env | cut -d= -f1 | sort > ${self.out}/names")])
        .env("LANG", "C")
        .env("CFLAGS", "-O9")
        .env("https_proxy", "")
        .env("OPTBUILD_LOG", "error");
    test.run("").runs("a");
    let names = test.cmd("artifacts a --json").json()[0]["path"].as_str().unwrap().to_owned();
    // PWD is the shell's own; OPTBUILD_STATE finds what a killed run has left.
    assert_eq!(
        test.read(&format!("{names}/names").replace("[DIR]/", "")),
        "HOME\nLANG\nOPTBUILD_RUN\nOPTBUILD_STATE\nPATH\nPWD\nTZ\nhttps_proxy\n"
    );
}

#[test]
fn the_base_environment_is_not_in_the_fingerprint() {
    let test = Test::new([stage("a", "", "")]).env("LANG", "C");
    test.run("").runs("a");
    let test = test.env("LANG", "C.UTF-8").env("http_proxy", "http://localhost:1").env("CFLAGS", "-O9");
    test.run("").runs("");
}

#[test]
fn the_environment_that_is_set_and_that_is_passed_is_hashed() {
    let test = Test::new([stage("a", "pass-env = ['CFLAGS']\nenv = { X = '1' }", "echo $CFLAGS$X > ${self.out}/x")])
        .env("CFLAGS", "-O1");
    test.run("").runs("a");
    test.change("'1'", "'2'");
    test.run("").runs("a");
    let test = test.env("CFLAGS", "-O2");
    test.run("").runs("a");
    assert!(test.files_below(".optbuild/outputs/a").iter().any(|file| std::fs::read(file).unwrap() == b"-O22\n"));
    let _ = test.cmd("explain a").ok().out("up to date");
}

#[test]
fn a_tool_is_its_version_output_and_the_hash_of_what_runs() {
    let tool = |version: &str, rest: &str| {
        format!("if [ \"$1\" = --version ]; then echo tool {version}; else mark $*; fi{rest}")
    };
    let test = Test::new(["[tools]\nmytool = '>=1'\n[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['mytool', 'a']\n"]);
    test.program("mytool", &tool("1.0", ""));
    test.run("").runs("a");
    // A link to the same program, and another time.
    test.program("mytool", &tool("1.0", ""));
    test.run("").runs("");
    test.program("mytool", &tool("2.0", ""));
    test.run("").runs("a");
    test.program("mytool", &tool("2.0", " # other code"));
    let _ = test.cmd("explain a").ok().out("tool.mytool");
    test.run("").runs("a");
}

#[test]
fn the_version_output_counts_where_the_program_is_the_same() {
    // As clang is, whose code is in a library.
    let test = Test::new(["[tools]\nmytool = '*'\n[[stage]]\nname = 'a'\nkind = 'command'\nrun = ['mytool', 'a']\n"]);
    test.write("library", "1.0");
    test.program("mytool", &format!("[ \"$1\" = --version ] && cat {} || mark $*", test.path("library")));
    test.run("").runs("a");
    test.write("library", "2.0");
    // Nothing tells that what it says has changed until the program is touched, as a package manager does.
    test.program("mytool", &format!("[ \"$1\" = --version ] && cat {} || mark $*", test.path("library")));
    test.run("").runs("a");
}

#[test]
fn a_record_is_removed_before_its_stage_is_begun_again() {
    // What it makes is always the same, nothing: only the record tells that it is done.
    let test = Test::new([stage("a", "", "gate go")]);
    test.open("go");
    test.run("").runs("a");
    test.close("go");
    let run = test.start("--from a");
    run.wait_for("a").kill();
    let _ = run.end();
    test.open("go");
    test.run("").runs("a");
}

#[test]
fn two_settings_of_a_variable_do_not_overwrite_each_others_records() {
    let test = Test::new(["[vars]\nx = '1'\n".to_owned(), stage("a", "", "echo ${x} > ${self.out}/x")]);
    test.run("").runs("a");
    test.run("--set x=2").runs("a");
    test.run("").runs("");
    test.run("--set x=2").runs("");
    // A stage's name is a pointer to the record that the last run used.
    let content = || {
        let path = test.cmd("artifacts a --json").json()[0]["path"].as_str().unwrap().replace("[DIR]/", "");
        test.read(&format!("{path}/x"))
    };
    assert_eq!(content(), "2\n");
    test.run("").runs("");
    assert_eq!(content(), "1\n");
}

#[test]
fn any_change_of_an_output_is_noticed() {
    let test = Test::new([
        stage("a", "", "mkdir ${self.out}/d; echo 1 > ${self.out}/d/x; ln -s d/x ${self.out}/l"),
        stage("b", "", "cat ${a.out}/l"),
    ]);
    test.run("").runs("a b");
    let out = test.read(".optbuild/names/a")[..20].to_owned();
    for tampering in ["echo 2 > d/x", "rm d/x", "chmod +x d/x", "touch d/y", "ln -sfn x l", "rm -r d"] {
        test.sh(&format!("cd .optbuild/outputs/a/{out}; {tampering}"));
        let _ = test.cmd("status p.toml --json").ok().out("will-run");
        // What it makes is the same, so what was made from it is still good.
        test.run("").runs("a");
    }
}

#[test]
fn artifacts_are_named_by_their_content() {
    let test = Test::new([
        stage("a", "", "echo 1 > ${self.out}/x"),
        stage("b", "", "echo 1 > ${self.out}/x"),
        stage("c", "", "echo 2 > ${self.out}/x"),
        stage("d", "", "echo 1 > ${self.out}/x; chmod +x ${self.out}/x"),
    ]);
    test.run("").runs("a b c d");
    let rows = test.cmd("artifacts --json").json();
    let hash = |at: usize| rows[at]["hash"].as_str().unwrap();
    assert_eq!(hash(0), hash(1));
    assert_ne!(hash(0), hash(2));
    assert_ne!(hash(0), hash(3));
}

#[test]
fn a_consumer_is_up_to_date_as_long_as_what_it_consumes_is_the_same() {
    let test = Test::new([
        stage("a", "inputs = ['${pipeline.dir}/x']", "head -c 1 ${pipeline.dir}/x > ${self.out}/x"),
        stage("b", "", "cat ${a.out}/x"),
    ])
    .file("x", "1 first");
    test.run("").runs("a b");
    test.write("x", "1 second");
    test.run("").runs("a");
    test.write("x", "2");
    test.run("").runs("a b");
}

#[test]
fn a_variable_that_a_stage_does_not_use_is_not_in_its_fingerprint() {
    let test = Test::new(["[vars]\nx = '1'\n".to_owned(), stage("a", "", ""), stage("b", "", "echo ${x}")]);
    test.run("").runs("a b");
    test.run("--set x=2").runs("b");
}

/// The size and the time are as they were.
#[test]
fn an_output_that_was_changed_with_its_time_kept_is_made_anew() {
    for change in ["cp -p x y; echo two > y; touch -r x y; mv y x", "cp -p x y; echo two > x; touch -r y x; rm y"] {
        // What was written just now is read again whatever its times say.
        let test = Test::new([stage("a", "outputs = { x = 'x' }", "echo one > ${self.out}/x; sleep 0.3")]);
        test.run("").runs("a");
        test.run("").runs("");
        let output = test.files_below(".optbuild/outputs/a").pop().unwrap();
        test.sh(&format!("cd {}; {change}", output.parent().unwrap()));
        let _ = test.cmd("plan p.toml").ok().out("x` was changed");
        test.run("").runs("a");
        assert_eq!(test.read(output.as_str()), "one\n");
    }
}
