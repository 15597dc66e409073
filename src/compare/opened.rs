//! Whether a command starts the program that it is to measure: the kernel tells who opens a file (inotify), and nothing is
//! started unopened.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use camino::Utf8Path;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// A file that is watched.
pub struct Opened(OwnedFd);

impl Opened {
    /// Watches from now on. None where the kernel does not tell.
    pub fn watch(file: &Utf8Path) -> Option<Opened> {
        let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .and_then(|inotify| inotify::add_watch(&inotify, file.as_std_path(), WatchFlags::OPEN).map(|_| inotify));
        watched.inspect_err(|error| tracing::debug!("{file} is not watched: {error}")).ok().map(Opened)
    }

    /// Whether it was opened since. True as well where that cannot be found out any more.
    pub fn was_opened(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) if event.events().intersects(ReadFlags::OPEN | ReadFlags::QUEUE_OVERFLOW) => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_started_is_opened_and_what_is_looked_at_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let program = Utf8Path::from_path(dir.path()).unwrap().join("program");
        std::fs::copy("/bin/true", &program).unwrap();
        let opened = Opened::watch(&program).unwrap();
        assert!(program.metadata().is_ok() && Command::new("/bin/true").status().unwrap().success());
        assert!(!opened.was_opened());
        // By another name, and by a shell.
        std::fs::hard_link(&program, dir.path().join("link")).unwrap();
        let script = format!("{}/link", dir.path().display());
        assert!(Command::new("sh").args(["-c", &script]).status().unwrap().success());
        assert!(opened.was_opened());
        assert!(Opened::watch(&program.with_extension("none")).is_none());
    }
}
