//! How long measuring may take, and has taken.

use std::time::{Duration, Instant};

/// Runs from the first run of the first program.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    began: Instant,
    allowed: Duration,
}

impl Clock {
    pub fn start(allowed: Duration) -> Clock {
        Clock { began: Instant::now(), allowed }
    }

    /// In seconds.
    pub fn allowed(&self) -> f64 {
        self.allowed.as_secs_f64()
    }

    /// In seconds.
    pub fn used(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// In seconds, not less than 0.
    pub fn left(&self) -> f64 {
        (self.allowed() - self.used()).max(0.0)
    }
}
