//! Versions of LLVM's profile formats.
//!
//! A raw profile (`.profraw`) is read by an `llvm-profdata` of exactly its version. An indexed profile (`.profdata`) is read
//! by every LLVM that knows its version or a newer one; an older compiler cannot read it, and rustc then only warns and builds
//! without the profile.

use std::ops::RangeInclusive;

/// LLVM's major version, and the versions of raw and indexed profiles that it writes: `INSTR_PROF_RAW_VERSION` and
/// `INSTR_PROF_INDEX_VERSION` in `llvm/ProfileData/InstrProfData.inc`.
///
/// 14, 15, 16, 19 and 22 are read from the headers of Debian's `llvm-N-dev` (14.0.6, 15.0.6, 16.0.6, 19.1.7, 22.1.8). The others
/// follow from when the versions were raised: indexed 10 (temporal profiles) before and raw 9, indexed 11 (correlation, MC/DC
/// bitmaps) after 17 was branched; raw 10, indexed 12 (vtables, llvm/llvm-project#82711) after 18; indexed 13
/// (llvm/llvm-project#165358, November 2025) after 21; raw 11, indexed 14 (counters of accelerators, llvm/llvm-project#190708, June
/// 2026) after 22.
const VERSIONS: [(u64, u64, u64); 10] = [
    (14, 8, 7),
    (15, 8, 8),
    (16, 8, 9),
    (17, 8, 10),
    (18, 9, 11),
    (19, 10, 12),
    (20, 10, 12),
    (21, 10, 12),
    (22, 10, 13),
    (23, 11, 14),
];

/// The version of raw profiles that programs built by this LLVM write; none if that LLVM is not known.
pub fn raw_version(llvm_major: u64) -> Option<u64> {
    VERSIONS.iter().find(|(major, ..)| *major == llvm_major).map(|(_, raw, _)| *raw)
}

/// The newest version of indexed profiles that this LLVM reads, which is the one it writes; none if that LLVM is not known.
pub fn indexed_version(llvm_major: u64) -> Option<u64> {
    VERSIONS.iter().find(|(major, ..)| *major == llvm_major).map(|(.., indexed)| *indexed)
}

/// The newest LLVM whose formats are known.
pub fn newest_known() -> u64 {
    VERSIONS[VERSIONS.len() - 1].0
}

/// The LLVMs whose programs write raw profiles of this version, which are those whose llvm-profdata reads it; none if there
/// is no such LLVM among the known ones.
pub fn raw_llvms(version: u64) -> Option<RangeInclusive<u64>> {
    let mut majors = VERSIONS.iter().filter(|(_, raw, _)| *raw == version).map(|(major, ..)| *major);
    let first = majors.next()?;
    Some(first..=majors.next_back().unwrap_or(first))
}

/// The first LLVM that reads indexed profiles of this version; none if it is newer than all that are known.
pub fn first_reader(version: u64) -> Option<u64> {
    VERSIONS.iter().find(|(.., indexed)| *indexed >= version).map(|(major, ..)| *major)
}

/// Who writes and reads raw profiles of a version, in words: `LLVM 19 to 22`.
pub fn raw_in_words(version: u64) -> String {
    match raw_llvms(version) {
        Some(llvms) if llvms.start() == llvms.end() => format!("LLVM {}", llvms.start()),
        Some(llvms) => format!("LLVM {} to {}", llvms.start(), llvms.end()),
        None if VERSIONS.iter().all(|(_, raw, _)| *raw < version) => format!("an LLVM newer than {}", newest_known()),
        None => format!("an LLVM older than {}", VERSIONS[0].0),
    }
}

/// Who reads indexed profiles of a version, in words: `LLVM 22 and newer`.
pub fn indexed_in_words(version: u64) -> String {
    match first_reader(version) {
        Some(major) => format!("LLVM {major} and newer"),
        None => format!("an LLVM newer than {}", newest_known()),
    }
}
