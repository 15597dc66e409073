//! Exit codes where something is wrong that no stage can help: 2 for what was asked, 3 for the machine, and both before anything runs.

use std::process::Command;

use camino::Utf8PathBuf;
use jiff::Timestamp;
use optbuild::state::store::{LockInfo, State, StateError};

use crate::support::{Test, needs, stage};

fn one() -> Test {
    Test::new([stage("a", "", "")])
}

#[test]
fn without_a_directory_for_temporary_files() {
    let test = one();
    let nowhere = test.aside.join("nowhere");
    let file = test.aside.join("file");
    std::fs::write(&file, "").unwrap();
    let test = test.env("TMPDIR", nowhere.as_str());
    let _ = test.run("").code(3).ran("").err("TMPDIR=").err("nowhere").err("No such file or directory");
    let test = test.env("TMPDIR", file.as_str());
    let _ = test.run("").code(3).ran("").err("it is no directory");
    let test = test.env("TMPDIR", file.parent().unwrap().as_str());
    test.run("").runs("a");
    // Where nothing has to run, nothing needs it.
    let test = test.env("TMPDIR", nowhere.as_str());
    test.run("").runs("");
}

#[test]
fn a_compiler_that_cannot_start_is_called_so() {
    let text = "[[stage]]\nname = 'a'\nkind = 'cmake'\nsource = '${pipeline.dir}'\npgo = 'generate'\n";
    let test = Test::new([text]).file("CMakeLists.txt", "");
    test.program("clang", "echo 'error while loading shared libraries: libLLVM.so.22' >&2; exit 127");
    test.program("clang++", "exit 127");
    let ran = test.run("").code(3).no_err("gcc's profiles").err("clang --version` exited with status 127");
    let _ = ran.err("a library of it, cannot be run");
    // One that is another compiler is told as that.
    test.program("clang", "echo 'gcc (Debian) 12.2.0'; echo 'Copyright (C) 2022 Free Software Foundation, Inc.'");
    test.write("p.toml", &format!("{text}# changed\n"));
    let _ = test.run("").code(2).err("gcc's profiles");
}

#[test]
fn profiles_that_are_no_file() {
    let test = one();
    let _ = test.run("--profiles none.tar.zst").code(2).ran("").err("[DIR]/none.tar.zst").err("No such file");
    test.sh("mkfifo pipe");
    let _ = test.run("--profiles pipe").code(2).ran("").err("[DIR]/pipe: it is not a file");
    let _ = test.run("--profiles .").code(2).ran("").err("it is not a file");
    test.write("empty", "");
    let _ = test.run("--profiles empty").code(2).ran("").err("it is not a bundle");
}

#[test]
fn without_proc() {
    let test = one();
    let mut bare = Command::new("unshare");
    bare.args(["--mount", "sh", "-c", "umount -l /proc && ! test -e /proc/self"]);
    if !needs::mounted(&mut bare) {
        return;
    }
    let script = format!("umount -l /proc; exec {} run p.toml", crate::support::OPTBUILD);
    let mut command = Command::new("unshare");
    let ended = command.args(["--mount", "sh", "-c", &script]).current_dir(&test.dir).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(3), "{said}");
    assert!(said.contains("/proc is not mounted"), "{said}");
}

/// Whoever is second finds the directory made, and locked.
#[test]
fn several_runs_that_make_one_state_directory() {
    for _ in 0..100 {
        let temporary = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(temporary.path().canonicalize().unwrap()).unwrap().join(".optbuild");
        let begin = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    begin.wait();
                    let state = State::open(&root, true).unwrap();
                    let info = LockInfo { pid: 1, command: "test".into(), since: Timestamp::now() };
                    match state.lock(&info) {
                        Ok(_) | Err(StateError::Locked { .. }) => {}
                        Err(error) => panic!("{error}"),
                    }
                });
            }
        });
        assert_eq!(std::fs::read_to_string(root.join(".gitignore")).unwrap(), "*\n");
        State::open(&root, false).unwrap();
    }
}

/// As an editor on Windows writes it.
#[test]
fn a_pipeline_whose_lines_end_in_crlf() {
    let text = stage(
        "a",
        "",
        "if true; then\n  echo one \\\n    two > ${self.out}/x\nfi\ntest \"$(cat ${self.out}/x)\" = 'one two'",
    );
    let test = Test::new([text.clone()]);
    test.run("").runs("a");
    let fingerprint = test.fingerprints(".optbuild");
    test.write("p.toml", &text.replace('\n', "\r\n"));
    test.run("--force").runs("a");
    assert_eq!(test.fingerprints(".optbuild"), fingerprint);
    // Errors stand where the file has them.
    test.write("p.toml", "[[stage]]\r\nname = 'a'\r\nkind = 'comand'\r\n");
    let _ = test.run("").code(2).err("p.toml:3:8");
}
