//! How long measuring may take, and has taken.

use std::time::{Duration, Instant};

/// However little is left, a run may take so long, in seconds: starting a program on a busy machine takes its time.
const LEAST_LIMIT: f64 = 3.0;

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

    /// How long one run may take, in seconds.
    pub fn limit(&self) -> f64 {
        self.left().max(LEAST_LIMIT)
    }
}
