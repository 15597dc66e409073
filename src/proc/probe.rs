//! Asks a program a question: runs it to its end and says whether it came to one.
//!
//! | how it ended | what that says |
//! |---|---|
//! | it exited | its answer, whatever the status |
//! | a signal ended it, or what it had started (a shell then exits with 128 and the signal) | nothing: there is no answer |
//! | it, or its loader, could not be run (a shell and the loader exit with 126 or 127) | nothing |
//! | it did not end in time | nothing |
//!
//! What may be of the moment is tried again. Unaware of what is asked and of what the answer is for.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::process::ExitStatusExt;
use std::process::Output;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGKILL, SIGQUIT, SIGTERM, SIGXCPU};

/// How often a question is asked that gets no answer for a reason of the moment.
const ATTEMPTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no answer. What comes after the command: `was killed by SIGKILL`.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("cannot be started: {0}")]
    NotStarted(io::Error),
    #[error("was ended by {}", signal_name(*.0))]
    Signal(i32),
    #[error("exited with status {status}: it, or a library of it, cannot be run")]
    NotRun { status: i32, said: String },
    #[error("did not answer within {} seconds", .0.as_secs())]
    TooLate(Duration),
}

fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal).map_or_else(|| format!("signal {signal}"), str::to_owned)
}

impl NoAnswer {
    /// It says something of the machine at this moment, and nothing of the program: another one may have killed it, or memory was
    /// short.
    pub fn is_of_the_moment(&self) -> bool {
        match self {
            NoAnswer::NotStarted(error) => {
                let short = [Errno::AGAIN, Errno::NOMEM, Errno::MFILE, Errno::NFILE, Errno::TXTBSY, Errno::IO];
                short.iter().any(|short| error.raw_os_error() == Some(short.raw_os_error()))
            }
            NoAnswer::Signal(signal) => [SIGKILL, SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGXCPU].contains(signal),
            NoAnswer::NotRun { .. } => false,
            NoAnswer::TooLate(_) => true,
        }
    }
}

/// Runs a command to its end. Its standard input must be set.
///
/// # Errors
/// It came to no end of its own.
pub fn ask(command: &duct::Expression, patience: Duration) -> Result<Output, NoAnswer> {
    let command = command.unchecked();
    let mut attempt = 1;
    loop {
        match once(&command, patience) {
            // One that waits for something would wait again.
            Err(NoAnswer::TooLate(patience)) => return Err(NoAnswer::TooLate(patience)),
            Err(reason) if attempt < ATTEMPTS && reason.is_of_the_moment() => sleep(PAUSE * 2_u32.pow(attempt as u32)),
            other => return other,
        }
        attempt += 1;
    }
}

fn once(command: &duct::Expression, patience: Duration) -> Result<Output, NoAnswer> {
    let run = || {
        let (stdout, stderr) = (memory()?, memory()?);
        let handle = command.stdout_file(stdout.try_clone()?).stderr_file(stderr.try_clone()?).start()?;
        let ended = handle.wait_timeout(patience)?.cloned();
        io::Result::Ok((handle, ended, stdout, stderr))
    };
    let (handle, ended, stdout, stderr) = run().map_err(NoAnswer::NotStarted)?;
    let Some(Output { status, .. }) = ended else {
        // What cannot be killed has ended by now.
        let _ = handle.kill();
        return Err(NoAnswer::TooLate(patience));
    };
    match (status.signal(), status.code()) {
        (Some(signal), _) => Err(NoAnswer::Signal(signal)),
        (None, Some(status @ (126 | 127))) => {
            let said = whole(stdout).map_err(NoAnswer::NotStarted)?;
            Err(NoAnswer::NotRun { status, said: String::from_utf8_lossy(&said).into_owned() })
        }
        (None, Some(code @ 129..=159)) => Err(NoAnswer::Signal(code - 128)),
        _ => {
            let whole = |file| whole(file).map_err(NoAnswer::NotStarted);
            Ok(Output { status, stdout: whole(stdout)?, stderr: whole(stderr)? })
        }
    }
}

/// Where a command prints to. A pipe would take a thread that reads it, and there may be no room for one.
fn memory() -> io::Result<File> {
    Ok(File::from(memfd_create("optbuild-probe", MemfdFlags::CLOEXEC)?))
}

/// What was printed.
fn whole(mut file: File) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
