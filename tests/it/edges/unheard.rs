//! Output that cannot be written, and machines that have no room for a thread or a process: an exit code that says so, and no panic.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::support::kill::{Project, pipelines, program_of_everybody};
use crate::support::{OPTBUILD, needs};

fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}

fn project() -> Project {
    let stages = [
        pipelines::stage("one", "outputs = { text = \"text\" }", "did one\necho one > ${self.out}/text\n"),
        pipelines::stage("two", "outputs = { text = \"text\" }", "did two\ncat ${one.text} > ${self.out}/text\n"),
    ];
    Project::new(&format!("name = \"edges\"\n\n[outputs]\ntext = \"${{two.text}}\"\n\n{}", stages.concat()))
}

fn output(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert_ne!(output.status.code(), Some(101), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// With what standard error says, and without it, a command does the same.
#[test]
fn a_full_standard_error_changes_nothing() {
    let project = project();
    std::fs::write(project.dir.join("no.profraw"), "nothing").unwrap();
    for args in [
        &["run"][..],
        &["run"],
        &["run", "--from", "two", "-v"],
        &["run", "--json"],
        &["plan", "pipeline.toml"],
        &["plan", "no-such-file.toml"],
        &["doctor"],
        &["doctor", "pipeline.toml"],
        &["status"],
        &["clean"],
        &["gc", "--max-size", "1B"],
        &["merge", "no.profraw", "-o", "merged.profdata"],
        &["compare", "true", "no-such-program", "--", "{program}"],
        &["op", "no-such-operation"],
        &["no-such-command"],
    ] {
        let heard = output(&mut project.command(args));
        let unheard = output(project.command(args).stderr(full()));
        assert_eq!(heard.status.code(), unheard.status.code(), "{args:?}: {heard:?}");
        assert_eq!(heard.stdout.is_empty(), unheard.stdout.is_empty(), "{args:?}");
    }
}

/// The log of a step is on the disk that may be full.
#[test]
fn an_operation_whose_log_is_full_does_its_work() {
    let project = project();
    let (stamp, cleared) = (project.dir.join("stamp"), project.dir.join("cleared"));
    let operation = |value: &str| {
        std::fs::create_dir_all(&cleared).unwrap();
        let mut command = Command::new(OPTBUILD);
        command.args(["op", "clear-if-changed", "--stamp", stamp.as_str(), "--clear", cleared.as_str()]);
        command.args(["--option", value]);
        command
    };
    for (value, printed) in [("one", ""), ("two", "was built with one\nis built with two\n")] {
        let heard = output(&mut operation(value));
        assert!(heard.status.success());
        assert_eq!(String::from_utf8(heard.stderr).unwrap(), printed);
    }
    assert!(output(operation("three").stderr(full())).status.success());
    assert_eq!(std::fs::read_to_string(&stamp).unwrap(), "three\n");
    assert!(!cleared.exists());
}

/// Who reads and leaves has what it wanted; what takes no more is the machine's fault.
#[test]
fn standard_output_without_a_reader_and_without_space() {
    let project = project();
    let closed = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Stdio::from(writer)
    };
    for args in [&["run", "--json"][..], &["run", "--json", "--from", "one"], &["run"]] {
        assert_eq!(output(project.command(args).stdout(closed())).status.code(), Some(0), "{args:?}");
    }
    assert_eq!(project.work(), ["one", "two", "one", "two"]);
    // What only prints ends as other programs do, or has nothing more to say.
    for args in [&["plan", "pipeline.toml"][..], &["run", "--dry-run"], &["status"]] {
        let code = output(project.command(args).stdout(closed())).status.code();
        assert!(matches!(code, Some(0) | None), "{args:?}: {code:?}");
    }
    for args in [&["plan", "pipeline.toml"][..], &["run", "--dry-run"], &["run", "--json"], &["status"], &["doctor"]] {
        let ended = output(project.command(args).stdout(full()));
        assert_eq!(ended.status.code(), Some(3), "{args:?}");
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(said.contains("No space left on device"), "{args:?}: {said}");
    }
    // What failed says that.
    std::fs::write(project.dir.join("pipeline.toml"), pipelines::stage("one", "", "exit 1\n")).unwrap();
    assert_eq!(output(project.command(&["run", "--json"]).stdout(full())).status.code(), Some(1));
}

/// From no room at all up to enough: threads and processes of a user are counted as one.
#[test]
fn a_machine_that_has_no_room_for_a_thread() {
    // A user without any other process.
    const USER: u32 = 1_734_001;
    if !needs::another_user() {
        return;
    }
    let (_aside, program) = program_of_everybody();
    let mut succeeded = 0;
    for limit in (1..=60).step_by(2) {
        let project = project();
        for path in [project.dir.clone(), project.dir.join("pipeline.toml")] {
            std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
        }
        let mut command = project.command_of(&program, &["run"]);
        command.uid(USER).gid(USER).env("HOME", &project.dir);
        let room = Rlimit { current: Some(limit), maximum: Some(limit) };
        // SAFETY: one system call, which is async-signal-safe.
        unsafe {
            command.pre_exec(move || Ok(setrlimit(Resource::Nproc, room)?));
        }
        let ended = output(&mut command);
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(!said.contains("panicked"), "{limit}: {said}");
        match ended.status.code() {
            Some(0) => succeeded += 1,
            // A shell that cannot start `cat` fails by itself.
            Some(1) => assert!(said.contains("fork") || said.contains("Resource temporarily"), "{limit}: {said}"),
            Some(3) => assert!(!said.is_empty()),
            code => panic!("{limit}: {code:?}: {said}"),
        }
        project.nothing_left();
        if succeeded == 3 {
            break;
        }
    }
    assert_eq!(succeeded, 3, "a run needs less than sixty threads and processes");
}
