//! Whether a process has a file open for writing, or mapped.
//!
//! | way | says | does not work |
//! |---|---|---|
//! | a read lease, which the kernel gives on a file that nobody can write | yes or no, at once | on files of other users, on network file systems |
//! | the open files and mappings of all processes in `/proc` | whether another process has it open at all | for processes that cannot be looked into |
//!
//! Unaware of what is in the files.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;

use camino::Utf8Path;

use super::tree;

/// Answers for several files at one moment.
#[derive(Default)]
pub struct OpenFiles {
    /// All files that are open, or mapped and shared: looked up once, when they are needed.
    open: Option<HashSet<(u64, u64)>>,
}

impl OpenFiles {
    /// Whether a process may still change a file.
    ///
    /// # Errors
    /// It cannot be opened.
    pub fn is_written(&mut self, path: &Utf8Path) -> io::Result<bool> {
        let file = File::open(path)?;
        match lease(&file) {
            Some(written) => Ok(written),
            None => {
                let found = file.metadata()?;
                drop(file);
                Ok(self.open.get_or_insert_with(open_files).contains(&(found.dev(), found.ino())))
            }
        }
    }
}

/// None: the file system or the file's owner does not allow to ask.
fn lease(file: &File) -> Option<bool> {
    // SAFETY: a system call on a file descriptor that is open, with a number as argument.
    let given = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_RDLCK) };
    if given == 0 {
        // SAFETY: as above.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
        return Some(false);
    }
    (io::Error::last_os_error().raw_os_error() == Some(libc::EAGAIN)).then_some(true)
}

/// Whether a process has a file open, by device and inode; none where this user may not know it.
pub fn has_open(pid: u32, file: (u64, u64)) -> Option<bool> {
    let open =
        fs::read_dir(format!("/proc/{pid}/fd")).ok()?.flatten().filter_map(|file| fs::metadata(file.path()).ok());
    Some(open.map(|found| (found.dev(), found.ino())).any(|found| found == file))
}

/// Device and inode of files that other processes have open or mapped. Of processes that cannot be looked into nothing is known.
pub fn open_files() -> HashSet<(u64, u64)> {
    let own = std::process::id() as i32;
    let mut found = HashSet::new();
    for pid in tree::pids().into_iter().filter(|pid| *pid != own) {
        // A mapping keeps a file writable that was closed; it stands there as a link to the file.
        for links in ["fd", "map_files"] {
            let files = fs::read_dir(format!("/proc/{pid}/{links}")).into_iter().flatten().flatten();
            found.extend(files.filter_map(|file| fs::metadata(file.path()).ok()).map(|file| (file.dev(), file.ino())));
        }
    }
    found
}
