//! How an ELF file was linked: what its headers say of who starts it, of its hardening, and of what BOLT has to do with it.
//!
//! | asked | where it stands |
//! |---|---|
//! | [`Linked::start`] | type of the file, program headers, `DT_FLAGS_1` |
//! | [`Linked::hardening`] | program headers, dynamic table, `.note.gnu.property` |
//! | [`Linked::names`] | dynamic table, `.gnu.version_d`, `.gnu.version_r` |
//! | [`Linked::relative`] | `.relr.dyn`, `.rela.dyn` |
//! | [`Linked::debug`] | section table, first bytes of compressed sections, headers of units in `.debug_info` |
//! | [`Linked::bolt_command`] | `.note.bolt_info` |
//!
//! Symbols are not read. Unaware of what may have changed the file, and of what is to become of it.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result};
use camino::Utf8Path;
use object::elf::{self, FileHeader64};
use object::read::elf::{FileHeader, NoteIterator, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadRef};
use object::{Endianness, StringTable};

/// What a file's headers say. Everything that a packager may hold against another file's is in here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Linked {
    pub start: Start,
    /// It has something that runs when it ends: `DT_FINI` or `DT_FINI_ARRAY`.
    pub runs_at_end: bool,
    pub hardening: BTreeSet<Hardening>,
    /// A segment can be written and executed.
    pub writable_code: bool,
    /// What it is called by and what it asks for, a line each: `library libc.so.6`, `version GLIBC_2.34 of libc.so.6`.
    pub names: BTreeSet<String>,
    pub relative: Relative,
    pub debug: Debug,
    /// Bytes.
    pub size: u64,
    /// The command line of the llvm-bolt that wrote it.
    pub bolt_command: Option<String>,
}

/// Who starts it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The kernel, at its own address.
    Static,
    /// The kernel, at any address.
    StaticPie,
    /// A loader, at its own address.
    Executable,
    /// A loader, at any address.
    Pie,
    /// Others load it.
    Library,
}

impl Start {
    /// As a person calls it.
    pub fn words(self) -> &'static str {
        match self {
            Start::Static => "a static executable",
            Start::StaticPie => "a static position-independent executable",
            Start::Executable => "an executable",
            Start::Pie => "a position-independent executable",
            Start::Library => "a shared library",
        }
    }
}

/// What makes a file harder to attack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hardening {
    /// `PT_GNU_STACK` says that stacks are not executable.
    Stack,
    /// `PT_GNU_RELRO`.
    Relro,
    BindNow,
    Ibt,
    ShadowStack,
    Bti,
    Pac,
}

impl Hardening {
    /// As a person, or `readelf`, calls it.
    pub fn words(self) -> &'static str {
        match self {
            Hardening::Stack => "GNU_STACK without execution",
            Hardening::Relro => "GNU_RELRO",
            Hardening::BindNow => "BIND_NOW",
            Hardening::Ibt => "the property IBT",
            Hardening::ShadowStack => "the property SHSTK",
            Hardening::Bti => "the property BTI",
            Hardening::Pac => "the property PAC",
        }
    }
}

/// Relative relocations, which a loader applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Relative {
    /// Some are packed (RELR).
    pub packed: bool,
    /// How many are not.
    pub plain: usize,
}

/// What is known of debug information without reading it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Debug {
    /// There is `.debug_info`, by whatever name.
    pub exists: bool,
    /// How sections are compressed, each way once.
    pub compressed: BTreeSet<Compression>,
    /// The first thing that is wrong with it, as a sentence's end.
    pub damage: Option<String>,
}

/// How a section is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    Zlib,
    Zstd,
    /// `.zdebug_*`, as it was done before ELF had a flag for it.
    Gnu,
}

impl Compression {
    /// As the options of linkers call it.
    pub fn option(self) -> &'static str {
        match self {
            Compression::Zlib => "zlib",
            Compression::Zstd => "zstd",
            Compression::Gnu => "zlib-gnu",
        }
    }
}

type Header = FileHeader64<Endianness>;

impl Linked {
    /// Reads an executable or shared library of a 64-bit system. None: it is something else.
    ///
    /// # Errors
    /// The file cannot be read, or is a damaged ELF file.
    pub fn read(path: &Utf8Path) -> Result<Option<Linked>> {
        let mut ident = Vec::new();
        let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
        (&file).take(5).read_to_end(&mut ident).with_context(|| format!("cannot read {path}"))?;
        if ident != *b"\x7fELF\x02" {
            return Ok(None);
        }
        let size = file.metadata().with_context(|| format!("cannot look at {path}"))?.len();
        let cache = ReadCache::new(file);
        let linked = read(&cache, size).with_context(|| format!("{path} is not a valid ELF file"))?;
        Ok(linked)
    }
}

fn read(data: &ReadCache<File>, size: u64) -> object::read::Result<Option<Linked>> {
    let header = Header::parse(data)?;
    let endian = header.endian()?;
    let kind = header.e_type(endian);
    if kind != elf::ET_EXEC && kind != elf::ET_DYN {
        return Ok(None);
    }
    let segments = header.program_headers(endian, data)?;
    let sections = header.sections(endian, data)?;
    let mut linked = Linked {
        start: Start::Library,
        runs_at_end: false,
        hardening: BTreeSet::new(),
        writable_code: false,
        names: BTreeSet::new(),
        relative: Relative::default(),
        debug: Debug::default(),
        size,
        bolt_command: None,
    };
    let (mut interpreter, mut dynamic, mut pie) = (false, false, false);
    for segment in segments {
        let flags = segment.p_flags(endian);
        match segment.p_type(endian) {
            elf::PT_INTERP => interpreter = true,
            elf::PT_LOAD if flags.contains(elf::PF_X) && flags.contains(elf::PF_W) => linked.writable_code = true,
            elf::PT_GNU_STACK if !flags.contains(elf::PF_X) => _ = linked.hardening.insert(Hardening::Stack),
            elf::PT_GNU_RELRO => _ = linked.hardening.insert(Hardening::Relro),
            _ => {}
        }
    }
    for entry in sections.dynamic_table(endian, data)?.iter() {
        dynamic = true;
        let value = entry.val;
        match entry.tag {
            elf::DT_FLAGS if value & elf::DF_BIND_NOW.0 != 0 => {
                _ = linked.hardening.insert(Hardening::BindNow);
            }
            elf::DT_FLAGS_1 => {
                pie |= value & elf::DF_1_PIE.0 != 0;
                if value & elf::DF_1_NOW.0 != 0 {
                    linked.hardening.insert(Hardening::BindNow);
                }
            }
            elf::DT_BIND_NOW => _ = linked.hardening.insert(Hardening::BindNow),
            elf::DT_FINI | elf::DT_FINI_ARRAY => linked.runs_at_end = true,
            _ => {}
        }
    }
    linked.start = match (kind == elf::ET_EXEC, interpreter) {
        (true, false) if !dynamic => Start::Static,
        (true, _) => Start::Executable,
        (false, true) => Start::Pie,
        (false, false) if pie => Start::StaticPie,
        (false, false) => Start::Library,
    };
    linked.names = names(&sections, endian, data)?;
    let mut info = None;
    let mut abbreviations = 0;
    for section in sections.iter() {
        let name = String::from_utf8_lossy(sections.section_name(endian, section).unwrap_or_default()).into_owned();
        if let Some(debug) = name.strip_prefix(".debug_").or_else(|| name.strip_prefix(".zdebug_")) {
            linked.debug.exists |= debug == "info";
            match compression(section, endian, data) {
                Ok(Some(how)) => _ = linked.debug.compressed.insert(how),
                Ok(None) if name.starts_with(".z") => _ = linked.debug.compressed.insert(Compression::Gnu),
                Ok(None) if debug == "info" => info = section.file_range(endian),
                Ok(None) if debug == "abbrev" => abbreviations = section.sh_size(endian),
                Ok(None) => {}
                Err(what) => _ = linked.debug.damage.get_or_insert(format!("{name} {what}")),
            }
        } else if name == ".note.bolt_info" {
            linked.bolt_command = section.notes(endian, data)?.and_then(bolt_command);
        } else if name == ".note.gnu.property" {
            if let Some(notes) = section.notes(endian, data)? {
                linked.hardening.extend(properties(notes, endian)?);
            }
        } else if section.sh_type(endian) == elf::SHT_RELR {
            linked.relative.packed |= section.sh_size(endian) > 0;
        } else if section.sh_type(endian) == elf::SHT_RELA
            && section.sh_flags(endian).contains(elf::SHF_ALLOC)
            && let Some((entries, _)) = section.rela(endian, data)?
        {
            let relative = match header.e_machine(endian) {
                elf::EM_X86_64 => elf::R_X86_64_RELATIVE.0,
                elf::EM_AARCH64 => elf::R_AARCH64_RELATIVE.0,
                elf::EM_RISCV => elf::R_RISCV_RELATIVE.0,
                _ => continue,
            };
            linked.relative.plain += entries.iter().filter(|entry| entry.r_type(endian, false).0 == relative).count();
        }
    }
    if let Some(range) = info.filter(|_| linked.debug.damage.is_none()) {
        linked.debug.damage = units(range, abbreviations, endian, data).err().map(|what| format!(".debug_info {what}"));
    }
    Ok(Some(linked))
}

type Sections<'a> = object::read::elf::SectionTable<'a, Header, &'a ReadCache<File>>;

/// Names of the dynamic table and of symbol versions.
fn names<'a>(
    sections: &Sections<'a>,
    endian: Endianness,
    data: &'a ReadCache<File>,
) -> object::read::Result<BTreeSet<String>> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut names = BTreeSet::new();
    let table = sections.dynamic_table(endian, data)?;
    for entry in table.iter() {
        let what = match entry.tag {
            elf::DT_NEEDED => "library",
            elf::DT_SONAME => "name",
            elf::DT_RPATH | elf::DT_RUNPATH => "search path",
            _ => continue,
        };
        names.insert(format!("{what} {}", text(table.string(entry)?)));
    }
    if let Some((mut definitions, link)) = sections.gnu_verdef(endian, data)? {
        let strings: StringTable<'_, _> = sections.strings(endian, data, link)?;
        while let Some((_, mut auxiliary)) = definitions.next()? {
            // The first is the version, the others are those that it comes after.
            if let Some(first) = auxiliary.next()? {
                names.insert(format!("version {}", text(first.name(endian, strings)?)));
            }
        }
    }
    if let Some((mut needs, link)) = sections.gnu_verneed(endian, data)? {
        let strings: StringTable<'_, _> = sections.strings(endian, data, link)?;
        while let Some((need, mut auxiliary)) = needs.next()? {
            let file = text(need.file(endian, strings)?);
            while let Some(version) = auxiliary.next()? {
                names.insert(format!("version {} of {file}", text(version.name(endian, strings)?)));
            }
        }
    }
    Ok(names)
}

/// The properties that processors enforce.
fn properties(mut notes: NoteIterator<'_, Header>, endian: Endianness) -> object::read::Result<Vec<Hardening>> {
    let mut found = Vec::new();
    while let Some(note) = notes.next()? {
        let Some(mut properties) = note.gnu_properties(endian) else { continue };
        while let Some(property) = properties.next()? {
            let known = match property.pr_type() {
                elf::GNU_PROPERTY_X86_FEATURE_1_AND => [
                    (elf::GNU_PROPERTY_X86_FEATURE_1_IBT, Hardening::Ibt),
                    (elf::GNU_PROPERTY_X86_FEATURE_1_SHSTK, Hardening::ShadowStack),
                ],
                elf::GNU_PROPERTY_AARCH64_FEATURE_1_AND => [
                    (elf::GNU_PROPERTY_AARCH64_FEATURE_1_BTI, Hardening::Bti),
                    (elf::GNU_PROPERTY_AARCH64_FEATURE_1_PAC, Hardening::Pac),
                ],
                _ => continue,
            };
            let set = property.data_u32(endian)?;
            found.extend(known.into_iter().filter(|(bit, _)| set & bit != 0).map(|(_, hardening)| hardening));
        }
    }
    Ok(found)
}

/// `BOLT revision: …, command line: llvm-bolt …`.
fn bolt_command(mut notes: NoteIterator<'_, Header>) -> Option<String> {
    while let Ok(Some(note)) = notes.next() {
        let text = String::from_utf8_lossy(note.desc()).into_owned();
        if let Some((_, command)) = text.split_once("command line: ") {
            return Some(command.trim_end_matches('\0').to_owned());
        }
    }
    None
}

/// How a section says that it is compressed.
///
/// # Errors
/// It says so, and is not.
fn compression(
    section: &elf::SectionHeader64<Endianness>,
    endian: Endianness,
    data: &ReadCache<File>,
) -> Result<Option<Compression>, &'static str> {
    const NOT: &str = "has the flag of compressed sections and is none";
    let Some((header, offset, size)) = section.compression(endian, data).map_err(|_| NOT)? else { return Ok(None) };
    let magic = data.read_bytes_at(offset, size.min(4)).unwrap_or_default();
    // RFC 1950: deflate, and a check over two bytes. RFC 8878: a number at the start of each frame.
    let is_zlib =
        matches!(magic, [cmf, flg, ..] if cmf & 15 == 8 && (u32::from(*cmf) * 256 + u32::from(*flg)) % 31 == 0);
    let is_zstd = magic == [0x28, 0xb5, 0x2f, 0xfd];
    match header.ch_type.get(endian) {
        elf::ELFCOMPRESS_ZLIB if is_zlib => Ok(Some(Compression::Zlib)),
        elf::ELFCOMPRESS_ZSTD if is_zstd => Ok(Some(Compression::Zstd)),
        _ => Err(NOT),
    }
}

/// Goes over the headers of units (DWARF 5, section 7.5.1): their lengths fill the section, their abbreviations exist.
///
/// # Errors
/// What is wrong, as a sentence's end.
fn units(
    (offset, size): (u64, u64),
    abbreviations: u64,
    endian: Endianness,
    data: &ReadCache<File>,
) -> Result<(), String> {
    use object::endian::Endian;
    let end = offset.saturating_add(size);
    let mut at = offset;
    while at < end {
        let start = at - offset;
        let cut = || format!("ends in the unit at {start:#x}");
        let mut header = [0; 24];
        let bytes = data.read_bytes_at(at, (end - at).min(24)).map_err(|()| cut())?;
        header[..bytes.len()].copy_from_slice(bytes);
        let u16_at = |at: usize| endian.read_u16([header[at], header[at + 1]]);
        let u32_at = |at: usize| endian.read_u32([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let u64_at = |at: usize| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(&header[at..at + 8]);
            endian.read_u64(bytes)
        };
        let wide = u32_at(0) == u32::MAX;
        let (length, prefix) = if wide { (u64_at(4), 12) } else { (u64::from(u32_at(0)), 4) };
        let version = u16_at(prefix);
        if !(2..=5).contains(&version) {
            return Err(format!("has a unit of version {version} at {start:#x}"));
        }
        // Version 5 has the unit's type and the size of addresses first.
        let place = prefix + if version == 5 { 4 } else { 2 };
        let abbreviation = if wide { u64_at(place) } else { u64::from(u32_at(place)) };
        if abbreviation >= abbreviations {
            return Err(format!(
                "names abbreviations at {abbreviation:#x} in the unit at {start:#x}, which do not exist"
            ));
        }
        at = at.checked_add(length + prefix as u64).filter(|next| *next <= end).ok_or_else(cut)?;
    }
    Ok(())
}
