//! What linked ELF files say of profiles: how they were built, which code they have, and which functions.
//!
//! | asked | where it stands | used for |
//! |---|---|---|
//! | [`Binary`] | the section table | whether PGO or BOLT can work with it |
//! | [`Identity`] | build id; names, addresses and contents of sections of code | which file a BOLT profile is of |
//! | [`making`] | `.comment`, the build id, a variable of the profile runtime | which llvm-profdata it needs, whether it wrote a profile |
//! | [`take_known`] | `__llvm_prf_data`, a record per function | whether a PGO profile is of this program |
//! | [`symbols`] | the symbol table | the same of BOLT profiles |
//! | [`source_files`] | the symbol table | which compiler it was made by |
//! | [`Ballast`] | the section table | why a file is large |
//!
//! A profile of BOLT names functions and offsets in them, so it fits every build with the same code. The build id is a hash of the whole
//! file, debug information and all: equal ids mean equal code, but different ids do not mean different code. Records are in stripped
//! files too, are the same for C, C++ and Rust, and are read without the names, which may be compressed. Only the sections that are
//! asked for are read. Unaware of profiles.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;

use anyhow::{Context, Result, bail};
use camino::Utf8Path;
use object::read::ReadCache;
use object::{Object, ObjectKind, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

use super::raw::layout::u64_at;
use crate::fs::whole::never_written;

/// Calls `with` for an ELF file. None: it is another file.
pub(super) fn open<T>(
    path: &Utf8Path,
    with: impl FnOnce(&object::File<&ReadCache<File>>) -> Result<T>,
) -> Result<Option<T>> {
    let mut magic = Vec::new();
    let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
    (&file).take(4).read_to_end(&mut magic).with_context(|| format!("cannot read {path}"))?;
    if magic != *b"\x7fELF" {
        return Ok(None);
    }
    let metadata = file.metadata().with_context(|| format!("cannot read {path}"))?;
    if let Some(reason) = never_written(&metadata) {
        bail!("{path} is not a valid ELF file: {reason}");
    }
    let cache = ReadCache::new(file);
    let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
    with(&object).map(Some)
}

/// Facts about an ELF executable or shared library.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Binary {
    /// The linker kept relocations of code (`--emit-relocs`).
    pub code_relocations: bool,
    /// It has a symbol table (`.symtab`).
    pub symbols: bool,
    /// llvm-bolt wrote it.
    pub bolted: bool,
    /// llvm-bolt instrumented it.
    pub bolt_instrumented: bool,
    /// The compiler instrumented code in it.
    pub pgo_instrumented: bool,
}

impl Binary {
    /// Reads the section table. None: not an ELF file.
    ///
    /// # Errors
    /// The file cannot be read, or is a damaged ELF file.
    pub fn read(path: &Utf8Path) -> Result<Option<Binary>> {
        open(path, |object| {
            let names: Vec<&str> = object.sections().filter_map(|section| section.name().ok()).collect();
            let has = |wanted: &str| names.contains(&wanted);
            // Dynamic relocations have the names of tables (`.rela.dyn`, `.rela.plt`), those of the linker that of the section.
            let relocated =
                |name: &str| name != ".plt" && [".rela", ".rel"].iter().any(|kind| has(&format!("{kind}{name}")));
            let mut code = object.sections().filter(|section| section.kind() == SectionKind::Text);
            Ok(Binary {
                code_relocations: code.any(|section| relocated(section.name().unwrap_or_default())),
                symbols: has(".symtab"),
                bolted: has(".note.bolt_info") || names.iter().any(|name| name.starts_with(".bolt.")),
                bolt_instrumented: has(".bolt.instr.tables"),
                pgo_instrumented: has("__llvm_prf_cnts"),
            })
        })
    }
}

/// In hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A linked file whose code the compiler instrumented, and how it was made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Making {
    /// In hexadecimal; none where the linker wrote none.
    pub build_id: Option<String>,
    /// What compilers and linkers left in it: `Debian clang version 22.1.8`. Empty if it was removed.
    pub compilers: Vec<String>,
    /// Of the raw profiles that it writes; none in a stripped file.
    pub raw_version: Option<u64>,
}

/// How an instrumented file was made. None: it is no such file.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn making(path: &Utf8Path) -> Result<Option<Making>> {
    if is_in_no_process(path) {
        return Ok(None);
    }
    let found = open(path, |object| {
        if object.section_by_name("__llvm_prf_cnts").is_none() {
            return Ok(None);
        }
        let build_id = object.build_id().with_context(|| format!("{path} is not a valid ELF file"))?.map(hex);
        let comment = object.section_by_name(".comment").and_then(|section| section.data().ok()).unwrap_or_default();
        let compilers = comment.split(|byte| *byte == 0).filter(|text| !text.is_empty());
        let compilers = compilers.map(|text| String::from_utf8_lossy(text).into_owned()).collect();
        let raw_version = object.symbols().find(|symbol| symbol.name() == Ok(RAW_VERSION)).and_then(|symbol| {
            let section = object.section_by_index(symbol.section_index()?).ok()?;
            let bytes = section.data_range(symbol.address(), 8).ok()??;
            Some(u64_at(bytes, 0) & u64::from(u32::MAX))
        });
        Ok(Some(Making { build_id, compilers, raw_version }))
    })?;
    Ok(found.flatten())
}

/// Whether what writes profiles is in an instrumented file. None: it is no such file, or has no symbols.
///
/// Each object file has counters, and the linker has to be told to take the runtime out of its archive (`-u __llvm_profile_runtime`):
/// clang and rustc do so where they link.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn has_runtime(path: &Utf8Path) -> Result<Option<bool>> {
    if is_in_no_process(path) {
        return Ok(None);
    }
    let found = open(path, |object| {
        let instrumented = object.section_by_name("__llvm_prf_cnts").is_some();
        if !instrumented || object.section_by_name(".symtab").is_none() {
            return Ok(None);
        }
        // Another file of the process may have it.
        let is_of_runtime = |name: &str, defined: bool| match defined {
            true => name.starts_with("lprof"),
            false => name.starts_with("__llvm_profile"),
        };
        let mut symbols = object.symbols();
        Ok(Some(symbols.any(|symbol| symbol.name().is_ok_and(|name| is_of_runtime(name, !symbol.is_undefined())))))
    })?;
    Ok(found.flatten())
}

/// The variable with the version and the flags.
const RAW_VERSION: &str = "__llvm_profile_raw_version";

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
    pub fn read(path: &Utf8Path) -> Result<Option<Identity>> {
        let damaged = || format!("{path} is not a valid ELF file");
        let found = open(path, |object| {
            if !matches!(object.kind(), ObjectKind::Executable | ObjectKind::Dynamic) {
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
        })?;
        Ok(found.flatten())
    }
}

/// A function: the hash of its name, and that of its control flow.
pub type FunctionIdentity = (u64, u64);

/// Bytes of a record with 64-bit addresses: before LLVM 18, before 23, and since. Which one it is stands nowhere in a stripped file.
const RECORD_SIZES: [usize; 3] = [72, 64, 48];

/// Object files have records and symbols as well, but are in no process.
pub(super) fn is_in_no_process(path: &Utf8Path) -> bool {
    matches!(path.extension(), Some("o" | "a" | "rlib" | "rmeta"))
}

/// Takes the functions that an ELF file has records for from `wanted`, and returns how many. None: it is no ELF file, or not
/// instrumented.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn take_known(path: &Utf8Path, wanted: &mut HashSet<FunctionIdentity>) -> Result<Option<usize>> {
    if is_in_no_process(path) {
        return Ok(None);
    }
    let taken = open(path, |object| {
        let Some(section) = object.section_by_name("__llvm_prf_data") else { return Ok(None) };
        let data = section.data().with_context(|| format!("cannot read the records of {path}"))?;
        let known = |size: usize| {
            let identities = data.chunks_exact(size).map(|record| (u64_at(record, 0), u64_at(record, 8)));
            identities.filter(|identity| wanted.contains(identity)).collect::<HashSet<FunctionIdentity>>()
        };
        let known = RECORD_SIZES.map(known).into_iter().max_by_key(HashSet::len).unwrap_or_default();
        Ok(Some(known))
    })?;
    Ok(taken.flatten().map(|known| {
        known.iter().for_each(|identity| _ = wanted.remove(identity));
        known.len()
    }))
}

/// Calls `each` with the names of the functions that an ELF file defines. None: it is no ELF file.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn symbols(path: &Utf8Path, mut each: impl FnMut(&str)) -> Result<Option<()>> {
    if is_in_no_process(path) {
        return Ok(None);
    }
    open(path, |object| {
        let functions = object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition());
        functions.for_each(|symbol| _ = symbol.name().map(&mut each));
        Ok(())
    })
}

/// Calls `each` with the names of the source files that the symbol table of an ELF file has. None: it is no ELF file.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn source_files(path: &Utf8Path, mut each: impl FnMut(&str)) -> Result<Option<()>> {
    if is_in_no_process(path) {
        return Ok(None);
    }
    open(path, |object| {
        let files = object.symbols().filter(|symbol| symbol.kind() == SymbolKind::File);
        files.for_each(|symbol| _ = symbol.name().map(&mut each));
        Ok(())
    })
}

/// What takes room in a linked file besides what runs, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ballast {
    /// Code that llvm-bolt has written anew elsewhere.
    pub old_code: u64,
    /// What a linker has kept for tools (`--emit-relocs`).
    pub relocations: u64,
    pub debug: u64,
    /// Symbols, and their names.
    pub symbols: u64,
    /// Between sections, so that they begin at whole pages.
    pub gaps: u64,
}

impl Ballast {
    /// Reads the section table. None: not an ELF file.
    ///
    /// # Errors
    /// The file cannot be read, or is a damaged ELF file.
    pub fn read(path: &Utf8Path) -> Result<Option<Ballast>> {
        let size = path.metadata().with_context(|| format!("cannot look at {path}"))?.len();
        open(path, |object| {
            let (mut ballast, mut all) = (Ballast::default(), 0);
            for section in object.sections() {
                let bytes = section.file_range().map_or(0, |(_, bytes)| bytes);
                all += bytes;
                let loaded = section.address() != 0;
                let part = match section.name().unwrap_or_default() {
                    name if name.starts_with(".bolt.org") => &mut ballast.old_code,
                    name if name.starts_with(".rel") && !loaded => &mut ballast.relocations,
                    name if name.starts_with(".debug") => &mut ballast.debug,
                    ".symtab" | ".strtab" => &mut ballast.symbols,
                    _ => continue,
                };
                *part += bytes;
            }
            ballast.gaps = size.saturating_sub(all);
            Ok(ballast)
        })
    }
}
