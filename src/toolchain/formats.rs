//! Versions of LLVM's profile formats.
//!
//! A raw profile (`.profraw`) is read by an `llvm-profdata` of exactly its version. An indexed profile (`.profdata`) is read
//! by every LLVM that knows its version or a newer one; an older compiler cannot read it, and rustc then only warns and builds
//! without the profile.

/// LLVM's major version, and the versions of raw and indexed profiles that it writes: `INSTR_PROF_RAW_VERSION` and
/// `INSTR_PROF_INDEX_VERSION` in `llvm/ProfileData/InstrProfData.inc`.
///
/// 14, 15, 16, 19 and 22 are read from the headers of Debian's `llvm-N-dev` (14.0.6, 15.0.6, 16.0.6, 19.1.7, 22.1.8). The others
/// follow from when the versions were raised: indexed 10 (temporal profiles) before and raw 9, indexed 11 (correlation, MC/DC
/// bitmaps) after 17 was branched; raw 10, indexed 12 (vtables, llvm/llvm-project#82711) after 18; indexed 13
/// (llvm/llvm-project#165358, November 2025) after 21.
const VERSIONS: [(u64, u64, u64); 9] = [
    (14, 8, 7),
    (15, 8, 8),
    (16, 8, 9),
    (17, 8, 10),
    (18, 9, 11),
    (19, 10, 12),
    (20, 10, 12),
    (21, 10, 12),
    (22, 10, 13),
];

/// The upper half of the version in a file says what kind of profile it is.
const VERSION_MASK: u64 = 0xffff_ffff;

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

/// The version of an indexed profile, from the first 16 bytes of the file; none if it is not one.
pub fn indexed_version_of(header: &[u8]) -> Option<u64> {
    let version = header.strip_prefix(b"\xfflprofi\x81")?.first_chunk()?;
    Some(u64::from_le_bytes(*version) & VERSION_MASK)
}

/// The version of a raw profile, from the first 16 bytes of the file; none if it is not one. It is written as the machine
/// that ran the program orders bytes.
pub fn raw_version_of(header: &[u8]) -> Option<u64> {
    let (magic, rest) = header.split_first_chunk::<8>()?;
    let version = *rest.first_chunk()?;
    let version = match magic {
        b"\x81rforpl\xff" | b"\x81Rforpl\xff" => u64::from_le_bytes(version),
        b"\xfflprofr\x81" | b"\xfflprofR\x81" => u64::from_be_bytes(version),
        _ => return None,
    };
    Some(version & VERSION_MASK)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(raw_version_of(&read("a.profraw")), raw_version(22));
        assert_eq!(indexed_version_of(&read("a.profdata")), indexed_version(22));
        assert_eq!(raw_version_of(&read("a.profdata")), None);
        assert_eq!(indexed_version_of(&read("a.profraw")), None);
    }

    #[test]
    fn headers_that_are_too_short() {
        assert_eq!(indexed_version_of(b"\xfflprofi\x81\x0c\0\0"), None);
        assert_eq!(raw_version_of(b""), None);
        // A big-endian machine, 32 bits, context-sensitive.
        assert_eq!(raw_version_of(b"\xfflprofR\x81\x03\0\0\0\0\0\0\x0a"), Some(10));
    }
}
