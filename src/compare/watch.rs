//! Ends what is measured, with everything that it started: when it takes too long, and when the caller has gone.
//!
//! The caller holds the other end of standard input, which the kernel closes however the caller ends. Unaware of what is
//! measured.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{getpid, set_child_subreaper};

use crate::proc::tree;

/// How long it is tried to end a tree, whose processes may go on starting others or be stuck in the kernel.
const PATIENCE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Watches over what this process starts from here on.
#[derive(Debug)]
pub struct Watch {
    late: Arc<Mutex<bool>>,
}

impl Watch {
    /// `limit` is in seconds from here on.
    ///
    /// # Errors
    /// When the system does not let this process watch.
    pub fn start(limit: Option<f64>) -> Result<Watch> {
        // Whose parent has ended becomes a child of this process, and is found.
        set_child_subreaper(Some(getpid())).context("cannot become a subreaper")?;
        let end = limit.and_then(|limit| Instant::now().checked_add(Duration::try_from_secs_f64(limit).ok()?));
        let late = Arc::new(Mutex::new(false));
        let told = Arc::clone(&late);
        // Beside the thread that waits for the command, so that its end is not noticed later for there being a limit.
        std::thread::Builder::new()
            .name("watch".into())
            .spawn(move || watch(&told, end))
            .context("no thread to watch what is measured")?;
        Ok(Watch { late })
    }

    /// Whether what was started took too long, and has been ended.
    pub fn was_late(&self) -> bool {
        *lock(&self.late)
    }
}

fn lock(late: &Mutex<bool>) -> MutexGuard<'_, bool> {
    late.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever asks whether it was late waits until the tree has been ended; when the caller has gone, for good.
fn watch(late: &Mutex<bool>, mut end: Option<Instant>) {
    let stdin = std::io::stdin();
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let mut late = lock(late);
            *late = true;
            end_tree();
            end = None;
            continue;
        }
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], timeout.as_ref()) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) | Err(_) => {}
        }
        // Nothing more is said there: it is the end.
        if !matches!(rustix::io::read(&stdin, &mut [0; 64]), Ok(1..) | Err(Errno::INTR)) {
            let _held = lock(late);
            end_tree();
            std::process::exit(1);
        }
    }
}

/// Kills what is below this process until nothing of it lives.
pub fn end_tree() {
    let began = Instant::now();
    let mut pause = FIRST_PAUSE;
    // True: what is left belongs to another user.
    while !tree::kill_own_tree() && tree::own_tree().iter().any(|process| !process.is_dead()) {
        if began.elapsed() > PATIENCE {
            return;
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
