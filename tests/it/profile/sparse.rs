//! Files that only claim to be long: 200 GB with next to nothing on disk. No reader takes memory for them, and all say what they are.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use optbuild::fs::whole;
use optbuild::profile::elf::{self, Binary, Identity};
use optbuild::profile::fdata::{Condition, condition};
use optbuild::profile::raw::Sum;
use optbuild::state::journal;

use crate::support::dir::{Dir, LLVM};

const CLAIM: u64 = 200 << 30;

/// A file that begins and ends with these bytes.
fn sparse(dir: &Dir, name: &str, first: &[u8], last: &[u8]) -> Utf8PathBuf {
    let path = dir.join(name);
    let mut file = File::create(&path).unwrap();
    file.write_all(first).unwrap();
    file.set_len(CLAIM).unwrap();
    file.write_all_at(last, CLAIM - last.len() as u64).unwrap();
    path
}

#[test]
fn readers_of_files_as_a_whole() {
    let dir = Dir::new();
    let text = sparse(&dir, "a.fdata", b"1 f 0 1 g 0 0 1\n", b"\n");
    assert_eq!(condition(&text).unwrap(), Condition::NeverWritten);
    assert!(whole::read(&text).unwrap_err().to_string().contains("never written"));
    let sum = sparse(&dir, "sum", b"optbsum1", b"");
    assert!(format!("{:#}", Sum::open(&sum).err().unwrap()).contains("never written"));
    let journal = sparse(&dir, "journal", b"{", b"");
    assert!(journal::first(&journal).unwrap().is_none());
    assert!(journal::read(&journal).is_err());
    // Of a small file, or one that is there, all is read.
    assert_eq!(whole::read(&dir.write("small", "x")).unwrap(), b"x");
    let dense = dir.join("dense");
    let file = File::create(&dense).unwrap();
    file.set_len(1 << 30).unwrap();
    file.write_all_at(&[1; 17 << 20], 0).unwrap();
    assert!(whole::never_written(&fs::metadata(&dense).unwrap()).is_none());
}

/// A program whose section of records claims all of it.
#[test]
fn readers_of_programs() {
    let dir = Dir::new();
    dir.write("a.c", "int main(void) { return 0; }\n");
    dir.sh("clang -fprofile-generate a.c -o prog");
    let prog = dir.join("prog");
    assert!(elf::making(&prog).unwrap().is_some());
    let mut bytes = fs::read(&prog).unwrap();
    let at = |bytes: &[u8], at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
    let (headers, number) = (at(&bytes, 40), usize::from(bytes[60]));
    for number in 1..number {
        // `sh_size` of each section.
        let size = headers + number * 64 + 32;
        bytes[size..size + 8].copy_from_slice(&(CLAIM / 2).to_le_bytes());
    }
    fs::write(&prog, &bytes).unwrap();
    let mut known = std::collections::HashSet::new();
    let mut all = || {
        let _ = Binary::read(&prog);
        let _ = elf::symbols(&prog, |_| {});
        [elf::making(&prog).is_err(), Identity::read(&prog).is_err(), elf::take_known(&prog, &mut known).is_err()]
    };
    // Longer than the file, and as long as it.
    all();
    File::options().write(true).open(&prog).unwrap().set_len(CLAIM).unwrap();
    assert_eq!(all(), [true; 3]);
    let said = format!("{:#}", elf::making(&prog).unwrap_err());
    assert!(said.contains("never written"), "{said}");
}

fn optbuild(dir: &Utf8Path, args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_optbuild")).args(args).current_dir(dir).output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn commands_on_profiles() {
    let dir = Dir::new();
    dir.write("a.c", "int main(void) { return 0; }\n");
    dir.sh("clang -fprofile-generate a.c -o prog && LLVM_PROFILE_FILE=a.profraw ./prog && llvm-profdata merge a.profraw -o a.profdata");
    let [raw, indexed] = ["a.profraw", "a.profdata"].map(|name| fs::read(dir.join(name)).unwrap());
    let tool = format!("{LLVM}/llvm-profdata");
    for (name, first) in [("s.profraw", &raw[..]), ("s.profdata", &indexed[..])] {
        sparse(&dir, name, first, b"");
        let (code, said) = optbuild(dir.path(), &["merge", "-o", "out", "--profdata", &tool, name, "a.profraw"]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(&format!("{name}: it is {CLAIM} bytes long")), "{said}");
    }
    sparse(&dir, "s.fdata", b"1 f 0 1 g 0 0 1\n", b"\n");
    dir.write("a.fdata", "1 f 0 1 g 0 0 1\n");
    let (code, said) = optbuild(dir.path(), &["merge", "-o", "out", "s.fdata", "a.fdata"]);
    assert!(code == Some(1) && said.contains("s.fdata: next to nothing of its length is on disk"), "{said}");
    for args in [&["profile", "show", "s.fdata"][..], &["profile", "diff", "a.fdata", "s.fdata"]] {
        let (code, said) = optbuild(dir.path(), args);
        assert!(code == Some(1) && said.contains("never written"), "{code:?} {said}");
    }
}
