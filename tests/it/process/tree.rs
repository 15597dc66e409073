//! Whatever ends a command, nothing of its tree is left.

use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{NOTHING, Place, TREE, TREE_SIZE, eventually, is_stopped, kill};
use optbuild::run::process::ExitKind;
use rustix::process::Signal;

#[test]
fn end_leaves_nothing() {
    let place = Place::new();
    let process = place.shell(TREE);
    place.wait_running(TREE_SIZE);
    let began = Instant::now();
    process.end(Duration::from_secs(30));
    assert_eq!(process.wait().status, ExitKind::Signal(15));
    assert_eq!(place.running(), NOTHING);
    // All of them take SIGTERM, so the grace is not used up.
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_grace() {
    let place = Place::new();
    let process =
        place.shell("trap '' TERM; touch ready; (trap '' TERM; while :; do sleep 1; done) & while :; do sleep 1; done");
    place.wait_file("ready");
    let began = Instant::now();
    process.end(Duration::from_secs(1));
    assert_eq!(process.wait().status, ExitKind::Signal(9));
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(place.running(), NOTHING);
}

#[test]
fn a_second_end_hurries() {
    let place = Place::new();
    let process = place.shell("trap '' TERM; touch ready; while :; do sleep 1; done");
    place.wait_file("ready");
    let began = Instant::now();
    process.end(Duration::MAX);
    assert_eq!(process.wait_timeout(Duration::from_millis(200)), None);
    process.end(Duration::ZERO);
    assert_eq!(process.wait().status, ExitKind::Signal(9));
    assert!(began.elapsed() < Duration::from_secs(60));
    assert_eq!(place.running(), NOTHING);
}

#[test]
fn a_command_that_exits_takes_its_tree_along() {
    let place = Place::new();
    let exit = place.shell("(setsid sleep 300 &); sleep 300 & exit 4").wait();
    assert_eq!(exit.status, ExitKind::Code(4));
    assert_eq!(exit.left_behind, ["sleep", "sleep"]);
    assert_eq!(place.running(), NOTHING);
}

#[test]
fn what_is_about_to_exit_is_waited_for() {
    let place = Place::new();
    let exit = place.shell("(sleep 0.03; echo orderly) & exit 0").wait();
    assert!(exit.success());
    assert_eq!(exit.left_behind, [""; 0]);
    assert_eq!(place.log(), "orderly\n");
}

#[test]
fn dropping_the_last_handle_ends_the_tree() {
    let place = Place::new();
    let process = place.shell(TREE);
    place.wait_running(TREE_SIZE);
    drop(process);
    assert!(eventually(Duration::from_secs(20), || place.running().is_empty()), "{:?}", place.running());
}

#[test]
fn sigkill_of_the_supervisor_leaves_nothing() {
    let place = Place::new();
    let other = Place::new();
    let untouched = other.shell(TREE);
    let process = place.shell(TREE);
    place.wait_running(TREE_SIZE);
    other.wait_running(TREE_SIZE);
    // A program that the runner itself runs is not an orphan.
    let mut own = Command::new("sleep").arg("300").spawn().unwrap();
    kill(process.pid(), Signal::KILL);
    let exit = process.wait();
    assert_eq!(exit.status, ExitKind::Lost);
    assert!(exit.describe().contains("supervising process was killed"));
    assert_eq!(place.running(), NOTHING);

    assert_eq!(other.running().len(), TREE_SIZE);
    assert_eq!(own.try_wait().unwrap(), None);
    own.kill().unwrap();
    own.wait().unwrap();
    untouched.end(Duration::ZERO);
    untouched.wait();
}

#[test]
fn sigterm_of_the_supervisor_ends_the_tree_in_order() {
    let place = Place::new();
    let process = place.shell(TREE);
    place.wait_running(TREE_SIZE);
    kill(process.pid(), Signal::TERM);
    assert_eq!(process.wait().status, ExitKind::Signal(15));
    assert_eq!(place.running(), NOTHING);
}

#[test]
fn a_storm_of_forks_is_ended() {
    let place = Place::new();
    // Parents that start a short-lived process in a session of its own, over and over; bounded in case the test fails.
    let storm = "storm() { i=0; while [ $i -lt 20000 ]; do (setsid sleep 0.02 &); i=$((i+1)); done; }
        trap '' TERM; storm & storm & touch ready; wait";
    let process = place.shell(storm);
    place.wait_file("ready");
    std::thread::sleep(Duration::from_millis(300));
    let began = Instant::now();
    process.end(Duration::from_millis(100));
    process.wait();
    assert_eq!(place.running(), NOTHING);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// Each process starts the next one, through `start`, and exits: none lives for longer. Bounded in case the test fails.
fn chain_is_ended(start: &str) {
    let place = Place::new();
    let hop = format!("trap '' TERM; echo $1 >> hops; [ $1 -gt 0 ] && {start} sh hop $(($1-1)) & exit 0");
    std::fs::write(place.dir.join("hop"), hop).unwrap();
    let process = place.shell("sh hop 20000 & sh hop 20000 & sleep 300");
    let hops = || std::fs::read_to_string(place.dir.join("hops")).unwrap_or_default().lines().count();
    assert!(eventually(Duration::from_secs(20), || hops() > 40));
    let began = Instant::now();
    process.end(Duration::ZERO);
    process.wait();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(place.running(), NOTHING);
    // They were ended, and did not come to their end.
    assert!(hops() < 40_000);
}

#[test]
fn processes_that_only_start_their_successor_are_ended() {
    chain_is_ended("");
}

/// The hardest case: each is in a session and group of its own, so it can only be signalled by its own pid.
#[test]
fn processes_that_flee_into_sessions_of_their_own_are_ended() {
    chain_is_ended("setsid");
}

#[test]
fn pausing_stops_every_process_and_the_clock() {
    let place = Place::new();
    let process =
        place.shell("setsid sh -c 'while :; do echo x >> ticks; sleep 0.02; done' & sleep 2; kill %1; exit 5");
    place.wait_file("ticks");
    let ticks = || std::fs::metadata(place.dir.join("ticks")).unwrap().len();
    process.pause();
    let stopped = || place.running().iter().all(|pid| is_stopped(*pid));
    assert!(eventually(Duration::from_secs(10), stopped));
    let (before, clock) = (ticks(), process.running_time());
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!((ticks(), process.running_time()), (before, clock));

    process.resume();
    assert!(eventually(Duration::from_secs(10), || ticks() > before));
    let exit = process.wait();
    assert_eq!(exit.status, ExitKind::Code(5));
    // Two seconds of sleep, some of which passed in the pause.
    assert!((1.5..30.0).contains(&exit.usage.wall), "{:?}", exit.usage);
    assert_eq!(place.running(), NOTHING);
}

#[test]
fn a_time_limit_does_not_run_in_a_pause() {
    let place = Place::new();
    let process = place.shell("sleep 0.2; exit 6");
    process.pause();
    let waiting = process.clone();
    let waiter = std::thread::spawn(move || waiting.wait_timeout(Duration::from_secs(20)));
    std::thread::sleep(Duration::from_millis(500));
    assert!(!waiter.is_finished());
    process.resume();
    assert_eq!(waiter.join().unwrap().map(|exit| exit.status), Some(ExitKind::Code(6)));
}

#[test]
fn a_paused_tree_can_be_ended() {
    let place = Place::new();
    let process = place.shell("trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.05; done");
    place.wait_file("ready");
    process.pause();
    assert!(eventually(Duration::from_secs(10), || place.running().iter().all(|pid| is_stopped(*pid))));
    process.end(Duration::from_secs(30));
    // It could do what it does on SIGTERM.
    assert!(process.wait().success());
    // The shell also says how its `sleep` ended.
    assert!(place.log().ends_with("bye\n"), "{}", place.log());
    assert_eq!(place.running(), NOTHING);
}
