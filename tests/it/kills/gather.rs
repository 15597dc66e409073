//! Which profiles count: those of attempts that succeeded, each once. Real programs, real profiles.

use std::collections::BTreeMap;

use crate::support::kill::gather::{counts, gather, has_steps};
use crate::support::kill::{Project, pipelines, tree};
use crate::support::processes::{eventually, patiently};

/// What the record has of a workload.
fn facts(project: &Project, workload: &str) -> BTreeMap<String, f64> {
    let record = project.record("gather").unwrap();
    let facts = record["facts"].as_array().unwrap().iter();
    facts
        .filter(|fact| fact["workload"] == workload)
        .map(|fact| (fact["name"].as_str().unwrap().to_owned(), fact["value"].as_f64().unwrap()))
        .collect()
}

/// Raw profiles below the stage's own directories.
fn raw_profiles(project: &Project) -> Vec<String> {
    tree(&project.state().join("stages/gather")).into_keys().filter(|path| path.ends_with(".profraw")).collect()
}

/// Two processes at once, one after the other, and one that starts another: one raw profile each.
#[test]
fn each_process_counts_once() {
    let project = gather(
        "",
        &[
            ("one", "", "${program.loop} 7\n"),
            ("three", "", "${program.loop} 100 &\n${program.loop} 200 &\nwait\n${program.loop} 400\n"),
        ],
    );
    project.succeed(&["run"]);
    has_steps(&project, 707);
    assert_eq!(facts(&project, "one")["raw-profiles"], 1.0);
    assert_eq!(facts(&project, "three")["raw-profiles"], 3.0);
    let (one, three) = (facts(&project, "one")["raw-bytes"], facts(&project, "three")["raw-bytes"]);
    assert!(one > 0.0 && three == 3.0 * one, "{one} {three}");
    // They are merged, and gone.
    assert_eq!(raw_profiles(&project), [""; 0]);
}

/// With `raw-files`, the processes of a workload have one file: what is lost, and what is not.
#[test]
fn processes_that_share_a_file() {
    let with = |keys: &str| {
        let project = gather(keys, &[("two", "", "${program.loop} 100\n${program.loop} 200\n")]);
        project.succeed(&["run"]);
        project
    };
    has_steps(&with("raw-files = 'added'"), 300);
    has_steps(&with("raw-files = 'overwritten'"), 200);
}

/// Every attempt has a profile directory and a working directory of its own.
#[test]
fn attempts_have_their_own_directories() {
    let script = "echo \"$LLVM_PROFILE_FILE\" >> \"$LC_DIR/places\"\npwd >> \"$LC_DIR/places\"\n[ -z \"$(ls)\" ]\ntouch here\n\
                  ${program.loop} 1\n[ -e \"$LC_DIR/once\" ] || { touch \"$LC_DIR/once\"; exit 1; }\n";
    let project = gather("retries = 1", &[("a", "", script), ("b", "", script)]);
    project.succeed(&["run"]);
    let places = std::fs::read_to_string(project.dir.join("places")).unwrap();
    let mut places: Vec<&str> = places.lines().collect();
    assert_eq!(places.len(), 6, "{places:?}");
    assert!(places.iter().step_by(2).all(|pattern| pattern.ends_with("/%m_%p.profraw")), "{places:?}");
    places.sort_unstable();
    places.dedup();
    assert_eq!(places.len(), 6, "{places:?}");
    has_steps(&project, 2);
}

/// The profile that a failed attempt has written is thrown away; the workload begins anew.
#[test]
fn a_failed_attempt_does_not_count() {
    let script = "did attempt\n${program.loop} 1000\n[ -e \"$LC_DIR/once\" ] || { touch \"$LC_DIR/once\"; exit 1; }\n\
                  ${program.loop} 5\n";
    let project = gather("retries = 2", &[("flaky", "", script)]);
    project.succeed(&["run"]);
    assert_eq!(project.work(), ["program", "attempt", "attempt"]);
    has_steps(&project, 1005);
    assert_eq!(project.last_events("retrying").len(), 1);
    assert_eq!(project.last_events("workload-committed")[0]["attempt"], 2);
}

/// Killed by a signal after it has written its profile.
#[test]
fn an_attempt_that_was_killed_does_not_count() {
    let script = "if [ -e \"$LC_DIR/once\" ]; then ${program.loop} 3; else touch \"$LC_DIR/once\"; exec ${program.loop} 1000 abort; fi\n";
    let project = gather("retries = 1", &[("crash", "", script)]);
    project.succeed(&["run"]);
    has_steps(&project, 3);
}

/// Out of time after it has written its profile.
#[test]
fn an_attempt_that_timed_out_does_not_count() {
    let script = "if [ -e \"$LC_DIR/once\" ]; then ${program.loop} 3; else touch \"$LC_DIR/once\"; ${program.loop} 1000 hang; fi\n";
    patiently(|scale| {
        let timeout = format!("timeout = \"{}s\"", 2 * scale);
        let project = gather("retries = 1", &[("slow", &timeout, script)]);
        if project.finish(&["run"]).code() != Some(0) {
            return false;
        }
        has_steps(&project, 3);
        project.nothing_left();
        true
    });
}

/// Without retries left the stage fails, and nothing of the attempt stays; what was committed does.
#[test]
fn the_last_failed_attempt_leaves_nothing() {
    let flaky = "did flaky\n${program.loop} 1000\n[ -e \"$LC_DIR/good\" ]\n";
    let project = gather("", &[("good", "", "did good\n${program.loop} 20\n"), ("flaky", "", flaky)]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    assert_eq!(raw_profiles(&project), [""; 0]);
    assert!(project.record("gather").is_none());
    assert_eq!(project.work(), ["program", "good", "flaky"]);
    std::fs::write(project.dir.join("good"), "").unwrap();
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["flaky"]);
    has_steps(&project, 1020);
    // What `good` reported before counts for the record, too.
    assert_eq!(facts(&project, "good")["raw-profiles"], 1.0);
    assert_eq!(facts(&project, "flaky")["raw-profiles"], 1.0);
}

/// A workload that may fail says so; then what it wrote counts.
#[test]
fn profiles_of_a_failure_are_kept_where_that_is_said() {
    patiently(profiles_of_a_failure_are_kept);
}

/// False: there was not enough time for the workload that hangs to write its profile.
fn profiles_of_a_failure_are_kept(scale: u32) -> bool {
    let slow = format!("keep-profiles = true\ntimeout = \"{}s\"", 2 * scale);
    let workloads = [
        ("fails", "keep-profiles = true", "${program.loop} 10 fail\n"),
        ("crashes", "keep-profiles = true", "exec ${program.loop} 20 abort\n"),
        ("slow", &slow, "${program.loop} 40 hang\n"),
    ];
    let project = gather("retries = 1", &workloads);
    project.succeed(&["run"]);
    if counts(&project.output("gather", "profile"), "step") == [30] {
        return false;
    }
    has_steps(&project, 70);
    // It counts as it is: there is no second attempt.
    assert_eq!(project.last_events("retrying").len(), 0);
    true
}

/// A run that is killed continues at the workload, which begins anew.
#[test]
fn a_killed_run_continues_at_the_workload() {
    let script = |name: &str, steps: u32| format!("did {name}\n${{program.loop}} {steps}\npoint {name}\n");
    let (a, b, c) = (script("a", 1), script("b", 10), script("c", 100));
    let project = gather("", &[("a", "", &a), ("b", "", &b), ("c", "", &c)]);
    project.hold("b");
    let run = project.start(&["run"]);
    project.reached("b");
    // The profile of the attempt under way has been merged already, into a sum that does not count.
    assert!(eventually(|| raw_profiles(&project).is_empty()));
    run.kill();
    project.nothing_left();
    project.release("b");
    assert_eq!(project.work(), ["program", "a", "b"]);
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["b", "c"]);
    has_steps(&project, 111);
    for name in ["a", "b", "c"] {
        assert_eq!(facts(&project, name)["raw-profiles"], 1.0);
    }
}

/// After a change of the program nothing that was committed counts.
#[test]
fn workloads_of_another_program_do_not_count() {
    let script = |name: &str| format!("did {name}\n${{program.loop}} 1\npoint {name}\n");
    let (a, b) = (script("a"), script("b"));
    let project = gather("", &[("a", "", &a), ("b", "", &b)]);
    project.hold("b");
    let run = project.start(&["run"]);
    project.reached("b");
    run.kill();
    project.nothing_left();
    project.release("b");
    project.work();
    let path = project.dir.join("pipeline.toml");
    let text = std::fs::read_to_string(&path).unwrap().replace("return x * 2;", "return x * 3;");
    std::fs::write(path, text).unwrap();
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["program", "a", "b"]);
    has_steps(&project, 2);
}

/// Nothing was written: the message says what was run, where it looked, and what may be the cause.
#[test]
fn nothing_written_is_an_error_that_helps() {
    let project = gather("retries = 1", &[("silent", "", "${program.loop} 10 silent\n")]);
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in
        ["wrote no raw profile", "what was run: cd ", "10 silent", "looked in: ", "attempts/silent.", "usual causes"]
    {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
    assert!(project.record("gather").is_none());
}

/// A program that is not instrumented is noticed before anything runs.
#[test]
fn a_plain_program_is_refused() {
    let program = pipelines::program().replace(" -fprofile-generate", " -D__llvm_profile_write_file=getpid");
    let project = Project::new(&format!(
        "name = \"plain\"\n{program}{}",
        pipelines::gather("", &[("a", "", "did a\n${program.loop} 1\n")])
    ));
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    assert_eq!(project.work(), ["program"]);
    assert!(ended.output.contains("instrumented"), "{}", ended.output);
}

/// `--from` drops what was committed; killed, it does so once.
#[test]
fn forced_workloads_begin_anew_once() {
    let script = |name: &str| format!("did {name}\n${{program.loop}} 1\npoint {name}\n");
    let (a, b) = (script("a"), script("b"));
    let project = gather("", &[("a", "", &a), ("b", "", &b)]);
    project.succeed(&["run"]);
    project.hold("b");
    project.work();
    let run = project.start(&["run", "--from", "gather"]);
    project.reached("b");
    run.kill();
    project.nothing_left();
    assert_eq!(project.work(), ["a", "b"]);
    project.release("b");
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["b"]);
    has_steps(&project, 2);
}

/// Names that differ in characters that no file name has are different workloads.
#[test]
fn names_that_look_alike_as_files_are_different() {
    let workloads =
        [("a b", "", "${program.loop} 1\n"), ("a_b", "", "${program.loop} 10\n"), ("a/b", "", "${program.loop} 100\n")];
    let project = gather("", &workloads);
    project.succeed(&["run"]);
    has_steps(&project, 111);
}
