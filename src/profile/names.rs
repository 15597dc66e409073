//! Names of functions: as linkers know them, as profiles identify them, as people write them. Unaware of profiles.

use md5::{Digest, Md5};

/// How profiles identify a name: the first eight bytes of its MD5 (`IndexedInstrProf::ComputeHash`).
pub fn name_hash(name: &[u8]) -> u64 {
    Md5::digest(name).first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// The name of a function as linkers know it, without the file that stands in front of local ones: behind `;`, before LLVM 18
/// behind `:`. Methods of Objective-C, which have colons in their names, stay as they are.
pub fn linkage_name(name: &str) -> &str {
    let local = name.rsplit_once(';').map(|(_, name)| name);
    local.unwrap_or_else(|| match name.split_once(':') {
        Some((file, local)) if !file.starts_with(['-', '+']) && !local.is_empty() => local,
        _ => name,
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

/// A name of Rust or C++ in its own language, without hashes; any other as it is. A local function's file stays in front:
/// `shape.cpp: area(int)`. Of Rust that is a codegen unit, which says nothing to people.
pub fn demangle(name: &str) -> String {
    let linkage = linkage_name(name);
    let readable = readable(linkage);
    match name.strip_suffix(linkage).map(|file| file.trim_end_matches([';', ':'])) {
        Some(file) if !file.is_empty() && !file.contains("-cgu.") => format!("{file}: {readable}"),
        _ => readable,
    }
}

/// Whether it is a name of Rust, which no two functions of a program share.
pub fn is_rust(name: &str) -> bool {
    rustc_demangle::try_demangle(name).is_ok()
}

fn readable(name: &str) -> String {
    if let Ok(rust) = rustc_demangle::try_demangle(name) {
        return format!("{rust:#}");
    }
    if !name.starts_with("_Z") {
        return name.to_owned();
    }
    let symbol = cpp_demangle::Symbol::new(name).ok();
    symbol.and_then(|symbol| symbol.demangle().ok()).unwrap_or_else(|| name.to_owned())
}
