//! Starts the command of a supervisor, and finds out why one could not be started.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::OFlags;
use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};

use super::protocol::{Launch, StartError};

/// How often a program that somebody is still writing is tried again, every 10 ms.
const BUSY_ATTEMPTS: usize = 20;

/// Starts the command in a process group of its own. It is killed when the thread that called this ends.
pub(crate) fn spawn(launch: &Launch) -> Result<Child, StartError> {
    let Some((program, args)) = launch.argv.split_first() else {
        return Err(StartError::Other { program: String::new(), cause: "the command is empty".into() });
    };
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(&launch.env).current_dir(&launch.cwd).process_group(0);
    command.stdin(read(launch)?).stdout(append(&launch.stdout)?).stderr(append(&launch.stderr)?);
    let supervisor = getpid();
    // SAFETY: between fork and exec only async-signal-safe system calls are made: prctl and getppid.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            // Had the supervisor died before that, nobody would send the signal.
            if getppid() == Some(supervisor) { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
        });
    }
    for _ in 0..BUSY_ATTEMPTS {
        match command.spawn() {
            // A process that forked while the program was being written holds it open until its exec.
            Err(error) if error.kind() == io::ErrorKind::ExecutableFileBusy => sleep(Duration::from_millis(10)),
            other => return other.map_err(|error| explain(launch, program, &error)),
        }
    }
    command.spawn().map_err(|error| explain(launch, program, &error))
}

fn read(launch: &Launch) -> Result<Stdio, StartError> {
    let Some(path) = &launch.stdin else { return Ok(Stdio::null()) };
    let opened = at_once(File::options().read(true), path).map(Stdio::from);
    let program = || launch.argv.first().cloned().unwrap_or_default();
    opened.map_err(|error| StartError::Other {
        program: program(),
        cause: format!("its input {path} cannot be read: {error}"),
    })
}

/// Opens without waiting: a pipe whose other end was a runner that is gone would be waited for forever.
fn at_once(options: &mut OpenOptions, path: &Utf8Path) -> io::Result<File> {
    let file = options.custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags - OFlags::NONBLOCK)?;
    Ok(file)
}

fn append(path: &Utf8Path) -> Result<File, StartError> {
    let opened = at_once(File::options().append(true).create(true), path);
    opened.map_err(|error| StartError::Log { path: path.to_owned(), cause: error.to_string() })
}

/// The system's error does not say whether the program, its interpreter or the directory was meant.
fn explain(launch: &Launch, program: &str, error: &io::Error) -> StartError {
    let directory = std::fs::metadata(&launch.cwd);
    let wrong_cwd = match &directory {
        Err(cause) => Some(cause.to_string()),
        Ok(found) if !found.is_dir() => Some("it is not a directory".into()),
        Ok(_) => rustix::fs::access(launch.cwd.as_std_path(), rustix::fs::Access::EXEC_OK)
            .err()
            .map(|cause| io::Error::from(cause).to_string()),
    };
    if let Some(cause) = wrong_cwd {
        return StartError::NoDirectory { cwd: launch.cwd.clone(), cause };
    }
    let path = launch.env.get("PATH").map_or("/bin:/usr/bin", String::as_str);
    let Some(file) = find(program, &launch.cwd, path) else {
        return if program.contains('/') {
            StartError::NoFile { program: launch.cwd.join(program) }
        } else {
            StartError::NotInPath { program: program.to_owned(), path: path.to_owned() }
        };
    };
    match error.kind() {
        io::ErrorKind::NotFound => StartError::NoInterpreter { program: file },
        io::ErrorKind::PermissionDenied => StartError::NotExecutable { program: file },
        _ => StartError::Other { program: file.into_string(), cause: error.to_string() },
    }
}

/// The file that was meant: the first executable one, else the first.
fn find(program: &str, cwd: &Utf8Path, path: &str) -> Option<Utf8PathBuf> {
    if program.contains('/') {
        return Some(cwd.join(program)).filter(|file| file.exists());
    }
    let files: Vec<Utf8PathBuf> =
        path.split(':').map(|directory| cwd.join(directory).join(program)).filter(|file| file.is_file()).collect();
    let executable = |file: &&Utf8PathBuf| file.metadata().is_ok_and(|found| found.permissions().mode() & 0o111 != 0);
    files.iter().find(executable).or(files.first()).cloned()
}
