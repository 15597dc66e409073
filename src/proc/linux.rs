//! What Linux tells of processes, in `/proc` and by `getrusage`. Unaware of why somebody asks.
//!
//! A process may end at any moment; that it cannot be read means that it has.

use std::fs;
use std::io;

use super::{Proc, Used};

/// The process with this pid, if there is one.
pub fn process(pid: i32) -> Option<Proc> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The pids of all processes that this user can see.
pub fn pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// The children of this process that the kernel lists. It may be built without the list.
pub fn children() -> Vec<i32> {
    let own = std::process::id();
    let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
    children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// The environment that a process was started with, as `NAME=VALUE`; empty where this user may not know it.
pub fn environment(pid: i32) -> Vec<Vec<u8>> {
    words(pid, "environ")
}

/// The command line of a process.
pub fn arguments(pid: i32) -> Vec<Vec<u8>> {
    words(pid, "cmdline")
}

fn words(pid: i32, file: &str) -> Vec<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    text.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect()
}

/// The signals that this process ignores, signal 1 in the lowest bit; none where the system does not tell.
pub fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// The kernel's account of all that this process waited for, with everything that those waited for: each process once. What a
/// process did whose parent refused to wait for it is in no account.
///
/// # Errors
/// The system refuses to tell.
pub fn used_by_children() -> io::Result<Used> {
    let mut account = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the kernel writes one `rusage` to the pointer, which is one to writable memory of that size.
    let told = unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, account.as_mut_ptr()) };
    if told != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it was zeroed, which is a valid value of all its numbers.
    let account = unsafe { account.assume_init() };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let number = |number: libc::c_long| u64::try_from(number).unwrap_or(0);
    Ok(Used {
        user: seconds(account.ru_utime),
        system: seconds(account.ru_stime),
        // Linux counts in KiB.
        peak_memory: number(account.ru_maxrss) * 1024,
        page_faults: number(account.ru_minflt) + number(account.ru_majflt),
    })
}

/// `/proc/PID/stat`. The name stands in parentheses and may itself have any character in it, so the last `)` ends it.
fn parse_stat(stat: &[u8]) -> Option<Proc> {
    let text = String::from_utf8_lossy(stat);
    let (pid, rest) = text.split_once(" (")?;
    let (name, rest) = rest.rsplit_once(") ")?;
    // From field 3, the state, on.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).copied();
    Some(Proc {
        pid: pid.parse().ok()?,
        parent: field(4)?.parse().ok()?,
        group: field(5)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        state: field(3)?.chars().next()?,
        threads: field(20)?.parse().ok()?,
        start_time: field(22)?.parse().ok()?,
        ticks: (14..=17).filter_map(|number| field(number)?.parse::<u64>().ok()).sum(),
        pages: field(24).and_then(|pages| pages.parse().ok()).unwrap_or(0),
        name: name.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stat_with_a_difficult_name() {
        // Field numbers as in proc_pid_stat(5): 22 is starttime.
        let line = b"4026 (a) R (b \xff) S 4019 4026 4011 0 -1 4194560 93 0 0 0 1 2 3 4 20 0 1 0 1337 2600960 95";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.parent, process.group, process.session), (4026, 4019, 4026, 4011));
        assert_eq!((process.state, process.threads, process.start_time), ('S', 1, 1337));
        assert_eq!((process.ticks, process.pages), (1 + 2 + 3 + 4, 95));
        assert_eq!(process.name, "a) R (b \u{fffd}");
        assert_eq!(parse_stat(b"4026 (a"), None);
    }

    #[test]
    fn the_environment_and_the_words_of_a_process() {
        let mut command = std::process::Command::new("sleep");
        let mut child = command.arg("300").env_clear().env("A", "b c").spawn().unwrap();
        let pid = child.id() as i32;
        // Until it has executed its program it shows those of this one.
        let began = std::time::Instant::now();
        while arguments(pid) != [b"sleep", b"300".as_slice()] {
            assert!(began.elapsed().as_secs() < 60);
        }
        assert_eq!(environment(pid), [b"A=b c"]);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn what_children_used_is_counted_when_they_were_waited_for() {
        let before = used_by_children().unwrap();
        let script = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(std::process::Command::new("sh").args(["-c", script]).status().unwrap().success());
        let after = used_by_children().unwrap();
        assert!(after.user + after.system > before.user + before.system);
        // A shell takes more than 100 KiB, and the peak is in bytes.
        assert!(after.peak_memory > 100 * 1024 && after.page_faults > before.page_faults, "{after:?}");
    }
}
