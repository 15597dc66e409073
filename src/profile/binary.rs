//! What the sections of a linked file say about profiling and BOLT.

use std::fs::File;

use anyhow::{Context, Result};
use camino::Utf8Path;
use object::read::ReadCache;
use object::{Object, ObjectSection};

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
        let file = File::open(path).with_context(|| format!("cannot open {path}"))?;
        let cache = ReadCache::new(file);
        let mut magic = [0; 4];
        {
            use std::io::Read;
            let read = File::open(path).and_then(|mut file| file.read(&mut magic));
            read.with_context(|| format!("cannot read {path}"))?;
        }
        if magic != *b"\x7fELF" {
            return Ok(None);
        }
        let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
        let names: Vec<&str> = object.sections().filter_map(|section| section.name().ok()).collect();
        let has = |wanted: &str| names.contains(&wanted);
        // Dynamic relocations have the names of tables (`.rela.dyn`, `.rela.plt`), those of the linker that of the section.
        let code_relocations =
            object.sections().filter(|section| section.kind() == object::SectionKind::Text).any(|section| {
                let name = section.name().unwrap_or_default();
                name != ".plt" && (has(&format!(".rela{name}")) || has(&format!(".rel{name}")))
            });
        Ok(Some(Binary {
            code_relocations,
            symbols: has(".symtab"),
            bolted: has(".note.bolt_info") || names.iter().any(|name| name.starts_with(".bolt.")),
            bolt_instrumented: has(".bolt.instr.tables"),
            pgo_instrumented: has("__llvm_prf_cnts"),
        }))
    }
}
