//! Workspaces, journals and caches as a kill or a power cut between two steps can leave them, made by hand: the next run does the
//! right thing.

use std::fs;
use std::sync::OnceLock;

use crate::support::kill::crash::*;
use crate::support::kill::{Project, pipelines};
use camino::Utf8Path;

/// Between the record of a stage and the note that its workspace is clean: nothing has to be done again.
#[test]
fn a_workspace_that_is_dirty_by_a_recorded_stage() {
    let project = Project::new(&pipeline());
    project.hold("second");
    let run = project.start(&["run"]);
    project.reached("second");
    run.kill();
    project.nothing_left();
    let path = project.state().join("workspaces/tree.json");
    let note = serde_json::json!({"stage": "first", "fingerprint": fingerprint(&project, "first"), "dirty": true});
    fs::write(path, note.to_string()).unwrap();
    project.release("second");
    project.work();
    // `beside` has run meanwhile, or not.
    project.succeed(&["run"]);
    assert!(!project.work().contains(&"first".to_owned()));
    correct(&project);
}

/// A workspace in the hands of a stage that was killed: that stage continues.
#[test]
fn a_workspace_in_which_a_stage_was_killed() {
    let project = Project::new(&pipeline());
    project.hold("second");
    let run = project.start(&["run", "-j", "1"]);
    project.reached("second");
    run.kill();
    project.nothing_left();
    project.release("second");
    assert_eq!(project.work(), ["first", "second"]);
    runs(&project, &["resume"], &["second", "beside", "last"]);
}

/// Nobody knows what a workspace holds whose note is damaged.
#[test]
fn a_workspace_with_half_a_note() {
    let project = done();
    cut_in_half(&project.state().join("workspaces/tree.json"));
    // What is recorded is good.
    runs(&project, &["run"], &[]);
    fs::remove_file(record_file(&project, "second")).unwrap();
    runs(&project, &["run"], &["first", "second"]);
}

/// Between the end of a stage and its record, with a note of what it was begun with that is damaged: it starts from nothing.
#[test]
fn half_a_note_of_what_a_build_directory_is_for() {
    let project = done();
    fs::remove_file(record_file(&project, "beside")).unwrap();
    cut_in_half(&project.state().join("stages/beside/build.json"));
    let build = project.state().join("stages/beside/build");
    fs::write(build.join("old"), "").unwrap();
    runs(&project, &["run"], &["beside"]);
    assert!(!build.join("old").exists());
}

#[test]
fn a_journal_that_is_cut_off() {
    for keep in [0.0, 0.1, 0.5, 0.9] {
        let project = Project::new(&pipeline());
        project.hold("last");
        let run = project.start(&["run", "-j", "1"]);
        project.reached("last");
        run.kill();
        project.nothing_left();
        project.release("last");
        project.work();
        let journal = project.journal(&project.runs()[0]);
        let bytes = fs::read(&journal).unwrap();
        fs::write(&journal, &bytes[..(bytes.len() as f64 * keep) as usize]).unwrap();
        if bytes[..(bytes.len() as f64 * keep) as usize].contains(&b'\n') {
            runs(&project, &["resume"], &["last"]);
        } else {
            // Nothing says what was run.
            let ended = project.finish(&["resume"]);
            assert_eq!(ended.code(), Some(2), "{}", ended.output);
            assert!(ended.output.contains("nothing was run yet"), "{}", ended.output);
            runs(&project, &["run"], &["last"]);
        }
    }
}

/// Lines in the middle that nobody can read cost nothing but what they said.
#[test]
fn a_journal_with_damage_in_the_middle() {
    let project = Project::new(&pipeline());
    project.hold("last");
    let run = project.start(&["run", "-j", "1"]);
    project.reached("last");
    run.kill();
    project.nothing_left();
    project.release("last");
    project.work();
    let journal = project.journal(&project.runs()[0]);
    let text = fs::read_to_string(&journal).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[3] = "\0\0\0\0\0\0";
    lines[5] = &lines[5][..10];
    fs::write(&journal, lines.join("\n")).unwrap();
    runs(&project, &["resume"], &["last"]);
    let status = project.finish(&["status"]);
    assert_eq!(status.code(), Some(0), "{}", status.output);
}

/// A kill between what the journal says and what is done: a stage that was to begin afresh has not.
#[test]
fn a_forced_stage_that_the_journal_says_has_begun() {
    let project = done();
    let before = snapshot(&project);
    project.succeed(&["run", "--from", "last"]);
    project.work();
    let run = project.runs().pop().unwrap();
    let journal = fs::read_to_string(project.journal(&run)).unwrap();
    let (upto, _) = journal.split_once("\"step-started\"").unwrap();
    let (upto, _) = upto.rsplit_once('\n').unwrap();
    assert!(upto.contains("stage-started"), "{upto}");
    restore(&project, before);
    fs::create_dir_all(project.journal(&run).parent().unwrap()).unwrap();
    fs::write(project.journal(&run), format!("{upto}\n")).unwrap();
    runs(&project, &["resume"], &["last"]);
}

/// The other way round: it has begun, and the journal does not say so yet.
#[test]
fn a_forced_stage_that_has_begun_before_the_journal_says_so() {
    let project = done();
    project.hold("second");
    let run = project.start(&["run", "--from", "first", "-j", "1"]);
    project.reached("second");
    run.kill();
    project.nothing_left();
    project.release("second");
    assert_eq!(project.work(), ["first", "second"]);
    let journal = project.journal(&project.runs()[1]);
    let text = fs::read_to_string(&journal).unwrap();
    fs::write(&journal, text.lines().next().unwrap().to_owned() + "\n").unwrap();
    runs(&project, &["resume"], &["second", "last"]);
}

/// Files and directories that were being written or removed.
#[test]
fn leftovers_everywhere() {
    let project = done();
    let state = project.state();
    for directory in [
        "",
        "records",
        "manifests",
        "names",
        "stages",
        "stages/beside",
        "outputs",
        "outputs/beside",
        "runs",
        "workspaces",
    ] {
        let directory = state.join(directory);
        fs::write(directory.join(".tmp-abc123"), "half").unwrap();
        fs::create_dir_all(directory.join(".gone-abc123/tree/deep")).unwrap();
        fs::write(directory.join(".gone-abc123/tree/deep/file"), "half").unwrap();
    }
    runs(&project, &["run"], &[]);
}

/// Killed while the outputs were put where a person looks for them.
#[test]
fn half_a_published_output() {
    let project = done();
    // Notes that the outputs are there, in this place.
    runs(&project, &["run"], &[]);
    let out = project.dir.join("out/crash");
    fs::write(out.join(".optbuild-text"), "hal").unwrap();
    fs::create_dir(out.join(".optbuild-dir")).unwrap();
    fs::write(out.join(".optbuild-dir/copy"), "hal").unwrap();
    runs(&project, &["run"], &[]);
    // Between the removal of the old directory and the new one.
    fs::remove_dir_all(out.join("dir")).unwrap();
    runs(&project, &["run"], &[]);
    // Before what was put there is noted.
    fs::remove_file(project.state().join("published.json")).unwrap();
    fs::write(out.join("text"), "other").unwrap();
    runs(&project, &["run"], &[]);
    cut_in_half(&project.state().join("published.json"));
    runs(&project, &["run"], &[]);
}

/// Caches hold nothing that cannot be found out again.
#[test]
fn damaged_caches() {
    let project = done();
    for name in ["hashes", "tools", "facts"] {
        let path = project.state().join(name);
        for text in
            [&b""[..], b"\0\0\0\0", b"{\"version\":1", b"optbuild hashes 1\n\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
        {
            fs::write(&path, text).unwrap();
            runs(&project, &["run"], &[]);
        }
    }
}

/// Making the state directory was interrupted.
#[test]
fn half_a_state_directory() {
    for files in [&[][..], &[".gitignore"], &[".gitignore", ".tmp-abc"]] {
        let project = Project::new(&pipeline());
        fs::create_dir(project.state()).unwrap();
        for file in files {
            fs::write(project.state().join(file), "").unwrap();
        }
        project.succeed(&["run"]);
        correct(&project);
    }
}

/// What a killed run says in its lock is not true any more.
#[test]
fn the_lock_of_a_dead_process() {
    let project = done();
    for text in ["", "{\"pid\":1,\"command\":\"optbuild run x\",\"since\":\"2026-01-01T00:00:00Z\"}", "\0\0"] {
        fs::write(project.state().join("lock"), text).unwrap();
        runs(&project, &["run"], &[]);
    }
}

/// An attempt of a workload that was not committed does not count, however complete it looks.
#[test]
fn workloads_under_way_and_committed() {
    static PIPELINE: OnceLock<String> = OnceLock::new();
    let text = PIPELINE.get_or_init(|| {
        let workload = |name: &str, steps: u32| format!("did {name}\n${{program.loop}} {steps}\npoint {name}\n");
        let (a, b) = (workload("a", 1), workload("b", 10));
        format!(
            "name = \"crash\"\n\n[outputs]\nprofile = \"${{gather.profile}}\"\n\n{}{}",
            pipelines::program(),
            pipelines::gather("", &[("a", "", &a), ("b", "", &b)])
        )
    });
    let project = Project::new(text);
    project.hold("b");
    let run = project.start(&["run"]);
    project.reached("b");
    run.kill();
    project.nothing_left();
    project.release("b");
    project.work();
    let stage = project.state().join("stages/gather");
    // As before the rename that commits it.
    let attempt = stage.join("attempts/b.1");
    copy(&stage.join("committed/a/sum"), &attempt);
    assert!(attempt.join("sum/profile.sum").exists());
    fs::copy(stage.join("committed/a/facts.json"), attempt.join("facts.json")).unwrap();
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["b"]);
    let undisturbed = Project::new(text);
    undisturbed.succeed(&["run"]);
    assert_eq!(project.outputs(), undisturbed.outputs());
    // All workloads are committed, and the stage has no record: only the sum is made again.
    fs::remove_file(record_file(&project, "gather")).unwrap();
    project.work();
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
    assert_eq!(project.outputs(), undisturbed.outputs());
}

fn snapshot(project: &Project) -> tempfile::TempDir {
    let copy = tempfile::tempdir_in(&project.dir).unwrap();
    self::copy(&project.state(), Utf8Path::from_path(copy.path()).unwrap());
    copy
}

fn restore(project: &Project, copy: tempfile::TempDir) {
    fs::remove_dir_all(project.state()).unwrap();
    fs::rename(copy.path().join(".optbuild"), project.state()).unwrap();
}
