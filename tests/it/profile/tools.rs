//! Which llvm-profdata merges, what is said of versions that it does not read, and when optbuild does without it.

use std::process::{Command, Output};

use crate::support::dir::{Dir, LLVM};
use crate::support::needs;
use crate::support::profile::{VALUES, files, run};
use camino::Utf8PathBuf;
use optbuild::profile::header::Header;

fn merge(dir: &Dir, args: &[&str]) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_optbuild"))
        .args(["merge", "-j", "1", "-o", "out.profdata"])
        .args(args)
        .current_dir(dir.path())
        .env("PATH", format!("{LLVM}:/usr/bin:/bin"))
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, said)
}

fn fixture(name: &str) -> String {
    format!("{}/tests/fixtures/profraw/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn gathered(times: usize) -> Dir {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate prog.c -o prog", times);
    dir
}

fn profdata() -> String {
    format!("{LLVM}/llvm-profdata")
}

/// A profile as a newer LLVM would write it, which no tool here reads.
fn of_a_newer_llvm(dir: &Dir, path: &Utf8PathBuf, name: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[8] = 99;
    dir.write(name, bytes);
}

#[test]
fn an_error_names_both_versions_and_what_to_do() {
    let dir = gathered(2);
    let all = files(&dir.join("raw"));
    dir.sh("mkdir newer");
    for (number, path) in all.iter().enumerate() {
        of_a_newer_llvm(&dir, path, &format!("newer/{number}.profraw"));
    }
    let tool = profdata();
    let (output, said) = merge(&dir, &["--profdata", &tool, "newer"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("raw profiles of version 99 (an LLVM newer than 23)"), "{said}");
    let reads = format!("{tool} is of LLVM 22 and reads version 10");
    assert!(said.contains(&reads) && said.contains("--profdata"), "{said}");
    // Of the version before, which is added up first.
    let (_, said) = merge(&dir, &["--profdata", &tool, &fixture("version-9")]);
    assert!(said.contains("version 9 (LLVM 18)") && said.contains("reads version 10"), "{said}");
    // Nothing on the machine reads it.
    let (output, said) = merge(&dir, &["newer"]);
    assert_eq!(output.status.code(), Some(3));
    assert!(said.contains("no llvm-profdata on this machine reads") && said.contains("version 99"), "{said}");
    assert!(!dir.join("out.profdata").exists());
}

#[test]
fn a_file_of_another_version_is_one_damaged_file() {
    let dir = gathered(30);
    of_a_newer_llvm(&dir, &files(&dir.join("raw"))[0], "raw/newer.profraw");
    let (output, said) = merge(&dir, &["raw"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("1 of 31 profiles: ") && said.contains("version 99"), "{said}");
    let (output, said) = merge(&dir, &["--max-damaged", "5%", "raw"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("30 profiles, 1 damaged; 30 added up"), "{said}");
    // Also where the few are added up to a sum that the tool does not read.
    dir.sh(&format!("rm raw/newer.profraw; cp {}/*.profraw raw", fixture("version-9")));
    let (output, said) = merge(&dir, &["--max-damaged", "20%", "raw"]);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("30 profiles, 3 damaged"), "{said}");
    assert!(said.contains("left out: raw/3.profraw: ") && said.contains("version 9"), "{said}");
    dir.sh("llvm-profdata merge -num-threads=1 raw/*-*.profraw -o theirs.profdata; cmp out.profdata theirs.profdata");
}

#[test]
fn the_tool_that_reads_the_inputs_is_found() {
    // LLVM 14 to 17 read version 8. The newest of them is taken.
    let Some(oldest) = needs::llvm(14) else { return };
    let newer = [17, 16, 15].map(|major| Utf8PathBuf::from(format!("/usr/lib/llvm-{major}/bin")));
    let old = newer.into_iter().find(|bin| bin.join("llvm-profdata").exists()).unwrap_or_else(|| oldest.into());
    let dir = Dir::new();
    let (output, said) = merge(&dir, &[&fixture("version-8")]);
    assert!(output.status.success(), "{said}");
    dir.sh(&format!(
        "{old}/llvm-profdata merge -num-threads=1 {}/*.profraw -o theirs.profdata; cmp out.profdata theirs.profdata",
        fixture("version-8")
    ));
}

/// The first merge compares, the next ones do without the tool, and then one compares again: what is known of it decides.
#[test]
fn what_was_seen_of_the_tool_is_remembered() {
    let dir = gathered(5);
    let tool = profdata();
    let args = ["--profdata", &tool, "raw"];
    let known = || -> Vec<(Utf8PathBuf, String)> {
        let below = optbuild::profile::find(&dir.join("cache/optbuild/llvm-profdata"), |_| true).unwrap();
        below.into_iter().map(|file| (file.path.clone(), std::fs::read_to_string(file.path).unwrap())).collect()
    };
    let out = || std::fs::read(dir.join("out.profdata")).unwrap();
    let said = || {
        let (output, said) = merge(&dir, &args);
        assert!(output.status.success(), "{said}");
        said
    };
    assert!(said().contains("added up before llvm-profdata"));
    let (first, kept) = (out(), known());
    assert!(kept.len() == 1 && kept[0].1.starts_with("same 13 0\n"), "{kept:?}");
    let keep = |first: &str| {
        let (path, text) = &kept[0];
        std::fs::write(path, text.replacen("same 13 0", first, 1)).unwrap();
    };
    assert!(said().contains("without llvm-profdata"));
    assert!(out() == first && known()[0].1.starts_with("same 13 1\n"));
    // As if it had been seen to write another version: only optbuild itself believes that.
    keep("same 12 0");
    assert!(said().contains("without llvm-profdata"));
    assert_eq!(Header::read(&dir.join("out.profdata")).unwrap().unwrap().version, 12);
    // As if it had been seen to write something else.
    keep("different");
    assert!(said().contains("added up before llvm-profdata"));
    assert!(out() == first && known()[0].1.starts_with("different\n"));
    // After 15 merges without it, the tool is asked again.
    keep("same 13 14");
    assert!(said().contains("without llvm-profdata"));
    assert!(said().contains("added up before llvm-profdata"));
    assert_eq!(known(), kept);
    assert!(said().contains("without llvm-profdata"));
    // Other counts, the same shape; another shape is compared first.
    dir.sh("rm raw/1-*; LLVM_PROFILE_FILE=$PWD/raw/again.profraw ./prog 3");
    assert!(said().contains("without llvm-profdata"));
    assert_eq!(known().len(), 1);
    run(&dir, LLVM, "rm -r raw; $CC -O1 -fprofile-instr-generate prog.c -o prog", 3);
    assert!(said().contains("added up before llvm-profdata"));
    assert_eq!(known().len(), 2);
}
