//! The signals that a supervisor gets, as something that can be polled: children that ended, and wishes to end.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

/// Signals, as something that can be polled.
pub(super) struct Wakeup {
    pub(super) pipe: UnixStream,
    end: Arc<AtomicBool>,
}

impl Wakeup {
    pub(super) fn install() -> io::Result<Wakeup> {
        let (pipe, handler) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        let end = Arc::new(AtomicBool::new(false));
        for signal in [SIGTERM, SIGINT, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&end))?;
            signal_hook::low_level::pipe::register(signal, handler.try_clone()?)?;
        }
        signal_hook::low_level::pipe::register(SIGCHLD, handler)?;
        Ok(Wakeup { pipe, end })
    }

    /// To be called before what the signals may have told is looked at.
    pub(super) fn clear(&mut self) {
        let mut bytes = [0; 64];
        while matches!(self.pipe.read(&mut bytes), Ok(n) if n == bytes.len()) {}
    }

    /// Whether there was a signal to end, once for each time it is asked.
    pub(super) fn asked_to_end(&self) -> bool {
        self.end.swap(false, Ordering::SeqCst)
    }
}
