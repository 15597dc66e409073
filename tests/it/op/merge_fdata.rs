//! Merging BOLT's profiles with merge-fdata: damaged ones are left out and named, whatever it says of all of them.

use std::fs;

use anyhow::Result;
use camino::{Utf8Path, Utf8PathBuf};
use optbuild::op::merge::bolt::merge_good;
use optbuild::op::merge::tools::Job;
use optbuild::profile::raw::Reason;
use optbuild::state::manifest;

use crate::support::dir::Dir;
use crate::support::processes::write_program;

const TOOL: &str = "/usr/lib/llvm-22/bin/merge-fdata";

struct Place(Dir);

impl Place {
    fn new() -> Place {
        Place(Dir::new())
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        self.0.join(name)
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> Utf8PathBuf {
        self.0.write(name, text)
    }

    /// A program that does this.
    fn tool(&self, script: &str) -> Utf8PathBuf {
        let path = self.path("tool");
        write_program(&path, &format!("#!/bin/sh\n{script}\n"));
        path
    }

    fn good(&self, tool: &str, files: &[Utf8PathBuf], with: &[Utf8PathBuf]) -> Result<Vec<Reason>> {
        let (work, output) = (self.path(""), self.path("out"));
        merge_good(&Job::simple(Utf8Path::new(tool), &work, &output), files, with)
    }

    fn out(&self) -> String {
        fs::read_to_string(self.path("out")).unwrap()
    }
}

#[test]
fn what_is_malformed_is_left_out_with_its_reason() {
    let place = Place::new();
    let files = [
        place.file("a.fdata", "1 main 0 1 f 0 0 3\n"),
        place.file("garbage,with a comma.fdata", "garbage line\n"),
        place.file("count.fdata", "1 main 0 1 f 0 0 99999999999999999999999\n"),
        place.file("b.fdata", "1 main 0 1 f 0 1 4\n"),
        place.file("cut.fdata", "1 main 0 1 f 0\n"),
        place.file("bytes.fdata", b"1 \xff 0 1 f 0 0 3\n"),
    ];
    let bad = place.good(TOOL, &files, &[]).unwrap();
    // In the words of merge-fdata 22.
    let reasons = [
        (1, "Malformed / corrupted entry type"),
        (2, "Malformed / corrupted execution count"),
        (4, "Malformed / corrupted misprediction count"),
        (5, "it is not text in UTF-8"),
    ];
    assert_eq!(bad, reasons.map(|(number, reason)| (files[number].clone(), reason.to_owned())));
    assert_eq!(place.out(), "1 main 0 1 f 0 1 7\n");
    // All of them bad, and one alone.
    fs::remove_file(place.path("out")).unwrap();
    assert_eq!(place.good(TOOL, &files[1..3], &[]).unwrap().len(), 2);
    assert_eq!(place.good(TOOL, &files[1..2], &[]).unwrap(), bad[..1]);
    assert!(!place.path("out").exists());
}

/// One of 64 is found in at most 2 calls for each halving, and two for all before and after.
#[test]
fn few_calls_find_a_bad_one() {
    let place = Place::new();
    let mut files: Vec<Utf8PathBuf> = (0..64).map(|n| place.file(&format!("{n}.fdata"), "1 f 0 1 g 0 0 1\n")).collect();
    files[41] = place.file("41.fdata", "garbage\n");
    let tool = place.tool(&format!("echo >> \"$(dirname \"$0\")/calls\"; exec {TOOL} \"$@\""));
    let bad = place.good(tool.as_str(), &files, &[]).unwrap();
    assert_eq!(bad.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&files[41]]);
    assert_eq!(place.out(), "1 f 0 1 g 0 0 63\n");
    let calls = fs::read_to_string(place.path("calls")).unwrap().lines().count();
    assert!(calls <= 2 * 6 + 2, "{calls}");
}

/// Each is read alone: none is damaged, and the message names one.
#[test]
fn files_that_do_not_fit_to_each_other_are_named() {
    let place = Place::new();
    let [with, without] =
        [place.file("a.fdata", "1 main 0 1 f 0 0 3\n"), place.file("n.fdata", "no_lbr cycles\n1 main 0 4\n")];
    for (files, rest) in [(vec![with.clone(), without.clone()], vec![]), (vec![without.clone()], vec![with.clone()])] {
        let error = place.good(TOOL, &files, &rest).unwrap_err().to_string();
        assert!(error.contains("cannot mix profile with and without no_lbr"), "{error}");
        assert!(error.contains(with.as_str()) || error.contains(without.as_str()), "{error}");
        assert!(!error.contains("legacy"), "{error}");
    }
}

#[test]
fn errors_of_the_machine_say_nothing_about_files() {
    let place = Place::new();
    let files = [place.file("a.fdata", "1 main 0 1 f 0 0 3\n"), place.file("b.fdata", "1 main 0 1 f 0 0 4\n")];
    for files in [&files[..], &files[..1]] {
        let error = place.good("/nonexistent/merge-fdata", files, &[]).unwrap_err();
        assert!(format!("{error:#}").contains("cannot run /nonexistent/merge-fdata"), "{error:#}");
        // What LLVM 22 says on a full disk; it is not written otherwise.
        let full = "echo 'Using legacy profile format.' >&2\n\
                    echo 'LLVM ERROR: IO failure on output stream: No space left on device' >&2\nexit 1";
        let error = place.good(place.tool(full).as_str(), files, &[]).unwrap_err();
        assert!(error.to_string().contains("No space left"), "{error:#}");
        assert!(files.len() > 1 || manifest::is_to_blame(&error), "{error:#}");
        for script in
            ["kill -9 $$", "exit 127", "echo \"x: '$(sed -n '1s/\"//gp' files)': Permission denied.\" >&2; exit 1"]
        {
            assert!(place.good(place.tool(script).as_str(), files, &[]).is_err(), "{script}");
        }
    }
    // The real tool on a device that is always full.
    let work = place.path("");
    let job = Job::simple(Utf8Path::new(TOOL), &work, Utf8Path::new("/dev/full"));
    let error = merge_good(&job, &files[..1], &[]).unwrap_err();
    assert!(error.to_string().contains("No space left"), "{error:#}");
}
