//! How a watch is told to end, from another thread.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU8, Ordering};

use rustix::event::{EventfdFlags, eventfd};

/// What a watch is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Run,
    /// Take everything, then end.
    Finish,
    /// End at once.
    Drop,
}

/// The switch.
#[derive(Debug)]
pub struct Stop {
    mode: AtomicU8,
    told: OwnedFd,
}

impl Stop {
    /// In [`Mode::Run`].
    ///
    /// # Errors
    /// There is no file descriptor left.
    pub fn new() -> io::Result<Stop> {
        Ok(Stop { mode: AtomicU8::new(0), told: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)? })
    }

    pub fn mode(&self) -> Mode {
        match self.mode.load(Ordering::SeqCst) {
            0 => Mode::Run,
            1 => Mode::Finish,
            _ => Mode::Drop,
        }
    }

    /// Take everything, then end; unless it was told to end at once.
    pub fn finish(&self) {
        self.tell(1);
    }

    /// End at once.
    pub fn abandon(&self) {
        self.tell(2);
    }

    fn tell(&self, mode: u8) {
        self.mode.fetch_max(mode, Ordering::SeqCst);
        // Fails only when it has been told so often that it is awake already.
        let _ = rustix::io::write(&self.told, &1u64.to_ne_bytes());
    }

    /// Readable from the moment on at which it is told.
    pub(super) fn told(&self) -> &OwnedFd {
        &self.told
    }
}
