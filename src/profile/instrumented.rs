//! Which functions of a linked file the compiler has instrumented, and which not.
//!
//! A function that is instrumented has its name in `__llvm_prf_names`. A function is what stands at one address: constructors and folded
//! functions have several names. What no project compiles is left out:
//!
//! | left out | known by |
//! |---|---|
//! | the start of programs, the C++ runtime, compilers' helpers | names that are reserved for them; symbols without a size |
//! | the profile runtime | names: `lprof…`, and those of its local functions in LLVM 14 to 22 |
//! | the standard libraries of C++ and Rust | the namespaces and crates in a name |
//! | the C library, or the C++ runtime, that a program has in it | nothing: such a file is not judged |
//!
//! Unaware of how the file was built.

use std::collections::{BTreeMap, HashSet};

use anyhow::{Context, Result};
use camino::Utf8Path;
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

use super::elf;
use super::names::{demangle, is_rust, linkage_name, original_name};
use super::raw::names::Names;

/// The functions of a linked file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Functions {
    pub instrumented: u64,
    /// The names of those that are not, as people write them, sorted.
    pub others: Vec<String>,
}

/// Looks at a linked file. None: nothing in it is instrumented, or it has no symbols, or no names of instrumented functions, or its
/// libraries in it.
///
/// # Errors
/// The file cannot be read, or is a damaged ELF file.
pub fn functions(path: &Utf8Path) -> Result<Option<Functions>> {
    if elf::is_in_no_process(path) {
        return Ok(None);
    }
    let found = elf::open(path, |object| {
        let Some(section) = object.section_by_name("__llvm_prf_names") else { return Ok(None) };
        let packed = section.data().with_context(|| format!("cannot read the names of functions in {path}"))?;
        let mut imports = object.imports().with_context(|| format!("{path} is not a valid ELF file"))?;
        // Only a static program needs nothing of other files.
        if imports.next().is_none() {
            return Ok(None);
        }
        let Ok(names) = Names::decode(packed) else { return Ok(None) };
        let functions = object
            .symbols()
            .filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.is_definition() && symbol.size() > 0);
        let named = functions.filter_map(|symbol| Some((symbol.address(), symbol.name().ok()?.to_owned())));
        let named: Vec<(u64, String)> = named.collect();
        let has_runtime = named.iter().any(|(_, name)| OF_UNWINDER.contains(&name.as_str()));
        Ok((!has_runtime).then(|| judge(&names, named)))
    })?;
    Ok(found.flatten().filter(|found| found.instrumented > 0 || !found.others.is_empty()))
}

/// Sorts functions, by their addresses and names.
fn judge(names: &Names, symbols: Vec<(u64, String)>) -> Functions {
    let names: Vec<String> = names.all().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    let instrumented: HashSet<&str> = names.iter().map(|name| linkage_name(name)).collect();
    // Of each address whether it is instrumented, and a name of it.
    let mut functions: BTreeMap<u64, (bool, String)> = BTreeMap::new();
    for (address, name) in symbols {
        let known = [name.as_str(), original_name(&name)].iter().any(|name| instrumented.contains(name));
        if known || !is_of_toolchain(&name) {
            functions.entry(address).or_insert((false, name)).0 |= known;
        }
    }
    let mut found = Functions::default();
    for (known, name) in functions.into_values() {
        match known {
            true => found.instrumented += 1,
            false => found.others.push(demangle(original_name(&name))),
        }
    }
    found.others.sort();
    found
}

/// What is in `libc_nonshared.a`, which every program gets a part of.
const OF_C: [&str; 9] =
    ["atexit", "at_quick_exit", "pthread_atfork", "stat", "fstat", "lstat", "fstatat", "mknod", "mknodat"];

/// What a file defines that has the C++ runtime or the unwinder in it.
const OF_UNWINDER: [&str; 2] = ["__cxa_throw", "_Unwind_RaiseException"];

/// Local functions of the profile runtime, and with what names of others begin: `llvm-nm` of `libclang_rt.profile`.
const OF_RUNTIME: [&str; 16] = [
    "binaryIdsStringWriter",
    "createProfileDir",
    "fileWriter",
    "getCurFilename",
    "getCurFilenameLength",
    "getNextNValueData",
    "getProfileFileSizeForMerging",
    "initBufferWriter",
    "mmapForContinuousMode",
    "mmapProfileForMerging",
    "parseAndSetFilename",
    "truncateCurrentFile",
    "writeFile",
    "writeFileWithoutReturn",
    "writeOneValueProfData",
    "writeProfileWithFileObject",
];
const BEGIN_OF_RUNTIME: [&str; 9] = [
    "lprof",
    "InstProf",
    "InstrProf",
    "getFirstValueProf",
    "getNumValue",
    "getValueProf",
    "initializeProfile",
    "initializeValueProf",
    "serializeValueProf",
];

/// Crates of Rust's standard library, with those that are linked into it.
const OF_RUST: [&str; 23] = [
    "std",
    "core",
    "alloc",
    "proc_macro",
    "test",
    "compiler_builtins",
    "__rustc",
    "std_detect",
    "panic_abort",
    "panic_unwind",
    "unwind",
    "hashbrown",
    "addr2line",
    "gimli",
    "object",
    "miniz_oxide",
    "adler",
    "adler2",
    "memchr",
    "rustc_demangle",
    "cfg_if",
    "libc",
    "rustc_literal_escaper",
];

/// Whether a function is of the compiler's libraries, by its name.
pub fn is_of_toolchain(symbol: &str) -> bool {
    let name = original_name(symbol);
    if is_rust(name) {
        return is_of_rust(&demangle(name));
    }
    if let Some(mangled) = name.strip_prefix("_Z") {
        return is_of_cpp(mangled);
    }
    let reserved = name.starts_with('_') && name[1..].starts_with(|c: char| c == '_' || c.is_ascii_uppercase());
    let of_start = ["_start", "_init", "_fini", "_dl_", "llvm_gcda_", "rust_eh_", "OUTLINED_FUNCTION_"];
    let tables = ["deregister_tm_clones", "register_tm_clones", "frame_dummy"];
    reserved
        || of_start.iter().chain(&BEGIN_OF_RUNTIME).any(|start| name.starts_with(start))
        || tables.iter().chain(&OF_C).chain(&OF_RUNTIME).any(|known| *known == name)
}

/// All crates that a name has in it are of the standard library. A crate stands before `::`, at the beginning of a path.
fn is_of_rust(name: &str) -> bool {
    let part_of_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let paths = name.split(|c: char| !part_of_path(c)).filter_map(|path| path.split_once("::"));
    let mut crates = paths.map(|(first, _)| first).filter(|first| !first.is_empty());
    crates.all(|first| OF_RUST.contains(&first))
}

/// What stands behind `_Z`: names in `std`, operators for memory, and what compilers make of other functions by themselves.
fn is_of_cpp(mangled: &str) -> bool {
    let nested = mangled.strip_prefix('N').unwrap_or(mangled).trim_start_matches(['r', 'V', 'K', 'R', 'O']);
    let begins = |start: &str| nested.starts_with(start);
    let in_std = nested.strip_prefix('S').is_some_and(|rest| rest.starts_with(['t', 's', 'a', 'b', 'i', 'o', 'd']));
    in_std
        || begins("9__gnu_cxx")
        || begins("10__cxxabiv1")
        || ["nw", "na", "dl", "da", "T", "G"].iter().any(|start| mangled.starts_with(start))
}
