//! Merging and checking profiles that real programs write.

use crate::support::dir::{Dir, LIBRARY, LLVM, PROGRAM, error, fact, op};

/// A program built with instrumentation, run three times.
fn gathered(flags: &str) -> Dir {
    let dir = Dir::new();
    dir.write("lib.c", LIBRARY);
    dir.write("main.c", PROGRAM);
    dir.sh(&format!("clang -O2 {flags} lib.c main.c -o prog"));
    for level in ["1", "30", "500"] {
        dir.sh(&format!("LLVM_PROFILE_FILE=$PWD/raw/%m_%p.profraw ./prog {level}"));
    }
    dir
}

fn profdata() -> String {
    format!("{LLVM}/llvm-profdata")
}

fn merge(dir: &Dir, more: &[&str]) -> Vec<String> {
    let raw = dir.join("raw");
    let tool = profdata();
    let args = ["merge", "--format", "profdata", "--tool", &tool, "--input", raw.as_str()];
    args.iter().chain(more).map(ToString::to_string).collect()
}

fn strs(args: &[String]) -> Vec<&str> {
    args.iter().map(String::as_str).collect()
}

#[test]
fn profiles_of_several_processes_become_one() {
    let dir = gathered("-fprofile-generate");
    dir.write("raw/of-a-killed-process.profraw", "");
    let output = dir.join("profile.profdata");
    let facts = op(&strs(&merge(&dir, &["--output", output.as_str(), "--consume"]))).unwrap();
    assert_eq!(fact(&facts, "raw-profiles"), Some(4.0));
    assert_eq!(fact(&facts, "empty-profiles"), Some(1.0));
    assert_eq!(fact(&facts, "functions"), Some(3.0));
    // The multiples of 7 below 1, 30 and 500 are 1 + 5 + 72: so often `helper` is called.
    let shown = dir.sh("llvm-profdata show profile.profdata");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Maximum function count: 78\n"), "{shown:?}");
    assert_eq!(dir.join("raw").read_dir_utf8().unwrap().count(), 0, "consumed");

    let profile = output.as_str();
    let check = ["check-profile", "--profile", profile, "--compiler", "clang 22", "--max-version", "13", "--tool"];
    let facts = op(&[&check[..], &[&profdata()]].concat()).unwrap();
    assert_eq!(fact(&facts, "functions-in-profile"), Some(3.0));
    // What LLVM 19 reads.
    let message = error(&["check-profile", "--profile", profile, "--compiler", "clang 19", "--max-version", "12"]);
    assert!(
        message.contains("version 13, which LLVM 22 and newer reads")
            && message.contains("clang 19 reads versions up to 12"),
        "{message}"
    );
}

#[test]
fn the_name_holds_the_hash_of_the_content() {
    let dir = gathered("-fprofile-generate");
    let out = dir.join("out");
    op(&strs(&merge(&dir, &["--output-dir", out.as_str(), "--name", "merged"]))).unwrap();
    let file = optbuild::fs::pattern::resolve(&out.join("merged-*.profdata")).unwrap();
    let hash = blake3::hash(&std::fs::read(&file).unwrap()).to_hex();
    assert_eq!(file.file_name().unwrap(), format!("merged-{}.profdata", &hash[..20]));
    assert_eq!(out.read_dir_utf8().unwrap().count(), 1, "nothing is left beside it");

    dir.sh("LLVM_PROFILE_FILE=$PWD/raw/%m_%p.profraw ./prog 7");
    op(&strs(&merge(&dir, &["--output-dir", out.as_str(), "--name", "merged"]))).unwrap();
    assert!(optbuild::fs::pattern::resolve(&out.join("merged-*.profdata")).is_err(), "another content, another name");
}

#[test]
fn a_damaged_profile_does_not_spoil_the_others() {
    let dir = gathered("-fprofile-generate");
    dir.sh("head -c 100 $(ls -d raw/* | head -n 1) > raw/truncated.profraw");
    let output = dir.join("profile.profdata");
    let message = error(&strs(&merge(&dir, &["--output", output.as_str()])));
    assert!(
        message.contains("1 of 4 profiles are damaged, with 25 % of all bytes; no more than 1% may be"),
        "{message}"
    );
    assert!(message.contains("truncated.profraw: it ends within its header"), "{message}");
    assert!(!output.exists());

    let facts = op(&strs(&merge(&dir, &["--output", output.as_str(), "--max-damaged", "25%", "--consume"]))).unwrap();
    assert_eq!(fact(&facts, "damaged-profiles"), Some(1.0));
    let reason = std::fs::read_to_string(dir.join("quarantine/truncated.profraw.reason")).unwrap();
    assert!(reason.contains("it ends within its header"), "{reason}");
    assert!(dir.join("quarantine/truncated.profraw").exists());
    assert_eq!(dir.join("raw").read_dir_utf8().unwrap().count(), 0, "nothing else is left");
    assert_eq!(fact(&facts, "functions"), Some(3.0));
}

#[test]
fn a_version_that_the_tool_does_not_read_names_both() {
    let dir = gathered("-fprofile-generate");
    // Raw version 9, that of LLVM 18: the lowest byte of the second word.
    dir.sh("for f in raw/*; do printf '\\011' | dd of=$f bs=1 seek=8 conv=notrunc 2> /dev/null; done");
    let output = dir.join("profile.profdata");
    let message = error(&strs(&merge(&dir, &["--output", output.as_str()])));
    assert!(
        message.contains("version 9 (LLVM 18)") && message.contains("reads version 10 (LLVM 19 to 22)"),
        "{message}"
    );
    assert!(message.contains("profdata"), "{message}");
    assert!(!output.exists());
}

#[test]
fn context_sensitive_profiles_need_the_first_level() {
    let first = gathered("-fprofile-generate");
    let profile = first.join("first.profdata");
    op(&strs(&merge(&first, &["--output", profile.as_str()]))).unwrap();
    let second = gathered(&format!("-fprofile-use={profile} -fcs-profile-generate"));

    let alone = second.join("alone.profdata");
    op(&strs(&merge(&second, &["--output", alone.as_str()]))).unwrap();
    let check = |profile: &str| {
        let tool = profdata();
        op(&["check-profile", "--profile", profile, "--compiler", "clang 22", "--tool", &tool])
    };
    let message = check(alone.as_str()).unwrap_err().to_string();
    assert!(message.contains("context-sensitive counts only"), "{message}");

    let both = second.join("both.profdata");
    op(&strs(&merge(&second, &["--with", profile.as_str(), "--output", both.as_str()]))).unwrap();
    assert_eq!(fact(&check(both.as_str()).unwrap(), "functions-in-profile"), Some(3.0));
    let shown = second.sh("llvm-profdata show --showcs both.profdata");
    assert!(String::from_utf8_lossy(&shown.stdout).contains("Total functions: 3"));
}

#[test]
fn what_is_not_instrumented_is_found_before_it_runs() {
    let dir = gathered("-fprofile-generate");
    dir.sh("clang -O2 lib.c main.c -o plain; mkdir build; cp plain build/; cp main.c build/");
    let check = |path: &str| op(&["check-instrumented", "--format", "profdata", dir.join(path).as_str()]);
    assert!(check("prog").is_ok());
    assert!(check("plain").unwrap_err().to_string().contains("pgo = \"generate\""));
    assert!(check("build").is_err());
    assert!(check("missing").unwrap_err().to_string().contains("there is no"));
    dir.sh("mkdir build/bin; cp prog build/bin/");
    check("build").unwrap();
}

#[test]
fn neither_a_raw_profile_nor_another_file_is_a_merged_one() {
    let dir = gathered("-fprofile-generate");
    let raw = dir.join("raw").read_dir_utf8().unwrap().next().unwrap().unwrap().into_path();
    let message = error(&["check-profile", "--profile", raw.as_str(), "--compiler", "clang 22"]);
    assert!(message.contains("raw profile of one process"), "{message}");
    let message = error(&["check-profile", "--profile", dir.join("main.c").as_str(), "--compiler", "clang 22"]);
    assert!(message.contains("not a merged profile"), "{message}");
}
