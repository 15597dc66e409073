//! Whatever ends a command, nothing of its tree is left.

use std::process::Command;
use std::time::{Duration, Instant};

use super::support::{NOTHING, Place, TREE, TREE_SIZE};
use crate::support::processes::{HANG, eventually, in_own_process, is_stopped, signal};
use optbuild::run::process::ExitKind;
use rustix::process::Signal;

#[test]
fn end_leaves_nothing() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell(TREE);
        place.wait_running(TREE_SIZE);
        let began = Instant::now();
        process.end(2 * HANG);
        assert_eq!(process.wait().status, ExitKind::Signal(15));
        assert_eq!(place.running(), NOTHING);
        // All of them take SIGTERM, so the grace is not used up.
        assert!(began.elapsed() < HANG, "{:?}", began.elapsed());
    });
}

#[test]
fn what_ignores_sigterm_is_killed_after_the_grace() {
    in_own_process(|| {
        let place = Place::new();
        let process = place
            .shell("trap '' TERM; touch ready; (trap '' TERM; while :; do sleep 1; done) & while :; do sleep 1; done");
        place.wait_file("ready");
        let began = Instant::now();
        process.end(Duration::from_secs(1));
        assert_eq!(process.wait().status, ExitKind::Signal(9));
        assert!(began.elapsed() >= Duration::from_secs(1));
        assert_eq!(place.running(), NOTHING);
    });
}

#[test]
fn a_second_end_hurries() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell("trap '' TERM; touch ready; while :; do sleep 1; done");
        place.wait_file("ready");
        let began = Instant::now();
        process.end(Duration::MAX);
        assert_eq!(process.wait_timeout(Duration::from_millis(200)), None);
        process.end(Duration::ZERO);
        assert_eq!(process.wait().status, ExitKind::Signal(9));
        assert!(began.elapsed() < HANG);
        assert_eq!(place.running(), NOTHING);
    });
}

#[test]
fn a_command_that_exits_takes_its_tree_along() {
    in_own_process(|| {
        let place = Place::new();
        let exit = place.shell("(setsid sleep 3000 &); sleep 3000 & exit 4").wait();
        assert_eq!(exit.status, ExitKind::Code(4));
        assert_eq!(exit.left_behind, ["sleep", "sleep"]);
        assert_eq!(place.running(), NOTHING);
    });
}

#[test]
fn what_is_about_to_exit_is_waited_for() {
    in_own_process(|| {
        // So much as the supervisor waits, a busy machine may take by itself; but not each time.
        let is_orderly = || {
            let place = Place::new();
            let exit = place.shell("(sleep 0.03; echo orderly) & exit 0").wait();
            assert!(exit.success());
            exit.left_behind.is_empty() && place.log() == "orderly\n"
        };
        assert!(eventually(is_orderly));
    });
}

#[test]
fn dropping_the_last_handle_ends_the_tree() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell(TREE);
        place.wait_running(TREE_SIZE);
        drop(process);
        assert!(eventually(|| place.running().is_empty()), "{:?}", place.running());
    });
}

#[test]
fn sigkill_of_the_supervisor_leaves_nothing() {
    in_own_process(|| {
        let place = Place::new();
        let other = Place::new();
        let untouched = other.shell(TREE);
        let process = place.shell(TREE);
        place.wait_running(TREE_SIZE);
        other.wait_running(TREE_SIZE);
        // A program that the runner itself runs is not an orphan.
        let mut own = Command::new("sleep").arg("300").spawn().unwrap();
        signal(process.pid() as i32, Signal::KILL);
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
    });
}

#[test]
fn sigterm_of_the_supervisor_ends_the_tree_in_order() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell(TREE);
        place.wait_running(TREE_SIZE);
        signal(process.pid() as i32, Signal::TERM);
        assert_eq!(process.wait().status, ExitKind::Signal(15));
        assert_eq!(place.running(), NOTHING);
    });
}

#[test]
fn a_storm_of_forks_is_ended() {
    in_own_process(|| {
        let place = Place::new();
        // Parents that start a short-lived process in a session of its own, over and over; bounded in case the test fails.
        let storm = "storm() { i=0; while [ $i -lt 20000 ]; do (setsid sleep 0.02 &); i=$((i+1)); [ $i != 50 ] || touch ready$1; done; }
        trap '' TERM; storm 1 & storm 2 & wait; touch over";
        let process = place.shell(storm);
        place.wait_file("ready1");
        place.wait_file("ready2");
        process.end(Duration::from_millis(100));
        process.wait();
        assert_eq!(place.running(), NOTHING);
        assert!(!place.dir.join("over").exists(), "it came to its own end");
    });
}

/// Each process starts the next one, through `start`, and exits: none lives for longer. Bounded in case the test fails.
fn chain_is_ended(start: &str) {
    let place = Place::new();
    let hop = format!("trap '' TERM; echo $1 >> hops; [ $1 -gt 0 ] && {start} sh hop $(($1-1)) & exit 0");
    std::fs::write(place.dir.join("hop"), hop).unwrap();
    let process = place.shell("sh hop 20000 & sh hop 20000 & sleep 3000");
    let hops = || std::fs::read_to_string(place.dir.join("hops")).unwrap_or_default().lines().count();
    assert!(eventually(|| hops() > 40));
    process.end(Duration::ZERO);
    process.wait();
    assert_eq!(place.running(), NOTHING);
    // They were ended, and did not come to their end.
    assert!(hops() < 40_000);
}

#[test]
fn processes_that_only_start_their_successor_are_ended() {
    in_own_process(|| {
        chain_is_ended("");
    });
}

/// The hardest case: each is in a session and group of its own, so it can only be signalled by its own pid.
#[test]
fn processes_that_flee_into_sessions_of_their_own_are_ended() {
    in_own_process(|| {
        chain_is_ended("setsid");
    });
}

#[test]
fn pausing_stops_every_process_and_the_clock() {
    in_own_process(|| {
        let place = Place::new();
        let began = Instant::now();
        let process = place.shell(
        "setsid sh -c 'while :; do echo x >> ticks; sleep 0.02; done' & until [ -e go ]; do sleep 0.02; done; kill %1; exit 5",
    );
        place.wait_file("ticks");
        let ticks = || std::fs::metadata(place.dir.join("ticks")).unwrap().len();
        process.pause();
        let stopped = || place.running().iter().all(|pid| is_stopped(*pid));
        assert!(eventually(stopped));
        let (before, clock) = (ticks(), process.running_time());
        let pause = Duration::from_millis(300);
        std::thread::sleep(pause);
        assert_eq!((ticks(), process.running_time()), (before, clock));

        process.resume();
        assert!(eventually(|| ticks() > before));
        std::fs::write(place.dir.join("go"), "").unwrap();
        let exit = process.wait();
        assert_eq!(exit.status, ExitKind::Code(5));
        let longest = (began.elapsed() - pause).as_secs_f64();
        assert!(exit.usage.wall > 0.0 && exit.usage.wall <= longest, "{:?}, {longest}", exit.usage);
        assert_eq!(place.running(), NOTHING);
    });
}

#[test]
fn a_time_limit_does_not_run_in_a_pause() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell("until [ -e go ]; do sleep 0.02; done; exit 6");
        process.pause();
        let waiting = process.clone();
        let waiter = std::thread::spawn(move || waiting.wait_timeout(Duration::from_millis(100)));
        std::thread::sleep(Duration::from_millis(500));
        assert!(!waiter.is_finished());
        // Now it runs, and what it waits for does not come.
        process.resume();
        assert_eq!(waiter.join().unwrap(), None);
        std::fs::write(place.dir.join("go"), "").unwrap();
        assert_eq!(process.wait_timeout(HANG).map(|exit| exit.status), Some(ExitKind::Code(6)));
    });
}

#[test]
fn a_paused_tree_can_be_ended() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell("trap 'echo bye; exit 0' TERM; touch ready; while :; do sleep 0.05; done");
        place.wait_file("ready");
        process.pause();
        assert!(eventually(|| place.running().iter().all(|pid| is_stopped(*pid))));
        process.end(2 * HANG);
        // It could do what it does on SIGTERM.
        assert!(process.wait().success());
        // The shell also says how its `sleep` ended.
        assert!(place.log().ends_with("bye\n"), "{}", place.log());
        assert_eq!(place.running(), NOTHING);
    });
}

/// A command that stops its supervisor keeps it neither from noticing the end nor from ending the tree.
#[test]
fn a_stopped_supervisor_goes_on() {
    in_own_process(|| {
        let place = Place::new();
        assert_eq!(place.shell("kill -STOP $PPID; exit 7").wait().status, ExitKind::Code(7));
        let process = place.shell("kill -STOP $PPID; touch ready; sleep 3000");
        place.wait_file("ready");
        process.end(2 * HANG);
        assert_eq!(process.wait().status, ExitKind::Signal(15));
        assert_eq!(place.running(), NOTHING);
    });
}

/// However often it is stopped.
#[test]
fn a_supervisor_that_is_stopped_again_and_again_is_killed_with_its_tree() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell("touch ready; while :; do kill -STOP $PPID; done");
        place.wait_file("ready");
        process.end(Duration::ZERO);
        assert!(matches!(process.wait().status, ExitKind::Signal(9) | ExitKind::Lost));
        assert_eq!(place.running(), NOTHING);
    });
}
