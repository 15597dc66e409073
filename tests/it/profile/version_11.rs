//! Raw version 11, of LLVM 23. No LLVM 23 was at hand: the profiles are those of clang 22, put into the new form word by word after
//! llvm/llvm-project#190708, and llvm-profdata 22 judges what is made of them when they are put back into the old form.

use std::process::Command;

use camino::Utf8PathBuf;
use optbuild::profile::raw::{Sum, fold};

use crate::support::dir::{Dir, LLVM};
use crate::support::profile::{VALUES, files, run, tool};

fn word(bytes: &[u8], number: usize) -> u64 {
    u64::from_le_bytes(bytes[number * 8..][..8].try_into().unwrap())
}

/// A profile of version 10 as LLVM 23 writes it. Header: three words for the counters of accelerators before the size of the names.
/// Record: the place of such counters behind that of the counters, and 16 bits behind the numbers of values.
fn newer(old: &[u8]) -> Vec<u8> {
    let version = word(old, 1);
    assert_eq!(version as u32, 10);
    let mut words: Vec<u64> = (0..16).map(|number| word(old, number)).collect();
    words[1] = version + 1;
    words.splice(9..9, [0, 0, 0]);
    let mut new: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (ids, records) = (word(old, 2) as usize, word(old, 3) as usize);
    new.extend(&old[128..128 + ids]);
    for (number, record) in old[128 + ids..][..records * 64].chunks_exact(64).enumerate() {
        // Places are distances from the record, which stands eight bytes further on for each one before it.
        let moved = |at: usize| word(record, at).wrapping_sub(8 * number as u64);
        let has_bits = record[60..64] != [0; 4];
        let bits = if has_bits { moved(3) } else { word(record, 3) };
        for field in [word(record, 0), word(record, 1), moved(2), 0, bits, word(record, 4), word(record, 5)] {
            new.extend(field.to_le_bytes());
        }
        new.extend(&record[48..58]);
        new.extend([0; 2]);
        new.extend(&record[60..64]);
    }
    new.extend(&old[128 + ids + records * 64..]);
    new
}

/// The way back.
fn older(new: &[u8]) -> Vec<u8> {
    assert_eq!((word(new, 1) as u32, word(new, 9), word(new, 10), word(new, 11)), (11, 0, 0, 0));
    let mut words: Vec<u64> = (0..19).map(|number| word(new, number)).collect();
    words[1] -= 1;
    words.drain(9..12);
    let mut old: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let (ids, records) = (word(new, 2) as usize, word(new, 3) as usize);
    old.extend(&new[152..152 + ids]);
    for (number, record) in new[152 + ids..][..records * 72].chunks_exact(72).enumerate() {
        let moved = |at: usize| word(record, at).wrapping_add(8 * number as u64);
        let has_bits = record[68..72] != [0; 4];
        let bits = if has_bits { moved(4) } else { word(record, 4) };
        for field in [word(record, 0), word(record, 1), moved(2), bits, word(record, 5), word(record, 6)] {
            old.extend(field.to_le_bytes());
        }
        old.extend(&record[56..66]);
        old.extend([0; 2]);
        old.extend(&record[68..72]);
    }
    old.extend(&new[152 + ids + records * 72..]);
    old
}

/// Profiles of clang 22 in `raw`, and the same in the new form in `new`.
fn both(flags: &str, times: usize) -> (Dir, Vec<Utf8PathBuf>) {
    let dir = Dir::new();
    dir.write("prog.c", VALUES);
    run(&dir, LLVM, &format!("$CC -O2 {flags} prog.c -o prog"), times);
    for path in files(&dir.join("raw")) {
        let old = std::fs::read(&path).unwrap();
        let new = newer(&old);
        assert!(older(&new) == old);
        dir.write(&format!("new/{}", path.file_name().unwrap()), new);
    }
    let new = files(&dir.join("new"));
    assert_eq!(new.len(), times);
    (dir, new)
}

fn show(profile: &str) -> String {
    tool(LLVM, &["show", "--all-functions", "--counts", "--ic-targets", "--memop-sizes", "--binary-ids", profile])
}

#[test]
fn it_is_added_up_as_the_versions_before() {
    // Targets of calls and sizes; conditions in a bitmap.
    for flags in ["-fprofile-generate", "-fprofile-instr-generate -fcoverage-mapping -fcoverage-mcdc"] {
        let (dir, new) = both(flags, 9);
        dir.sh("mkdir work; llvm-profdata merge -num-threads=1 raw/*.profraw -o theirs.profdata");
        let folded = fold(&new, &dir.join("work"), 3).unwrap();
        assert_eq!(
            (folded.added, folded.left.len(), folded.handed.len(), folded.damaged.len()),
            (9, 1, 0, 0),
            "{folded:?}"
        );
        dir.write("sum.profraw", older(&std::fs::read(&folded.left[0]).unwrap()));
        dir.sh("llvm-profdata merge sum.profraw -o ours.profdata");
        let [ours, theirs] = ["ours", "theirs"].map(|name| show(dir.join(&format!("{name}.profdata")).as_str()));
        assert!(ours.contains("f21"), "{ours}");
        assert_eq!(ours, theirs, "{flags}");

        // A sum that is kept in between.
        let mut sum = Sum::new();
        for path in &new {
            sum.add(std::slice::from_ref(path), 1).unwrap();
            sum.save(&dir.join("kept")).unwrap();
            sum = Sum::open(&dir.join("kept")).unwrap();
        }
        assert_eq!(sum.files(), 9);
        let kept = dir.join("kept-sum");
        std::fs::create_dir(&kept).unwrap();
        let written = std::fs::read(&sum.write(&kept).unwrap()[0]).unwrap();
        assert!(written == std::fs::read(&folded.left[0]).unwrap());
    }
}

#[test]
fn what_only_accelerators_write_is_left_to_llvm_profdata() {
    let (dir, new) = both("-fprofile-generate", 3);
    let reason = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = std::fs::read(&new[0]).unwrap();
        change(&mut bytes);
        let path = dir.write(name, bytes);
        let folded = fold(&[new[1].clone(), new[2].clone(), path], dir.path(), 1).unwrap();
        assert_eq!(folded.added, 2, "{folded:?}");
        folded.handed.iter().chain(&folded.damaged).map(|(_, reason)| reason.clone()).collect::<Vec<_>>().join(" ")
    };
    // The number of such counters; the lanes of the first record; the number of virtual tables.
    assert_eq!(reason("counters", &|bytes| bytes[9 * 8] = 1), "counters of an accelerator");
    let ids = word(&std::fs::read(&new[0]).unwrap(), 2) as usize;
    // The others have none, so it is alone in its build.
    assert_eq!(reason("lanes", &|bytes| bytes[152 + ids + 66] = 64), "counters of an accelerator");
    assert_eq!(reason("tables", &|bytes| bytes[16 * 8] = 1), "profiles of virtual tables");
    assert!(reason("cut", &|bytes| bytes.truncate(140)).contains("ends within its header"));
    assert!(reason("short", &|bytes| bytes.truncate(400)).contains("cut off"));
}

/// It is named as the others, and the error says where its tool comes from.
#[test]
fn without_its_tool_it_is_named() {
    let (dir, _) = both("-fprofile-generate", 3);
    let merge = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_optbuild"))
            .args(["merge", "-o", "out.profdata", "new"])
            .args(args)
            .current_dir(dir.path())
            .env("PATH", format!("{LLVM}:/usr/bin:/bin"))
            .env("HOME", dir.path())
            .env_remove("RUSTUP_HOME")
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = merge(&[]);
    assert_eq!(code, Some(3), "{said}");
    for part in ["raw profiles of version 11, of LLVM 23", "rustup component add llvm-tools"] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    let (code, said) = merge(&["--profdata", &format!("{LLVM}/llvm-profdata")]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("raw profiles of version 11 (LLVM 23)") && said.contains("reads version 10"), "{said}");
}
