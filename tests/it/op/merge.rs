//! How raw profiles are merged: in several calls of llvm-profdata, without it, and what is said when there are none.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::op::merge::own::{AGAIN, Known, OwnWriter, Trust, fits, identity};
use optbuild::op::merge::tools::{BATCH, Job, batches, in_batches, version_complaint};
use optbuild::profile::indexed::Profile;
use optbuild::profile::raw::Input;

use crate::support::dir::{Dir, op};
use crate::support::processes::write_program;

const TOOL: &str = "/usr/lib/llvm-22/bin/llvm-profdata";

#[test]
fn nothing_written_says_where_and_why() {
    let dir = Dir::new();
    let (raw, output) = (dir.join("raw"), dir.join("profile.profdata"));
    let args = ["merge", "--format", "profdata", "--tool", "llvm-profdata", "--input", raw.as_str(), "--output"];
    let error = op(&[&args[..], &[output.as_str()]].concat()).unwrap_err().to_string();
    assert!(error.contains("wrote no raw profile"), "{error}");
    assert!(error.contains(raw.as_str()), "{error}");
    assert!(error.contains("LLVM_PROFILE_FILE"), "{error}");
    assert!(!output.exists());
}

#[test]
fn many_files_are_merged_in_several_calls() {
    let dir = Dir::new();
    let (work, tool) = (dir.path(), Utf8Path::new(TOOL));
    let fixtures = Utf8PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profraw/32-bit"));
    let mut files: Vec<Input> = [1, 2, 3].map(|name| (fixtures.join(format!("{name}.profraw")), name)).to_vec();
    let merged = |files: &[Input], limit| {
        let output = work.join("out");
        let job = Job::simple(tool, work, &output);
        let reasons = in_batches(&job, files, &[], limit).unwrap();
        (fs::read(&output).unwrap(), reasons)
    };
    let (at_once, _) = merged(&files, BATCH);
    assert!(merged(&files, (2, u64::MAX)).0 == at_once);
    // Each is 272 bytes long.
    assert_eq!(batches(&files, (9, 600)).unwrap().iter().map(|batch| batch.len()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(batches(&files, (9, 100)).unwrap().len(), 3);
    assert!(merged(&files, (9, 100)).0 == at_once);
    // A batch in which none is good is no reason to give up the others.
    let bad = work.join("bad.profraw");
    fs::write(&bad, &fs::read(&files[0].0).unwrap()[..100]).unwrap();
    files.push((bad.clone(), 1));
    let (without, reasons) = merged(&files, (3, u64::MAX));
    assert!(without == at_once);
    assert_eq!(reasons.iter().map(|(path, _)| path).collect::<Vec<_>>(), [&bad]);
}

#[test]
fn both_forms_of_the_version_complaint() {
    // LLVM 22, and LLVM 13 and older.
    let new = "warning: a.profraw: raw profile version mismatch: Profile uses raw profile format version = 9; expected \
               version = 10\nPLEASE update this tool";
    assert_eq!(version_complaint(new, 9).as_deref(), Some("reads version 10 (LLVM 19 to 22)"));
    let old = "warning: a.profraw: unsupported instrumentation profile format version\nerror: no profile can be merged";
    assert_eq!(version_complaint(old, 9).as_deref(), Some("does not read version 9"));
    assert_eq!(version_complaint("warning: a: file header is corrupt", 9), None);
}

#[test]
fn profiles_of_many_binaries_are_not_read_at_once() {
    let dir = Dir::new();
    let files = |sizes: &[u64]| -> Vec<Input> {
        let sized = sizes.iter().enumerate().map(|(number, size)| {
            let path = dir.join(&number.to_string());
            fs::File::create(&path).unwrap().set_len(*size).unwrap();
            (path, 1)
        });
        sized.collect()
    };
    assert!(fits(&files(&[1 << 30])).unwrap(), "one of any size");
    assert!(fits(&files(&[30 << 20, 5 << 20, 3 << 20])).unwrap());
    assert!(!fits(&files(&[30 << 20, 5 << 20, 4 << 20])).unwrap());
    assert!(!fits(&files(&[2 << 20; 150])).unwrap());
}

#[test]
fn what_was_seen_is_known_of_the_very_same_tool_only() {
    let dir = Dir::new();
    let tool = dir.join("llvm-profdata-99");
    let write = |content: &str| write_program(&tool, content);
    let trust = |shape: &str| Trust::kept_in(dir.path(), &identity(dir.path(), &tool).unwrap(), shape);
    let same = Known::Same { version: 13, merges: 3 };
    write("\x7fELF 1");
    assert_eq!(trust("a").known, Known::Nothing);
    trust("a").keep(same);
    trust("b").keep(Known::Different);
    assert_eq!([trust("a").known, trust("b").known, trust("c").known], [same, Known::Different, Known::Nothing]);
    // Another content, in the same place and of the same size.
    write("\x7fELF 2");
    assert_eq!(trust("a").known, Known::Nothing);
    // The old one again, whatever its times are.
    write("\x7fELF 1");
    assert_eq!(trust("a").known, same);
    write("#!/bin/sh");
    assert_eq!(identity(dir.path(), &tool), None);
    // A damaged note is none.
    write("\x7fELF 1");
    fs::write(trust("a").file, "same 13\n").unwrap();
    assert_eq!(trust("a").known, Known::Nothing);
}

/// One of the files in which something is kept.
fn trust_file(cache: &Utf8Path) -> Utf8PathBuf {
    optbuild::profile::find(&cache.join("llvm-profdata"), |_| true).unwrap().remove(0).path
}

/// A writer that errs is found out before its profile is used, for one wrong bit of a count; then the tool is asked.
#[test]
fn a_wrong_profile_is_not_used() {
    let dir = Dir::new();
    let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profraw/version-9");
    let left = [(Utf8Path::new(fixtures).join("1.profraw"), 1)];
    let output = dir.join("out");
    let known = || fs::read_to_string(trust_file(dir.path())).unwrap().lines().next().unwrap().to_owned();
    let own = || OwnWriter::kept_in(Some(dir.path()), TOOL.into(), &left).unwrap();
    let trust = own().0.unwrap().trust;
    assert_eq!(trust.known, Known::Nothing);
    assert!(!own().write(&output).unwrap(), "it is not known yet");
    trust.keep(Known::Same { version: 11, merges: 0 });
    assert!(own().write(&output).unwrap());
    assert_eq!(known(), "same 11 1");
    let good = fs::read(&output).unwrap();
    let flip = |at: usize| {
        move |profile: &Profile, version: u32| {
            let mut bytes = profile.write(version)?;
            bytes[at] ^= 1;
            Some(bytes)
        }
    };
    for at in (0..good.len()).step_by(good.len() / 3) {
        assert!(!own().write_with(&output, flip(at)).unwrap(), "byte {at} of {}", good.len());
    }
    assert!(!own().write_with(&output, |profile, _| profile.write(12)).unwrap(), "another version");
    assert_eq!(known(), "same 11 1");

    // It is compared again after so many merges, and not before.
    for merges in 1..AGAIN {
        assert!(own().write(&output).unwrap(), "{merges}");
    }
    assert!(!own().write(&output).unwrap());
    // What the tool writes is the same, is not, is the same.
    fs::write(&output, &good).unwrap();
    own().compare(&output).unwrap();
    assert_eq!(known(), "same 11 0");
    let mut other = good.clone();
    other[200] ^= 1;
    fs::write(&output, &other).unwrap();
    own().compare(&output).unwrap();
    assert_eq!(known(), "different");
    assert!(own().0.is_none());
}
