//! The first bytes of LLVM's profiles: which format, in which version. Unaware of what follows them.
//!
//! Both formats begin with a magic number that spells `lprofr` or `lprofi` and a 64-bit version whose upper half holds flags.
//! Raw profiles are in the byte order of the machine that wrote them, indexed ones always in little endian.

use std::fs::File;
use std::io::{self, Read};

use camino::Utf8Path;

use super::kind::Counted;

/// What a profile says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub kind: HeaderKind,
    pub version: u32,
    /// The counts of a second instrumentation, after inlining, are in it.
    pub context_sensitive: bool,
    pub counted: Counted,
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
        Some(Header { kind, version: version as u32, context_sensitive, counted: Counted::of(version) })
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
