//! Signals to this process, as values of a channel.
//!
//! A runner's commands are in sessions of their own, so a terminal's signals reach the runner alone, and it decides what they mean.
//! Unaware of commands.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender, channel};

use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGPIPE, SIGTERM, SIGTSTP, SIGXFSZ};
use signal_hook::iterator::Signals;

use super::start;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGINT, SIGTERM or SIGHUP, whose number it has: end everything in order.
    Interrupt(i32),
    /// SIGINT once more: end everything at once, without grace.
    Kill,
    /// SIGTSTP: pause all trees, then [`stop_self`].
    Pause,
    /// SIGCONT: the trees may go on.
    Continue,
}

/// Handles the signals from here on, and hands them over. To be called once, by what runs commands.
///
/// SIGINT and SIGHUP that were ignored when the program started (`nohup`, a script's `&`) stay ignored.
///
/// # Errors
///
/// If no handler or thread can be made.
pub fn install() -> io::Result<Receiver<Signal>> {
    let ignored = super::ignored_signals();
    let handled = [SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT]
        .into_iter()
        .filter(|signal| *signal == SIGCONT || ignored & (1 << (signal - 1)) == 0);
    let signals = Signals::new(handled)?;
    let (sender, receiver) = channel();
    start::thread("signals", move || deliver(signals, &sender))?;
    Ok(receiver)
}

fn deliver(mut signals: Signals, to: &Sender<Signal>) {
    let mut interrupted = false;
    for signal in signals.forever() {
        let meaning = match signal {
            SIGINT if interrupted => Signal::Kill,
            SIGTSTP => Signal::Pause,
            SIGCONT => Signal::Continue,
            signal => Signal::Interrupt(signal),
        };
        // Not SIGTERM and SIGHUP, which service managers send in a row: only a person says it twice.
        interrupted |= signal == SIGINT;
        if to.send(meaning).is_err() {
            return;
        }
    }
}

/// Stops this process as a terminal's Ctrl-Z does by default. Returns when it goes on; [`Signal::Continue`] then follows.
///
/// # Errors
///
/// If the system refuses.
pub fn stop_self() -> io::Result<()> {
    Ok(rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::STOP)?)
}

/// From here on, writing to a closed pipe ends the program quietly (`optbuild plan | head`), as it does other command-line tools.
/// For subcommands that only print: one that runs commands must survive a supervisor that went away.
///
/// # Errors
///
/// If no handler can be made.
pub fn end_on_broken_pipe() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_default(SIGPIPE, always).map(drop)
}

/// From here on, writing beyond a limit of file sizes (`ulimit -f`) is an error like a full disk. Commands are killed by it, as
/// always: what is handled here is not handed down.
pub fn survive_file_size_limit() {
    // Without the handler such a write ends the program, which is no worse than before.
    let _ = signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)));
}
