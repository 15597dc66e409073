//! Power cuts: an ext4 file system forgets what was not synced, at the points where a run waits and at any other. What is there
//! afterwards is what was there at some moment before, and the next run comes to the same end.
//!
//! ext4 has a call for this (`EXT4_IOC_SHUTDOWN`): nothing more reaches the disk, not even the journal.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::process::Command;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::support::kill::crash::{correct, pipeline};
use crate::support::kill::{Project, Run};
use crate::support::needs;

/// An ext4 file system in a file.
struct Disk {
    image: Utf8PathBuf,
    dir: Utf8PathBuf,
}

impl Disk {
    fn mount(project: &Project) -> Option<Disk> {
        let disk = Disk { image: project.dir.join("image"), dir: project.state() };
        fs::create_dir_all(&disk.dir).unwrap();
        File::create(&disk.image).unwrap().set_len(32 << 20).unwrap();
        let made = Command::new("mkfs.ext4").args(["-q", "-F", disk.image.as_str()]).status();
        let made = made.is_ok_and(|status| status.success());
        let mut mount = if made { disk.mounting() } else { Command::new("false") };
        if !needs::ext4(&mut mount) {
            std::mem::forget(disk);
            return None;
        }
        fs::remove_dir(disk.dir.join("lost+found")).unwrap();
        rustix::fs::sync();
        Some(disk)
    }

    fn mounting(&self) -> Command {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop", self.image.as_str(), self.dir.as_str()]);
        mount
    }

    fn cut_power(&self) {
        // `EXT4_IOC_SHUTDOWN`, which is `_IOR('X', 125, __u32)`, with `EXT4_GOING_FLAGS_NOLOGFLUSH`.
        let (shutdown, at_once) = (0x8004_587d, 2_u32);
        let root = File::open(&self.dir).unwrap();
        // SAFETY: the call reads one number, which lives as long as the call.
        let done = unsafe { libc::ioctl(root.as_raw_fd(), shutdown, &raw const at_once) };
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
    }

    /// The machine is started again.
    fn again(&self) {
        unmount(&self.dir);
        assert!(self.mounting().status().unwrap().success());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.dir.as_str()]).status();
    }
}

fn unmount(dir: &Utf8Path) {
    let unmounted = || Command::new("umount").arg(dir).output().unwrap().status.success();
    assert!(crate::support::processes::eventually(unmounted), "{dir} is in use");
}

fn project() -> Option<(Disk, Project)> {
    let project = Project::new(&pipeline());
    let disk = Disk::mount(&project)?;
    Some((disk, project))
}

/// The power is cut while it runs; the processes go with the machine.
fn cut(disk: &Disk, project: &Project, run: Run) {
    disk.cut_power();
    run.signal_group(rustix::process::Signal::KILL);
    let _ = run.ended();
    project.nothing_left();
    disk.again();
}

#[test]
fn where_a_run_waits() {
    let Some((disk, project)) = project() else { return };
    for point in ["first", "second", "last"] {
        project.hold(point);
        let run = project.start(&["run"]);
        project.reached(point);
        cut(&disk, &project, run);
        project.release(point);
    }
    project.work();
    project.succeed(&["run"]);
    // What was finished before the cut is not done again.
    assert_eq!(project.work(), ["last"]);
    correct(&project);
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
}

/// What a run has said to be done is done.
#[test]
fn when_a_run_has_ended() {
    let Some((disk, project)) = project() else { return };
    project.succeed(&["run"]);
    project.work();
    disk.cut_power();
    disk.again();
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
    correct(&project);
}

#[test]
fn at_any_moment() {
    let Some((disk, project)) = project() else { return };
    for round in 0..12_u64 {
        let run = project.start(if round % 3 == 2 { &["run", "--from", "second"] } else { &["run"] });
        // From the first moments of a run up to its last ones.
        std::thread::sleep(Duration::from_millis(round * 37 % 400));
        cut(&disk, &project, run);
        if round % 4 == 3 {
            project.succeed(&["run"]);
            correct(&project);
            project.succeed(&["gc"]);
        }
    }
    project.succeed(&["run"]);
    correct(&project);
    project.work();
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
}
