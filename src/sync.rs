//! Locks that a panic does not spoil, and what threads collect behind one.
//!
//! The standard library poisons a lock whose holder panics, so that nobody takes a half made change for a whole one. Here each
//! change behind a lock is one assignment or one call, so the data is whole, and the run can be ended in good order. Unaware
//! of what is locked.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Waits for a lock.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is behind a lock that nobody else has any more.
pub fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Lets go of a lock until somebody tells of a change, and takes it again.
pub fn wait<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    changed.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// The same, for no longer than a time.
pub fn wait_for<'a, T>(changed: &Condvar, guard: MutexGuard<'a, T>, time: Duration) -> MutexGuard<'a, T> {
    changed.wait_timeout(guard, time).unwrap_or_else(PoisonError::into_inner).0
}

/// Sentences that any thread adds and one takes. One that waits to be taken is not added again.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Says it, unless it waits to be said already.
    pub fn add(&self, text: String) {
        let mut warnings = lock(&self.0);
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Those since this was last asked.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}
