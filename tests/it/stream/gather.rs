//! Profiles that are merged while workloads run: every process counts once, whatever happens meanwhile. Real programs.

use crate::support::kill::gather::{fact, gather, gather_on, has_steps, notes};
use crate::support::kill::{Project, pipelines, tree};
use crate::support::needs;
use crate::support::processes::{eventually, parent, patiently, signal, write_program};
use rustix::process::Signal;

/// Names of raw profiles where processes write them.
fn written(project: &Project) -> usize {
    tree(&project.state().join("stages/gather/attempts")).keys().filter(|path| path.contains("/raw/1")).count()
}

/// A thousand processes, of which many run at once.
#[test]
fn processes_beside_each_other() {
    let script = "i=0; while [ $i -lt 250 ]; do\n${program.loop} 1 > /dev/null & ${program.loop} 2 > /dev/null &\n\
                  ${program.loop} 3 > /dev/null & ${program.loop} 4 > /dev/null; i=$((i + 1)); done; wait\n";
    let project = gather("", &[("many", "", script)]);
    project.succeed(&["run"]);
    has_steps(&project, 250 * 10);
    assert_eq!(fact(&project, "many-stream-merge", "raw-profiles"), Some(1000.0));
    assert_eq!(fact(&project, "many-stream-merge", "merged-profiles"), Some(1000.0));
    assert!(fact(&project, "many-stream-merge", "raw-bytes") > Some(1000.0 * 200.0));
    assert!(fact(&project, "stream-merge", "peak-unmerged") > Some(0.0));
}

/// The same result as that of a merge at the end, byte for byte: by the script of the same plan, which merges with plain tools.
#[test]
fn the_same_as_a_merge_at_the_end() {
    let project = gather(
        "",
        &[("one", "", "${program.loop} 7\n"), ("more", "", "${program.loop} 1 &\n${program.loop} 20\nwait\n")],
    );
    project.succeed(&["run"]);
    let script = project.command(&["plan", "--shell", "pipeline.toml"]).output().unwrap();
    assert!(script.status.success(), "{script:?}");
    std::fs::write(project.dir.join("script.sh"), script.stdout).unwrap();
    let mut by_hand = std::process::Command::new("bash");
    by_hand.args(["script.sh", "by-hand"]).current_dir(&project.dir).env("LC_DIR", &project.dir);
    assert!(by_hand.output().unwrap().status.success());
    let profile = std::fs::read(project.dir.join("by-hand/profile")).unwrap();
    assert_eq!(project.outputs()["gather/profile"], profile);
}

/// A directory per process, as LLVM's own build names them.
#[test]
fn the_process_id_may_be_in_a_directory() {
    let script = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\nexport LLVM_PROFILE_FILE=\"$raw/prof-%p/default_%m.profraw\"\n\
                  for i in 1 2 3 4 5; do ${program.loop} $i; done\npoint dirs\n";
    let project = gather("", &[("dirs", "", script)]);
    project.hold("dirs");
    let run = project.start(&["run"]);
    project.reached("dirs");
    let attempts = project.state().join("stages/gather/attempts");
    let left = || tree(&attempts).into_keys().filter(|path| path.ends_with(".profraw")).collect::<Vec<String>>();
    assert!(eventually(|| left().is_empty()), "{:?}", left());
    // They may be needed again.
    assert_eq!(attempts.join("dirs.1/raw").read_dir_utf8().unwrap().count(), 5);
    project.release("dirs");
    assert_eq!(run.ended().code(), Some(0));
    has_steps(&project, 15);
    assert_eq!(fact(&project, "dirs-stream-merge", "raw-profiles"), Some(5.0));
}

/// Names that are not UTF-8, or not one line, are names.
#[test]
fn profiles_of_any_name_count() {
    let script = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\nLLVM_PROFILE_FILE=$raw/$(printf 'a\\377').profraw ${program.loop} 4\n\
                  LLVM_PROFILE_FILE=$raw/$(printf 'd\\376/b\\nb').profraw ${program.loop} 5\n";
    let project = gather("", &[("names", "", script)]);
    project.succeed(&["run"]);
    has_steps(&project, 9);
    assert_eq!(fact(&project, "names-stream-merge", "merged-profiles"), Some(2.0));
}

/// Numbers of a pool of files are no process ids, though there is always a process 1.
#[test]
fn small_numbers_are_no_process_ids() {
    let script = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\nLLVM_PROFILE_FILE=$raw/m_1.profraw ${program.loop} 4\n\
                  LLVM_PROFILE_FILE=$raw/default_1/x.profraw ${program.loop} 5\npoint numbers\n";
    let project = gather("", &[("numbers", "", script)]);
    project.hold("numbers");
    let run = project.start(&["run"]);
    project.reached("numbers");
    let attempts = project.state().join("stages/gather/attempts");
    let left = || tree(&attempts).into_keys().filter(|path| path.contains("/raw/")).collect::<Vec<String>>();
    let profiles = || left().into_iter().filter(|path| path.ends_with(".profraw")).count();
    assert!(eventually(|| profiles() == 0), "{:?}", left());
    project.release("numbers");
    assert_eq!(run.ended().code(), Some(0));
    has_steps(&project, 9);
    assert_eq!(fact(&project, "numbers-stream-merge", "raw-profiles"), Some(2.0));
}

/// A process that has written its profile and stays: it may write again, so its profile is taken when it has ended.
#[test]
fn a_daemon_counts_at_the_end() {
    let script = "${program.loop} 1000 hang > /dev/null &\n${program.loop} 5\nuntil ls \"$(dirname \"$LLVM_PROFILE_FILE\")\"/1* \
                  2> /dev/null; do sleep 0.02; done\npoint daemon\n";
    let project = gather("", &[("daemon", "", script)]);
    project.hold("daemon");
    let run = project.start(&["run"]);
    project.reached("daemon");
    assert!(eventually(|| written(&project) == 1));
    // Longer than any pause between two looks.
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert_eq!(written(&project), 1);
    project.release("daemon");
    assert_eq!(run.ended().code(), Some(0));
    has_steps(&project, 1005);
    assert_eq!(fact(&project, "daemon-stream-merge", "raw-profiles"), Some(2.0));
}

/// What waits for the end of its process is not counted once more when it is taken.
#[test]
fn bytes_count_once_against_the_budget() {
    let script = "for i in 1 2 3; do ${program.loop} $i hang > /dev/null & done\n\
                  until [ $(find \"$(dirname \"$LLVM_PROFILE_FILE\")\" -name '1*' -size +0 | wc -l) = 3 ]; do sleep 0.02; done\n\
                  ${program.loop} 5\nsleep 0.5\n";
    let project = gather("", &[("daemons", "", script)]);
    project.succeed(&["run"]);
    has_steps(&project, 11);
    assert_eq!(fact(&project, "daemons-stream-merge", "raw-profiles"), Some(4.0));
    let bytes = fact(&project, "daemons-stream-merge", "raw-bytes").unwrap();
    let peak = fact(&project, "stream-merge", "peak-unmerged").unwrap();
    // All are of one size, and three of them wait together.
    assert!(peak >= bytes * 3.0 / 4.0 && peak <= bytes, "{peak} of {bytes}");
}

/// Counters in a file that is mapped from the start: killed at any time, the process has written what it counted.
#[test]
fn continuous_profiles_of_killed_processes_count() {
    let script = "export LLVM_PROFILE_FILE=\"$(dirname \"$LLVM_PROFILE_FILE\")/%c%m_%p.profraw\"\n\
                  ${program.loop} 10 sleep > /dev/null &\nuntil [ -e slept ]; do sleep 0.02; done\nkill -9 $!\nwait || :\n\
                  ${program.loop} 20 sleep > /dev/null &\nuntil [ -e slept2 ]; do sleep 0.02; done\n";
    let program = pipelines::program()
        .replace(
            "  if (!strcmp(then, \"fail\"))",
            "  if (!strcmp(then, \"sleep\")) { fclose(fopen(access(\"slept\", 0) ? \"slept\" : \"slept2\", \"w\")); sleep(300); }\n  \
             if (!strcmp(then, \"fail\"))",
        )
        .replace("-fprofile-generate", "-fprofile-generate -fprofile-continuous");
    let project = gather_on(&program, "", &[("killed", "", script)]);
    project.succeed(&["run"]);
    has_steps(&project, 30);
}

/// More than the budget is written while nothing is merged: workloads wait, and nothing is lost.
#[test]
fn workloads_wait_for_the_budget() {
    patiently(|_| workloads_wait());
}

/// False: the machine was so slow that the workloads had written more before they heard of it.
fn workloads_wait() -> bool {
    // About 75 kB for each of 600 processes.
    let functions =
        "for i in $(seq 1000); do echo \"int f$i(int x) { return x > $i ? x : $i; }\"; done > functions.c\n";
    let program = pipelines::program()
        .replace("clang-22 -O1", &format!("{functions}clang-22 -O1"))
        .replace("loop.c -o", "loop.c functions.c -o");
    let script = "i=0; while [ $i -lt 300 ]; do ${program.loop} 3 > /dev/null; i=$((i + 1)); done\n";
    let project = gather_on(&program, "disk-budget = \"24 MB\"", &[("one", "", script), ("two", "", script)])
        .with("jobs = 1\n", "jobs = 2\n")
        .with("\"llvm-profdata-22\"", "\"${pipeline.dir}/profdata\"");
    // The tool, which is asked about the first profile, comes back when the workloads have been told to wait.
    let tool = project.dir.join("profdata");
    write_program(
        &tool,
        "#!/bin/sh\nif [ \"$1\" = merge ]; then until grep -q 'workloads wait' \"$LC_DIR\"/.optbuild/runs/*/journal.jsonl; do \
         sleep 0.05; done; sleep 1; fi\nexec llvm-profdata-22 \"$@\"\n",
    );
    project.succeed(&["run", "-j", "2"]);
    has_steps(&project, 2 * 300 * 3);
    let bytes = fact(&project, "one-stream-merge", "raw-bytes").unwrap();
    assert!(bytes > 20e6, "{bytes}");
    let peak = fact(&project, "stream-merge", "peak-unmerged").unwrap();
    assert!(peak > 12e6, "{peak}");
    assert_eq!(notes(&project, "workloads wait").len(), 1);
    peak < 24e6
}

/// A tool that does not read the program's profiles is noticed at the first of them, and the workload is ended.
#[test]
fn a_wrong_tool_is_noticed_at_once() {
    let Some(_) = needs::llvm(14) else { return };
    let script = "did wrong\nfor i in $(seq 10); do ${program.loop} 1; done\nsleep 300\n";
    let project = gather("", &[("wrong", "", script)]).with("llvm-profdata-22", "/usr/lib/llvm-14/bin/llvm-profdata");
    let ended = project.finish(&["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    for part in ["raw profiles of version 10", "llvm-14", "profdata"] {
        assert!(ended.output.contains(part), "no `{part}` in {}", ended.output);
    }
}

/// Profiles of another version beside good ones are damage, and the tool is asked about one of them.
#[test]
fn the_tool_is_asked_once_about_a_version() {
    // A version is the number at byte 8 of a raw profile.
    let script = "raw=$(dirname \"$LLVM_PROFILE_FILE\")\n${program.loop} 4\n\
                  LLVM_PROFILE_FILE=whole.profraw ${program.loop} 1\n\
                  printf '\\011' | dd of=whole.profraw bs=1 seek=8 conv=notrunc 2> /dev/null\n\
                  for i in $(seq 50); do cp whole.profraw \"$raw/old-$i.profraw\"; done\n";
    let project = gather("max-damaged = \"99%\"", &[("old", "", script)])
        .with("\"llvm-profdata-22\"", "\"${pipeline.dir}/profdata\"");
    let tool = project.dir.join("profdata");
    write_program(
        &tool,
        "#!/bin/sh\nfor word; do case $word in --input-files=*) cat \"${word#*=}\" >> \"$LC_DIR/asked\";; esac; done\n\
         exec llvm-profdata-22 \"$@\"\n",
    );
    project.succeed(&["run"]);
    has_steps(&project, 4);
    assert_eq!(fact(&project, "old-stream-merge", "damaged-profiles"), Some(50.0));
    let asked = std::fs::read_to_string(project.dir.join("asked")).unwrap();
    assert_eq!(asked.lines().filter(|line| line.contains("old-")).count(), 1, "{asked}");
    let quarantine = tree(&project.state().join("stages/gather/committed/old/quarantine"));
    let mut reasons = quarantine.iter().filter(|(name, _)| name.ends_with(".reason"));
    assert_eq!(reasons.clone().count(), 50);
    // Each names its own file.
    let own = |(name, text): (&String, &Vec<u8>)| {
        let (text, name) = (String::from_utf8_lossy(text), name.trim_end_matches(".reason"));
        text.contains("version 9") && text.matches(name).count() == 2
    };
    assert!(reasons.all(own), "{:?}", reasons.next());
}

/// The companion is killed: the attempt fails and says why, and another try counts everything once.
#[test]
fn a_companion_that_is_killed_fails_the_attempt() {
    for (what, victim) in [("companion", " stream-merge "), ("supervisor", " supervise")] {
        let script = "did a\n${program.loop} 10\npoint a\n${program.loop} 1\n";
        let project = gather("", &[("a", "", script)]);
        project.hold("a");
        let run = project.start(&["run"]);
        project.reached("a");
        let companion = project.with_line(" stream-merge ")[0];
        let parent = parent(companion).unwrap();
        signal(if victim == " supervise" { parent } else { companion }, Signal::KILL);
        let ended = run.ended();
        assert_eq!(ended.code(), Some(1), "{what}: {}", ended.output);
        let said = if what == "companion" { "was killed by SIGKILL" } else { "supervising process was killed" };
        assert!(ended.output.contains("stream-merge") && ended.output.contains(said), "{what}: {}", ended.output);
        project.nothing_left();
        project.release("a");
        project.succeed(&["resume"]);
        assert_eq!(project.work(), ["program", "a", "a"]);
        has_steps(&project, 11);
    }
}

#[test]
fn a_retry_has_another_companion() {
    let script = "did a\n${program.loop} 10\n[ -e \"$LC_DIR/once\" ] || { touch \"$LC_DIR/once\"; point a; }\n${program.loop} 1\n";
    let project = gather("retries = 1", &[("a", "", script), ("b", "", "${program.loop} 100\n")]);
    project.hold("a");
    let run = project.start(&["run"]);
    project.reached("a");
    signal(project.with_line(" stream-merge ")[0], Signal::KILL);
    assert_eq!(run.ended().code(), Some(0));
    has_steps(&project, 111);
    assert_eq!(project.last_events("retrying").len(), 1);
}

/// The sums of many workloads become one, whenever the run is killed.
#[test]
fn sums_of_many_workloads() {
    let numbers: Vec<String> = (0..70).map(|n| format!("\"{n:02}\"")).collect();
    let keys = format!("for = {{ n = [{}] }}", numbers.join(", "));
    let project = gather("", &[("w", &keys, "${program.loop} 1${n}\n")]);
    for kill in 0..5u64 {
        let run = project.start(&["run"]);
        let committed = project.state().join("stages/gather/committed");
        let count = || committed.read_dir_utf8().map_or(0, Iterator::count);
        eventually(|| count() as u64 > 10 * kill + 7 || project.record("gather").is_some());
        std::thread::sleep(std::time::Duration::from_millis(17 * kill));
        run.kill();
        project.nothing_left();
    }
    project.succeed(&["run"]);
    has_steps(&project, (0..70).map(|n| 100 + n).sum());
    let committed = tree(&project.state().join("stages/gather/committed"));
    assert!(committed.keys().any(|path| path.starts_with(".sum-")), "{:?}", committed.keys());
    assert_eq!(committed.keys().filter(|path| path.ends_with("/facts.json")).count(), 70);
    assert!(committed.keys().filter(|path| path.contains("/sum/")).count() < 2 * 40);
    assert_eq!(project.leftovers(), [""; 0]);
}
