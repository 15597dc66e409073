//! Which crates of rustc-perf a checkout of rust-lang/rust trains its releases with. They change with the checkout, so they are
//! read from it.

use camino::Utf8Path;

use crate::facts::Facts;
use crate::pipeline::kind::rustc_perf::CrateList;

/// Where the lists stand: since 2024, before that, and in the Python of 2022.
const FILES: [&str; 4] = [
    "src/build_helper/src/lib.rs",
    "src/tools/build_helper/src/lib.rs",
    "src/tools/opt-dist/src/training.rs",
    "src/ci/stage-build.py",
];

/// The crates that the checkout trains on; none if it has no such list.
pub fn listed(facts: &Facts, checkout: &Utf8Path, list: CrateList) -> Option<Vec<String>> {
    let name = match list {
        CrateList::Rustc => "RUSTC_PGO_CRATES",
        CrateList::Llvm => "LLVM_PGO_CRATES",
    };
    FILES.iter().find_map(|file| strings(&facts.read(&checkout.join(file))?, name))
}

/// Where the lists are looked for.
pub fn places() -> String {
    FILES.join(", ")
}

/// The strings of a constant array, in Rust or Python: `NAME… = &["a", "b"]`.
fn strings(source: &str, name: &str) -> Option<Vec<String>> {
    source.match_indices(name).find_map(|(at, _)| {
        let behind = &source[at + name.len()..];
        // The type may have brackets too, but the value stands behind the sign. A use of the constant has none before its line ends.
        let sign = behind.find('=').filter(|sign| !behind[..*sign].contains(['\n', '(']))?;
        let value = &behind[sign..];
        let open = value.find('[')?;
        let close = open + value[open..].find(']')?;
        let lines = value[open + 1..close].lines();
        let code: String = lines.map(|line| line.split("//").next().unwrap_or_default()).collect();
        let strings: Vec<String> = code.split('"').skip(1).step_by(2).map(Into::into).collect();
        (!strings.is_empty()).then_some(strings)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_in_rust_and_python() {
        let rust = "use x::LLVM_PGO_CRATES;\nfn f() { g(LLVM_PGO_CRATES) }\n\
                    pub const LLVM_PGO_CRATES: &[&str] = &[\n    \"syn-1.0.89\", // \"old\"\n    \"cargo-0.60.0\",\n];\n\
                    const RUSTC_PGO_CRATES: [&str; 1] = [\"externs\"];";
        assert_eq!(strings(rust, "LLVM_PGO_CRATES").unwrap(), ["syn-1.0.89", "cargo-0.60.0"]);
        assert_eq!(strings(rust, "RUSTC_PGO_CRATES").unwrap(), ["externs"]);
        let python = "LLVM_PGO_CRATES = [\n  \"syn-1.0.89\",\n  \"clap-3.1.6\"\n]\ngather(LLVM_PGO_CRATES)\n";
        assert_eq!(strings(python, "LLVM_PGO_CRATES").unwrap(), ["syn-1.0.89", "clap-3.1.6"]);
        assert_eq!(strings(python, "RUSTC_PGO_CRATES"), None);
    }
}
