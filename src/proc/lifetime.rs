//! How long a process has been there, on the clock of the machine. Unaware of which process matters.

use std::time::SystemTime;

use rustix::time::{ClockId, clock_gettime};

use super::tree;

const SECOND: i128 = 1_000_000_000;

/// A moment, in nanoseconds since the machine began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub i128);

impl Moment {
    /// This one.
    pub fn now() -> Moment {
        Moment(nanoseconds(ClockId::Boottime))
    }

    /// The moment that a file's time stamp tells, as far as nobody has set the clock since.
    pub fn at(time: SystemTime) -> Moment {
        let since = |time: SystemTime| match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.as_nanos() as i128,
            Err(before) => -(before.duration().as_nanos() as i128),
        };
        // Both clocks at one moment.
        Moment(since(time) - (nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime)))
    }

    /// The same, so much later.
    pub fn plus(self, nanoseconds: i128) -> Moment {
        Moment(self.0 + nanoseconds)
    }
}

fn nanoseconds(clock: ClockId) -> i128 {
    let time = clock_gettime(clock);
    i128::from(time.tv_sec) * SECOND + i128::from(time.tv_nsec)
}

/// In such steps the beginnings of processes are known, in nanoseconds.
pub fn tick() -> i128 {
    SECOND / i128::from(rustix::param::clock_ticks_per_second().max(1))
}

/// When a living process began, rounded down to [`tick`]. None: there is no such process, or it only waits for its parent to
/// notice its end.
pub fn began(pid: u32) -> Option<Moment> {
    let process = tree::process(i32::try_from(pid).ok()?)?;
    // Other threads may outlive the first one.
    let gone = process.is_dead() && process.threads <= 1;
    (!gone).then(|| Moment(i128::from(process.start_time) * tick()))
}
