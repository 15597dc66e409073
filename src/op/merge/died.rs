//! A tool that died: of what it read, or because the machine ended it. Its signal tells, and what it said before. Unaware of tools.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anyhow::Error;
use signal_hook::consts::{SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGSEGV, SIGSYS, SIGTRAP};
use signal_hook::low_level::signal_name;

/// Why a tool died.
pub enum Death {
    /// Of a signal that its own code brought about, by name.
    Own(String),
    /// There was no memory left.
    Memory,
}

/// Signals that come of what a process does.
const OWN: [i32; 7] = [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS];

/// What tools say, and the system, before they give up.
const NO_MEMORY: [&str; 4] = ["out of memory", "bad_alloc", "allocation failed", "cannot allocate memory"];

/// Why a tool died. None: it did not, or was ended from outside.
pub fn cause(status: ExitStatus, said: &str) -> Option<Death> {
    // A shell that started the tool says its signal so.
    let of_shell = || status.code().and_then(|code| code.checked_sub(128));
    let signal = status.signal().or_else(of_shell)?;
    if signal == SIGKILL || has_no_memory(said) {
        // Nothing else on the machine ends a tool with SIGKILL unasked.
        return Some(Death::Memory);
    }
    OWN.contains(&signal).then(|| Death::Own(signal_name(signal).unwrap_or("a signal").to_owned()))
}

/// Whether a tool says that there is no memory.
pub fn has_no_memory(said: &str) -> bool {
    let said = said.to_lowercase();
    NO_MEMORY.iter().any(|words| said.contains(words))
}

/// That it was the machine, with what could not be done for it.
pub fn out_of_memory(what: String) -> Error {
    Error::new(io::Error::from(io::ErrorKind::OutOfMemory)).context(what)
}
