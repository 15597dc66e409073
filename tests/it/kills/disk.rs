//! A full disk, a read-only one, and a limit of file sizes: a clear error, exit code 3, and nothing lost.
//!
//! Where file systems cannot be mounted, only the limit is tested.

use std::fs;
use std::process::Command;

use crate::support::kill::{Ended, Project, pipelines, program_of_everybody};
use crate::support::needs;
use camino::{Utf8Path, Utf8PathBuf};

/// A file system in memory, at a directory.
struct Disk {
    dir: Utf8PathBuf,
}

impl Disk {
    fn mount(dir: &Utf8Path, options: &str) -> Option<Disk> {
        fs::create_dir_all(dir).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "optbuild-test", dir.as_str()]);
        needs::mounted(&mut mount).then(|| Disk { dir: dir.to_owned() })
    }

    fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        let mount = Command::new("mount").args(["-o", &options, self.dir.as_str()]).status().unwrap();
        assert!(mount.success());
    }

    /// Takes all space but so many kilobytes.
    fn fill(&self, leave: u64) {
        let file = self.dir.join("ballast");
        let _ = fs::remove_file(&file);
        let system = rustix::fs::statvfs(self.dir.as_std_path()).unwrap();
        let free = system.f_bavail * system.f_frsize;
        let ballast = vec![1; usize::try_from(free.saturating_sub(leave * 1024)).unwrap()];
        fs::write(file, ballast).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.dir.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l", self.dir.as_str()]).status();
    }
}

/// `big` writes so many kilobytes.
fn pipeline(kilobytes: u32) -> String {
    let stages = [
        pipelines::stage("first", "outputs = { text = \"text\" }", "did first\necho first > ${self.out}/text\n"),
        pipelines::stage(
            "big",
            "outputs = { file = \"${self.build}/file\" }",
            &format!("did big\ncat ${{first.text}} > file\nhead -c {kilobytes}K /dev/zero >> file\n"),
        ),
        pipelines::stage("last", "outputs = { sum = \"sum\" }", "did last\ncksum < ${big.file} > ${self.out}/sum\n"),
    ];
    format!("name = \"disk\"\n\n[outputs]\nsum = \"${{last.sum}}\"\n\n{}", stages.concat())
}

/// The state directory is on a disk of its own.
fn project(kilobytes: u32, options: &str) -> Option<(Disk, Project)> {
    let project = Project::new(&pipeline(kilobytes));
    let disk = Disk::mount(&project.state(), options)?;
    Some((disk, project))
}

fn is_the_machines_fault(ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code(), Some(3), "{}", ended.output);
    assert!(words.iter().any(|word| ended.output.contains(word)), "none of {words:?} in {}", ended.output);
    assert!(!ended.output.contains("panicked"), "{}", ended.output);
}

const FULL: [&str; 3] = ["No space left on device", "the disk is full", "cannot write"];

#[test]
fn a_disk_that_is_full_before_anything_begins() {
    let Some((disk, project)) = project(1, "size=2m") else { return };
    project.succeed(&["run"]);
    project.work();
    disk.fill(0);
    // Nothing has to be done, but the journal of the run cannot be written.
    is_the_machines_fault(&project.finish(&["run", "--from", "last"]), &FULL);
    assert_eq!(project.work(), [""; 0]);
    disk.empty();
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
}

/// A command fills the disk. What was finished before stays finished, and the stage continues when there is space.
#[test]
fn a_stage_that_fills_the_disk() {
    let Some((disk, project)) = project(8192, "size=4m") else { return };
    let ended = project.finish(&["run"]);
    is_the_machines_fault(&ended, &["the disk is full"]);
    assert!(ended.output.contains("big"), "{}", ended.output);
    assert_eq!(project.work(), ["first", "big"]);
    disk.remount("size=32m");
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["big", "last"]);
    assert_eq!(project.leftovers(), [""; 0]);
}

/// An operation of optbuild fills the disk: the copy of an output out of the build directory.
#[test]
fn a_capture_that_fills_the_disk() {
    let Some((disk, project)) = project(3000, "size=4m") else { return };
    let ended = project.finish(&["run"]);
    is_the_machines_fault(&ended, &FULL);
    assert_eq!(project.work(), ["first", "big"]);
    disk.remount("size=32m");
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["big", "last"]);
}

/// The space ends at any point of a run, kilobyte by kilobyte. In the end all is as it would have been.
#[test]
fn the_space_ends_anywhere() {
    let Some((disk, project)) = project(20, "size=4m") else { return };
    for (round, leave) in [4, 8, 12, 16, 20, 28, 36, 44, 52, 60, 72, 84, 100, 120].into_iter().enumerate() {
        disk.fill(leave);
        let ended = project.finish(if round % 2 == 0 { &["run"] } else { &["run", "--from", "big"] });
        assert!(matches!(ended.code(), Some(0 | 3)), "{leave} KiB: {:?} {}", ended.status, ended.output);
        assert!(!ended.output.contains("panicked"), "{}", ended.output);
        disk.empty();
        project.work();
        project.succeed(&["run"]);
        let work = project.work();
        assert!(round == 0 || !work.contains(&"first".to_owned()), "{leave} KiB: {work:?}");
        assert_eq!(project.outputs()["disk/sum"], b"4030709539 20486\n");
        project.succeed(&["run"]);
        assert_eq!(project.work(), [""; 0]);
    }
    assert_eq!(project.leftovers(), [""; 0]);
}

/// The same with the number of files.
#[test]
fn the_number_of_files_ends_anywhere() {
    let Some((disk, project)) = project(20, "size=4m,nr_inodes=10000") else { return };
    project.succeed(&["run"]);
    project.work();
    for more in (0..60).step_by(7) {
        let system = rustix::fs::statvfs(project.state().as_std_path()).unwrap();
        disk.remount(&format!("nr_inodes={}", system.f_files - system.f_favail + more));
        let ended = project.finish(&["run", "--from", "big"]);
        assert!(matches!(ended.code(), Some(0 | 3)), "{more}: {:?} {}", ended.status, ended.output);
        disk.remount("nr_inodes=10000");
        project.work();
        project.succeed(&["run"]);
        assert!(!project.work().contains(&"first".to_owned()));
        assert_eq!(project.outputs()["disk/sum"], b"4030709539 20486\n");
    }
    assert_eq!(project.leftovers(), [""; 0]);
}

#[test]
fn a_read_only_state_directory() {
    let Some((disk, project)) = project(20, "size=4m") else { return };
    disk.remount("ro");
    is_the_machines_fault(&project.finish(&["run"]), &["Read-only file system"]);
    disk.remount("rw");
    project.succeed(&["run"]);
    disk.remount("ro");
    for args in [&["run"][..], &["run", "--from", "big"], &["clean"], &["gc"]] {
        is_the_machines_fault(&project.finish(args), &["Read-only file system"]);
    }
    // What only looks works.
    for args in [&["status"][..], &["artifacts"], &["logs", "big"], &["explain", "big"], &["plan", "pipeline.toml"]] {
        let ended = project.finish(args);
        assert_eq!(ended.code(), Some(0), "{args:?}: {}", ended.output);
    }
    disk.remount("rw");
    project.work();
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
}

/// The place where the outputs are put cannot be written: what was built is recorded all the same.
#[test]
fn a_read_only_output_directory() {
    let project = Project::new(&pipeline(20));
    let Some(disk) = Disk::mount(&project.dir.join("out"), "size=1m,ro") else { return };
    let ended = project.finish(&["run"]);
    is_the_machines_fault(&ended, &["Read-only file system"]);
    assert!(ended.output.contains("out/disk"), "{}", ended.output);
    disk.remount("rw");
    project.work();
    project.succeed(&["run"]);
    assert_eq!(project.work(), [""; 0]);
    assert_eq!(project.outputs()["disk/sum"], b"4030709539 20486\n");
}

/// A permission that is missing, as everybody but root has it.
#[test]
fn a_directory_that_may_not_be_written() {
    use std::os::unix::fs::{PermissionsExt, chown};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;
    let project = Project::new(&pipeline(20));
    let root = rustix::process::geteuid().is_root();
    let (_aside, program) = program_of_everybody();
    if root {
        for path in [project.dir.clone(), project.dir.join("pipeline.toml")] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let run = |args: &[&str]| {
        let mut command = project.command_of(&program, args);
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        crate::support::kill::Run::start(command).ended()
    };
    let pipelines_dir = |mode| fs::set_permissions(&project.dir, fs::Permissions::from_mode(mode)).unwrap();
    pipelines_dir(0o555);
    is_the_machines_fault(&run(&["run"]), &["Permission denied"]);
    pipelines_dir(0o755);
    assert_eq!(run(&["run"]).code(), Some(0));
    project.work();
    let set = |dir: &str, mode| {
        fs::set_permissions(project.state().join(dir), fs::Permissions::from_mode(mode)).unwrap();
    };
    for dir in ["runs", "records", "stages/big", "outputs/last"] {
        set(dir, 0o555);
        is_the_machines_fault(&run(&["run", "--from", "big"]), &["Permission denied"]);
        set(dir, 0o755);
        assert_eq!(run(&["run"]).code(), Some(0));
        assert!(!project.work().contains(&"first".to_owned()));
    }
    assert_eq!(project.leftovers(), [""; 0]);
}

/// `ulimit -f`: the signal that comes with it does not end optbuild.
#[test]
fn a_limit_of_file_sizes() {
    let project = Project::new(&pipeline(200));
    let limited = |blocks: u32, args: &[&str]| {
        let mut command = Command::new("sh");
        let script = format!("ulimit -f {blocks}; exec \"$@\"");
        command
            .args(["-c", &script, "sh"])
            .arg(crate::support::OPTBUILD)
            .arg(args[0])
            .arg("pipeline.toml")
            .args(&args[1..]);
        command.current_dir(&project.dir).env("LC_DIR", &project.dir);
        crate::support::kill::Run::start(command).ended()
    };
    // Blocks of 512 bytes: the journal does not fit.
    let ended = limited(1, &["run"]);
    is_the_machines_fault(&ended, &["File too large"]);
    project.work();
    // The command's file does not fit, which is its own failure.
    let ended = limited(100, &["run"]);
    assert_eq!(ended.code(), Some(1), "{}", ended.output);
    assert_eq!(project.work(), ["first", "big"]);
    project.succeed(&["resume"]);
    assert_eq!(project.work(), ["big", "last"]);
}

/// A line that the disk had no space for costs itself, and not the next one.
#[test]
fn a_journal_goes_on_behind_a_line_that_did_not_fit() {
    use optbuild::event::{Event, Stamped};
    let project = Project::new("");
    let Some(disk) = Disk::mount(&project.state(), "size=1m") else { return };
    let layout = optbuild::state::layout::Layout::new(project.state());
    let time = jiff::Timestamp::UNIX_EPOCH;
    let (run, mut journal) = optbuild::state::journal::Journal::create(&layout, time).unwrap();
    let note = |text: &str| Stamped { time, event: Event::Note { stage: "a".into(), text: text.into() } };
    journal.append(&note("one")).unwrap();
    disk.fill(0);
    let error = journal.append(&note(&"x".repeat(10_000))).unwrap_err();
    assert!(error.to_string().contains("journal.jsonl") && error.to_string().contains("No space"), "{error}");
    disk.empty();
    journal.append(&note("two")).unwrap();
    journal.append(&note("three")).unwrap();
    let (events, warning) = optbuild::state::journal::read(&layout.journal(&run)).unwrap();
    let texts: Vec<String> = events
        .into_iter()
        .filter_map(|stamped| match stamped.event {
            Event::Note { text, .. } => Some(text),
            _ => None,
        })
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert!(warning.unwrap().ends_with("cannot read: 2"));
}
