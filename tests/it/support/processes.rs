//! Processes of this machine as `/proc` shows them, waiting for what they do, and tests in a process of their own.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use rustix::process::{Pid, Signal, kill_process};

/// Ends a test that would hang. It is far longer than anything takes on a busy machine, so no test passes or fails by it.
pub const HANG: Duration = Duration::from_secs(15 * 60);

/// Waits until something is so. False: the test would hang.
pub fn eventually(mut is_so: impl FnMut() -> bool) -> bool {
    let began = Instant::now();
    let mut pause = Duration::from_millis(1);
    while !is_so() {
        if began.elapsed() > HANG {
            return false;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
    true
}

/// Tries again with four times the time, and again, where something has to be done before a limit: the machine may be slow. What
/// does not keep to its limit fails with each of them.
#[track_caller]
pub fn patiently(mut attempt: impl FnMut(u32) -> bool) {
    assert!([1, 4, 16, 64].into_iter().any(&mut attempt), "not in time, whatever the time is");
}

/// Runs a test in a process of its own, for what is one per process: the umask, whose children orphans become, which children may be
/// killed. `test` is the closure of a test function: its type has the function's name.
#[track_caller]
pub fn in_own_process<F: Fn()>(test: F) {
    const OWN: &str = "OPTBUILD_TEST_OWN_PROCESS";
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").map_or(name, |(_, name)| name).trim_end_matches("::{{closure}}");
    if std::env::var(OWN).is_ok_and(|own| own == name) {
        return test();
    }
    let mut itself = Command::new(std::env::current_exe().unwrap());
    let output = itself.args(["--exact", name, "--nocapture", "--include-ignored"]).env(OWN, name).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    print!("{text}");
    assert!(output.status.success() && text.contains("1 passed"), "{name} in a process of its own:\n{text}");
}

/// Writes a program that is run at once. Another process writes it: a process that another test starts at this very moment would
/// have the file open, too, and a file that is open for writing cannot be run.
pub fn write_program(path: &Utf8Path, text: &str) {
    let mut writer = Command::new("sh");
    writer.args(["-euc", "cat > \"$0\"; chmod 755 \"$0\"", path.as_str()]).stdin(Stdio::piped());
    let mut writer = writer.spawn().unwrap();
    writer.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(writer.wait().unwrap().success(), "{path} cannot be written");
}

/// The state letter of `/proc/PID/stat`.
pub fn state(pid: i32) -> Option<char> {
    field(pid, 0)?.chars().next()
}

/// Stopped, or waiting for a child that was stopped between its `vfork` and `exec`, as shells and ninja start commands.
pub fn is_stopped(pid: i32) -> bool {
    matches!(state(pid), Some('T' | 'D'))
}

/// Ended, waited for or not: what nobody waits for stays as a zombie where process 1 is no init.
pub fn has_ended(pid: i32) -> bool {
    matches!(state(pid), None | Some('Z' | 'X'))
}

pub fn parent(pid: i32) -> Option<i32> {
    field(pid, 1)?.parse().ok()
}

/// The process group.
pub fn group(pid: i32) -> Option<i32> {
    field(pid, 2)?.parse().ok()
}

/// A field of `/proc/PID/stat` behind the name, which may have anything in it.
fn field(pid: i32, number: usize) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(number).map(str::to_owned)
}

/// The ids of all processes.
pub fn all() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// Living processes with this entry in their environment; a dead one has no environment.
pub fn marked(entry: &str) -> Vec<i32> {
    let is_marked = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes())
    };
    all().into_iter().filter(is_marked).collect()
}

pub fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}
