//! Starting commands: what they get, how their end is told, and why one cannot be started.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::support::{PATH, Place};
use crate::support::OPTBUILD;
use crate::support::processes::{HANG, in_own_process, write_program};
use optbuild::event::Usage;
use optbuild::run::process::{ExitKind, Process, StartError};

#[test]
fn statuses_and_signals() {
    in_own_process(|| {
        let place = Place::new();
        let status = |script| place.shell(script).wait();
        assert!(status("exit 0").success());
        let failed = status("exit 7");
        assert_eq!((failed.status, failed.success()), (ExitKind::Code(7), false));
        assert_eq!(failed.describe(), "exited with status 7");
        let killed = status("kill -SEGV $$");
        assert_eq!(killed.status, ExitKind::Signal(11));
        assert_eq!(killed.describe(), "was killed by SIGSEGV (segmentation fault)");
        // SIGPIPE, which Rust programs ignore, is back at its default.
        assert_eq!(status("kill -PIPE $$; exit 1").status, ExitKind::Signal(13));
    });
}

#[test]
fn the_environment_is_what_was_given() {
    in_own_process(|| {
        let place = Place::new();
        assert!(place.start(&["/usr/bin/env"]).unwrap().wait().success());
        assert_eq!(place.log(), format!("MARK={}\nPATH={PATH}\n", place.dir));
    });
}

#[test]
fn directory_input_and_session() {
    in_own_process(|| {
        let place = Place::new();
        // Field 6 of stat is the session, which is the supervisor's; readers of standard input see its end at once.
        let process = place.shell("pwd; cat; echo end; cut -d' ' -f6 /proc/self/stat");
        let pid = process.pid();
        assert!(process.wait().success());
        assert_eq!(place.log(), format!("{}\nend\n{pid}\n", place.dir));
    });
}

#[test]
fn logs_are_appended_to() {
    in_own_process(|| {
        let place = Place::new();
        std::fs::write(place.dir.join("log"), "before\n").unwrap();
        place.shell("echo out; echo err >&2").wait();
        assert_eq!(place.log(), "before\nout\nerr\n");

        let mut launch = place.launch(&["sh", "-c", "echo out; echo err >&2"]);
        launch.stderr = place.dir.join("errors");
        Process::start(OPTBUILD.into(), &launch).unwrap().wait();
        assert_eq!(place.log(), "before\nout\nerr\nout\n");
        assert_eq!(std::fs::read_to_string(place.dir.join("errors")).unwrap(), "err\n");
    });
}

#[test]
fn large_command_lines_pass() {
    in_own_process(|| {
        let place = Place::new();
        let arguments: Vec<String> = (0..10_000).map(|n| format!("argument-{n}")).collect();
        let argv: Vec<&str> =
            ["sh", "-c", "echo $#", "x"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
        assert!(place.start(&argv).unwrap().wait().success());
        assert_eq!(place.log(), "10000\n");
    });
}

#[test]
fn reasons_not_to_start() {
    in_own_process(|| {
        let place = Place::new();
        let error = |argv: &[&str]| place.start(argv).unwrap_err();

        let missing = error(&["no-such-program"]);
        assert_eq!(missing, StartError::NotInPath { program: "no-such-program".into(), path: PATH.into() });
        assert!(missing.to_string().contains("`no-such-program` was not found in PATH"), "{missing}");

        assert_eq!(error(&["./missing"]), StartError::NoFile { program: place.dir.join("./missing") });

        let script = place.dir.join("script");
        std::fs::write(&script, "#!/no/such/interpreter\n").unwrap();
        assert_eq!(error(&["./script"]), StartError::NotExecutable { program: place.dir.join("./script") });
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(error(&[script.as_str()]), StartError::NoInterpreter { program: script });

        let mut launch = place.launch(&["true"]);
        launch.cwd = place.dir.join("nowhere");
        let refused = Process::start(OPTBUILD.into(), &launch).unwrap_err();
        assert!(matches!(refused, StartError::NoDirectory { ref cwd, .. } if *cwd == launch.cwd), "{refused}");

        let mut launch = place.launch(&["true"]);
        launch.stdout = place.dir.join("nowhere/log");
        let refused = Process::start(OPTBUILD.into(), &launch).unwrap_err();
        assert!(matches!(refused, StartError::Log { ref path, .. } if *path == launch.stdout), "{refused}");

        for supervisor in ["/no/such/optbuild", "/bin/true"] {
            let refused = Process::start(supervisor.into(), &place.launch(&["true"])).unwrap_err();
            assert!(matches!(refused, StartError::Supervisor { .. }), "{refused}");
        }
        assert!(matches!(error(&[]), StartError::Other { .. }));
        assert!(matches!(error(&["true", "a\0b"]), StartError::Other { .. }));
    });
}

#[test]
fn the_program_is_looked_for_in_the_path_of_the_command() {
    in_own_process(|| {
        let place = Place::new();
        std::fs::create_dir(place.dir.join("bin")).unwrap();
        let program = place.dir.join("bin/only-here");
        write_program(&program, "#!/bin/sh\necho found\n");
        let mut launch = place.launch(&["only-here"]);
        launch.env.insert("PATH".into(), format!("{}:{PATH}", place.dir.join("bin")));
        assert!(Process::start(OPTBUILD.into(), &launch).unwrap().wait().success());
        assert_eq!(place.log(), "found\n");
    });
}

/// A program that holds 64 MB and takes half a second of the processor's time, and says how much it took. `cc` is there.
fn burner(place: &Place) {
    let source = r#"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int main(void) {
  volatile char *held = malloc(64000000);
  for (int at = 0; at < 64000000; at += 4096) held[at] = 1;
  while (clock() < CLOCKS_PER_SEC / 2) {}
  FILE *took = fopen("took", "a");
  fprintf(took, "%f\n", (double)clock() / CLOCKS_PER_SEC);
  return held[4096] != 1;
}
"#;
    std::fs::write(place.dir.join("burn.c"), source).unwrap();
    assert!(place.shell("cc -O1 burn.c -o burn && mkfifo done").wait().success(), "{}", place.log());
}

/// What was measured of one or more burners is what they say themselves, and little more. A burner that counted twice would be half a
/// second more.
fn is_what_they_say(place: &Place, burners: usize, usage: &Usage) {
    let said = std::fs::read_to_string(place.dir.join("took")).unwrap();
    let said: Vec<f64> = said.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(said.len(), burners);
    let (said, cpu) = (said.iter().sum::<f64>(), usage.user + usage.system);
    // The kernel counts whole ticks of the clock.
    assert!(cpu > said - 0.05 && cpu < said + 0.4, "{cpu} of {said}: {usage:?}");
}

#[test]
fn usage_of_a_known_burner() {
    in_own_process(|| {
        let place = Place::new();
        burner(&place);
        let began = Instant::now();
        // One in the shell that is waited for, and one in an orphan that the supervisor adopts. Nothing is done while it is waited for.
        let exit = place.shell("./burn; (./burn; echo > done) & cat done").wait();
        assert!(exit.success(), "{}", place.log());
        is_what_they_say(&place, 2, &exit.usage);
        let usage = exit.usage;
        assert!(usage.wall >= 0.5 && usage.wall <= began.elapsed().as_secs_f64(), "{usage:?}");
        assert!((64_000_000..200_000_000).contains(&usage.peak_memory), "{usage:?}");
    });
}

#[test]
fn an_orphan_counts_once() {
    in_own_process(|| {
        let place = Place::new();
        burner(&place);
        // The burner's parent ends at once; the shell outlives it.
        let exit = place.shell("(setsid sh -c './burn; echo > done' &); cat done").wait();
        is_what_they_say(&place, 1, &exit.usage);
    });
}

#[test]
fn waiting_with_a_limit() {
    in_own_process(|| {
        let place = Place::new();
        let process = place.shell("mkfifo go; cat go");
        let began = Instant::now();
        assert_eq!(process.wait_timeout(Duration::from_millis(100)), None);
        assert!(began.elapsed() >= Duration::from_millis(100));
        place.wait_file("go");
        std::fs::write(place.dir.join("go"), "").unwrap();
        assert!(process.wait_timeout(HANG).is_some_and(|exit| exit.success()));
        // The end stays known.
        assert!(process.clone().wait().success());
        assert!(process.wait_timeout(Duration::ZERO).is_some());
    });
}

/// What a supervisor costs: `cargo test --release --test it process::start -- --ignored --nocapture overhead`.
#[test]
#[ignore = "a measurement"]
fn overhead() {
    in_own_process(|| {
        let place = Place::new();
        let median = |mut run: Box<dyn FnMut()>| {
            let mut times: Vec<Duration> = (0..300)
                .map(|_| {
                    let began = Instant::now();
                    run();
                    began.elapsed()
                })
                .collect();
            times.sort();
            (times[150], times[285])
        };
        let launch = place.launch(&["true"]);
        let supervised =
            median(Box::new(move || assert!(Process::start(OPTBUILD.into(), &launch).unwrap().wait().success())));
        let plain = median(Box::new(|| assert!(std::process::Command::new("true").status().unwrap().success())));
        println!("`true`, median and 95th percentile: supervised {supervised:?}, plain {plain:?}");
    });
}
