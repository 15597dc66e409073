//! What the kernel tells of changes in directories (inotify). Where it refuses, the directories have to be walked more often.
//!
//! Unaware of which files matter.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::io::Errno;

/// Watched directories.
pub struct Changes {
    /// None where there is no inotify to be had.
    inotify: Option<OwnedFd>,
    dirs: HashMap<i32, (PathBuf, usize)>,
    watched: HashSet<PathBuf>,
    /// Every directory could be watched.
    complete: bool,
}

/// What happened since the last reading. Each path comes with the number that its directory was given.
#[derive(Debug, Default)]
pub struct News {
    /// Files that were closed after they could be written, or were renamed to.
    pub files: Vec<(usize, PathBuf)>,
    /// Directories that were made.
    pub dirs: Vec<(usize, PathBuf)>,
    /// More happened than the kernel remembered.
    pub lost: bool,
}

impl Changes {
    pub fn new() -> Changes {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK);
        if let Err(error) = &inotify {
            tracing::info!("profiles are looked for by walking through directories: inotify: {error}");
        }
        let complete = inotify.is_ok();
        Changes { inotify: inotify.ok(), dirs: HashMap::new(), watched: HashSet::new(), complete }
    }

    /// Watches a directory, without those below it.
    pub fn watch(&mut self, dir: &Path, number: usize) {
        let Some(inotify) = &self.inotify else { return };
        if self.watched.contains(dir) {
            return;
        }
        let what = WatchFlags::CREATE | WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        match inotify::add_watch(inotify, dir, what) {
            Ok(watch) => {
                self.dirs.insert(watch, (dir.to_owned(), number));
                self.watched.insert(dir.to_owned());
            }
            // Gone already.
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            // No watches left, or a file system without them.
            Err(error) => {
                tracing::debug!("{} is not watched: {error}", dir.display());
                self.complete = false;
            }
        }
    }

    /// Whether the kernel tells every change.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Readable when there is something to read.
    pub fn fd(&self) -> Option<&OwnedFd> {
        self.inotify.as_ref()
    }

    /// What has happened; does not wait.
    ///
    /// # Errors
    /// The kernel's answer cannot be read.
    pub fn read(&mut self) -> io::Result<News> {
        let mut news = News::default();
        let Some(inotify) = &self.inotify else { return Ok(news) };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = inotify::Reader::new(inotify, &mut buffer);
        let mut gone = Vec::new();
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let what = event.events();
            if what.contains(ReadFlags::QUEUE_OVERFLOW) {
                news.lost = true;
            }
            if what.contains(ReadFlags::IGNORED) {
                gone.push(event.wd());
                continue;
            }
            let Some((dir, number)) = self.dirs.get(&event.wd()) else { continue };
            let Some(name) = event.file_name() else { continue };
            let path = dir.join(OsStr::from_bytes(name.to_bytes()));
            if what.contains(ReadFlags::ISDIR) {
                news.dirs.push((*number, path));
            } else if what.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
                news.files.push((*number, path));
            }
        }
        for watch in gone {
            if let Some((dir, _)) = self.dirs.remove(&watch) {
                self.watched.remove(&dir);
            }
        }
        Ok(news)
    }
}
