//! The files that a comparison of a stage leaves. Unaware of what is in them.

use camino::Utf8Path;

pub const JSON: &str = "comparison.json";
pub const MARKDOWN: &str = "comparison.md";
pub const TABLE: &str = "comparison.txt";

/// Whether a file is one of them, by its name. How large they are says nothing: each holds what was measured that time.
pub fn is_result(path: &Utf8Path) -> bool {
    path.file_name().is_some_and(|name| [JSON, MARKDOWN, TABLE].contains(&name))
}
