//! Which linked file a BOLT profile is of: by the linker's build id, or by the code itself.
//!
//! A profile of BOLT names functions and offsets in them, so it fits every build with the same code. The build id is a hash of
//! the whole file, debug information and all: equal ids mean equal code, different ones not that the code differs. Unaware of
//! profiles.

use std::fs::File;

use anyhow::{Context, Result};
use camino::Utf8Path;
use object::read::ReadCache;
use object::{Object, ObjectSection, SectionKind};

/// What tells a linked file from others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// In hexadecimal; none where the linker wrote none.
    pub build_id: Option<String>,
    /// Hash of the names, addresses and contents of its sections of code, in hexadecimal.
    pub code: String,
}

impl Identity {
    /// Reads a linked file. None: it is no ELF file, or it is one that was not linked.
    ///
    /// # Errors
    /// The file cannot be read, or is a damaged ELF file.
    pub fn of(path: &Utf8Path) -> Result<Option<Identity>> {
        let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
        let mut magic = [0; 4];
        {
            use std::io::Read;
            let mut first = Vec::new();
            let read = (&file).take(4).read_to_end(&mut first);
            read.with_context(|| format!("cannot read {path}"))?;
            magic[..first.len()].copy_from_slice(&first);
        }
        if magic != *b"\x7fELF" {
            return Ok(None);
        }
        let cache = ReadCache::new(file);
        let damaged = || format!("{path} is not a valid ELF file");
        let object = object::File::parse(&cache).with_context(damaged)?;
        if !matches!(object.kind(), object::ObjectKind::Executable | object::ObjectKind::Dynamic) {
            return Ok(None);
        }
        let build_id = object.build_id().with_context(damaged)?.map(hex);
        let mut hasher = blake3::Hasher::new();
        for section in object.sections().filter(|section| section.kind() == SectionKind::Text) {
            let name = section.name_bytes().with_context(damaged)?;
            let data = section.data().with_context(damaged)?;
            for part in [name, &section.address().to_le_bytes(), data] {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
            }
        }
        Ok(Some(Identity { build_id, code: hasher.finalize().to_hex().to_string() }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
