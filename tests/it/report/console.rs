//! What a person sees of a run, word for word.

use super::support::*;
use indicatif::{InMemoryTerm, ProgressDrawTarget};
use optbuild::event::{Event, Outcome, Stamped};
use optbuild::report::summary::Again;
use optbuild::report::{Console, ConsoleOptions, Listener, Mode, Past, RunModel, Verbosity};

fn nothing() -> Vec<Stamped> {
    let names: Vec<String> = (1..=14).map(|number| format!("s{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut events = vec![at(0, run_started(&names))];
    events.extend(names.iter().map(|name| at(0, up_to_date(name, 10.0))));
    events.push(at(0, run_finished(Outcome::Done, 0.21)));
    events
}

/// A library, a gather stage with a workload that counts already, and one stage that is up to date.
fn good() -> Vec<Stamped> {
    let mebibytes = |number: u64| number << 20;
    vec![
        at(0, run_started(&["lib", "lib-gather", "shell"])),
        at(0, up_to_date("lib", 60.0)),
        at(0, started("lib-gather", Some(31.2))),
        at(0, Event::Note { stage: "lib-gather".into(), text: "merged by llvm-profdata 22".into() }),
        at(0, pool("lib-gather", 3, 1)),
        at(0, step_started("lib-gather", "joins")),
        at(4, fact("lib-gather", "joins", "raw-profiles", 2.0, "files")),
        at(4, step_finished("lib-gather", "joins", 4.0)),
        at(4, committed("lib-gather", "joins")),
        at(4, step_started("lib-gather", "inserts")),
        at(8, fact("lib-gather", "inserts", "raw-profiles", 3.0, "files")),
        at(8, step_finished("lib-gather", "inserts", 4.0)),
        at(8, committed("lib-gather", "inserts")),
        at(8, step_finished("lib-gather", "workloads", 8.0)),
        at(8, step_started("lib-gather", "merge")),
        at(10, fact("lib-gather", "merge", "functions", 1402.0, "functions")),
        at(10, step_finished("lib-gather", "merge", 2.0)),
        at(10, done("lib-gather", 10.0, vec![output("profile", mebibytes(3))])),
        at(10, started("shell", None)),
        at(10, Event::Retrying { stage: "shell".into(), step: id("build"), attempt: 2, of: 3 }),
        at(20, done("shell", 10.0, vec![output("bin", mebibytes(1)), output("out", mebibytes(2))])),
        at(20, run_finished(Outcome::Done, 20.0)),
    ]
}

fn bad() -> Vec<Stamped> {
    vec![
        at(0, run_started(&["lib", "lib-bolt", "shell", "verify"])),
        at(0, started("lib", None)),
        at(5, done("lib", 5.0, vec![])),
        at(5, started("lib-bolt", None)),
        at(6, failed("lib-bolt", 1.25, failure(), false)),
        at(6, blocked("shell", "lib-bolt")),
        at(6, run_finished(Outcome::Failed, 6.25)),
    ]
}

fn tolerated() -> Vec<Stamped> {
    vec![
        at(0, run_started(&["lib-bolt", "shell"])),
        at(0, started("lib-bolt", None)),
        at(1, failed("lib-bolt", 1.0, failure(), true)),
        at(1, started("shell", None)),
        at(4, done("shell", 3.0, vec![])),
        at(4, run_finished(Outcome::Done, 4.0)),
    ]
}

#[test]
fn a_run_with_nothing_to_do_is_one_line() {
    for mode in [Mode::Plain, Mode::GithubActions] {
        for verbosity in [Verbosity::Quiet, Verbosity::Normal, Verbosity::Verbose] {
            let text = shown(ConsoleOptions { verbosity, ..options(mode) }, &nothing());
            assert_eq!(text, "nothing to do: 14 stages are up to date (0.21 s)\n");
        }
    }
}

#[test]
fn plain_lines_have_the_time() {
    let past = Past::of([&*RunModel::of(&[
        at(0, done("lib-gather", 8.0, vec![output("profile", 2 << 20)])),
        at(0, done("shell", 10.0, vec![output("bin", 1 << 20)])),
    ])]);
    let text = shown(ConsoleOptions { past, ..options(Mode::Plain) }, &good());
    // CPU: steps of 4, 4 and 2 seconds at 1.5 in user mode, and 0.25 each in the kernel; not the pool's 8 once more.
    assert_eq!(
        text,
        "\
14:02:11 demo: 3 stages, 2 jobs, run r1
14:02:11 lib: up to date
14:02:11 lib-gather: started, took 31.2 s the last time
14:02:11 lib-gather: workloads: 3 workloads, 1 done already
14:02:15 lib-gather: workload joins done (2/3)
14:02:19 lib-gather: workload inserts done (3/3)
14:02:19 lib-gather: workloads done in 8.0 s
14:02:19 lib-gather: merge
14:02:21 lib-gather: merge done in 2.0 s
14:02:21 lib-gather: done in 10.0 s: profile 3.0 MiB
           3 workloads, 5 raw profiles, 1,402 functions
14:02:21 shell: started
14:02:21 shell: build is tried again, attempt 2 of 3
14:02:31 shell: done in 10.0 s: bin 1.0 MiB

stage       status  duration  share  outputs          change
lib-gather  done      10.0 s   50 %  profile 3.0 MiB  +2.0 s (+25 %), profile +50 %
shell       done      10.0 s   50 %  bin 1.0 MiB      time ±0 %

up to date: lib (1 m 00 s saved)
wall 20.0 s, CPU 15.8 s, largest process 2.0 MiB, hashing and syncing 1.0 s

done: 2 stages in 20.0 s; 1 up to date
"
    );
}

#[test]
fn verbose_shows_commands_notes_and_reasons() {
    let text = shown(ConsoleOptions { verbosity: Verbosity::Verbose, ..options(Mode::Plain) }, &good()[..8]);
    assert_eq!(
        text,
        "\
14:02:11 demo: 3 stages, 2 jobs, run r1
14:02:11 lib: up to date
14:02:11 lib-gather: started, took 31.2 s the last time
           because it was never done
14:02:11 lib-gather: note: merged by llvm-profdata 22
14:02:11 lib-gather: workloads: 3 workloads, 1 done already
14:02:11 lib-gather: joins
           $ cd '/s/a b' && cmake --build .
14:02:15 lib-gather: joins done in 4.0 s
"
    );
}

const BLOCK: &str = "
  To repeat the command:
    cd /s/build && env LC_ALL=C llvm-bolt in.so -o out.so

  The first error in /s/logs/lib-bolt/optimize.log:
    | a.cpp:3:1: error: no
    |     3 | int

  The last 2 lines of /s/logs/lib-bolt/optimize.log:
    | BOLT-INFO: reading
    | BOLT-ERROR: no relocations

";

const GO_ON: &str = "\
To go on:
  optbuild resume                    # goes on where this run stopped
  optbuild run demo --from lib-bolt  # lib-bolt again, and what depends on it

";

#[test]
fn a_failure_says_what_how_and_where() {
    let begin = "\
14:02:11 demo: 4 stages, 2 jobs, run r1
14:02:11 lib: started
14:02:16 lib: done in 5.0 s
14:02:16 lib-bolt: started
14:02:17 lib-bolt: failed in optimize after 1.2 s: the command exited with status 1
";
    let end = "\
14:02:17 shell: blocked, lib-bolt has no output

stage     status   duration  share
lib       done        5.0 s   80 %
lib-bolt  failed      1.2 s   20 %
shell     blocked

blocked (lib-bolt has no output): shell
not started: verify

lib-bolt failed: the command exited with status 1
  log: /s/logs/lib-bolt/optimize.log

";
    let verdict = "failed: lib-bolt; 1 done, 1 blocked, 1 not started (6.2 s)\n";
    assert_eq!(shown(options(Mode::Plain), &bad()), format!("{begin}{BLOCK}{end}{GO_ON}{verdict}"));
    let first = "14:02:17 lib-bolt: failed in optimize after 1.2 s: the command exited with status 1\n";
    let quiet = ConsoleOptions { verbosity: Verbosity::Quiet, ..options(Mode::Plain) };
    assert_eq!(shown(quiet, &bad()), format!("{first}{BLOCK}{GO_ON}{verdict}"));
}

/// A command of several lines stands for itself: nothing is padded to its length.
#[test]
fn commands_that_are_wider_than_the_terminal_have_their_comments_above() {
    let run = format!("optbuild run demo{}", " --set name=value".repeat(6));
    let again = Again { resume: "optbuild resume".into(), run: run.clone() };
    let text = shown(ConsoleOptions { again: Some(again), width: Some(60), ..options(Mode::Plain) }, &bad());
    let expected = format!(
        "\
To go on:
  # goes on where this run stopped
  optbuild resume
  # lib-bolt again, and what depends on it
  {run} --from lib-bolt

failed: lib-bolt;"
    );
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_tolerated_failure_is_said_clearly() {
    let text = shown(options(Mode::Plain), &tolerated());
    assert!(text.contains("14:02:12 lib-bolt: failed in optimize, tolerated after 1.0 s: the command"), "{text}");
    assert!(text.contains("\nlib-bolt  failed, tolerated     1.0 s   25 %\n"), "{text}");
    let end = "
lib-bolt failed, tolerated (on-failure = continue): the command exited with status 1
  log: /s/logs/lib-bolt/optimize.log

done: 1 stage in 4.0 s; 1 failed, tolerated
";
    assert!(text.ends_with(end), "{text}");
    assert!(!text.contains("To go on"), "{text}");
}

#[test]
fn only_the_last_30_lines_of_a_log_are_printed() {
    let mut failure = failure();
    failure.tail = (1..=40).map(|number| format!("line {number}")).collect();
    let text = shown(options(Mode::Plain), &[at(0, failed("lib", 1.0, failure, false))]);
    assert!(text.contains("The last 30 lines of /s/logs/lib-bolt/optimize.log:\n    | line 11\n"), "{text}");
    assert_eq!(text.matches("| line").count(), 30);
}

#[test]
fn a_failure_of_the_machine_points_to_doctor() {
    let mut failure = failure();
    failure.environment = true;
    let events = [
        at(0, run_started(&["lib"])),
        at(0, failed("lib", 1.0, failure, false)),
        at(0, run_finished(Outcome::Failed, 1.0)),
    ];
    let text = shown(options(Mode::Plain), &events);
    assert!(text.contains("\n  This is a matter of this machine: a tool, a disk or a permission.\n"), "{text}");
    assert!(text.contains("`optbuild doctor`"), "{text}");
}

#[test]
fn an_interrupt_says_how_to_go_on() {
    let events = [
        at(0, run_started(&["lib", "shell"])),
        at(0, started("lib", None)),
        at(9, interrupted("lib", 9.0)),
        at(9, run_finished(Outcome::Interrupted, 9.0)),
    ];
    let text = shown(options(Mode::Plain), &events);
    assert!(text.contains("14:02:20 lib: interrupted after 9.0 s\n"), "{text}");
    assert!(text.contains("not started: shell\n"), "{text}");
    assert!(text.ends_with("\n\ninterrupted; `optbuild resume` continues\n"), "{text}");
}

#[test]
fn files_to_show_are_printed_after_the_table() {
    let directory = tempfile::tempdir().unwrap();
    let path = camino::Utf8PathBuf::try_from(directory.path().join("table.txt")).unwrap();
    std::fs::write(&path, "plain      100\noptimised   88\n\n").unwrap();
    let mut table = output("table", 30);
    (table.path, table.show) = (path.clone(), true);
    let mut missing = table.clone();
    (missing.name, missing.path) = ("gone".into(), directory.path().join("gone").to_str().unwrap().into());
    let path = missing.path.clone();
    let events = [
        at(0, run_started(&["lib", "measure"])),
        at(0, done("measure", 1.0, vec![table, missing])),
        at(1, run_finished(Outcome::Done, 1.0)),
    ];
    let text = shown(options(Mode::Plain), &events);
    let end = format!(
        "\nmeasure.table\nplain      100\noptimised   88\n\nmeasure.gone\n{path} cannot be shown: No such file or directory \
         (os error 2)\n\ndone: 1 stage in 1.0 s\n"
    );
    assert!(text.ends_with(&end), "{text}\n---{end}");
}

#[test]
fn github_gets_groups_and_annotations() {
    let text = shown(options(Mode::GithubActions), &bad());
    let begin = "\
demo: 4 stages, 2 jobs, run r1
lib: started
::group::lib: done in 5.0 s
::endgroup::
lib-bolt: started
::group::lib-bolt: failed in optimize after 1.2 s: the command exited with status 1
::endgroup::
::error title=lib-bolt failed::the command exited with status 1 (step optimize)
::stop-commands::";
    assert!(text.starts_with(begin), "{text}");
    let token = text.split("::stop-commands::").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    assert!(text.contains(&format!("{BLOCK}::{token}::\nshell: blocked")), "{text}");
    let text = shown(options(Mode::GithubActions), &good());
    let group = "\
::group::lib-gather: done in 10.0 s: profile 3.0 MiB
workloads: 3 workloads, 1 done already
workload joins done (2/3)
workload inserts done (3/3)
workloads done in 8.0 s
merge done in 2.0 s
3 workloads, 5 raw profiles, 1,402 functions
::endgroup::
";
    assert!(text.contains(group), "{text}");
    assert!(
        shown(options(Mode::GithubActions), &tolerated()).contains("::warning title=lib-bolt failed%2C tolerated::")
    );
}

fn terminal(width: u16) -> (InMemoryTerm, Console) {
    let screen = InMemoryTerm::new(40, width);
    let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
    let options = ConsoleOptions {
        width: Some(width.into()),
        last_line: Some(Box::new(|log| Some(format!("\u{1b}[1mreading {log}\u{1b}[0m 日本語")))),
        ..options(Mode::Terminal { color: false })
    };
    (screen, Console::on_terminal(options, target))
}

fn settle(console: &mut Console) {
    // indicatif draws at most 20 times a second.
    std::thread::sleep(std::time::Duration::from_millis(120));
    console.tick();
}

#[test]
fn a_terminal_has_a_moving_line_per_stage() {
    // A line says for how many seconds its stage has been running: once more, if that was more than none.
    let (screen, mut console) = loop {
        let began = std::time::Instant::now();
        let (screen, mut console) = terminal(80);
        for event in &good()[..6] {
            console.event(event).unwrap();
        }
        settle(&mut console);
        if began.elapsed().as_secs() == 0 {
            break (screen, console);
        }
    };
    let lines: Vec<String> = screen.contents().lines().map(str::to_owned).collect();
    assert_eq!(lines[0], "= lib: up to date");
    // The first character turns.
    let moving = " lib-gather  0 s of ~31 s  1/3 joins  reading /s/logs/lib-gather/joins.log 日…";
    assert_eq!(lines[1].chars().skip(1).collect::<String>(), moving);
    assert!(lines[2].starts_with("  1 of 3 stages, "), "{lines:?}");
    for event in &good()[6..] {
        console.event(event).unwrap();
    }
    console.finish().unwrap();
    let expected = "\
= lib: up to date
✓ lib-gather     10.0 s
    3 workloads, 5 raw profiles, 1,402 functions
! shell: build is tried again, attempt 2 of 3
✓ shell          10.0 s

stage       status  duration  share of wall  outputs
lib-gather  done      10.0 s  ██████   50 %  profile 3.0 MiB
shell       done      10.0 s  ██████   50 %  bin 1.0 MiB

up to date: lib (1 m 00 s saved)
wall 20.0 s, CPU 15.8 s, largest process 2.0 MiB, hashing and syncing 1.0 s

done: 2 stages in 20.0 s; 1 up to date";
    assert_eq!(screen.contents(), expected);
}

#[test]
fn a_terminal_shows_a_failure_above_the_table() {
    let (screen, mut console) = terminal(80);
    bad().iter().for_each(|event| console.event(event).unwrap());
    console.finish().unwrap();
    let text = screen.contents();
    let begin = format!(
        "✓ lib           5.0 s\n✗ lib-bolt      1.2 s  failed in optimize\n  the command exited with status 1\n{BLOCK}! shell \
         blocked: lib-bolt has no output\n\nstage "
    );
    assert!(text.starts_with(&begin), "{text}\n---\n{begin}");
    assert!(text.ends_with("failed: lib-bolt; 1 done, 1 blocked, 1 not started (6.2 s)"), "{text}");
}

#[test]
fn nothing_to_do_is_one_line_on_a_terminal_too() {
    let (screen, mut console) = terminal(80);
    nothing().iter().for_each(|event| console.event(event).unwrap());
    console.finish().unwrap();
    assert_eq!(screen.contents(), "nothing to do: 14 stages are up to date (0.21 s)");
}
