//! Threads of this process: the one place that starts them. Where the machine has no room for one more, that is an error, and not a
//! panic, as it would be with `std::thread::spawn`. Unaware of what they do.

use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

/// The machine lets this process have no further thread.
#[derive(Debug, thiserror::Error)]
#[error(
    "no further thread can be started ({0}): too many run already for what this user or container may have; see `ulimit -u`, and \
     `pids.max` of the cgroup"
)]
pub struct NoThread(io::Error);

impl From<NoThread> for io::Error {
    fn from(error: NoThread) -> io::Error {
        io::Error::new(io::ErrorKind::QuotaExceeded, error)
    }
}

/// Starts a thread.
///
/// # Errors
/// There is no room for it.
pub fn thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, NoThread> {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    Builder::new().name(name.into()).spawn(work).map_err(NoThread)
}

/// Starts a thread that ends with a scope.
///
/// # Errors
/// There is no room for it.
pub fn scoped<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<ScopedJoinHandle<'scope, T>, NoThread> {
    #[expect(clippy::disallowed_methods, reason = "the one place")]
    Builder::new().name(name.into()).spawn_scoped(scope, work).map_err(NoThread)
}

/// Starts the threads that share the work of loops (rayon's), unless they are there. To be called before such a loop, which would panic
/// without them.
///
/// # Errors
/// There is no room for them.
pub fn workers() -> Result<(), NoThread> {
    // They can be asked for once only.
    static REFUSED: OnceLock<Option<i32>> = OnceLock::new();
    let refused = REFUSED.get_or_init(|| {
        let mut refused = None;
        let pool = rayon::ThreadPoolBuilder::new().spawn_handler(|worker| match thread("worker", || worker.run()) {
            Ok(_) => Ok(()),
            Err(NoThread(error)) => {
                refused = error.raw_os_error();
                Err(error)
            }
        });
        // Another error says that they are there.
        let _ = pool.build_global();
        refused
    });
    match refused {
        None => Ok(()),
        Some(code) => Err(NoThread(io::Error::from_raw_os_error(*code))),
    }
}
