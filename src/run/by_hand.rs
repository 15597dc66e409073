//! Workloads that a person runs: the command is said, and Enter says that it is done. Unaware of what a workload is for.

use std::io::{self, IsTerminal as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::resolve::Resolver;
use super::step::{StepError, StepRunner};
use crate::names::StepId;
use crate::plan::{Arg, Command};
use crate::proc::start;

/// Between two looks whether anybody still waits for Enter.
const LOOK: Duration = Duration::from_millis(200);

/// Until this is dropped, Enter makes a file.
pub(super) struct Waiting {
    over: Arc<AtomicBool>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// Says what is to be run, and listens.
///
/// # Errors
/// There is no terminal.
pub(super) fn begin(
    runner: &StepRunner,
    step: &StepId,
    (command, file): &(Command, Arg),
    resolver: &Resolver,
) -> Result<Waiting, StepError> {
    let broken = |error: &dyn std::fmt::Display| runner.broken(step, error.to_string());
    let file: Utf8PathBuf = resolver.text(file).map_err(|error| broken(&error))?.into();
    let line = resolver.pasteable(command).map_err(|error| broken(&error))?;
    let cwd = resolver.text(&command.cwd).map_err(|error| broken(&error))?;
    std::fs::create_dir_all(&cwd).map_err(|error| runner.broken_machine(step, format!("{cwd}: {error}")))?;
    if !io::stdin().is_terminal() {
        let what = "it is run by hand (`by-hand`), and standard input is no terminal: start `optbuild run` in a terminal, or let a \
                    command do the work of a person";
        return Err(runner.broken(step, what.into()));
    }
    // Notes are not shown to everybody.
    runner.warn(&format!("{step} by hand"), format!("{step} is run by hand, in another terminal: {line}"));
    let enter = format!("press Enter when all that you have started of {step} has ended (or make the file {file})");
    runner.warn(&format!("the end of {step}"), enter);
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    start::thread("by-hand", move || listen(&file, &told)).map_err(|error| broken(&error))?;
    Ok(Waiting { over })
}

fn listen(file: &Utf8Path, over: &AtomicBool) {
    let stdin = io::stdin();
    let look = Timespec::try_from(LOOK).ok();
    let mut bytes = [0; 256];
    while !over.load(Ordering::SeqCst) {
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], look.as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        // The end of the input says the same: Ctrl-D.
        let read = rustix::io::read(&stdin, &mut bytes).unwrap_or(0);
        if read == 0 || bytes[..read].contains(&b'\n') {
            if let Err(error) = std::fs::write(file, "") {
                tracing::warn!("{file} cannot be made, which would say that it is done: {error}");
            }
            return;
        }
    }
}
