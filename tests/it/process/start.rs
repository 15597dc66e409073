//! Starting commands: what they get, how their end is told, and why one cannot be started.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use super::support::{OPTBUILD, PATH, Place};
use optbuild::run::process::{ExitKind, Process, StartError};

#[test]
fn statuses_and_signals() {
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
}

#[test]
fn the_environment_is_what_was_given() {
    let place = Place::new();
    assert!(place.start(&["/usr/bin/env"]).unwrap().wait().success());
    assert_eq!(place.log(), format!("MARK={}\nPATH={PATH}\n", place.dir));
}

#[test]
fn directory_input_and_session() {
    let place = Place::new();
    // Field 6 of stat is the session, which is the supervisor's; readers of standard input see its end at once.
    let process = place.shell("pwd; cat; echo end; cut -d' ' -f6 /proc/self/stat");
    let pid = process.pid();
    assert!(process.wait().success());
    assert_eq!(place.log(), format!("{}\nend\n{pid}\n", place.dir));
}

#[test]
fn logs_are_appended_to() {
    let place = Place::new();
    std::fs::write(place.dir.join("log"), "before\n").unwrap();
    place.shell("echo out; echo err >&2").wait();
    assert_eq!(place.log(), "before\nout\nerr\n");

    let mut launch = place.launch(&["sh", "-c", "echo out; echo err >&2"]);
    launch.stderr = place.dir.join("errors");
    Process::start(OPTBUILD.into(), &launch).unwrap().wait();
    assert_eq!(place.log(), "before\nout\nerr\nout\n");
    assert_eq!(std::fs::read_to_string(place.dir.join("errors")).unwrap(), "err\n");
}

#[test]
fn large_command_lines_pass() {
    let place = Place::new();
    let arguments: Vec<String> = (0..10_000).map(|n| format!("argument-{n}")).collect();
    let argv: Vec<&str> =
        ["sh", "-c", "echo $#", "x"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    assert!(place.start(&argv).unwrap().wait().success());
    assert_eq!(place.log(), "10000\n");
}

#[test]
fn reasons_not_to_start() {
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
}

#[test]
fn the_program_is_looked_for_in_the_path_of_the_command() {
    let place = Place::new();
    std::fs::create_dir(place.dir.join("bin")).unwrap();
    let program = place.dir.join("bin/only-here");
    std::fs::write(&program, "#!/bin/sh\necho found\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut launch = place.launch(&["only-here"]);
    launch.env.insert("PATH".into(), format!("{}:{PATH}", place.dir.join("bin")));
    assert!(Process::start(OPTBUILD.into(), &launch).unwrap().wait().success());
    assert_eq!(place.log(), "found\n");
}

#[test]
fn usage_of_a_known_burner() {
    let place = Place::new();
    // Half a second in the shell that is waited for, and half a second in an orphan that the supervisor adopts; 64 MB held.
    let burn = "import time\nheld = b'x' * 64_000_000\nwhile time.process_time() < 0.5: pass";
    std::fs::write(place.dir.join("burn.py"), burn).unwrap();
    let exit =
        place.shell("python3 burn.py; (python3 burn.py; touch done) & while [ ! -e done ]; do sleep 0.01; done").wait();
    assert!(exit.success(), "{}", place.log());
    let usage = exit.usage;
    let cpu = usage.user + usage.system;
    assert!((1.0..2.5).contains(&cpu), "{usage:?}");
    assert!(usage.wall >= cpu / 2.0 && usage.wall < 60.0, "{usage:?}");
    assert!((64_000_000..200_000_000).contains(&usage.peak_memory), "{usage:?}");
}

#[test]
fn an_orphan_counts_once() {
    let place = Place::new();
    let burn = "import time\nwhile time.process_time() < 0.5: pass\nopen('done', 'w')";
    std::fs::write(place.dir.join("burn.py"), burn).unwrap();
    // The parent of python ends at once; the shell outlives it.
    let exit = place.shell("(setsid python3 burn.py &); while [ ! -e done ]; do sleep 0.02; done; sleep 0.2").wait();
    let cpu = exit.usage.user + exit.usage.system;
    assert!((0.5..1.0).contains(&cpu), "{:?}", exit.usage);
}

#[test]
fn waiting_with_a_limit() {
    let place = Place::new();
    let process = place.shell("sleep 0.3");
    let began = Instant::now();
    assert_eq!(process.wait_timeout(Duration::from_millis(100)), None);
    assert!(began.elapsed() >= Duration::from_millis(100));
    assert!(process.wait_timeout(Duration::from_secs(60)).is_some_and(|exit| exit.success()));
    assert!(began.elapsed() < Duration::from_secs(30));
    // The end stays known.
    assert!(process.clone().wait().success());
    assert!(process.wait_timeout(Duration::ZERO).is_some());
}

/// What a supervisor costs: `cargo test --release --test process_start -- --ignored --nocapture overhead`.
#[test]
#[ignore = "a measurement"]
fn overhead() {
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
}
