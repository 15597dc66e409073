//! Functions of a linked file with names that are too long for a program that writes names: by themselves, or two in one line.
//!
//! Who calls whom is in the relocations that the linker kept. Unaware of who writes names, and of how long they may be.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use camino::Utf8Path;
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolKind};

use super::elf;

/// How long names may be, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One, with itself in the same line.
    pub one: usize,
    /// Two that stand in a line.
    pub two: usize,
}

/// The functions that have to be left out, so that no line is too long.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TooLong {
    /// Their own names are too long.
    pub names: BTreeSet<String>,
    /// They call one of those, and the names of both are too long together.
    pub callers: BTreeSet<String>,
}

/// A function's place.
struct Function {
    from: u64,
    to: u64,
    name: String,
}

/// Looks at a file. Nothing is found in one that is no ELF file.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn too_long(path: &Utf8Path, limits: Limits) -> Result<TooLong> {
    // Read in parts, a name of more than 4,096 bytes is an error of the reader. Only then all of the file is read.
    let none_is_long = elf::open(path, |object| {
        let short = |name: &str| name.len() <= limits.one;
        Ok(object.symbols().all(|symbol| symbol.name().is_ok_and(short)))
    })?;
    match none_is_long {
        None | Some(true) => Ok(TooLong::default()),
        Some(false) => {
            let data = std::fs::read(path).with_context(|| format!("cannot read {path}"))?;
            let object = object::File::parse(&*data).with_context(|| format!("{path} is not a valid ELF file"))?;
            Ok(find(&object, limits))
        }
    }
}

fn find(object: &object::File, limits: Limits) -> TooLong {
    let is_function = |kind: SymbolKind, definition: bool| kind == SymbolKind::Text && definition;
    let functions = object.symbols().filter(|symbol| is_function(symbol.kind(), symbol.is_definition()));
    let mut functions: Vec<Function> = functions
        .filter_map(|symbol| {
            let (from, name) = (symbol.address(), symbol.name().ok()?.to_owned());
            Some(Function { from, to: from + symbol.size().max(1), name })
        })
        .collect();
    functions.sort_by_key(|function| function.from);
    let long: Vec<&Function> = functions.iter().filter(|function| function.name.len() > limits.one).collect();
    let mut found = TooLong { names: long.iter().map(|one| one.name.clone()).collect(), ..TooLong::default() };
    for section in object.sections().filter(|section| section.kind() == SectionKind::Text && !long.is_empty()) {
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let Ok(symbol) = object.symbol_by_index(index) else { continue };
            let to = symbol.address().wrapping_add_signed(relocation.addend());
            // Relative to the end of the field, or not.
            let is_of = |one: &&&Function| [to, to.wrapping_add(4)].iter().any(|to| (one.from..one.to).contains(to));
            let Some(length) = long.iter().filter(is_of).map(|one| one.name.len()).max() else { continue };
            let behind = functions.partition_point(|function| function.from <= at);
            let caller = functions[..behind].iter().rev().find(|function| at < function.to);
            if let Some(caller) = caller.filter(|caller| caller.name.len() + length > limits.two) {
                found.callers.insert(caller.name.clone());
            }
        }
    }
    found.callers.retain(|name| !found.names.contains(name));
    found
}
