//! Two runs on one state directory, and what a killed run has left when the next one begins.

use std::process::{Command, Stdio};

use crate::support::kill::{Project, Run, pipelines};
use crate::support::processes::{eventually, group, patiently, signal};
use rustix::process::Signal;

/// One stage whose build directory is changed as long as the script lives.
fn project(script: &str) -> Project {
    let script = format!("did begin\n{script}\npoint here\necho done > ${{self.out}}/text\n");
    Project::new(&format!("name = \"x\"\n\n{}", pipelines::stage("only", "outputs = { text = \"text\" }", &script)))
}

/// Kills optbuild and the supervisor, so that nobody is left who could end the rest.
fn kill_both(project: &Project, run: Run) {
    // Stopped, it cannot end the orphans.
    run.signal(Signal::STOP);
    for supervisor in project.supervisors() {
        signal(supervisor, Signal::KILL);
    }
    run.signal(Signal::KILL);
    run.ended();
}

#[test]
fn the_second_run_says_who_works_there() {
    let project = project("");
    project.hold("here");
    let first = project.start(&["run"]);
    project.reached("here");
    for args in [&["run"][..], &["resume"], &["clean"], &["gc"]] {
        let second = project.finish(args);
        assert_eq!(second.code(), Some(3), "{args:?}: {}", second.output);
        let holder = format!("`optbuild run pipeline.toml` (process {})", first.pid());
        assert!(second.output.contains(&holder), "{args:?}: {}", second.output);
    }
    // Looking is allowed.
    for args in [&["status"][..], &["explain", "only"], &["logs", "only"]] {
        let looking = project.finish(args);
        assert_eq!(looking.code(), Some(0), "{args:?}: {}", looking.output);
    }
    // In another state directory nobody is in the way.
    project.release("here");
    project.succeed(&["run", "--state-dir", "another"]);
    assert_eq!(first.ended().code(), Some(0));
    project.succeed(&["run"]);
    assert_eq!(project.work(), ["begin", "begin"]);
}

/// The command does not listen to SIGTERM, so the supervisor of the killed run needs its two seconds. The next run waits.
#[test]
fn a_run_waits_for_the_supervisor_of_the_killed_one() {
    let stubborn =
        "if mkdir taken; then trap '' TERM; (while :; do did tick; sleep 0.01; done) & point hold; fi\nrmdir taken";
    // On a slow machine, the next run may begin after those two seconds, when there is nothing to wait for.
    patiently(|_| {
        let project = project(stubborn);
        project.hold("hold");
        let run = project.start(&["run"]);
        project.reached("hold");
        run.kill();
        let next = project.start(&["resume"]);
        let both = !project.with_line("while").is_empty();
        let ended = next.ended();
        assert_eq!(ended.code(), Some(0), "{}", ended.output);
        let work = project.work();
        // Nothing of the old one happened after the new one had begun.
        let second = work.iter().rposition(|word| word == "begin").unwrap();
        assert!(second > 1 && !work[second..].contains(&"tick".to_owned()), "{work:?}");
        project.nothing_left();
        both
    });
}

/// Supervisor and runner were killed at once. What has left session and group, and closed its files, is found nevertheless.
#[test]
fn what_nobody_ends_is_ended_by_the_next_run() {
    let fled = "if [ -e again ]; then point hold; else touch again\n\
                (setsid sh -c 'trap \"\" TERM HUP; exec > /dev/null 2>&1; cd /; while :; do echo tick >> \"$LC_DIR/work\"; sleep 0.01; done' &)\n\
                (setsid sleep 3000 &)\nsleep 3000 &\npoint hold; fi";
    for cut in [false, true] {
        let project = project(fled);
        project.hold("hold");
        let run = project.start(&["run"]);
        project.reached("hold");
        assert!(eventually(|| project.processes().len() >= 6), "{:?}", project.processes());
        kill_both(&project, run);
        assert!(eventually(|| project.processes().len() <= 5));
        let old = project.processes();
        assert!(old.len() >= 3, "{old:?}");
        if cut {
            // The journal had not come so far.
            let journal = project.journal(&project.runs()[0]);
            let text = std::fs::read_to_string(&journal).unwrap();
            std::fs::write(&journal, text.lines().next().unwrap().to_owned() + "\n").unwrap();
        }
        let run = project.start(&["resume"]);
        project.reached("hold");
        let left: Vec<_> = project.processes().into_iter().filter(|process| old.contains(process)).collect();
        assert_eq!(left, []);
        let work = project.work();
        assert_eq!(work.last().map(String::as_str), Some("begin"), "{work:?}");
        project.release("hold");
        assert_eq!(run.ended().code(), Some(0));
        assert_eq!(project.work(), [""; 0]);
    }
}

/// `clean` does not take a build directory away under those who work in it.
#[test]
fn clean_waits_as_well() {
    let project = project("(trap '' TERM; while :; do did tick; echo x > file; sleep 0.01; done) & point hold");
    project.hold("hold");
    let run = project.start(&["run"]);
    project.reached("hold");
    kill_both(&project, run);
    project.succeed(&["clean"]);
    assert_eq!(project.processes(), []);
    assert!(!project.state().join("stages/only").exists());
}

/// Who looks around in the directories of a killed run is none of its processes.
#[test]
fn a_person_in_the_build_directory_stays() {
    let project = project("point hold");
    project.hold("hold");
    let run = project.start(&["run"]);
    project.reached("hold");
    run.kill();
    project.nothing_left();
    let build = project.state().join("stages/only/build");
    let log = std::fs::File::create(project.state().join("stages/only/notes")).unwrap();
    let mut command = Command::new("sleep");
    let mut person = command.arg("3000").current_dir(build).stdin(Stdio::null()).stdout(log).spawn().unwrap();
    project.release("hold");
    project.succeed(&["run"]);
    assert!(person.try_wait().unwrap().is_none());
    person.kill().unwrap();
    person.wait().unwrap();
}

/// A supervisor never shares a process group with optbuild, so a terminal's Ctrl-C does not reach it.
#[test]
fn supervisors_are_out_of_the_terminals_reach() {
    let project = project("point hold");
    project.hold("hold");
    let run = project.start(&["run"]);
    project.reached("hold");
    let supervisors = project.supervisors();
    assert_eq!(supervisors.len(), 1);
    assert_ne!(group(supervisors[0]), Some(run.pid()));
    // As a terminal does it.
    run.signal_group(Signal::INT);
    let ended = run.ended();
    assert_eq!(ended.code(), Some(130), "{}", ended.output);
    assert_eq!(project.processes(), []);
}

/// The terminal is closed: SIGHUP, and standard error cannot be written any more.
#[test]
fn a_closed_terminal() {
    let project = project("point hold");
    project.hold("hold");
    let mut command = project.command(&["run"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    project.reached("hold");
    drop(reader);
    signal(child.id() as i32, Signal::HUP);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(project.processes(), []);
    // Nobody watches, and the run goes on.
    project.release("hold");
    let mut command = project.command(&["resume"]);
    let (reader, writer) = std::io::pipe().unwrap();
    command.stdout(Stdio::null()).stderr(writer);
    drop(reader);
    assert_eq!(command.spawn().unwrap().wait().unwrap().code(), Some(0));
    assert_eq!(project.last_events("run-finished")[0]["outcome"], "done");
}

/// Copies a state directory as it is.
fn copy_state(from: &Project, to: &Project) {
    let copied = Command::new("cp").args(["-r", from.state().as_str(), to.state().as_str()]).status().unwrap();
    assert!(copied.success());
}

/// The journal in a copy names the processes of a run that is under way elsewhere.
#[test]
fn a_run_in_a_copy_leaves_the_other_run_alone() {
    let (first, copy) = (project(""), project(""));
    first.hold("here");
    let run = first.start(&["run"]);
    first.reached("here");
    copy_state(&first, &copy);
    // Nothing is under way in the copy, so there is nothing to follow.
    copy.succeed(&["logs", "only", "--follow"]);
    copy.succeed(&["clean"]);
    copy.succeed(&["run"]);
    assert_eq!(copy.work(), ["begin"]);
    first.release("here");
    let ended = run.ended();
    assert_eq!(ended.code(), Some(0), "{}", ended.output);
    assert_eq!(first.work(), ["begin"]);
}

/// What is left of a killed run ticks in the build directory until somebody ends it.
const TICKS: &str = r#"if [ ! -e "$LC_DIR/again" ]; then touch "$LC_DIR/again"
(setsid sh -c 'while :; do echo tick >> "$LC_DIR/work"; sleep 0.01; done' &)
point hold; fi"#;

/// By whichever name the directory is called, it is the same one.
#[test]
fn a_state_directory_that_is_a_link_is_the_one_it_leads_to() {
    for (first, second) in [("link", "real"), ("real", "link")] {
        let project = project(TICKS);
        std::fs::create_dir(project.dir.join("elsewhere")).unwrap();
        std::os::unix::fs::symlink("elsewhere/real", project.dir.join("link")).unwrap();
        let place = |name: &str| if name == "real" { "elsewhere/real" } else { "link" };
        project.hold("hold");
        let run = project.start(&["run", "--state-dir", place(first)]);
        project.reached("hold");
        kill_both(&project, run);
        project.release("hold");
        project.succeed(&["run", "--state-dir", place(second)]);
        let work = project.work();
        assert_eq!(work.last().map(String::as_str), Some("begin"), "{first} {second}: {work:?}");
        assert_eq!(project.processes(), []);
        // One state, hence nothing to do by the other name.
        project.succeed(&["run", "--state-dir", place(first)]);
        assert_eq!(project.work(), [""; 0]);
    }
}

/// The clock was ahead when a run began, so its name is one of the future. The run after it is the last one all the same.
#[test]
fn the_last_run_is_not_the_one_with_the_latest_time() {
    let project = project(TICKS);
    std::fs::write(project.dir.join("again"), "").unwrap();
    project.succeed(&["run"]);
    let runs = project.state().join("runs");
    std::fs::rename(runs.join(&project.runs()[0]), runs.join("20991231-235959-ffff")).unwrap();
    std::fs::remove_file(project.dir.join("again")).unwrap();
    project.work();
    project.hold("hold");
    let run = project.start(&["run", "--from", "only"]);
    project.reached("hold");
    kill_both(&project, run);
    project.release("hold");
    let ended = project.succeed(&["resume"]);
    assert!(!ended.output.contains("the last run"), "{}", ended.output);
    let work = project.work();
    assert_eq!(work.last().map(String::as_str), Some("begin"), "{work:?}");
    assert_eq!(project.processes(), []);
    assert_eq!(project.runs()[1..], ["21000101-000000-0000", "21000101-000000-0001"]);
}
