//! A function that is left out of a profile for an impossible count is named.

use std::process::Command;

use optbuild::profile::names::name_hash;

use crate::support::dir::{Dir, LLVM};
use crate::support::kill::gather::{counts, fact, gather};
use crate::support::profile::{VALUES, files, run};

/// Of a raw profile in version 10: where the counters of a function stand.
fn counters_of(bytes: &[u8], function: &str) -> usize {
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
    assert_eq!(word(8) as u32, 10);
    let (ids, records) = (word(16) as usize, word(24) as usize);
    let at = |record: usize| 128 + ids + record * 64;
    let record = (0..records).find(|record| word(at(*record)) == name_hash(function.as_bytes())).unwrap();
    // The record says how far its counters are from it, and the header how far the first ones are from the first record.
    let (own, first) = (word(at(record) + 16), word(10 * 8));
    at(records) + word(32) as usize + own.wrapping_add(record as u64 * 64).wrapping_sub(first) as usize
}

#[test]
fn by_a_merge() {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, "$CC -O2 -fprofile-generate prog.c -o prog", 3);
    let path = files(&dir.join("raw"))[1].clone();
    let mut bytes = std::fs::read(&path).unwrap();
    let counters = counters_of(&bytes, "prog.c;copy");
    bytes[counters + 7] = 2;
    let count = u64::from_le_bytes(bytes[counters..counters + 8].try_into().unwrap());
    std::fs::write(&path, bytes).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_optbuild"))
        .args(["merge", "-o", "out.profdata", "--profdata", &format!("{LLVM}/llvm-profdata"), "raw"])
        .current_dir(dir.path())
        .env("XDG_CACHE_HOME", dir.join("cache"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let expected = format!("1 of 24 functions left out because of impossible counts: `prog.c: copy` ({count})");
    assert!(output.status.success() && said.contains(&expected), "{expected}: {said}");
}

/// In the summary of a run, and in its record.
#[test]
fn by_a_gather_stage() {
    // The last byte of the first counter: then it is above 2^56, as no count is.
    let script = "did a\n${program.loop} 4\nLLVM_PROFILE_FILE=whole ${program.loop} 1\n\
                  word() { od -An -tu8 -j $1 -N 8 whole | tr -d ' '; }\n\
                  at=$((128 + $(word 16) + 64 * $(word 24) + $(word 32)))\n\
                  printf '\\002' | dd of=whole bs=1 seek=$((at + 7)) conv=notrunc 2> /dev/null\n\
                  cp whole \"$(dirname \"$LLVM_PROFILE_FILE\")/high.profraw\"\n";
    let project = gather("", &[("a", "", script)]);
    let ended = project.succeed(&["run"]);
    let (_, named) = ended
        .output
        .split_once("left out of 1 profile because of impossible counts: `")
        .unwrap_or_else(|| panic!("{}", ended.output));
    let function = named.split('`').next().unwrap();
    // `loop N` calls `step` N times, and that `twice` two times: of the one that is named the second process is missing.
    let profile = project.output("gather", "profile");
    let expected = |name: &str, each: u64| if name == function { 4 * each } else { 5 * each };
    assert_eq!(counts(&profile, "step"), [expected("step", 1)]);
    assert_eq!(counts(&profile, "twice"), [expected("twice", 2)]);
    assert!(["step", "twice", "main"].contains(&function), "{function}");
    assert!(fact(&project, "a-stream-merge", &format!("left-out/{function}")).unwrap() > 7e16);
}
