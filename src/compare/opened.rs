//! Whether a command starts what it is to measure: the kernel tells who opens a file (inotify), and nothing is started unopened.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use camino::Utf8Path;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

use super::request::Build;
use super::result::SideKind;

/// Files that are watched.
pub struct Opened(OwnedFd);

impl Opened {
    /// Watches a build from now on: the files beside its program, and of a toolchain its libraries, as a workload may run another
    /// program of the build; the program alone where the other side stands in the same directory. None where the kernel
    /// does not tell.
    pub fn watch(build: &Build, other: &Build) -> Option<Opened> {
        // What a link leads to is opened there.
        let real = |build: &Build| build.program().canonicalize_utf8().ok();
        let (program, other) = (real(build)?, real(other)?);
        let beside = program.parent().filter(|dir| Some(*dir) != other.parent());
        let (bin, lib) = (build.path.join("bin"), build.path.join("lib"));
        match (beside, build.kind) {
            (None, _) => Opened::of(&[&program]),
            (Some(dir), SideKind::Program) => Opened::of(&[dir]),
            (Some(dir), SideKind::Toolchain) => Opened::of(&[dir, &bin, &lib]),
        }
    }

    fn of(paths: &[&Utf8Path]) -> Option<Opened> {
        let watched = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).and_then(|inotify| {
            for path in paths.iter().filter(|path| path.exists()) {
                inotify::add_watch(&inotify, path.as_std_path(), WatchFlags::OPEN)?;
            }
            Ok(inotify)
        });
        watched.inspect_err(|error| tracing::debug!("{paths:?} are not watched: {error}")).ok().map(Opened)
    }

    /// Whether a file was opened since. True as well where that cannot be found out any more.
    pub fn any(&self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        loop {
            match reader.next() {
                // Whoever lists a directory opens it.
                Ok(event) if event.events().contains(ReadFlags::ISDIR) => {}
                Ok(event) if event.events().intersects(ReadFlags::OPEN | ReadFlags::QUEUE_OVERFLOW) => return true,
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return false,
                Err(_) => return true,
            }
        }
    }
}
