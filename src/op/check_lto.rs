//! `op check-lto`: whether a static library holds what link-time optimisation works on.

use std::fs;

use anyhow::{Context, Result, bail};
use camino::Utf8PathBuf;
use object::read::archive::ArchiveFile;
use object::{Object, ObjectSection};

use crate::event::Fact;

/// LLVM's bitcode, bare and in the wrapper that Apple's tools write (llvm/BinaryFormat/Magic.cpp).
const BITCODE: [&[u8]; 2] = [b"BC\xc0\xde", b"\xde\xc0\x17\x0b"];
/// The section with bitcode beside machine code, of `-ffat-lto-objects` (LLVM's FatLTO documentation).
const BESIDE: &str = ".llvm.lto";

/// Checks that a static library was compiled for link-time optimisation: that a member of it has bitcode.
#[derive(Debug, clap::Args)]
pub struct CheckLto {
    /// The library.
    pub archive: Utf8PathBuf,
}

impl CheckLto {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let path = &self.archive;
        let data =
            fs::read(path).with_context(|| format!("cannot read {path}, and so not tell whether there is LTO"))?;
        let archive = ArchiveFile::parse(&*data).with_context(|| format!("{path} is no static library"))?;
        for member in archive.members() {
            let member = member.and_then(|member| member.data(&*data));
            let member = member.with_context(|| format!("{path} is damaged"))?;
            if has_bitcode(member) {
                return Ok(Vec::new());
            }
        }
        bail!(
            "{path} holds machine code alone: it was not compiled for link-time optimisation, although the stage asks for it. Look at \
             the flags of the compilers in the log of this stage: `-flto` is missing, or another flag takes it back"
        )
    }
}

fn has_bitcode(member: &[u8]) -> bool {
    let beside = || {
        let object = object::File::parse(member).ok()?;
        object.section_by_name(BESIDE).map(|section| section.size() > 0)
    };
    BITCODE.iter().any(|magic| member.starts_with(magic)) || beside().unwrap_or_default()
}
