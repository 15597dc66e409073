//! When the runner is killed, nothing of its commands' trees is left.
//!
//! The runners are processes of their own. This one starts no command itself: as a runner, it would take the orphans of those it kills
//! for its own.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use super::support::{NOTHING, Place, TREE, TREE_SIZE, launch};
use crate::support::OPTBUILD;
use crate::support::processes::{eventually, signal};
use optbuild::proc::tree::is_alive;
use optbuild::run::process::{Process, STATE_VARIABLE, end_survivors, mark};
use rustix::process::Signal;

/// Set for the copy of this test program that plays the runner.
const RUNNER: &str = "OPTBUILD_TEST_RUNNER";

/// Not a test: the runner that the next ones kill.
#[test]
fn runner() {
    let Ok(dir) = std::env::var(RUNNER) else { return };
    let mut launch = launch(dir.as_str().into(), &["sh", "-c", TREE]);
    launch.env.insert(STATE_VARIABLE.into(), format!("1:1 {}", mark(dir.as_str().into()).unwrap()));
    let process = Process::start(OPTBUILD.into(), &launch).unwrap();
    std::fs::write(format!("{dir}/started"), format!("{} {}", process.pid(), process.start_time())).unwrap();
    process.wait();
}

/// Starts the runner with a group of its own; returns it with the supervisor's pid and start time.
fn start_runner(place: &Place) -> (std::process::Child, u32, u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process::runner::runner"]).env(RUNNER, &place.dir).stdout(Stdio::null()).process_group(0);
    let child = command.spawn().unwrap();
    place.wait_running(TREE_SIZE);
    place.wait_file("started");
    assert!(eventually(|| !std::fs::read(place.dir.join("started")).unwrap().is_empty()));
    let started = std::fs::read_to_string(place.dir.join("started")).unwrap();
    let (pid, start_time) = started.split_once(' ').unwrap();
    (child, pid.parse().unwrap(), start_time.parse().unwrap())
}

#[test]
fn sigkill_of_the_runner_leaves_nothing() {
    let place = Place::new();
    let (mut runner, supervisor, start_time) = start_runner(&place);
    assert!(is_alive(supervisor, start_time));
    assert!(!is_alive(supervisor, start_time + 1));
    signal(runner.id() as i32, Signal::KILL);
    runner.wait().unwrap();
    // A new run does nothing before the old one's supervisor is done.
    end_survivors(&mark(&place.dir).unwrap()).unwrap();
    assert_eq!(place.running(), NOTHING);
    assert!(!is_alive(supervisor, start_time));
}

#[test]
fn sigkill_of_the_runners_group_leaves_nothing() {
    let place = Place::new();
    let (mut runner, ..) = start_runner(&place);
    rustix::process::kill_process_group(rustix::process::Pid::from_raw(runner.id() as i32).unwrap(), Signal::KILL)
        .unwrap();
    runner.wait().unwrap();
    assert!(eventually(|| place.running().is_empty()), "{:?}", place.running());
}

#[test]
fn a_new_run_ends_what_a_killed_supervisor_left() {
    let place = Place::new();
    let (mut runner, supervisor, _) = start_runner(&place);
    // Both at once: the runner is stopped, so it cannot end the orphans.
    signal(runner.id() as i32, Signal::STOP);
    signal(supervisor as i32, Signal::KILL);
    signal(runner.id() as i32, Signal::KILL);
    runner.wait().unwrap();
    // Its child died with it. The rest lives on, in sessions of three processes.
    let another = Place::new();
    end_survivors(&mark(&another.dir).unwrap()).unwrap();
    assert!(place.running().len() >= 4, "{:?}", place.running());
    end_survivors(&mark(&place.dir).unwrap()).unwrap();
    assert_eq!(place.running(), NOTHING);
}
