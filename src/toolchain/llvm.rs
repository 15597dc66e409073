//! LLVM's tools that belong together.

use camino::{Utf8Path, Utf8PathBuf};

use crate::facts::Facts;
use crate::plan::Gap;

/// The llvm-profdata beside a clang.
pub fn profdata_for_clang(_facts: &Facts, _clang: &Utf8Path) -> Result<Utf8PathBuf, Gap> {
    Err(Gap { what: "llvm-profdata is not installed".into(), remedy: String::new() })
}

/// The llvm-profdata that fits a rustc.
pub fn profdata_for_rustc(_facts: &Facts, _rustc: &Utf8Path) -> Result<Utf8PathBuf, Gap> {
    Err(Gap { what: "llvm-profdata is not installed".into(), remedy: String::new() })
}
