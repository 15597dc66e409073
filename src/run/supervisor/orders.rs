//! The supervisor's standard input: a launch, then orders, then the end, which says that the runner is gone.

use std::collections::VecDeque;
use std::io;

use super::protocol::{Launch, Order};

/// Lines of standard input. Reads it unbuffered, since it is also polled.
pub(super) struct Orders {
    buffer: VecDeque<u8>,
    pub(super) ended: bool,
    end_told: bool,
}

impl Orders {
    pub(super) fn new() -> Orders {
        Orders { buffer: VecDeque::new(), ended: false, end_told: false }
    }

    /// The first line; waits for it.
    pub(super) fn launch(&mut self) -> io::Result<Launch> {
        loop {
            if let Some(line) = self.line() {
                return Ok(serde_json::from_slice(&line)?);
            }
            if self.ended {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the runner is gone"));
            }
            self.read();
        }
    }

    /// The next order that has arrived.
    pub(super) fn next(&mut self) -> Option<Order> {
        while let Some(line) = self.line() {
            // What cannot be understood comes from no runner of this version; the end of the input still ends the tree.
            if let Ok(order) = serde_json::from_slice(&line) {
                return Some(order);
            }
        }
        None
    }

    /// True once, when the runner is gone.
    pub(super) fn ended_now(&mut self) -> bool {
        self.ended && !std::mem::replace(&mut self.end_told, true)
    }

    /// Takes what there is, or waits for something.
    pub(super) fn read(&mut self) {
        let mut bytes = [0; 65536];
        match rustix::io::read(io::stdin(), &mut bytes) {
            Ok(0) => self.ended = true,
            Ok(n) => self.buffer.extend(&bytes[..n]),
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            Err(_) => self.ended = true,
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|byte| *byte == b'\n')?;
        Some(self.buffer.drain(..=end).collect())
    }
}
