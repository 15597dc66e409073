//! What Linux tells of processes, in `/proc` and by `getrusage`. Unaware of why somebody asks.
//!
//! A process may end at any moment; that it cannot be read means that it has.

use std::collections::BTreeSet;
use std::fs;
use std::io;

use camino::Utf8PathBuf;
use memchr::memmem;

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

/// The same of a process with all its threads. None: the kernel lists none.
pub fn children_of(pid: i32) -> Option<Vec<i32>> {
    let mut found = None;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()?.flatten() {
        let Ok(children) = fs::read_to_string(thread.path().join("children")) else { continue };
        found
            .get_or_insert_with(Vec::new)
            .extend(children.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
    }
    found
}

/// The file that a process runs.
pub fn program_of(pid: i32) -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(fs::read_link(format!("/proc/{pid}/exe")).ok()?).ok()
}

/// The files that a process has mapped as code, sorted. Empty where this user may not know it.
pub fn code_of(pid: i32) -> Vec<Utf8PathBuf> {
    let maps = fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let maps = String::from_utf8_lossy(&maps);
    // Addresses, permissions, offset, device and inode stand before the path, which may have spaces in it.
    let code = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|flags| flags.contains('x')));
    let paths = code.filter_map(|line| line.find('/').and_then(|at| line.get(at..)));
    let found: BTreeSet<&str> = paths.collect();
    found.into_iter().map(Utf8PathBuf::from).collect()
}

/// The numbers of a process in its PID namespaces, from this one inwards.
pub fn namespace_pids(pid: i32) -> Vec<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    line.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// What a variable was when a process was started, if it was set, and this user may know it.
///
/// It is asked of every process of the machine, so no more is looked at than is needed.
pub fn variable_of(pid: i32, name: &str) -> Option<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let begins: Vec<u8> = [name.as_bytes(), b"="].concat();
    let found = memmem::find_iter(&text, &begins).find(|at| *at == 0 || text.get(at - 1) == Some(&0))?;
    text.get(found + begins.len()..)?.split(|byte| *byte == 0).next().map(<[u8]>::to_vec)
}

/// The command line of a process.
pub fn arguments(pid: i32) -> Vec<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
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

/// `PF_FORKNOEXEC`, among the flags of a process.
const FORKED: u64 = 0x40;

/// The process that the content of `/proc/PID/stat` describes. The name stands in parentheses and may itself have any character in
/// it, so the last `)` ends it.
pub fn parse_stat(stat: &[u8]) -> Option<Proc> {
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
        forked: field(9)?.parse::<u64>().is_ok_and(|flags| flags & FORKED != 0),
        pages: field(24).and_then(|pages| pages.parse().ok()).unwrap_or(0),
        name: name.to_owned(),
    })
}
