//! Whatever ends a run, nothing of it is left, and the next one goes on where it was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::support::kill::{Project, Run, pipelines, strings};
use crate::support::needs;
use crate::support::processes::{eventually, group, has_ended, is_stopped, patiently, signal, state};
use rustix::process::Signal;

/// Kills a run twice, in the middle of a build with ninja and in the middle of the workloads, and goes on with `again`.
fn killed_and_continued(again: &[&str], kill: impl Fn(&Project, Run)) {
    let project = Project::new(&pipelines::whole());
    project.hold("edge-b");
    project.hold("w2");
    let run = project.start(&["run"]);
    project.reached("edge-b");
    kill(&project, run);
    project.nothing_left();
    assert_eq!(project.work(), ["plain", "program", "ninja", "edge-a", "edge-b"]);

    project.release("edge-b");
    let run = project.start(again);
    project.reached("w2");
    // `a` was built before the kill. What was under way then is built again.
    assert_eq!(project.work(), ["ninja", "edge-b", "edge-c", "edge-d", "w1", "w2"]);
    assert_eq!(project.begun(), ["build", "gather"]);
    kill(&project, run);
    project.nothing_left();

    project.release("w2");
    project.succeed(again);
    assert_eq!(project.work(), ["w2", "w3", "result"]);
    let committed = project.last_events("pool-started")[0]["committed"].as_u64();
    assert_eq!(committed, Some(1));

    assert_eq!(project.outputs(), *undisturbed());
    assert_eq!(project.leftovers(), [""; 0]);
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
}

/// What a run puts out that nobody kills.
fn undisturbed() -> &'static BTreeMap<String, Vec<u8>> {
    static OUTPUTS: OnceLock<BTreeMap<String, Vec<u8>>> = OnceLock::new();
    OUTPUTS.get_or_init(|| {
        let project = Project::new(&pipelines::whole());
        project.succeed(&["run"]);
        project.outputs()
    })
}

/// Ends it with a signal to which it answers by itself.
fn interrupted_by(signal: Signal) -> impl Fn(&Project, Run) {
    move |project, run| {
        run.signal(signal);
        let ended = run.ended();
        assert_eq!(ended.code(), Some(130), "{signal:?}: {}", ended.output);
        assert_eq!(project.processes(), [], "when it had ended");
        let finished = project.last_events("run-finished");
        assert_eq!(finished[0]["outcome"], "interrupted");
    }
}

#[test]
fn sigkill_of_optbuild() {
    killed_and_continued(&["run"], |_, run| run.kill());
}

#[test]
fn sigkill_of_optbuild_and_resume() {
    killed_and_continued(&["resume"], |_, run| run.kill());
}

#[test]
fn sigkill_of_its_group() {
    killed_and_continued(&["resume"], |_, run| {
        run.signal_group(Signal::KILL);
        run.ended();
    });
}

#[test]
fn sigkill_of_a_supervisor() {
    killed_and_continued(&["resume"], |project, run| {
        let supervisors = project.supervisors_of_commands();
        assert_eq!(supervisors.len(), 1);
        signal(supervisors[0], Signal::KILL);
        let ended = run.ended();
        assert_eq!(ended.code(), Some(1), "{}", ended.output);
        assert!(ended.output.contains("its supervising process was killed"), "{}", ended.output);
        assert_eq!(project.processes(), [], "when it had ended");
    });
}

#[test]
fn sigkill_of_a_child() {
    killed_and_continued(&["run"], |project, run| {
        // The command itself: the child of the supervisor.
        let supervisor = project.supervisors_of_commands()[0];
        let children = std::fs::read_to_string(format!("/proc/{supervisor}/task/{supervisor}/children")).unwrap();
        signal(children.trim().parse().unwrap(), Signal::KILL);
        let ended = run.ended();
        assert_eq!(ended.code(), Some(1), "{}", ended.output);
        assert!(ended.output.contains("was killed by SIGKILL"), "{}", ended.output);
        assert_eq!(project.processes(), [], "when it had ended");
    });
}

#[test]
fn sigint() {
    killed_and_continued(&["resume"], interrupted_by(Signal::INT));
}

#[test]
fn sigterm() {
    killed_and_continued(&["run"], interrupted_by(Signal::TERM));
}

#[test]
fn sighup() {
    killed_and_continued(&["resume"], interrupted_by(Signal::HUP));
}

/// The first SIGINT lets commands end by themselves, the second one does not wait for them.
#[test]
fn sigint_twice() {
    // The grace is ten seconds.
    patiently(|_| after_sigint_twice() < Duration::from_secs(10));
}

/// How long it took from the second SIGINT to the end.
fn after_sigint_twice() -> Duration {
    // Without children: the shell may end by the status of one before its trap runs.
    let script =
        "trap 'did asked' TERM\npoint here\n: > \"$LC_DIR/ready\"\nwhile [ -e \"$LC_DIR/stay\" ]; do :; done\n";
    let project = Project::new(&format!("name = \"stubborn\"\n{}", pipelines::stage("only", "", script)));
    std::fs::write(project.dir.join("stay"), "").unwrap();
    project.hold("here");
    let mut run = project.start(&["run"]);
    project.reached("here");
    project.release("here");
    assert!(eventually(|| project.dir.join("ready").exists()));
    run.signal(Signal::INT);
    assert!(eventually(|| project.has_done("asked")));
    assert!(run.is_running());
    let began = Instant::now();
    run.signal(Signal::INT);
    assert_eq!(run.ended().code(), Some(130));
    let took = began.elapsed();
    assert_eq!(project.processes(), []);
    took
}

/// Who lets go at the first SIGINT can put things in order.
#[test]
fn sigint_leaves_time_to_put_things_in_order() {
    let script = "trap 'sleep 0.2; echo saved > saved; exit 1' TERM\nif [ -e saved ]; then cp saved ${self.out}; exit; fi\npoint here\n";
    // As long as ten seconds are enough for a fifth of one.
    patiently(|_| {
        let project = Project::new(&format!("name = \"orderly\"\n{}", pipelines::stage("only", "", script)));
        project.hold("here");
        let run = project.start(&["run"]);
        project.reached("here");
        run.signal(Signal::INT);
        assert_eq!(run.ended().code(), Some(130));
        project.release("here");
        project.succeed(&["resume"]);
        project.output_dir("only").join("saved").exists()
    });
}

/// A signal before anything has begun, and one when all is done, do no harm.
#[test]
fn an_interrupt_at_any_time_is_130() {
    let project = Project::new(&pipelines::whole());
    for pause in [0, 3, 6, 10, 15, 20, 30, 40, 60, 80] {
        let run = project.start(&["run"]);
        std::thread::sleep(Duration::from_millis(pause));
        // Before its first instruction, a program cannot do anything about a signal.
        assert!(eventually(|| catches(run.pid(), Signal::INT) || has_ended(run.pid())));
        run.signal(Signal::INT);
        let ended = run.ended();
        assert!(matches!(ended.code(), Some(130 | 0)), "after {pause} ms: {:?} {}", ended.status, ended.output);
        assert_eq!(project.processes(), []);
    }
    project.succeed(&["run"]);
    assert_eq!(project.leftovers(), [""; 0]);
}

fn catches(pid: i32, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal.as_raw() - 1)) != 0
}

/// Ctrl-Z stops everything, also what ninja has put into process groups of their own; SIGCONT lets it go on.
#[test]
fn ctrl_z_and_continue() {
    let project = Project::new(&pipelines::whole());
    project.hold("edge-b");
    let run = project.start(&["run"]);
    project.reached("edge-b");
    let running = project.processes();
    let groups: BTreeSet<_> = running.iter().filter_map(|(pid, _)| group(*pid)).collect();
    // optbuild, the supervisor, the command with ninja, and the command of ninja.
    assert!(groups.len() >= 4, "{running:?}");

    run.signal(Signal::TSTP);
    let supervisors = project.supervisors();
    let stopped = |pid: &i32| supervisors.contains(pid) || is_stopped(*pid);
    let all_stopped = || {
        let processes = project.processes();
        processes.len() >= 4 && processes.iter().all(|(pid, _)| stopped(pid))
    };
    assert!(eventually(all_stopped), "{:?}", project.processes());
    project.release("edge-b");
    let before = std::fs::read(project.dir.join("work")).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(all_stopped());
    assert_eq!(std::fs::read(project.dir.join("work")).unwrap(), before);

    run.signal(Signal::CONT);
    let ended = run.ended();
    assert_eq!(ended.code(), Some(0), "{}", ended.output);
    let work = project.work();
    assert_eq!(work[..4], strings(&["plain", "program", "ninja", "edge-a"]));
    assert_eq!(work.len(), 11, "{work:?}");
}

/// A stopped run can be killed like any other.
#[test]
fn sigkill_of_a_stopped_run() {
    killed_and_continued(&["resume"], |project, run| {
        let supervisors = project.supervisors();
        run.signal(Signal::TSTP);
        let stopped = |pid: i32| supervisors.contains(&pid) || is_stopped(pid);
        assert!(eventually(|| project.processes().iter().all(|(pid, _)| stopped(*pid))));
        run.kill();
    });
}

/// The time in which a run is stopped does not count for its timeouts.
#[test]
fn a_timeout_does_not_run_in_a_pause() {
    let script = "point here\nsleep 0.3\n";
    patiently(|scale| {
        let timeout = 2500 * scale;
        let keys = format!("timeout = \"{timeout}ms\"");
        let project = Project::new(&format!("name = \"timed\"\n{}", pipelines::stage("only", &keys, script)));
        project.hold("here");
        let run = project.start(&["run"]);
        project.reached("here");
        run.signal(Signal::TSTP);
        assert!(eventually(|| state(run.pid()) == Some('T')));
        project.release("here");
        std::thread::sleep(Duration::from_millis(u64::from(timeout) + 100));
        run.signal(Signal::CONT);
        run.ended().code() == Some(0)
    });
}

/// What a run was told to begin afresh is begun afresh once, however often it is killed.
#[test]
fn forced_stages_are_begun_afresh_once() {
    let project = Project::new(&pipelines::whole());
    project.succeed(&["run"]);
    project.work();
    project.hold("w2");
    let run = project.start(&["run", "--from", "build"]);
    project.reached("w2");
    // Its build directory is kept, so ninja finds nothing to do.
    assert_eq!(project.work(), ["ninja", "w1", "w2"]);
    run.kill();
    project.nothing_left();
    // `w1` counts already, `result` is still to be begun afresh.
    let run = project.start(&["resume"]);
    project.reached("w2");
    assert_eq!(project.work(), ["w2"]);
    run.kill();
    project.nothing_left();
    project.release("w2");
    project.hold("result");
    let run = project.start(&["resume"]);
    project.reached("result");
    assert_eq!(project.work(), ["w2", "w3", "result"]);
    run.kill();
    project.nothing_left();
    project.release("result");
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["result"]);
    assert_eq!(project.finish(&["resume"]).code(), Some(0));
    assert_eq!(project.work(), [""; 0]);
}

/// The same with build directories that are wiped.
#[test]
fn fresh_build_directories_are_wiped_once() {
    let project = Project::new(&pipelines::whole());
    project.succeed(&["run"]);
    project.work();
    project.hold("edge-c");
    let run = project.start(&["run", "--fresh"]);
    project.reached("edge-c");
    assert_eq!(project.work(), ["plain", "program", "ninja", "edge-a", "edge-b", "edge-c"]);
    run.kill();
    project.nothing_left();
    project.release("edge-c");
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["ninja", "edge-c", "edge-d", "w1", "w2", "w3", "result"]);
}

/// Where the leaders of the session and of the group are outside of the PID namespace (a container that was entered), the
/// kernel calls both 0.
#[test]
fn in_a_pid_namespace_whose_session_is_outside() {
    let Some(unshare) = needs::pid_namespaces(&["--kill-child"], "true") else { return };
    let itself = std::env::current_exe().unwrap();
    let tests = ["kills::signals::sigkill_of_a_supervisor", "kills::signals::sigint_twice"];
    let output = unshare().arg("--").arg(itself).arg("--exact").args(tests).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("2 passed"), "{text}");
}

/// A command that stops its supervisor is ended by its time limit and by Ctrl-C like any other.
#[test]
fn a_stopped_supervisor_is_no_hindrance() {
    let script = "kill -STOP $PPID\npoint here\nsleep 3000\n";
    let project = Project::new(&format!("name = \"stopped\"\n{}", pipelines::stage("only", "", script)));
    project.hold("here");
    let run = project.start(&["run"]);
    project.reached("here");
    project.release("here");
    run.signal(Signal::INT);
    let ended = run.ended();
    assert_eq!(ended.code(), Some(130), "{}", ended.output);
    assert_eq!(project.processes(), []);

    let keys = "timeout = \"1s\"";
    let project = Project::new(&format!("name = \"stopped\"\n{}", pipelines::stage("only", keys, script)));
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    assert!(ended.output.contains("longer than its timeout of 1.0 s"), "{}", ended.output);
    assert_eq!(project.processes(), []);
}
