//! Versions: what tools print, which LLVM and which packages are proposed, and which LLVM reads which profile.

use optbuild::profile::header::{Header, HeaderKind};
use optbuild::toolchain::formats::{
    first_reader, indexed_in_words, indexed_version, raw_in_words, raw_llvms, raw_version,
};
use optbuild::toolchain::packages::{BOLT_RUNTIME, Manager, PROFILE_RUNTIME, llvm_major, package};
use optbuild::toolchain::version::parse;
use semver::VersionReq;

/// What the programs print, beginnings of lines only.
#[test]
fn of_what_tools_print() {
    for (text, version) in [
        ("Debian clang version 22.1.8 (1~deb12u1)\nTarget: x86_64-pc-linux-gnu", "22.1.8"),
        ("Ubuntu clang version 14.0.0-1ubuntu1.1", "14.0.0"),
        ("Apple clang version 15.0.0 (clang-1500.3.9.4)", "15.0.0"),
        ("clang version 19.0.0git (https://github.com/llvm/llvm-project 1234abc)", "19.0.0"),
        ("Debian LLD 22.1.8 (compatible with GNU linkers)", "22.1.8"),
        ("Debian LLVM version 22.1.8\n  Optimized build.\nBOLT revision <unknown>", "22.1.8"),
        ("LLVM (http://llvm.org/):\n  LLVM version 13.0.0", "13.0.0"),
        ("cmake version 3.25.1", "3.25.1"),
        ("cmake version 3.28.0-rc2", "3.28.0"),
        ("1.11.1\n", "1.11.1"),
        ("1.12.0.git.kitware.jobserver-pipe-1", "1.12.0"),
        ("valgrind-3.19.0", "3.19.0"),
        ("perf version 6.1.187", "6.1.187"),
        ("ccache version 4.8\nFeatures: file-storage", "4.8.0"),
        ("rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc", "1.95.0"),
        ("gcc (Debian 12.2.0-14) 12.2.0", "12.2.0"),
        ("GNU Make 4.3\nBuilt for x86_64", "4.3.0"),
    ] {
        assert_eq!(parse(text).unwrap().to_string(), version, "{text}");
    }
    assert_eq!(parse("llvm-profdata: Unknown command!"), None);
    assert_eq!(parse("v 7"), None);
}

fn proposed(requirement: &str) -> u64 {
    llvm_major(Some(&VersionReq::parse(requirement).unwrap()))
}

#[test]
fn the_proposed_llvm_meets_the_requirement() {
    assert_eq!(proposed(">=19"), 22);
    assert_eq!(proposed("22"), 22);
    assert_eq!(proposed("19"), 19);
    assert_eq!(proposed(">=16, <20"), 19);
    assert_eq!(proposed(">=23"), 23);
    assert_eq!(proposed(">=19.1.7, <20"), 19);
    assert_eq!(llvm_major(None), 22);
}

/// Names as `dpkg -S` gives them for Debian's files.
#[test]
fn packages_of_debian() {
    let debian = |tool| package(Manager::Apt, tool, 22).unwrap_or_default();
    assert_eq!(debian("clang++"), "clang-22");
    assert_eq!(debian("ld.lld"), "lld-22");
    assert_eq!(debian("llvm-profdata"), "llvm-22");
    assert_eq!(debian("merge-fdata"), "bolt-22");
    assert_eq!(debian(PROFILE_RUNTIME), "libclang-rt-22-dev");
    assert_eq!(debian(BOLT_RUNTIME), "libbolt-22-dev");
    assert_eq!(debian("ninja"), "ninja-build");
    assert_eq!(debian("perf"), "linux-perf");
    assert_eq!(debian("frobnicate"), "");
}

/// Profiles that clang 22 and its `llvm-profdata` make, if they are installed.
#[test]
fn real_files_of_llvm_22() {
    let bin = "/usr/lib/llvm-22/bin";
    if !std::path::Path::new(bin).join("clang").exists() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let run = |script: &str| duct::cmd!("sh", "-euc", script).dir(dir.path()).env("BIN", bin).run().unwrap();
    run("echo 'int main(void) { return 0; }' > a.c && $BIN/clang -fprofile-generate a.c -o a");
    run("LLVM_PROFILE_FILE=a.profraw ./a && $BIN/llvm-profdata merge a.profraw -o a.profdata");
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    let raw = Header::parse(&read("a.profraw")).unwrap();
    assert_eq!((raw.kind, Some(u64::from(raw.version))), (HeaderKind::Raw, raw_version(22)));
    let indexed = Header::parse(&read("a.profdata")).unwrap();
    assert_eq!((indexed.kind, Some(u64::from(indexed.version))), (HeaderKind::Indexed, indexed_version(22)));
}

/// `INSTR_PROF_RAW_VERSION` and `INSTR_PROF_INDEX_VERSION` of LLVM 14, 18, 19, 22 and 23 are (8, 7), (9, 11), (10, 12), (10, 13), (11, 14).
#[test]
fn who_reads_a_version() {
    assert_eq!((raw_llvms(8), raw_llvms(9), raw_llvms(10)), (Some(14..=17), Some(18..=18), Some(19..=22)));
    assert_eq!((raw_llvms(5), raw_llvms(11), raw_llvms(12)), (None, Some(23..=23), None));
    assert_eq!([3, 7, 11, 12, 13].map(first_reader), [Some(14), Some(14), Some(18), Some(19), Some(22)]);
    assert_eq!((first_reader(14), first_reader(15)), (Some(23), None));
    assert_eq!([8, 9, 11].map(raw_in_words), ["LLVM 14 to 17", "LLVM 18", "LLVM 23"]);
    assert_eq!([5, 12].map(raw_in_words), ["an LLVM older than 14", "an LLVM newer than 23"]);
    assert_eq!([12, 15].map(indexed_in_words), ["LLVM 19 and newer", "an LLVM newer than 23"]);
}
