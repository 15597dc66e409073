//! A tool that dies: of one file out of many, of each, or because the machine ended it.

use std::fs;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::op::merge::bolt::merge_good;
use optbuild::op::merge::tools::{BATCH, Job, in_batches};
use optbuild::profile::raw::Input;
use optbuild::state::manifest;

use crate::support::dir::Dir;
use crate::support::processes::write_program;

const TOOL: &str = "/usr/lib/llvm-22/bin/llvm-profdata";
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/profraw/32-bit");

/// Profiles that optbuild does not add up itself, in `raw`; one of them is called `killer.profraw`.
fn many(dir: &Dir, good: usize) -> Vec<Input> {
    let bytes = fs::read(format!("{FIXTURES}/1.profraw")).unwrap();
    let mut files: Vec<Input> =
        (0..good).map(|number| (dir.write(&format!("raw/{number:03}.profraw"), &bytes), 1)).collect();
    files.insert(good / 3, (dir.write("raw/killer.profraw", &bytes), 1));
    files
}

/// A tool that does this before it is llvm-profdata, where the list of files names the killer.
fn tool(dir: &Dir, death: &str) -> Utf8PathBuf {
    let path = dir.join("llvm-profdata");
    let script = format!(
        "#!/bin/sh\necho >> {0}/calls\nfor a in \"$@\"; do case $a in --input-files=*) \
         grep -q {1} \"${{a#--input-files=}}\" && {{ {death}; }};; esac; done\nexec {TOOL} \"$@\"\n",
        dir.path(),
        "killer.profraw",
    );
    write_program(&path, &script);
    path
}

fn calls_of_f(profile: &Utf8Path) -> String {
    let output = Command::new(TOOL).args(["show", "--counts", "--function=f", profile.as_str()]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().find_map(|line| line.trim().strip_prefix("Block counts: [")).unwrap().to_owned()
}

#[test]
fn the_file_that_kills_is_found_and_set_aside() {
    // Of itself, and of a program that a shell started.
    for death in ["kill -ILL $$", "exit 132"] {
        let dir = Dir::new();
        let files = many(&dir, 300);
        let (tool, output) = (tool(&dir, death), dir.join("out"));
        let work = dir.path();
        let job = Job::simple(&tool, work, &output);
        let reasons = in_batches(&job, &files, &[], BATCH).unwrap();
        let reason = "llvm-profdata dies of SIGILL when it reads it".to_owned();
        assert_eq!(reasons, [(dir.join("raw/killer.profraw"), reason)]);
        // The others are all there: 101 calls in the run that the fixture is of.
        assert!(calls_of_f(&output).starts_with(&format!("{}, ", 300 * 101)), "{}", calls_of_f(&output));
        // Two for each halving, and one for all before and after.
        let calls = fs::read_to_string(dir.join("calls")).unwrap().lines().count();
        assert!(calls <= 2 * 9 + 2, "{calls}");
    }
}

fn merge(dir: &Dir, tool: &Utf8Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_optbuild"))
        .args(["merge", "-o", "out.profdata", "raw", "--profdata", tool.as_str()])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.code(), said)
}

#[test]
fn a_merge_goes_on_without_it_and_says_so() {
    let dir = Dir::new();
    many(&dir, 300);
    let (code, said) = merge(&dir, &tool(&dir, "kill -SEGV $$"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("left out: raw/killer.profraw: llvm-profdata dies of SIGSEGV when it reads it"), "{said}");
    assert!(said.contains("300 profiles, 1 damaged"), "{said}");
    // One of few is too many.
    let dir = Dir::new();
    many(&dir, 3);
    let (code, said) = merge(&dir, &tool(&dir, "kill -SEGV $$"));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("1 of 4 profiles are damaged") && said.contains("dies of SIGSEGV"), "{said}");
}

#[test]
fn a_lack_of_memory_is_the_machines() {
    for death in ["kill -9 $$", "exit 137", "echo 'LLVM ERROR: out of memory' >&2; kill -ABRT $$"] {
        let dir = Dir::new();
        many(&dir, 3);
        let (code, said) = merge(&dir, &tool(&dir, death));
        assert_eq!(code, Some(3), "{death}: {said}");
        assert!(said.contains("could not merge 4 profiles"), "{said}");
    }
}

#[test]
fn a_tool_that_dies_of_each_is_to_blame_itself() {
    let dir = Dir::new();
    let files = many(&dir, 3);
    let tool = dir.join("llvm-profdata");
    write_program(&tool, "#!/bin/sh\nkill -ILL $$\n");
    let (code, said) = merge(&dir, &tool);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("dies of SIGILL with each of 4 profiles"), "{said}");
    let output = dir.join("out");
    let job = Job::simple(&tool, dir.path(), &output);
    // Alone, it is the file's: that is all there is to go by.
    assert_eq!(in_batches(&job, &files[..1], &[], BATCH).unwrap().len(), 1);
}

#[test]
fn merge_fdata_dies_of_one_file() {
    let dir = Dir::new();
    let mut files: Vec<Utf8PathBuf> =
        (0..8).map(|number| dir.write(&format!("{number}.fdata"), "1 f 0 1 g 0 0 1\n")).collect();
    files.push(dir.write("killer.fdata", "1 f 0 1 g 0 0 1\n"));
    let tool = dir.join("merge-fdata");
    let write = |death: &str| {
        let script =
            format!("#!/bin/sh\ngrep -q killer files && {death}\nexec /usr/lib/llvm-22/bin/merge-fdata \"$@\"\n");
        write_program(&tool, &script);
    };
    let output = dir.join("out");
    let job = Job::simple(&tool, dir.path(), &output);
    write("kill -SEGV $$");
    let bad = merge_good(&job, &files, &[]).unwrap();
    assert_eq!(bad, [(files[8].clone(), "merge-fdata dies of SIGSEGV when it reads it".to_owned())]);
    assert_eq!(fs::read_to_string(&output).unwrap(), "1 f 0 1 g 0 0 8\n");
    write("kill -9 $$");
    assert!(manifest::is_to_blame(&merge_good(&job, &files, &[]).unwrap_err()));
}
