//! The first bytes of LLVM's profiles: which format, in which version. Unaware of what follows them.
//!
//! Both formats begin with a magic number that spells `lprofr` or `lprofi` and a 64-bit version whose upper half holds flags.
//! Raw profiles are in the byte order of the machine that wrote them, indexed ones always in little endian.

use std::fs::File;
use std::io::{self, Read};

use camino::Utf8Path;

/// What a profile says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: HeaderKind,
    pub version: u32,
    /// The counts of a second instrumentation, after inlining, are in it.
    pub context_sensitive: bool,
}

/// Who reads a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKind {
    /// Written by a process, read by llvm-profdata.
    Raw,
    /// Written by llvm-profdata, read by compilers.
    Indexed,
}

const CONTEXT_SENSITIVE: u64 = 1 << 57;

impl Header {
    /// None: these are not the first bytes of a profile.
    pub fn parse(bytes: &[u8]) -> Option<Header> {
        let (magic, version) = (bytes.get(..8)?, bytes.get(8..16)?);
        let version = <[u8; 8]>::try_from(version).ok()?;
        // The first and the last byte of the magic number tell the byte order; `R` stands for programs of 32 bits.
        let (kind, version) = match magic {
            b"\xfflprofi\x81" => (HeaderKind::Indexed, u64::from_le_bytes(version)),
            b"\x81rforpl\xff" | b"\x81Rforpl\xff" => (HeaderKind::Raw, u64::from_le_bytes(version)),
            b"\xfflprofr\x81" | b"\xfflprofR\x81" => (HeaderKind::Raw, u64::from_be_bytes(version)),
            _ => return None,
        };
        let context_sensitive = version & CONTEXT_SENSITIVE != 0;
        Some(Header { kind, version: version as u32, context_sensitive })
    }

    /// Reads it from a file. None: it is not a profile, or shorter than a header.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(path: &Utf8Path) -> io::Result<Option<Header>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(16).read_to_end(&mut bytes)?;
        Ok(Header::parse(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The first 16 bytes of files that clang 22's runtime and llvm-profdata 22 wrote.
    const RAW: &[u8] = b"\x81rforpl\xff\x0a\0\0\0\0\0\0\x01";
    const RAW_CS: &[u8] = b"\x81rforpl\xff\x0a\0\0\0\0\0\0\x03";
    // As a big-endian machine of 32 bits would write it.
    const RAW_BIG: &[u8] = b"\xfflprofR\x81\x03\0\0\0\0\0\0\x0a";
    const INDEXED: &[u8] = b"\xfflprofi\x81\x0d\0\0\0\0\0\0\x01";

    #[test]
    fn versions_of_real_files() {
        let header = |kind, version, context_sensitive| Some(Header { kind, version, context_sensitive });
        assert_eq!(Header::parse(RAW), header(HeaderKind::Raw, 10, false));
        assert_eq!(Header::parse(RAW_CS), header(HeaderKind::Raw, 10, true));
        assert_eq!(Header::parse(RAW_BIG), header(HeaderKind::Raw, 10, true));
        assert_eq!(Header::parse(INDEXED), header(HeaderKind::Indexed, 13, false));
    }

    #[test]
    fn other_bytes_are_no_header() {
        assert_eq!(Header::parse(b""), None);
        assert_eq!(Header::parse(&RAW[..15]), None);
        assert_eq!(Header::parse(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0"), None);
    }
}
