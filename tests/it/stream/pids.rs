//! Process ids that return: in a PID namespace whose ids are few, where the next process of an id finds what the last one wrote.
//!
//! Where such a namespace cannot be made, nothing is tested.

use std::collections::BTreeSet;

use crate::support::OPTBUILD;
use crate::support::kill::gather::{bolt, calls, fact, gather, gather_on, has_steps};
use crate::support::kill::{Project, pipelines};
use crate::support::needs;

/// Runs optbuild on a project as root of a namespace with at most so many process ids. False: that is not possible here.
fn in_namespace(project: &Project, ids: u32) -> bool {
    // Older kernels have one limit for all namespaces; then the workloads set which id comes next.
    in_namespace_after(project, &format!("echo {ids} > /proc/sys/kernel/pid_max || :"))
}

/// The same, after a script.
fn in_namespace_after(project: &Project, script: &str) -> bool {
    let Some(unshare) = needs::pid_namespaces(&[], NEXT_ID) else { return false };
    let script = format!("{script}; exec \"$0\" run pipeline.toml -j 2");
    let mut run = unshare();
    run.args(["sh", "-c", &script, OPTBUILD]).current_dir(&project.dir).env("LC_DIR", &project.dir);
    let output = run.env_remove("GITHUB_ACTIONS").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    true
}

const NEXT_ID: &str = "echo 400 > /proc/sys/kernel/ns_last_pid";

/// How many processes noted their ids, and how many ids there were.
fn ids(project: &Project) -> (usize, usize) {
    let text = std::fs::read_to_string(project.dir.join("ids")).unwrap();
    (text.lines().count(), text.lines().collect::<BTreeSet<&str>>().len())
}

/// A loop that runs a command `times` times; of each the id is noted. Every `cycle` processes the same ids are used again.
fn again(command: &str, times: u32, cycle: u32, from: u32) -> String {
    format!(
        "i=0; while [ $i -lt {times} ]; do\necho $(({from} + i % {cycle} * 2)) > /proc/sys/kernel/ns_last_pid\n\
         {command} > /dev/null & echo $! >> \"$LC_DIR/ids\"\nwait\ni=$((i + 1))\ndone\n"
    )
}

/// Where the kernel tells of no changes, directories are walked.
#[test]
fn without_inotify() {
    let script = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\nfor i in $(seq 50); do ${program.loop} 2 > /dev/null; done\n\
                  LLVM_PROFILE_FILE=$raw/prof-%p/default_%m.profraw ${program.loop} 3\n\
                  until [ -z \"$(find \"$raw\" -name '*.profraw')\" ]; do sleep 0.02; done\n";
    let project = gather("", &[("polled", "", script)]);
    if !in_namespace_after(&project, "echo 0 > /proc/sys/user/max_inotify_instances || exit 9") {
        return;
    }
    has_steps(&project, 103);
    assert_eq!(fact(&project, "polled-stream-merge", "raw-profiles"), Some(51.0));
}

/// LLVM's runtime merges into the file that it finds.
#[test]
fn every_count_is_there_once() {
    let two =
        [("a", "", &again("${program.loop} 3", 700, 20, 400)), ("b", "", &again("${program.loop} 5", 700, 20, 500))];
    let two = two.map(|(name, keys, script)| (name, keys, script.as_str()));
    let project = gather("", &two).with("jobs = 1\n", "jobs = 2\n");
    if !in_namespace(&project, 600) {
        return;
    }
    has_steps(&project, 700 * 8);
    let (processes, ids) = ids(&project);
    assert!(processes == 1400 && ids < 500, "{processes} processes with {ids} ids");
    // Both set which id comes next, so now and then the same one comes twice at once.
    // Each id comes 35 times: most files are taken before it returns, or at least some.
    assert!(fact(&project, "a-stream-merge", "raw-profiles") > Some(100.0));
}

/// Every process has the same id: whether its file was taken before the next one comes is chance, and the counts are not.
#[test]
fn an_id_that_returns_at_once() {
    let script = again("${program.loop} 3", 500, 1, 400);
    let project = gather("", &[("same", "", &script)]);
    if !in_namespace(&project, 600) {
        return;
    }
    has_steps(&project, 1500);
    let (processes, ids) = ids(&project);
    assert!(processes == 500 && ids < 100, "{processes} processes with {ids} ids");
    assert!(fact(&project, "same-stream-merge", "raw-profiles") <= Some(500.0));
}

/// BOLT's runtime cuts off the file that it finds: what is there must be away by then.
#[test]
fn no_profile_of_bolt_is_cut_off() {
    let script = again("${instr.file} 3", 400, 20, 400);
    let project = bolt(1, &[("a", "", &script)]);
    if !in_namespace(&project, 600) {
        return;
    }
    assert_eq!(calls(&project.output("gather", "profile"), "step"), 1200);
    let (processes, ids) = ids(&project);
    assert!(processes == 400 && ids < 200, "{processes} processes with {ids} ids");
    assert_eq!(fact(&project, "a-stream-merge", "raw-profiles"), Some(400.0));
}

/// Profiles of BOLT, of two workloads at once in slots of their own.
#[test]
fn profiles_of_bolt_are_merged_while_workloads_run() {
    let script = |steps: u32| format!("for i in $(seq 60); do ${{instr.file}} {steps} > /dev/null; done\n");
    let (a, b) = (script(2), script(5));
    let project = bolt(2, &[("a", "", &a), ("b", "", &b), ("c", "", &a)]);
    project.succeed(&["run", "-j", "2"]);
    let profile = project.output("gather", "profile");
    assert_eq!(calls(&profile, "step"), 60 * 9);
    for name in ["a", "b", "c"] {
        assert_eq!(fact(&project, &format!("{name}-stream-merge"), "merged-profiles"), Some(60.0));
    }
    let left = crate::support::kill::tree(&project.state().join("stages"));
    assert!(!left.keys().any(|path| path.contains("prof.") || path.contains(".taken")), "{:?}", left.keys());
}

/// 2,000 processes here; `PROCESSES=40000 cargo test --release --test it stream::pids::many -- --ignored --nocapture` for figures.
#[test]
fn many_processes() {
    many(2000, "20 MB");
}

#[test]
#[ignore = "takes minutes; prints figures"]
fn many_processes_measured() {
    let processes = std::env::var("PROCESSES").map_or(40_000, |number| number.parse().unwrap());
    many(processes, "20 MB");
}

fn many(processes: u32, budget: &str) {
    let (half, wide) = (processes / 2, 800);
    let functions = format!(
        "for i in $(seq {wide}); do echo \"int f$i(int x) {{ return x > $i ? x : $i; }}\"; done > functions.c\n"
    );
    let program = pipelines::program()
        .replace("clang-22 -O1", &format!("{functions}clang-22 -O1"))
        .replace("loop.c -o", "loop.c functions.c -o");
    let script = format!("i=0; while [ $i -lt {half} ]; do ${{program.loop}} 3 > /dev/null; i=$((i + 1)); done\n");
    let keys = format!("disk-budget = \"{budget}\"");
    let project =
        gather_on(&program, &keys, &[("a", "", &script), ("b", "", &script)]).with("jobs = 1\n", "jobs = 2\n");
    // What lies there is looked at from outside as well.
    let (state, done) = (project.state(), std::sync::atomic::AtomicBool::new(false));
    let mut most = 0;
    let began = std::time::Instant::now();
    let possible = std::thread::scope(|scope| {
        let run = scope.spawn(|| {
            let possible = in_namespace(&project, 1000);
            done.store(true, std::sync::atomic::Ordering::SeqCst);
            possible
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            most = most.max(bytes(&state.join("stages/gather")));
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        run.join().unwrap()
    });
    let took = began.elapsed();
    if !possible {
        project.succeed(&["run", "-j", "2"]);
    }
    has_steps(&project, u64::from(half) * 2 * 3);
    let of_both = |name: &str| {
        ["a", "b"]
            .map(|workload| fact(&project, &format!("{workload}-stream-merge"), name).unwrap())
            .iter()
            .sum::<f64>()
    };
    // A profile that a process merged into counts as one file.
    assert_eq!(of_both("merged-profiles"), of_both("raw-profiles"));
    let peak = fact(&project, "stream-merge", "peak-unmerged").unwrap();
    println!(
        "{processes} processes in {took:?}: {} profiles, {} bytes, at most {peak} not merged, {most} below the stage's directory",
        of_both("raw-profiles"),
        of_both("raw-bytes"),
    );
    assert!(peak < 20e6 && most < 25_000_000, "{peak} {most}");
    let events = project.last_events("step-finished");
    let time = |step: &str| {
        let of_step = |event: &&serde_json::Value| match event["workload"].as_str() {
            // The command of a workload has no step.
            Some(workload) => workload == step && event["step"].is_null(),
            None => event["step"] == step,
        };
        let event = events.iter().find(of_step).unwrap();
        event["time"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
    };
    let last = time("a").max(time("b"));
    println!("the profile is there {} after the last process", time("merge").duration_since(last).as_secs_f64());
}

/// Of all files below a directory, as far as they are still there.
fn bytes(dir: &camino::Utf8Path) -> u64 {
    let files = walkdir::WalkDir::new(dir).into_iter().flatten();
    files.filter_map(|file| file.metadata().ok()).filter(|file| file.is_file()).map(|file| file.len()).sum()
}
