//! `op strip-like`: takes symbols and debug information out of programs, as far as another build of them has none.
//!
//! BOLT needs the symbols that a profile's `strip` takes out, and leaves relocations that nobody needs any more. What the user
//! asked for shows in a plain build.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use camino::{Utf8Path, Utf8PathBuf};
use object::elf::{SHF_ALLOC, SHT_REL, SHT_RELA};
use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSegment, SectionFlags};
use walkdir::WalkDir;

use crate::event::Fact;

/// Strips programs as others are stripped.
#[derive(Debug, clap::Args)]
pub struct StripLike {
    /// A program, or a directory with programs. Replaced by what is stripped.
    pub target: Utf8PathBuf,
    /// A program, or a directory in which the programs have the same places. Those that are not there are left as they are.
    #[arg(long)]
    pub like: Utf8PathBuf,
    /// llvm-objcopy.
    #[arg(long)]
    pub objcopy: Utf8PathBuf,
}

/// What of a program a user can do without.
#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    symbols: bool,
    debug: bool,
    /// Sections with relocations that a linker was asked to keep.
    relocations: Vec<String>,
}

impl StripLike {
    pub(super) fn run(&self) -> Result<Vec<Fact>> {
        let (mut before, mut after) = (0, 0);
        for entry in WalkDir::new(&self.target) {
            let entry = entry.with_context(|| format!("cannot read {}", self.target))?;
            let path = Utf8PathBuf::from_path_buf(entry.into_path());
            let Ok(path) = path else { bail!("a name below {} is not UTF-8", self.target) };
            let below = path.strip_prefix(&self.target).unwrap_or(Utf8Path::new(""));
            let like = if below.as_str().is_empty() { self.like.clone() } else { self.like.join(below) };
            let is_file = |path: &Utf8Path| path.symlink_metadata().is_ok_and(|meta| meta.is_file());
            if !is_file(&path) || !like.is_file() {
                continue;
            }
            let (Some(have), Some(wanted)) = (contents(&path)?, contents(&like)?) else { continue };
            before += size(&path)?;
            self.strip(&path, &have, &wanted)?;
            after += size(&path)?;
        }
        if before == 0 {
            bail!("no program in {} is in {} too, so how it is to be stripped is not known", self.target, self.like);
        }
        Ok(vec![Fact::bytes("before", before), Fact::bytes("after", after)])
    }

    fn strip(&self, path: &Utf8Path, have: &Contents, wanted: &Contents) -> Result<()> {
        let mut command = Command::new(&self.objcopy);
        if have.symbols && !wanted.symbols {
            command.arg("--strip-all");
        } else if have.debug && !wanted.debug {
            command.arg("--strip-debug");
        }
        let kept = have.relocations.iter().filter(|section| !wanted.relocations.contains(section));
        command.args(kept.map(|section| format!("--remove-section={section}")));
        if command.get_args().len() == 0 {
            return Ok(());
        }
        // Another inode: the file may have other names, which stay as they are.
        let stripped = path.with_file_name(format!(".stripped-{}", path.file_name().unwrap_or_default()));
        let output = command.arg(path).arg(&stripped).output();
        let output = output.with_context(|| format!("cannot start {}", self.objcopy))?;
        if !output.status.success() {
            bail!("{} cannot strip {path}: {}", self.objcopy, String::from_utf8_lossy(&output.stderr).trim());
        }
        if let Some(address) = misplaced(&stripped)? {
            let _ = fs::remove_file(&stripped);
            bail!(
                "{} cannot strip {path}: in what it makes, the segment at {address:#x} cannot be loaded, as old ones do with what \
                 llvm-bolt wrote. Take the llvm-objcopy of the LLVM that llvm-bolt is of",
                self.objcopy
            );
        }
        fs::rename(&stripped, path).with_context(|| format!("cannot replace {path}"))
    }
}

/// The address of a segment that does not lie in its page as it does in the file: no loader can map it.
fn misplaced(path: &Utf8Path) -> Result<Option<u64>> {
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
    let off = |segment: &object::Segment<_>| {
        let (address, offset, align) = (segment.address(), segment.file_range().0, segment.align());
        align > 1 && address % align != offset % align
    };
    Ok(object.segments().find(off).map(|segment| segment.address()))
}

fn size(path: &Utf8Path) -> Result<u64> {
    Ok(path.metadata().with_context(|| format!("cannot look at {path}"))?.len())
}

/// None: not an ELF file.
fn contents(path: &Utf8Path) -> Result<Option<Contents>> {
    if crate::profile::elf::Binary::read(path)?.is_none() {
        return Ok(None);
    }
    let file = fs::File::open(path).with_context(|| format!("cannot open {path}"))?;
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
    let mut contents = Contents::default();
    for section in object.sections() {
        let name = section.name().unwrap_or_default();
        contents.symbols |= name == ".symtab";
        contents.debug |= matches!(name, ".debug_info" | ".zdebug_info");
        // Those that are loaded are for the loader.
        if let SectionFlags::Elf { sh_flags, sh_type } = section.flags()
            && matches!(sh_type, SHT_RELA | SHT_REL)
            && sh_flags.0 & SHF_ALLOC.0 == 0
        {
            contents.relocations.push(name.to_string());
        }
    }
    Ok(Some(contents))
}
