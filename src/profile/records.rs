//! What an instrumented ELF file says of its functions: one record each in `__llvm_prf_data`, which begins with a hash of the
//! function's name and one of its control flow. Also its build id and the names in its symbol table. Unaware of profiles.
//!
//! The records are there in stripped files and in those without a build id, are the same for C, C++ and Rust, and are read
//! without the names, which may be compressed. Only the sections that are asked for are read.

use std::collections::HashSet;
use std::fs::File;

use anyhow::{Context, Result};
use camino::Utf8Path;
use md5::{Digest, Md5};
use object::read::ReadCache;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// A function: the hash of its name, and that of its control flow.
pub type Identity = (u64, u64);

/// Bytes of a record with 64-bit addresses: before LLVM 18, and since. Which one it is stands nowhere in a stripped file.
const SIZES: [usize; 2] = [64, 48];

/// How profiles identify a name.
pub fn name_hash(name: &str) -> u64 {
    let digest = Md5::digest(name.as_bytes());
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Calls `with` for an ELF executable or shared library. None: it is another file.
fn open<T>(path: &Utf8Path, with: impl FnOnce(&object::File<&ReadCache<File>>) -> Result<T>) -> Result<Option<T>> {
    // Object files have records and symbols as well, but are in no process.
    if matches!(path.extension(), Some("o" | "a" | "rlib" | "rmeta")) {
        return Ok(None);
    }
    let mut magic = [0; 4];
    {
        use std::io::Read;
        let read = File::open(path).and_then(|mut file| file.read(&mut magic));
        read.with_context(|| format!("cannot read {path}"))?;
    }
    if magic != *b"\x7fELF" {
        return Ok(None);
    }
    let cache = ReadCache::new(File::open(path).with_context(|| format!("cannot open {path}"))?);
    let object = object::File::parse(&cache).with_context(|| format!("{path} is not a valid ELF file"))?;
    with(&object).map(Some)
}

/// Takes from `wanted` the functions of which an ELF file has records. None: it is no ELF file, or not instrumented.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn take_known(path: &Utf8Path, wanted: &mut HashSet<Identity>) -> Result<Option<usize>> {
    let taken = open(path, |object| {
        let Some(section) = object.section_by_name("__llvm_prf_data") else { return Ok(None) };
        let data = section.data().with_context(|| format!("cannot read the records of {path}"))?;
        let known = |size: usize| {
            let identities = data.chunks_exact(size).map(|record| (word(record, 0), word(record, 8)));
            identities.filter(|identity| wanted.contains(identity)).collect::<HashSet<Identity>>()
        };
        let known = SIZES.map(known).into_iter().max_by_key(HashSet::len).unwrap_or_default();
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
    open(path, |object| {
        let functions = object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition());
        functions.for_each(|symbol| _ = symbol.name().map(&mut each));
        Ok(())
    })
}

/// The name that a function had before the compiler made copies or parts of it: without `.llvm.1234`, `.cold` and the like.
pub fn original_name(symbol: &str) -> &str {
    let mut name = symbol;
    loop {
        let Some((before, last)) = name.rsplit_once('.') else { return name };
        let number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
        let cut = if number {
            before.strip_suffix(".llvm").unwrap_or(before)
        } else if matches!(last, "cold" | "part" | "specialized" | "isra" | "constprop" | "lto_priv" | "warm") {
            before
        } else {
            return name;
        };
        if cut.is_empty() {
            return name;
        }
        name = cut;
    }
}

/// The 64-bit number that begins at this byte. Zero beyond the end.
fn word(bytes: &[u8], at: usize) -> u64 {
    let found = bytes.get(at..at + 8).and_then(|word| word.first_chunk());
    found.map_or(0, |word| u64::from_le_bytes(*word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_a_name() {
        // `printf main | md5sum`: fad58de7366495db…
        assert_eq!(name_hash("main"), 0xdb95_6436_e78d_d5fa);
    }

    #[test]
    fn names_of_copies() {
        assert_eq!(original_name("work"), "work");
        assert_eq!(original_name("helper.llvm.1234567"), "helper");
        assert_eq!(original_name("work.cold.1"), "work");
        assert_eq!(original_name("f.specialized.2"), "f");
        assert_eq!(
            original_name("_ZN5alloc3vec16Vec$LT$T$C$A$GT$4push17h0123E"),
            "_ZN5alloc3vec16Vec$LT$T$C$A$GT$4push17h0123E"
        );
        assert_eq!(original_name(".1"), ".1");
    }
}
