//! Signals to the runner: what they mean, seen from outside of a process that handles them.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::support::dispositions::AS_HANDED_DOWN;
use crate::support::processes::{HANG, eventually, signal, state};
use optbuild::proc::signals;
use rustix::process::Signal;

/// Set for the copies of this test program that handle signals.
const ROLE: &str = AS_HANDED_DOWN;

/// Not a test: prints what it is told.
#[test]
fn handler() {
    match std::env::var(ROLE).as_deref() {
        Ok("print") => {
            let signals = signals::install().unwrap();
            eprintln!("told: ready");
            // Until the other side is content, or something is wrong.
            while let Ok(told) = signals.recv_timeout(HANG) {
                eprintln!("told: {told:?}");
                match told {
                    signals::Signal::Pause => signals::stop_self().unwrap(),
                    signals::Signal::Kill => return,
                    _ => {}
                }
            }
        }
        Ok("write") => {
            signals::end_on_broken_pipe().unwrap();
            while std::io::stdout().write_all(&[b'x'; 4096]).is_ok() {}
        }
        _ => {}
    }
}

fn start(role: &str, shell: &str) -> Child {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("{shell} exec \"$0\" --exact process::signals::handler --nocapture")])
        .arg(std::env::current_exe().unwrap());
    command.env(ROLE, role).process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// A line that the handler prints next.
fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> String {
    lines.find_map(|line| line.unwrap().strip_prefix("told: ").map(str::to_owned)).unwrap()
}

#[test]
fn signals_become_values() {
    let mut child = start("print", "");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(next(&mut lines), "ready");
    let pid = child.id() as i32;

    signal(pid, Signal::TSTP);
    assert_eq!(next(&mut lines), "Pause");
    assert!(eventually(|| state(pid) == Some('T')));
    signal(pid, Signal::CONT);
    assert_eq!(next(&mut lines), "Continue");

    for (sent, told) in [
        (Signal::HUP, "Interrupt(1)"),
        (Signal::TERM, "Interrupt(15)"),
        (Signal::INT, "Interrupt(2)"),
        (Signal::TERM, "Interrupt(15)"),
        (Signal::INT, "Kill"),
    ] {
        signal(pid, sent);
        assert_eq!(next(&mut lines), told);
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_was_ignored_stays_ignored() {
    let mut child = start("print", "trap '' HUP;");
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert_eq!(next(&mut lines), "ready");
    for sent in [Signal::HUP, Signal::INT] {
        signal(child.id() as i32, sent);
    }
    assert_eq!(next(&mut lines), "Interrupt(2)");
    signal(child.id() as i32, Signal::KILL);
    child.wait().unwrap();
}

#[test]
fn a_closed_pipe_ends_what_prints() {
    let mut child = start("write", "");
    let mut output: BufReader<ChildStdout> = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut String::new()).unwrap();
    drop(output);
    // 13 is SIGPIPE.
    assert_eq!(child.wait().unwrap().signal(), Some(13));
}
