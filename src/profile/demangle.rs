//! Names of functions as people write them.

use super::listing::linkage_name;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages() {
        // As `llvm-cxxfilt-22` prints them, Rust's without their hashes.
        assert_eq!(demangle("_Z4areai"), "area(int)");
        assert_eq!(demangle("shape.cpp;_ZL4areai"), "shape.cpp: area(int)");
        assert_eq!(demangle("_ZN2rs3hot17h20621d184e4296e7E"), "rs::hot");
        assert_eq!(
            demangle("_RNvNtCsgEmfK2I1SDS_4core9panicking16panic_in_cleanup"),
            "core::panicking::panic_in_cleanup"
        );
        assert_eq!(demangle("rs.344f2bb5c1f00fa-cgu.1;_ZN2rs3hot17h20621d184e4296e7E"), "rs::hot");
        assert!(is_rust("_ZN2rs3hot17h20621d184e4296e7E") && !is_rust("_ZL4areai") && !is_rust("main"));
        assert_eq!(demangle("main"), "main");
        assert_eq!(demangle("a.c:helper"), "a.c: helper");
        assert_eq!(demangle("_Znonsense"), "_Znonsense");
    }
}
