//! Programs that run in the background while they are trained and measured; workloads that keep apart; a person as a workload.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::support::real::{artifact, calls, empty, sh};
use crate::support::{OPTBUILD, Test, needs};

/// Makes a pipe, reads numbers from it, and ends in order at `quit` or SIGTERM. Works for each number, and before it is ready.
const SERVER: &str = r#"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#ifndef TIMES
#define TIMES 1
#endif
static volatile sig_atomic_t over;
static void end(int signal) { (void)signal; over = 1; }
static volatile long sum;
__attribute__((noinline)) void hot(long n) { sum += n % 3; }
__attribute__((noinline)) void start(long n) { sum += n % 5; }
int main(int argc, char **argv) {
    if (argc > 2) { fprintf(stderr, "cannot listen at %s: Address already in use\n", argv[1]); return 1; }
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = end;
    sigaction(SIGTERM, &action, 0);
    for (long n = 0; n < 400000; n++) start(n);
    fprintf(stderr, "the server begins\n");
    if (mkfifo("pipe.new", 0600)) return 1;
    int fd = open("pipe.new", O_RDWR);
    rename("pipe.new", argv[1]);
    char text[64];
    while (!over) {
        ssize_t read_now = read(fd, text, sizeof text - 1);
        if (read_now <= 0) continue;
        text[read_now] = 0;
        if (strstr(text, "crash")) abort();
        if (strstr(text, "quit")) break;
        for (char *line = strtok(text, "\n"); line; line = strtok(0, "\n")) {
            long end = TIMES * atol(line);
            for (long n = 0; n < end; n++) hot(n);
        }
        FILE *done = fopen("done", "a");
        fputs("x", done);
        fclose(done);
    }
    unlink(argv[1]);
    fprintf(stderr, "the server ends\n");
    return 0;
}
"#;

/// Asks three times, and waits for each answer.
const CLIENT: &str = "for i in 1 2 3; do echo 500 > pipe; until [ \"$(cat done 2> /dev/null | wc -c)\" = $i ]; do sleep 0.01; done; done; rm done";

fn build(name: &str, flags: &str) -> String {
    format!(
        "[[stage]]\nname = '{name}'\nkind = 'command'\n\
         run = ['clang', '-O1', {flags} '${{pipeline.dir}}/server.c', '-o', '${{self.out}}/server']\n\
         outputs = {{ program = 'server' }}\n"
    )
}

fn gather(keys: &str, workloads: &str) -> String {
    format!(
        "[[stage]]\nname = 'profile'\nkind = 'gather'\ninstrumented = '${{instrumented.program}}'\n{keys}\nworkloads = [{workloads}]\n"
    )
}

fn served(name: &str, background: &str, client: &str, more: &str) -> String {
    format!("{{ name = '{name}', background = {{ {background} }}, shell = true, run = '''{client}''' {more} }},")
}

fn project(stages: &[String]) -> Test {
    empty(&format!("name = 'p'\n[tools]\nclang = '>=19'\n{}", stages.join("\n"))).file("server.c", SERVER)
}

fn trained(workloads: &str) -> Test {
    project(&[build("instrumented", "'-fprofile-generate',"), gather("", workloads)])
}

#[test]
fn a_server_is_driven_and_its_profile_counts() {
    let ready = "run = '{program} pipe', ready = 'test -p pipe'";
    let stopped = format!("{ready}, stop = {{ shell = true, run = 'echo quit > pipe' }}");
    let test = trained(&served("asked", &stopped, CLIENT, ""));
    let _ = test.run("").ok();
    // Three requests of 500.
    let profile = artifact(&test, "profile.profile");
    assert_eq!((calls(&profile, "hot", ""), calls(&profile, "start", "")), (1500, 400_000));
    let log = sh(&test.dir, "cat .optbuild/runs/*/logs/profile/asked-background.log");
    assert_eq!(log, "the server begins\nthe server ends\n");
}

#[test]
fn without_a_command_that_stops_it_a_server_gets_sigterm() {
    let test = trained(&served("asked", "run = '{program} pipe', ready = 'test -p pipe'", CLIENT, ""));
    let _ = test.run("").ok();
    assert_eq!(calls(&artifact(&test, "profile.profile"), "hot", ""), 1500);
}

#[test]
fn a_server_that_does_not_come_up_is_told_with_its_last_lines() {
    let test = trained(&served("asked", "run = '{program} pipe taken', ready = 'test -p pipe'", CLIENT, ""));
    let _ = test
        .run("")
        .code(1)
        .err("ended before it was ready: it exited with status 1; another program listens there")
        .err("cannot listen at pipe: Address already in use");

    test.change("'{program} pipe taken'", "'true'");
    let _ =
        test.run("").code(1).err("it exited with status 0; if it goes into the background by itself, tell it to stay");

    test.change("run = 'true'", "run = '{program} pipe', timeout = '1s'");
    test.change("'test -p pipe'", "'test -p elsewhere'");
    let _ = test
        .run("")
        .code(1)
        .err("was not ready within 1.0 s (`timeout`): `ready` exited with status 1")
        .err("the server begins");

    test.change("'test -p elsewhere'", "'no-such-probe'");
    let _ = test.run("").code(1).err("`no-such-probe` was not found in PATH");
}

#[test]
fn a_server_that_crashes_or_hangs_is_told() {
    let background = "run = '{program} pipe', ready = 'test -p pipe'";
    let test = trained(&served("asked", background, "echo crash > pipe; until [ -e done ]; do sleep 0.01; done", ""));
    let _ = test
        .run("")
        .code(1)
        .err("ended by itself while it was driven: it was killed by SIGABRT")
        .err("the server begins");

    let deaf = "shell = true, run = 'trap \"\" TERM; : > up; while :; do sleep 0.1; done', ready = 'test -e up', timeout = '1s'";
    test.pipeline([
        "name = 'p'\n[tools]\nclang = '>=19'".to_owned(),
        build("instrumented", "'-fprofile-generate',"),
        gather("", &served("asked", deaf, "true", "")),
    ]);
    let _ = test.run("").code(1).err("did not end within 1.0 s after SIGTERM, and was killed");
}

#[test]
fn a_client_that_fails_is_told() {
    let test = trained(&served("asked", "run = '{program} pipe', ready = 'test -p pipe'", "echo no >&2; exit 7", ""));
    let _ = test.run("").code(1).err("the command that drives the program in the background exited with status 7");
}

#[test]
fn workloads_with_one_lock_run_one_after_the_other() {
    let train = "$0 pipe & until [ -p pipe ]; do sleep 0.01; done; echo quit > pipe; wait";
    let one = |name: &str, keys: &str, part: &str| {
        format!("{{ name = '{name}', {keys} run = ['sh', '-euc', '{part}; {train}', '{{program}}'] }},")
    };
    // `hold` fails where another one holds. The third one meets the first.
    let workloads = [
        one("a", "lock = 'port-1',", "hold; meet a 2; release"),
        one("b", "lock = 'port-1',", "hold; sleep 0.05; release"),
        one("c", "", "meet c 2"),
        one("d", "alone = true,", "hold; sleep 0.05; release"),
    ];
    let test = trained(&workloads.concat());
    test.program("hold", &format!("mkdir {}/held", test.aside));
    test.program("release", &format!("rmdir {}/held", test.aside));
    let _ = test.run("-j 4").ok();
    // Which others run meanwhile changes nothing of the profile.
    test.change("lock = 'port-1',", "");
    let before = test.fingerprints(".optbuild");
    let _ = test.run("-j 4").ok();
    assert_eq!(test.fingerprints(".optbuild"), before);
}

#[test]
fn a_workload_that_fails_beside_others_says_so_and_leaves_its_directory() {
    let workloads = "{ name = 'a', run = ['sh', '-euc', 'meet a 2; echo found > what; exit 1'] }, { name = 'b', run = ['sh', '-euc', 'meet b 2; $0 pipe & until [ -p pipe ]; do sleep 0.01; done; echo quit > pipe; wait', '{program}'] },";
    let test = trained(workloads);
    let ran = test
        .run("-j 2")
        .code(1)
        .err("`a` failed while others ran: b.")
        .err("`alone = true`")
        .err("is kept until the stage runs again");
    assert!(ran.stderr.contains(".optbuild/stages/profile/attempts/a.1/cwd"), "{}", ran.stderr);
    assert_eq!(test.read(".optbuild/stages/profile/attempts/a.1/cwd/what"), "found\n");
    // Of its profiles nothing is left.
    assert_eq!(sh(&test.dir, "ls .optbuild/stages/profile/attempts/a.1"), "cwd\n");
}

#[test]
fn a_person_runs_a_workload() {
    let by_hand = "{ name = 'clicks', by-hand = true, run = '{program} pipe' },";
    let test = trained(by_hand);
    let _ = test.run("").code(1).err("it is run by hand (`by-hand`), and standard input is no terminal");

    // A terminal of its own, as `script` gives one.
    let mut script = Command::new("script");
    script.args(["-qefc", &format!("{OPTBUILD} run p.toml"), "typescript"]).current_dir(&test.dir);
    // Lines, and nothing that moves.
    script.env("TERM", "dumb").env("NO_COLOR", "1");
    let mut running = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let said = || std::fs::read_to_string(test.path("typescript")).unwrap_or_default().replace("\r\n", "\n");
    assert!(crate::support::processes::eventually(|| said().contains("press Enter when all that you have started")));
    let text = said();
    let line = text.lines().find_map(|line| line.split_once("in another terminal: ")).unwrap().1.to_owned();
    assert!(line.contains("LLVM_PROFILE_FILE="), "{line}");
    sh(
        &test.dir,
        &format!(
            "({line}) 2> /dev/null & cd .optbuild/stages/profile/attempts/clicks.1/cwd; until [ -p pipe ]; do sleep 0.01; done; echo 70 > pipe; until [ -e done ]; do sleep 0.01; done; echo quit > pipe; wait"
        ),
    );
    running.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    let ended = running.wait_with_output().unwrap();
    assert!(ended.status.success(), "{}", said());
    assert_eq!(calls(&artifact(&test, "profile.profile"), "hot", ""), 70);
}

/// Both do the same before they are ready; then one does twice as much, and a command asks that works far more than either.
#[test]
fn of_a_server_and_its_client_the_server_is_measured_without_its_start() {
    if !needs::instruction_counts() {
        return;
    }
    let client = format!("{CLIENT}; i=0; while [ $i -lt 30000 ]; do i=$((i+1)); done; echo asked");
    let client = client.replace("echo 500", "echo 200000");
    let background = "run = '{program} pipe', ready = 'test -p pipe'";
    let compare = format!(
        "[[stage]]\nname = 'compared'\nkind = 'compare'\nbase = '${{one.program}}'\ncandidate = '${{two.program}}'\ncounter = 'valgrind'\n\
         rounds = 5\nworkloads = [{}]\n",
        served("asked", background, &client, "")
    );
    let test = project(&[build("one", ""), build("two", "'-DTIMES=2',"), compare]);
    let _ = test.run("").ok();
    let result = std::fs::read_to_string(artifact(&test, "compared.json")).unwrap();
    let result: serde_json::Value = serde_json::from_str(&result).unwrap();
    let metrics = result["workloads"][0]["metrics"].as_array().unwrap();
    let instructions = metrics.iter().find(|metric| metric["metric"] == "instructions").unwrap();
    // Twice the work: +100 %. The start of both would make it +67 %.
    let change = instructions["change"].as_f64().unwrap();
    assert!((0.95..1.05).contains(&change), "{instructions}");
    // Three requests of 200000, for each number a few instructions: the shell of the client alone would need ten times as many.
    let base = instructions["base"]["median"].as_f64().unwrap();
    assert!((600_000.0 * 4.0..600_000.0 * 30.0).contains(&base), "{base}");

    // The same from the command line, with the workloads of the stage.
    let words = "compare one=p.toml:one.program two=p.toml:two.program --workloads p.toml:compared --counter valgrind --rounds 1";
    let by_hand: serde_json::Value = serde_json::from_str(&test.cmd(&format!("{words} --json")).ok().stdout).unwrap();
    let metrics = by_hand["workloads"][0]["metrics"].as_array().unwrap();
    let instructions = metrics.iter().find(|metric| metric["metric"] == "instructions").unwrap();
    let change = instructions["change"].as_f64().unwrap();
    assert!((0.95..1.05).contains(&change), "{instructions}");
}
